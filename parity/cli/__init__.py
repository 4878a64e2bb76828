"""The `parity` command: one file for each command, all of them thin.

In: the command line. Out: what the rooms below answer, printed, and the exit code.

A command is a module with two functions: `add(commands)` adds its parser and options, and `main(arguments, further)`
runs it and returns the exit code; `further` are the arguments that the parser does not know. The modules import only
the standard library and `parity.core` at the top, so that `parity --help` starts at once; frameworks are imported when
a command runs. A new command is a new file here and its name in `parity.cli.main.COMMANDS`.
"""
