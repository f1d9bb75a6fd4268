"""The orthogonal dictionary network against NumPy, ISTA, and finite differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxinv as ji
from jaxinv.unfolded._orthogonal import orthogonal_network, polar_factor

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
n, N, T = 8, 16, 5


@functools.cache
def operator():
    with jax.ensure_compile_time_eval():  # the first call may come from inside a jit
        return ji.operators.gaussian(jax.random.key(0), n, N, dtype=DTYPE)


@functools.cache
def signals(count=12):
    with jax.ensure_compile_time_eval():
        x = jax.random.normal(jax.random.key(1), (count, N), DTYPE)
        return x / jnp.linalg.norm(x, axis=1, keepdims=True)


@jax.jit
def batch(layers, x):
    A = operator()
    return jax.vmap(lambda x: ji.unfold(layers, ji.Problem(A, A(x))))(x)


def make(**changes):
    settings = {"threshold": 0.03, "key": jax.random.key(2)} | changes
    return orthogonal_network(operator(), T, **settings)


def defect(matrix):
    matrix = np.asarray(matrix, np.float64)
    return np.linalg.norm(matrix.T @ matrix - np.eye(matrix.shape[0]), 2)


def svd_polar(matrix):
    left, _, right = np.linalg.svd(np.asarray(matrix, np.float64))
    return left @ right


# --- the polar factor -----------------------------------------------------------------------


@pytest.mark.parametrize("condition", [1.0, 10.0, 100.0])
def test_polar_factor_equals_that_of_the_svd(condition):
    draw = np.random.default_rng(0)
    left, _, right = np.linalg.svd(draw.standard_normal((40, 40)))
    matrix = 7.0 * (left * np.geomspace(1, 1 / condition, 40)) @ right
    found = jax.jit(polar_factor)(jnp.asarray(matrix, DTYPE))
    assert np.linalg.norm(found - left @ right, 2) < 40 * EPS * condition
    assert defect(found) < 20 * EPS


def test_polar_factor_of_zero_is_finite():
    assert np.all(np.isfinite(polar_factor(jnp.zeros((3, 3), DTYPE))))


@pytest.mark.skipif(not X64, reason="finite differences of an SVD need float64")
def test_polar_factor_derivative_equals_finite_differences_of_the_svd():
    matrix, direction = np.random.default_rng(1).standard_normal((2, 6, 6))
    _, found = jax.jvp(polar_factor, (jnp.asarray(matrix),), (jnp.asarray(direction),))
    ends = [svd_polar(matrix + sign * 1e-6 * direction) for sign in (1, -1)]
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / 2e-6, atol=1e-6)


# --- what the network computes --------------------------------------------------------------


@pytest.mark.parametrize("separate", [False, True])
def test_it_equals_a_numpy_loop(separate):
    layers = make(separate_readout=separate, output_bound=0.2, step_size=0.1)
    rng = np.random.default_rng(3)
    free = {k: rng.standard_normal((N, N)) + 3 * np.eye(N) for k in layers.trainable}
    assert set(free) == {"dictionary"} | ({"readout"} if separate else set())
    layers = layers.partition()[1].merge({k: jnp.asarray(v, DTYPE) for k, v in free.items()})
    phi = svd_polar(free["dictionary"])
    psi = svd_polar(free["readout"]) if separate else phi
    A, x = np.asarray(operator().matrix, np.float64), np.asarray(signals(), np.float64)
    product, z, y = A @ phi, np.zeros((len(x), N)), x @ A.T
    for _ in range(T):
        v = z + 0.1 * (y - z @ product.T) @ product
        z = np.sign(v) * np.maximum(np.abs(v) - 0.03, 0)
    out = z @ psi.T
    norms = np.linalg.norm(out, axis=1, keepdims=True)
    assert np.any(norms > 0.2)
    assert np.any(norms < 0.2)
    out = out * np.minimum(1, 0.2 / norms)
    np.testing.assert_allclose(batch(layers, signals()), out, atol=1e3 * EPS)


def test_the_identity_dictionary_gives_steps_of_ista():
    A = operator()
    layers = orthogonal_network(A, T, threshold=0.03)
    tau = float(layers.solver.step_size[0])
    np.testing.assert_allclose(tau, 1 / np.linalg.norm(np.asarray(A.matrix), 2) ** 2, rtol=1e-5)
    problem = ji.Problem(A, A(signals()[0]))
    expected = ji.trace(ji.solvers.ista(tau, 0.03 / tau), problem, jnp.zeros(N, DTYPE), T)[0].u
    assert np.count_nonzero(expected) > 0
    np.testing.assert_allclose(ji.unfold(layers, problem), expected, atol=20 * EPS)


def test_unfold_equals_trace_of_one_layer_and_error_vanishes_at_the_fixed_point():
    problem = ji.Problem(operator(), operator()(signals()[0]))
    layers, start = make(), jnp.zeros(N, DTYPE)
    state, info = ji.trace(layers.layer(0), problem, start, T)
    np.testing.assert_allclose(ji.unfold(layers, problem), state.u, atol=20 * EPS)
    assert np.all(np.diff(info.loss) < 0)
    solution = ji.solve(layers.layer(0), problem, start, tol=50 * EPS)
    assert int(solution.status) == ji.Status.CONVERGED


def test_a_start_is_kept_by_no_step_and_untied_equal_layers_equal_tied_ones():
    problem = ji.Problem(operator(), operator()(signals()[0]))
    layer = make().layer(0)
    np.testing.assert_allclose(layer.init(problem, signals()[1]).u, signals()[1], atol=20 * EPS)
    untied = make(tied=False)
    assert untied.solver.dictionary.shape == (T, N, N)
    np.testing.assert_allclose(
        ji.unfold(untied, problem), ji.unfold(make(), problem), atol=50 * EPS
    )


def test_untied_layers_use_their_own_dictionary():
    untied = make(tied=False)
    trainable, frozen = untied.partition()
    keys = jax.random.split(jax.random.key(5), T)
    free = jax.vmap(lambda key: jax.random.normal(key, (N, N), DTYPE))(keys)
    layers = frozen.merge({**trainable, "dictionary": free + 10 * jnp.eye(N, dtype=DTYPE)})
    A, y = np.asarray(operator().matrix), np.asarray(operator()(signals()[0]), np.float64)
    tau, z = float(untied.solver.step_size[0]), np.zeros(N)
    for phi in map(svd_polar, np.asarray(free) + 10 * np.eye(N)):
        v = z + tau * phi.T @ A.T @ (y - A @ phi @ z)
        z = np.sign(v) * np.maximum(np.abs(v) - 0.03, 0)
    found = ji.unfold(layers, ji.Problem(operator(), jnp.asarray(y, DTYPE)))
    np.testing.assert_allclose(found, phi @ z, atol=1e3 * EPS)


def test_zero_measurements_give_zero_and_finite_gradients():
    layers = make(output_bound=1.0)
    problem = ji.Problem(operator(), jnp.zeros(n, DTYPE))
    trainable, frozen = layers.partition()
    energy = jax.value_and_grad(lambda t: jnp.sum(ji.unfold(frozen.merge(t), problem) ** 2))
    value, slope = jax.jit(energy)(trainable)
    assert float(value) == 0
    assert np.all(np.isfinite(slope["dictionary"]))


# --- training -------------------------------------------------------------------------------


def mean_loss(trainable, frozen, x):
    return jnp.mean(jnp.sum((batch(frozen.merge(trainable), x) - x) ** 2, axis=1))


@pytest.mark.parametrize("rate", [0.03])
def test_dictionaries_stay_orthogonal_in_a_thousand_steps(rate):
    layers = make(separate_readout=True, output_bound=1.0)
    optimizer = optax.adam(rate)

    def train(key):
        first, frozen = layers.partition()
        first = jax.tree.map(lambda m: m + 0.1 * jax.random.normal(key, m.shape, m.dtype), first)

        def body(carry, _):
            trained, memory = carry
            loss, slope = jax.value_and_grad(mean_loss)(trained, frozen, signals())
            update, memory = optimizer.update(slope, memory)
            return (optax.apply_updates(trained, update), memory), loss

        (last, _), losses = jax.lax.scan(body, (first, optimizer.init(first)), None, length=1000)
        problem = ji.Problem(operator(), operator()(signals()[0]))
        maps = frozen.merge(last).layer(0).prepare(problem).maps
        return maps.dictionary, maps.readout, losses

    trained = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(4), 2))
    for phi, psi, losses in zip(*trained, strict=True):
        assert defect(phi) < 1e-5
        assert defect(psi) < 1e-5
        assert np.linalg.norm(phi - psi) > 0.1
        assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("settings", [{"separate_readout": True}, {"train_threshold": True}])
def test_gradients_agree_with_finite_differences(settings):
    trainable, frozen = make(**settings).partition()
    slope = jax.jit(jax.grad(mean_loss))(trainable, frozen, signals())
    value = jax.jit(mean_loss)
    step = 1e-6 if X64 else 3e-4
    rng = np.random.default_rng(6)
    for name, leaf in trainable.items():
        direction = jnp.asarray(rng.standard_normal(leaf.shape), DTYPE)
        direction /= jnp.linalg.norm(direction.ravel())
        ends = [
            float(value({**trainable, name: leaf + sign * step * direction}, frozen, signals()))
            for sign in (1, -1)
        ]
        expected = (ends[0] - ends[1]) / (2 * step)
        assert abs(expected) > 1e-4
        found = float(jnp.sum(slope[name] * direction))
        tolerance = {"rtol": 1e-5, "atol": 1e-8} if X64 else {"rtol": 5e-2, "atol": 5e-4}
        np.testing.assert_allclose(found, expected, **tolerance)


def test_a_key_under_vmap_draws_what_it_draws_alone():
    keys = jax.random.split(jax.random.key(7), 3)

    def first(key):
        return make(key=key).solver.dictionary

    drawn = jax.jit(jax.vmap(first))(keys)
    for phi, key in zip(drawn, keys, strict=True):
        assert defect(phi) < 100 * EPS
        np.testing.assert_allclose(phi, first(key), atol=1e3 * EPS)
    assert np.max(np.abs(drawn[0] - drawn[1])) > 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step_size": 1.0}, r"step_size must be at most 1/‖A‖² = "),
        ({"threshold": -1.0}, "threshold must be finite and >= 0"),
        ({"threshold": jnp.ones(3)}, r"threshold must have shape \(5,\)"),
        ({"output_bound": 0.0}, "output_bound must be finite and > 0"),
        ({"key": None, "start": 2 * np.eye(N)}, "start must be orthogonal"),
        ({"start": np.eye(N)}, "start or key must be given, not both"),
        ({"tied": False, "separate_readout": True}, "separate_readout must be False"),
    ],
)
def test_bad_input_is_refused_in_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        make(**changes)
    assert "\n" not in str(caught.value)


def test_complex_matrices_are_refused():
    A = ji.operators.gaussian(jax.random.key(0), n, N, dtype=jnp.complex64)
    with pytest.raises(ValueError, match="operator must be real"):
        orthogonal_network(A, T, threshold=0.1)
