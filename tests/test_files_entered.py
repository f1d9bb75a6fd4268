"""How many files of the project a reader enters who follows one call (module bodies apart)."""

import itertools
import os
import sys
import threading

import jax
import pytest

import jaxinv
from jaxinv.cli import main
from jaxinv.reproductions.presets import PRESETS, _nonexpansive
from jaxinv.sweeps import sweep

ROOT = os.path.dirname(jaxinv.__file__) + os.sep
_widths = itertools.count(37)  # sizes that no other test has traced, in whatever order they run


def in_module_body(frame):
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and code.co_filename.startswith(ROOT):
            return True
        frame = frame.f_back
    return False


def files_entered(call):
    """Return the files of the project whose functions ``call`` enters, in any thread."""
    files = set()

    def profile(frame, event, _):
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(ROOT) and not in_module_body(frame):
            files.add(name[len(ROOT) :])

    before = sys.getprofile(), threading.getprofile()
    threading.setprofile(profile)
    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(before[0])
        threading.setprofile(before[1])
    return files


@pytest.fixture
def preset(monkeypatch, tmp_path):
    """Shrink the two-layer preset, to sizes of its own."""
    whole = PRESETS["nonexpansive-2layer"]
    small = whole._replace(
        values=(2, 3), solvers=_nonexpansive.solvers(hidden=(next(_widths), 29), largest_k=3)
    )
    monkeypatch.setitem(PRESETS, whole.name, small)
    monkeypatch.chdir(tmp_path)
    return small


def test_a_sweep_enters_few_files(preset):
    trial = preset.trial()
    options = {"key": jax.random.key(0), "num_trials": 2, "traced": (preset.axis,)}
    files = files_entered(lambda: sweep(trial, {preset.axis: preset.values}, **options))
    assert {"sweeps/_loop.py", "solvers/_levenberg_marquardt.py"} <= files
    assert len(files) <= 27, " ".join(sorted(files))


def test_the_command_of_a_sweep_enters_few_files(preset):
    files = files_entered(lambda: main(["sweep", preset.name, "--trials", "2"]))
    assert {"cli.py", "sweeps/_loop.py", "viz/_plots.py"} <= files
    assert len(files) <= 40, " ".join(sorted(files))


def test_an_estimate_enters_few_files(preset):
    files = files_entered(lambda: main(["sweep", preset.name, "--trials", "2", "--estimate"]))
    assert {"sweeps/_estimate.py", "sweeps/_program.py"} <= files
    assert not {file for file in files if file.startswith(("sweeps/store/", "viz/"))}
    assert len(files) <= 31, " ".join(sorted(files))


def test_training_enters_few_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = ["--measurements", "20", "--size", "40", "--layers", "3", "--test-size", "100"]
    files = files_entered(lambda: main(["train", "alista", "--steps", "2", *sizes]))
    assert {"cli.py", "unfolded/_training.py", "unfolded/_storage.py"} <= files
    assert len(files) <= 24, " ".join(sorted(files))


@pytest.mark.parametrize("name", ["sweep", "train", "reconstruct", "reproduce", "store"])
def test_a_command_builds_its_own_parser_only(name):
    def help_of():
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0

    commands = {file for file in files_entered(help_of) if file.startswith("_commands/")}
    rooms = {"train": {"_commands/_train_prior.py"}}  # vae, flow and gan
    assert commands == {f"_commands/{name}.py"} | rooms.get(name, set())
