"""Generate `run.schema.json`, the JSON Schema of a `run.json`, from the structs: `python -m parity.records.schema`."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import msgspec

from parity.records import rows, run
from parity.records.rows import Row
from parity.records.run import Environment, Machine, Run

PATH = Path(__file__).with_name("run.schema.json")


def schema() -> dict[str, Any]:
    """Return the schema of `run.json` as JSON data."""
    [top], definitions = msgspec.json.schema_components([Run], ref_template="#/$defs/{name}")
    described = {
        name: _described(definition, getattr(rows, name, None) or getattr(run, name, None))
        for name, definition in definitions.items()
    }
    whole = described.pop(top["$ref"].rpartition("/")[2])
    whole["required"] = list(whole["properties"])  # a run writes every key, whatever a reader fills in
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole, "$defs": described}


def dumps() -> str:
    """Return the text of the file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _described(definition: dict[str, Any], struct: type | None) -> dict[str, Any]:
    """Return a definition with what the docstring of its struct says of the struct and of each attribute."""
    definition = {key: value for key, value in definition.items() if key != "title"}
    if struct is None or (not issubclass(struct, (Row, Run)) and struct not in (Environment, Machine)):
        return definition
    definition["description"] = (inspect.getdoc(struct) or "").partition("\n")[0]
    described = {name: text for base in reversed(struct.__mro__) for name, text in _attributes(base).items()}
    definition["properties"] = {
        name: {**rest, **({"description": described[name]} if name in described else {})}
        for name, rest in definition["properties"].items()
    }
    return definition


def _attributes(struct: type) -> dict[str, str]:
    """Return what the section `Attributes:` of a docstring says, by attribute."""
    section = inspect.cleandoc(struct.__doc__ or "").partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n {6,}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


if __name__ == "__main__":
    PATH.write_text(dumps(), encoding="utf-8")
