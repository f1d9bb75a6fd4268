"""ALISTA, ALISTA-AT and NA-ALISTA: the equations, and what each sample decides for itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
M, N, T, UNITS = 20, 40, 4, 5
SHARES = {"bypass_rate": 0.025, "bypass_limit": 0.05}  # 1, 2, 2, 2 of 40 entries
COUNTS = (1, 2, 2, 2)


@functools.cache
def drawn():
    A = ji.problems.sparse(M, N, dtype=DTYPE).sample(jax.random.key(0)).operator
    family = ji.problems.sparse(M, N, num_nonzeros=3, operator=A, dtype=DTYPE)
    return family, jax.jit(family.batch)(jax.random.split(jax.random.key(1), 3))


def one(index=0):
    family, problems = drawn()
    return ji.Problem(family.operator, problems.y[index], None, None)


NETWORKS = {
    "entry": lambda A: ji.unfolded.alista_at(A, T, **SHARES),
    "error": lambda A: ji.unfolded.alista(A, T, **SHARES),
    "neural": lambda A: ji.unfolded.na_alista(jax.random.key(2), A, T, UNITS, **SHARES),
}


@functools.cache
def network(name):
    """A network whose numbers differ from layer to layer and from their first values."""
    trainable, frozen = NETWORKS[name](drawn()[0].operator).partition()
    keys = jax.random.split(jax.random.key(7), len(trainable))
    moved = {
        field: value * (1 + 0.2 * jax.random.uniform(key, value.shape, DTYPE))
        + (0.1 if field == "memory" else 0)
        for key, (field, value) in zip(keys, trainable.items(), strict=True)
    }
    return frozen.merge(moved)


def numpy_soft(v, threshold, count):
    out = np.sign(v) * np.maximum(np.abs(v) - threshold, 0)
    for i in np.argsort(-np.abs(v))[:count]:
        if abs(v[i]) > np.broadcast_to(threshold, v.shape)[i]:
            out[i] = v[i]
    return out


def numpy_network(layers, problem, choose):
    """ALISTA; ``choose(layer, x, r, W'r, memory) -> (step, threshold, memory)``."""
    A, y = np.asarray(problem.operator.matrix, float), np.asarray(problem.y, float)
    W = np.asarray(layers.solver.weights, float)
    x, memory, history = np.zeros(N), None, []
    for t in range(T):
        r = y - A @ x
        step, threshold, memory = choose(layers.layer(t), x, r, W.T @ r, memory)
        x = numpy_soft(x + step * W.T @ r, threshold, COUNTS[t])
        history.append(x)
    return np.stack(history)


def by_entry(layer, x, r, direction, memory):
    g = 1 / (np.abs(x) / 0.1 + 1)
    return float(layer.step_size), float(layer.threshold) * g, None


def by_error(layer, x, r, direction, memory):
    scale = np.abs(direction).sum()
    return float(layer.step_size), float(layer.threshold) * scale, None


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def by_lstm(layer, x, r, direction, memory):
    norms = np.array([np.abs(r).sum(), np.abs(direction).sum()])
    if memory is None:
        c, h = np.asarray(layer.memory, float)
        memory = (c, h, norms)
    c, h, first = memory
    fields = (layer.cell, layer.hidden, layer.readout, layer.offset)
    cell, hidden, readout, offset = (np.asarray(v, float) for v in fields)
    z = np.concatenate([np.log10(norms / first), h, [1.0]]) @ cell
    i, f, g, o = z.reshape(4, UNITS)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    middle = np.maximum(np.append(c, 1.0) @ hidden, 0)
    step, rate = np.log1p(np.exp(middle @ readout + offset))
    return step, rate * norms[1] / N, (c, h, first)


RULES = {"entry": by_entry, "error": by_error, "neural": by_lstm}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_equals_a_numpy_loop(name):
    layers = network(name)
    got = ji.unfold(layers, one(), all_layers=True)
    expected = numpy_network(layers, one(), RULES[name])
    assert np.count_nonzero(expected[-1]) > 0
    np.testing.assert_allclose(got, expected, atol=2000 * EPS)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_agree_with_finite_differences(name):
    layers, truth = network(name), drawn()[1].truth.x[0]
    trainable, frozen = layers.partition()

    @jax.jit
    def loss(trainable):
        return jnp.sum((ji.unfold(frozen.merge(trainable), one()) - truth) ** 2)

    gradient = jax.grad(loss)(trainable)
    h = 1e-6 if X64 else 1e-3
    for seed, field in enumerate(trainable):
        assert np.any(gradient[field] != 0), field
        along = jax.random.normal(jax.random.key(seed), trainable[field].shape, DTYPE)
        along *= jnp.abs(trainable[field])
        ends = [loss({**trainable, field: trainable[field] + s * h * along}) for s in (1, -1)]
        slope = float(jnp.vdot(gradient[field], along))
        difference = float(ends[0] - ends[1]) / (2 * h)
        tolerance = {"rtol": 1e-5, "atol": 1e-8} if X64 else {"rtol": 0.05, "atol": 2e-3}
        np.testing.assert_allclose(slope, difference, **tolerance)


@pytest.mark.parametrize("name", ["error", "neural"])
def test_error_driven_networks_are_equivariant_to_scale(name):
    problem = one(1)
    once = ji.unfold(network(name), problem)
    for scale in (1e-3, 1e4):
        scaled = ji.unfold(network(name), problem._replace(y=scale * problem.y))
        np.testing.assert_allclose(scaled / scale, once, atol=2000 * EPS)
    fixed = ji.unfold(network("entry"), problem._replace(y=1e-3 * problem.y))
    np.testing.assert_array_equal(fixed, 0)  # a threshold with a unit removes all of it


@pytest.mark.parametrize("name", NETWORKS)
def test_a_zero_sample_gives_zero_and_finite_gradients(name):
    problem = one()._replace(y=jnp.zeros(M, DTYPE))
    trainable, frozen = network(name).partition()
    np.testing.assert_array_equal(ji.unfold(network(name), problem), 0)

    def energy(trainable):
        return jnp.sum((ji.unfold(frozen.merge(trainable), problem) - 1) ** 2)

    leaves = jax.tree.leaves(jax.grad(energy)(trainable))
    assert all(np.all(np.isfinite(leaf)) for leaf in leaves)


@pytest.mark.parametrize("name", NETWORKS)
def test_batches_equal_a_loop_and_keep_the_type(name):
    family, problems = drawn()
    batch = jax.vmap(ji.unfold, in_axes=(None, family.axes))(network(name), problems)
    assert (batch.shape, batch.dtype) == ((3, N), DTYPE)
    np.testing.assert_allclose(batch[2], ji.unfold(network(name), one(2)), atol=500 * EPS)
    turn = jnp.exp(0.7j).astype(jnp.result_type(DTYPE, complex))
    A = ji.operators.dense(family.operator.matrix.astype(turn.dtype))
    trainable, _ = network(name).partition()
    wide = NETWORKS[name](A).partition()[1].merge(trainable)
    turned = ji.unfold(wide, ji.Problem(A, turn * one().y, None, None))
    np.testing.assert_allclose(turned, turn * batch[0], atol=2000 * EPS)


def test_the_untrained_networks_of_the_error_agree():
    # a silent LSTM leaves the offsets: step 1 and threshold 3.75 ‖W'r‖₁ / n
    A = drawn()[0].operator
    trainable, frozen = ji.unfolded.na_alista(jax.random.key(2), A, T, UNITS).partition()
    silent = 0 * trainable["readout"]
    layers = frozen.merge({**trainable, "readout": silent})
    expected = ji.unfold(ji.unfolded.alista(A, T), one())
    np.testing.assert_allclose(ji.unfold(layers, one()), expected, atol=200 * EPS)


@pytest.mark.parametrize("name", NETWORKS)
def test_they_travel_in_files(name, tmp_path):
    copy = ji.unfolded.load(ji.unfolded.save(tmp_path / "net", network(name)))
    np.testing.assert_array_equal(ji.unfold(copy, one()), ji.unfold(network(name), one()))


def test_bad_input_is_refused():
    A = drawn()[0].operator
    with pytest.raises(TypeError, match="alista: adaptive must be True or False"):
        ji.unfolded.alista(A, T, adaptive="error")
    with pytest.raises(ValueError, match="alista_at: num_layers must be >= 1"):
        ji.unfolded.alista_at(A, 0)
    with pytest.raises(ValueError, match=r"alista_at: bypass_rate must be in \[0, 1\]"):
        ji.unfolded.alista_at(A, T, bypass_rate=1.2)
    with pytest.raises(ValueError, match="na_alista: num_units must be >= 1"):
        ji.unfolded.na_alista(jax.random.key(0), A, T, 0)
    with pytest.raises(TypeError, match="na_alista: key must be a JAX PRNG key"):
        ji.unfolded.na_alista(0, A, T)
