"""What a sweep says: progress without arrays, many compiles, and mistakes in a trial, in a line."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.sweeps import estimate, sweep
from jaxinv.sweeps._bar import ProgressBar
from jaxinv.sweeps._progress import Progress

KEY = jax.random.key(0)


def drawn(key, *, m=1, k=1):
    return {"own name": jax.random.normal(key) * m * k, "won": m > k}


def of_shape(key, *, m):
    return {"a": jnp.zeros(m).sum()}


def of_arange(key, *, m):
    return {"a": jnp.arange(m).sum()}


def of_rows(key, *, m):
    return {"a": ji.operators.gaussian(key, m, 5)(jnp.ones(5)).sum()}


def of_slice(key, *, m):
    return {"a": jnp.ones(9)[:m].sum()}


def of_float(key, *, m):
    return {"a": float(jax.random.normal(key))}


def of_numpy(key, *, m):
    return {"a": np.linalg.norm(jax.random.normal(key, (3,)))}


def of_if(key, *, m):
    return {"a": 1.0 if m > 2 else 0.0}


def of_mask(key, *, m):
    return {"a": jnp.ones(9)[jnp.arange(9) < m].sum()}


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (of_shape, r"not make a shape .*traced: m.*jnp\.zeros\(m\).*pad .*problems\.padded"),
        (of_arange, r"not make a shape .*jnp\.arange\(m\).*problems\.padded"),
        (of_rows, r"not make a shape .*operators\.gaussian\(key, m, 5\).*problems\.padded"),
        (of_slice, r"not make a shape or an index .*jnp\.ones\(9\)\[:m\].*problems\.padded"),
        (of_float, r"in JAX, got .*float\(jax\.random\.normal\(key\)\).*without float\(\)"),
        (of_numpy, r"in JAX, got .*np\.linalg\.norm.*jax\.numpy in place of numpy"),
        (of_if, r"whether a traced value .*1\.0 if m > 2.*jnp\.where\(test, a, b\)"),
        (of_mask, r"by a traced mask .*jnp\.arange\(9\) < m.*jnp\.where\(mask, x, 0\)"),
    ],
)
@pytest.mark.parametrize("run", [sweep, estimate])
def test_a_traced_value_in_the_wrong_place_is_one_line_with_the_place(run, trial, words):
    line = trial.__code__.co_firstlineno + 1
    with pytest.raises(TypeError, match=words) as caught:
        run(trial, {"m": [2, 3]}, key=KEY, num_trials=2, traced=("m",))
    text = str(caught.value)
    assert text.startswith(f"{run.__name__}: trial must")
    assert f"(test_sweep_messages.py, line {line})" in text
    assert "\n" not in text
    assert caught.value.__cause__ is None


def other_error(key, *, m):
    return {"a": ji.metrics.psnr(jnp.ones(3) * m, jnp.ones(4))}


def test_an_error_about_something_else_stays_what_it_is():
    with pytest.raises(ValueError, match="psnr: ") as caught:
        sweep(other_error, {"m": [2, 3]}, key=KEY, num_trials=2, traced=("m",))
    assert "sweep: raised by the trial in the cell {}" in caught.value.__notes__


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"a": jnp.ones(5)}, r"dict of scalars, got shape \(5,\) for 'a'.*name for each entry"),
        ({float("nan"): 1.0}, r"names that are texts, got float nan"),
        ({3: 1.0}, r"names that are texts, got int 3"),
        ({"": 1.0}, r"names that are texts"),
        (1.0, r"dict of scalars, got float 1\.0.*return \{\"error\": error\}"),
        ({"a": "text"}, r"numbers or booleans, got .*came as 'a'"),
        ({"m": 1.0}, r"names other than 'trial', 'ran' and those of the grid, got 'm'"),
    ],
)
def test_results_that_cannot_be_are_refused_by_name(result, words):
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        sweep(lambda key, m: result, {"m": [2]}, key=KEY, num_trials=1)
    assert str(caught.value).startswith("sweep: trial's result must")


def test_own_names_of_results_are_those_of_the_dataset():
    found = sweep(drawn, {"m": [1, 2], "k": [1]}, key=KEY, num_trials=3, traced=("m", "k"))
    assert sorted(found.data_vars) == ["own name", "won"]
    np.testing.assert_array_equal(found["won"].squeeze(), [[False] * 3, [True] * 3])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"grid": {"m": 3}}, r"estimate: grid\['m'\] must be a sequence"),
        ({"grid": {"m": [1]}, "traced": "m"}, "estimate: traced must be a tuple"),
        ({"grid": {"x": [1]}}, "estimate: trial must take a key"),
        ({"grid": {"m": [1]}, "num_devices": 99}, "estimate: num_devices must be at most"),
        ({"grid": {"m": [1]}, "trial": 3}, "estimate: trial must be a function"),
    ],
)
def test_an_estimate_refuses_in_its_own_name(arguments, words):
    with pytest.raises((ValueError, TypeError), match=words):
        estimate(**{"trial": drawn, "key": KEY, **arguments})


def test_many_programs_are_said_with_what_makes_one():
    grid = {"m": [1, 2, 3], "k": [1, 2, 3], "way": ["a"]}
    words = r"9 programs are compiled.*traced=\('m', 'k'\) makes one.*problems\.padded"
    with pytest.warns(UserWarning, match=words):
        sweep(lambda key, m, k, way: {"a": m * k}, grid, key=KEY, num_trials=1)
    grid = {"m": [1, 2, 3], "k": [1, 2, 3], "way": ["a", "b", "c"]}
    with pytest.warns(UserWarning, match=r"9 programs .*traced=\('m', 'k'\) makes 3\."):
        sweep(lambda key, m, k, way: {"a": m * k}, grid, key=KEY, num_trials=1, traced=("k",))


def test_progress_is_a_line_without_arrays(capsys):
    sweep(drawn, {"m": [1, 2]}, key=KEY, num_trials=3, traced=("m",), progress=print)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "0 of 6 trials, compiling"
    assert all(re.match(r"\d of 6 trials", line) for line in lines)
    assert any("(m = 2)" in line for line in lines)
    assert re.fullmatch(r"6 of 6 trials in \d+ s, \d+ s of it compiling", lines[-1])
    assert "array" not in repr(Progress(1, 2, {"m": 1}, {"a": np.zeros(3)}))


def test_progress_true_ends_with_a_line_where_there_is_no_terminal(capsys, monkeypatch):
    for name in ("FORCE_COLOR", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    sweep(drawn, {"m": [1, 2]}, key=KEY, num_trials=3, traced=("m",), progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("sweep: 6 of 6 trials in ")
    with pytest.raises(TypeError, match="progress must be True or a function of one Progress"):
        sweep(drawn, {"m": [1]}, key=KEY, progress="bar")


def test_the_bar_moves_where_there_is_a_terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ProgressBar() as bar:
        bar(Progress(3, 12, {"m": 1}, None, rate=2.0, seconds_left=4.0))
        (task,) = bar._bar.tasks
        assert (task.completed, task.total) == (3, 12)
        assert "4 s left" in task.description
        assert "(m = 1)" in task.description


_WITHOUT = """
from jaxinv.sweeps import local_workers
with local_workers(1) as client:
    print("started")
"""


def test_a_script_without_its_guard_is_refused_before_a_process_starts(tmp_path):
    script = tmp_path / "own.py"
    script.write_text(_WITHOUT)
    environment = {**os.environ, "PYTHONPATH": str(Path(ji.__file__).parents[1])}
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment
    )
    last = ended.stderr.strip().splitlines()[-1]
    assert ended.returncode == 1
    assert "started" not in ended.stdout
    assert last.startswith("ValueError: local_workers: the call must come below a line if __name__")
    assert "got line 3 of own.py" in last
    assert len(ended.stderr.splitlines()) < 25


def test_a_line_under_the_guard_is_seen_as_such(tmp_path):
    from jaxinv.sweeps._guard import _is_guarded

    script = tmp_path / "own.py"
    script.write_text('import jax\n\nif __name__ == "__main__":\n    run()\nrun()\n')
    assert [_is_guarded(str(script), line) for line in (1, 4, 5)] == [False, True, False]
