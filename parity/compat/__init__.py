"""Which releases work together, and what helps where they do not.

- `writer`, `reader`: what the installed JAX writes, and what the installed TensorFlow reads.
- `readers`: what each release of TensorFlow reads, a table.
- `handshake`: predicts from both whether a pair works, before anything is converted.
- `remedies`: `readable_by`, a context in which JAX writes for an older reader.
- `causes`: an error of a framework as one line, with its cause and what helps.
- `known_issues`: failures that are understood, of the package and of a project, matched strictly.
- `deprecations`: warnings of what fails in a later release.

`writer` and `remedies` need JAX, `reader` needs TensorFlow; the others need neither.
"""
