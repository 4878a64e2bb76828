"""Cases made from models: `from_linen`, `from_nnx`, `from_equinox` and `from_haiku`, one file each.

In comes a model of the library, a loss of its outputs, specs and data; out goes a `parity.Case`. An adapter says how
its library makes a model and calls it (`building.Network`); `building` makes the functions of the case from that,
`layout` divides a model into what is trained, what it carries along and what is static, `calling` finds out how inputs
and training mode are passed, `inputs` makes examples of what the specs say, and `losses` finds losses and accuracies.

A model is only traced while its case is made; nothing is computed, and JAX's devices are not started.
"""
