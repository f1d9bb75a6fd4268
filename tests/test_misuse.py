"""Likely mistakes end in one clear line: a forgotten ``vmap``, wrong parts, sizes and switches."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from cases import complexes, floats
from flax import linen, nnx

import jaxinv as ji

O, S, G, P = ji.operators, ji.solvers, ji.generators, ji.prox
KEY = jax.random.key(0)
KEYS = jax.random.split(KEY, 3)
RELU = ji.problems.generative((3, 20, 24), 18, dtype=floats())
SPARSE = ji.problems.sparse(16, 24, num_nonzeros=3, dtype=floats())
FISTA, LM = S.fista(0.1, 0.1), S.levenberg_marquardt()
NET = linen.Dense(4)


def refuses(call, words):
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1


def table(*rows):
    return pytest.mark.parametrize(("call", "words"), rows)


def relu(**changes):
    return RELU.sample(KEY)._replace(**changes), RELU.initial(KEY)


def sparse(**changes):
    return SPARSE.sample(KEY)._replace(**changes), SPARSE.initial(KEY)


def hadamards():
    return jax.vmap(lambda key: O.subsampled_hadamard(key, 5, 8))(KEYS)


def ones(*shape):
    return jnp.ones(shape, floats())


# --- a batch without vmap -----------------------------------------------------------------------


@table(
    (lambda: ji.solve(LM, RELU.batch(KEYS), relu()[1]), r"params\[0\] must have 2 dimensions"),
    (lambda: ji.solve(FISTA, SPARSE.batch(KEYS), sparse()[1]), "Dense: matrix must have 2"),
    (lambda: ji.trace(FISTA, SPARSE.batch(KEYS), sparse()[1], 2), "Dense: matrix must have 2"),
    (lambda: ji.unfold(ji.Layers.repeat(FISTA, 2), SPARSE.batch(KEYS)), "Dense: matrix must"),
    (lambda: jax.jit(ji.solve)(FISTA, SPARSE.batch(KEYS), sparse()[1]), "Dense: matrix must"),
    (lambda: hadamards() @ ones(8), "signs must have 1"),
    (lambda: hadamards().adjoint(ones(5)), "signs must have 1"),
    (lambda: hadamards().gram(ones(8)), "signs must have 1"),
    (lambda: hadamards().norm(), "signs must have 1"),
    (lambda: hadamards().todense(), "signs must have 1"),
    (lambda: (2 * hadamards().H) @ ones(5), "signs must have 1"),
    (lambda: O.magnitude(hadamards())(ones(8)), "signs must have 1"),
    (lambda: jax.vmap(O.subsampled_fourier)(ones(3, 8)) @ ones(3, 8), "mask must have 1"),
    (lambda: jax.vmap(O.mask)(ones(3, 8)).norm(), "mask must have 1"),
    (lambda: jax.vmap(lambda k: O.convolution(k, 8))(ones(3, 2)).norm(), "kernel must have 1"),
    (lambda: RELU.batch(KEYS).prior(ones(3)), r"params\[0\] must have 2 dimensions"),
    (lambda: RELU.batch(KEYS).prior.jacobian(ones(3)), r"params\[0\] must have 2 dimensions"),
)
def test_batches_ask_for_vmap(call, words):
    refuses(call, words + r".* holds a batch; use jax\.vmap\.")


def test_measurements_of_a_batch_ask_for_vmap():
    problem, u0 = sparse(y=ones(3, 16))
    refuses(lambda: ji.solve(FISTA, problem, u0), r"problem\.y must .* a batch; use jax\.vmap")


def test_batched_operators_work_inside_vmap():
    batch, x = hadamards(), jax.random.normal(KEY, (8,), floats())
    expected = [jax.tree.map(lambda leaf, i=i: leaf[i], batch) @ x for i in range(3)]
    np.testing.assert_array_equal(jax.vmap(lambda op: op @ x)(batch), np.stack(expected))


# --- problems and starts ------------------------------------------------------------------------


@table(
    (lambda: ji.solve(FISTA, *sparse(operator=None)), r"problem\.operator must .*NoneType"),
    (lambda: ji.solve(FISTA, *sparse(operator=ones(16, 24))), r"Use operators\.dense"),
    (lambda: ji.unfold(ji.Layers.repeat(FISTA, 2), sparse(operator=jnp.sin)[0]), "from_function"),
    (lambda: ji.trace(FISTA, *sparse(prior=3), 2), r"problem\.prior must be a generator"),
    (lambda: ji.solve(FISTA, *sparse(y="text")), r"problem\.y must be an array of numbers"),
    (lambda: ji.solve(FISTA, *sparse(y=1j * ones(16))), r"problem\.y must be real"),
    (lambda: ji.solve(FISTA, sparse()[0], None), "u0 must be an array"),
    (lambda: ji.solve(LM, relu()[0], 1j * ones(3)), "Relu: z must be real"),
    (lambda: ji.solve(LM, sparse()[0], 1j * ones(24)), "jacobian: u must be real"),
    (lambda: ji.solve(FISTA, *sparse(), max_steps=2**40), "max_steps must be at most 2147483647"),
    (lambda: ji.solve(FISTA, *sparse(), tol=ones(2)), "tol must be a scalar"),
    (lambda: ji.trace(FISTA, *sparse(), 3, measure=3), "measure must be a function"),
)
def test_problems_and_starts(call, words):
    refuses(call, words)


def test_lists_are_arrays():
    problem, u0 = sparse()
    expected = ji.trace(FISTA, problem, u0, 3)[0].u
    lists = problem._replace(y=problem.y.tolist())
    got = ji.trace(FISTA, lists, u0.tolist(), jnp.int32(3))[0].u
    np.testing.assert_array_equal(got, expected)


def nans(v, step_size):
    return v * jnp.nan


def test_an_unknown_that_is_not_finite_never_converged():
    solver = S.ista(0.1, prox=P.from_function(nans))
    sol = ji.solve(solver, *sparse())
    assert (int(sol.status), int(sol.num_steps)) == (ji.Status.NONFINITE, 1)


# --- solvers and proximal operators -------------------------------------------------------------


def first_two(v, step_size):
    return v[:2]


def itself(u):
    return u


@table(
    (lambda: ji.solve(S.ista(ones(24), 0.1), *sparse()), r"solver\.step_size must be a scalar"),
    (lambda: ji.solve(S.fista(ones(24), 0.1), *sparse()), r"solver\.step_size must be a scalar"),
    (lambda: ji.solve(S.subgradient(ones(3)), *relu()), r"solver\.step_size must be a scalar"),
    (
        lambda: ji.solve(S.levenberg_marquardt(damping=ones(3)), *relu()),
        r"solver\.damping must be a scalar",
    ),
    (lambda: ji.solve(S.gradient(optax.sgd(0.1), itself), *sparse()), "return a real scalar"),
    (lambda: S.fista(0.1, 0.1, restart="no"), "restart must be True or False"),
    (lambda: S.levenberg_marquardt(negate="no"), "negate must be True or False"),
    (lambda: S.with_restarts(None, 3), "solver must be a solver"),
    (lambda: P.tv(0.1, isotropic=3), "isotropic must be True or False"),
    (lambda: P.tv(ones(3))(ones(3)), "tv: penalty must be a scalar"),
    (lambda: P.group(0.1, axis=5)(ones(3)), "group: v must have the axis"),
    (lambda: P.box(ones(2), 1)(ones(3)), r"v must have the shape \(2,\) of the bounds"),
    (lambda: P.from_function(first_two)(ones(3)), r"apply must return the shape \(3,\)"),
    (lambda: P.from_function(first_two, itself).value(ones(3)), "value must return a scalar"),
)
def test_solvers_and_penalties(call, words):
    refuses(call, words)


def test_penalties_take_integers_and_lists():
    assert float(P.soft(2.0).value([1, -2])) == 6
    assert float(P.tv(1.0).value(jnp.array([1, 2, 4]))) == 3


def test_one_step_size_per_trial_is_a_vmap():
    problem, u0 = sparse()
    steps = jnp.asarray([0.05, 0.1], floats())
    run = jax.vmap(lambda solver: ji.trace(solver, problem, u0, 3)[0].u)
    solver = jax.vmap(lambda step: S.ista(step, 0.1))(steps)
    expected = [ji.trace(S.ista(step, 0.1), problem, u0, 3)[0].u for step in steps]
    eps = np.finfo(floats()).eps
    np.testing.assert_allclose(run(solver), np.stack(expected), atol=64 * eps)


# --- operators and generators -------------------------------------------------------------------


def reshaped(x):
    return x.reshape(7)


A = O.dense(ones(4, 6))


@table(
    (lambda: O.subsampled_hadamard(KEY, 5, 2**40), "n must have at most"),
    (lambda: O.single_index(A, np.tanh), r"use jax\.numpy"),
    (lambda: O.from_function(reshaped, 5, floats()), r"fn reshaped must accept x of shape \(5,\)"),
    (lambda: A / 0, "c must not be zero"),
    (lambda: A / "a", "c must be a scalar"),
    (lambda: O.dense(np.zeros((0, 3))), "at least one row"),
    (lambda: A.norm(max_steps=0), "max_steps must be >= 1"),
    (lambda: ji.describe(99), r"describe: status must be codes of jaxinv.Status, 0 to 11, got 99"),
    (
        lambda: ji.solve(ji.solvers.omp(2), RELU.sample(KEY), ones(5)),
        r"solve: u0 must have shape \(3,\), got shape \(5,\)",
    ),
    (lambda: RELU.sample(KEY).prior.jacobian(ones(5)), r"z must have shape \(3,\)"),
    (lambda: RELU.sample(KEY).prior.activation_pattern(ones(5)), r"z must have shape \(3,\)"),
    (lambda: G.from_flax(NET, 3), "params must be the module's variables"),
    (lambda: G.from_flax(NET, KEY), "params must be the module's variables"),
    (lambda: G.from_flax(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), 3), r"a state of nnx\.Param"),
    (
        lambda: G.from_flax(NET, NET.init(KEY, ones(3)))(ones(5)),
        r"z and the variables must fit the module, got z = shape \(5,\)",
    ),
)
def test_operators_and_generators(call, words):
    refuses(call, words)


def test_nonlinear_operators_apply_by_matmul_and_do_not_compose():
    op = O.magnitude(-A)
    np.testing.assert_array_equal(op @ ones(6), 6.0)
    for call in (lambda: op @ A, lambda: A @ op):
        with pytest.raises(TypeError, match="be linear to be composed"):
            call()


# --- families -----------------------------------------------------------------------------------


@table(
    (lambda: RELU.batch(KEY), "keys must be an array of PRNG keys"),
    (lambda: SPARSE.batch(jax.random.PRNGKey(0)), "keys must be an array of PRNG keys"),
    (lambda: RELU.initial(KEY, -1), "num_restarts must be >= 1"),
    (lambda: SPARSE.initial(KEY, 2.5), "num_restarts must be an integer"),
    (
        lambda: ji.problems.generative((5, 50), None).with_active(measurements=3),
        "measurements must be None for denoising",
    ),
    (
        lambda: ji.problems.generative((3, 20), 18, noise_std=ones(18)).sample(KEY),
        "noise_std must be a scalar",
    ),
    (
        lambda: ji.problems.sparse(16, 24, np.full(24, 0.1)).sample(KEY),
        "sparsity must be a scalar",
    ),
    (lambda: ji.problems.sparse(unit_columns="no"), "unit_columns must be True or False"),
)
def test_families(call, words):
    refuses(call, words)


@pytest.mark.skipif(jax.config.jax_enable_x64, reason="float64 is on")
@table(
    (lambda: ji.problems.generative((3, 4), 3, dtype=jnp.float64), "generative: dtype"),
    (lambda: ji.problems.sparse(dtype="float64"), "sparse: dtype"),
    (lambda: O.gaussian(KEY, 3, 4, dtype=jnp.complex128), "gaussian: dtype"),
    (lambda: G.relu(KEY, (3, 4), dtype=np.float64), "relu: dtype"),
)
def test_float64_is_not_silently_float32(call, words):
    refuses(call, words + ".*jax_enable_x64")


def test_types_in_use_are_accepted():
    assert O.gaussian(KEY, 3, 4, dtype=complexes()).matrix.dtype == complexes()
    assert G.relu(KEY, (3, 4), dtype=floats()).params[0].dtype == floats()
