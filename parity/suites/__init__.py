"""The promise, as tests: `pytest --pyargs parity.suites` from any folder, against whatever is installed.

Each test has the mark `parity_probe` with the probe whose plan items it runs. Fixtures come from the plugin: `subject`
(the case, trained and exported), `runtime` (a runtime and devices), `batch` (the examples), `item` (the plan item),
`record` (turns results into recorded checks).
"""
