"""Unfolded IHT: the equations, both thresholds, and gradients that are not zero."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.unfolded._iht_network import ramp_threshold

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
M, N, T = 20, 40, 4


@functools.cache
def drawn():
    A = ji.problems.sparse(M, N, dtype=DTYPE).sample(jax.random.key(0)).operator
    family = ji.problems.sparse(M, N, num_nonzeros=3, operator=A, dtype=DTYPE)
    return family, jax.jit(family.batch)(jax.random.split(jax.random.key(1), 3))


def one(index=0):
    family, problems = drawn()
    return ji.Problem(family.operator, problems.y[index], None, None)


def numpy_ramp(v, threshold, width):
    """The ramp, entry by entry, from its three pieces."""
    out = np.zeros_like(v)
    for i, entry in enumerate(v):
        size = abs(entry)
        if size >= threshold + width:
            out[i] = entry
        elif size > threshold - width:
            slope = (threshold + width) / (2 * width)
            out[i] = np.sign(entry) * slope * (size - threshold + width)
    return out


def numpy_largest(v, count):
    kept = np.argsort(-np.abs(v))[:count]
    out = np.zeros_like(v)
    out[kept] = v[kept]
    return out


def numpy_network(layers, problem, shrink):
    A, y = np.asarray(problem.operator.matrix, float), np.asarray(problem.y, float)
    x, history = np.zeros(N), []
    for t in range(layers.num_layers):
        layer = layers.layer(t)
        x = shrink(layer, x + np.asarray(layer.weights, float).T @ (y - A @ x))
        history.append(x)
    return np.stack(history)


def perturbed(layers, size=0.02):
    """Other weights in every layer, so that a test sees which one is used."""
    trainable, frozen = layers.partition()
    noise = size * jax.random.normal(jax.random.key(3), trainable["weights"].shape, DTYPE)
    return frozen.merge({**trainable, "weights": trainable["weights"] + noise})


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("start", ["analytic", "adjoint"])
def test_the_largest_entries_are_kept_as_in_a_numpy_loop(tied, start):
    A = drawn()[0].operator
    layers = perturbed(ji.unfolded.iht_network(A, T, 5, tied=tied, initial_weights=start))
    assert layers.solver.weights.shape == ((M, N) if tied else (T, M, N))
    got = ji.unfold(layers, one(), all_layers=True)
    expected = numpy_network(layers, one(), lambda _, v: numpy_largest(v, 5))
    np.testing.assert_allclose(got, expected, atol=2000 * EPS)
    np.testing.assert_array_equal(np.count_nonzero(got, axis=1), 5)


@pytest.mark.parametrize("ramp", [0.2, 1.0])
def test_the_ramp_equals_a_numpy_loop(ramp):
    layers = perturbed(ji.unfolded.iht_network(drawn()[0].operator, T, ramp=ramp))
    np.testing.assert_allclose(layers.solver.width, ramp * layers.solver.threshold, rtol=1e-6)
    got = ji.unfold(layers, one(1), all_layers=True)

    def shrink(layer, v):
        return numpy_ramp(v, float(layer.threshold), float(layer.width))

    np.testing.assert_allclose(got, numpy_network(layers, one(1), shrink), atol=5000 * EPS)


def test_the_ramp_runs_from_zero_to_the_identity():
    v = jnp.asarray([-2.0, -1.3, -1.0, -0.7, -0.2, 0.0, 0.5, 0.7, 1.0, 1.3, 5.0], DTYPE)
    got = ramp_threshold(v, 1.0, 0.3)
    expected = [-2, -1.3, -0.65, 0, 0, 0, 0, 0, 0.65, 1.3, 5]
    np.testing.assert_allclose(got, expected, atol=4 * EPS)
    np.testing.assert_allclose(ramp_threshold(v, 1.0, 1.0), v, atol=4 * EPS)
    np.testing.assert_allclose(ramp_threshold(v, 1.0, 7.0), v, atol=4 * EPS)  # σ at most τ
    hard = jnp.where(jnp.abs(v) >= 1, v, 0)
    np.testing.assert_array_equal(ramp_threshold(v, 1.0, 0.0), hard)
    phase = jnp.exp(1j * jnp.arange(v.size))
    np.testing.assert_allclose(ramp_threshold(v * phase, 1.0, 0.3), got * phase, atol=8 * EPS)


def test_the_ramp_has_the_gradient_that_the_hard_threshold_lacks():
    v = jnp.asarray([1.1, -0.9, 0.1, 3.0], DTYPE)

    def total(threshold, width):
        return jnp.sum(ramp_threshold(v, threshold, width) ** 2)

    slopes = jax.grad(total, (0, 1))(1.0, 0.3)
    h = 1e-6 if X64 else 1e-2
    for slope, d in zip(slopes, [(h, 0), (0, h)], strict=True):
        ends = [float(total(1.0 + s * d[0], 0.3 + s * d[1])) for s in (1, -1)]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * h), rtol=1e-7 if X64 else 2e-2)
        assert abs(slope) > 0.1
    assert jax.grad(total)(1.0, 0.0) == 0  # hard
    assert np.all(np.isfinite(jax.grad(lambda w: jnp.sum(ramp_threshold(w, 0.0, 0.0)))(v * 0)))


@pytest.mark.parametrize("options", [{"num_nonzeros": 5}, {"ramp": 0.5}], ids=["largest", "ramp"])
def test_gradients_agree_with_finite_differences(options):
    layers = perturbed(ji.unfolded.iht_network(drawn()[0].operator, T, tied=True, **options))
    truth = drawn()[1].truth.x[0]
    trainable, frozen = layers.partition()

    @jax.jit
    def loss(trainable):
        u = ji.unfold(frozen.merge(trainable), one())
        return jnp.sum((u - truth) ** 2)

    gradient = jax.grad(loss)(trainable)
    if "ramp" in options:
        assert np.any(gradient["threshold"] != 0)
        assert np.any(gradient["width"] != 0)
    along = jax.tree.map(
        lambda leaf: jax.random.normal(jax.random.key(4), leaf.shape, DTYPE), trainable
    )
    h = 1e-7 if X64 else 1e-4
    ends = [loss(jax.tree.map(lambda p, d, s=s: p + s * h * d, trainable, along)) for s in (1, -1)]
    slope = sum(jnp.vdot(gradient[name], along[name]) for name in trainable)
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * h), rtol=1e-5 if X64 else 0.05)


def test_keeping_the_largest_is_equivariant_to_scale_and_maps_zero_to_zero():
    layers = ji.unfolded.iht_network(drawn()[0].operator, T, 0.1, tied=True)
    problem = one()
    once = ji.unfold(layers, problem)
    scaled = ji.unfold(layers, problem._replace(y=8 * problem.y))  # a power of 2 is exact
    np.testing.assert_array_equal(scaled, 8 * once)
    for net in (layers, ji.unfolded.iht_network(drawn()[0].operator, T, ramp=0.3)):
        zero = ji.unfold(net, problem._replace(y=0 * problem.y))
        np.testing.assert_array_equal(zero, 0)


def test_a_count_and_a_share_are_the_same_also_when_traced():
    A, problem = drawn()[0].operator, one()
    expected = ji.unfold(ji.unfolded.iht_network(A, 2, 8), problem)
    np.testing.assert_array_equal(ji.unfold(ji.unfolded.iht_network(A, 2, 0.2), problem), expected)

    def run(share):
        return ji.unfold(ji.unfolded.iht_network(A, 2, share, tied=True), problem)

    rows = jax.vmap(run)(jnp.asarray([0.1, 0.2], DTYPE))
    np.testing.assert_allclose(rows[1], expected, atol=200 * EPS)
    np.testing.assert_array_equal(np.count_nonzero(rows, axis=1), [4, 8])


def test_without_a_count_a_share_is_kept():
    problem = one()
    u = ji.unfold(ji.unfolded.iht_network(problem.operator, 2), problem)
    assert np.count_nonzero(u) == round(0.15 * u.size)
