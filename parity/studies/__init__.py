"""Measure the suite itself: what it catches, how often it is wrong, and how well it tells times apart.

In: the reference case and the suites. Out: files in `reports/`, which ship with parity and stand in every report; the
cost stands in the chapters alone.

- `faults`: plant every fault of a catalogue, and report which check catches it.
- `false_alarms`: score sound pairs of releases over many trainings; the limit of the scores follows from them.
- `timing`: calibrate the timing of steps against planted slowdowns.
- `cost`: measure what a run costs beside a bare script, on a transformer of several sizes.
- `handover`: train on in TensorFlow from five seeds, to the end.

`parity study NAME` runs them. A study is a module with `DESCRIPTION`, `ACCEPTS_FURTHER`, `add(parser)` and
`main(arguments, further)`, which returns the exit code. Nothing else in parity imports this package.
"""
