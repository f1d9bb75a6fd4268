"""Unfolded networks: the same steps as ``trace``, and gradients that train them."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import AS_USERS

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
T = 6

SOLVERS = {
    "ista": ji.solvers.ista(0.2, 0.05),
    "ista from the norm": ji.solvers.ista(penalty=0.05),
    "fista": ji.solvers.fista(0.2, 0.05),
}


@functools.cache
def drawn():
    family = ji.problems.sparse(12, 24, num_nonzeros=3, snr_db=30, dtype=DTYPE)
    keys = jax.random.split(jax.random.key(0), 3)
    return family, jax.jit(family.batch)(keys)


def one_problem(index=0):
    return jax.tree.map(lambda leaf: leaf[index], drawn()[1])


# --- the same to the bit ------------------------------------------------------------------------


as_users = functools.partial(jax.jit, compiler_options=AS_USERS)


def steps(solver, problem, u0):
    return ji.trace(solver, problem, u0, T)[0].u


traced = as_users(steps)


@pytest.mark.parametrize("shared", [(), ("prox",), ("step_size", "prox")])
@pytest.mark.parametrize("name", SOLVERS)
def test_equal_layers_are_steps_of_trace_to_the_bit(name, shared):
    problem, u0 = one_problem(), jnp.zeros(24, DTYPE)
    layers = ji.Layers.repeat(SOLVERS[name], T, shared=shared)
    expected = traced(SOLVERS[name], problem, u0)
    assert np.count_nonzero(expected) > 0
    np.testing.assert_array_equal(as_users(ji.unfold)(layers, problem), expected)
    np.testing.assert_array_equal(as_users(ji.unfold)(layers, problem, u0), expected)


@pytest.mark.parametrize("name", SOLVERS)
def test_so_they_are_under_vmap_over_problems(name):
    family, problems = drawn()
    u0 = jnp.zeros((3, 24), DTYPE)
    layers = ji.Layers.repeat(SOLVERS[name], T)
    got = as_users(jax.vmap(ji.unfold, in_axes=(None, family.axes)))(layers, problems)
    each = jax.vmap(steps, in_axes=(None, family.axes, 0))
    expected = as_users(each)(SOLVERS[name], problems, u0)
    np.testing.assert_array_equal(got, expected)


def test_a_batch_of_networks_equals_a_loop():
    problem = one_problem()
    networks = [ji.Layers.repeat(ji.solvers.ista(0.2, p), T) for p in (0.01, 0.2)]
    batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)
    got = jax.vmap(ji.unfold, in_axes=(0, None))(batch, problem)
    for row, layers in zip(got, networks, strict=True):
        np.testing.assert_allclose(row, ji.unfold(layers, problem), atol=20 * EPS)


def test_every_layer_uses_its_own_values():
    problem = one_problem()
    A, y = np.asarray(problem.operator.matrix, np.float64), np.asarray(problem.y, np.float64)
    steps, penalties = (0.1, 0.25, 0.15), (0.3, 0.1, 0.02)
    solvers = [ji.solvers.ista(*pair) for pair in zip(steps, penalties, strict=True)]
    u = np.zeros(24)
    for step, penalty in zip(steps, penalties, strict=True):
        v = u - step * A.T @ (A @ u - y)
        u = np.sign(v) * np.maximum(np.abs(v) - step * penalty, 0)
    layers = ji.Layers.stack(solvers)
    np.testing.assert_allclose(ji.unfold(layers, problem), u, atol=50 * EPS)
    np.testing.assert_allclose(layers.layer(1).prox.penalty, 0.1, rtol=1e-6)
    reversed_layers = ji.Layers.stack(solvers[::-1])
    assert np.max(np.abs(ji.unfold(reversed_layers, problem) - u)) > 1e-2


def test_shared_fields_are_not_copied():
    layers = ji.Layers.repeat(SOLVERS["ista"], T, shared=("prox",))
    assert layers.solver.step_size.shape == (T,)
    assert layers.solver.prox.penalty.shape == ()
    assert dict(layers.axes) == {"step_size": 0, "prox": None}


# --- training -----------------------------------------------------------------------------------


def error_of(trainable, frozen, problem):
    u = ji.unfold(frozen.merge(trainable), problem)
    return jnp.sum((u - problem.truth.x) ** 2)


@pytest.mark.parametrize("name", ["ista", "fista"])
@pytest.mark.parametrize("shared", [(), ("step_size",)])
def test_gradients_agree_with_finite_differences(name, shared):
    problem = one_problem()
    trainable, frozen = ji.Layers.repeat(SOLVERS[name], T, shared=shared).partition()
    value = jax.jit(functools.partial(error_of, frozen=frozen, problem=problem))
    gradient = jax.jit(jax.grad(lambda t: error_of(t, frozen, problem)))(trainable)
    step = 1e-6 if X64 else 1e-3
    for position, leaf in enumerate(jax.tree.leaves(trainable)):
        slopes = np.asarray(jax.tree.leaves(gradient)[position])
        assert slopes.shape == leaf.shape
        for index in np.ndindex(leaf.shape):
            leaves, structure = jax.tree.flatten(trainable)
            ends = []
            for sign in (1, -1):
                leaves[position] = leaf.at[index].add(sign * step)
                ends.append(float(value(jax.tree.unflatten(structure, leaves))))
            finite_difference = (ends[0] - ends[1]) / (2 * step)
            tolerance = {"rtol": 1e-5, "atol": 1e-8} if X64 else {"rtol": 3e-2, "atol": 5e-3}
            np.testing.assert_allclose(slopes[index], finite_difference, **tolerance)


def test_training_with_optax_lowers_the_error_and_moves_only_what_it_may():
    family, problems = drawn()
    layers = ji.Layers.repeat(SOLVERS["ista"], T, shared=("prox",), trainable=("step_size",))
    trainable, frozen = layers.partition()
    assert set(trainable) == {"step_size"}
    assert jax.tree.leaves(frozen.solver.step_size) == []
    transform = optax.adam(0.02)

    def loss(trainable):
        errors = jax.vmap(error_of, in_axes=(None, None, family.axes))
        return jnp.mean(errors(trainable, frozen, problems))

    @jax.jit
    def update(trainable, optimizer):
        value, gradient = jax.value_and_grad(loss)(trainable)
        updates, optimizer = transform.update(gradient, optimizer)
        return optax.apply_updates(trainable, updates), optimizer, value

    optimizer, values = transform.init(trainable), []
    for _ in range(30):
        trainable, optimizer, value = update(trainable, optimizer)
        values.append(float(value))
    assert values[-1] < 0.95 * values[0]
    trained = frozen.merge(trainable)
    assert np.ptp(trained.solver.step_size) > 1e-3  # layers have learned different steps
    np.testing.assert_array_equal(trained.solver.prox.penalty, layers.solver.prox.penalty)


def smoothed(kernel, v, step_size):
    return v + step_size * jnp.convolve(jnp.tanh(v), kernel, mode="same")


def fitted(layers, **options):
    sizes = {"num_steps": 80, "batch_size": 16, "validation_size": 64, "validate_every": 80}
    return ji.unfolded.fit(jax.random.key(2), layers, one_operator(), **sizes, **options)


@functools.cache
def one_operator():
    A = one_problem().operator
    return ji.problems.sparse(12, 24, num_nonzeros=3, operator=A, dtype=DTYPE)


def test_a_convolutional_denoiser_is_trained_as_the_prox_of_ista():
    kernel = jnp.array([0.1, -0.3, 0.1], DTYPE)
    denoiser = ji.prox.from_function(jax.tree_util.Partial(smoothed, kernel))
    layers = ji.Layers.repeat(ji.solvers.ista(0.2, prox=denoiser), T)
    assert layers.trainable == ("step_size", "prox")
    gradient = jax.grad(error_of)(*layers.partition(), one_problem())
    assert [leaf.shape for leaf in jax.tree.leaves(gradient["prox"])] == [(T, 3)]
    assert np.all(jax.tree.leaves(gradient["prox"])[0] != 0)
    trained, history = fitted(layers)
    assert history.validation[-1] < history.validation[0] - 0.05
    assert np.all(trained.solver.prox.apply.args[0] != kernel)


def test_learned_total_variation_has_an_operator_that_is_not_the_measurements():
    differences = ji.operators.finite_difference(24)
    solver = ji.solvers.primal_dual(ji.prox.soft(0.05), differences)
    layers = ji.Layers.repeat(solver, T)
    assert layers.operator is None  # the network works with any measurements
    problem, u0 = one_problem(), jnp.zeros(24, DTYPE)
    found = as_users(ji.unfold)(layers, problem)
    np.testing.assert_array_equal(found, traced(solver, problem, u0))
    trained, history = fitted(layers)
    assert history.validation[-1] < history.validation[0] - 0.05
    assert np.ptp(trained.solver.prox.penalty) > 1e-3
    learned = ji.operators.dense(differences.todense().astype(DTYPE))
    dense = ji.Layers.repeat(ji.solvers.primal_dual(ji.prox.soft(0.05), learned), T)
    assert dict(dense.axes)["operator"] is None  # its norm is measured once: one for all layers
    gradient = jax.grad(error_of)(*dense.partition(), problem)["operator"].matrix
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient != 0)


@ji.pytree
class Landweber(ji.solvers.Solver):
    """A network of one's own that remembers its operator."""

    step_size: jax.Array
    model: ji.operators.LinearOperator

    made_for = "model"

    def init(self, problem, u0):
        return LandweberState(u0)

    def step(self, problem, state):
        u = state.u - self.step_size * self.model.adjoint(problem.residual(state.u))
        return LandweberState(u), ji.solvers.Info(problem.loss(state.u), jnp.zeros((), u.dtype))


class LandweberState(NamedTuple):
    u: jax.Array


def test_a_network_of_ones_own_is_kept_to_the_operator_that_it_names():
    problem = one_problem()
    layers = ji.Layers.repeat(Landweber(jnp.asarray(0.1, DTYPE), problem.operator), 2)
    assert layers.operator is layers.solver.model
    assert layers.operator.matrix.shape == (12, 24)  # not copied for each layer
    ji.unfold(layers, problem)
    same = ji.operators.identity(12) @ problem.operator  # another representation
    ji.unfold(layers, problem._replace(operator=same))
    flipped = ji.operators.dense(problem.operator.matrix[:, ::-1])
    tiny = 1e-7 * problem.operator  # the same structure as 2e-7 A, and far from it
    small = ji.Layers.repeat(Landweber(jnp.asarray(0.1, DTYPE), tiny), 2)
    for network, other in (
        (layers, problem._replace(operator=flipped)),
        (layers, problem._replace(operator=ji.operators.identity(12) @ flipped)),
        (layers, problem._replace(prior=ji.operators.dense(jnp.eye(24, dtype=DTYPE)[::-1]))),
        (small, problem._replace(operator=2e-7 * problem.operator)),
    ):
        with pytest.raises(ValueError, match="layers must be made for the problem's operator"):
            ji.unfold(network, other)


def test_partition_and_merge_are_inverse():
    layers = ji.Layers.repeat(SOLVERS["fista"], T, trainable=("prox",))
    trainable, frozen = layers.partition()
    merged = frozen.merge(trainable)
    assert jax.tree.structure(merged) == jax.tree.structure(layers)
    for a, b in zip(jax.tree.leaves(merged), jax.tree.leaves(layers), strict=True):
        np.testing.assert_array_equal(a, b)
    assert ji.Layers.repeat(SOLVERS["ista"], T).trainable == ("step_size", "prox")
    # a step that is estimated holds no number to train
    assert ji.Layers.repeat(SOLVERS["ista from the norm"], T).trainable == ("prox",)


def test_a_step_from_the_norm_is_a_constant_for_differentiation():
    problem = one_problem()
    trainable, frozen = ji.Layers.repeat(SOLVERS["ista from the norm"], T).partition()
    gradient = jax.grad(error_of)(trainable, frozen, problem)
    assert np.all(np.isfinite(gradient["prox"].penalty))
    assert np.any(gradient["prox"].penalty != 0)


# --- the default start --------------------------------------------------------------------------

COMPLEX = jnp.result_type(DTYPE, complex)


@pytest.mark.parametrize(
    ("operator", "prior", "y_dtype", "shape", "dtype"),
    [
        (lambda: ji.operators.identity((3, 2)), None, DTYPE, (3, 2), DTYPE),
        (
            lambda: ji.operators.subsampled_fourier(jnp.ones(6), real=True),
            None,
            COMPLEX,
            (6,),
            DTYPE,
        ),
        (lambda: ji.operators.subsampled_fourier(jnp.ones(6)), None, COMPLEX, (6,), COMPLEX),
        (
            lambda: ji.operators.identity((6,)),
            lambda: ji.operators.dense(np.ones((6, 4))),
            DTYPE,
            (4,),
            DTYPE,
        ),
        (lambda: ji.operators.magnitude(ji.operators.dct(6)), None, DTYPE, (6,), DTYPE),
    ],
)
def test_the_start_is_zero_in_the_type_of_the_unknown(operator, prior, y_dtype, shape, dtype):
    operator, prior = operator(), None if prior is None else prior()
    problem = ji.Problem(operator, jnp.ones(operator.out_shape, y_dtype), prior)
    u = jax.eval_shape(ji.unfold, ji.Layers.repeat(SOLVERS["ista"], 2), problem)
    assert (u.shape, u.dtype) == (shape, dtype)


def double(params, z):
    return 2 * z


def test_bad_input_is_refused():
    problem, solver = one_problem(), SOLVERS["ista"]
    layers = ji.Layers.repeat(solver, T)
    with pytest.raises(ValueError, match=r"Layers\.repeat: num_layers must be >= 1"):
        ji.Layers.repeat(solver, 0)
    with pytest.raises(ValueError, match="shared must be one of step_size, prox, got 'step'"):
        ji.Layers.repeat(solver, T, shared=("step",))
    with pytest.raises(ValueError, match="trainable must be one of"):
        ji.Layers.repeat(solver, T, trainable="penalty")
    with pytest.raises(TypeError, match="solver must be a solver"):
        ji.Layers.repeat(layers, T)
    with pytest.raises(ValueError, match="solvers must all have the structure"):
        ji.Layers.stack([solver, SOLVERS["fista"]])
    with pytest.raises(ValueError, match="solvers must have at least one"):
        ji.Layers.stack([])
    with pytest.raises(ValueError, match="trainable must have the fields step_size, prox"):
        layers.partition()[1].merge({"step_size": 0.1})
    with pytest.raises(TypeError, match=r"layers must be a jaxinv\.Layers"):
        ji.unfold(solver, problem)
    with pytest.raises(ValueError, match=r"u0.*shape|shape \(24,\)"):
        ji.unfold(layers, problem, jnp.zeros(5))
    unknown = problem._replace(prior=ji.generators.from_function(double, None))
    with pytest.raises(ValueError, match="u0 must be given"):
        ji.unfold(layers, unknown)


def test_counts_cannot_be_trained():
    solver = ji.solvers.ista(0.1, prox=ji.prox.from_function(jax.tree_util.Partial(keep, 3)))
    assert ji.Layers.repeat(solver, T).trainable == ("step_size",)
    with pytest.raises(TypeError, match="trainable prox must hold floats only"):
        ji.Layers.repeat(solver, T, trainable=("prox",))


def keep(count, v, step_size):
    return v * (jnp.arange(v.size) < count)


def test_a_network_takes_the_misfits_that_its_solver_takes():
    A = ji.problems.sparse(20, 40, dtype=DTYPE).sample(jax.random.key(0)).operator
    drawn = ji.problems.sparse(20, 40, operator=A, dtype=DTYPE).sample(jax.random.key(1))
    problem = drawn._replace(misfit=ji.misfits.huber(0.01))
    solver = ji.solvers.ista(0.3, 0.01)
    got = as_users(ji.unfold)(ji.Layers.repeat(solver, T), problem)
    np.testing.assert_array_equal(got, traced(solver, problem, jnp.zeros(40, DTYPE)))
    squares = ji.unfold(ji.Layers.repeat(solver, T), drawn)
    assert np.linalg.norm(got - squares) > 0.1 * np.linalg.norm(got)
    for network, name in [(ji.unfolded.alista(A, 2), "Coupled"), (ji.unfolded.lamp(A, 2), "Lamp")]:
        with pytest.raises(ValueError, match=f"misfits.squared for layers of {name}, got"):
            ji.unfold(network, problem)
