"""Blind problems: the unknown is a pair, and only the product of its signals is measured."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, normal

import jaxinv as ji

K1, K2, N, M, STARTS = 3, 4, 80, 60, 8


def blind(key, m=M):
    keys = jax.random.split(key, 6)
    one, two = (
        ji.generators.relu(key, (k, 40, N), dtype=floats())
        for key, k in zip(keys[:2], (K1, K2), strict=True)
    )
    prior = ji.generators.product(one, two)
    x = prior((normal(keys[2], (K1,)), normal(keys[3], (K2,))))
    operator = ji.operators.gaussian(keys[4], m, N, dtype=floats())
    starts = normal(keys[5], (STARTS, K1)), normal(jax.random.fold_in(keys[5], 1), (STARTS, K2))
    return ji.Problem(operator, operator(x), prior), starts, x


def test_a_product_of_two_unknowns_is_recovered():
    def error(key):
        problem, starts, x = blind(key)
        solver = ji.solvers.levenberg_marquardt(num_restarts=STARTS)
        found = ji.solve(solver, problem, starts, max_steps=300)
        return ji.metrics.relative_error(found.x, x)

    errors = jax.jit(jax.vmap(error))(jax.random.split(jax.random.key(0), 6))
    assert jnp.max(errors) < 1e-5


def test_the_four_signs_are_tested():
    problem, starts, _ = blind(jax.random.key(1))
    truth = jax.tree.map(lambda leaf: leaf[0], starts)
    problem = problem._replace(y=problem.predict(truth))
    for signs in ((1, -1), (-1, 1), (-1, -1)):
        start = tuple(sign * part for sign, part in zip(signs, truth, strict=True))
        for solver in (ji.solvers.levenberg_marquardt(), ji.solvers.subgradient()):
            found = ji.solve(solver, problem, start, max_steps=3)
            assert int(found.status) == ji.Status.CONVERGED
            for ours, theirs in zip(found.u, truth, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_energy_of_a_pair_is_that_of_both():
    problem, starts, _ = blind(jax.random.key(2))
    z = jax.tree.map(lambda leaf: leaf[0], starts)
    expected = 0.5 * sum(float(np.sum(np.asarray(part, float) ** 2)) for part in z)
    assert float(problem.prior.energy(z)) == pytest.approx(expected, rel=1e-5)


ONES = {k: jnp.ones(k) for k in (3, 4, 5, 7)}


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ((ONES[3],), r"u0 must have an array at u0\[1\], got arrays at \[0\]"),
        ((ONES[3], ONES[5]), r"u0\[1\] must have shape \(4,\), got shape \(5,\)"),
        ({"a": ONES[3], "b": ONES[4]}, r"u0 must have an array at u0\[0\], got arrays at \['a'\]"),
        (ONES[7], r"u0 must have an array at u0\[0\], got one array"),
        ((ONES[3], (ONES[4], ONES[4])), r"u0 must have an array at u0\[1\], got arrays at"),
        ((jnp.ones((2, 3)), jnp.ones((2, 4))), r"u0\[0\] must have shape.*use jax.vmap"),
    ],
)
def test_an_unknown_of_another_structure_is_told_where(start, message):
    problem, _, _ = blind(jax.random.key(3))
    with pytest.raises(ValueError, match=f"solve: {message}"):
        ji.solve(ji.solvers.levenberg_marquardt(), problem, start)
    with pytest.raises(TypeError, match=r"Product: z must be a pair \(z1, z2\)"):
        problem.prior(jnp.ones(7))
