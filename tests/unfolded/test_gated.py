"""Gated LISTA and AGLISTA: the equations, every gate, and training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
M, N, T = 20, 40, 4
GATES = ("relu", "exp", "inv", "sigmoid")
SHARES = {"bypass_rate": 0.05, "bypass_limit": 0.12}  # 2, 4, 4, 4 of 40 entries


@functools.cache
def drawn():
    A = ji.problems.sparse(M, N, dtype=DTYPE).sample(jax.random.key(0)).operator
    family = ji.problems.sparse(M, N, num_nonzeros=3, operator=A, dtype=DTYPE)
    return family, jax.jit(family.batch)(jax.random.split(jax.random.key(1), 3))


def one(index=0):
    family, problems = drawn()
    return ji.Problem(family.operator, problems.y[index], None, None)


def opened(layers):
    """The network with gates that are open, by another amount in every layer."""
    trainable, frozen = layers.partition()
    ladder = jnp.linspace(0.5, 1.0, T, dtype=DTYPE)
    values = {"gain": 0.3 * ladder, "decay": 1.5 * ladder, "overshoot": 0.2 * ladder}
    return frozen.merge({k: values.get(k, v) for k, v in trainable.items()})


def numpy_soft(v, threshold, count):
    """Soft threshold; the ``count`` largest pass if they are above it."""
    out = np.sign(v) * np.maximum(np.abs(v) - threshold, 0)
    for i in np.argsort(-np.abs(v))[:count]:
        if abs(v[i]) > threshold:
            out[i] = v[i]
    return out


KAPPA = {
    "relu": lambda s: np.maximum(1 - np.maximum(s, 0), 0),
    "exp": lambda s: np.exp(-s),
    "inv": lambda s: 0.2 / (0.001 + s),
    "sigmoid": lambda s: 1 / (1 + np.exp(s)),
    "none": lambda s: 0 * s,
}


def numpy_network(layers, problem, gate, counts, published):
    """The papers' layers; ``published(layer) -> (gain number, overshoot number, margin)``."""
    A, y = np.asarray(problem.operator.matrix, float), np.asarray(problem.y, float)
    x, history = np.zeros(N), []
    for t in range(T):
        layer = layers.layer(t)
        threshold = float(layer.threshold)
        gain, overshoot, margin = published(layer)
        decay = 0.0 if layer.decay is None else float(layer.decay)
        g = 1 + gain * KAPPA[gate](decay * np.abs(x))
        W = np.asarray(layer.weights, float)
        v = g * x + float(layer.step_size) * W.T @ (y - A @ (g * x))
        z = numpy_soft(v, threshold, counts[t])
        o = 1 + overshoot / (np.abs(z - x) + margin)
        x = o * z + (1 - o) * x
        history.append(x)
    return np.stack(history)


@pytest.mark.parametrize("gate", [*GATES, "none"])
@pytest.mark.parametrize("overshoot", [True, False])
def test_gated_lista_equals_a_numpy_loop(gate, overshoot):
    made = ji.unfolded.gated_lista(drawn()[0].operator, T, gate, overshoot=overshoot, **SHARES)
    layers = opened(made)

    def published(layer):
        gain = 0.0 if gate == "none" else float(layer.gain)
        return gain, float(layer.overshoot * layer.threshold) if overshoot else 0.0, 0.1

    expected = numpy_network(layers, one(), gate, (2, 4, 4, 4), published)
    got = ji.unfold(layers, one(), all_layers=True)
    np.testing.assert_allclose(got, expected, rtol=1e4 * EPS, atol=1e4 * EPS)


def test_aglista_equals_a_numpy_loop():
    layers = opened(ji.unfolded.aglista(drawn()[0].operator, T, **SHARES))

    def published(layer):
        return float(layer.gain * layer.threshold), float(layer.overshoot), 0.01

    expected = numpy_network(layers, one(1), "exp", (2, 4, 4, 4), published)
    got = ji.unfold(layers, one(1), all_layers=True)
    np.testing.assert_allclose(got, expected, rtol=1e4 * EPS, atol=1e4 * EPS)


def test_with_shut_gates_they_are_the_networks_without():
    A = drawn()[0].operator
    for gated, plain in [
        (ji.unfolded.gated_lista(A, T), ji.unfolded.lista_cpss(A, T)),
        (ji.unfolded.gated_lista(A, T, tied=True), ji.unfolded.lista_cpss(A, T, tied=True)),
        (ji.unfolded.aglista(A, T), ji.unfolded.alista(A, T, adaptive=False)),
    ]:
        assert gated.solver.weights.shape == plain.solver.weights.shape
        expected = ji.unfold(plain, one())
        np.testing.assert_allclose(ji.unfold(gated, one()), expected, atol=50 * EPS)


# "inv" rises within 0.001 of 0: too steep for finite differences in float32
@pytest.mark.parametrize("gate", GATES if X64 else [g for g in GATES if g != "inv"])
def test_gradients_agree_with_finite_differences(gate):
    layers = opened(ji.unfolded.gated_lista(drawn()[0].operator, T, gate, tied=True, **SHARES))
    truth = drawn()[1].truth.x[0]
    trainable, frozen = layers.partition()

    @jax.jit
    def loss(trainable):
        return jnp.sum((ji.unfold(frozen.merge(trainable), one()) - truth) ** 2)

    gradient = jax.grad(loss)(trainable)
    for name in trainable:
        assert np.any(gradient[name] != 0), name
        if name == "decay":
            assert gradient[name][0] == 0  # x = 0 before the first layer
    along = jax.tree.map(
        lambda leaf: jax.random.normal(jax.random.key(4), leaf.shape, DTYPE), trainable
    )
    h = 1e-7 if X64 else 1e-4
    ends = [loss(jax.tree.map(lambda p, d, s=s: p + s * h * d, trainable, along)) for s in (1, -1)]
    slope = sum(jnp.vdot(gradient[name], along[name]) for name in trainable)
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * h), rtol=1e-5 if X64 else 0.05)


def test_shapes_batches_zero_and_complex():
    family, problems = drawn()
    layers = opened(ji.unfolded.gated_lista(family.operator, T))
    batch = jax.vmap(ji.unfold, in_axes=(None, family.axes))(layers, problems)
    assert (batch.shape, batch.dtype) == ((3, N), DTYPE)
    np.testing.assert_allclose(batch[0], ji.unfold(layers, one()), atol=200 * EPS)
    for net in (layers, opened(ji.unfolded.aglista(family.operator, T))):
        problem = one()._replace(y=jnp.zeros(M, DTYPE))
        trainable, frozen = net.partition()
        np.testing.assert_array_equal(ji.unfold(net, problem), 0)

        def energy(trainable, frozen=frozen, problem=problem):
            return jnp.sum(ji.unfold(frozen.merge(trainable), problem) ** 2)

        leaves = jax.tree.leaves(jax.grad(energy)(trainable))
        assert all(np.all(np.isfinite(leaf)) for leaf in leaves)
    turn = jnp.exp(0.7j).astype(jnp.result_type(DTYPE, complex))
    A = ji.operators.dense(family.operator.matrix.astype(turn.dtype))
    turned = ji.Problem(A, one().y * turn, None, None)
    wide = opened(ji.unfolded.gated_lista(A, T))
    np.testing.assert_allclose(ji.unfold(wide, turned), batch[0] * turn, atol=2000 * EPS)


def test_they_travel_in_files(tmp_path):
    layers = opened(ji.unfolded.gated_lista(drawn()[0].operator, T, "inv"))
    copy = ji.unfolded.load(ji.unfolded.save(tmp_path / "net", layers))
    np.testing.assert_array_equal(ji.unfold(copy, one()), ji.unfold(layers, one()))
