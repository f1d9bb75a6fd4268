"""Closed forms against NumPy, finite differences and Monte Carlo over random networks."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from references import angle_map, mean_and_error

from jaxinv import theory

X64 = jax.config.jax_enable_x64
DTYPE = np.float64 if X64 else np.float32
EPS = float(np.finfo(DTYPE).eps)
MODELS = ("compressed_sensing", "denoising", "phase_retrieval", "spiked")
DISTINCT = ("compressed_sensing", "phase_retrieval", "spiked")  # denoising shares the first
SLOPES = (*DISTINCT, "one_bit", "plugin")

X = np.array([0.7, -0.4, 1.1])
X_TRUE = np.array([-0.3, 0.9, 0.8])
DIRECTIONS = np.random.default_rng(0).standard_normal((5, 3))


# --- angles ---------------------------------------------------------------------------------


def test_angle_map_equals_its_definition():
    theta = np.linspace(0.02, np.pi, 400).astype(DTYPE)
    np.testing.assert_allclose(theory.angle_map(theta), angle_map(theta), rtol=6 * EPS + 1e-12)


def test_angle_map_keeps_its_digits_near_zero():
    theta = np.geomspace(1e-12, 1e-4, 30).astype(DTYPE)
    # g(t)² = t² − 2 t³/(3π) + O(t⁵), hence a relative error of t³
    exact = theta.astype(np.float64) * np.sqrt(1 - 2 * theta.astype(np.float64) / (3 * np.pi))
    np.testing.assert_allclose(theory.angle_map(theta), exact, rtol=4 * EPS + 1e-12)


def test_angle_map_derivative_equals_the_closed_form():
    theta = np.concatenate([np.geomspace(1e-6, 0.5, 40), np.linspace(0.5, np.pi, 40)])
    theta = theta.astype(DTYPE)
    slope = jax.vmap(jax.grad(theory.angle_map))(theta)
    exact = (np.pi - theta) * np.sin(theta) / (np.pi * np.sin(np.asarray(theory.angle_map(theta))))
    np.testing.assert_allclose(slope, exact, atol=8 * EPS)


@pytest.mark.parametrize(("theta", "value", "slope"), [(0.0, 0.0, 1.0), (np.pi, np.pi / 2, 0.0)])
def test_angle_map_at_the_ends(theta, value, slope):
    theta = DTYPE(theta)
    assert abs(theory.angle_map(theta) - value) <= 2 * EPS
    assert abs(jax.grad(theory.angle_map)(theta) - slope) <= 4 * EPS
    assert np.isfinite(jax.grad(jax.grad(theory.angle_map))(theta))


def test_angle_map_second_derivative_at_zero():
    curvature = jax.vmap(jax.grad(jax.grad(theory.angle_map)))(np.array([0, 1e-5], DTYPE))
    np.testing.assert_allclose(curvature, -2 / (3 * np.pi), rtol=1e-4)


def test_angle_sequence_iterates_the_map_and_obeys_the_published_bounds():
    angles = np.asarray(theory.angle_sequence(DTYPE(np.pi), 30), np.float64)
    i = np.arange(31)
    assert angles.shape == (31,)
    np.testing.assert_allclose(angles[1:], angle_map(angles[:-1]), rtol=20 * EPS + 1e-12)
    slack = 1 + 50 * EPS
    assert np.all(np.pi / (i + 1) <= angles * slack)
    assert np.all(angles <= 3 * np.pi / (i + 3) * slack)


def test_angle_map_is_the_angle_after_a_wide_random_layer():
    rng = np.random.default_rng(1)
    r, s = np.array([1.0, 0.0]), np.array([math.cos(2.0), math.sin(2.0)])
    weights = rng.standard_normal((400_000, 2))
    left, right = np.maximum(weights @ r, 0), np.maximum(weights @ s, 0)
    cosine = left @ right / math.sqrt((left @ left) * (right @ right))
    assert abs(math.acos(cosine) - float(theory.angle_map(2.0))) < 0.01


def test_angle_between_resolves_tiny_angles():
    # float32 keeps no digit of 1 − cos(1e-5)
    assert abs(theory.angle_between(DTYPE([1, 0]), DTYPE([1, 1e-5])) / 1e-5 - 1) < 1e-3
    assert abs(theory.angle_between(DTYPE([2, 0]), DTYPE([-3, 0])) - np.pi) <= 2 * EPS
    assert theory.angle_between(DTYPE([0, 0]), DTYPE([-3, 0])) == DTYPE(np.pi / 2)
    assert theory.angle_between(DTYPE([0, 0]), DTYPE([0, 0])) == DTYPE(np.pi / 2)


# --- rho ------------------------------------------------------------------------------------


TABLE = {
    "compressed_sensing": (
        {1: 0.0, 2: 0.31831, 3: 0.49373, 4: 0.60483, 5: 0.68095, 6: 0.73595, 7: 0.77723}
        | {8: 0.80915, 10: 0.85481, 20: 0.94449, 50: 0.98744}
    ),
    "phase_retrieval": {1: 0.63662, 2: 0.66915, 3: 0.71592},
}
TABLE["spiked"] = TABLE["denoising"] = TABLE["one_bit"] = TABLE["compressed_sensing"]


@pytest.mark.parametrize("model", TABLE)
def test_rho_equals_the_table(model):
    for depth, value in TABLE[model].items():
        found = theory.rho(depth, model=model)
        assert isinstance(found, float)
        assert abs(found - value) < 6e-6


def test_rho_equals_the_published_sum():
    angles = [np.pi]
    for _ in range(12):
        angles.append(float(angle_map(angles[-1])))
    for d in range(1, 12):
        kept = [np.prod([(np.pi - t) / np.pi for t in angles[i + 1 : d]]) for i in range(d)]
        total = sum(math.sin(angles[i]) / np.pi * kept[i] for i in range(d))
        assert abs(theory.rho(d) - total) < 1e-13


@pytest.mark.parametrize("model", DISTINCT)
@pytest.mark.parametrize("depth", [2, 3, 6])
def test_the_expected_gradient_vanishes_at_the_truth_and_at_minus_rho(model, depth):
    x_true = X_TRUE.astype(DTYPE)
    for x in (x_true, -DTYPE(theory.rho(depth, model)) * x_true):
        gradient = theory.expected_gradient(x, x_true, depth, model=model)
        assert np.max(np.abs(gradient)) < 10 * EPS
    other = theory.expected_gradient(-1.1 * x_true, x_true, depth, model=model)
    assert np.max(np.abs(other)) > 0.1


def test_loss_at_the_spurious_point():
    x_true = X_TRUE.astype(DTYPE)
    rho = theory.rho(3)
    loss = theory.expected_loss(-DTYPE(rho) * x_true, x_true, 3, weight_scale=1.0)
    np.testing.assert_allclose(loss, 2.0**-4 * X_TRUE @ X_TRUE * (1 - rho**2), rtol=10 * EPS)


# --- gradient and loss ----------------------------------------------------------------------


def reference_loss(x, x_true, depth, weight_scale, model):
    """f_E as published, in float64 (arccosines, no care for cancellation)."""
    size, size_true = np.linalg.norm(x), np.linalg.norm(x_true)
    theta = np.arccos(x @ x_true / (size * size_true))
    for _ in range(depth):
        theta = angle_map(theta)
    factor = (weight_scale / 2) ** depth
    if model == "spiked":
        cross = (size * size_true * np.cos(theta)) ** 2
        return factor**2 / 4 * (size**4 - 2 * cross + size_true**4)
    if model == "plugin":
        return factor / 2 * np.sum((x - x_true) ** 2)
    correlation = np.cos(theta)
    if model == "one_bit":
        return factor * (size**2 - 2 * size * size_true * correlation)
    if model == "phase_retrieval":
        correlation = 2 / np.pi * (np.sin(theta) + (np.pi / 2 - theta) * np.cos(theta))
    return factor / 2 * (size**2 - 2 * size * size_true * correlation + size_true**2)


CASES = [(1, 2.0), (3, 1.5)]


@pytest.mark.parametrize("model", SLOPES)
@pytest.mark.parametrize(("depth", "weight_scale"), CASES)
def test_loss_equals_the_published_formula(depth, weight_scale, model):
    exact = reference_loss(X, X_TRUE, depth, weight_scale, model)
    x, x_true = X.astype(DTYPE), X_TRUE.astype(DTYPE)
    loss = theory.expected_loss(x, x_true, depth, weight_scale, model)
    assert loss.dtype == DTYPE
    np.testing.assert_allclose(loss, exact, rtol=30 * EPS)


@pytest.mark.parametrize("model", SLOPES)
@pytest.mark.parametrize(("depth", "weight_scale"), CASES)
def test_gradient_is_the_derivative_of_the_loss(depth, weight_scale, model):
    x, x_true = X.astype(DTYPE), X_TRUE.astype(DTYPE)
    gradient = theory.expected_gradient(x, x_true, depth, weight_scale, model)
    assert gradient.dtype == DTYPE
    automatic = jax.grad(theory.expected_loss)(x, x_true, depth, weight_scale, model)
    scale = float(np.max(np.abs(gradient)))
    np.testing.assert_allclose(gradient, automatic, atol=50 * EPS * scale)

    def along(direction, h=1e-5):
        after = reference_loss(X + h * direction, X_TRUE, depth, weight_scale, model)
        before = reference_loss(X - h * direction, X_TRUE, depth, weight_scale, model)
        return (after - before) / (2 * h)

    differences = [along(direction) for direction in DIRECTIONS]
    np.testing.assert_allclose(DIRECTIONS @ gradient, differences, atol=(50 * EPS + 1e-9) * scale)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("model", DISTINCT)
def test_gradient_equals_the_derivative_on_the_line_of_the_truth(model, sign):
    # θ has a kink there, f_E has none
    x_true = X_TRUE.astype(DTYPE)
    x = DTYPE(0.6 * sign) * x_true
    gradient = theory.expected_gradient(x, x_true, 2, model=model)
    automatic = jax.grad(theory.expected_loss)(x, x_true, 2, model=model)
    np.testing.assert_allclose(gradient, automatic, atol=20 * EPS)
    slope = (
        reference_loss((0.6 * sign + 1e-6) * X_TRUE, X_TRUE, 2, 2.0, model)
        - reference_loss((0.6 * sign - 1e-6) * X_TRUE, X_TRUE, 2, 2.0, model)
    ) / 2e-6
    np.testing.assert_allclose(gradient @ x_true, slope, atol=50 * EPS + 1e-8)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_inner_product_identity(depth):
    # ⟨x, h̃⟩ = ‖x‖ ‖x*‖ cos θ_d, with h̃ = x − h of compressed sensing in He scaling
    x, x_true = X.astype(DTYPE), X_TRUE.astype(DTYPE)
    tilde = x - theory.expected_gradient(x, x_true, depth)
    theta = theory.angle_sequence(theory.angle_between(x, x_true), depth)[-1]
    exact = np.linalg.norm(X) * np.linalg.norm(X_TRUE) * np.cos(float(theta))
    np.testing.assert_allclose(x @ tilde, exact, rtol=30 * EPS)


@pytest.mark.parametrize("model", DISTINCT)
def test_small_losses_keep_their_digits(model):
    # for all models the second derivative across x*, at ‖x*‖ = 1, is 1
    x_true = np.array([0.6, 0.8], DTYPE)
    step = np.array([0.8, -0.6], DTYPE) * DTYPE(2e-4)
    moved = x_true + step
    actual = np.asarray(moved, np.float64) - np.asarray(x_true, np.float64)
    exact = 0.5 * actual @ actual
    loss = theory.expected_loss(moved, x_true, 2, model=model)
    np.testing.assert_allclose(loss, exact, rtol=2e-3)  # the next term is ‖step‖/‖x*‖


@pytest.mark.parametrize("model", DISTINCT)
def test_zero_vectors_give_finite_documented_answers(model):
    zero, x_true = np.zeros(3, DTYPE), X_TRUE.astype(DTYPE)
    energy = X_TRUE @ X_TRUE
    limit = energy**2 / 4 if model == "spiked" else energy / 2
    assert np.all(np.asarray(theory.expected_gradient(zero, x_true, 2, model=model)) == 0)
    assert np.all(np.asarray(jax.grad(theory.expected_loss)(zero, x_true, 2, model=model)) == 0)
    np.testing.assert_allclose(
        theory.expected_loss(zero, x_true, 2, model=model), limit, rtol=10 * EPS
    )
    outward = x_true * energy if model == "spiked" else x_true
    found = theory.expected_gradient(x_true, zero, 2, model=model)
    np.testing.assert_allclose(found, outward, rtol=10 * EPS)
    assert np.all(np.asarray(theory.expected_gradient(zero, zero, 2, model=model)) == 0)
    assert np.all(np.asarray(jax.grad(theory.expected_loss)(zero, zero, 2, model=model)) == 0)
    jacobian = jax.jacfwd(theory.expected_gradient)(zero, x_true, 2, model=model)
    assert np.all(np.isfinite(jacobian))


@pytest.mark.parametrize("model", DISTINCT)
def test_jit_and_vmap_agree_with_a_loop(model):
    xs = np.random.default_rng(2).standard_normal((4, 3)).astype(DTYPE)
    x_true = X_TRUE.astype(DTYPE)
    scales = np.array([0.5, 1.0, 2.0, 3.0], DTYPE)
    for function in (theory.expected_gradient, theory.expected_loss):
        batched = jax.jit(jax.vmap(lambda x, s, f=function: f(x, x_true, 2, s, model)))(xs, scales)
        looped = [function(x, x_true, 2, float(s), model) for x, s in zip(xs, scales, strict=True)]
        np.testing.assert_allclose(batched, np.stack(looped), rtol=50 * EPS, atol=20 * EPS)


def test_denoising_shares_the_landscape_of_compressed_sensing():
    x, x_true = X.astype(DTYPE), X_TRUE.astype(DTYPE)
    for function in (theory.expected_gradient, theory.expected_loss):
        found = function(x, x_true, 2, 1.0, "denoising")
        assert np.array_equal(found, function(x, x_true, 2, 1.0, "compressed_sensing"))


def test_types_are_promoted_and_integers_accepted():
    gradient = theory.expected_gradient([1, 0, 2], np.array([0, 1, 1], np.float16), 2)
    assert gradient.dtype == DTYPE
    half = theory.expected_gradient(np.ones(2, np.float16), np.ones(2, np.float16), 2)
    assert half.dtype == np.float16


def test_only_the_direction_of_plugin_leaves_the_origin():
    zero, x_true = np.zeros(3, DTYPE), X_TRUE.astype(DTYPE)
    found = theory.expected_gradient(zero, x_true, 2, 1.0, "plugin")
    np.testing.assert_allclose(found, -X_TRUE / 4, rtol=10 * EPS)
    with pytest.raises(ValueError, match="model must be one of"):
        theory.rho(2, model="plugin")
    loss = theory.expected_loss(x_true, x_true, 2, 1.0, "one_bit")
    np.testing.assert_allclose(loss, -X_TRUE @ X_TRUE / 4, rtol=10 * EPS)


# --- blind demodulation ---------------------------------------------------------------------

H, M = np.array([0.7, -0.4]), np.array([0.2, 1.0, -0.5])
H_TRUE, M_TRUE = np.array([-0.3, 0.9]), np.array([0.4, -0.6, 0.1])


def reference_blind_loss(h, m):
    """f_E for depths 3 and 1, l = 7, weight scale 1.5, as published."""
    cosines = []
    for x, x_true, depth in ((h, H_TRUE, 3), (m, M_TRUE, 1)):
        theta = np.arccos(x @ x_true / np.linalg.norm(x) / np.linalg.norm(x_true))
        for _ in range(depth):
            theta = angle_map(theta)
        cosines.append(np.linalg.norm(x) * np.linalg.norm(x_true) * np.cos(theta))
    own, true = (h @ h) * (m @ m), (H_TRUE @ H_TRUE) * (M_TRUE @ M_TRUE)
    return 0.75**4 / 14 * (own - 2 * cosines[0] * cosines[1] + true)


def blind(function, h, m):
    given = [part.astype(DTYPE) for part in (h, H_TRUE, m, M_TRUE)]
    return function(*given, (3, 1), 7, 1.5)


def test_the_blind_loss_is_as_published_and_its_gradient_its_derivative():
    loss = blind(theory.expected_blind_loss, H, M)
    np.testing.assert_allclose(loss, reference_blind_loss(H, M), rtol=30 * EPS)
    gradient = np.concatenate(blind(theory.expected_blind_gradient, H, M))
    automatic = jax.grad(lambda pair: theory.expected_blind_loss(
        pair[0], H_TRUE.astype(DTYPE), pair[1], M_TRUE.astype(DTYPE), (3, 1), 7, 1.5
    ))((H.astype(DTYPE), M.astype(DTYPE)))  # fmt: skip
    np.testing.assert_allclose(gradient, np.concatenate(automatic), atol=50 * EPS)
    point, step = np.concatenate([H, M]), 1e-5
    differences = [
        (reference_blind_loss(*np.split(point + move, [2])) -
         reference_blind_loss(*np.split(point - move, [2]))) / (2 * step)
        for move in step * np.eye(5)
    ]  # fmt: skip
    np.testing.assert_allclose(gradient, differences, atol=50 * EPS + 1e-9)


@pytest.mark.parametrize("signs", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_the_blind_gradient_vanishes_on_four_hyperbolas(signs):
    one, two = (1 if sign > 0 else -theory.rho(d) for sign, d in zip(signs, (3, 2), strict=True))
    points = 1.7 * one * H_TRUE, H_TRUE, two * M_TRUE / 1.7, M_TRUE
    found = theory.expected_blind_gradient(*(part.astype(DTYPE) for part in points), (3, 2), 7)
    assert max(np.max(np.abs(part)) for part in found) < 10 * EPS


def test_the_mean_of_one_layer_blind_problems_is_exact():
    rng = np.random.default_rng(12)
    one = math.sqrt(1.5 / 6) * rng.standard_normal((40_000, 6, 2))
    two = math.sqrt(1.5 / 6) * rng.standard_normal((40_000, 6, 3))
    left, left_true = np.maximum(one @ H, 0), np.maximum(one @ H_TRUE, 0)
    right, right_true = np.maximum(two @ M, 0), np.maximum(two @ M_TRUE, 0)
    residual = left * right - left_true * right_true
    mean, error = mean_and_error(0.5 * np.sum(residual**2, -1))
    arguments = (H, H_TRUE, M, M_TRUE, (1, 1), 6, 1.5)
    assert abs(mean - float(theory.expected_blind_loss(*arguments))) < 4 * error
    back = np.einsum("ti,tij->tj", residual * right * (left > 0), one)
    mean, error = mean_and_error(back)
    exact = np.asarray(theory.expected_blind_gradient(*arguments)[0], np.float64)
    assert np.all(np.abs(mean - exact) < 4 * error)
    assert np.linalg.norm(error) < 0.05 * np.linalg.norm(exact)


# --- noise laws -----------------------------------------------------------------------------


def test_noise_law_is_the_error_of_gaussian_least_squares():
    rng = np.random.default_rng(10)
    m, k = 14, 3
    noise = rng.standard_normal(m)
    noise *= 0.3 / np.linalg.norm(noise)
    matrix = rng.standard_normal((20_000, m, k)) / math.sqrt(m)  # A on an orthonormal basis
    errors = np.sum((np.linalg.pinv(matrix) @ noise) ** 2, -1)
    mean, error = mean_and_error(errors)
    law = float(theory.noise_law(0.3, num_measurements=m, latent_size=k))
    assert abs(mean - law**2) < 4 * error
    assert error < 0.02 * law**2


def test_noise_law_matches_published_errors():
    # Cocola (2022), experiment 2: m = 300, ‖η‖ = 0.01, ‖y*‖ = 1
    law = theory.noise_law(0.01, 300, [5, 20, 45])
    np.testing.assert_allclose(law, [1.34e-3, 2.52e-3, 4.05e-3], rtol=0.07)


def test_denoising_law_is_the_error_of_projection():
    rng = np.random.default_rng(11)
    n, k, sigma = 40, 6, 0.7
    basis, _ = np.linalg.qr(rng.standard_normal((n, k)))
    noise = sigma / math.sqrt(n) * rng.standard_normal((20_000, n))
    mean, error = mean_and_error(np.sum((noise @ basis) ** 2, -1))
    law = float(theory.denoising_law(sigma, latent_size=k, signal_size=n))
    assert abs(mean - law) < 4 * error
    assert error < 0.02 * law


def test_laws_broadcast_and_trace():
    sizes = jnp.arange(2, 6)
    laws = jax.jit(jax.vmap(lambda k: theory.noise_law(0.1, 20, k)))(sizes)
    exact = [0.1 * math.sqrt(k / (19 - k)) for k in range(2, 6)]
    np.testing.assert_allclose(laws, exact, rtol=10 * EPS)
    np.testing.assert_allclose(theory.noise_law(0.1, 20, sizes), exact, rtol=10 * EPS)
    slope = jax.grad(theory.denoising_law)(2.0, 3, 12)
    np.testing.assert_allclose(slope, 1.0, rtol=10 * EPS)


def test_bad_shapes_are_seen_by_jit():
    with pytest.raises(ValueError, match=r"x and x_true must .*\(3,\) and \(4,\)"):
        jax.jit(lambda a, b: theory.expected_loss(a, b, 2))(np.ones(3), np.ones(4))
