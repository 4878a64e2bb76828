"""What the terminal shows of a cell."""

import io
import os

from parity.core import progress
from parity.matrix.screen import Everything, OneLine, Screen


def test_one_line_hands_its_file_to_processes_and_shows_no_output_of_theirs():
    stream = io.StringIO()
    screen = OneLine(stream)
    assert progress.WATCHED in os.environ
    screen.begin("installing")
    screen.output("Resolved 66 packages\n")
    screen.poll()
    screen.say("Installed jax 1.0 in 3 s.")
    screen.close()
    assert stream.getvalue() == "Installed jax 1.0 in 3 s.\n"
    assert progress.WATCHED not in os.environ


def test_everything_shows_the_output_as_it_comes(capsys):
    screen = Everything()
    screen.begin("installing")
    screen.output("Resolved 66 packages\n")
    screen.say("Installed jax 1.0 in 3 s.")
    assert capsys.readouterr().out == "Resolved 66 packages\n"


def test_a_quiet_cell_shows_nothing(capsys):
    screen = Screen()
    screen.begin("installing")
    screen.output("Resolved 66 packages\n")
    screen.say("Installed jax 1.0 in 3 s.")
    assert capsys.readouterr() == ("", "")
