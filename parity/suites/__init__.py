"""The conformance tests: `pytest --pyargs parity.suites` from any folder, against whatever is installed.

A test named after a probe asks that probe of every runtime, batch size and device.
"""
