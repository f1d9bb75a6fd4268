"""Sweeps that are killed, stopped and resumed: same bits, and no finished block twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sweep_toys import assert_same_bits, run

import jaxinv as ji

TESTS = str(Path(__file__).parents[1])
_TRIALS = 60

_SWEEP = """
import os, sys, time
sys.path.insert(0, {tests!r})
from sweep_toys import run
from jaxinv.sweeps.store import _store
_store._SECONDS = 0.05  # a sweep of hours in one of seconds
log = open({log!r}, "a", buffering=1)
def note(progress):
    time.sleep(0.005)
    log.write(f"{{progress.num_done}}\\n")
run(store={store!r}, num_trials={trials}, progress=note)
"""


def _start(folder):
    code = _SWEEP.format(
        tests=TESTS, store=str(folder / "sweep.sqlite"), log=str(folder / "log"), trials=_TRIALS
    )
    return subprocess.Popen([sys.executable, "-c", code])


def _killed_at(process, log, count):
    """Kill a sweep when it has reported ``count`` trials or more."""
    while process.poll() is None:
        seen = log.read_text().split() if log.exists() else []
        if seen and int(seen[-1]) >= count:
            process.kill()
            break
        time.sleep(0.002)
    return process.wait()


@pytest.mark.parametrize("num_kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_again_and_again(tmp_path, num_kills):
    """Each run goes on where the last was killed, but for the last moment before that."""
    rng = np.random.default_rng(3)
    num_trials = 6 * _TRIALS
    moments = np.sort(rng.integers(1, num_trials, num_kills))
    num_killed = 0
    for moment in moments:
        num_killed += _killed_at(_start(tmp_path), tmp_path / "log", int(moment)) != 0
    reports = []
    found = run(store=tmp_path / "sweep.sqlite", num_trials=_TRIALS, progress=reports.append)
    report = reports[-1].report
    assert num_killed == num_kills
    assert_same_bits(found, run(num_trials=_TRIALS))
    assert ji.sweeps.verify(tmp_path / "sweep.sqlite").ok
    assert report.num_run == num_trials - reports[0].num_done


def test_committed_blocks_are_never_computed_again(tmp_path):
    process = _start(tmp_path)
    _killed_at(process, tmp_path / "log", 200)
    before = ji.sweeps.open_store(tmp_path / "sweep.sqlite")
    num_safe = int(before["ran"].sum())
    reports = []
    run(store=tmp_path / "sweep.sqlite", num_trials=_TRIALS, progress=reports.append)
    assert reports[-1].report.num_run == 6 * _TRIALS - num_safe
    assert num_safe >= 100  # all but those of the last moment


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_signals_end_the_command_and_say_how_to_go_on(tmp_path, number, code):
    store, log = tmp_path / "sweep.sqlite", tmp_path / "log.json"
    command = [sys.executable, "-m", "jaxinv", "sweep", "lasso", "--trials", "100000"]
    command += ["--store", str(store), "--log-json", str(log), "--plot", str(tmp_path / "a.png")]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a parent may ignore it
    )
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        lines = log.read_text().splitlines() if log.exists() else []
        if any(json.loads(line)["done"] for line in lines):
            break
        time.sleep(0.05)
    os.kill(process.pid, number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert f"Finished trials are in {store}; the same command goes on there." in " ".join(
        output.split()
    )
    found = ji.sweeps.verify(store)
    assert (found.damaged, found.foreign, found.lost) == ((), (), ())
    assert found.num_blocks > 0
    assert not (tmp_path / "a.png").exists()


def test_a_time_limit_ends_the_command_and_compiled_programs_are_kept(tmp_path):
    command = [sys.executable, "-m", "jaxinv", "sweep", "lasso", "--trials", "100000"]
    command += ["--store", str(tmp_path / "s.sqlite"), "--plot", str(tmp_path / "a.png")]
    ended = subprocess.run(
        [*command, "--time-limit", "4s", "--compile-cache", str(tmp_path / "programs")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 124
    assert "run again to go on" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list((tmp_path / "programs").iterdir())
