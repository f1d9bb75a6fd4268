"""The expected landscapes against simulations over random networks."""

import functools
import itertools
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

X = np.array([0.7, -0.4, 1.1])
X_TRUE = np.array([-0.3, 0.9, 0.8])


# --- Monte Carlo over random networks -------------------------------------------------------


def draw(rng, num, widths, weight_scale, dtype=np.float64):
    """``num`` networks with weights N(0, weight_scale / n_i), one stack per layer."""
    return [
        math.sqrt(weight_scale / n) * rng.standard_normal((num, n, k), dtype)
        for k, n in itertools.pairwise(widths)
    ]


def forward(weights, x):
    """Return the signals (num, n) and the Jacobians Λ_x (num, n, k)."""
    jacobian = np.broadcast_to(np.eye(x.size, dtype=weights[0].dtype), (1, x.size, x.size))
    for weight in weights:
        product = weight @ jacobian
        jacobian = product * (product @ x > 0)[..., None]
    return jacobian @ x, jacobian


def empirical(model, weights, operator, x, x_true):
    """Loss (num,) and gradient (num, k) of the true objective; products only, never n × n."""
    (signal, jacobian), (y, _) = forward(weights, x), forward(weights, x_true)
    if model == "spiked":
        energy, cross = np.sum(signal**2, -1), np.sum(signal * y, -1)
        loss = (energy**2 - 2 * cross**2 + np.sum(y**2, -1) ** 2) / 4
        back = energy[:, None] * signal - cross[:, None] * y
    elif model == "denoising":
        back = signal - y
        loss = np.sum(back**2, -1) / 2
    else:
        image, measured = (operator @ signal[..., None])[..., 0], (operator @ y[..., None])[..., 0]
        residual = image - measured
        if model == "phase_retrieval":
            residual = (np.abs(image) - np.abs(measured)) * np.sign(image)
        loss = np.sum(residual**2, -1) / 2
        back = (residual[:, None] @ operator)[:, 0]
    return loss, (back[:, None] @ jacobian)[:, 0]


def draw_operator(rng, num, m, n, dtype=np.float64):
    return rng.standard_normal((num, m, n), dtype) / math.sqrt(m)


@pytest.mark.parametrize("model", MODELS)
def test_the_simulated_objective_is_the_definition(model):
    # the hand-written losses and gradients below, against autodiff of the textbook losses
    rng = np.random.default_rng(3)
    weights, operator = draw(rng, 1, (3, 12, 15), 2.0), draw_operator(rng, 1, 10, 15)

    def network(z):
        for weight in weights:
            z = jax.nn.relu(jnp.asarray(weight[0], DTYPE) @ z)
        return z

    def objective(x):
        signal, y = network(x), network(jnp.asarray(X_TRUE, DTYPE))
        matrix = jnp.asarray(operator[0], DTYPE)
        if model == "spiked":
            return jnp.sum((jnp.outer(signal, signal) - jnp.outer(y, y)) ** 2) / 4
        if model == "denoising":
            return jnp.sum((signal - y) ** 2) / 2
        if model == "phase_retrieval":
            return jnp.sum((jnp.abs(matrix @ signal) - jnp.abs(matrix @ y)) ** 2) / 2
        return jnp.sum((matrix @ signal - matrix @ y) ** 2) / 2

    loss, gradient = empirical(model, weights, operator, X, X_TRUE)
    value, automatic = jax.jit(jax.value_and_grad(objective))(X.astype(DTYPE))
    np.testing.assert_allclose(loss[0], value, rtol=100 * EPS)
    np.testing.assert_allclose(gradient[0], automatic, atol=200 * EPS)


@pytest.mark.parametrize("weight_scale", [2.0, 1.5])
@pytest.mark.parametrize("model", ["compressed_sensing", "denoising"])
def test_one_layer_is_exact_at_any_width(model, weight_scale):
    rng = np.random.default_rng(4)
    weights = draw(rng, 20_000, (3, 8), weight_scale)
    operator = draw_operator(rng, 20_000, 5, 8)
    losses, gradients = empirical(model, weights, operator, X, X_TRUE)
    for samples, function in (
        (losses, theory.expected_loss),
        (gradients, theory.expected_gradient),
    ):
        mean, error = mean_and_error(samples)
        exact = np.asarray(function(X, X_TRUE, 1, weight_scale, model), np.float64)
        assert np.all(np.abs(mean - exact) < 4 * error)
        assert np.linalg.norm(error) < 0.02 * np.linalg.norm(exact)  # the test has power


def test_the_direction_of_plugin_is_exact_at_any_width_and_depth():
    rng = np.random.default_rng(13)
    first, second = draw(rng, 40_000, (3, 5, 6), 1.5)
    (signal, _), (y, _) = forward([first, second], X), forward([first, second], X_TRUE)
    back = np.einsum("ti,tij,tjl->tl", signal - y, second, first)
    mean, error = mean_and_error(back)
    exact = np.asarray(theory.expected_gradient(X, X_TRUE, 2, 1.5, "plugin"), np.float64)
    assert np.all(np.abs(mean - exact) < 4 * error)
    assert np.linalg.norm(error) < 0.02 * np.linalg.norm(exact)


def test_the_gradient_of_dithered_signs_is_exact_for_one_layer():
    # ‖G‖² − (2λ/m) Σ y_i ⟨a_i, G⟩, with dithers that cut off nothing to speak of
    rng = np.random.default_rng(14)
    (weights,) = draw(rng, 2000, (3, 20), 2.0)
    (signal, jacobian), (y, _) = forward([weights], X), forward([weights], X_TRUE)
    dither, m = 8.0, 400
    back = 2 * signal
    for start in range(0, 2000, 200):
        rows = rng.standard_normal((200, m, 20))
        inner = np.einsum("tij,tj->ti", rows, y[start : start + 200])
        signs = np.sign(inner + rng.uniform(-dither, dither, inner.shape))
        back[start : start + 200] -= 2 * dither / m * np.einsum("ti,tij->tj", signs, rows)
    mean, error = mean_and_error((back[:, None] @ jacobian)[:, 0])
    exact = np.asarray(theory.expected_gradient(X, X_TRUE, 1, model="one_bit"), np.float64)
    assert np.all(np.abs(mean - exact) < 4 * error)
    assert np.linalg.norm(error) < 0.04 * np.linalg.norm(exact)


@functools.cache
def wide_means(widths, num, seed):
    """Means and standard errors of loss and gradient for each model.

    The networks are drawn a few at a time, and are those of all models.
    """
    rng = np.random.default_rng(seed)
    x, x_true = X.astype(np.float32), X_TRUE.astype(np.float32)
    samples = {model: ([], []) for model in MODELS}
    for _ in range(num // 20):
        weights = draw(rng, 20, widths, 2.0, np.float32)
        operator = draw_operator(rng, 20, 400, widths[-1], np.float32)
        for model, (losses, gradients) in samples.items():
            loss, gradient = empirical(model, weights, operator, x, x_true)
            losses.append(loss)
            gradients.append(gradient)
    return {
        model: tuple(mean_and_error(np.concatenate(part)) for part in parts)
        for model, parts in samples.items()
    }


def check_wide(model, widths, num, seed):
    (loss, _), (gradient, error) = wide_means(widths, num, seed)[model]
    depth = len(widths) - 1
    exact = np.asarray(theory.expected_gradient(X, X_TRUE, depth, model=model))
    assert np.linalg.norm(error) < 0.025 * np.linalg.norm(exact)
    assert np.linalg.norm(gradient - exact) < 0.05 * np.linalg.norm(exact)
    assert abs(loss / theory.expected_loss(X, X_TRUE, depth, model=model) - 1) < 0.05


@pytest.mark.parametrize("model", MODELS)
def test_two_wide_layers_agree_within_five_percent(model):
    check_wide(model, (3, 500, 600), 200, seed=5)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_three_wide_layers_agree_within_five_percent(model):
    check_wide(model, (3, 500, 600, 700), 400, seed=6)


# --- the bias at finite width ---------------------------------------------------------------


@pytest.mark.parametrize("width", [10, 40])
def test_one_layer_spiked_loss_exceeds_its_limit_by_a_known_term_over_the_width(width):
    # Var ‖G(x)‖² = 5 ‖x‖⁴/n and Var ⟨G(x), y⟩ = (2 J₂(θ)/π − cos² θ_1) ‖x‖² ‖x*‖²/n, with the
    # arc-cosine kernel J₂ of order 2 (Cho, Saul 2009)
    power, power_true = X @ X, X_TRUE @ X_TRUE
    theta = np.arccos(X @ X_TRUE / math.sqrt(power * power_true))
    kernel = 3 * np.sin(theta) * np.cos(theta) + (np.pi - theta) * (1 + 2 * np.cos(theta) ** 2)
    cross = 2 * kernel / np.pi - np.cos(angle_map(theta)) ** 2
    bias = (5 * power**2 + 5 * power_true**2 - 2 * cross * power * power_true) / (4 * width)
    limit = float(theory.expected_loss(X, X_TRUE, 1, model="spiked"))
    weights = draw(np.random.default_rng(7), 100_000, (3, width), 2.0)
    mean, error = mean_and_error(empirical("spiked", weights, None, X, X_TRUE)[0])
    assert abs(mean - limit - bias) < 4 * error
    assert bias > 20 * error


def test_spiked_loss_at_zero_exceeds_its_limit_by_the_fourth_moment():
    # f(0) = ‖G(x*)‖⁴ / 4, and a layer of width n multiplies the fourth moment by 1 + 5/n
    widths = (3, 12, 30)
    weights = draw(np.random.default_rng(8), 40_000, widths, 2.0)
    losses, _ = empirical("spiked", weights, None, np.zeros(3), X_TRUE)
    mean, error = mean_and_error(losses)
    limit = float(theory.expected_loss(np.zeros(3), X_TRUE, 2, model="spiked"))
    exact = (1 + 5 / 12) * (1 + 5 / 30) * limit
    assert abs(mean - exact) < 4 * error
    assert mean - limit > 20 * error


@pytest.mark.parametrize(("model", "depth"), [("spiked", 2), ("phase_retrieval", 1)])
def test_the_gradient_bias_decays_as_one_over_the_width(model, depth):
    rng = np.random.default_rng(9)
    exact = np.asarray(theory.expected_gradient(X, X_TRUE, depth, model=model), np.float64)
    direction = X - X_TRUE
    scaled = []
    for width in (20, 80):
        samples = []
        for _ in range(16):
            weights = draw(rng, 1000, (3,) + (width,) * depth, 2.0, np.float32)
            operator = draw_operator(rng, 1000, 10, width, np.float32)
            x, x_true = X.astype(np.float32), X_TRUE.astype(np.float32)
            samples.append(empirical(model, weights, operator, x, x_true)[1])
        mean, error = mean_and_error((np.concatenate(samples) - exact) @ direction)
        scaled.append((width * mean, width * error))
    (small, small_error), (large, large_error) = scaled
    assert (
        abs(small) > 8 * small_error
    )  # the bias is real, and 4 times smaller at 4 times the width
    assert abs(small - large) < 0.25 * abs(small) + 4 * math.hypot(small_error, large_error)
    assert 4 * math.hypot(small_error, large_error) < 1.5 * abs(small)  # 3 |small| without decay
