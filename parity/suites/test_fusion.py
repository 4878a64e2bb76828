"""A head of TensorFlow on a trunk of JAX."""

from parity.records import PlanItem
from parity.session.examination import Examination


def test_fusion(examination: Examination, question: PlanItem) -> None:
    """Trained together in Keras, by hand and by `model.fit`, they learn what the same network learns in JAX alone."""
    examination.check_case(question)
