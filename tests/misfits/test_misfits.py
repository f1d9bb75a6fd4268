"""What every misfit promises, row by row of ``cases.MISFITS``, and who takes which."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import MISFITS, floats, normal, rows
from solver_cases import SOLVERS

import jaxinv as ji
from jaxinv._core.units import Scale

every = rows(MISFITS)
SIZE = 24


def drawn(case, seed=0):
    key, direction_key = jax.random.split(jax.random.key(seed))
    y, prediction = case.measurements(key, SIZE)
    return case.make(), y, prediction, normal(direction_key, (SIZE,))


def slope(misfit, y, prediction, direction, size):
    """The slope along a direction, by central differences in float64 of float32 values."""
    up, down = (float(misfit(prediction + h * direction, y)) for h in (size, -size))
    return (up - down) / (2 * size)


@every
@pytest.mark.parametrize("is_complex", [False, True])
def test_gradient_against_differences(case, is_complex):
    misfit, y, prediction, direction = drawn(case)
    if is_complex and not misfit.takes_complex:
        with pytest.raises(ValueError, match=f"y must be real for misfits.{case.name}"):
            misfit(prediction + 1j, y + 1j)
        return
    if is_complex:
        y, prediction, direction = (v + 1j * v[::-1] ** 2 for v in (y, prediction, direction))
    gradient = misfit.gradient(prediction, y)
    expected = slope(misfit, y, prediction, direction, 2e-3)
    got = float(jnp.real(jnp.vdot(gradient, direction)))
    size = float(jnp.linalg.norm(gradient) * jnp.linalg.norm(direction))
    assert size > 0.1
    assert abs(got - expected) <= 3e-3 * size
    by_jax = jnp.conj(jax.grad(misfit._value)(prediction, y))
    np.testing.assert_allclose(gradient, by_jax, rtol=1e-4, atol=1e-5)


@every
def test_curvature_is_what_it_says(case):
    misfit, y, prediction, direction = drawn(case)
    H = jax.vmap(lambda v: misfit.curvature(prediction, y, v))(jnp.eye(SIZE, dtype=floats()))
    np.testing.assert_allclose(H, H.T, rtol=1e-6)
    assert float(jnp.min(jnp.linalg.eigvalsh(H))) >= 0
    if case.curvature == "bound":  # the quadratic touches the misfit and lies above it
        value, gradient = misfit(prediction, y), misfit.gradient(prediction, y)
        for length in (-3.0, -0.3, 0.3, 3.0):
            move = length * direction
            above = value + gradient @ move + 0.5 * move @ (H @ move)
            assert float(misfit(prediction + move, y)) <= float(above) * (1 + 1e-5)
    else:
        change = [misfit.gradient(prediction + h * direction, y) for h in (1e-3, -1e-3)]
        expected = (change[0] - change[1]) / 2e-3
        np.testing.assert_allclose(H @ direction, expected, rtol=2e-2, atol=2e-3)


@rows([case for case in MISFITS if case.is_smooth])
def test_no_curvature_is_above_the_smoothness(case):
    misfit, y, prediction, direction = drawn(case)
    gap = misfit.gradient(prediction + direction, y) - misfit.gradient(prediction, y)
    assert float(jnp.linalg.norm(gap)) <= 1.001 * float(
        misfit.smoothness * jnp.linalg.norm(direction)
    )


@rows([case for case in MISFITS if case.data != "labels"])
def test_units_divide_the_value_by_their_square(case):
    misfit, y, prediction, _ = drawn(case)
    data = jnp.asarray(2.0**7, floats())
    divided = misfit.to_units(Scale(jnp.ones_like(data), data))
    expected = misfit(prediction, y) / data**2
    np.testing.assert_allclose(divided(prediction / data, y / data), expected, rtol=1e-5)
    assert misfit.size(prediction, y) > 0


@rows(SOLVERS)
def test_who_takes_which(case):
    """Traced only: what is refused is refused before anything is compiled."""
    family, solver = case.family(), case.make(case.values[0])
    problem = family.sample(jax.random.key(1))
    u0 = family.initial(jax.random.key(2), case.num_restarts or 1)
    u0 = u0 if case.num_restarts else u0[0]
    for row in MISFITS:
        y, _ = row.measurements(jax.random.key(3), problem.y.size - problem.y.size % 6)
        y = jnp.resize(y, problem.y.shape)
        arguments = {"block_size": 2} if row.name == "median_of_means" else row.arguments()
        misfit = getattr(ji.misfits, row.name)(**arguments)
        held = problem._replace(y=y, misfit=misfit)
        taken = row.name == "squared" or case.misfits == "any"
        if taken or (case.misfits == "smooth" and row.is_smooth):
            found = jax.eval_shape(lambda p, u: ji.solve(solver, p, u).u, held, u0)
            assert found.dtype == floats()
        else:
            name = case.name.split("-")[0]
            message = f"must be misfits.squared .*for solvers.{name}, got misfits.{row.name}"
            with pytest.raises(ValueError, match=message.replace(" .*", ".*")):
                ji.solve(solver, held, u0)


@pytest.mark.parametrize("run", ["debias", "oracle", "largest_penalty", "lasso_path"])
def test_functions_that_need_squares_refuse_the_others(run):
    family = ji.problems.sparse(12, 24, num_nonzeros=3, dtype=floats())
    problem = family.sample(jax.random.key(0))._replace(misfit=ji.misfits.huber(1.0))
    u = problem.truth.u
    calls = {
        "debias": lambda: ji.solvers.debias(problem, u != 0),
        "oracle": lambda: ji.solvers.oracle(problem),
        "largest_penalty": lambda: ji.solvers.largest_penalty(problem),
        "lasso_path": lambda: ji.solvers.lasso_path(problem),
    }
    with pytest.raises(ValueError, match=r"problem\.misfit must be .*got .*huber"):
        calls[run]()


def linear(y, misfit):
    matrix = jax.random.normal(jax.random.key(9), (y.size, 3), floats())
    return ji.Problem(ji.operators.dense(matrix), y, misfit=misfit)


LM = ji.solvers.levenberg_marquardt(negate=False)


@pytest.mark.parametrize(
    ("misfit", "y", "message"),
    [
        (ji.misfits.poisson(), [1.0, -1.0, 2.0, 0.0], r"problem\.y must hold counts >= 0"),
        (ji.misfits.logistic(), [1.0, 0.0, 1.0, -1.0], r"problem\.y must hold labels 1 and -1"),
        (ji.misfits.median_of_means(3), [1.0, 2.0, 3.0, 4.0], "block_size = 3 divides"),
        (ji.misfits.weighted(jnp.ones(3)), [1.0, 2.0, 3.0, 4.0], r"have shape \(3,\)"),
        (jnp.ones(3), [1.0, 2.0, 3.0, 4.0], r"problem\.misfit must be a misfit"),
    ],
)
def test_what_does_not_fit_is_one_line(misfit, y, message):
    with pytest.raises((ValueError, TypeError), match=message) as error:
        ji.solve(LM, linear(jnp.array(y), misfit), jnp.ones(3))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["poisson", "logistic"])
def test_traced_measurements_outside_the_domain_are_a_status(name):
    misfit = getattr(ji.misfits, name)(**({"background": 9.0} if name == "poisson" else {}))
    # a size that a change of units would make right
    wrong = [1.0, -3, 1, 1] if name == "poisson" else [0.5, -0.5, 0.5, 0.5]
    ys = jnp.array([[1.0, 1, 1, 1], wrong])
    status = jax.vmap(lambda y: ji.solve(LM, linear(y, misfit), jnp.ones(3)).status)(ys)
    assert int(status[0]) != ji.Status.INVALID_START
    assert int(status[1]) == ji.Status.INVALID_START


def test_labels_and_counts_alone_are_real():
    real = {case.name for case in MISFITS if not case.make().takes_complex}
    assert real >= {"logistic", "poisson"}
    sizes = {"squared", "weighted", "huber", "absolute", "student_t", "median_of_means"}
    assert not real & sizes
