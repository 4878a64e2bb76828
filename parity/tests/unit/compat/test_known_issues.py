"""Known issues are matched strictly: no other failure hides behind one, and none outlives what it describes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity import records
from parity.compat import known_issues
from parity.compat.known_issues import KEYS, RANGES, REQUIRED, apply, revert, unmatched
from parity.core import failures
from parity.core.errors import UsageError
from parity.core.failures import MISSING_FFI, NUMERIC, SHAPE_REFINEMENT, UNKNOWN
from parity.records import CRASH, ERROR, FAIL, FIXED, IN_ORDER, KNOWN, MISSING, NO_DEVICE, PASS, REMEDIED, TIMEOUT
from parity.tests.support import samples
from parity.tests.support.issues import ENTRY, EVIDENCE, toml

ENVIRONMENT = {
    "versions": {"jax": "0.10.2", "tensorflow": "2.21.0", "flax": None, "keras": "3.12.0"},
    "machine": {"python": "3.12.1"},
}
FAILED = (FAIL, ERROR, CRASH, TIMEOUT)


@pytest.fixture
def write(tmp_path):
    """A list of known issues: its text as a file."""

    def to(text):
        path = tmp_path / "issues.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return to


@pytest.fixture
def listed(write):
    """The known issues of entries that differ from the sample in the given keys."""

    def of(*entries):
        return known_issues.read(write("".join(toml({**ENTRY, **entry}) for entry in entries)))

    return of


def failed(**changes):
    return samples.check(**{"status": ERROR, "failure": MISSING_FFI, "evidence": EVIDENCE, "message": "no", **changes})


# The shipped list


def test_the_shipped_list_loads_and_is_read_once():
    assert known_issues.load() is known_issues.load()


def test_every_shipped_issue_has_an_upstream_url_or_says_why_not():
    for issue in known_issues.load():
        assert issue.upstream.startswith("https://") or issue.upstream.partition("none: ")[2], issue.id


def test_the_example_at_the_top_of_the_shipped_list_is_an_issue(write):
    lines = known_issues.LIST.read_text(encoding="utf-8").splitlines()
    first = lines.index("# [[issue]]")
    example = [line[2:] for line in lines[first:] if line.startswith(("# [[", "#")) and ("=" in line or "[[" in line)]
    [issue] = known_issues.read(write("\n".join(example)))
    assert issue.patterns["device"] == "cpu:*"
    assert issue.evidence is not None
    assert issue.evidence.search(EVIDENCE)


def test_a_project_has_known_issues_of_its_own(write):
    """As strict as the package's, and beside them."""
    path = write(toml({**ENTRY, "id": "ours"}))
    *shipped, own = known_issues.load(path)
    assert tuple(shipped) == known_issues.load()
    assert (own.id, own.path) == ("ours", path)
    assert apply(failed(), ENVIRONMENT, [own]).known_issue == "ours"
    assert path.name in apply(samples.check(), ENVIRONMENT, [own]).message
    assert known_issues.find("ours", known_issues.load(path)) is own
    assert known_issues.find("ours") is None


@pytest.mark.parametrize("change", [{"id": known_issues.load()[0].id}, {"id": "ours", "runtimes": "jax"}])
def test_a_project_can_neither_replace_an_issue_of_the_package_nor_misspell_a_key(write, change):
    path = write(toml({**ENTRY, **change}))
    with pytest.raises(UsageError) as refused:
        known_issues.load(path)
    assert str(refused.value).startswith(f"{path}: ")


def test_known_issues_are_applied_again_to_a_recorded_run(write):
    issues = known_issues.load(write(toml({**ENTRY, "id": "ours"})))
    run = samples.run(checks=[failed()])
    run.environment = ENVIRONMENT
    assert known_issues.reapply(run, issues)
    assert run.checks[0].known_issue == "ours"
    assert not known_issues.reapply(run, issues)
    assert known_issues.reapply(run)
    assert run.checks == [failed()]


def test_a_recorded_run_is_judged_by_the_list_of_its_project_and_kept_where_that_cannot_be_read(write, tmp_path):
    path = write(toml({**ENTRY, "id": "ours"}))
    known = samples.run(checks=[failed(status=KNOWN, known_issue="ours"), failed()])
    known.environment = {**ENVIRONMENT, "known_issues": str(path)}
    assert known_issues.reapply(known)
    assert [check.known_issue for check in known.checks] == ["ours", "ours"]
    known.environment["known_issues"] = str(tmp_path / "elsewhere.toml")
    assert not known_issues.reapply(known)


def test_an_empty_list_is_a_list(write):
    assert known_issues.read(write("# nothing is known\n")) == ()


# Both strict directions


@pytest.mark.parametrize("status", FAILED)
def test_what_fails_as_listed_is_known(listed, status):
    check = apply(failed(status=status), ENVIRONMENT, listed({}))
    assert (check.status, check.known_issue, check.message) == (KNOWN, "cholesky", "no")


@pytest.mark.parametrize("status", [PASS, REMEDIED])
def test_what_passes_although_listed_is_fixed_and_says_what_to_do(listed, status):
    check = apply(samples.check(status=status), ENVIRONMENT, listed({}))
    assert (check.status, check.known_issue) == (FIXED, "cholesky")
    assert check.message == "listed in issues.toml as cholesky and passes: remove or narrow the entry"


@pytest.mark.parametrize("status", FAILED)
def test_what_fails_otherwise_than_listed_stays_as_it_is(listed, status):
    check = failed(status=status, failure=SHAPE_REFINEMENT)
    assert apply(check, ENVIRONMENT, listed({})) == check


@pytest.mark.parametrize("where", ["evidence", "message"])
def test_the_evidence_is_looked_for_in_the_evidence_and_the_message(listed, where):
    issues = listed({"evidence": r"lapack_\w+_ffi"})
    check = failed(**{"evidence": None, "message": None, where: EVIDENCE})
    assert apply(check, ENVIRONMENT, issues).status == KNOWN


def test_the_right_class_with_other_evidence_is_not_known(listed):
    issues, check = listed({"evidence": "lapack"}), failed(evidence="cudnn")
    once = apply(check, ENVIRONMENT, issues)
    assert once == check
    assert apply(revert(once), ENVIRONMENT, issues) == check


@pytest.mark.parametrize("status", [FAIL, ERROR, CRASH, TIMEOUT, PASS, REMEDIED])
def test_applying_known_issues_can_be_reverted(listed, status):
    kind = {FAIL: NUMERIC, CRASH: failures.CRASH, TIMEOUT: failures.TIMEOUT, PASS: None}.get(status, MISSING_FFI)
    check = failed(status=status, failure=kind, message=None)
    resolved = apply(check, ENVIRONMENT, listed({"class": kind or MISSING_FFI}))
    assert resolved.status in (KNOWN, FIXED)
    assert revert(resolved) == check


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (NUMERIC, {"status": FAIL, "score": 99.0}),
        (UNKNOWN, {"status": FAIL, "score": None}),
        (failures.CRASH, {"status": CRASH}),
        (failures.TIMEOUT, {"status": TIMEOUT}),
    ],
)
def test_a_failure_without_a_class_has_the_one_that_its_status_or_score_tells(listed, kind, found):
    check = apply(failed(failure=None, **found), ENVIRONMENT, listed({"class": kind}))
    assert (check.status, check.failure) == (KNOWN, kind)


def test_of_two_issues_that_apply_the_one_that_explains_the_failure_is_named(listed):
    issues = listed({"id": "first", "class": NUMERIC}, {"id": "second"})
    assert apply(failed(), ENVIRONMENT, issues).known_issue == "second"
    assert "as first and second and passes" in apply(samples.check(), ENVIRONMENT, issues).message


@pytest.mark.parametrize("status", [KNOWN, FIXED, MISSING])
def test_known_fixed_and_missing_checks_are_not_changed_by_known_issues(listed, status):
    check = failed(status=status)
    assert apply(check, ENVIRONMENT, listed({})) is check


checks = st.builds(
    samples.check,
    status=st.sampled_from(records.STATUSES),
    failure=st.none() | st.sampled_from([MISSING_FFI, NUMERIC, SHAPE_REFINEMENT]),
    evidence=st.none() | st.sampled_from([EVIDENCE, "cudnn"]),
    score=st.none() | st.just(99.0),
    leaf=st.sampled_from(["cholesky", "erf", "*"]),
    runtime=st.sampled_from(["jax", "tf_xla", "saved_model"]),
    tf_device=st.sampled_from([NO_DEVICE, "cpu:0", "gpu:0"]),
)
entries = st.fixed_dictionaries(
    {"id": st.sampled_from(["one", "two", "three"]), "class": st.sampled_from([MISSING_FFI, NUMERIC])},
    optional={
        "evidence": st.sampled_from(["lapack", "other"]),
        "leaf": st.sampled_from(["cholesky", "*"]),
        "runtime": st.sampled_from(["jax", "tf_*"]),
        "tensorflow": st.sampled_from(["<2.21", ">=2.21"]),
    },
)


@given(checks, st.lists(entries, max_size=3, unique_by=lambda entry: entry["id"]))
def test_a_check_gets_in_order_only_by_an_issue_of_its_own_class_and_evidence(tmp_path_factory, check, chosen):
    path = tmp_path_factory.getbasetemp() / "property.toml"
    path.write_text("".join(toml({**ENTRY, **entry}) for entry in chosen), encoding="utf-8")
    after = apply(check, ENVIRONMENT, known_issues.read(path))
    if after.status in IN_ORDER and check.status not in IN_ORDER:
        [entry] = [entry for entry in chosen if entry["id"] == after.known_issue]
        assert after.status == KNOWN
        assert entry["class"] == check.failure or (check.failure is None and entry["class"] == NUMERIC)
        assert entry.get("evidence", "") in f"{check.evidence}{check.message}"
        assert entry.get("leaf", "*") in ("*", check.leaf)
        assert entry.get("tensorflow") != "<2.21"
        assert check.tf_device != NO_DEVICE or entry.get("runtime") == "jax"
    if check.status in (PASS, REMEDIED):
        assert after.status in (check.status, FIXED)
    elif after.status != KNOWN:
        assert after.status == check.status


# Where an issue applies


@pytest.mark.parametrize(
    ("version", "wanted", "applies"),
    [
        ("0.12.0.1", ">=0.12", True),
        ("0.12.0.1", "==0.12.*", True),
        ("0.12.0.1", "==0.12.0", False),
        ("0.12.0.1", "<0.12.1", True),
        ("0.12.0.post1", ">=0.12", True),
        ("0.12.0.post1", "<=0.12.0", False),
        ("0.12.0rc1", ">=0.11", True),
        ("0.12.0rc1", ">=0.12", False),
        ("0.12.0rc1", "<0.12", False),
        ("0.12.1.dev20261101+g0ab1", ">=0.12,<0.13", True),
        ("0.12.1.dev20261101+g0ab1", ">=0.12.1", False),
        ("0.12.0+local", "==0.12.0", True),
        ("0.12.0", ">=0.7,!=0.12.0", False),
        ("no version at all", ">=0", False),
        (None, ">=0", False),
    ],
)
def test_ranges_are_those_of_pep_440(listed, version, wanted, applies):
    environment = {**ENVIRONMENT, "versions": {**ENVIRONMENT["versions"], "jax": version}}
    assert (apply(failed(), environment, listed({"jax": wanted})).status == KNOWN) is applies


@pytest.mark.parametrize("package", RANGES)
def test_every_range_is_looked_up_by_its_own_name(listed, package):
    environment = {
        "versions": {"jax": "1", "tensorflow": "2", "flax": "3", "keras": "4"},
        "machine": {"python": "5"},
    }
    version = RANGES.index(package) + 1
    assert apply(failed(), environment, listed({package: f"=={version}"})).status == KNOWN
    assert apply(failed(), environment, listed({package: f"!={version}"})).status == ERROR


@pytest.mark.parametrize(("python", "applies"), [("3.12.1", True), ("3.14.0a1+", True), ("3.11.7", False)])
def test_a_python_built_from_git_has_the_version_that_it_says(listed, python, applies):
    environment = {**ENVIRONMENT, "machine": {"python": python}}
    assert (apply(failed(), environment, listed({"python": ">=3.12"})).status == KNOWN) is applies


@pytest.mark.parametrize("package", RANGES)
def test_a_range_matches_nothing_where_versions_are_not_recorded(listed, package):
    assert apply(failed(), {}, listed({package: ">=0"})).status == ERROR


@pytest.mark.parametrize(
    ("key", "meant", "other"),
    [
        ("device", "cpu:*", "gpu:*"),
        ("case", "reference", "ratings"),
        ("runtime", "tf_*", "TF_*"),
        ("probe", "pre*", "rng"),
        ("leaf", "output", "out"),
    ],
)
def test_a_pattern_selects_by_its_own_field(listed, key, meant, other):
    assert apply(failed(), ENVIRONMENT, listed({key: meant})).status == KNOWN
    assert apply(failed(), ENVIRONMENT, listed({key: other})).status == ERROR


@pytest.mark.parametrize("runtime", ["jax", "jax_float64"])
@pytest.mark.parametrize("status", [PASS, ERROR])
def test_an_issue_of_tensorflow_says_nothing_of_jax_alone(listed, runtime, status):
    check = failed(status=status, runtime=runtime, tf_device=NO_DEVICE)
    assert apply(check, ENVIRONMENT, listed({}, {"id": "any", "runtime": "*", "device": "*"})) is check


def test_an_issue_of_jax_names_its_runtime_and_means_its_device(listed):
    check = failed(runtime="jax", tf_device=NO_DEVICE, jax_device="gpu:0")
    assert apply(check, ENVIRONMENT, listed({"runtime": "jax", "device": "gpu:*"})).status == KNOWN
    assert apply(check, ENVIRONMENT, listed({"runtime": "jax", "device": "cpu:*"})).status == ERROR


# A full matrix


def run(*found, **versions):
    return samples.run(checks=list(found), environment={**ENVIRONMENT, "versions": versions})


def test_an_issue_that_explains_no_failure_of_any_run_is_unmatched(listed):
    issues = listed(
        {"id": "seen", "tensorflow": "<2.21"},
        {"id": "elsewhere", "tensorflow": ">=2.30"},
        {"id": "otherwise", "evidence": "cudnn"},
        {"id": "passes", "leaf": "erf"},
    )
    runs = [
        run(failed(), samples.check(leaf="erf"), tensorflow="2.20.0"),
        run(samples.check(), tensorflow="2.21.0"),
    ]
    assert [issue.id for issue in unmatched(runs, issues)] == ["elsewhere", "otherwise", "passes"]


def test_checks_with_known_issues_applied_match_the_same_issues(listed):
    issues = listed({"id": "seen"}, {"id": "passes", "leaf": "erf"})
    resolved = [apply(check, ENVIRONMENT, issues) for check in (failed(), samples.check(leaf="erf"))]
    assert [check.status for check in resolved] == [KNOWN, FIXED]
    assert [issue.id for issue in unmatched([run(*resolved, tensorflow="2.21.0")], issues)] == ["passes"]


def test_a_check_that_passed_explains_nothing_even_with_a_score(listed):
    issues = listed({"class": NUMERIC})
    assert unmatched([run(samples.check(score=1.0))], issues) == list(issues)


def test_without_runs_every_issue_is_unmatched(listed):
    issues = listed({})
    assert unmatched([], issues) == list(issues)


# What is no list


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tensorflo": ">=2"}, "unknown key 'tensorflo'. Expected some of id, class, text"),
        ({"class": "ffi"}, "unknown class 'ffi'. Expected one of stablehlo_skew"),
        ({"id": "Cholesky on CPU"}, "the id 'Cholesky on CPU' is not valid. Expected lower-case words"),
        ({"upstream": "jax#23056"}, "upstream is 'jax#23056'. Expected a URL, or 'none: ' and why"),
        ({"upstream": "none"}, "upstream is 'none'. Expected a URL, or 'none: ' and why"),
        ({"upstream": "none: "}, "upstream is 'none: '. Expected a URL, or 'none: ' and why"),
        ({"jax": "0.7"}, "jax = '0.7' is no range of versions. Expected PEP 440's, such as '>=0.7,<0.8'"),
        ({"python": ">=three"}, "python = '>=three' is no range of versions"),
        ({"evidence": "lapack_("}, "evidence = 'lapack_(' is no regular expression: missing ), unterminated"),
        ({"keras": " "}, "'keras' is ' '. Expected text; leave out what may be any"),
        ({"text": ""}, "'text' is ''. Expected text"),
    ],
)
def test_a_bad_entry_is_refused_by_file_name_and_fix(write, change, expected):
    path = write(toml({**ENTRY, **change}))
    with pytest.raises(UsageError) as refused:
        known_issues.read(path)
    assert str(refused.value).startswith(f"{path}: issue {change.get('id', 'cholesky')!r}: {expected}")


@pytest.mark.parametrize("key", REQUIRED)
def test_an_entry_without_a_required_key_is_refused(write, key):
    path = write(toml({k: v for k, v in ENTRY.items() if k != key}))
    named = "1" if key == "id" else "'cholesky'"
    with pytest.raises(UsageError) as refused:
        known_issues.read(path)
    assert str(refused.value) == f"{path}: issue {named}: {key!r} is missing. Every issue needs {', '.join(REQUIRED)}."


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ["3", "true", "[]", "{}", "1979-05-27"])
def test_a_value_that_is_no_text_is_refused(write, key, value):
    text = toml({k: v for k, v in ENTRY.items() if k != key})
    path = write(f"{text}{key} = {value}\n")
    with pytest.raises(UsageError, match=f"{key!r} is .*Expected text"):
        known_issues.read(path)


def test_an_id_that_is_there_twice_is_refused(write):
    path = write(toml(ENTRY) * 2)
    with pytest.raises(UsageError) as refused:
        known_issues.read(path)
    assert str(refused.value) == f"{path}: the id cholesky is there twice. Give every issue an id of its own."


@pytest.mark.parametrize(
    "text", ["issue = 3", "issue = [3]", "issues = []", "[issue]\nid = 'a'", "[[known]]\nid = 'a'"]
)
def test_a_file_with_anything_but_issues_is_refused(write, text):
    path = write(text)
    with pytest.raises(UsageError, match="expected nothing but") as refused:
        known_issues.read(path)
    assert str(refused.value).startswith(f"{path}: ")


@pytest.mark.parametrize("content", [None, b"[[issue", b"\xff\xfe", b"id = 'a'\nid = 'b'"])
def test_a_file_that_is_missing_or_no_toml_is_refused(tmp_path, content):
    path = tmp_path / "issues.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        known_issues.read(path)
    assert str(refused.value).startswith(f"cannot read the known issues {path}: ")
    assert str(refused.value).endswith("Expected UTF-8 TOML.")


def test_reading_the_list_is_plain():
    done = samples.python("-c", "import sys, parity.compat.known_issues as k; k.load(); print(*sys.modules)")
    assert not {"numpy", "jax", "tensorflow"} & set(done.stdout.split())
    assert "parity.compat.known_issues" in done.stdout
