"""From JAX to files: a trained case becomes an artifact, alone or in a bundle.

- *Conversion* (`conversion`) turns the functions of a case into a TensorFlow module, with jax2tf. It needs both
  frameworks; `gradients` keeps the gradient where sizes have constraints. `programs` exports the same functions with
  JAX alone, for records.
- The *artifact* (`artifact`) is that module as TensorFlow saves and loads it: SavedModel folders.
- A *bundle* (`bundles`) is a folder with the artifact, inputs, JAX's answers, the oracle, budgets and a manifest, from
  which a process without JAX judges the artifact.
- An *archive* (`archives`) is a folder of bundles, one file for each release of jax, with their SHA-256.
"""
