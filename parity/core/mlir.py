"""The types of MLIR, as error texts of the frameworks have them, in the words of this package."""

from __future__ import annotations

import re

_KINDS = {"f": "float", "bf": "bfloat", "i": "int", "ui": "uint", "si": "int"}
"""The names of dtypes by those of MLIR, without the number of bits."""
_TENSOR = re.compile(r"tensor<(?P<sizes>(?:[\d?]+x)*)(?P<element>complex<\w+>|\w+)>")


def dtype_of(element: str) -> str:
    """Return the name of the dtype of an element type: `f32` is `float32`, `i1` is `bool`."""
    if parts := re.fullmatch(r"complex<f(\d+)>", element):
        return f"complex{2 * int(parts[1])}"
    known = re.fullmatch(r"([a-z]+)(\d+)", element)
    name = f"{_KINDS.get(known[1], known[1])}{known[2]}" if known else element
    return "bool" if name == "int1" else name


def with_specs(text: str) -> str:
    """Return `text` with its tensor types as a `Spec` is written: `tensor<?x8xf32>` is `float32[?, 8]`."""
    return _TENSOR.sub(lambda t: f"{dtype_of(t['element'])}[{', '.join(t['sizes'].split('x')[:-1])}]", text)
