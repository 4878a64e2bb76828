"""What is tested: cases, their inputs, their data and their brief training in JAX.

A `Case` (`case`) has pure functions over pytrees, `Spec`s of its inputs with a symbolic batch size (`specs`), an
optimizer (`optimizers`) and a dataset (`data`). `loading.load` finds it by the name of a module in `shipped`, by an
entry point of the group `parity.cases` in another distribution, or in a user's file. `checking` says whether it is what
its specs say, and `training` trains it briefly, on batches of `pipeline`; the result is `training.Trained`, the state
to export. `adapters` make cases of models of Flax, Equinox and Haiku, and `libraries` says which adapter a model in the
wrong place is for. A case may take and give any pytree: `structure` keeps it flat, by leaf name. Sizes in specs have
names; `constraints` says which are allowed, `symbols` at which values the case is asked, and `layout` which outputs
follow the batch. `functions` are its compiled evaluations in JAX, `jax_devices` the devices they run on. `keys` keeps
typed PRNG keys as arrays.
"""
