"""A run in the terminal: a failed item, the summary at the end of a run, and `parity show`; without colour."""

from __future__ import annotations

import io
import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from parity.core.ledger import OWN_CODE
from parity.core.text import one_line, plural
from parity.records import IN_ORDER, NO_DEVICE, PASS, Check, Run, Timing
from parity.records import atlas as atlases
from parity.report import advice, atlas_text, facts, handover
from parity.report.numbers import count, duration, exact, number, times

FEW = 3
"""Items that are named beside the cause for which they failed."""
WORST = 5
"""Leaves that `show` lists."""
NARROWEST = 60
BRIEF = 25
"""Lines of a summary of a run in order, with the two that pytest writes before it."""
CROWDED = 8
"""A table of so many columns has one space between them, and not two."""


@dataclass(frozen=True)
class _Grid:
    """A table of texts; one wider than the terminal is shown as several, each with the first `keys` columns.

    No word is broken, unless the first columns and one more are wider than the terminal.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    keys: int = 1

    def tables(self, console: Console) -> list[Table]:
        """Return as few tables as fit `console`, with equally many columns in each."""
        keys, others = range(self.keys), range(self.keys, len(self.columns))
        parts: list[list[int]] = []
        for tables in range(1, len(others) + 1):
            size = math.ceil(len(others) / tables)
            parts = [[*keys, *others[first : first + size]] for first in range(0, len(others), size)]
            if all(self._width(part, console) <= console.width for part in parts):
                break
        return [self._table(part) for part in parts]

    def _width(self, columns: Sequence[int], console: Console) -> int:
        return console.measure(self._table(columns), options=console.options.update(width=10**6)).maximum

    def _table(self, columns: Sequence[int]) -> Table:
        padding = (0, int(len(self.columns) < CROWDED), 0, 0)
        table = Table(box=box.SIMPLE_HEAD, padding=padding, show_edge=False, pad_edge=False)
        for nth in columns:
            justify = "left" if nth < self.keys else "right"
            table.add_column(Text(self.columns[nth]), justify=justify, overflow="fold")  # type: ignore[arg-type]
        for row in self.rows:
            if any(row[nth] for nth in columns[self.keys :]):
                table.add_row(*(Text(one_line(row[nth])) for nth in columns))
        return table


_Part = RenderableType | _Grid


def failure(bad: list[Check], total: int) -> str:
    """Return why a test failed: of each leaf the score and the worst element; and the command that repeats it.

    Args:
        bad: the checks of one plan item that are not in order; at least one.
        total: how many checks it has.
    """
    item = bad[0]
    devices = f"JAX on {item.jax_device}"
    devices += "" if item.tf_device == NO_DEVICE else f", TensorFlow on {item.tf_device}"
    lines = [
        f"{item.probe} of {item.case} on {item.runtime} at batch size {facts.with_sizes(str(item.batch_size), item)}",
        f"{devices}: {len(bad):,} of {plural(total, 'check')} not in order",
    ]
    for check in bad:
        lines += ["", f"  {facts.leaf(check)}: {check.message or check.status}"]
        if check.score is not None:
            own = "" if check.jax_score is None else f"; JAX's own {number(check.jax_score)}"
            lines.append(f"    score {number(check.score)}, limit {exact(check.limit)}{own}")
        if check.worst is not None:
            worst = check.worst
            lines.append(f"    worst element {worst.index}: {item.runtime} has {worst.value:.9g},")
            known = f"JAX {worst.jax:.9g}, the oracle {worst.oracle:.9g}"
            lines.append(f"    {f'expected {worst.oracle:.9g}' if check.jax_score is None else known}")
    return "\n".join([*lines, "", f"repeat: {bad[0].repeat}"])


def cause(text: str, items: Sequence[str], repeat: str = "", verbose: bool = False) -> list[str]:
    """Return why items failed, once for all of them: how many and the cause, the items, and a command to copy.

    Args:
        text: the cause and what helps, in one line.
        items: their names; the first `FEW` are shown.
        repeat: the command that repeats the first of them.
        verbose: whether all items are shown, each on a line.
    """
    listed = [f"  {one_line(name)}" for name in items]
    if not verbose:
        rest = f", and {len(items) - FEW:,} more: -v lists them" if len(items) > FEW else ""
        listed = [f"  {', '.join(map(one_line, items[:FEW]))}{rest}"]
    repeated = facts.code_lines(f"repeat: {repeat}") if repeat else []
    return [f"{plural(len(items), 'check')}: {facts.plain(text)}", *listed, *repeated]


def failures(run: Run) -> list[str]:
    """Return the lines of `failure` for each item that is not in order; items with one message alike are counted."""
    lines: list[str] = []
    seen: Counter[tuple[str, ...]] = Counter()
    by_item: dict[str, list[Check]] = {}
    for check in run.checks:
        by_item.setdefault(check.item, []).append(check)
    for found in by_item.values():
        bad = [check for check in found if check.status not in IN_ORDER]
        alike = tuple(f"{check.status} {check.message}" for check in bad if check.score is None)
        if bad and not (len(alike) == len(bad) and seen[alike]):
            lines += ["", *facts.code_lines(failure(bad, len(found)))]  # the command is to be copied
        seen[alike] += bool(bad)
    repeated = sum(count - 1 for alike, count in seen.items() if alike and count > 1)
    return [*lines, *(["", f"{plural(repeated, 'further item')} failed alike."] if repeated else []), ""][1:]


def summary(run: Run, width: int, report: str = "") -> list[str]:
    """Return the summary at the end of a run, at most `width` columns wide, and the line about its report."""
    lines = [*_artifacts(run), *run.environment.get("left_out", ()), *_notes(run)]
    parts = [
        *_matrix(run),
        *_latency(run),
        Text(),
        *map(_text, lines),
        _text(_spent(run.spent_s)),
        *map(_text, [] if run.in_order() else map(advice.remedy, run.remedies)),  # or else the verdict says it
        _text(run.verdict()),
    ]
    shown = _rendered(parts, width)
    return [*shown, report] if report else shown


def _artifacts(run: Run) -> list[str]:
    """Return what answers what in the artifacts of users; which variable holds which leaf is in the record and page."""
    shown = run.environment.get("artifacts", {}).items()
    return [
        f"{case}: {asked} is {answer}" for case, found in shown for asked, answer in found.items()
        if not asked.startswith("state ")
    ]  # fmt: skip


def brief(run: Run, width: int, report: str = "") -> list[str]:
    """Return the summary at the end of a run that is in order: at most `BRIEF` lines, and the report's line last.

    What does not fit is in the report and in `summary`.
    """
    texts = [*_artifacts(run), *run.environment.get("left_out", ()), *_notes(run)]
    if run.timings:
        texts.append(f"{plural(len(run.timings), 'latency', 'latencies')} in the report")
    tail = ["", *_rendered([_text(_spent(run.spent_s)), _text(run.verdict())], width), *filter(None, [report])]
    room = BRIEF - 2 - len(tail)
    # Above the first runtime are a title and two lines; below the last a blank line and one note, where there are any.
    grid = _by_runtime(run.all_checks(), max(1, room - 3 - 2 * bool(texts)))
    head = [
        *_rendered([Text("Worst score on each runtime; 1 is as accurate as JAX"), grid], width),
        *[""][: len(texts)],
    ]
    return [*head, *_fitting([_bullet(text, width) for text in texts], room - len(head)), *tail]


def _bullet(text: str, width: int) -> list[str]:
    return [f"{'- ' if nth == 0 else '  '}{line}" for nth, line in enumerate(_rendered([_text(text)], width - 2))]


def _fitting(notes: Sequence[list[str]], room: int) -> list[str]:
    """Return the lines of the first notes that fit `room` lines, and how many notes there are besides."""
    shown: list[str] = []
    for done, note in enumerate(notes):
        if len(shown) + len(note) + (done + 1 < len(notes)) > room:
            return [*shown, f"- {plural(len(notes) - done, 'further note')}: -v shows them"]
        shown += note
    return shown


def _notes(run: Run) -> list[str]:
    return [*_powers(run), *handover.costs(run)]


def _by_runtime(checks: Sequence[Check], most: int) -> _Grid:
    """Return a row for each runtime, at most `most`: how many checks by status, and the worst score with its place."""
    rows = []
    for name in facts.runtimes(checks):
        found = [check for check in checks if check.runtime == name]
        others = Counter(check.status for check in found if check.status != PASS)
        counted = ", ".join(f"{count(n)} {status}" for status, n in others.items())
        worst = min(found, key=facts.severity)
        score = "" if worst.score is None else number(worst.score)
        place = f"{facts.row_name(worst)}, {facts.check_size(worst)}" if score else ""
        rows.append((name, count(len(found) - others.total()), counted, score, place))
    if len(rows) > most:
        rows[most - 1 :] = [(f"and {len(rows) - most + 1} more", "", "", "", "see -v")]
    return _Grid(("runtime", "pass", "other", "worst", "in"), rows)


def show(run: Run, width: int = 80) -> str:
    """Return the verdict, what unblocks the run, its matrix, its worst leaves, and latencies if there are any."""
    parts = [_text(f"{'✓' if run.in_order() else '✗'} {run.verdict()}")]
    lines = _rendered(parts, width)
    for each in advice.blocking(run):
        lines += ["", *_rendered([_text(each.text)], width)]
        lines += [f"    {line}" for line in facts.code_lines(each.code)]  # never wrapped, because it is to be copied
    lines += [*_rendered(_matrix(run), width), *_worst(run.all_checks(), max(width, NARROWEST))]
    return "\n".join([*lines, *_rendered(_latency(run), width)])


def atlas(made: atlases.Atlas, width: int) -> str:
    """Return a line per cell: its outcome, worst score and seconds."""
    rows = [
        (row["cell"], atlas_text.sign(row), atlas_text.outcome(row), atlases.score(row["worst_score"]),
         f"{sum(row['seconds'].values()):.0f}")
        for row in made.cells
    ]  # fmt: skip
    return "\n".join(_rendered([_Grid(("cell", "", "outcome", "worst score", "seconds"), rows, keys=3)], width))


def _rendered(parts: Iterable[_Part], width: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=max(width, NARROWEST), color_system=None, legacy_windows=False)
    for part in parts:
        if not isinstance(part, _Grid):
            console.print(part)
            continue
        for nth, table in enumerate(part.tables(console)):
            console.print(*([""] if nth else []), table, sep="\n")
    return [line.rstrip() for line in out.getvalue().rstrip().splitlines()]


def _text(text: str) -> Text:
    """Return text of a record: one line, and no markup of rich."""
    return Text(facts.plain(text))


def _section(title: str, grid: _Grid) -> list[_Part]:
    return [Text(), Text(title), grid] if grid.rows else []


def _matrix(run: Run) -> list[_Part]:
    title = "Worst score of each test on each runtime; 1 is as accurate as JAX"
    return _section(title, _scores(run, run.all_checks()))


def _latency(run: Run) -> list[_Part]:
    title = "Latency at the largest batch size; ~ where the interval did not become narrow"
    return _section(title, _timings(run.timings))


def _scores(run: Run, checks: Sequence[Check]) -> _Grid:
    """Return a row for each test, and one for all powers: the worst score by runtime, the limit, how many checks."""
    names = facts.runtimes([*run.plan, *checks])
    by_label: dict[str, list[Check]] = {}
    for row in facts.matrix(checks):
        by_label.setdefault(row.test if row.test == facts.POWER else row.label, []).extend(row.at())
    rows = []
    for label, found in by_label.items():
        cells = [_cell([c for c in found if c.runtime == name]) for name in names]
        rows.append((label, *cells, _limits(found), count(len(found))))
    return _Grid(("test", *(one_line(name).replace("_", "\n") for name in names), "limit", "checks"), rows)


def _cell(checks: list[Check]) -> str:
    """Return the worst score, with the sign of a status but pass, and the word where it is not in order."""
    if not checks:
        return ""
    worst = min(checks, key=facts.severity)
    score = "" if worst.score is None else number(worst.score)
    if worst.status == PASS:
        return score or "ok"
    word = "" if worst.status in IN_ORDER else worst.status
    return " ".join(part for part in (facts.sign(worst.status), word, score) if part)


def _limits(checks: list[Check]) -> str:
    """Return the limits of the scores on TensorFlow: that of the oracle, which has its own, is not among them."""
    held = [check for check in checks if facts.on_tensorflow(check) and check.score is not None] or checks
    found = sorted({check.limit for check in held if check.limit is not None})
    return " to ".join(exact(limit) for limit in dict.fromkeys([*found[:1], *found[-1:]]))


def _worst(checks: Iterable[Check], width: int) -> list[str]:
    """Return two lines for each of the worst leaves, of which a longer one is broken after a slash."""
    lines = ["", "Worst leaves"]
    for c in facts.worst_leaves(checks)[:WORST]:
        lines += [line.replace("/ ", "/") for line in textwrap.wrap(one_line(facts.leaf(c)).replace("/", "/ "), width)]
        where = f"{facts.row_name(c)} on {c.runtime}, {facts.check_size(c)}"
        score = "" if c.score is None else f", score {number(c.score)}, limit {exact(c.limit)}"
        what = f"{where}: {facts.sign(c.status)} {c.status}{score}"
        lines += [f"  {line}" for line in _rendered([_text(what)], width - 2)]
    return lines if lines[2:] else []


def _timings(timings: list[Timing]) -> _Grid:
    """Return a row for each step and runtime, at the largest batch size of the step."""
    largest: dict[tuple[str, str, str], Timing] = {}
    for timing in timings:
        key = (timing.case, timing.step, timing.runtime)
        if key not in largest or timing.batch_size > largest[key].batch_size:
            largest[key] = timing
    several = len({timing.case for timing in timings}) > 1
    rows = [
        (f"{t.case}: {t.step}" if several else t.step, t.runtime, facts.size(t.batch_size),
         f"{'' if t.narrow else '~'}{duration(t.median_ns)}", times(t.ratio),
         "-" if t.ratio_low is None else f"{number(t.ratio_low)} to {number(t.ratio_high)}")
        for t in largest.values()
    ]  # fmt: skip
    return _Grid(("step", "runtime", "batch", "median", "to JAX", "interval"), rows, keys=2)


def _powers(run: Run) -> Iterator[str]:
    """Yield, by case, the smallest error that each probe would catch, but for those that compare exactly."""
    for case in dict.fromkeys(power.case for power in run.powers):
        best: dict[str, float] = {}
        for power in run.powers:
            if power.case == case and power.smallest_relative_error:
                best[power.probe] = min(best.get(power.probe, math.inf), power.smallest_relative_error)
        if best:
            texts = ", ".join(
                f"{probe} {f'{error:.1g}' if error < math.inf else 'none'}" for probe, error in best.items()
            )
            yield f"{case}: smallest relative error in a weight that is caught: {texts}"


def _spent(spent: dict[str, float]) -> str:
    total = sum(spent.values()) or 1.0
    parts = [f"{purpose} {seconds:.1f} s" for purpose, seconds in spent.items()]
    return f"Where {total:.0f} s went: {', '.join(parts)} ({100 * spent.get(OWN_CODE, 0.0) / total:.0f} %)."
