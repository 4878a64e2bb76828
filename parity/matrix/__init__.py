"""The matrix: many cells, each built and run in an environment and a process of its own, each leaving a record."""
