"""Shrinkage functions against numerical integration and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize
from scipy.stats import norm

from jaxinv import shrinkage
from jaxinv.shrinkage._posterior_mean import PosteriorMean

X64 = jax.config.jax_enable_x64
DTYPE = np.float64 if X64 else np.float32
EPS = float(np.finfo(DTYPE).eps)

V = np.array([-2.3, -0.4, -0.05, 0.0, 0.11, 0.7, 1.9, 4.0], DTYPE)


def wiener(v, noise_std):
    return v / (1 + noise_std**2)


def integrated(v, noise_std, sparsity, variance):
    """Posterior mean and variance by quadrature over the signal's Gaussian part."""
    std = variance**0.5
    center = v * variance / (variance + noise_std**2)
    width = 12 * noise_std * std / np.hypot(noise_std, std)

    x = np.linspace(center - width, center + width, 4001)
    weight = sparsity * norm.pdf(x, scale=std) * norm.pdf(v - x, scale=noise_std)
    total = integrate.trapezoid(weight, x) + (1 - sparsity) * norm.pdf(v, scale=noise_std)
    mean = integrate.trapezoid(x * weight, x) / total
    return mean, integrate.trapezoid(x**2 * weight, x) / total - mean**2


@pytest.mark.parametrize(("noise_std", "sparsity", "variance"), [(0.3, 0.1, 1.0), (1.2, 0.4, 2.5)])
def test_posterior_mean_is_the_integral(noise_std, sparsity, variance):
    shrink = shrinkage.posterior_mean(sparsity, variance)
    expected = [integrated(float(v), noise_std, sparsity, variance) for v in V]
    np.testing.assert_allclose(
        shrink(V, noise_std), [mean for mean, _ in expected], rtol=300 * EPS, atol=EPS
    )
    # the derivative of a posterior mean is the posterior variance over that of the noise
    np.testing.assert_allclose(
        shrink.derivative(V, noise_std),
        [spread / noise_std**2 for _, spread in expected],
        rtol=max(1e-8, 300 * EPS),
    )


@pytest.mark.parametrize(
    "shrink",
    [shrinkage.soft(1.3), shrinkage.posterior_mean(0.2, 1.5), shrinkage.from_function(wiener)],
    ids=["soft", "posterior_mean", "from_function"],
)
def test_derivatives_are_finite_differences(shrink):
    step = 0.02 if not X64 else 1e-4
    got = np.asarray(shrink.derivative(V, 0.5), float)
    v = V.astype(float)
    slopes = (
        8 * (np.asarray(shrink(V + DTYPE(step), 0.5), float) - shrink(V - DTYPE(step), 0.5))
        - np.asarray(shrink(V + DTYPE(2 * step), 0.5), float)
        + np.asarray(shrink(V - DTYPE(2 * step), 0.5), float)
    ) / (12 * step)
    assert np.min(np.abs(np.abs(v) - 0.65)) > 2 * step  # no kink of the soft threshold inside
    np.testing.assert_allclose(got, slopes, atol=1e-4 if not X64 else 1e-9)


@pytest.mark.parametrize("sparsity", [1e-6, 0.1, 1.0])
def test_posterior_mean_has_no_nan_down_to_no_noise(sparsity):
    def value(log_odds, log_variance, v, noise_std):
        return jnp.sum(PosteriorMean(log_odds, log_variance)(v, noise_std) ** 2)

    shrink = shrinkage.posterior_mean(sparsity)
    v = jnp.asarray([0.0, 1e-30, 1e-6, 0.3, -20.0, 1e6], DTYPE)
    for noise_std in (0.0, 1e-38, 1e-20, 1e-12, 1e-7, 1e-3, 1.0, 1e6):
        noise_std = jnp.asarray(noise_std, DTYPE)
        assert np.all(np.isfinite(shrink(v, noise_std)))
        slope = np.asarray(shrink.derivative(v, noise_std))
        assert np.all(np.isfinite(slope))
        assert np.all(slope >= 0)
        leaves = (jnp.asarray(shrink.log_odds, DTYPE), jnp.asarray(shrink.log_variance, DTYPE))
        gradients = jax.grad(value, argnums=(0, 1, 2, 3))(*leaves, v, noise_std)
        assert all(np.all(np.isfinite(g)) for g in gradients), (noise_std, gradients)
        both = jax.grad(lambda v, s: jnp.sum(shrink.derivative(v, s)), argnums=(0, 1))
        assert all(np.all(np.isfinite(g)) for g in both(v, noise_std))
    np.testing.assert_array_equal(shrink(v, 0.0)[3:], v[3:])
    np.testing.assert_array_equal(shrink.derivative(v, 0.0)[3:], 1)
    assert shrink(v, 0.0)[0] == 0


def test_posterior_mean_limits():
    np.testing.assert_allclose(
        shrinkage.posterior_mean(1.0, 2.0)(V, 0.7), V * 2 / 2.49, rtol=8 * EPS
    )
    shrink = shrinkage.posterior_mean(0.25, 3.0)
    np.testing.assert_allclose([shrink.sparsity, shrink.variance], [0.25, 3.0], rtol=1e-6)
    # scale: a signal twice as large in noise twice as large is twice the estimate
    np.testing.assert_allclose(
        shrinkage.posterior_mean(0.25, 12.0)(2 * V, 0.8), 2 * shrink(V, 0.4), rtol=1e-5
    )


def test_soft_is_a_threshold_and_its_default_is_minimax():
    v, noise_std = V.astype(float), 0.5
    expected = np.where(np.abs(v) > 0.6, v - 0.6 * np.sign(v), 0)
    np.testing.assert_allclose(shrinkage.soft(1.2)(V, noise_std), expected, atol=4 * EPS)

    def worst(alpha):  # nonzero entries at infinity cost 1 + alpha^2 each
        rest = 2 * ((1 + alpha**2) * norm.cdf(-alpha) - alpha * norm.pdf(alpha))
        return 0.1 * (1 + alpha**2) + 0.9 * rest

    best = optimize.minimize_scalar(worst, bounds=(0, 4), method="bounded", options={"xatol": 1e-9})
    assert shrinkage.soft().multiplier == pytest.approx(best.x, abs=1e-5)


def test_zero_stays_zero_without_noise():
    for shrink in (shrinkage.soft(), shrinkage.posterior_mean(0.1)):
        np.testing.assert_array_equal(shrink(np.zeros(3, DTYPE), 0.0), 0)
        assert np.all(np.isfinite(shrink.derivative(np.zeros(3, DTYPE), 0.0)))


def test_leaves_batch_and_train():
    multipliers = jnp.asarray([0.5, 1.0], DTYPE)
    got = jax.vmap(lambda a: shrinkage.soft(a)(V, 0.4))(multipliers)
    for row, a in zip(got, (0.5, 1.0), strict=True):
        np.testing.assert_array_equal(row, shrinkage.soft(a)(V, 0.4))
    got = jax.vmap(lambda p: shrinkage.posterior_mean(p)(V, 0.4))(jnp.asarray([0.1, 1.0], DTYPE))
    for row, p in zip(got, (0.1, 1.0), strict=True):
        np.testing.assert_allclose(row, shrinkage.posterior_mean(p)(V, 0.4), atol=8 * EPS)

    slope = jax.grad(lambda shrink: jnp.sum(shrink(V, 0.4) ** 2))(shrinkage.posterior_mean(0.1))
    assert isinstance(slope, PosteriorMean)
    assert slope.log_odds > 0


def test_types_follow_the_input():
    for shrink in (shrinkage.soft(), shrinkage.posterior_mean(0.1)):
        assert shrink(jnp.ones(3, jnp.float32), 0.5).dtype == jnp.float32
        assert shrink.derivative(jnp.ones(3, jnp.float32), 0.5).dtype == jnp.float32


def test_bad_input_is_one_line():
    with pytest.raises(ValueError, match=r"Soft: v must be real"):
        shrinkage.soft()(np.ones(2, complex), 1.0)
    with pytest.raises(ValueError, match=r"Soft: noise_std must be finite and >= 0"):
        shrinkage.soft()(V, -1.0)
    with pytest.raises(ValueError, match=r"apply must return the shape \(8,\) of v"):
        shrinkage.from_function(total)(V, 1.0)


def total(v, noise_std):
    return jnp.sum(v) + noise_std
