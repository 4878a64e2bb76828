"""The matrix: many cells, each built and run in an environment and a process of its own.

In: the names of cells, as tox.ini declares them (`tox`), and the options of a run.
Out: one folder with a sealed record for every cell, whatever happened to it, and the atlas of all records.

    fingerprint     what a record is made from: equal fingerprints need no second run
    tasks           the records that one cell must leave, and the command of each
    installation    the releases of a cell, installed into its environment
    child_process   a run in a supervised process; what becomes of its record when it crashes or is stopped
    cell_run        `parity cell`: install, run, seal
    screen          what the terminal shows of a cell while it is made
    tox             the cells of tox.ini, and cells run as tox environments
    orphan_guard    ends a tox process when the process that needs it has gone
    cluster         `parity matrix`: cells on the workers of a Dask cluster
    aggregation     the records of many cells as one atlas
"""
