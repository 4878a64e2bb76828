"""A head of TensorFlow on a trunk of JAX."""

import pytest

from parity.core.ledger import FRAMEWORKS
from parity.handover import fusion
from parity.runtimes.subject import Subject
from parity.session.asserting import Recording, assert_in_order


@pytest.mark.parity_probe("fusion")
def test_fusion(subject: Subject, record: Recording) -> None:
    """Trained together in Keras, by hand and by `model.fit`, they learn what the same network learns in JAX alone."""
    with subject.ledger.spend(FRAMEWORKS):
        results = fusion.results(subject)
    assert_in_order(record(results))
