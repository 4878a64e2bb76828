"""A verdict as text: for a terminal, a summary, a test report, annotations and programs; the same sentences in each."""

from __future__ import annotations

import textwrap
from typing import Any

from parity.core.text import one_line, plural
from parity.gate.side import Side
from parity.gate.text import markdown, workflow_command
from parity.gate.verdict import BLOCK, LEVELS, NOTE, WARN, Group, Verdict
from parity.records.numbers import rows_text

TITLES = {BLOCK: "Blocks", WARN: "Warns", NOTE: "Notes"}
SHOWN = 20
"""Groups of a level in the terminal."""
ANNOTATIONS = 10
"""What GitHub shows of a kind of annotation in one step."""
MARKDOWN_BYTES = 1 << 20
"""The most that GitHub takes as the summary of a step."""


def terminal(verdict: Verdict, width: int = 80) -> str:
    """Return the verdict in at most `width` columns."""
    lines = textwrap.wrap(verdict.sentence, width)
    for level in LEVELS:
        groups = [group for group in verdict.groups if group.level == level]
        if groups:
            lines += ["", f"{TITLES[level]} ({verdict.count(level):,}):"]
        for group in groups[:SHOWN]:
            lines += textwrap.wrap(group.sentence, width, initial_indent="- ", subsequent_indent="  ")
        if left := groups[SHOWN:]:
            lines.append(f"- and {_cut(left)}")
    compared = f"{plural(verdict.compared, 'check')} of {verdict.baseline} compared with {verdict.candidate}."
    return "\n".join([*lines, "", *textwrap.wrap(compared, width)])


def summary(verdict: Verdict) -> str:
    """Return the verdict as Markdown of less than a mebibyte."""
    tail = f"\n{plural(verdict.compared, 'check')} of {verdict.baseline} compared with {verdict.candidate}.\n"
    parts = [f"**{markdown(verdict.sentence)}**\n"]
    size, left = MARKDOWN_BYTES - 1024 - len(parts[0].encode()), []
    for level in LEVELS:
        groups = [group for group in verdict.groups if group.level == level]
        if groups:
            parts.append(f"\n### {TITLES[level]} ({verdict.count(level):,})\n\n")
        for group in groups:
            line = f"- {markdown(group.sentence)}\n"
            size -= len(line.encode())
            if size < 0:
                left.append(group)
            else:
                parts.append(line)
    if left:
        parts.append(f"\n{_cut(left)}\n")
    return "".join([*parts, markdown(tail)])


def github(verdict: Verdict) -> str:
    """Return the verdict as workflow commands of GitHub: errors, warnings and notices."""
    names = {BLOCK: "error", WARN: "warning", NOTE: "notice"}
    first = "error" if verdict.exit_code else "notice"
    lines = [workflow_command(first, f"parity gate: {verdict.decision}", verdict.sentence)]
    for level, name in names.items():
        groups = [group for group in verdict.groups if group.level == level]
        room = ANNOTATIONS - (name == first)
        shown = groups if len(groups) <= room else groups[: room - 1]
        lines += [workflow_command(name, f"parity gate: {group.kind}", group.sentence) for group in shown]
        if left := groups[len(shown) :]:
            lines.append(workflow_command(name, "parity gate", _cut(left)))
    return "\n".join(lines)


def junit(verdict: Verdict) -> str:
    """Return the verdict as JUnit XML: a test case for the decision, and one for each group; a block is a failure."""
    from xml.etree import ElementTree as ET

    blocks = [group for group in verdict.groups if group.level == BLOCK]
    counts = {"tests": str(len(verdict.groups) + 1), "failures": str(len(blocks) + verdict.exit_code), "errors": "0"}
    top = ET.Element("testsuites", {"name": "parity gate", **counts})
    suite = ET.SubElement(top, "testsuite", {"name": "parity gate", **counts, "skipped": "0", "time": "0"})
    for number, group in enumerate([None, *verdict.groups]):
        level, kind = (group.level, group.kind) if group else ("verdict", verdict.decision)
        where = " on ".join(one_line(name) for name in (group.case, group.runtime) if name) if group else ""
        sentence = group.sentence if group else verdict.sentence
        name = f"{number}: {kind}{f' of {where}' if where else ''}"
        case = ET.SubElement(suite, "testcase", {"classname": f"parity.gate.{level}", "name": name, "time": "0"})
        if level == BLOCK or (group is None and verdict.exit_code):
            ET.SubElement(case, "failure", {"message": sentence, "type": kind}).text = sentence
        else:
            ET.SubElement(case, "system-out").text = sentence
    return "<?xml version='1.0' encoding='utf-8'?>\n" + ET.tostring(top, encoding="unicode") + "\n"


def as_json(verdict: Verdict, baseline: Side, candidate: Side) -> str:
    """Everything as JSON: names as the records have them, a finding a line."""

    def fields(one: Any, *names: str) -> dict[str, Any]:
        return {name: getattr(one, name) for name in names}

    return rows_text({
        "schema": 1, "kind": "verdict", "decision": verdict.decision, "exit_code": verdict.exit_code,
        "sentence": verdict.sentence, "compared": verdict.compared,
        "counts": {level: verdict.count(level) for level in LEVELS},
        "baseline": fields(baseline, "cell", "level", "mode", "versions"),
        "candidate": fields(candidate, "cell", "level", "mode", "versions"),
        "groups": [fields(g, "level", "kind", "count", "case", "runtime", "sentence") for g in verdict.groups],
        "findings": [
            fields(f, "level", "kind", "item", "leaf", "case", "probe", "runtime", "sentence")
            for f in verdict.findings
        ],
    })  # fmt: skip


def _cut(groups: list[Group]) -> str:
    count = sum(group.count for group in groups)
    return f"{plural(count, 'more finding')} cut here; --json FILE has all of them."
