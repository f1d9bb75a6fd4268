"""Fits of measurements in any unit, and derivatives through fits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from untrained_toys import DTYPE, KEY, SHAPE, decoder, signal

import jaxinv as ji
from jaxinv.operators._mask import Mask
from jaxinv.untrained._descent import unit_of

ADAM = optax.adam(0.01)


def scaled(size, num_steps=12, **options):
    """A fit of the same signal, measured in another unit."""
    weights = jnp.full(SHAPE, size, DTYPE)
    problem = ji.Problem(ji.operators.mask(weights), weights * signal()[1])
    return ji.untrained.fit(
        KEY, decoder(), problem, num_steps=num_steps, look_every=6, **{"stop": None} | options
    )


@pytest.mark.parametrize("stop", [None, ji.untrained.held_out(0.1, 12)], ids=["", "held out"])
def test_the_fit_does_not_depend_on_the_unit_of_the_measurements(stop):
    usual = scaled(1.0, stop=stop)
    for size in (1e-18, 1e-9, 1e9, 1e18):
        found = scaled(size, stop=stop)
        np.testing.assert_allclose(found.x, usual.x, atol=1e-3)
        assert found.status == usual.status
        np.testing.assert_allclose(found.history.residual, usual.history.residual, rtol=1e-3)
        assert found.history.best_step == usual.history.best_step
    loss = np.asarray(scaled(1e-9, stop=stop).history.loss, float)
    np.testing.assert_allclose(loss * 1e18, usual.history.loss, rtol=1e-3)
    small = scaled(2.0**-60, stop=stop)  # powers of two are exact
    large = scaled(2.0**60, stop=stop)
    np.testing.assert_array_equal(small.x, large.x)


def test_usual_measurements_keep_their_unit():
    for size in (2.0**-7, 0.3, 1.0, 255.0, 2.0**29):
        assert unit_of(jnp.asarray([0.0, -size], DTYPE), False) == 1
    for size in (2e-38, 1e-20, 7e-3, 3e9, 3e38):
        y = jnp.asarray([0.0, size], DTYPE)
        assert 1 <= unit_of(y, False) * size < 4
        assert unit_of(1j * y, False) == unit_of(y, False)
    for y in (0.0, jnp.nan, jnp.inf):
        assert unit_of(jnp.full(2, y, DTYPE), True) == 1
    assert unit_of(jnp.full(2, 1e-30, DTYPE), True) == 2.0**60


def test_a_broken_operator_is_not_finite_under_jit():
    @jax.jit
    def status(weights):
        problem = ji.Problem(Mask(weights, 1), signal()[1])
        return ji.untrained.fit(
            KEY, decoder(), problem, num_steps=12, look_every=6, stop=None
        ).status

    assert status(jnp.ones(SHAPE, DTYPE).at[3].set(jnp.nan)) == ji.Status.NONFINITE
    assert status(jnp.ones(SHAPE, DTYPE)) == ji.Status.MAX_STEPS


def test_an_average_does_not_hold_a_short_fit_at_its_start():
    last = scaled(1.0, num_steps=90, average=0.0)
    mean = scaled(1.0, num_steps=90)
    errors = [np.linalg.norm(found.x - signal()[1]) for found in (last, mean)]
    assert errors[1] < 1.2 * errors[0]


def descended(y, optimizer):
    """The energy of a fit by a plain ReLU network, many of whose units are never active."""
    G = ji.generators.relu(KEY, (4, 16, 12), dtype=y.dtype)
    problem = ji.Problem(ji.operators.identity(12), y)
    prior = G.untrained(jnp.ones(4, y.dtype))
    found = ji.untrained.fit(
        KEY, prior, problem, optimizer=optimizer, num_steps=4, look_every=4, stop=None
    )
    return jnp.sum(jnp.square(found.x))


def test_derivatives_through_adam_are_those_of_differences():
    with jax.enable_x64(True):
        y = jnp.sin(jnp.arange(12.0, dtype=jnp.float64)) + 1
        value = jax.jit(descended, static_argnums=1)
        slope = jax.jit(jax.grad(descended), static_argnums=1)(y, ADAM)
        step = 1e-6 * jnp.eye(12, dtype=jnp.float64)
        expected = [(value(y + e, ADAM) - value(y - e, ADAM)) / 2e-6 for e in step]
    assert 0 < np.count_nonzero(slope) < 12  # some outputs are never active
    np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=1e-8)
