"""What runtimes share that read a user's own artifact: the function of the case that makes outputs of those of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parity.core.errors import ParityError, RuntimeFailureError
from parity.core.tracebacks import raised

if TYPE_CHECKING:
    from parity.runtimes.base import Answers, Model


def processed(model: Model, answers: Answers) -> Answers:
    """Return answers as the case has them: its function makes outputs of those of the artifact, where it has one.

    Raises:
        RuntimeFailureError: that function failed, or did not return outputs of the case.
    """
    made: Any = model.case.corrections.outputs if model.case is not None else None
    if "predict" not in answers or not callable(made):
        return answers
    import numpy as np

    from parity.cases.specs import outputs

    what = f"case {model.signature.case!r}: Artifact.outputs(found)"
    try:
        found = {leaf: np.asarray(array) for leaf, array in outputs(made(answers["predict"])).items()}
    except ParityError:
        raise
    except Exception as error:
        raise RuntimeFailureError(f"{what} {raised(error)}") from error
    return {**answers, "predict": found}
