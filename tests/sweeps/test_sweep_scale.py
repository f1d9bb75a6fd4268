"""Sweeps on several devices and workers, adaptive ones, and ones that are cut short."""

import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sweep_toys import GRID, KEY, TRACED, assert_same_bits, run

import jaxinv as ji
from jaxinv.sweeps import _block_size, sweep
from jaxinv.sweeps._executors import run_task
from jaxinv.sweeps._progress import Clock

TESTS = str(Path(__file__).parents[1])


@pytest.fixture(scope="module")
def reference():
    return run()


# --- devices --------------------------------------------------------------------------------

_DEVICES = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np, pytest
from sweep_toys import run
one = run()
for count in (2, 4):
    found = run(num_devices=count)
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], found[name], strict=True)
    assert found.attrs["block_size"] == 4
np.savez({path!r}, **{{name: values.values for name, values in one.data_vars.items()}})
import os
os.environ["NPROC"] = "4"
with pytest.raises(ValueError, match="NPROC"):
    run(num_devices=4)
"""


def test_host_devices_give_the_same_bits(tmp_path, reference, monkeypatch):
    path = str(tmp_path / "found.npz")
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    monkeypatch.setenv("XLA_FLAGS", flags)
    monkeypatch.setenv("NPROC", "16")
    code = _DEVICES.format(tests=TESTS, path=path)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    found = np.load(path)
    for name in reference.data_vars:
        np.testing.assert_array_equal(found[name], reference[name].values, strict=True)


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(ValueError, match="num_devices must be at most the"):
        run(num_devices=jax.local_device_count() + 1)


# --- block sizes ----------------------------------------------------------------------------


def many_small_trials(key, *, n):
    return {"sum": jnp.sum(jax.random.normal(key, (n,)))}


def test_the_measured_block_size_is_kept_in_the_store(tmp_path):
    store = tmp_path / "sweep.sqlite"
    options = {"key": KEY, "num_trials": 256, "store": store}
    found = sweep(many_small_trials, {"n": [8]}, block_size="auto", **options)
    size = found.attrs["block_size"]
    assert size > 1  # trials of microseconds are worth putting together
    again = sweep(many_small_trials, {"n": [8]}, block_size="auto", **options)
    assert again.attrs["block_size"] == size
    assert_same_bits(found, again)
    alone = sweep(many_small_trials, {"n": [8]}, block_size=size, **{**options, "store": None})
    assert_same_bits(found, alone)
    with pytest.raises(TypeError, match=r'block_size must be an integer.*"auto"'):
        sweep(many_small_trials, {"n": [8]}, block_size="large", **options)


@pytest.mark.parametrize(
    ("platform", "seconds", "num_trials", "size"),
    [
        # a processor takes a batch's trials one after another: the smallest block
        ("cpu", lambda size: 0.01 * size, 4096, 1),
        # launches dominate: the largest, though the smallest already takes over a second
        ("gpu", lambda size: 3 + 1e-4 * size, 4096, 4096),
        # nearly free up to 256 trials, then in proportion: no block of more than a second there
        ("gpu", lambda size: 3 * max(1, size / 256), 4096, 256),
        # never beyond 20 seconds
        ("gpu", lambda size: 30.0, 4096, 64),
        # never more than the trials of a cell
        ("gpu", lambda size: 0.1, 30, 30),
    ],
)
def test_block_sizes_follow_the_platform(monkeypatch, platform, seconds, num_trials, size):
    class Sized:
        def __init__(self, size):
            self.size = size

        def memory(self):
            return 0

    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(_block_size, "_seconds", lambda program, _: seconds(program.size))
    assert _block_size.measured_block_size(Sized, None, num_trials) == size


# --- executors ------------------------------------------------------------------------------


class KilledWorker(Exception):
    """As Dask names it."""


class Flaky:
    """An executor of one process whose workers die now and then."""

    _max_workers = 2

    def __init__(self, fail_every):
        self.fail_every, self.num_tasks, self.blocks = fail_every, 0, 0

    def submit(self, function, recipe, blocks):
        self.num_tasks += 1
        future = Future()
        if self.num_tasks % self.fail_every == 0:
            future.set_exception(KilledWorker("gone"))
        else:
            self.blocks += len(blocks)
            future.set_result(function(recipe, blocks))
        return future


def test_tasks_of_lost_workers_go_out_again(reference):
    reports = []
    executor = Flaky(fail_every=3)
    found = run(executor=executor, progress=reports.append)
    assert_same_bits(found, reference)
    assert reports[-1].report.num_retries == executor.num_tasks // 3 > 0
    assert executor.blocks == 18  # 6 cells of 3 blocks, none twice
    with pytest.raises(KilledWorker):
        run(executor=Flaky(fail_every=1))


def test_a_worker_with_other_code_is_refused():
    class Other(Flaky):
        def submit(self, function, recipe, blocks):
            return super().submit(function, recipe._replace(identity="0" * 64), blocks)

    assert run_task  # the workers' own entry point
    with pytest.raises(RuntimeError, match="builds another program"):
        run(executor=Other(fail_every=100))


def test_a_trial_that_workers_cannot_import_is_refused_before_they_start():
    pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    with pytest.raises(TypeError, match=r"other processes can import.*top level of a module"):
        sweep(lambda key, k: {"won": k > 0}, {"k": [1]}, key=KEY, num_trials=1, executor=pool)
    assert not pool._processes


# --- adaptive -------------------------------------------------------------------------------


def coin(key, *, k):
    """Success with a probability that falls from 1 to 0 around k = 33.3."""
    return {"won": jax.random.uniform(key, dtype=jnp.float32) < jax.nn.sigmoid((33.3 - k) / 2.0)}


def flip(grid=(10, 30, 34, 60), **options):
    options = {"key": KEY, "traced": ("k",), "block_size": 8, "success": "won", **options}
    return sweep(coin, {"k": list(grid)}, num_trials=options.pop("num_trials", 256), **options)


def test_a_cell_ends_when_its_rate_is_known_well_enough():
    everything = flip()
    found = flip(precision=0.1)
    trials = found["ran"].sum("trial").values
    assert list(trials[[0, 3]]) == [16, 16]  # all and nothing: ± 0.1 after 16
    assert trials.max() <= 128
    for position, count in enumerate(trials):
        np.testing.assert_array_equal(
            found["won"].values[position, :count], everything["won"].values[position, :count]
        )
        interval = scipy.stats.binomtest(
            int(found["won"].values[position, :count].sum()), int(count)
        ).proportion_ci(method="wilson")
        assert (interval.high - interval.low) / 2 <= 0.1
        if count > 16:  # and it was not known at half as many
            won = int(found["won"].values[position, : count // 2].sum())
            before = scipy.stats.binomtest(won, int(count) // 2).proportion_ci(method="wilson")
            assert (before.high - before.low) / 2 > 0.1
    rates = ji.sweeps.success_rate(found["won"] == 1)
    expected = [found["won"].values[i, :c].mean() for i, c in enumerate(trials)]
    np.testing.assert_allclose(rates["rate"], expected)


def test_bisection_finds_the_crossing_with_few_trials(tmp_path):
    dense = flip(range(0, 101), num_trials=64)
    found = flip((0, 50, 100), num_trials=64, bisect={"k": 1}, precision=0.15)
    assert int(found["ran"].sum()) < dense["won"].size / 10
    assert list(found["k"].values) == sorted(found["k"].values)
    there = ji.sweeps.transition(found["won"] == 1, "k")
    assert there["low"] <= 33.3 <= there["high"]
    assert abs(float(there["value"]) - 33.3) < 3
    cell = dense["won"].sel(k=found["k"])
    same = (found["won"] == cell) | ~found["ran"]
    assert same.all()


def test_an_adaptive_sweep_cut_short_ends_the_same(tmp_path):
    whole = flip((0, 50, 100), bisect="k", precision=0.1)
    store = tmp_path / "sweep.sqlite"

    def interrupt(progress):
        if progress.num_done >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flip((0, 50, 100), bisect="k", precision=0.1, store=store, progress=interrupt)
    again = flip((0, 50, 100), bisect="k", precision=0.1, store=store)
    assert again.equals(whole)
    assert ji.sweeps.open_store(store).equals(whole)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"precision": 0.1, "success": None}, ValueError, "precision must come with success"),
        ({"precision": 0.7}, ValueError, r"precision must be in \(0, 0.5\)"),
        ({"precision": -1}, ValueError, "precision must be"),
        ({"bisect": "m"}, ValueError, "bisect must be one of k"),
        ({"bisect": 3}, TypeError, "bisect must be the name of an axis"),
        ({"bisect": {"k": 0}}, ValueError, r"bisect\['k'\] must be"),
        ({"bisect": "k", "grid": [3]}, ValueError, r"grid\['k'\] must be two or more numbers"),
        ({"precision": 0.1, "success": "lost"}, ValueError, "success must be one of won"),
        ({"precision": 0.1, "success": lambda m: 1}, ValueError, "success must give booleans"),
        ({"success": 4}, TypeError, "success must be the name of a boolean metric"),
        ({"time_limit": 0}, ValueError, "time_limit must be"),
        ({"num_devices": 0}, ValueError, "num_devices must be >= 1"),
    ],
)
def test_bad_settings_are_named(options, error, message):
    with pytest.raises(error, match=message):
        flip(**options)


def test_transition_is_the_maximum_of_the_likelihood_and_covers():
    rng = np.random.default_rng(5)
    k = np.arange(10, 60, 5)
    truth, slope, hits = 32.7, 0.25, 0
    for draw in range(120):
        probability = 1 / (1 + np.exp(slope * (k - truth)))
        won = rng.random((k.size, 20)) < probability[:, None]
        success = ji_array(won, k)
        found = ji.sweeps.transition(success, "k")
        hits += bool(found["low"] <= truth <= found["high"])
        if draw < 5:
            wins = won.sum(1)

            def loss(parameters, wins=wins):
                logit = -parameters[1] * (k - 10 * parameters[0])
                return np.sum(20 * np.logaddexp(0, logit) - wins * logit)

            best = scipy.optimize.minimize(loss, [3.0, 0.2], method="Nelder-Mead")
            assert abs(float(found["value"]) - 10 * best.x[0]) < 0.1
    assert scipy.stats.binomtest(hits, 120, 0.95).pvalue > 0.01


def ji_array(won, k):
    import xarray as xr

    return xr.DataArray(won, dims=("k", "trial"), coords={"k": k})


def test_transition_at_the_ends():
    k = np.arange(1, 5)
    everything = ji.sweeps.transition(ji_array(np.ones((4, 30), bool), k), "k")
    assert np.isnan(everything["value"])
    assert everything["high"] == np.inf or everything["low"] == -np.inf
    with pytest.raises(ValueError, match="dimension 'm'"):
        ji.sweeps.transition(ji_array(np.ones((4, 30), bool), k), "m")


# --- time and observation -------------------------------------------------------------------


def test_no_compile_is_begun_that_would_end_after_the_limit():
    clock = Clock(60.0)
    assert clock.has_room()
    assert clock.has_room_to_compile()
    clock.longest_compile = 50.0
    assert clock.has_room()
    assert not clock.has_room_to_compile()


def test_a_time_limit_keeps_what_is_done(tmp_path, reference):
    store = tmp_path / "sweep.sqlite"

    def slow(progress):
        time.sleep(0.05)

    with pytest.warns(UserWarning, match="time limit came first.*run again to go on"):
        partial = run(store=store, time_limit=3.0, progress=slow, num_trials=1000)
    assert partial.attrs["complete"] == 0
    assert 0 < int(partial["ran"].sum()) < 6000
    assert np.isnan(partial["size"].values[~partial["ran"].values]).all()
    assert_same_bits(run(store=store, num_trials=10), reference)


def test_what_is_reported(tmp_path):
    heard = []
    store = tmp_path / "sweep.sqlite"
    run(store=store, num_trials=4)
    run(store=store, progress=heard.append)
    last, report = heard[-2], heard[-1].report
    assert last.num_done == last.num_trials == 60
    assert last.seconds_left == 0
    assert 0 < last.busy <= 1
    assert (report.num_trials, report.num_run, report.complete) == (60, 36, True)
    assert report.bytes_written > 36 * 3 * 4
    assert report.compile_seconds > 0
    assert report.total_seconds >= report.run_seconds > 0
    counts = [progress.num_done for progress in heard]
    assert counts == sorted(counts)
    failed = []
    sweep(failing, {"a": [1.0, 2.0]}, key=KEY, num_trials=4, progress=failed.append)
    assert failed[-1].report.num_failed == 4


def failing(key, *, a):
    return {"error": jnp.where(a > 1, jnp.nan, 0.0), "status": jnp.int32(3)}


def raising(key, *, a):
    if a > 1:
        raise ArithmeticError("no such thing")
    return {"value": jnp.zeros(())}


def test_a_trial_that_raises_loses_nothing(tmp_path):
    store = tmp_path / "sweep.sqlite"
    with pytest.raises(ArithmeticError, match="no such thing") as caught:
        sweep(raising, {"a": [1, 2]}, key=KEY, num_trials=3, store=store)
    assert any("in the cell {'a': 2}" in note for note in caught.value.__notes__)
    assert int(ji.sweeps.open_store(store)["ran"].sum()) == 3  # the first cell


def test_metrics_that_change_name_the_cells():
    def changing(key, *, a):
        return {f"value{a}": jnp.zeros(())}

    with pytest.raises(ValueError, match=r"value1.*in the cell {'a': 1} and .*in {'a': 2}"):
        sweep(changing, {"a": [1, 2]}, key=KEY, num_trials=1)


def test_the_next_program_compiles_beside_the_trials(reference):
    """Both programs are traced once, in the order of the grid, and the bits are the same."""
    heard = []
    found = sweep_in_two_programs(heard.append)
    assert_same_bits(found, reference)
    cells = [progress.cell["n"] for progress in heard if progress.finished]
    assert cells == [6, 6, 6, 3, 3, 3]


def sweep_in_two_programs(progress):
    return run(GRID, traced=TRACED, progress=progress)
