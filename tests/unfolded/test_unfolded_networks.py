"""Unfolded networks against loops in NumPy, and their exact properties."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.unfolded._shared import soft_with_bypass

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
M, N, T = 20, 40, 5


@functools.cache
def drawn():
    A = ji.problems.sparse(M, N, dtype=DTYPE).sample(jax.random.key(0)).operator
    family = ji.problems.sparse(M, N, num_nonzeros=3, snr_db=40, operator=A, dtype=DTYPE)
    return A, family, family.batch(jax.random.split(jax.random.key(2), 4))


def one_problem(index=0):
    A, _, problems = drawn()
    truth = jax.tree.map(lambda leaf: leaf[index], problems.truth)
    return ji.Problem(A, problems.y[index], None, truth)


def numbers():
    A, _, _ = drawn()
    return np.asarray(A.matrix, np.float64), np.asarray(one_problem().y, np.float64)


def soft(v, threshold):
    return np.sign(v) * np.maximum(np.abs(v) - threshold, 0)


def selected(v, threshold, share):
    count = int(np.floor(share * v.size + 1e-6))
    passes = np.zeros(v.size, bool)
    passes[np.argsort(-np.abs(v))[:count]] = True
    return np.where(passes & (np.abs(v) > threshold), v, soft(v, threshold))


def close(got, expected):
    np.testing.assert_allclose(np.asarray(got, np.float64), expected, atol=3e3 * EPS)
    assert np.count_nonzero(expected) > 1


@pytest.mark.parametrize("name", ["lista_cp", "lista_cpss", "tilista", "alista", "momentum"])
def test_coupled_networks_equal_a_loop(name):
    A, problem = drawn()[0], one_problem()
    make = functools.partial(ji.unfolded.alista, momentum=True, symmetric=True)
    make = make if name == "momentum" else getattr(ji.unfolded, name)
    options = {} if name == "lista_cp" else {"bypass_rate": 0.05, "bypass_limit": 0.17}
    options |= {"adaptive": False} if name in ("alista", "momentum") else {}
    layers = make(A, T, **options)  # thresholds from the error: test_adaptive
    solver = layers.solver
    if name == "momentum":
        solver = ji.Layers.partition(layers)[1].merge(
            layers.partition()[0] | {"momentum": jnp.linspace(0.1, 0.4, T, dtype=DTYPE)}
        )
        layers, solver = solver, solver.solver
    matrix, y = numbers()
    weights = np.broadcast_to(np.asarray(solver.weights, np.float64), (T, M, N))
    x = previous = np.zeros(N)
    for t in range(T):
        v = x + float(solver.step_size[t]) * weights[t].T @ (y - matrix @ x)
        if solver.momentum is not None:
            v += float(solver.momentum[t]) * (x - previous)
        share = 0.0 if solver.bypass is None else min(0.05 * (t + 1), 0.17)
        previous, x = x, selected(v, float(solver.threshold[t]), share)
    close(ji.unfold(layers, problem), x)


def test_an_encoder_of_each_layer_is_the_one_that_it_applies():
    A, problem = drawn()[0], one_problem()
    layers = ji.unfolded.lista(A, T, layered_encoder=True)
    scales = jnp.linspace(0.5, 1.5, T, dtype=DTYPE)[:, None, None]
    trainable, frozen = layers.partition()
    layers = frozen.merge(trainable | {"encoder": scales * trainable["encoder"]})
    assert layers.solver.encoder.shape == (T, N, M)
    encoders = np.asarray(layers.solver.encoder, np.float64)
    recurrent = np.asarray(layers.solver.recurrent, np.float64)
    x = np.zeros(N)
    for t in range(T):
        x = soft(recurrent[t] @ x + encoders[t] @ numbers()[1], float(layers.solver.threshold[t]))
    close(ji.unfold(layers, problem), x)
    gradient = jax.grad(lambda t: jnp.sum(ji.unfold(frozen.merge(t), problem) ** 2))(trainable)
    assert np.all(np.any(gradient["encoder"] != 0, axis=(1, 2)))


@pytest.mark.parametrize("selects", [False, True])
def test_lista_equals_a_loop_and_untrained_is_ista(selects):
    A, problem = drawn()[0], one_problem()
    make = ji.unfolded.lista_ss if selects else ji.unfolded.lista
    layers = make(A, T, **({"bypass_rate": 0.05} if selects else {}))
    matrix, y = numbers()
    scale = 1.001 * np.linalg.norm(matrix, 2) ** 2
    x = np.zeros(N)
    for t in range(T):
        v = x + matrix.T @ (y - matrix @ x) / scale
        share = min(0.05 * (t + 1), 0.13) if selects else 0.0
        x = selected(v, 0.4 / scale, share)
    close(ji.unfold(layers, problem), x)
    assert layers.solver.recurrent.shape == (T, N, N)
    assert make(A, T, tied=True).solver.recurrent.shape == (N, N)


def test_step_lista_is_ista():
    A, problem = drawn()[0], one_problem()
    layers = ji.unfolded.step_lista(A, T, 0.05)
    step = 1 / np.linalg.norm(numbers()[0], 2) ** 2
    expected = ji.trace(ji.solvers.ista(step, 0.05), problem, jnp.zeros(N, DTYPE), T)[0].u
    np.testing.assert_allclose(ji.unfold(layers, problem), expected, atol=20 * EPS)


@pytest.mark.parametrize("symmetric", [False, True])
def test_hyperlista_equals_a_loop(symmetric):
    A, problem = drawn()[0], one_problem()
    constants = (0.15, 0.04, 0.3)
    layers = ji.unfolded.hyperlista(A, T, constants, symmetric=symmetric)
    matrix, y = numbers()
    weights = np.asarray(ji.unfolded.analytic_weights(A.matrix, symmetric=symmetric), np.float64)
    inverse = np.linalg.pinv(matrix)
    x = previous = np.zeros(N)
    start = np.abs(inverse @ y).sum()
    for _ in range(T):
        misfit = np.abs(inverse @ (matrix @ x - y)).sum()
        share = np.clip(constants[2] * np.log(start / misfit), 0, 1)
        v = x + weights.T @ (y - matrix @ x)
        v += constants[1] * np.count_nonzero(x) * (x - previous)
        previous, x = x, selected(v, constants[0] * misfit, share)
    close(ji.unfold(layers, problem), x)


def test_hyperlista_is_exactly_equivariant_to_the_scale_of_the_signal():
    A, problem = drawn()[0], one_problem()
    layers = ji.unfolded.hyperlista(A, 12)
    expected = np.asarray(ji.unfold(layers, problem))
    for scale in (2.0**-20, 2.0**15):  # powers of 2 do not round
        got = ji.unfold(layers, problem._replace(y=scale * problem.y))
        np.testing.assert_array_equal(np.asarray(got) / scale, expected)
    got = ji.unfold(layers, problem._replace(y=1e-3 * problem.y))
    np.testing.assert_allclose(np.asarray(got) * 1e3, expected, atol=1e3 * EPS)


def test_alamp_equals_a_loop():
    A, problem = drawn()[0], one_problem()
    layers = ji.unfolded.alamp(A, T, ridge=0.3)
    matrix, y = numbers()
    estimator = matrix.T @ np.linalg.inv(matrix @ matrix.T + 0.3 * np.eye(M))
    estimator *= N / np.trace(estimator @ matrix)
    x, v, derivative = np.zeros(N), np.zeros(M), 0.0
    shrink = ji.shrinkage.posterior_mean(0.1)
    for _ in range(T):
        v = y - matrix @ x + (0.9 / 1.3) * (N / M) * derivative * v
        noise = np.linalg.norm(v) / np.sqrt(M)
        pseudo = x + estimator @ v
        x = np.asarray(shrink(pseudo.astype(DTYPE), noise), np.float64)
        h = 1e-4
        ends = [np.asarray(shrink((pseudo + s * h).astype(DTYPE), noise)) for s in (1, -1)]
        derivative = np.mean(ends[0].astype(float) - ends[1]) / (2 * h)
    np.testing.assert_allclose(ji.unfold(layers, problem), x, atol=1e-4 if X64 else 5e-3)


NETWORKS = {
    "lista": ji.unfolded.lista,
    "lista_ss": ji.unfolded.lista_ss,
    "lista_cp": ji.unfolded.lista_cp,
    "lista_cpss": functools.partial(ji.unfolded.lista_cpss, initial_weights="adjoint"),
    "tilista": ji.unfolded.tilista,
    "alista": functools.partial(ji.unfolded.alista, momentum=True, symmetric=True),
    "hyperlista": ji.unfolded.hyperlista,
    "step_lista": ji.unfolded.step_lista,
    "alamp": ji.unfolded.alamp,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_an_all_zero_sample_gives_zero_and_finite_gradients(name):
    A, _, _ = drawn()
    layers = NETWORKS[name](A, T)
    problem = ji.Problem(A, jnp.zeros(M, DTYPE))
    trainable, frozen = layers.partition()

    def energy(trainable):
        u = ji.unfold(frozen.merge(trainable), problem)
        return jnp.sum(jnp.square(u - 1)), u

    gradient, u = jax.jit(jax.grad(energy, has_aux=True))(trainable)
    np.testing.assert_array_equal(u, np.zeros(N))
    for leaf in jax.tree.leaves(gradient):
        assert np.all(np.isfinite(leaf)), name


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_agree_with_finite_differences_in_float64(name):
    made = (NETWORKS[name](drawn()[0], T), one_problem())
    with jax.enable_x64(True):
        layers, problem = jax.tree.map(
            lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), made
        )
        trainable, frozen = layers.partition()

        @jax.jit
        @jax.value_and_grad
        def error(trainable):
            u = ji.unfold(frozen.merge(trainable), problem)
            return jnp.sum(jnp.square(u - problem.truth.x))

        trainable = jax.tree.map(np.asarray, trainable)
        direction = jax.tree.map(
            lambda leaf: np.random.default_rng(0).standard_normal(leaf.shape), trainable
        )
        if name == "hyperlista":  # the choice of entries is a constant for differentiation
            direction["bypass_rate"] = np.zeros_like(direction["bypass_rate"])
        gradient = jax.tree.map(np.asarray, error(trainable)[1])
        slope = sum(
            float(np.sum(g * d))
            for g, d in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
        )
        h = 1e-7
        ends = [
            float(error(jax.tree.map(lambda a, d, s=s: a + s * h * d, trainable, direction))[0])
            for s in (1, -1)
        ]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * h), rtol=2e-5)
        assert abs(slope) > 1e-6


def test_support_selection_with_static_and_with_traced_shares():
    v = jnp.asarray([3.0, -2.0, 1.5, 0.5, -0.2, 0.0], DTYPE)
    for share, passes in ((0.0, []), (1 / 6, [0]), (0.5, [0, 1, 2]), (1.0, [0, 1, 2])):
        expected = soft(np.asarray(v), 1.0)
        expected[passes] = np.asarray(v)[passes]
        for apply in (soft_with_bypass, jax.jit(soft_with_bypass)):
            np.testing.assert_allclose(apply(v, 1.0, share), expected, atol=1e-6)
    shares = jnp.asarray([0.0, 0.5])
    both = jax.vmap(soft_with_bypass, in_axes=(None, None, 0))(v, 1.0, shares)
    np.testing.assert_allclose(both[:, 0], [2.0, 3.0], atol=1e-6)


def test_the_published_counts_of_support_selection():
    from jaxinv.unfolded._shared import bypass_count, bypass_schedule

    shares = bypass_schedule("test", 16, 0.012, 0.13)
    counts = [int(bypass_count(share, 500)) for share in shares]
    assert counts == [6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 65, 65, 65, 65, 65, 65]


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda A: ji.unfolded.alista(A, 0), ValueError, "num_layers must be >= 1"),
        (
            lambda A: ji.unfolded.alista(A, 3, momentum="yes"),
            TypeError,
            "momentum must be True or False",
        ),
        (lambda A: ji.unfolded.alista(A, 3, bypass_rate=1.2), ValueError, "bypass_rate must be in"),
        (
            lambda A: ji.unfolded.lista_cp(A, 3, initial_weights="zeros"),
            ValueError,
            "must be one of",
        ),
        (lambda A: ji.unfolded.lista(A[:, :10], 3), ValueError, "as many rows as columns"),
        (lambda A: ji.unfolded.lista(A.at[:, 7].set(0), 3), ValueError, "column 7 zero"),
        (lambda A: ji.unfolded.alista(A.at[0, 0].set(np.nan), 3), ValueError, "must be finite"),
        (lambda A: ji.unfolded.hyperlista(A, 3, (1.0, 2.0)), ValueError, "three numbers"),
        (lambda A: ji.unfolded.hyperlista(A, 3, (1.0, -2.0, 0.1)), ValueError, r"constants\[1\]"),
        (lambda A: ji.unfolded.step_lista(A, 3, -1.0), ValueError, "penalty must be"),
        (lambda A: ji.unfolded.alamp(A, 3, ridge=0.0), ValueError, "ridge must be"),
        (lambda A: ji.unfolded.alamp(A, 3, shrinkage=0.1), TypeError, "must be a shrinkage"),
    ],
)
def test_bad_input_is_one_clear_line(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make(drawn()[0].matrix)
    assert "\n" not in str(caught.value)


def test_columns_that_are_not_of_norm_one_warn():
    matrix = 3 * drawn()[0].matrix
    with pytest.warns(UserWarning, match="columns have norms from 3 to 3, not 1"):
        layers = ji.unfolded.alista(matrix, 2)
    diagonal = np.sum(np.asarray(layers.solver.weights) * np.asarray(matrix), axis=0)
    np.testing.assert_allclose(diagonal, 1, atol=100 * EPS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ji.unfolded.alista(drawn()[0], 2)


def test_weights_of_another_matrix_are_refused():
    A, _, _ = drawn()
    layers = ji.unfolded.alista(A, 2)
    other = ji.operators.dense(A.matrix[:, ::-1])
    with pytest.raises(ValueError, match="be made for the problem's operator"):
        ji.unfold(layers, one_problem()._replace(operator=other))


def test_all_layers_end_with_the_last():
    layers = ji.unfolded.alista(drawn()[0], T)
    every = ji.unfold(layers, one_problem(), all_layers=True)
    assert every.shape == (T, N)
    np.testing.assert_array_equal(every[-1], ji.unfold(layers, one_problem()))
    first = ji.Layers.stack([layers.layer(0)], trainable=("threshold",))
    np.testing.assert_allclose(every[0], ji.unfold(first, one_problem()), atol=5 * EPS)
