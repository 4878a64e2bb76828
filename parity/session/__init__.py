"""One run: what options select, the plan, the tests, and the record.

In come options; out come a sealed record and a report. `selection` is what options select, `planning` makes the plan,
`environment` imports the frameworks, `recording` turns leaf results into checks, `failing` shows each cause once, `run`
keeps these together for the pytest `plugin`. `watching` shows the progress, and `watchdog` ends a run that hangs.
`exporting` and `verification` are the two halves of a run that no environment can do alone.
"""
