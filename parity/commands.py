"""What the commands of `parity` do. Each imports what it needs, when it runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from parity import environment, records, storage
from parity.errors import NotComparableError, UsageError
from parity.handshake import Prediction, Reader, Writer, foresee

PYTEST_TO_EXIT = {0: 0, 1: 1, 2: 130, 3: 70, 4: 2, 5: 3}


def run(arguments: Namespace, further: list[str]) -> int:
    """Run the suite in this environment."""
    try:
        import pytest
    except ImportError:
        raise UsageError("parity run needs pytest. Install it: pip install 'parity[test,report]'") from None
    # A pytest configuration in the current folder is about another project.
    isolated = [
        "-c",
        os.devnull,
        "--rootdir",
        str(Path(__file__).parents[1]),
        "-p",
        "no:cacheprovider",
        "--no-header",
        "--tb=short",
    ]
    isolated += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    options = ["--pyargs", "parity.suites", f"--parity-out={arguments.out}"]
    for name in ("case", "runtime", "probe", "batch_size"):
        options += [f"--parity-{name.replace('_', '-')}={value}" for value in getattr(arguments, name)]
    if arguments.cell:
        options.append(f"--parity-cell={arguments.cell}")
    return PYTEST_TO_EXIT.get(int(pytest.main([*isolated, *options, *further])), 70)


def doctor(arguments: Namespace, further: list[str]) -> int:
    """Print versions, machine, handshake and outlook."""
    versions, machine = environment.versions(), environment.machine()
    for name, version in versions.items():
        print(f"{name:<18}{version or 'not installed'}")
    cpu = f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['instruction_sets'])}"
    print(f"{'python':<18}{machine['python']} on {machine['system']} {machine['architecture']}")
    print(f"{'processor':<18}{cpu}")
    print()
    said = _describe("parity.reader")
    reader = said if isinstance(said, str) else Reader(**said).filled(versions["tensorflow"])
    asked = [reader.stablehlo] if isinstance(reader, Reader) and reader.stablehlo else []
    wrote = _describe("parity.writer", arguments.case, *asked)
    print(f"JAX writes: {wrote if isinstance(wrote, str) else _said(wrote)}")
    print(f"TensorFlow reads up to: {reader if isinstance(reader, str) else _said(vars(reader))}")
    absent = [side for side, found in (("JAX", wrote), ("TensorFlow", reader)) if isinstance(found, str)]
    if isinstance(wrote, str) or isinstance(reader, str):
        raise NotComparableError(
            f"{' and '.join(absent)} cannot be asked. Expected both in this environment; install the pair that you "
            "want to check, such as: pip install 'parity[jax,tensorflow]'"
        )
    newer = wrote.pop("newer")
    prediction = foresee(Writer(**wrote), reader, newer)
    print()
    print(_outlook(prediction, versions["tensorflow"]))
    return {records.PASS: 0, None: 3}.get(prediction.status, 1)


def _outlook(prediction: Prediction, tensorflow: str | None) -> str:
    """The prediction in words, with the remedy as code."""
    begins = {
        records.PASS: "This pair works.",
        None: "Nothing can be foretold of this pair.",
        records.REMEDIED: "This pair breaks as exported by default, and works with a remedy.",
    }
    said = textwrap.fill(f"{begins.get(prediction.status, 'This pair breaks.')} {prediction.reason}", 80)
    if prediction.status != records.REMEDIED:
        return said
    return f"""{said}

Around everything that converts and saves:

    import parity.remedies

    with parity.remedies.readable_by("tensorflow=={tensorflow}"):
        ..."""


def _said(found: dict[str, Any]) -> str:
    stablehlo, convention = found["stablehlo"] or "it does not say", found["calling_convention"] or "it does not say"
    return f"StableHLO {stablehlo}, calling convention {convention}"


def _describe(module: str, *arguments: str) -> dict[str, Any] | str:
    """What a framework says of itself, asked in a process of its own, so that a crash of it is an answer as well."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=quiet, check=False
    )
    if done.returncode:
        found = re.search(r"^parity\.errors\.(?:Usage|Case)Error: (.*)", done.stderr, re.MULTILINE | re.DOTALL)
        if found:
            raise UsageError(found[1].strip())
        last = done.stderr.strip().splitlines()[-1:] or [f"its process ended with code {done.returncode}"]
        return f"no answer ({last[0]})"
    described: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return described


def export(arguments: Namespace, further: list[str]) -> int:
    """Train a case and write a bundle."""
    from parity.exporting import export_case

    sizes = tuple(arguments.batch_size) or ("1", "13", "256")
    export_case(arguments.case, sizes, arguments.bundle, arguments.readable_by)
    print(f"Bundle: {arguments.bundle}. Check it anywhere: parity verify {arguments.bundle}")
    return 0


def verify(arguments: Namespace, further: list[str]) -> int:
    """Replay a bundle in this TensorFlow."""
    from parity.verification import verify as verify_bundle

    if arguments.out is not None:
        from parity import report

        storage.output_folder(arguments.out)
        report.require()
    done = verify_bundle(arguments.bundle, arguments.out, arguments.cell, arguments.remedied)
    for check in done.all_checks():
        if check.status not in records.IN_ORDER:
            print(f"{check.status} {check.item} {check.leaf}: {check.message}")
    print(done.verdict())
    return 0 if done.in_order() else 1


def cell(arguments: Namespace, further: list[str]) -> int:
    """Make the records of one cell."""
    from parity import cells
    from parity.matrix.running import run_cell

    asked, limit = cells.Cell.parse(arguments.name), arguments.time_limit
    show = partial(print, end="", flush=True)
    runs = run_cell(asked, arguments.reports, further, limit, arguments.fresh, show)
    for run in runs:
        became = cells.outcome(run)
        why = ": ".join(filter(None, (became.failure, became.evidence)))
        print(f"{run.cell}: {became.status}" + (f", {why}" if why else ""))
        print("  " + ", ".join(f"{purpose} {seconds:.0f} s" for purpose, seconds in run.spent_s.items()))
    return 0 if runs and all(cells.outcome(run).status in records.IN_ORDER for run in runs) else 1


def matrix(arguments: Namespace, further: list[str]) -> int:
    """Run many cells, and write the atlas."""
    from parity.matrix import plan, scheduling

    here = Path.cwd()
    if arguments.jobs < 1:
        raise UsageError(f"--jobs {arguments.jobs}: expected 1 or more.")
    names = list(dict.fromkeys(arguments.cells)) or plan.declared(here, arguments.label)
    if arguments.list:
        print(json.dumps(scheduling.by_role(names)))
        return 0
    if arguments.scheduler:
        from parity.matrix import cluster

        cluster.run_there(arguments.scheduler, here, names, further, print)
    else:
        scheduling.run_here(here, names, further, arguments.jobs, print)
    arguments.show_only = bool(arguments.cells)  # a few cells are no atlas
    return _join(here / "reports", {name: plan.why_absent(name) for name in names}, arguments)


def atlas(arguments: Namespace, further: list[str]) -> int:
    """Join the records of many cells."""
    planned = {}
    if arguments.planned:
        from parity.matrix import plan

        planned = {name: plan.why_absent(name) for name in plan.declared(Path.cwd(), arguments.planned)}
    if not arguments.reports.is_dir():
        raise UsageError(f"{arguments.reports} is no folder. Expected the folder of the records that cells leave.")
    return _join(arguments.reports, planned, arguments)


def _join(reports: Path, planned: dict[str, str], arguments: Namespace) -> int:
    from parity import atlas as atlases
    from parity import readers
    from parity.matrix import joining

    out = getattr(arguments, "out", None) or reports
    joined = joining.join(reports, planned, out)
    print(joining.table(joined.atlas, shutil.get_terminal_size().columns))
    print(textwrap.fill(atlases.verdict(joined.atlas), 80))
    if getattr(arguments, "write_readers", False):
        storage.write_atomically(readers.TABLE, readers.dumps({**readers.table(), **joined.limits}))
        readers.table.cache_clear()
    if not getattr(arguments, "show_only", False):
        print(f"Atlas: {joining.write(joined, out, getattr(arguments, 'readme', None))}")
    problems = joined.problems() if getattr(arguments, "full", False) else []
    for problem in problems:
        print(f"parity: {problem}", file=sys.stderr)
    return 1 if problems or not atlases.in_order(joined.atlas) else 0


def report(arguments: Namespace, further: list[str]) -> int:
    """Write the HTML page of one or more runs."""
    from parity import report as pages

    runs = [records.read(path) for path in arguments.runs]
    first = arguments.runs[0]
    out = arguments.out or (first if first.is_dir() else first.parent) / "index.html"
    if out.is_dir():
        raise UsageError(f"{out} is a folder; --out expects a file, such as {out / 'index.html'}.")
    storage.output_folder(out.parent)
    print(f"Report: {pages.write(runs, out)}")
    return 0
