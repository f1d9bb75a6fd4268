"""Intervals and means of draws against the normal distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jaxinv as ji


def draws(x, status):
    ones = jnp.ones(x.shape[0])
    return ji.Samples(x, x, ones, ones, ones, jnp.full(x.shape[0], status, jnp.int32))


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_intervals_are_those_of_the_density(level):
    x = np.random.default_rng(0).normal(2.0, 3.0, size=(4, 20_000, 2))
    found = ji.samplers.summary(draws(jnp.asarray(x), ji.Status.SAMPLED), level=level)
    low, high = stats.norm.interval(level, 2, 3)
    np.testing.assert_allclose(found.low, [low] * 2, atol=0.06)  # 4 standard errors and more
    np.testing.assert_allclose(found.high, [high] * 2, atol=0.06)
    np.testing.assert_allclose(found.mean, x.mean((0, 1)), rtol=1e-4)
    np.testing.assert_allclose(found.std, x.std((0, 1)), rtol=1e-4)


def test_chains_that_have_not_mixed_are_summed_up_on_request_only():
    bad = draws(jnp.ones((3, 5, 2)), ji.Status.UNMIXED)
    with pytest.raises(ValueError, match="got UNMIXED for 3 of 3"):
        ji.samplers.summary(bad)
    assert float(ji.samplers.summary(bad, unmixed=True).std.max()) == 0
    assert jax.jit(ji.samplers.summary)(bad).mean.shape == (2,)  # a status is no number there
