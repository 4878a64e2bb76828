"""The study of cost measures a command with all that it starts, keeps what it has measured, and can fail."""

import sys
import time

import jax
import msgspec
import psutil
import pytest

from parity.core import silence
from parity.records import cost
from parity.records.cost import GIB, Measurement
from parity.studies import cost as study
from parity.studies.cost import measuring, transformer
from parity.tests.support import samples

pytestmark = pytest.mark.slow

SIZE = 140_000
"""One layer, which compiles soon."""
BURN = "import time\nwhile time.process_time() < {cpu_s}: pass\n"
HOLD = "held = bytearray({mib} << 20)\nheld[::4096] = b'x' * len(held[::4096])\nimport time\ntime.sleep({wall_s})\n"
IN_A_CHILD = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', {code!r}], check=True)\n"


def python(code):
    return [sys.executable, "-c", code]


def in_descendant(code):
    """The code, in the child of a child."""
    return python(IN_A_CHILD.format(code=IN_A_CHILD.format(code=code)))


def test_what_descendants_cost_is_counted(tmp_path):
    burnt = measuring.measure(in_descendant(BURN.format(cpu_s=1.5)), tmp_path / "log")
    assert 1.5 <= burnt.cpu_s < 3
    held = measuring.measure(in_descendant(HOLD.format(mib=300, wall_s=1)), tmp_path / "log")
    assert 300 << 20 <= held.peak_bytes < 450 << 20
    assert (burnt.failure, held.failure) == ("", "")


def test_memory_of_processes_at_one_time_adds_up(tmp_path):
    two = f"import subprocess, sys\nrun = [subprocess.Popen([sys.executable, '-c', {HOLD.format(mib=200, wall_s=2)!r}])"
    found = measuring.measure(python(f"{two} for _ in '12']\n[one.wait() for one in run]"), tmp_path / "log")
    assert 400 << 20 <= found.peak_bytes < 600 << 20


def test_a_peak_between_two_looks_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "EVERY_S", 1.5)
    held_before = HOLD.format(mib=300, wall_s=0) + "del held\ntime.sleep(3)"
    found = measuring.measure(python(held_before), tmp_path / "log")
    assert found.peak_bytes >= 300 << 20


def test_a_command_that_fails_says_so_with_its_last_words(tmp_path):
    found = measuring.measure(python("raise MemoryError('planted')"), tmp_path / "log")
    assert found.failure.startswith("exit code 1")
    assert "planted" in found.failure


def test_a_command_that_takes_too_much_memory_is_ended_with_its_descendants(tmp_path):
    began = time.monotonic()

    def free():
        return 0 if time.monotonic() > began + 1 else GIB

    found = measuring.measure(in_descendant(HOLD.format(mib=50, wall_s=600)), tmp_path / "log", free)
    assert "GiB free" in found.failure
    assert found.wall_s < 60
    assert not [one for one in psutil.Process().children(recursive=True) if "held" in " ".join(one.cmdline())]


def test_a_command_that_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setenv(silence.VARIABLE, "1")
    found = measuring.measure(python("import time\ntime.sleep(600)"), tmp_path / "log")
    assert "no progress" in found.failure


@pytest.mark.parametrize("size", [SIZE, *cost.SIZES])
def test_a_model_has_about_the_size_that_was_asked_for(size):
    shape, key = transformer.shape_of(size), jax.ShapeDtypeStruct((2,), "uint32")
    params, _ = jax.eval_shape(transformer.case_of(size).init, key)
    assert sum(leaf.size for leaf in jax.tree_util.tree_leaves(params)) == transformer.count(shape)
    assert transformer.count(shape) == pytest.approx(size, rel=0.1)


def planted(monkeypatch, cpu_s=0.5, mib=60):
    """Commands in the place of script and run: the script takes 0.5 s of CPU and 60 MiB, the run what is given."""

    def taking(cpu_s, mib):
        return python(HOLD.format(mib=mib, wall_s=0.5) + BURN.format(cpu_s=cpu_s))

    monkeypatch.setattr(study, "script", lambda case: taking(0.5, 60))
    monkeypatch.setattr(study, "run", lambda case, out: taking(cpu_s, mib))


def asked(folder, *options):
    done = samples.inside("study", "cost", f"--parameters={SIZE}", "--out=out", *options, cwd=folder)
    return done, cost.read(folder / "out")


def test_a_planted_waste_of_either_fails_the_study_and_none_does_not(tmp_path, monkeypatch):
    planted(monkeypatch, cpu_s=1.0, mib=80)
    done, sound = asked(tmp_path)
    assert done.returncode == 0, done.stdout
    planted(monkeypatch, cpu_s=3.5)
    done, slow = asked(tmp_path, "--fresh")
    assert done.returncode == 1, done.stdout
    planted(monkeypatch, mib=300)
    done, large = asked(tmp_path, "--fresh")
    assert done.returncode == 1, done.stdout
    assert sound.sizes[0].cpu_ratio < cost.CPU_RATIO < slow.sizes[0].cpu_ratio
    assert sound.sizes[0].memory_ratio < cost.MEMORY_RATIO < large.sizes[0].memory_ratio


def test_what_is_measured_is_kept_and_a_failure_is_measured_again(tmp_path, monkeypatch):
    planted(monkeypatch)
    _, first = asked(tmp_path)
    planted(monkeypatch, cpu_s=1.0)
    assert asked(tmp_path)[1] == first
    other = msgspec.structs.replace(first.sizes[0], size=10**6)
    failed = msgspec.structs.replace(first.sizes[0], run=[Measurement(1.0, 1.0, GIB, (0, 0), "exit code -9")])
    cost.write(msgspec.structs.replace(first, sizes=[failed, other]), tmp_path / "out")
    _, again = asked(tmp_path)
    assert again.sizes[1] == other
    assert again.sizes[0].complete


def test_what_is_to_be_measured_again_is_not_kept_after_an_interrupt(tmp_path, monkeypatch):
    planted(monkeypatch)
    _, first = asked(tmp_path)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(study, "measure", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        done, kept = asked(tmp_path, "--fresh")
    assert done.returncode == 130
    assert (len(first.sizes), kept.sizes) == (1, [])


def test_sizes_of_other_releases_are_not_mixed(tmp_path, monkeypatch):
    planted(monkeypatch)
    _, first = asked(tmp_path)
    cost.write(msgspec.structs.replace(first, versions={**first.versions, "jax": "0.0.1"}), tmp_path / "out")
    done, _ = asked(tmp_path)
    assert done.returncode == 3
    assert "with jax 0.0.1. " in " ".join(done.stdout.split())
    done, found = asked(tmp_path, "--fresh")
    assert done.returncode == 0
    assert found.versions == first.versions


@pytest.mark.parametrize("options", [("--rounds=0",), ("--parameters=99",), ("--docs=none.md",), ("--docs=case.md",)])
def test_wrong_options_are_refused_before_anything_is_measured(tmp_path, options):
    (tmp_path / "case.md").write_text("no markers")
    done = samples.inside("study", "cost", "--out=out", *options, cwd=tmp_path)
    assert done.returncode == 2
    assert not (tmp_path / "out" / cost.DATA).exists()


@pytest.mark.exhaustive
def test_the_plan_of_a_real_run_beside_the_real_script(tmp_path, monkeypatch):
    whole = study.run
    monkeypatch.setattr(study, "run", lambda case, out: [*whole(case, out), "--collect-only", "-q"])
    chapter = tmp_path / "chapter.md"
    chapter.write_text("\n".join(["Before.", *cost.MARKERS, "After."]))
    _, found = asked(tmp_path, f"--docs={chapter}", "--logs=logs")
    [size] = found.sizes
    assert size.failures == []
    assert min(size.cpu_ratio, size.memory_ratio) > 0.2
    planned = (tmp_path / "logs" / f"{SIZE}-0-run.txt").read_text()
    assert "test_eval_gradient[transformer-saved_model-b13]" in planned
    assert "-b256]" not in planned
    assert cost.markdown(found) in chapter.read_text()
