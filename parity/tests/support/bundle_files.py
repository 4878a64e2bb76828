"""Bundles by hand, without a framework."""

import math

import ml_dtypes
import numpy as np

from parity.cases.specs import Batch, Spec
from parity.export import bundles
from parity.export.bundles import Signature, StateLeaf
from parity.records import BudgetRecord

SOLE = Signature(
    "tiny", Spec("b", 2), Spec("b", dtype="int32"), (StateLeaf("kernel", True), StateLeaf("mean", False)),
    ("predict", "eval_loss"), 32.0,
)  # fmt: skip
NAMED = Signature(
    "named", {"item": Spec("b", 3, dtype="bfloat16"), "shape": Spec("b", dtype="int32")}, {"stars": Spec("b")}, (),
    ("predict",), 128.5, "because",
)  # fmt: skip
VERSIONS = {"jax": "0.10.2", "tensorflow": None}
WRITER = {"stablehlo": "1.14.0", "calling_convention": 10}
BATCHES = {
    "tiny": Batch(np.arange(6, dtype=np.float32).reshape(3, 2), np.array([0, 1, 2], np.int32)),
    "named": Batch(
        {"item": np.array([[1, np.nan, -0.0]] * 3, ml_dtypes.bfloat16), "shape": np.arange(3, dtype=np.int32)},
        {"stars": np.ones(3, np.float32)},
    ),
}
ANSWER = {
    "output": np.array([[0.5, math.nan], [math.inf, -0.0], [1e-45, 3.4e38]], np.float32),
    "Dense_0/kernel": np.array([1.5, math.inf, math.nan], ml_dtypes.bfloat16),
    "user@bfloat16.example": np.array([1, 2], np.uint16),
    "loss": np.array(0.25, np.float32),
    "rng": np.array([1, 2], np.uint32),
}
BUDGETS = [
    BudgetRecord("tiny", "predict", 3, "output", 1e-7, math.inf, "measured, “quoted”"),
    BudgetRecord("tiny", "eval_loss", 3, "loss", 1e-8, 1e-8, "measured"),
]


def fill(folder, signature):
    for part in ("saved_model", "inference"):
        (folder / part / "variables").mkdir(parents=True)
        (folder / part / "saved_model.pb").write_bytes(bytes(range(256)) * 10)
        (folder / part / "variables" / "variables.index").write_bytes(b"")
    bundles.save_inputs(folder, 3, BATCHES[signature.case])
    for side in ("answers", "oracle"):
        bundles.save_answer(folder, side, "predict", 3, ANSWER)
    bundles.save_budgets(folder, BUDGETS)


def write(path, signature=SOLE):
    with bundles.create(path, signature, (3,), VERSIONS, WRITER) as folder:
        fill(folder, signature)
    return path


def assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
