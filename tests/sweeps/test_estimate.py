"""What a sweep would take: fits, intervals, and a sweep whose time is known."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxinv.sweeps import _estimate, estimate, sweep
from jaxinv.sweeps._estimate import _of_trials, _spread, _whole, power_law

KEY = jax.random.key(0)


def test_a_power_law_is_the_line_of_scipy():
    rng = np.random.default_rng(0)
    sizes = np.array([5, 10, 20, 40, 80, 150])
    seconds = 1e-3 * sizes**1.3 * np.exp(0.1 * rng.standard_normal(6))
    slopes, errors = power_law(sizes, seconds)
    line = scipy.stats.linregress(np.log(sizes), np.log(seconds))
    np.testing.assert_allclose((slopes[0], errors[0]), (line.slope, line.stderr), rtol=1e-9)


def test_a_power_law_of_two_sizes():
    m, n = (side.ravel() for side in np.meshgrid([50, 100, 200], [100, 300]))
    slopes, errors = power_law(np.column_stack([m, n]), 2e-6 * m**1.5 * n**0.5)
    np.testing.assert_allclose(slopes, (1.5, 0.5), rtol=1e-9)
    assert max(errors) < 1e-9
    assert np.isnan(power_law([1, 2], [1.0, 2.0])[1]).all()  # a line through two points
    assert np.isnan(power_law([[1, 1], [2, 2], [3, 3]], [1.0, 2.0, 3.0])[0]).all()


@pytest.mark.parametrize("count", [1, 2, 3, 16, 37])
def test_cells_are_visited_from_the_ends_inwards(count):
    order = _spread(count)
    assert sorted(order) == list(range(count))
    assert order[:2] == [0, count - 1][: min(count, 2)]
    if count == 37:
        assert np.max(np.diff(sorted(order[:9]))) <= 5  # nine of them leave no large gap


@pytest.mark.parametrize(("cells", "rounds"), [(16, 1), (16, 3), (6, 2)])
def test_the_interval_holds_the_whole(monkeypatch, cells, rounds):
    monkeypatch.setattr(_estimate, "_of_the_machine", lambda: 0.0)
    rng = np.random.default_rng(cells + rounds)
    held, widths = [], []
    for _ in range(200):
        scatter = np.exp(0.4 * rng.standard_normal((16, 30)))
        seconds = 1e-3 * np.linspace(5, 150, 16)[:, None] ** 1.2 * scatter
        times = {i: list(seconds[i, :rounds]) for i in _spread(16)[:cells]}
        found, half = _whole(times, 16, 30)
        held.append(abs(np.log(np.sum(seconds) / found)) <= half)
        widths.append(half)
    assert np.mean(held) >= 0.9
    assert np.median(widths) < 0.7  # and says something


def test_a_machine_that_slows_down_is_no_growth():
    drift = np.linspace(1.0, 2.0, 16)  # a round takes twice as long in the end
    found = _of_trials({0: list(1e-3 * drift), 1: list(3e-3 * drift[:15])})
    assert (found.name, found.num_points) == ("trial", 4)
    np.testing.assert_allclose(found.slope, 1.0, atol=1e-9)


def test_an_estimate_holds_the_sweep():
    def wait(n):
        time.sleep(0.01 * float(n))
        return np.float32(n)

    def trial(key, *, n):
        return {"waited": jax.pure_callback(wait, jax.ShapeDtypeStruct((), jnp.float32), n)}

    reports = []
    settings = {"key": KEY, "num_trials": 15, "traced": ("n",)}
    found = estimate(trial, {"n": [1, 2, 3, 4]}, **settings, time_limit=1.0)
    sweep(trial, {"n": [1, 2, 3, 4]}, **settings, progress=lambda p: reports.append(p.report))
    took = reports[-1].compile_seconds + reports[-1].run_seconds
    assert found.seconds - found.compile_seconds > 1.5  # 15 x (10 + 20 + 30 + 40) ms, and calls
    assert found.low <= took <= found.high
    assert 4 <= found.num_timed < found.num_blocks == 60
    trials, n = found.growth
    assert (trials.name, n.name, n.num_points) == ("trial", "n", 4)
    assert 0.6 < n.slope < 1.05  # the calls themselves do not grow
    assert n.error < 0.15
    assert found.bytes > 0


def test_programs_are_counted_and_those_without_time_left_out():
    def trial(key, *, n, how, scale):
        return {"x": scale * jnp.sum(jax.random.normal(key, (n,), jnp.float32))}

    grid = {"n": [3, 4, 5, 6], "how": ["a", "b"], "scale": [1.0, 2.0]}
    options = {"key": KEY, "num_trials": 3, "traced": ("scale",), "time_limit": 1e-6}
    found = estimate(trial, grid, **options)
    assert found.num_cells_timed == 2  # the ends, whatever they take
    assert found.num_blocks == 3 * 16
    each = found.compile_seconds / 8  # programs: traced values share theirs
    assert 0 < each < found.seconds / 8
    assert [growth.name for growth in found.growth] == ["trial", "n", "scale"]


def test_wrong_arguments_of_an_estimate_are_refused():
    def trial(key, *, n):
        return {"x": n}

    for wrong in ({"time_limit": 0}, {"num_trials": 0}, {"block_size": "auto"}, {"key": 3}):
        arguments = {"key": KEY, **wrong}
        with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
            estimate(trial, {"n": [1]}, **arguments)
