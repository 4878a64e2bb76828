"""What every other room uses: errors, atomic files, facts of the environment, time by purpose, processes, failures.

It takes nothing from the project, and imports no numpy and no framework:

- `errors`: the errors that a user can correct, each with the exit code of its command.
- `failures`: the class and the evidence of a failure, from the text of an error or a log.
- `storage`: files that are written completely or not at all.
- `environment`: the versions and the machine, for records.
- `ledger`, `progress`: the time of a run by purpose, and the line that shows its progress.
- `native_log`: what native code writes to standard error, kept in a file.
- `processes`: child processes that answer requests, and commands.
- `silence`: what progress is, and how a process without it is ended.
- `arrays`: the types of answers.
"""
