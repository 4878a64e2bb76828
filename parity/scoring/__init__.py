"""How far is too far: distances, budgets, scores and limits.

It takes the answers of a runtime, of JAX and of the float64 oracle, as arrays by leaf, and gives a `LeafResult` for
each leaf.

- `arithmetic`: a JAX function evaluated in float64, which makes the oracle.
- `rounding`: the same with every result off at random, which makes budgets.
- `compare`: distances between arrays, in chunks.
- `rules`: budgets from an ensemble of evaluations, scores, and every limit: see `LIMITS`.
- `parts`: budgets of uneven columns and magnitudes.
- `accuracy`: accuracies, which count examples.
- `oracle`: whether an answer can be the oracle.
- `kinks`: gradients that jump, where two correct answers differ.
- `ties`: integers that a float at a boundary decides, likewise.
"""
