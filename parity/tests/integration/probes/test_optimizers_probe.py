"""The optimizers that are handed over on a small model are exported as its artifact is."""

import pytest

from parity.records import Remedy


class HandedOverError(Exception):
    """Ends the hand-over where it begins."""


def test_the_first_optimizer_is_exported_under_the_remedy_too(tiny_subject, monkeypatch, tmp_path):
    """Whether one is needed is known once the artifact has been tried."""
    from parity.handover import EXPORTED
    from parity.probes import optimizers
    from parity.runtimes.subject import Subject

    def tried(subject):
        monkeypatch.setattr(subject, "remedy", Remedy("tiny", "tensorflow==2.21.0", "stablehlo_skew", "planted"))
        return tmp_path

    def handed(*given):
        raise HandedOverError(given[-1])

    monkeypatch.setattr(Subject, "bundle", property(tried))
    monkeypatch.setattr(optimizers, "hand_over", handed)
    with pytest.raises(HandedOverError, match=r"tensorflow==2\.21\.0"):
        optimizers.Optimizers(tiny_subject).results("adam_exponential", EXPORTED)
