"""`parity bisect`: the first bad release of one package, the other fixed."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
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
    bisect.add_argument("--good", metavar="RELEASE", required=True, help="a release that is good")
    bisect.add_argument("--bad", metavar="RELEASE", required=True, help="one that is not")
    other = "the other package, such as tensorflow==2.21.0"
    bisect.add_argument("--with", metavar="PIN", dest="other", required=True, help=other)
    bisect.add_argument("--remedied-is-good", action="store_true", help="count what works with a remedy as good")
    upgrade.on_bench(bisect)


def main(arguments: Namespace, further: list[str]) -> int:
    """Find the first bad release, saying every step."""
    from parity.upgrade.bisecting import search
    from parity.upgrade.pins import pin

    package = arguments.package
    _, good = pin(f"{package}=={arguments.good}")
    _, bad = pin(f"{package}=={arguments.bad}")
    bench = upgrade.bench(arguments, further)
    say = partial(print, flush=True)
    search(package, good, bad, pin(arguments.other), bench, arguments.python, arguments.remedied_is_good, say)
    return 0
