"""State evolution and the limits of sparse recovery, against closed forms, SciPy and sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, optimize
from scipy.stats import norm

from jaxinv import shrinkage, theory

X64 = jax.config.jax_enable_x64
RTOL = 1e-9 if X64 else 2e-5


def soft_error(threshold, noise_std, sparsity):
    """E (soft(X + noise) - X)^2 for Bernoulli-Gauss X of variance 1: the closed form."""

    def energy(std):
        b = threshold / std
        return 2 * std**2 * ((1 + b**2) * norm.cdf(-b) - b * norm.pdf(b))

    std = np.sqrt(1 + noise_std**2)
    present = energy(std) - 4 * norm.cdf(-threshold / std) + 1
    return (1 - sparsity) * energy(noise_std) + sparsity * present


def test_soft_threshold_follows_the_closed_form():
    aspect, sparsity, alpha, sigma = 0.4, 0.15, 1.3, 0.1
    found = theory.state_evolution(
        shrinkage.soft(alpha), aspect=aspect, sparsity=sparsity, noise_std=sigma, num_steps=12
    )
    error, nmse, stds = sparsity, [], []
    for _ in range(12):
        stds.append(np.sqrt(sigma**2 + error / aspect))
        error = soft_error(alpha * stds[-1], stds[-1], sparsity)
        nmse.append(error / sparsity)
    np.testing.assert_allclose(found.nmse, nmse, rtol=max(RTOL, 1e-5))  # a kink: error 1/N^2
    np.testing.assert_allclose(found.noise_std, stds, rtol=max(RTOL, 1e-5))


def test_posterior_mean_follows_numerical_integration():
    aspect, sparsity, variance, sigma = 0.6, 0.2, 2.0, 0.3
    shrink = shrinkage.posterior_mean(sparsity, variance)
    found = theory.state_evolution(
        shrink, aspect=aspect, sparsity=sparsity, variance=variance, noise_std=sigma, num_steps=2
    )
    error = sparsity * variance
    for step in range(2):
        tau = np.sqrt(sigma**2 + error / aspect)
        v = np.linspace(-15, 15, 20001)
        density = (1 - sparsity) * norm.pdf(v, scale=tau)
        density += sparsity * norm.pdf(v, scale=np.sqrt(variance + tau**2))
        # the error of a posterior mean is the mean posterior variance, tau^2 times the derivative
        slope = np.asarray(shrink.derivative(v, tau), float)
        error = integrate.trapezoid(tau**2 * slope * density, v)
        np.testing.assert_allclose(found.nmse[step], error / (sparsity * variance), rtol=5e-6)


def test_it_is_the_mean_of_samples():
    generator = np.random.default_rng(0)
    tau = np.sqrt(0.1 / 0.5)
    x = generator.normal(size=400_000) * (generator.uniform(size=400_000) < 0.1)
    v = x + tau * generator.normal(size=x.size)
    for shrink in (shrinkage.soft(), shrinkage.posterior_mean(0.1)):
        errors = (np.asarray(shrink(v, tau), float) - x) ** 2 / 0.1
        found = theory.state_evolution(shrink, aspect=0.5, sparsity=0.1, num_steps=1)
        assert abs(errors.mean() - found.nmse[0]) < 4 * errors.std() / np.sqrt(x.size)


@pytest.mark.parametrize(("snr_db", "expected"), [(40, -45.6), (30, -35.0), (20, -23.7)])
def test_bayes_error_at_the_standard_size(snr_db, expected):
    found = theory.bayes_state_evolution(aspect=0.5, sparsity=0.1, snr_db=snr_db, num_steps=40)
    nmse = 10 * np.log10(np.asarray(found.nmse))
    assert nmse[-1] == pytest.approx(expected, abs=0.1)
    assert abs(nmse[-1] - nmse[-2]) < 1e-3  # a fixed point
    assert nmse[-1] > theory.oracle_nmse_db(snr_db, aspect=0.5, sparsity=0.1)
    # no other shrinkage does better
    soft = theory.state_evolution(
        shrinkage.soft(), aspect=0.5, sparsity=0.1, snr_db=snr_db, num_steps=40
    )
    assert np.all(np.asarray(soft.nmse) > np.asarray(found.nmse))


def test_it_resolves_errors_far_below_the_signal():
    found = theory.bayes_state_evolution(aspect=0.5, sparsity=0.1, num_steps=24)
    nmse = np.asarray(found.nmse, float)
    assert np.all(np.isfinite(nmse))
    # without noise the error falls by about s/m a step: the fixed slope of a known support
    np.testing.assert_allclose(nmse[-1] / nmse[-2], 0.1 / 0.5, rtol=0.05)


def test_the_transition_is_where_state_evolution_stops():
    """Noiseless soft thresholding contracts below the curve and has a fixed point above it."""
    for delta in (0.2, 0.5, 0.8):
        rho = float(theory.donoho_tanner(delta))
        shrink = shrinkage.soft(float(theory.minimax_multiplier(delta)))
        below, above = (
            theory.state_evolution(
                shrink, aspect=delta, sparsity=factor * rho * delta, num_steps=1500
            ).nmse[-1]
            for factor in (0.97, 1.03)
        )
        assert below < 1e-6
        assert above > 1e-4


@pytest.mark.parametrize("delta", [0.05, 0.1, 0.25, 0.5, 0.75, 0.95])
def test_donoho_tanner_is_the_best_over_thresholds(delta):
    """The minimax form: the largest sparsity that some multiplier recovers."""

    def negative(z):
        rest = (1 + z**2) * norm.cdf(-z) - z * norm.pdf(z)
        return -(1 - 2 / delta * rest) / (1 + z**2 - 2 * rest)

    best = optimize.minimize_scalar(
        negative, bounds=(0, 8), method="bounded", options={"xatol": 1e-10}
    )
    np.testing.assert_allclose(theory.donoho_tanner(delta), -best.fun, rtol=1e-7 if X64 else 3e-6)
    np.testing.assert_allclose(theory.minimax_multiplier(delta), best.x, rtol=1e-5)


def test_limits_batch_and_trace():
    deltas = jnp.asarray([0.1, 0.5, 1.0])
    curve = jax.jit(theory.donoho_tanner)(deltas)
    np.testing.assert_allclose(curve, theory.donoho_tanner(deltas), rtol=1e-6)
    assert np.all(np.diff(curve) > 0)
    assert curve[-1] == 1
    shrink = shrinkage.soft()
    nmse = jax.vmap(
        lambda p: theory.state_evolution(shrink, aspect=0.5, sparsity=p, num_steps=3).nmse
    )(jnp.asarray([0.05, 0.1]))
    assert nmse.shape == (2, 3)
    one = theory.state_evolution(shrink, aspect=0.5, sparsity=0.1, num_steps=3).nmse
    np.testing.assert_allclose(nmse[1], one, rtol=1e-5)


def test_the_oracle_is_least_squares_on_the_support():
    generator = np.random.default_rng(2)
    m, s, snr_db, errors, energies = 250, 50, 30, [], []
    for _ in range(40):
        A = generator.normal(size=(m, s)) / np.sqrt(m)
        x = generator.normal(size=s)
        noise = generator.normal(size=m) * np.linalg.norm(A @ x) / np.sqrt(m) * 10 ** (-snr_db / 20)
        estimate = np.linalg.lstsq(A, A @ x + noise)[0]
        errors.append(np.sum((estimate - x) ** 2))
        energies.append(np.sum(x**2))
    measured = 10 * np.log10(np.sum(errors) / np.sum(energies))
    assert measured == pytest.approx(
        float(theory.oracle_nmse_db(snr_db, aspect=0.5, sparsity=0.1)), abs=0.3
    )
