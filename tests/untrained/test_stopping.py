"""Stopping rules: their scores against direct computation, and where they stop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
KEY = jax.random.key(0)
SIZE = 40
SGD = optax.sgd(0.05)


def modes(params, z):
    """A linear prior with a decaying spectrum: descent learns the first entries first."""
    return params * z


def spectrum():
    return np.linspace(1, 0, SIZE) ** 2 + 0.02


def prior():
    start = jnp.zeros(SIZE, DTYPE)
    return ji.generators.from_function(modes, start).untrained(jnp.asarray(spectrum(), DTYPE))


def noisy(std=0.3):
    rng = np.random.default_rng(0)
    x = np.where(np.arange(SIZE) < 12, rng.normal(size=SIZE), 0)
    return x, jnp.asarray(x + std * rng.normal(size=SIZE), DTYPE)


def path(y, num_steps, average):
    """Return iterates and their averages of descent on the linear prior."""
    s, params, mean = spectrum(), np.zeros(SIZE), 0.0
    iterates, means = [], []
    for t in range(num_steps):
        x = s * params
        iterates.append(x)
        keep = min(average, t / (t + 10))
        mean = keep * mean + (1 - keep) * x
        means.append(mean)
        params = params - 0.05 * s * (x - y)
    return np.array(iterates), np.array(means)


def fitted(stop, y, num_steps=300, average=0.9, look_every=10, **options):
    problem = ji.Problem(ji.operators.identity((SIZE,)), y)
    return ji.untrained.fit(
        KEY, prior(), problem, optimizer=SGD, num_steps=num_steps, stop=stop, average=average,
        look_every=look_every, tol=0, **options,
    )  # fmt: skip


def test_the_windowed_variance_is_that_of_the_window():
    _, y = noisy()
    rule = ji.untrained.windowed_variance(window=25, patience=270)
    found = fitted(rule, y)
    iterates, means = path(np.asarray(y, float), 300, 0.9)
    looks = np.arange(10, 301, 10)
    expected = [iterates[t - 25 : t].var(axis=0).mean() if t >= 25 else np.inf for t in looks]
    np.testing.assert_allclose(found.history.score, expected, rtol=1e-3)
    best = looks[int(np.argmin(expected))]
    assert found.history.best_step == best
    np.testing.assert_allclose(found.x, means[best - 1], atol=1e-4)


def test_the_exponential_variance_is_the_recursion():
    _, y = noisy()
    found = fitted(ji.untrained.exponential_variance(weight=0.2, patience=250), y)
    iterates, _ = path(np.asarray(y, float), 300, 0.9)
    mean, variance, expected = iterates[0], 0.0, []
    for t, x in enumerate(iterates):
        change = x - mean
        mean = mean + 0.2 * change
        variance = 0.8 * (variance + 0.2 * np.mean(change**2))
        if t % 10 == 9:
            expected.append(variance if t + 1 >= 50 else np.inf)
    np.testing.assert_allclose(found.history.score, expected, rtol=1e-3)


def test_what_is_held_out_is_not_fitted_and_is_the_score():
    _, y = noisy()
    rule = ji.untrained.held_out(0.25, patience=300)
    found = fitted(rule, y, average=0.0)
    left = np.asarray(found.params) == 0  # each entry of this prior sees one measurement
    assert 3 <= left.sum() <= 20
    changed = jnp.where(jnp.asarray(left), y + 5, y)
    again = fitted(rule, changed, average=0.0)
    np.testing.assert_array_equal(again.history.loss, found.history.loss)
    iterates, _ = path(np.where(left, 0, np.asarray(y, float)), 300, 0.0)
    expected = [np.mean((iterates[t - 1] - np.asarray(y))[left] ** 2) for t in range(10, 301, 10)]
    np.testing.assert_allclose(found.history.score, expected, rtol=1e-3)


def test_held_out_measurements_stop_near_the_best_iterate():
    rng = np.random.default_rng(1)
    n, m = 60, 2000
    matrix = rng.normal(size=(m, n)) / np.sqrt(m)
    decay = np.exp(-np.arange(n) / 8)
    x = decay * rng.normal(size=n)
    y = matrix @ x + 0.1 * rng.normal(size=m)
    start = ji.generators.from_function(modes, jnp.zeros(n, DTYPE))
    own = start.untrained(jnp.asarray(decay, DTYPE))
    problem = ji.Problem(ji.operators.dense(jnp.asarray(matrix, DTYPE)), jnp.asarray(y, DTYPE))
    options = {"optimizer": optax.sgd(0.5), "average": 0.0, "look_every": 5, "tol": 0}
    found = ji.untrained.fit(
        KEY, own, problem, num_steps=4000, stop=ji.untrained.held_out(0.1, 300), **options
    )
    assert found.status == ji.Status.STOPPED
    assert found.num_steps < 4000
    errors = []
    params = np.zeros(n)
    for _ in range(4000):
        params = params - 0.5 * decay * (matrix.T @ (matrix @ (decay * params) - y))
        errors.append(np.sum((decay * params - x) ** 2))
    error = np.sum((np.asarray(found.x) - x) ** 2)
    assert error < 1.3 * min(errors)  # known only to the test
    assert errors[-1] > 1.5 * error


def test_sure_is_the_error_of_a_linear_filter_on_average():
    sigma = 0.3
    x, _ = noisy()
    s = spectrum()
    gain = 1 - (1 - 0.05 * s**2) ** (np.arange(10, 301, 10)[:, None] - 1)
    scores, errors = [], []
    for seed in range(40):
        y = x + sigma * np.random.default_rng(100 + seed).normal(size=SIZE)
        rule = ji.untrained.sure(sigma, patience=300)
        found = fitted(rule, jnp.asarray(y, DTYPE), average=0.0)
        misfit = np.mean(((gain - 1) * y) ** 2, axis=1)
        # descent acts on each entry alone: the probe sees the divergence exactly
        expected = misfit - sigma**2 + 2 * sigma**2 * gain.mean(axis=1)
        np.testing.assert_allclose(found.history.score, expected, rtol=2e-3, atol=2e-5)
        scores.append(expected)
        errors.append(np.mean((gain * y - x) ** 2, axis=1))
    gap = np.array(scores) - np.array(errors)
    standard_error = gap.std(axis=0) / np.sqrt(len(gap))
    assert (np.abs(gap.mean(axis=0)) < 4 * standard_error + 1e-6).all()  # unbiased


@pytest.mark.parametrize(
    "rule",
    [
        ji.untrained.windowed_variance(25, 60),
        ji.untrained.exponential_variance(0.2, 60),
        ji.untrained.held_out(0.2, 60),
        ji.untrained.sure(0.3, 60),
    ],
    ids=["windowed", "exponential", "held out", "sure"],
)
def test_every_rule_works_for_a_batch_and_freezes_what_has_stopped(rule):
    _, y = noisy()
    problem = ji.Problem(ji.operators.identity((SIZE,)), jnp.stack([y, 0.2 * y]))
    keys = jax.random.split(KEY, 2)
    options = {"optimizer": SGD, "num_steps": 600, "stop": rule, "look_every": 10, "tol": 0.0}
    axes = ji.Problem(None, 0, None, None)
    found = ji.untrained.fit(keys, prior(), problem, axes=axes, **options)
    for index in range(2):
        alone = ji.untrained.fit(
            keys[index], prior(), ji.Problem(problem.operator, problem.y[index]), **options
        )
        assert alone.status == found.status[index]
        assert alone.num_steps == found.num_steps[index]
        np.testing.assert_allclose(found.x[index], alone.x, atol=1e-5)
        for name in ("residual", "score"):
            mine, last = getattr(found.history, name)[index], getattr(alone.history, name)[-1]
            looks = len(getattr(alone.history, name))
            np.testing.assert_allclose(mine[looks - 1 :], last, rtol=1e-3, atol=1e-6)


def held(y, fraction=0.3, count=40):
    """Return which entries were held out for at least one of many keys, and how many at once."""
    rule = ji.untrained.held_out(fraction)
    problem = ji.Problem(ji.operators.identity(y.shape), jnp.asarray(y))
    masks = jax.vmap(lambda key: rule.begin(key, problem, problem.y))(
        jax.random.split(jax.random.key(0), count)
    )
    return np.asarray(masks).any(axis=0), np.asarray(masks).sum(axis=tuple(range(1, masks.ndim)))


def test_what_was_not_measured_and_what_holds_the_image_are_not_held_out():
    rng = np.random.default_rng(2)
    ever, _ = held(np.where(np.arange(60) % 3 == 0, rng.normal(size=60), 0))
    np.testing.assert_array_equal(ever, np.arange(60) % 3 == 0)
    mean_first = np.concatenate([[90.0], rng.normal(size=99)])
    np.testing.assert_array_equal(held(mean_first)[0], np.arange(100) > 0)
    coefficients = rng.permutation(np.arange(1, 501)) * (1 + 1j)
    coefficients[:100] = 0
    sizes = np.abs(coefficients)
    ever, counts = held(coefficients)
    np.testing.assert_array_equal(ever, (sizes > 0) & (sizes < np.sort(sizes)[-41]))
    assert abs(counts.mean() / ever.sum() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / (40 * ever.sum()))


@pytest.mark.parametrize("y", [np.zeros(5), np.ones(5) * 1j, np.eye(1, 5, 2)[0], np.ones(5)])
def test_something_can_always_be_held_out(y):
    ever, counts = held(y, 1e-6)
    assert set(counts) == {1}
    assert ever.sum() == (1 if np.count_nonzero(y) == 1 else 5)


def test_one_entry_at_least_is_held_out():
    few = ji.Problem(ji.operators.identity((2,)), jnp.ones(2))
    rule = ji.untrained.held_out(1e-6)
    held = [np.asarray(rule.begin(jax.random.key(i), few, few.y)) for i in range(20)]
    assert {mask.sum() for mask in held} == {1}
    assert len({mask.argmax() for mask in held}) == 2
    with pytest.raises(ValueError, match="two entries or more"):
        rule.check("fit", few._replace(y=jnp.ones(1)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ji.untrained.windowed_variance(1), "window"),
        (lambda: ji.untrained.exponential_variance(1.0), "weight must be below 1"),
        (lambda: ji.untrained.held_out(0.0), "fraction"),
        (lambda: ji.untrained.held_out(0.1, 0), "patience"),
        (lambda: ji.untrained.sure(-1.0), "noise_std"),
    ],
)
def test_bad_rules_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
