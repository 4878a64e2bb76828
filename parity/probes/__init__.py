"""Probes: one file per question. It declares what is asked, of which runtimes, and at which sizes.

In comes a scope (a case and what options select); out come plan items, and for each, when its test in `parity.suites`
runs, leaf results. `declaration` says what a probe is, `registry` finds them, `evaluation` scores the answers of
runtimes against the oracle. `relations` and `seeded_defects` are packages with one file each; `profiles` describes
the worst leaves after a run.
"""
