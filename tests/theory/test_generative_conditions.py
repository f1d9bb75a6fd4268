"""Conditions on generators and measurements: exact constants against independent searches."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import jaxinv as ji
from jaxinv._core import replace
from jaxinv.generators._relu import Relu
from jaxinv.theory import regions, set_restricted_eigenvalue
from jaxinv.theory.generative._cones import least_gain, subspace_gains
from jaxinv.theory.generative._regions import enumerate_regions, expected_count


def drawn(seed, widths, m):
    """Return weights and A of NumPy's generator, in double precision."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal((b, a)) for a, b in itertools.pairwise(widths)]
    return weights, rng.standard_normal((m, widths[-1])) / np.sqrt(m)


def forward(weights, z):
    for weight in weights:
        z = np.maximum(weight @ z, 0)
    return z


def quotient(weights, A, pair):
    d = forward(weights, pair[: len(pair) // 2]) - forward(weights, pair[len(pair) // 2 :])
    return np.linalg.norm(A @ d) / max(np.linalg.norm(d), 1e-12)


@pytest.mark.parametrize(
    ("widths", "m", "seed", "sectors", "subspace", "gamma"),
    [
        ((2, 10, 20), 8, 0, 60, 0.104, 0.3452),
        ((2, 10, 20), 15, 1, 66, 0.250, 0.5358),
        ((2, 30, 100), 20, 0, 258, 0.363, 0.6237),
        ((2, 10, 20, 30), 15, 3, 110, 0.273, 0.4471),
    ],
)
def test_certificate_table(widths, m, seed, sectors, subspace, gamma):
    """The table of a prototype; it counted one sector more, where it cut the circle at π."""
    weights, A = drawn(seed, widths, m)
    found = enumerate_regions("test", weights)
    assert len(found.rays) == sectors
    exact = least_gain(A, found)
    assert abs(exact.value - gamma) < 1e-4
    pairs = np.stack(np.triu_indices(sectors), axis=1)
    assert abs(subspace_gains(A, found.maps, pairs).min() - subspace) < 1e-3
    np.testing.assert_allclose(
        quotient(weights, A, np.concatenate(exact.latents)), exact.value, rtol=1e-9
    )
    assert exact.opened < 0.5 * len(pairs)


def network(seed, widths):
    """Return a ReLU network and its weights as the host reads them."""
    G = ji.generators.relu(jax.random.key(seed), widths)
    return G, [np.asarray(weight, np.float64) for weight in G.params]


@pytest.mark.parametrize("widths", [(1, 4, 6), (2, 6, 9), (3, 5, 6)])
def test_regions_are_the_linear_pieces(widths):
    """Every random latent lies in one cone, and pattern and map there are the network's own."""
    G, weights = network(0, widths)
    found = regions(G)
    latents = np.random.default_rng(0).standard_normal((200, widths[0]))
    seen = {tuple(np.concatenate(G.activation_pattern(z)).tolist()) for z in latents}
    patterns = np.concatenate(found.patterns, axis=1)
    assert seen <= {tuple(row.tolist()) for row in patterns}
    for rays, linear in zip(found.rays, found.maps, strict=True):
        inside = np.random.default_rng(1).uniform(0.1, 1, (3, len(rays))) @ rays
        for z in inside:
            np.testing.assert_allclose(linear @ z, forward(weights, z), atol=1e-9)
    if widths[0] == 2:  # the circle is covered once
        assert sum(np.arccos(rays[0] @ rays[1]) for rays in found.rays) == pytest.approx(2 * np.pi)
    if widths[0] == 3:  # the area of the sphere, by the angles of each polygon
        assert sum(map(solid_angle, found.rays)) == pytest.approx(4 * np.pi)


def solid_angle(rays):
    """Return the area of a spherical polygon: its angles less those of a flat one."""
    total = 0.0
    for i in range(len(rays)):
        a, b, c = rays[i - 1], rays[i], rays[(i + 1) % len(rays)]
        left, right = np.cross(b, a), np.cross(b, c)
        total += np.arccos(left @ right / np.linalg.norm(left) / np.linalg.norm(right))
    return total - (len(rays) - 2) * np.pi


def test_one_layer_has_as_many_cones_as_hyperplanes_cut():
    for latent, units in ((1, 5), (2, 9), (3, 7)):
        G, _ = network(1, (latent, units))
        assert len(regions(G).rays) == expected_count(latent, units)


def biased(seed, widths, **options):
    """Return a network of units with biases."""
    key = jax.random.key(seed)
    return ji.generators.piecewise_linear(key, widths, bias_std=0.7, **options)


def preactivations(G, latents):
    """Return what enters the units of every layer, of a batch of latents (k, count)."""
    found, h = [], latents
    weights = [np.asarray(layer.todense(), np.float64) for layer in G.layers]
    biases = [np.asarray(b, np.float64)[:, None] for b in G.biases] or [0.0] * len(weights)
    for weight, bias in zip(weights, biases, strict=True):
        found.append(weight @ h + bias)
        h = np.where(found[-1] > 0, found[-1], G.negative_slope * found[-1])
    return found, h


@pytest.mark.parametrize(
    ("widths", "options"),
    [((1, 7, 9), {}), ((2, 6, 8), {}), ((2, 7, 5), {"negative_slope": -0.3})],
)
def test_regions_with_biases_are_what_a_grid_sees(widths, options):
    """Every latent of a fine grid has a listed pattern, every listed piece points inside it."""
    k = widths[0]
    G = biased(3, widths, **options)
    found = regions(G)
    patterns = np.concatenate(found.patterns, axis=1)
    listed = {tuple(row) for row in patterns.tolist()}
    assert len(listed) == len(patterns)
    line = np.linspace(-6, 6, 500 if k == 2 else 5001)
    grid = np.stack(np.meshgrid(*[line] * k)).reshape(k, -1)
    before, _ = preactivations(G, grid)
    seen = np.unique((np.concatenate(before) > 0).T, axis=0)
    assert {tuple(row) for row in seen.tolist()} <= listed
    # a fine grid of a large part of the plane misses what is small or far, not most
    assert len(seen) > 0.7 * len(listed)
    rng = np.random.default_rng(0)
    parts = (found.vertices, found.rays, patterns, found.maps, found.offsets, found.points)
    for corners, rays, pattern, linear, offset, point in zip(*parts, strict=True):
        shares = rng.dirichlet(np.ones(len(corners)), 4)
        inside = shares @ corners + rng.exponential(1, (4, len(rays))) @ rays
        latents = np.concatenate([point[None], inside]).T
        before, signal = preactivations(G, latents)
        np.testing.assert_array_equal(
            (np.concatenate(before) > 0).T,
            np.broadcast_to(pattern, (len(inside) + 1, *pattern.shape)),
        )
        np.testing.assert_allclose(linear @ latents + offset[:, None], signal, atol=1e-8)


def test_regions_of_one_biased_layer_are_its_arrangement():
    """On the line the corners are -b/w; in the plane N lines in general position, at any scale."""
    G = biased(1, (1, 5))
    (weight,), (bias,) = (np.asarray(G.params[name], float) for name in ("weights", "biases"))
    corners = np.unique(np.concatenate(regions(G).vertices).round(9))
    np.testing.assert_allclose(corners, np.sort(-bias / weight[:, 0]), rtol=1e-8, atol=1e-9)
    assert sum(len(rays) for rays in regions(G).rays) == 2  # two half lines, four intervals
    G = biased(1, (2, 9))
    for factor in (1e-15, 1.0, 1e15):
        biases = tuple(factor * b for b in G.biases)
        scaled = replace(G, params={**G.params, "biases": biases})
        found = regions(scaled)
        assert len(found.rays) == 1 + 9 + 36
        assert sum(len(rays) == 2 for rays in found.rays) == 2 * 9
        np.testing.assert_allclose(found.points, factor * regions(G).points, rtol=1e-5)


def test_regions_of_convolutional_and_leaky_networks():
    """Without biases they are cones; a leaky network has those of its patterns, with its maps."""
    for G in (
        ji.generators.convolutional(jax.random.key(0), (1, 3, 2), 3, size=2),
        ji.generators.piecewise_linear(jax.random.key(0), (3, 5, 4), negative_slope=0.2),
    ):
        found = regions(G)
        patterns = np.concatenate(found.patterns, axis=1)
        latents = np.random.default_rng(0).standard_normal((G.in_shape[0], 400))
        before, _ = preactivations(G, latents)
        seen = {tuple(row) for row in (np.concatenate(before) > 0).T.tolist()}
        assert seen <= {tuple(row) for row in patterns.tolist()}
        before, signals = preactivations(G, found.points.T)
        np.testing.assert_array_equal((np.concatenate(before) > 0).T, patterns)
        mapped = np.einsum("rnk,rk->rn", found.maps, found.points)
        np.testing.assert_allclose(mapped, signals.T, atol=1e-9)


@pytest.mark.parametrize(("seed", "widths", "m"), [(0, (2, 3, 6), 4), (1, (2, 4, 7), 5)])
def test_exact_eigenvalue_is_the_least_of_a_grid(seed, widths, m):
    """All pairs of 500 directions, the ratio of their lengths by Nelder-Mead from the best."""
    weights, A = drawn(seed, widths, m)
    angles = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    images = forward(weights, circle)
    grids = []
    for ratio in np.geomspace(0.1, 10, 15):
        d = images[:, :, None] - ratio * images[:, None, :]
        lengths = np.linalg.norm(d, axis=0)
        gains = np.linalg.norm(np.tensordot(A, d, 1), axis=0) / np.where(lengths > 0, lengths, 1)
        grids.append(np.where(lengths > 1e-6, gains, np.inf))
    best = []
    for place in np.argsort(np.stack(grids), axis=None)[:2000:100]:
        r, i, j = np.unravel_index(place, (15, 500, 500))
        start = np.concatenate([circle[:, i], np.geomspace(0.1, 10, 15)[r] * circle[:, j]])
        options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 2000}
        polished = minimize(
            lambda pair: quotient(weights, A, pair), start, method="Nelder-Mead", options=options
        )
        best.append(polished.fun)
    exact = least_gain(A, enumerate_regions("test", weights)).value
    assert exact - 1e-9 <= min(best) <= exact + 1e-3


def test_one_latent_in_closed_form():
    """At k = 1 the range is two rays: the secants are one cone of the plane and the rays."""
    weights, A = drawn(0, (1, 4, 6), 3)
    up, down = forward(weights, np.ones(1)), forward(weights, -np.ones(1))
    angles = np.linspace(0, np.pi / 2, 20001)
    d = np.outer(up, np.cos(angles)) - np.outer(down, np.sin(angles))
    gains = np.linalg.norm(A @ d, axis=0) / np.linalg.norm(d, axis=0)
    exact = least_gain(A, enumerate_regions("test", weights)).value
    np.testing.assert_allclose(exact, gains.min(), rtol=1e-6)


def test_methods_are_ordered_on_twenty_seeds():
    """sampled >= search >= exact >= subspace, and a batch of networks is one program."""
    keys = jax.random.split(jax.random.key(2), 20)

    def problem(key):
        first, second = jax.random.split(key)
        return ji.operators.gaussian(first, 12, 16), ji.generators.relu(second, (2, 8, 16))

    def estimate(key, method):
        A, G = problem(key)
        return set_restricted_eigenvalue(A, G, method, key=key, num_samples=1000).value

    sampled, search = (
        np.asarray(jax.jit(jax.vmap(lambda key, m=method: estimate(key, m)))(keys))
        for method in ("sampled", "search")
    )
    slack = 1e-3  # of single precision
    closer = 0
    for i, key in enumerate(keys):
        A, G = problem(key)
        exact = set_restricted_eigenvalue(A, G, "exact")
        bracket = set_restricted_eigenvalue(A, G, "subspace")
        assert sampled[i] >= search[i] - 1e-6
        assert search[i] >= exact.value * (1 - slack)
        assert bracket.bound <= exact.value <= bracket.value
        assert bracket.bound < exact.value
        closer += search[i] <= 1.02 * exact.value
    assert closer >= 14  # the search ends elsewhere at times, never below


def test_scales_and_complex_measurements():
    G, _ = network(3, (2, 6, 8))
    A = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    gamma = set_restricted_eigenvalue(A, G, "exact").value
    scaled = Relu(tuple(weight * 1e15 for weight in G.params))
    for operator, generator, factor in (
        (1e15 * A, G, 1e15),
        (A, scaled, 1),
        (A[:3] + 1j * A[3:], G, 1),
    ):
        found = set_restricted_eigenvalue(operator, generator, "exact").value
        np.testing.assert_allclose(found, factor * gamma, rtol=1e-5)
    # fewer measurements than latents leave a direction of the plane unseen
    assert set_restricted_eigenvalue(A[:1], G, "exact").value < 1e-12


def test_refusals_of_enumeration():
    A = np.ones((3, 8), np.float32)
    G, _ = network(0, (2, 6, 8))
    smooth = ji.generators.from_function(lambda p, z: jnp.tanh(p @ z), jnp.ones((8, 2)), in_shape=2)
    cases = [
        (lambda: regions(ji.generators.relu(jax.random.key(0), (4, 6, 8))), "at most 3 latents"),
        (lambda: regions(G, max_regions=20), "at most 20 linear pieces, got about 28"),
        (lambda: regions(ji.generators.relu(jax.random.key(0), (3, 2, 8))), "rank 3.*got rank 2"),
        (lambda: regions(smooth), "piecewise linear units"),
        (lambda: regions(biased(0, (3, 6))), "at most 2 latents with biases.*got 3"),
        (lambda: regions(biased(0, (2, 9, 9)), max_regions=171), "at most 171.*got about 172"),
        (lambda: regions(biased(0, (2, 1, 9))), "rank 2.*got rank 1"),
        (lambda: set_restricted_eigenvalue(A, G, "subspace"), "2k = 4 rows.*got m = 3"),
        (lambda: set_restricted_eigenvalue(A[:, :5], G), r"signals of the generator"),
        (lambda: set_restricted_eigenvalue(A, G, "fast"), "be one of exact"),
    ]
    for call, message in cases:
        with pytest.raises((ValueError, TypeError), match=message):
            call()
