"""What unblocks the newest pair of an atlas, with code to copy."""

from __future__ import annotations

from typing import Any

from parity.matrix import atlas as atlases
from parity.matrix.atlas import AGREES, MENDED, Atlas, Row
from parity.records import JOINT, SPLIT
from parity.report.facts import REMEDY

PINS = 'pip install "jax=={}" "tensorflow=={}"'


def unblocking(atlas: Atlas) -> dict[str, Any] | None:
    """A sentence about the newest pair and the code that helps, or None where it needs none; None without a pair.

    The newest pair is the newest jax with the newest tensorflow that it was run with, in one environment if it could
    be; where it does not agree, the newest that does is what helps.
    """
    pairs = [row for row in atlas.cells if row["jax"] and row["tensorflow"]]
    here = [row for row in pairs if row["mode"] == JOINT] or [row for row in pairs if row["mode"] == SPLIT]
    if not here:
        return None
    newest = here[-1]
    kind, pair = atlases.kind(newest), _pair(newest)
    if kind == AGREES:
        return {"says": f"Nothing has to: the newest pair, {pair}, agrees as exported by default.", "code": None}
    if kind == MENDED:
        failed = f"fails as exported by default ({newest['class']}), and agrees with this around the export"
        return {"says": f"The newest pair, {pair}, {failed}:", "code": REMEDY.format(requirement=newest["remedy"])}
    said = f"The newest pair, {pair}: {atlases.words(newest)}."
    good = [row for row in here if atlases.kind(row) in (AGREES, MENDED)]
    if not good:
        return {"says": f"{said} No other pair agrees.", "code": None}
    best, code = good[-1], PINS.format(good[-1]["jax"], good[-1]["tensorflow"])
    if best["remedy"]:
        code += f"\n\n{REMEDY.format(requirement=best['remedy'])}"
    agrees = "agrees with a remedy" if best["remedy"] else "agrees"
    return {"says": f"{said} The newest pair that {agrees} is {_pair(best)}:", "code": code}


def _pair(row: Row) -> str:
    return f"jax {row['jax']} with tensorflow {row['tensorflow']}"
