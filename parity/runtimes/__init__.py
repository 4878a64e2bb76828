"""Runtimes: whatever answers probes about a model.

In comes a `Model`, which is a trained case or the bundle that it was exported to; out go answers, named arrays. Each
runtime is one file with a class that declares in `capabilities` what it can do (`base`). `registry` finds them: the
modules of this package, and the entry points `parity.runtimes` of other distributions. `subject` keeps what runtimes
share: the case trained and exported once, JAX's answers, the oracle's, and the budgets (`reference`).
"""
