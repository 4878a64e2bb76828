"""The atlas joins, counts and compares cells by their rows, and leaves none out in silence."""

import json
import math

import pytest

from parity import records
from parity.core.errors import RecordError, UsageError
from parity.records import ARCHIVE, FLEET, SPLIT, atlas, cells
from parity.tests.support import samples
from parity.tests.support.atlas_rows import CONVENTION, KINDS, SKEW, of, row


def test_releases_are_ordered_as_versions_not_as_text():
    laid = atlas.grid(of(row("0.10.2", "2.9.0"), row("0.9.2", "2.21.0"), row("0.12.0.1", "2.10.1")), "joint")
    assert [jax for jax, _ in laid.lines] == ["0.9.2", "0.10.2", "0.12.0.1"]
    assert laid.columns == ("2.9.0", "2.10.1", "2.21.0")


def test_what_is_no_version_is_kept_and_comes_first():
    laid = atlas.grid(of(row("0.9.2"), row("nightly")), "joint")
    assert [jax for jax, _ in laid.lines] == ["nightly", "0.9.2"]


def test_a_planned_cell_without_a_record_is_missing_with_the_reason_given():
    made = of(row(), **{"py313-jax0.9.2-tf2.20.0": "no Python 3.13 here", "py312-jax0.9.2-tf2.21.0": "ignored"})
    absent, there = made.cells
    assert (absent["status"], absent["evidence"], absent["jax"]) == ("missing", "no Python 3.13 here", "0.9.2")
    assert there["status"] == "pass"


def test_a_planned_name_that_describes_no_cell_is_refused():
    with pytest.raises(UsageError, match="no cell 'nonsense'"):
        of(nonsense="")


def test_of_two_rows_of_a_cell_the_one_that_ended_last_counts():
    late, early = row(ended_at="2026-02-01T00:00:00Z"), row(ended_at="2026-01-01T00:00:00Z", status="fail")
    assert [cell["status"] for cell in of(late, early).cells] == ["pass"]
    known = of(early, **{early["cell"]: "ignored"})
    assert [cell["status"] for cell in known.cells] == ["fail"]


def test_a_verifying_cell_that_left_nothing_is_missing_for_every_export():
    exported = row("0.9.2", None, mode="export", cell="py312-jax0.9.2-export")
    verified = row("0.9.2", mode=SPLIT, cell="split-jax0.9.2-tf2.21.0")
    planned = {"py312-jax0.10.2-export": "", "py313-tf2.21.0-verify": "no Python 3.13 here"}
    made = of(exported, verified, **planned)
    assert [(cell["cell"], cell["status"]) for cell in made.cells] == [
        ("split-jax0.9.2-tf2.21.0", "pass"),
        ("split-jax0.10.2-tf2.21.0", "missing"),
        ("fleet-jax0.10.2-tf2.21.0", "missing"),
        ("py312-jax0.9.2-export", "pass"),
        ("py312-jax0.10.2-export", "missing"),
    ]
    assert [atlas.no_python(cell) for cell in made.cells] == [False, True, True, False, False]
    assert [atlas.kind(cell) for cell in made.cells] == ["agrees", "not-run", "not-run", "agrees", "not-run"]
    assert [cell["mode"] for cell in of(**{"py313-tf2.21.0-verify": ""}).cells] == [SPLIT]


def test_a_verifying_cell_that_left_nothing_is_missing_for_every_archived_bundle():
    read = row("0.9.2", mode=ARCHIVE, cell="archive-jax0.9.2-tf2.21.0", status="remedied", **{"class": SKEW})
    made = atlas.join([read], {"py312-tf2.21.0-verify": ""}, ["0.4.30", "0.9.2"])
    assert [(cell["cell"], cell["mode"], cell["status"]) for cell in made.cells] == [
        ("archive-jax0.4.30-tf2.21.0", ARCHIVE, "missing"),
        ("archive-jax0.9.2-tf2.21.0", ARCHIVE, "remedied"),
    ]
    assert [atlas.kind(cell) for cell in made.cells] == ["not-run", "with-remedy"]
    assert not atlas.in_order(made)
    assert atlas.in_order(of(read))


def test_one_cell_in_two_modes_is_two_cells():
    assert [cell["mode"] for cell in of(row(mode=SPLIT), row(), row(mode=FLEET)).cells] == ["joint", "split", "fleet"]


def test_an_atlas_is_read_as_it_was_written_one_cell_a_line(tmp_path):
    made = of(*KINDS.values(), row("0.1.0", worst_score=math.inf, python="3.11"))
    path = tmp_path / "atlas.json"
    atlas.write(path, made)
    assert atlas.read(path) == made
    lines = path.read_text(encoding="utf-8").splitlines()
    assert json.loads("\n".join(lines))["schema"] == 1
    cells = [json.loads(line.rstrip(",")) for line in lines if line.startswith("  ")]
    assert [cell["jax"] for cell in cells] == [cell["jax"] for cell in made.cells]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot read the atlas"),
        ("[]", "no integer 'schema'"),
        ('{"schema": 2, "cells": []}', "has schema 2"),
        ('{"schema": 1}', "is no atlas"),
        ('{"schema": 1, "made_at": "", "cells": [{"status": "odd", "worst_score": null}]}', "unknown status"),
        ('{"schema": 1, "made_at": "", "cells": [{"mode": "odd", "worst_score": null}]}', "is no atlas"),
        ('{"schema": 1, "made_at": "", "cells": [{"footprints": [1], "worst_score": null}]}', "is no atlas"),
        ('{"schema": 1, "made_at": "", "cells": [{"footprints": {"jax": {}}, "worst_score": null}]}', "is no atlas"),
    ],
)
def test_what_is_no_atlas_is_refused(tmp_path, text, says):
    path = tmp_path / "atlas.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=says):
        atlas.read(path)


def test_an_atlas_that_is_not_there_is_an_unreadable_one(tmp_path):
    with pytest.raises(RecordError, match="cannot read the atlas"):
        atlas.read(tmp_path / "atlas.json")


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"status": "pass", "predicted": "pass"}, True),
        ({"status": "pass", "predicted": "remedied", "predicted_class": SKEW}, False),
        ({"status": "remedied", "class": SKEW, "predicted": "remedied", "predicted_class": SKEW}, True),
        ({"status": "remedied", "class": SKEW, "predicted": "remedied", "predicted_class": CONVENTION}, False),
        ({"status": "remedied", "class": SKEW, "predicted": "pass"}, False),
        ({"status": "error", "class": "missing_ffi", "predicted": "error", "predicted_class": "missing_ffi"}, True),
        ({"status": "pass", "predicted": None}, None),
        ({"status": "missing", "predicted": "pass"}, None),
    ],
)
def test_a_prediction_is_right_in_status_and_class_or_does_not_count(changes, right):
    assert atlas.prediction_held(row(**changes)) is right


def change(**changes):
    return [(c.what, c.before, c.after) for c in atlas.changes(of(row()), of(row(**changes)))]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, []),
        ({"seconds": {"training": 1.0}, "ended_at": "2027-01-01T00:00:00Z", "evidence": "other"}, []),
        ({"status": "error", "class": SKEW}, [("outcome", "pass", f"error ({SKEW})")]),
        (
            {"status": "error", "class": SKEW, "worst_score": None, "bit_exact": None},
            [("outcome", "pass", f"error ({SKEW})")],
        ),
        ({"remedy": "tensorflow==2.17.1"}, [("remedy", "none", "tensorflow==2.17.1")]),
        ({"bit_exact": True}, [("bit-exact", "no", "yes")]),
        ({"bit_exact": None}, [("bit-exact", "no", "not known")]),
        ({"worst_score": 18.3 * 1.9}, []),
        ({"worst_score": 18.3 * 2.1}, [("worst score", "18.3", "38.4")]),
        ({"worst_score": 18.3 / 2.1}, [("worst score", "18.3", "8.71")]),
        ({"worst_score": 0.0}, [("worst score", "18.3", "0")]),
        ({"worst_score": None}, [("worst score", "18.3", "none")]),
        ({"worst_score": math.nan}, [("worst score", "18.3", "nan")]),
        ({"worst_score": math.inf}, [("worst score", "18.3", "inf")]),
    ],
)
def test_a_change_is_found_and_noise_is_not(changes, found):
    assert change(**changes) == found


def sized(memory, artifact):
    """Footprints as a run leaves them, one of them without an artifact."""
    sizes = {"peak_memory_bytes": memory, "artifact_bytes": artifact}
    measured = [samples.footprint(**sizes), samples.footprint(runtime="jax", artifact_bytes=None)]
    return cells.row(samples.run(footprints=measured))["footprints"]


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (sized(1_490_000, 149_000), []),
        (sized(1_510_000, 100_000), [("memory of tf_xla", "1 MB", "1.51 MB")]),
        (sized(1_000_000 // 1.51, 100_000), [("memory of tf_xla", "1 MB", "0.662 MB")]),
        (sized(1_000_000, 151_000), [("artifact", "0.1 MB", "0.151 MB")]),
        ({}, []),
    ],
)
def test_memory_and_artifacts_that_differ_by_more_than_half_are_changes(after, found):
    before = of(row(footprints=sized(1_000_000, 100_000)))
    assert [(c.what, c.before, c.after) for c in atlas.changes(before, of(row(footprints=after)))] == found
    assert atlas.changes(of(row()), of(row(footprints=after))) == []


@pytest.mark.parametrize("same", [None, 0.0, math.inf, math.nan])
def test_the_same_score_is_no_change(same):
    assert atlas.changes(of(row(worst_score=same)), of(row(worst_score=same))) == []


def test_cells_new_and_gone_are_changes():
    found = atlas.changes(of(row("0.9.2")), of(row("0.10.2")))
    assert [(c.cell, c.what) for c in found] == [
        ("py312-jax0.9.2-tf2.21.0", "gone"),
        ("py312-jax0.10.2-tf2.21.0", "new"),
    ]


def test_rows_come_from_records():
    checks = [samples.check(probe="predict", score=3.0, bits_equal=True), samples.check(score=math.inf, status="fail")]
    [cell] = of(cells.row(samples.run(checks=checks))).cells
    assert (atlas.kind(cell), cell["class"], cell["worst_score"]) == ("broken", "numeric", math.inf)
    stopped = samples.run(checks=checks, stopped=records.Stopped("error", "resolver", "no common numpy"))
    assert atlas.kind(of(cells.row(stopped)).cells[0]) == "not-installable"
