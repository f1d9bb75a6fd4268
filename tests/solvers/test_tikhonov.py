"""Least squares with damping against SciPy's LSQR, at any scale, and against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg

import jaxinv as ji

O = ji.operators
DTYPE = jnp.result_type(float)
EPS = float(np.finfo(DTYPE).eps)
RANDOM = np.random.default_rng(0)
WIDE, TALL = (RANDOM.normal(size=shape) / 4 for shape in ((12, 20), (20, 12)))


def of_scipy(matrix, y, damping):
    return scipy.sparse.linalg.lsqr(matrix, y, damp=damping, atol=0, btol=0, conlim=0)[0]


@jax.jit
def found(matrix, y, damping):
    problem, zero = ji.Problem(O.dense(matrix), y), jnp.zeros(matrix.shape[1], matrix.dtype)
    solvers = (ji.solvers.cgls(damping=damping), ji.solvers.lsqr(damping=damping))
    ends = [ji.solve(solver, problem, zero, tol=20 * EPS, max_steps=60).u for solver in solvers]
    return [*ends, ji.solvers.least_squares(problem, damping=damping)]


@pytest.mark.parametrize("kind", ["wide", "tall", "complex"])
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_least_squares_is_that_of_scipy_at_any_scale(kind, damping):
    matrix = {"wide": WIDE, "tall": TALL, "complex": TALL + 1j * TALL[::-1]}[kind]
    dtype = np.result_type(DTYPE, np.complex64) if kind == "complex" else DTYPE
    y = np.sin(np.arange(1.0, len(matrix) + 1)) * (1 + 1j if kind == "complex" else 1)
    expected = of_scipy(matrix, y, damping)
    for scale, size in ((1.0, 1.0), (1e-18, 1.0), (1e18, 1e18), (1e9, 1e-18)):
        given = (matrix * scale).astype(dtype), (y * size).astype(dtype)
        for u in found(*given, jnp.asarray(damping * scale, DTYPE)):
            u = np.asarray(u, np.complex128) * scale / size
            assert np.linalg.norm(u - expected) < 2000 * EPS * np.linalg.norm(expected)


def test_cgls_and_lsqr_take_the_same_steps_from_any_start():
    problem, start = ji.Problem(O.dense(TALL), np.cos(np.arange(20.0))), jnp.ones(12, DTYPE)
    first, second = (
        ji.trace(make(damping=0.2), problem, start, 4)
        for make in (ji.solvers.cgls, ji.solvers.lsqr)
    )
    np.testing.assert_allclose(first[0].u, second[0].u, atol=500 * EPS)
    np.testing.assert_allclose(first[1].loss, second[1].loss, rtol=500 * EPS)
    np.testing.assert_allclose(first[1].error, second[1].error, rtol=2e4 * EPS)
    loss = ji.solvers.cgls(damping=0.2).objective(problem, start)
    np.testing.assert_allclose(loss, first[1].loss[0], rtol=10 * EPS)


def test_least_squares_of_a_convolution_is_its_wiener_filter():
    kernel, y = np.array([0.2, 0.5, 0.3]), RANDOM.normal(size=16)
    A = O.convolution(kernel, 16)
    u = ji.solvers.least_squares(ji.Problem(A, y), damping=0.1)
    np.testing.assert_allclose(u, of_scipy(np.asarray(A.todense(), float), y, 0.1), atol=1e-5)
    kept = np.arange(16) % 3 > 0  # nothing is measured elsewhere: the least norm is 0 there
    u = ji.solvers.least_squares(ji.Problem(O.mask(kept), y * kept))
    np.testing.assert_allclose(u, y * kept, atol=1e-6)


def test_a_penalty_on_differences_is_a_stack():
    y, D = RANDOM.normal(size=8), O.finite_difference(8)
    A = O.vstack([O.identity(8), 2 * D])
    u = ji.solvers.least_squares(ji.Problem(A, np.concatenate([y, np.zeros(8)])))
    matrix = np.asarray(D.todense(), float)
    expected = np.linalg.solve(np.eye(8) + 4 * matrix.T @ matrix, y)
    np.testing.assert_allclose(u, expected, atol=1e-5)


def test_least_squares_is_differentiated_as_the_minimizer():
    y = jnp.asarray(RANDOM.normal(size=20), DTYPE)

    def size(damping):
        return jnp.sum(ji.solvers.least_squares(ji.Problem(O.dense(TALL), y), damping=damping) ** 2)

    exact = np.linalg.inv(TALL.T @ TALL + 0.09 * np.eye(12))
    u = exact @ TALL.T @ np.asarray(y, float)
    # du/dδ = -2 δ (AᵀA + δ²)⁻¹ u
    np.testing.assert_allclose(jax.grad(size)(0.3), 2 * u @ (-0.6 * exact @ u), rtol=1e-3)
