"""What users may import: the list, and what `import parity` costs."""

import ast
import json
import re
import resource
import subprocess
import sys

import pytest

import parity
from parity.tests.support import samples
from parity.tests.support.paths import PACKAGE, ROOT

PUBLIC = [
    "Artifact", "Batch", "Capabilities", "Case", "Dataset", "Limit", "Model", "Optimizer", "ParityError", "Probe",
    "Runtime", "Schedule", "Spec", "State", "Training", "assert_in_order", "every_runtime", "from_equinox",
    "from_haiku", "from_linen", "from_nnx", "readable_by", "resume", "score", "seeded_defect",
]  # fmt: skip
MOST_MS = 50
DOCUMENTS = [ROOT / "README.md", *sorted((PACKAGE / "docs").glob("*.md"))]
EXAMPLES = sorted((ROOT / "fixtures" / "cases").glob("*.py"))


def test_the_public_names_are_exactly_the_documented_ones():
    assert sorted(parity.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(parity))


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="guess"):
        _ = parity.guess


def test_import_loads_neither_numpy_nor_a_framework():
    done = samples.python("-c", "import sys, json, parity; print(json.dumps(sorted(sys.modules)))")
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"numpy", "jax", "flax", "optax", "tensorflow", "keras", "msgspec", "pytest"}


def cpu_ms(code):
    """The CPU time of a fresh interpreter that runs `code`, the least of several: what else runs does not count."""
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return 1000 * min(spent)


def test_import_takes_less_than_50_ms():
    nothing = cpu_ms("pass")
    assert cpu_ms("import parity") - nothing < MOST_MS
    assert cpu_ms("import parity.cases.case") - nothing > MOST_MS  # numpy can be seen


def blocks(path):
    """The blocks of Python in a document; a whole file of Python is one."""
    text = path.read_text(encoding="utf-8")
    return [text] if path.suffix == ".py" else re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def private(code):
    """The private modules and names of parity that code imports."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("parity.")}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "parity":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names - {f"parity.{name}" for name in PUBLIC}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "parity":
            found |= {f"parity.{node.attr}"} - {f"parity.{name}" for name in PUBLIC}
    return found


def test_documents_and_examples_import_from_parity_alone():
    code = [(path.name, block) for path in (*DOCUMENTS, *EXAMPLES) for block in blocks(path)]
    assert len(code) >= 2
    assert {(name, found) for name, block in code for found in private(block)} == set()


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from parity import Case, Spec", set()),
        ("import parity\nparity.readable_by", set()),
        ("from parity.cases.case import Case", {"parity.cases.case.Case"}),
        ("import parity.gate", {"parity.gate"}),
        ("from parity import gate", {"parity.gate"}),
        ("import parity\nparity.gate.judge()", {"parity.gate"}),
    ],
)
def test_a_planted_private_import_is_found(code, found):
    assert private(code) == found
