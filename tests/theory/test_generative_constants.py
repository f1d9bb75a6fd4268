"""Isometry, weight distribution, certificates, coherence against grids and closed forms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import jaxinv as ji
from jaxinv.generators._relu import Relu
from jaxinv.theory import (
    lipschitz_bounds,
    local_certificate,
    range_coherence,
    range_least_squares,
    range_restricted_isometry,
    range_restricted_weight_distribution,
    regions,
    set_restricted_eigenvalue,
    weight_distribution,
)


def network(seed, widths, scale=2.0):
    """Return a ReLU network and its map in double precision."""
    G = ji.generators.relu(jax.random.key(seed), widths, weight_scale=scale)
    weights = [np.asarray(weight, np.float64) for weight in G.params]

    def forward(z):
        for weight in weights:
            z = np.maximum(weight @ z, 0)
        return z

    return G, forward


def circle(count):
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)])


def layer(seed, n, num_inputs=2):
    return np.random.default_rng(seed).standard_normal((n, num_inputs)) / np.sqrt(n)


def expectation(r, s):
    """Return Q of two unit vectors, by the map that exchanges them on their span."""
    theta = np.arccos(np.clip(r @ s, -1, 1))
    M = np.zeros((len(r), len(r)))
    for direction, sign in ((r + s, 1), (r - s, -1)):
        if np.linalg.norm(direction) > 1e-9:
            M += sign * np.outer(direction, direction) / (direction @ direction)
    return ((np.pi - theta) * np.eye(len(r)) + np.sin(theta) * M) / (2 * np.pi)


def deviation(W, r, s):
    active = (W @ r > 0) & (W @ s > 0)
    return np.linalg.norm(W[active].T @ W[active] - expectation(r, s), 2)


# ----------------------------------------------------------------------------------- isometry


@pytest.mark.parametrize(("widths", "m"), [((1, 4, 6), 5), ((2, 4, 6), 5)])
def test_exact_isometry_is_the_largest_of_a_grid(widths, m):
    G, forward = network(0, widths)
    A = ji.operators.gaussian(jax.random.key(1), m, widths[-1])
    form = np.asarray(A.matrix, float).T @ np.asarray(A.matrix, float) - np.eye(widths[-1])

    def distortion(z):
        z = z.reshape(4, -1)
        u, v = forward(z[0]) - forward(z[1]), forward(z[2]) - forward(z[3])
        return -abs(u @ form @ v) / max(np.linalg.norm(u) * np.linalg.norm(v), 1e-12)

    directions = circle(24) if widths[0] == 2 else np.array([[1.0, -1.0]])
    latents = np.concatenate([ratio * directions for ratio in np.geomspace(0.2, 5, 5)], axis=1)
    one = np.repeat(directions, latents.shape[1], axis=1)
    other = np.tile(latents, directions.shape[1])
    secants = forward(one) - forward(other)
    lengths = np.linalg.norm(secants, axis=0)
    kept = lengths > 1e-9
    one, other, secants = one[:, kept], other[:, kept], secants[:, kept] / lengths[kept]
    products = np.abs(secants.T @ form @ secants)
    found = []
    for place in np.argsort(-products, axis=None)[:1000:100]:
        i, j = np.unravel_index(place, products.shape)
        start = np.concatenate([one[:, i], other[:, i], one[:, j], other[:, j]])
        options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 3000}
        found.append(-minimize(distortion, start, method="Nelder-Mead", options=options).fun)
    exact = range_restricted_isometry(A, G, "exact")
    assert max(found) - 1e-9 <= exact.value <= max(found) + 1e-3
    np.testing.assert_allclose(-distortion(np.concatenate(exact.witness)), exact.value, rtol=1e-6)


def test_isometry_methods_are_ordered_and_batched():
    keys = jax.random.split(jax.random.key(0), 3)

    def problem(key):
        return ji.operators.gaussian(key, 6, 8), ji.generators.relu(key, (2, 4, 8))

    def estimate(key, method):
        return range_restricted_isometry(*problem(key), method, key=key, num_samples=300).value

    sampled, search = (
        np.asarray(jax.jit(jax.vmap(lambda key, m=method: estimate(key, m)))(keys))
        for method in ("sampled", "search")
    )
    exact = np.array([range_restricted_isometry(*problem(key), "exact").value for key in keys])
    assert np.all(sampled <= search + 1e-6)
    assert np.all(search <= exact * (1 + 1e-3))
    assert np.median(search / exact) > 0.8  # narrow pieces are missed at times


def test_an_isometry_has_no_distortion():
    G, _ = network(0, (2, 4, 6))
    for method in ("exact", "search"):
        found = range_restricted_isometry(np.eye(6, dtype=np.float32), G, method, num_samples=10)
        assert float(found.value) < 1e-5
    half = range_restricted_isometry(0.5 * np.eye(6), G, "exact").value
    np.testing.assert_allclose(half, 0.75)


# ------------------------------------------------------------------------- weight distribution


@pytest.mark.parametrize(
    ("n", "low", "high"),
    [(20, 0.42, 0.995), (100, 0.22, 0.305), pytest.param(400, 0.115, 0.18, marks=pytest.mark.slow)],
)
def test_weight_distribution_of_four_draws(n, low, high):
    """The range of a grid search over draws of that size; a grid lies a little below."""
    values = [weight_distribution(layer(seed, n), "exact") for seed in range(4)]
    assert low <= min(v.value for v in values) < 1.02 * low + 0.02
    assert 0.98 * high - 0.01 < max(v.value for v in values) <= high
    assert all(v.bound - v.value <= 1.1e-5 for v in values)


def test_weight_distribution_against_a_grid():
    W = layer(0, 20)
    grid = circle(1200).T
    pairs = itertools.product(range(0, 1200, 8), range(1200))
    brute = max(deviation(W, grid[i], grid[j]) for i, j in pairs if i % 8 == 0 and j % 6 == 0)
    exact = weight_distribution(W, "exact")
    assert brute <= exact.bound
    assert brute > exact.value - 0.01
    r, s = exact.witness
    turned = [deviation(W, turn(r, a), turn(s, b)) for a in (-1e-6, 1e-6) for b in (-1e-6, 1e-6)]
    assert max(turned) == pytest.approx(exact.value, abs=2e-6)  # a corner of a closed sector


def turn(vector, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]]) @ vector


def test_weight_distribution_on_the_line_and_of_opposite_rows():
    w = layer(0, 9, 1)
    expected = max(abs(np.sum(np.maximum(sign * w, 0) ** 2) - 0.5) for sign in (1, -1))
    assert weight_distribution(w, "exact").value == pytest.approx(expected, rel=1e-6)
    # on the axes two opposite rows are both inactive, which no open sector shows
    W = np.array([[2.0, 0], [-2, 0], [0, 0.1], [0, -0.1]])
    axes = [np.array(v, float) for v in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    exact = weight_distribution(W, "exact")
    for r, s in itertools.product([*axes, *circle(33).T], repeat=2):
        assert deviation(W, r, s) <= exact.bound


def test_weight_distribution_methods_are_ordered_and_layer_one_is_the_range_restricted_one():
    layers = np.stack([layer(seed, 30).astype(np.float32) for seed in range(6)])
    key = jax.random.key(0)

    def estimate(W, method):
        return weight_distribution(W, method, key=key, num_samples=200).value

    sampled, search = (
        np.asarray(jax.vmap(lambda W, m=method: estimate(W, m))(layers))
        for method in ("sampled", "search")
    )
    exact = np.array([weight_distribution(W, "exact").value for W in layers])
    assert np.all(sampled <= search)
    assert np.all(search <= exact + 1e-4)
    assert np.all(search > 0.9 * exact)
    G = Relu((jnp.asarray(layers[0]), jnp.asarray(layer(9, 12, 30).astype(np.float32))))
    for method in ("exact", "sampled"):
        first = weight_distribution(layers[0], method, key=key, num_samples=200)
        other = range_restricted_weight_distribution(G, 1, method, key=key, num_samples=200)
        np.testing.assert_array_equal(first.value, other.value)


def test_range_restricted_weight_distribution_at_one_latent():
    G, _ = network(0, (1, 8, 10), scale=1.0)
    first, second = (np.asarray(weight, float) for weight in G.params)
    rays = [np.maximum(first @ np.array([sign]), 0) for sign in (1.0, -1.0)]
    rays = [ray / np.linalg.norm(ray) for ray in rays]
    angles = np.linspace(0, np.pi / 2, 400)
    secants = np.outer(rays[0], np.cos(angles)) - np.outer(rays[1], np.sin(angles))
    secants /= np.linalg.norm(secants, axis=0)
    brute = 0.0
    for r, s in itertools.combinations_with_replacement(rays, 2):
        active = (second @ r > 0) & (second @ s > 0)
        form = second[active].T @ second[active] - expectation(r, s)
        brute = max(brute, np.abs(secants.T @ form @ secants).max())
    exact = range_restricted_weight_distribution(G, 2, "exact")
    assert exact.value == pytest.approx(brute, abs=1e-4)
    found = range_restricted_weight_distribution(G, 2, "sampled", num_samples=20)
    assert float(found.value) <= exact.value + 1e-5
    # the whole layer has a larger constant than its restriction to the range
    assert float(weight_distribution(second, "sampled", num_samples=50).value) > exact.value


def convolutional_matrix(kernel, size, stride):
    """Return the matrix of a transposed convolution in 1-D that wraps around, tap by tap."""
    taps, c_in, c_out = kernel.shape
    matrix = np.zeros((size * stride, c_out, size, c_in))
    for place in range(size):
        for tap in range(taps):
            matrix[(stride * place + tap) % (size * stride), :, place] += kernel[tap].T
    return matrix.reshape(size * stride * c_out, size * c_in)


def test_weight_distribution_of_convolutional_layers_is_that_of_their_matrices():
    one = ji.generators.convolutional(jax.random.key(0), (1, 5, 4), 3, weight_scale=1.0)
    two = ji.generators.convolutional(jax.random.key(1), (1, 5, 4), 3, size=2, weight_scale=1.0)
    for G, size, runs in (
        (one, 1, ((2, "exact"),)),
        (two, 2, ((1, "exact"), (2, "sampled"))),
    ):
        matrices = [
            convolutional_matrix(np.asarray(kernel), size * 2**i, 2)
            for i, kernel in enumerate(G.params)
        ]
        dense = Relu(tuple(jnp.asarray(matrix, jnp.float32) for matrix in matrices))
        for number, method in runs:
            ours, theirs = (
                range_restricted_weight_distribution(net, number, method, num_samples=60)
                for net in (G, dense)
            )
            assert float(ours.value) == pytest.approx(float(theirs.value), rel=1e-5)
        first = weight_distribution(matrices[0], "exact").value
        assert first == pytest.approx(weight_distribution(G.layers[0].todense(), "exact").value)


def test_conditions_of_convolutional_networks_are_those_of_their_matrices():
    G = ji.generators.convolutional(jax.random.key(3), (2, 3, 1), 3)
    kernels = enumerate(np.asarray(kernel) for kernel in G.params)
    dense = Relu(tuple(jnp.asarray(convolutional_matrix(each, 2**i, 2)) for i, each in kernels))
    A = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    for condition in (set_restricted_eigenvalue, range_coherence):
        ours, theirs = (condition(A, net, "exact").value for net in (G, dense))
        assert ours == pytest.approx(theirs, rel=1e-5)
        assert ours > 0
    y = A @ np.ones(4, np.float32)
    ours, theirs = (range_least_squares(A, net, y) for net in (G, dense))
    np.testing.assert_allclose(ours.signal, theirs.signal, rtol=1e-5, atol=1e-6)


def test_weight_distribution_of_convolutional_layers_falls_with_channels():
    """As 1/√channels from latents of one pixel, otherwise to a floor."""

    def mean(channels):
        nets = (
            ji.generators.convolutional(key, channels, 3, weight_scale=1.0)
            for key in jax.random.split(jax.random.key(2), 4)
        )
        found = [range_restricted_weight_distribution(net, 2, "exact") for net in nets]
        return np.mean([each.value for each in found])

    assert 2 < mean((1, 6, 6)) / mean((1, 54, 54)) < 4.5  # √9
    # one channel of two pixels: r = (1, δ) and s = (1, -δ) leave pixel 2 with no active row,
    # while their angle, and with it Q, hardly moves from ½ I
    kernel = np.random.default_rng(0).normal(size=(2, 1, 200)) / np.sqrt(400)
    assert 0.5 <= weight_distribution(convolutional_matrix(kernel, 2, 2), "exact").bound < 0.6


# ------------------------------------------------------------------------------------- local


def test_local_certificate_against_hessian_and_pattern():
    family = ji.problems.generative(widths=(3, 20, 30), num_measurements=15)
    problem = family.sample(jax.random.key(0))
    u = problem.truth.u
    found = local_certificate(problem, u)
    values = np.linalg.eigvalsh(np.asarray(jax.hessian(problem.loss)(u), float))
    np.testing.assert_allclose(
        (found.strong_convexity, found.smoothness), values[[0, -1]], rtol=1e-4
    )
    np.testing.assert_allclose(found.condition_number, values[-1] / values[0], rtol=1e-3)
    assert bool(found.holds)
    assert float(found.distance) < 1e-5
    G = problem.prior
    pattern = np.concatenate(G.activation_pattern(u))
    directions = np.random.default_rng(0).standard_normal((4000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    def changes(radius):
        points = u + radius * jnp.asarray(directions, u.dtype)
        patterns = np.concatenate(jax.vmap(G.activation_pattern)(points), axis=1)
        return np.any(patterns != pattern)

    assert not changes(0.999 * found.radius)
    assert changes(1.02 * found.radius)


def test_local_certificate_away_from_a_solution():
    family = ji.problems.generative(widths=(3, 20, 30), num_measurements=15)
    problem = family.sample(jax.random.key(0))
    u = -problem.truth.u
    found = local_certificate(problem, u)
    assert not bool(found.holds)
    # the distance is that of Newton's step
    step = jnp.linalg.solve(jax.hessian(problem.loss)(u), jax.grad(problem.loss)(u))
    np.testing.assert_allclose(found.distance, jnp.linalg.norm(step), rtol=1e-3)
    few = problem._replace(operator=ji.operators.gaussian(jax.random.key(0), 2, 30), y=jnp.ones(2))
    flat = local_certificate(few, u)
    assert float(flat.strong_convexity) == 0
    assert np.isinf(float(flat.condition_number))
    with pytest.raises(ValueError, match="that of squares"):
        local_certificate(problem._replace(misfit=ji.misfits.huber(1.0)), u)
    with pytest.raises(TypeError, match=r"problem\.prior must be a ReLU network"):
        local_certificate(problem._replace(prior=None), u)


def test_lipschitz_bounds_hold_the_largest_piece():
    G, _ = network(0, (2, 12, 16))
    largest = np.linalg.norm(regions(G).maps, 2, axis=(1, 2)).max()
    found = lipschitz_bounds(G)
    assert 0.98 * largest <= float(found.lower) <= largest * (1 + 1e-5) < float(found.upper)
    np.testing.assert_allclose(np.linalg.norm(G.jacobian(found.witness), 2), found.lower, rtol=1e-5)
    smooth = ji.generators.from_function(lambda p, z: p @ z, 3 * jnp.eye(4, 2), in_shape=2)
    found = lipschitz_bounds(smooth, "sampled", num_samples=4)
    assert float(found.lower) == pytest.approx(3)
    assert np.isinf(float(found.upper))


def test_range_coherence_is_that_of_all_pairs_of_pieces():
    G, _ = network(0, (2, 5, 9))
    basis = np.fft.fft(np.eye(9))[1:4]
    maps = regions(G).maps
    brute = 0.0
    for i, j in itertools.product(range(len(maps)), repeat=2):
        u, s, _ = np.linalg.svd(np.concatenate([maps[i], maps[j]], axis=1), full_matrices=False)
        u = u[:, s > 1e-9 * max(s[0], 1e-12)]
        brute = max(brute, np.linalg.norm(basis @ u, axis=1).max() / 3)
    exact = range_coherence(basis, G, "exact")
    assert exact.value == exact.bound == pytest.approx(brute, rel=1e-5)
    found = range_coherence(basis, G)
    assert 0.95 * exact.value < float(found.value) < exact.value * (1 + 1e-5)
    # a network that makes one row of the basis is as coherent as can be
    row = np.eye(9)[:1]
    assert float(range_coherence(row, Relu((jnp.eye(9)[:, :2],)), "exact").value) == 1


def test_refusals():
    G, _ = network(0, (3, 8, 9))
    wide, _ = network(0, (2, 60, 60))
    A = np.ones((5, 9), np.float32)
    leaky = ji.generators.convolutional(jax.random.key(0), (1, 2), 2, negative_slope=0.1)
    cases = [
        (lambda: range_restricted_isometry(A, G, "exact"), "at most 2 latents, got 3"),
        (
            lambda: range_restricted_isometry(np.ones((5, 60)), wide, "exact"),
            "at most 80 linear pieces, got about 240",
        ),
        (lambda: weight_distribution(A, "exact"), "at most 2 inputs"),
        (lambda: weight_distribution(layer(0, 5000), "exact"), "at most 2000 sectors.*got 10000"),
        (lambda: range_restricted_weight_distribution(G, 3), "at most 2, the depth"),
        (lambda: range_restricted_weight_distribution(leaky, 1), "ReLU network without biases"),
        (lambda: range_restricted_weight_distribution(G, 2, "exact"), "one latent"),
        (lambda: range_coherence(0 * A, G), "no zero row, got zero row 0"),
    ]
    for call, message in cases:
        with pytest.raises((ValueError, TypeError), match=message):
            call()
