"""The JSON Schema of the record of a run."""

import json

from parity.tests.support.paths import PACKAGE

SCHEMA = json.loads((PACKAGE / "records" / "run.schema.json").read_text())
