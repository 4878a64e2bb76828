"""README and chapters: code runs, commands parse, links resolve, and published figures are those that were measured."""

import argparse
import importlib
import importlib.util
import itertools
import re
import shlex
import subprocess
import sys
from collections import Counter
from functools import cache
from urllib.parse import unquote, urlsplit

import pytest

import parity
from parity import records
from parity.cli import main as cli
from parity.core import failures
from parity.records import atlas as atlases
from parity.records import cost as costs
from parity.records import published, timing_calibration
from parity.records.cells import Cell
from parity.report import atlas_text
from parity.scoring import rules
from parity.tests.support.documents import CHAPTERS, DOCUMENTS, README, Document, tracked
from parity.tests.support.paths import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

README_BYTES = 8192
LANGUAGES = {"html", "python", "sh", "text", "toml", "yaml"}
PROGRAMS = {"parity", "tox", "pytest", "python", "python3", "pip", "dask"}
FRAMEWORKS = ("jax", "tensorflow")
CURRENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
"""Documents without the history, which names commands that are gone."""
PRIVATE = {"handover.md": {"parity.handover"}}
"""Modules outside the public API that a chapter may import."""
COMMANDS = [name for names in cli.COMMANDS.values() for name in names]
VOCABULARY = {
    "answer", "artifact", "atlas", "baseline", "budget", "bundle", "case", "cell", "check", "class", "corner", "gate",
    "hand-over", "hand-over cost", "hand-over method", "held-out member", "item", "kink", "known issue", "leaf",
    "level", "limit", "long hand-over", "matrix", "mode", "model", "oracle", "plan", "policy", "power", "prediction",
    "probe", "record", "reference trajectory", "relation", "remedy", "run", "runtime", "score", "seeded defect", "side",
    "stage", "status", "subject", "timing calibration", "variant", "verdict",
}  # fmt: skip
"""The words that the code uses."""


def documents(paths=DOCUMENTS):
    return pytest.mark.parametrize("document", [Document(path) for path in paths], ids=name)


def name(document):
    return "/".join(document.path.parts[-2:])


def of_text(tmp_path, text, name="page.md"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return Document(tmp_path / name)


# --- code blocks ------------------------------------------------------------------------------------------------------


def test_the_readme_is_short():
    assert len(README.read_bytes()) <= README_BYTES


@documents()
def test_every_block_names_a_language_that_is_checked(document):
    assert document.languages() <= LANGUAGES


@documents()
def test_python_blocks_compile_and_import_the_public_api(document):
    for block in document.blocks("python"):
        compile(block.text, document.path.name, "exec")
        assert private_imports(block.text) <= PRIVATE.get(document.path.name, set())


def private_imports(text):
    """Return the modules and names of `parity` in import statements that are not public."""
    found = set()
    for module, names in re.findall(r"^\s*from (parity[\w.]*) import ([\w, ]+)", text, re.MULTILINE):
        public = module == "parity" and {name.strip() for name in names.split(",")} <= set(parity.__all__)
        found |= set() if public else {module}
    return found | set(re.findall(r"^\s*import (parity\.[\w.]+)", text, re.MULTILINE))


@documents()
def test_python_blocks_marked_run_run_without_a_framework(document):
    for block in document.blocks("python"):
        if "run" in block.flags:
            done = run_python(block.text)
            assert done.returncode == 0, done.stderr


def run_python(text):
    """Run a block in a process of its own, which fails if it imports a framework."""
    check = f"\nimport sys\nassert not set(sys.modules) & set({FRAMEWORKS!r})\n"
    return subprocess.run([sys.executable, "-c", text + check], capture_output=True, text=True, timeout=60, check=False)


def test_at_least_two_python_blocks_of_the_documents_are_executed():
    blocks = [block for path in DOCUMENTS for block in Document(path).blocks("python")]
    assert len([block for block in blocks if "run" in block.flags]) >= 2


@documents()
def test_toml_blocks_parse(document):
    for block in document.blocks("toml"):
        assert tomllib.loads(block.text)


def test_a_planted_defect_in_python_is_found(tmp_path):
    assert private_imports("from parity import Case, Nothing") == {"parity"}
    assert private_imports("import parity.cases.case\nfrom parity.gate import judge") == {
        "parity.cases.case",
        "parity.gate",
    }
    assert run_python("from parity import Case\nCase(nothing=1)").returncode == 1
    assert run_python("import jax").returncode == 1
    [block] = of_text(tmp_path, "```python run\nx = 1\n```\n").blocks("python")
    assert (block.flags, block.text) == (("run",), "x = 1\n")


# --- commands ---------------------------------------------------------------------------------------------------------


@documents()
def test_commands_in_blocks_parse(document, pytestconfig):
    lines = [line for block in document.blocks("sh") for line in block.text.splitlines()]
    assert [problem for line in lines for problem in problems(line, pytestconfig)] == []


@documents(CURRENT)
def test_commands_in_the_text_parse(document, pytestconfig):
    found = []
    for code in document.code():
        if re.match(r"parity [a-z]|tox (run|-)|python -m parity", code):
            bare = code.startswith("parity ") and " -" not in code
            found += problems(f"{code} --help" if bare else code, pytestconfig)
    assert found == []


def test_the_readme_has_every_command():
    named = [row[0].strip("`").removeprefix("parity ") for row in Document(README).table("The commands")]
    assert sorted(named) == sorted(COMMANDS)


def problems(line, config):
    """Return what is wrong in a line of shell, as one text for each command that cannot be run."""
    found = []
    for command in re.split(r"\s*&&\s*", line.partition("  #")[0].removeprefix("$ ").strip()):
        words = [word for word in shlex.split(command, comments=True) if not re.fullmatch(r"[A-Z_]+=.*", word)]
        if words:
            program = words[0].rpartition("/")[2]
            if program not in PROGRAMS:
                found.append(f"{command}: unknown program")
            elif CHECKS.get(program) and (why := CHECKS[program](words[1:], config)):
                found.append(f"{command}: {why}")
    return found


def parity_problem(words, config):
    """Return why `parity` refuses the words, or None; arguments of pytest must be options of pytest."""
    try:
        arguments, further = cli.parser().parse_known_args(words)
        if arguments.command == "study":
            study = importlib.import_module(f"parity.studies.{arguments.study.replace('-', '_')}")
            nested = argparse.ArgumentParser()
            study.add(nested)
            nested.parse_args(further + arguments.options)
            return None
        if further and arguments.command not in cli.ACCEPTS_FURTHER:
            return f"unknown {further}"
        if arguments.command == "matrix":
            _, further = cli.parser().parse_known_args(["cell", "py312-tf2.21.0-verify", *further])
        if further and arguments.command != "run":
            _, further = cli.parser().parse_known_args(["run", "--out=x", *further])
    except SystemExit as end:
        return None if end.code == 0 else "refused by its parser"
    return pytest_problem(further, config)


def pytest_problem(words, config):
    for word in words:
        if word.startswith("-"):
            try:
                config.getoption(word.partition("=")[0])
            except ValueError:
                return f"pytest has no option {word}"
        elif "/" in word and not (ROOT / word).exists():
            return f"{word} does not exist"
    return None


def tox_problem(words, config):
    """Return the first environment or label that tox.ini does not have."""
    names, labels = declared()
    for option, value in itertools.pairwise(words):
        if option == "-e" and value not in names and not is_cell(value):
            return f"no environment {value}"
        if option == "-m" and value not in labels:
            return f"no label {value}"
    return None


def python_problem(words, config):
    if words[:1] == ["-m"] and words[1].startswith("parity"):
        return None if importlib.util.find_spec(words[1]) else f"no module {words[1]}"
    return None


def pip_problem(words, config):
    """Return the first extra of parity, or dependency group, that pyproject.toml does not have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = {name for word in words if (found := re.search(r"\[(.+)\]$", word)) for name in found[1].split(",")}
    groups = {value for option, value in itertools.pairwise(words) if option == "--group"}
    unknown = (extras - set(project["project"]["optional-dependencies"])) | (groups - set(project["dependency-groups"]))
    return f"unknown {sorted(unknown)}" if unknown else None


CHECKS = {
    "parity": parity_problem,
    "pytest": pytest_problem,
    "tox": tox_problem,
    "python": python_problem,
    "python3": python_problem,
    "pip": pip_problem,
}


@cache
def declared():
    """Return the environments and the labels of tox.ini."""
    command = [sys.executable, "-m", "tox", "list", "--no-desc", "-q"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    labels = re.findall(r"^labels = (.+)$", (ROOT / "tox.ini").read_text(encoding="utf-8"), re.MULTILINE)
    return set(listed), set(labels)


def is_cell(name):
    try:
        return bool(Cell.parse(name))
    except parity.ParityError:
        return False


@pytest.mark.parametrize(
    "line",
    [
        "parity upgrade --form x",
        "parity baseline RUN",
        "parity run --out x --nothing",
        "parity bisect jax --good 1 --bad 2 --with x --probee=predict",
        "parity study faults --nothing",
        "parity study nothing",
        "parity nothing --help",
        "tox run -e nothing",
        "tox run-parallel -m nothing",
        "pytest --nothing",
        "pytest parity/tests/nothing",
        "python -m parity.nothing",
        "pip install '.[nothing]'",
        "cd x && nothing",
    ],
)
def test_a_planted_wrong_command_is_found(line, pytestconfig):
    assert problems(line, pytestconfig)


# --- links ------------------------------------------------------------------------------------------------------------


@documents()
def test_links_resolve(document):
    assert dead(document, tracked()) == []


def dead(document, known=None):
    """Return the relative links of a document that lead to no file, or to no heading of one.

    Args:
        document: whose links.
        known: the files that users have; None for every file that is there.
    """
    found = []
    for link in document.links():
        parts = urlsplit(link)
        if parts.scheme:
            continue
        path = (document.path.parent / unquote(parts.path)).resolve() if parts.path else document.path
        anchored = parts.fragment and path.suffix == ".md"
        absent = not path.exists() or (known is not None and path not in known)
        if absent or (anchored and parts.fragment not in Document(path).anchors()):
            found.append(link)
    return found


def test_a_planted_dead_link_is_found(tmp_path):
    of_text(tmp_path, "# A heading, here\n", "other.md")
    links = ["other.md", "other.md#a-heading-here", "#own", "other.md#none", "none.md", "#none", "https://x.invalid/y"]
    page = of_text(tmp_path, "# Own\n" + " ".join(f"[x]({link})" for link in links))
    assert dead(page) == ["other.md#none", "none.md", "#none"]
    assert dead(page, {page.path}) == ["other.md", "other.md#a-heading-here", "other.md#none", "none.md", "#none"]


def test_the_readme_links_to_every_chapter():
    linked = {(ROOT / link).resolve() for link in Document(README).links()}
    assert linked >= {path.resolve() for path in CHAPTERS.values()}


# --- words ------------------------------------------------------------------------------------------------------------


def test_the_glossary_has_every_word_once_in_order():
    words = [row[0] for row in Document(CHAPTERS["glossary"]).table("Glossary")]
    assert set(words) >= VOCABULARY
    assert words == sorted(set(words), key=lambda word: word.replace("-", " "))


@pytest.mark.parametrize(
    ("chapter", "heading", "known"),
    [
        ("records", "Statuses", records.STATUSES),
        ("records", "Modes", records.MODES),
        ("compatibility", "Classes of failure", failures.CLASSES),
    ],
)
def test_tables_of_names_are_complete(chapter, heading, known):
    assert sorted(row[0].strip("`") for row in Document(CHAPTERS[chapter]).table(heading)) == sorted(known)


def test_statuses_that_are_in_order_are_said_to_be():
    rows = Document(CHAPTERS["records"]).table("Statuses")
    assert {row[0].strip("`") for row in rows if row[2] == "yes"} == set(records.IN_ORDER)


# --- published figures ------------------------------------------------------------------------------------------------


def figures(chapter, heading):
    """Return the second column of a table by the first, links in the first column shown by their text."""
    rows = Document(CHAPTERS[chapter]).table(heading)
    return {re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", row[0]): row[1] for row in rows}


def test_the_atlas_is_the_one_that_was_measured():
    text = CHAPTERS["compatibility"].read_text(encoding="utf-8")
    begin, end = atlas_text.MARKERS
    measured = atlases.read(ROOT / "reports" / "atlas.json")
    assert text.partition(begin)[2].partition(end)[0].strip() == atlas_text.markdown(measured).strip()


def test_the_readme_counts_the_pairs_of_the_atlas():
    cells = atlases.read(ROOT / "reports" / "atlas.json").cells
    text = README.read_text(encoding="utf-8")
    for mode, line in (("joint", "Pairs in one environment"), ("split", "Pairs in separate environments")):
        [found] = re.findall(rf"^{line}.*", text, re.MULTILINE)
        counts = Counter(atlases.kind(row) for row in cells if row["mode"] == mode)
        assert sorted(map(int, re.findall(r"\b\d+\b", found))) == sorted([counts.total(), *counts.values()])
    readers = [row for row in cells if row["mode"] == "fleet"]
    assert {atlases.kind(row) for row in readers} == {atlases.AGREES}
    assert f"all {len(readers)} TensorFlow releases" in text


def test_the_faults_are_those_that_were_planted():
    study = published.load(published.FAULTS)
    own = [row["verdict"] for row in study["faults"] if row["group"] == "harness"]
    assert figures("report", "Seeded faults") == {
        "planted": str(len(study["faults"])),
        "caught": str(study["counts"]["caught"]),
        "below the published power": str(study["counts"]["below power"]),
        "not caught": str(study["counts"]["not caught"]),
        "in parity itself, planted": str(len(own)),
        "in parity itself, caught": str(own.count("caught")),
    }


def test_the_false_alarms_are_those_that_were_measured():
    study = published.load(published.FALSE_ALARMS)
    held_out = study["held_out"]
    assert figures("report", "False alarms") == {
        "pairs": str(len(study["pairs"])),
        "cases": str(len(study["cases"])),
        "trainings": str(sum(pair["trainings"] for pair in study["pairs"])),
        "checks": f"{study['checks']:,}",
        "false alarms": str(len(study["false_alarms"])),
        "rate of false alarms, at most (95 %)": f"{study['rate_at_most']:.1g}",
        "highest score": f"{study['highest']['score']:g}",
        "the limit of its probe": f"{study['limits'][study['highest']['probe']]:g}",
        "checks that passed at a kink": str(len(study["kinks"])),
        "trainings of the other half": str(held_out["trainings"]),
        "of them over limits from the first half": str(held_out["alarmed"]),
    }


def test_the_limits_are_those_that_follow_from_the_study():
    study = published.load(published.FALSE_ALARMS)
    rows = Document(CHAPTERS["scoring"]).table("Limits")
    assert {probe: float(limit) for probe, limit, *_ in rows} == rules.LIMITS
    for probe, _, *cells in rows:
        for size, highest, catches in zip((1, 13, 256), cells[::2], cells[1::2], strict=True):
            scores = [
                row["highest"]
                for row in study["scores"]
                if (row["probe"], row["batch_size"]) == (probe, size) and row["runtime"] != "jax"
            ]
            [power] = [row for row in study["power"] if (row["probe"], row["batch_size"]) == (probe, size)]
            assert float(highest) == pytest.approx(max(scores), rel=5e-3), (probe, size)
            assert float(catches) == pytest.approx(float(power["in_best_seen"]), rel=5e-2), (probe, size)


def test_the_timing_calibration_is_the_one_that_was_measured():
    study = timing_calibration.of(published.load(published.TIMING_CALIBRATION))
    same = [series for series in study.series if series.slowdown == 1]
    slower = [series for series in study.series if series.slowdown != 1]

    def counted(name, series, of=0):
        trials = sum(len(one.trials) for one in series)
        return f"{abs(of * trials - sum(getattr(one, name) for one in series))} of {trials}"

    def widest(loaded):
        return f"{max(series.widest for series in same if series.loaded == loaded):.1%}"

    assert Document(CHAPTERS["latency"]).table("Timing calibration") == [
        ["false alarms: the step against itself", counted("held", same, of=1), counted("plain", same)],
        ["found: slower by 10 %", counted("held", slower), counted("plain", slower)],
        ["widest interval, to each side", widest(False), ""],
        ["widest interval beside a busy process", widest(True), ""],
    ]


def test_the_cost_of_a_run_is_the_one_that_was_measured():
    study = costs.of(published.load(published.COST))
    text = CHAPTERS["your-model"].read_text(encoding="utf-8")
    begin, end = costs.MARKERS
    assert text.partition(begin)[2].partition(end)[0].strip() == costs.markdown(study).strip()
    promised = f"at most {costs.CPU_RATIO:g} times the CPU and {costs.MEMORY_RATIO:g} times the memory"
    assert promised in " ".join(text.split())
    assert {(size.batch_size, study.level) for size in study.sizes} == {(13, records.STANDARD)}


def test_the_hand_over_costs_are_those_that_were_measured():
    grouped = {}
    for cost in published.run(published.HANDOVER).handover_costs:
        grouped.setdefault((cost.method, f"{cost.step} steps of {cost.batch_size}"), []).append(cost)
    rows = Document(CHAPTERS["handover"]).table("What it costs")
    assert {(row[0], row[1]) for row in rows} == set(grouped)
    for method, after, seeds, rise, above, loss, accuracy in rows:
        costs = grouped[method, after]
        assert seeds == str(len(costs))
        if method != "restarted":
            assert all(cost.within for cost in costs)
            assert rise == f"within budget at each of {min(cost.steps for cost in costs)} steps"
        else:
            worst, least = max(costs, key=lambda cost: cost.height), min(cost.height for cost in costs)
            heights = f"{least:.1%} to {worst.height:.1%}" if least < worst.height else f"{worst.height:.1%}"
            assert rise == f"{heights}, {worst.after} steps after"
            assert above == f"{max(cost.recovered_after for cost in costs)} steps at most"
            ends = sorted({f"{cost.end:.2f}" for cost in costs})
            assert loss == " to ".join(dict.fromkeys((ends[0], ends[-1])))
        apart = [abs(c.accuracy - c.accuracy_alone) for c in costs if c.accuracy is not None]
        assert accuracy == ((f"{max(apart):.3f} at most" if max(apart) else "0") if apart else "")
