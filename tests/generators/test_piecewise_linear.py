"""Networks of piecewise linear units, dense and convolutional, against loops and moments."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, normal

import jaxinv as ji

KEY = jax.random.key(4)
Z = normal(jax.random.key(5), (3,))


def reference(G, z):
    """The network in NumPy."""
    h = np.asarray(z, np.float64)
    biases = G.params["biases"] or [0.0] * len(G.params["weights"])
    for weight, bias in zip(G.params["weights"], biases, strict=True):
        h = np.asarray(weight, np.float64) @ h + np.asarray(bias, np.float64)
        h = np.where(h > 0, h, G.negative_slope * h)
    return h


@pytest.mark.parametrize(("slope", "bias"), [(0.0, 0.0), (0.2, 0.5), (-1.0, 0.0), (-1.0, 0.3)])
def test_dense_networks_equal_numpy(slope, bias):
    G = ji.generators.piecewise_linear(
        KEY, (3, 9, 7), negative_slope=slope, bias_std=bias, dtype=floats()
    )
    np.testing.assert_allclose(G(Z), reference(G, Z), rtol=1e-4, atol=1e-6)
    assert G.homogeneous == (bias == 0)
    if G.homogeneous:
        np.testing.assert_allclose(G(3 * Z), 3 * G(Z), rtol=1e-5, atol=1e-6)
    linear = G.jacobian(Z) @ Z + (G(Z) - G.jacobian(Z) @ Z if bias else 0)
    np.testing.assert_allclose(linear, G(Z), rtol=1e-4, atol=1e-6)


def test_slope_zero_is_the_relu_network():
    G = ji.generators.piecewise_linear(KEY, (3, 9, 7), dtype=floats())
    R = ji.generators.relu(KEY, (3, 9, 7), dtype=floats())
    np.testing.assert_array_equal(G(Z), R(Z))
    np.testing.assert_allclose(G.jacobian(Z), R.jacobian(Z), rtol=1e-5, atol=1e-7)
    for ours, theirs in zip(G.activation_pattern(Z), R.activation_pattern(Z), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(G.without_activations(Z), R.without_activations(Z), rtol=1e-5)


@pytest.mark.parametrize("slope", [0.0, 0.3, -1.0])
def test_norms_are_kept_on_average(slope):
    def dense(key):
        return ji.generators.piecewise_linear(key, (3, 9, 7), negative_slope=slope)(Z)

    def convolved(key):
        G = ji.generators.convolutional(key, (3, 4, 2), 3, negative_slope=slope)
        return G(Z)

    keys = jax.random.split(KEY, 4000)
    for draw in (dense, convolved):
        ratios = np.sum(np.square(jax.jit(jax.vmap(draw))(keys)), -1) / np.sum(np.square(Z))
        error = ratios.std(ddof=1) / np.sqrt(ratios.size)
        assert abs(ratios.mean() - 1) < 4 * error
        assert error < 0.03


def looped(kernel, size, stride):
    """The matrix of a transposed convolution with wraparound, entry by entry."""
    *sides, c_in, c_out = kernel.shape
    out = [side * stride for side in size]
    matrix = np.zeros((*out, c_out, *size, c_in))
    for place in np.ndindex(*size):
        for tap in np.ndindex(*sides):
            to = tuple((stride * p + t) % n for p, t, n in zip(place, tap, out, strict=True))
            for i, o in itertools.product(range(c_in), range(c_out)):
                matrix[(*to, o, *place, i)] += kernel[(*tap, i, o)]
    return matrix.reshape(np.prod(out) * c_out, -1)


@pytest.mark.parametrize(
    ("size", "side", "stride"), [((3,), 2, 2), ((4,), 5, 2), ((2, 3), 3, 2), ((3, 2), 2, 1)]
)
def test_convolutional_layers_equal_a_loop(size, side, stride):
    G = ji.generators.convolutional(KEY, (2, 3, 1), side, size=size, stride=stride, dtype=floats())
    for index, (layer, kernel) in enumerate(zip(G.layers, G.params, strict=True)):
        sides = tuple(s * stride**index for s in size)
        matrix = looped(np.asarray(kernel, np.float64), sides, stride)
        np.testing.assert_allclose(layer.todense(), matrix, atol=1e-6)
        np.testing.assert_allclose(layer.H.todense(), matrix.T, atol=1e-6)
    assert np.prod(G.image_shape) == G.out_shape[0]


@pytest.mark.parametrize("name", ["leaky", "absolute", "biased", "convolutional"])
def test_their_signals_are_recovered(name):
    make = {
        "leaky": lambda key: ji.generators.piecewise_linear(key, (4, 30, 60), negative_slope=0.2),
        "absolute": lambda key: ji.generators.piecewise_linear(key, (4, 60), negative_slope=-1.0),
        "biased": lambda key: ji.generators.piecewise_linear(key, (4, 30, 60), bias_std=0.3),
        "convolutional": lambda key: ji.generators.convolutional(key, (2, 8, 4), 4, size=2),
    }[name]

    def error(key):
        G = make(key)
        family = ji.problems.generative(generator=G, num_measurements=24)
        problem, starts = family.sample(key), family.initial(key, 6)
        solver = ji.solvers.levenberg_marquardt(num_restarts=6)
        found = ji.solve(solver, problem, starts, max_steps=60)
        return ji.metrics.relative_error(found.x, problem.truth.x)

    errors = jax.lax.map(error, jax.random.split(KEY, 4))
    assert jnp.sort(errors)[2] < 1e-4  # a network with biases has local minima


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ji.generators.piecewise_linear(KEY, (3,)), "at least one layer"),
        (lambda: ji.generators.piecewise_linear(KEY, (3, 4), bias_std=-1.0), "bias_std must be"),
        (lambda: ji.generators.convolutional(KEY, (3, 4), 1), "be at least the stride, 2, got 1"),
        (lambda: ji.generators.convolutional(KEY, (3,), 2), "at least one layer"),
        (lambda: ji.generators.convolutional(KEY, (3, 4), 2, size=()), "at least one side"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def forward(weights, biases, slope, z):
    """The network in numpy, in double precision."""
    h = np.asarray(z, np.float64)
    for weight, bias in zip(weights, biases, strict=True):
        h = weight @ h + bias
        h = np.maximum(h, 0) + slope * np.minimum(h, 0)
    return h


def test_weights_of_ones_own_make_networks_that_conditions_take():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(7, 2)), rng.normal(size=(5, 7))]
    biases = [rng.normal(size=7), rng.normal(size=5)]
    z = rng.normal(size=2)
    make = ji.generators.from_weights
    plain, leaky, biased = make(weights), make(weights, negative_slope=0.2), make(weights, biases)
    none = [0.0, 0.0]
    for G, added, slope in ((plain, none, 0), (leaky, none, 0.2), (biased, biases, 0)):
        np.testing.assert_allclose(G(z), forward(weights, added, slope, z), rtol=2e-5, atol=2e-6)
    # the infimum over all secants is below every one of them, and that of its own witness
    A = rng.normal(size=(4, 5))
    exact = ji.theory.set_restricted_eigenvalue(A, plain, "exact")
    x1, x2 = (forward(weights, none, 0, latent) for latent in exact.witness)
    assert exact.value == pytest.approx(np.linalg.norm(A @ (x1 - x2)) / np.linalg.norm(x1 - x2))
    drawn = [forward(weights, none, 0, latent) for latent in rng.normal(size=(200, 2))]
    for x1, x2 in zip(drawn[::2], drawn[1::2], strict=True):
        if np.linalg.norm(x1 - x2) > 0:
            assert np.linalg.norm(A @ (x1 - x2)) >= exact.value * np.linalg.norm(x1 - x2) - 1e-9
    piece = ji.theory.regions(biased)
    value = forward(weights, biases, 0, piece.points[3])
    np.testing.assert_allclose(piece.maps[3] @ piece.points[3] + piece.offsets[3], value, atol=1e-5)


def test_weights_of_ones_own_keep_their_type_and_pass_under_jit():
    halves = [np.ones((3, 2), np.float16), np.ones((4, 3), np.float32)]
    assert [w.dtype for w in ji.generators.from_weights(halves).params] == [np.float32] * 2
    G = ji.generators.from_weights(halves, dtype=np.float16)
    assert G.params[1].dtype == np.float16
    batch = jax.vmap(lambda w: ji.generators.from_weights([w])(jnp.ones(2)))(jnp.ones((5, 3, 2)))
    np.testing.assert_array_equal(batch, np.full((5, 3), 2.0))
