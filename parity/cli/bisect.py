"""`parity bisect`: find the first bad release of one package, with the other fixed."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from parity.cli import upgrade


def add(commands: Any) -> None:
    """Add the command's options."""
    bisect = commands.add_parser(
        "bisect",
        help="find the first bad release of jax or tensorflow between a good and a bad one",
        description="Try releases that the package index has, as few as possible. A release is bad if it does not pass "
        "as exported by default. Further arguments, written as --name=value, go to parity run.",
    )
    bisect.add_argument("package", choices=("jax", "tensorflow"), help="whose releases to try")
    bisect.add_argument("--good", metavar="RELEASE", required=True, help="a good release")
    bisect.add_argument("--bad", metavar="RELEASE", required=True, help="a release that is bad")
    other = "the other package, such as tensorflow==2.21.0"
    bisect.add_argument("--with", metavar="PIN", dest="other", required=True, help=other)
    bisect.add_argument("--remedied-is-good", action="store_true", help="count a release that needs a remedy as good")
    upgrade.add_records(bisect)


def main(arguments: Namespace, further: list[str]) -> int:
    """Find the first bad release, and print every step."""
    from parity.upgrade.pairs import parse_pin
    from parity.upgrade.rendering import boundary_lines, search_line, wrapped
    from parity.upgrade.search import Search

    package = arguments.package
    _, good = parse_pin(f"{package}=={arguments.good}")
    _, bad = parse_pin(f"{package}=={arguments.bad}")
    runner = upgrade.runner_of(arguments, further)
    search = Search.plan(
        package, good, bad, parse_pin(arguments.other), runner, arguments.python, arguments.remedied_is_good
    )

    def show(text: str) -> None:
        print(wrapped(text), flush=True)

    def progress(release: str, answer: str, left: int | None) -> None:
        remaining = "" if left is None else f"; {left} left"
        show(f"{package} {release}: {answer}, {search_line(search, release)}{remaining}")

    show(
        f"{len(search.names)} releases of {package} from {good} to {bad} with {arguments.other}. {search.why.sentence}"
    )
    show(f"At most {search.most} environments beside the two ends.")
    boundary = search.run(progress)
    for line in ("", *boundary_lines(search, boundary)):
        show(line)
    return 0
