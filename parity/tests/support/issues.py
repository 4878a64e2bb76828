"""An entry of a list of known issues."""

from parity.core.failures import MISSING_FFI

ENTRY = {
    "id": "cholesky",
    "class": MISSING_FFI,
    "text": "TensorFlow has no LAPACK handlers on CPU.",
    "upstream": "https://example.org/issues/1",
    "remedy": "none",
}
EVIDENCE = "lapack_spotrf_ffi"


def toml(entry):
    return "[[issue]]\n" + "".join(f"{key} = '''{value}'''\n" for key, value in entry.items())
