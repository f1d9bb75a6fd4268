"""The generalization bound: its parts by hand, and the perturbation inequality on draws."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv import theory
from jaxinv._core import replace
from jaxinv.reproductions._generalization import Cell, gap_trial

X64 = jax.config.jax_enable_x64
DTYPE = np.float64 if X64 else np.float32
RTOL = 1e-10 if X64 else 1e-5
n, N = 6, 12


def rotation(rng):
    factor, triangle = np.linalg.qr(rng.standard_normal((N, N)))
    return factor * np.sign(np.diag(triangle))


def reference(A, phi, Y, num_layers, threshold, tau):
    product, z = A @ phi, np.zeros((len(Y), N))
    for _ in range(num_layers):
        v = z + tau * (Y - z @ product.T) @ product
        z = np.sign(v) * np.maximum(np.abs(v) - threshold, 0)
    return z


# --- perturbation ---------------------------------------------------------------------------


@pytest.mark.parametrize("num_layers", [1, 3, 12])
@pytest.mark.parametrize("threshold", [0.0, 0.05])
def test_the_perturbation_is_measured_right_and_the_bound_holds(num_layers, threshold):
    rng = np.random.default_rng(num_layers)
    ratios = []
    for _ in range(6):
        A, Y = rng.standard_normal((n, N)) / math.sqrt(n), rng.standard_normal((4, n))
        first, second = rotation(rng), rotation(rng)
        norm = np.linalg.norm(A, 2)
        tau = 1 / norm**2
        found = theory.check_perturbation(
            jnp.asarray(A, DTYPE), first, second, jnp.asarray(Y, DTYPE), num_layers,
            threshold=threshold, step_size=tau,
        )  # fmt: skip
        ends = [reference(A, phi, Y, num_layers, threshold, tau) for phi in (first, second)]
        np.testing.assert_allclose(found.measured, np.linalg.norm(ends[0] - ends[1]), rtol=1e-4)
        constant = tau * np.linalg.norm(Y) * num_layers * (1 + (num_layers - 1))
        expected = constant * np.linalg.norm(A @ (first - second), 2)
        np.testing.assert_allclose(found.bound, expected, rtol=1e-4)
        assert bool(found.holds)
        ratios.append(float(found.measured / found.bound))
    assert max(ratios) < 1
    # a constant ten times smaller would fail where there is one layer
    assert num_layers > 1 or max(ratios) > 0.1


def test_the_constant_is_attained_by_one_layer_in_the_worst_direction():
    rng = np.random.default_rng(0)
    A, first, second = rng.standard_normal((n, N)), rotation(rng), rotation(rng)
    worst = np.linalg.svd(A @ (first - second))[0][:, :1].T
    found = theory.check_perturbation(
        jnp.asarray(A, DTYPE), first, second, jnp.asarray(worst, DTYPE), 1, threshold=0.0
    )
    np.testing.assert_allclose(found.measured, found.bound, rtol=1e-4)


def test_equal_dictionaries_change_nothing():
    A, Y = jnp.ones((n, N), DTYPE), jnp.ones((2, n), DTYPE)
    found = theory.check_perturbation(A, np.eye(N), np.eye(N), Y, 3, threshold=0.1)
    assert (float(found.measured), float(found.bound), bool(found.holds)) == (0.0, 0.0, True)


def test_the_constant_is_the_sum_over_layers():
    tau, norm, energy = 0.2, 1.5, 3.0
    change = size = 0.0
    for _ in range(7):  # what the proof adds, layer by layer
        change += tau * energy + 2 * tau * norm * size
        size += tau * norm * energy
    found = theory.perturbation_constant(7, tau, norm, energy)
    np.testing.assert_allclose(found, change, rtol=RTOL)


# --- the bound ------------------------------------------------------------------------------


def test_the_terms_equal_their_formulas():
    m, rows, size, layers, norm, tau, energy, b_in, b_out, delta = (
        5000, 30, 70, 9, 1.7, 0.3, 40.0, 1.2, 0.8, 0.05,
    )  # fmt: skip
    found = theory.generalization_bound(
        m, rows, size, layers, operator_norm=norm, measurement_norm=energy, step_size=tau,
        signal_bound=b_in, output_bound=b_out, failure_probability=delta,
    )  # fmt: skip
    K = tau * energy * (layers + tau * norm**2 * layers * (layers - 1))
    F = layers * tau * norm * energy

    def root_log(a):
        return math.sqrt(math.log(math.e * (1 + 8 * a / (math.sqrt(m) * b_out))))

    sensing = 8 * b_out * math.sqrt(rows * size / m) * root_log(norm * K)
    readout = 8 * b_out * size / math.sqrt(m) * root_log(F)
    confidence = 4 * (b_in + b_out) * math.sqrt(2 * math.log(4 / delta) / m)
    expected = [sensing, readout, confidence, sensing + readout + confidence]
    np.testing.assert_allclose(found, expected, rtol=RTOL)


def test_dudleys_integral_is_below_the_term_that_stands_for_it():
    alpha, beta = 0.7, 5.0  # ∫_0^α √log(1 + β/t) dt <= α √log(e (1 + β/α))
    t = (np.arange(200_000) + 0.5) * alpha / 200_000
    integral = np.mean(np.sqrt(np.log1p(beta / t))) * alpha
    closed = alpha * math.sqrt(math.log(math.e * (1 + beta / alpha)))
    assert 0.8 * closed < integral < closed


def test_it_scales_as_the_theorem_says():
    def bound(m=1e6, rows=100, size=200, layers=10):
        energy = math.sqrt(m)
        found = theory.generalization_bound(
            m, rows, size, layers, operator_norm=2.0, measurement_norm=energy
        )
        return float(found.total)

    np.testing.assert_allclose(bound(m=4e6) / bound(), 0.5, rtol=1e-5)
    assert 1.9 < bound(rows=200, size=400) / bound() <= 2.0
    growth = [bound(layers=10**p) for p in (2, 4, 6, 8)]
    differences = np.diff(np.square(growth))
    np.testing.assert_allclose(differences, differences[0], rtol=0.15)  # squares: linear in log L


def test_the_rates_of_source_and_survey_differ_by_a_logarithm():
    sizes = np.array([1e4, 50, 100, 10])
    m, rows, size, layers = sizes
    logarithm = math.log(layers)
    source = theory.generalization_rate(*sizes)
    survey = theory.generalization_rate(*sizes, form="survey")
    np.testing.assert_allclose(
        source, math.sqrt((rows * size * logarithm + size**2) / m), rtol=RTOL
    )
    np.testing.assert_allclose(
        survey, math.sqrt((rows * size + size**2) * logarithm / m), rtol=RTOL
    )


# --- the measured gap -----------------------------------------------------------------------


@pytest.mark.slow
def test_padded_samples_and_layers_do_not_matter_and_the_bound_is_above_the_gap():
    padded = Cell(num_samples=24, num_layers=5, signal_size=12, num_steps=60)
    keys = jax.random.split(jax.random.key(0), 4)

    def each(trial):  # one after the other: half as much to compile as a batch
        return jax.tree.map(np.asarray, jax.jit(lambda keys: jax.lax.map(trial, keys))(keys))

    found = each(lambda key: gap_trial(padded, key, num_samples=16, num_layers=2))
    assert np.mean(found["gap"]) > 0
    assert np.all(found["discrepancy"] > 0)
    for index in range(4):
        bound = theory.generalization_bound(
            16, 6, 12, 2, operator_norm=found["operator_norm"][index],
            measurement_norm=found["measurement_norm"][index],
        )  # fmt: skip
        assert found["gap"][index] < bound.total
        assert 2 * found["discrepancy"][index] < bound.sensing + bound.readout
    exact = replace(padded, num_layers=2)
    other = each(lambda key: gap_trial(exact, key, num_samples=16)["test_loss"])
    np.testing.assert_allclose(other, found["test_loss"], rtol=1e-3)
