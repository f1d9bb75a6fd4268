"""Theorems on untrained networks: formulas by hand, and inequalities on runs."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import jaxinv as ji
from jaxinv import theory

X64 = jax.config.jax_enable_x64
DTYPE = np.float64 if X64 else np.float32
KEY = jax.random.key(0)


def triangle(n, width):
    u = np.maximum(width - np.abs(np.arange(n) - n // 2), 0.0)
    return jnp.asarray(u / np.linalg.norm(u), DTYPE)


def smooth(n, p, seed=0, size=1.0):
    """Return a combination of the p trigonometric functions of lowest frequency."""
    W = np.asarray(ji.ntk.trigonometric_basis(n))
    x = W[:, ji.ntk.frequency_order(n)[:p]] @ np.random.default_rng(seed).standard_normal(p)
    return jnp.asarray(size * math.sqrt(n) * x / np.linalg.norm(x), DTYPE)


def normal(shape, seed=0, scale=1.0):
    return jnp.asarray(scale * np.random.default_rng(seed).standard_normal(shape), DTYPE)


# --- dynamics -------------------------------------------------------------------------------


def test_closed_form_of_linear_descent_and_a_tolerance_that_fails():
    J, r0 = normal((5, 12)), normal(5, 1)
    step = 1 / np.linalg.norm(J, 2) ** 2
    found = theory.check_linear_dynamics(J, r0, step, 500)
    assert bool(found.holds)
    assert not bool(theory.check_linear_dynamics(J, r0, step, 500, tolerance=1e-18).holds)


def near_linear(matrix, strength):
    return jax.tree_util.Partial(_bent, matrix, jnp.asarray(strength, DTYPE))


def _bent(matrix, strength, u):
    return matrix @ (u + strength * jnp.sin(u))


def test_four_claims_hold_where_the_premise_does():
    matrix = jnp.asarray(np.linalg.qr(np.asarray(normal((9, 4))))[0].T, DTYPE)
    problem = ji.Problem(ji.operators.identity((4,)), normal(4, 1), near_linear(matrix, 0.03))
    start = normal(9, 2)
    found = theory.check_linear_closeness(problem, start, 0.5, 60, num_checks=7)
    assert bool(found.premise)
    assert bool(found.holds)
    # constants by hand at the start: J(u) = M diag(1 + s cos u)
    J = np.asarray(matrix) * (1 + 0.03 * np.cos(np.asarray(start)))
    values = np.linalg.svd(J, compute_uv=False)
    np.testing.assert_allclose(found.alpha, values[-1] / math.sqrt(2), rtol=1e-4)
    assert found.beta >= values[0] - 1e-6
    # the linear run by hand, ten steps
    r0 = np.asarray(problem.residual(start))
    u, moved = np.asarray(start), np.zeros(9)
    for _ in range(10):
        at = np.asarray(matrix) * (1 + 0.03 * np.cos(u))
        u = u - 0.5 * at.T @ (_bent(np.asarray(matrix), 0.03, u) - np.asarray(problem.y))
        moved = moved - 0.5 * J.T @ (J @ moved + r0)
    gap = np.linalg.norm(u - np.asarray(start) - moved)
    np.testing.assert_allclose(found.parameter_gap.measured[1], gap, rtol=2e-2, atol=1e-6)
    np.testing.assert_allclose(
        found.distance.measured[1], np.linalg.norm(u - np.asarray(start)), rtol=1e-4
    )


def test_four_claims_on_a_narrow_network_report_that_the_premise_fails():
    prior = ji.generators.two_layer(triangle(12, 3), 32, key=KEY)
    problem = ji.Problem(ji.operators.identity((12,)), smooth(12, 3, size=2.0), prior)
    found = theory.check_linear_closeness(problem, prior.params, 0.3, 60, num_checks=3)
    assert not bool(found.premise)
    assert found.steps.tolist() == [0, 30, 60]
    assert found.residual_gap.measured[-1] > 0


def test_constants_of_the_width_theorem():
    u = triangle(90, 3)
    found = theory.width_constants(u, 4096, 10, 2.0, error=0.5)
    U = np.stack([np.roll(np.asarray(u), i) for i in range(90)], axis=1)
    smallest = math.sqrt(np.linalg.eigvalsh(np.asarray(ji.ntk.expected_kernel(u)))[0])
    norm = np.linalg.norm(U, 2)
    np.testing.assert_allclose(found.beta, 2 * 3 * norm, rtol=1e-5)
    np.testing.assert_allclose(found.alpha, 3 * smallest / (3 * math.sqrt(2)), rtol=1e-3)
    # ω as the theorem writes it, ξ‖y‖/(2 √n ‖U‖)
    np.testing.assert_allclose(
        found.start_deviation, 0.5 * 2 / (2 * math.sqrt(90) * norm), rtol=1e-5
    )
    np.testing.assert_allclose(found.step_size, 10 / (4 * 90 * norm**2), rtol=1e-5)
    ratio = found.beta / found.alpha
    needed = math.log10(81) + 6 * math.log10(64) + 26 * math.log10(ratio) + 1 - 8 * math.log10(0.5)
    np.testing.assert_allclose(found.log10_width, needed, rtol=1e-3)
    np.testing.assert_allclose(found.error_limit, 1 / math.sqrt(2 * math.log(2 * 90 / 0.1)))
    assert not found.holds
    assert found.log10_width_printed > found.log10_width


# --- recovery -------------------------------------------------------------------------------


def test_recovery_bound_by_hand_and_the_geometric_corollary():
    n, m, decay = 30, 12, 0.6
    W = np.asarray(ji.ntk.trigonometric_basis(n), np.float64)
    values = decay ** np.arange(1.0, n + 1)
    signal = W[:, :4] @ np.array([1.0, -2.0, 0.5, 1.0])
    found = theory.recovery_bound(jnp.asarray((W * values) @ W.T, DTYPE), signal, m, constant=2.0)
    by_hand = 2 * np.sum(np.array([1.0, 4.0, 0.25, 1.0]) / values[:4]) * values[8:].sum()
    np.testing.assert_allclose(found, by_hand, rtol=1e-3)
    corollary = theory.geometric_recovery_bound(decay, m, constant=2.0) * np.sum(signal**2)
    assert by_hand <= float(corollary)  # it is the looser of the two


def test_sketched_recovery_equals_least_norm_and_obeys_the_bounds():
    n, m = 36, 15
    K = ji.ntk.expected_kernel(triangle(n, 6))
    x = smooth(n, 5)
    found = theory.check_sketched_recovery(KEY, K, x, m, num_trials=30)
    assert bool(found.holds)
    assert np.all(found.measured < found.sharper_bound)
    assert found.probability == pytest.approx(1 - 3 * math.exp(-5))
    # the law of the error against another route: Σ Aᵀ (A Σ Aᵀ)⁻¹ A x
    rng, K64, other = np.random.default_rng(1), np.asarray(K, np.float64), []
    for _ in range(200):
        A = rng.standard_normal((m, n))
        x_hat = K64 @ A.T @ np.linalg.solve(A @ K64 @ A.T, A @ np.asarray(x, np.float64))
        other.append(np.sum((x_hat - np.asarray(x)) ** 2))
    assert scipy.stats.ks_2samp(np.asarray(found.measured), other).pvalue > 1e-3
    # signals of high frequency are not recovered, and the bound says so
    rough = jnp.asarray(ji.ntk.trigonometric_basis(n)[:, n // 2], DTYPE)
    worse = theory.check_sketched_recovery(KEY, K, rough, m, num_trials=10)
    assert worse.measured.mean() > 0.3
    assert worse.bound > 10 * found.bound / float(jnp.sum(x**2))


def test_sketch_bound_by_hand():
    values = 0.7 ** np.arange(20.0)
    found = theory.sketch_bound(values, 8, 12)
    tail, u = np.sum(values[8:] ** 2), math.sqrt(8)
    b = math.e * math.sqrt(12) / 5
    root = values[8] * math.e * (math.sqrt(24 / 5) + b * u) + math.e * b * math.sqrt(tail)
    np.testing.assert_allclose(found.factor, root**2 + tail, rtol=1e-5)


def test_network_recovery_follows_the_linear_model():
    n, m = 64, 24
    u, x = triangle(n, 8), smooth(n, 7)
    A = ji.operators.gaussian(jax.random.key(1), m, n, dtype=DTYPE)
    prior = ji.generators.two_layer(u, 2048, key=KEY, scale=0.3)
    step = 0.5 / float(A.norm() ** 2 * jnp.max(ji.ntk.spectrum(u)) ** 2)
    found = theory.check_network_recovery(ji.Problem(A, A(x), prior), x, step, 400)
    assert found.departure < 0.1
    assert bool(found.holds)
    assert found.measured[-1] < 0.1 * found.measured[0]
    np.testing.assert_allclose(found.measured[:50], found.predicted[:50], rtol=0.1)


# --- denoising ------------------------------------------------------------------------------


def curve(n, k, num_steps, width=5, **settings):
    u = triangle(n, width)
    prior = ji.generators.two_layer(u, k, key=jax.random.key(1))
    step = 0.1 / float(jnp.max(ji.ntk.spectrum(u))) ** 2
    x, noise = smooth(n, 9, 1), normal(n, 2)
    found = theory.check_denoising_curve(prior, x, noise, step, num_steps, **settings)
    return found, x, noise, step, u


def test_predicted_denoising_curve_by_brute_force_and_against_the_network():
    found, x, noise, step, u = curve(64, 2048, 150)
    K = np.asarray(ji.ntk.expected_kernel(u), np.float64)
    prior = ji.generators.two_layer(u, 2048, key=jax.random.key(1))
    state, y, errors = np.asarray(prior(prior.params), np.float64), np.asarray(x + noise), []
    for _ in range(151):
        errors.append(np.linalg.norm(state - np.asarray(x)))
        state = state - step * K @ (state - y)
    np.testing.assert_allclose(found.predicted, errors, rtol=1e-4)
    assert np.all(found.predicted <= found.bound * (1 + 1e-5))
    assert bool(found.holds)
    assert found.worst < 0.05
    assert 3 * int(found.oracle_step) < 150
    assert found.worst_after > found.worst  # the kernel moves later


def test_narrow_networks_depart_more():
    wide, *_ = curve(64, 2048, 150)
    narrow, *_ = curve(64, 32, 150)
    assert narrow.worst > 2 * wide.worst
    exact, *_ = curve(64, 32, 150, kernel="empirical")
    np.testing.assert_allclose(exact.measured, narrow.measured, rtol=1e-5)
    # the first step of the network is that of its own kernel
    assert exact.departure[1] < 1e-3 < narrow.departure[1] + 1e-3


@pytest.mark.slow
def test_theorem_7_at_full_size():
    found, *_ = curve(256, 8192, 500, width=10)
    assert found.worst < 0.05
    assert found.worst_after > found.worst
    narrow, *_ = curve(256, 64, 500, width=10)
    assert narrow.worst > 2 * found.worst


# --- decoders and fitting -------------------------------------------------------------------


def test_noise_bound_holds_for_random_subspaces_and_descent():
    bound = theory.noise_bound(64, 3)
    # the union bound by the exact law of one projection: Beta(d/2, (n − d)/2)
    patterns = 3 * math.log(2 * (1 + 63 + math.comb(63, 2)))
    log_tail = scipy.stats.beta.logsf(bound.fitted, 9 / 2, 55 / 2)
    assert log_tail + patterns <= math.log(0.01) < log_tail + patterns + 6
    np.testing.assert_allclose(bound.rate, 12 * math.log(64) / 64)
    found = theory.check_noise_fit(
        ji.generators.two_layer_decoder(64, 3, dtype=DTYPE), KEY, num_starts=3, num_steps=600
    )
    assert bool(found.holds)
    # it fits about p of n dimensions: far from none, far from all
    assert 0.6 < found.measured < 0.98
    assert found.subspace <= found.measured + 1e-4
    with pytest.raises(ValueError, match="num_channels"):
        theory.noise_bound(64, 8)


@pytest.mark.parametrize(("m", "recovered"), [(18, True), (4, False)])
def test_decoders_are_recovered_once_measurements_suffice(m, recovered):
    decoder = ji.generators.two_layer_decoder(64, 3, dtype=DTYPE)
    found = theory.check_decoder_recovery(
        decoder, jax.random.key(1), m, num_starts=6, num_steps=1500
    )
    assert found.enough == 18
    assert found.unique == recovered
    assert bool(found.holds)
    assert found.misfit < 5e-3
    assert (found.measured < 1e-2) == recovered


def test_compression_compares_with_the_best_wavelet_terms():
    prior = ji.generators.two_layer_decoder(64, 4, dtype=DTYPE)
    target = prior(prior.init(jax.random.key(5)))
    found = theory.check_compression(prior, target, num_steps=1500, learning_rate=0.02)
    transform = ji.operators.wavelet((64,), "db4", 3)
    terms = np.asarray(transform(target))
    rest = np.sort(np.abs(terms))[: 64 - 20]
    expected = np.linalg.norm(rest) / np.linalg.norm(terms)
    np.testing.assert_allclose(found.bound, expected, rtol=1e-3)
    assert found.num_parameters == 20
    assert bool(found.holds) == bool(found.measured <= found.bound)


def test_any_signal_is_fitted_at_the_promised_rate():
    y = normal(12, 3)
    found = theory.check_fitting_rate(KEY, y, 240, 200)
    assert bool(found.holds)
    assert not found.premise
    assert found.measured[-1] < 1e-3
    # the lemmas on the Jacobian, at a width where they hold
    assert found.smallest >= found.promised_smallest
    assert found.largest <= found.promised_largest
    narrow = theory.check_fitting_rate(KEY, y, 10, 200)  # fewer hidden units than entries
    assert narrow.measured[-1] > 0.1
