"""The best of several fits is the one that meets the measurements, whatever the truth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.untrained import Fit, FitHistory, least_misfit


def made(residual, best_step):
    """Return fits of which only the misfits at each look, after 10, 20 and 30 steps, matter."""
    count = len(residual)
    history = FitHistory(
        loss=jnp.zeros((count, 30)),
        look_steps=jnp.array([10, 20, 30]),
        score=jnp.zeros((count, 3)),
        residual=jnp.asarray(residual),
        best_step=jnp.asarray(best_step),
        num_spikes=jnp.zeros(count, jnp.int32),
    )
    numbers = jnp.arange(count)
    prior = {"z": 10.0 * numbers}
    return Fit(numbers[:, None] * jnp.ones(5), {"w": numbers}, history, numbers, numbers, prior)


def test_the_misfit_of_the_estimate_that_was_kept_decides():
    # the second has the least misfit at its last look, but kept what it had after 10 steps
    fits = made([[0.9, 0.5, 0.4], [0.8, 0.2, 0.1], [0.9, 0.3, 0.6]], [30, 10, 20])
    found = least_misfit(fits)
    assert int(found.params["w"]) == 2
    assert found.x.shape == (5,)
    assert found.prior is fits.prior  # shared by all fits
    np.testing.assert_array_equal(found.history.look_steps, [10, 20, 30])
    np.testing.assert_array_equal(found.history.residual, fits.history.residual[2])


def test_groups_are_judged_each_by_itself_and_failures_last():
    nan = float("nan")
    residual = [[0.5] * 3, [0.4] * 3, [nan] * 3, [0.9] * 3, [nan] * 3, [nan] * 3]
    found = least_misfit(made(residual, [30] * 6), 2)
    assert found.params["w"].tolist() == [1, 3, 4]
    assert found.history.loss.shape == (3, 30)


def test_it_picks_among_fits_that_were_run():
    prior = ji.generators.two_layer_decoder(16, 4)
    y = jnp.stack([jnp.hanning(16), jnp.linspace(0, 1, 16)])
    problem = ji.Problem(ji.operators.identity(16), jnp.repeat(y, 3, axis=0))
    keys = jax.random.split(jax.random.key(0), 6)
    fits = ji.untrained.fit(keys, prior, problem, axes=ji.Problem(None, 0), num_steps=50, stop=None)
    found = jax.jit(least_misfit, static_argnums=1)(fits, 3)
    misfits = np.linalg.norm(fits.x - problem.y, axis=1) / np.linalg.norm(problem.y, axis=1)
    best = misfits.reshape(2, 3).argmin(axis=1) + np.array([0, 3])
    assert len(set(misfits.round(6))) == 6
    np.testing.assert_array_equal(found.x, fits.x[best])


def test_what_cannot_be_is_refused():
    fits = made([[0.5] * 3] * 6, [30] * 6)
    with pytest.raises(ValueError, match="num_restarts must divide the number of fits, 6, got 4"):
        least_misfit(fits, 4)
    with pytest.raises(ValueError, match=r"fits must have a first axis.*vector of keys"):
        least_misfit(least_misfit(fits))
    with pytest.raises(TypeError, match="fits must be what fit returned"):
        least_misfit(jnp.zeros(3))
    with pytest.raises(ValueError, match="num_restarts"):
        least_misfit(fits, 0)
