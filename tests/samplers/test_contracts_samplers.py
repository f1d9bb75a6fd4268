"""What every sampler promises, row by row of ``cases``."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import SAMPLERS, floats, normal, rows

import jaxinv as ji

KEY = jax.random.key(4)
COLUMNS = np.array([[1.0, 0.4], [0.0, 1.2], [0.5, -0.3]])
MEASURED = np.array([1.0, -0.5, 0.3])
TRACES = []

samplers = rows(SAMPLERS)


def _counted(params, z):
    TRACES.append(1)
    return params @ z


def problem():
    prior = ji.generators.from_function(_counted, jnp.asarray(COLUMNS, floats()), in_shape=2)
    return ji.Problem(ji.operators.identity(3), jnp.asarray(MEASURED, floats()), prior)


def starts(num_chains):
    return normal(jax.random.key(1), (num_chains, 2))


def run(sampler, key=KEY, num_chains=4, **options):
    options = {"num_steps": 24, "burn_in": 4, "thin": 4, **options}
    return ji.sample(sampler, problem(), starts(num_chains), key=key, **options)


@samplers
def test_its_state_keeps_structure_shapes_and_types(case):
    sampler = case.make(case.values[0])
    state = jax.eval_shape(sampler.init, problem(), starts(1)[0], KEY)
    following, info = jax.eval_shape(sampler.step, problem(), state)
    assert jax.tree.structure(following) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(following), jax.tree.leaves(state), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert info.accepted.shape == info.log_density.shape == ()
    assert state.u.dtype == info.accepted.dtype == floats()


@samplers
def test_a_step_reports_the_density_of_its_point_and_a_probability(case):
    sampler = case.make(case.values[0])
    state = sampler.init(problem(), starts(1)[0], KEY)
    for _ in range(3):
        state, info = jax.jit(sampler.step)(problem(), state)
        expected = problem().log_density(state.u, 1.0)
        np.testing.assert_allclose(info.log_density, expected, rtol=1e-5)
        assert 0 <= float(info.accepted) <= 1


@samplers
def test_draws_are_determined_by_the_key(case):
    sampler = case.make(case.values[0])
    draws = run(sampler)
    assert draws.u.shape == (4, 5, 2)
    assert draws.u.dtype == draws.x.dtype == floats()
    np.testing.assert_array_equal(run(sampler).u, draws.u)
    assert not np.array_equal(run(sampler, jax.random.key(5)).u, draws.u)
    assert np.all(draws.u[0] != draws.u[1])


@samplers
def test_new_values_do_not_trace_again(case):
    draws = run(case.make(case.values[0]))
    before = len(TRACES)
    other = run(case.make(case.values[1]))
    again = len(TRACES) - before
    run(case.make(sum(case.values) / 2))
    assert again == 2  # looks at the shapes of prediction and density, and no program
    assert len(TRACES) - before == 4
    assert not np.array_equal(other.u, draws.u)


@samplers
def test_vmap_over_its_step_and_over_keys_is_the_loop(case):
    values = jnp.asarray(case.values, floats())
    keys = jax.random.split(KEY, 2)
    both = jax.vmap(lambda value, key: run(case.make(value), key))(values, keys)
    for index in range(2):
        one = run(case.make(case.values[index]), keys[index])
        np.testing.assert_allclose(both.u[index], one.u, atol=2e-4)
    assert both.status.shape == (2, 4)


@samplers
def test_its_draws_have_the_moments_of_the_posterior(case):
    sampler = functools.partial(run, case.make(case.values[0]), num_chains=64)
    draws = sampler(num_steps=2200, burn_in=200, thin=4)
    u = np.asarray(draws.u, float).reshape(-1, 2)
    cov = np.linalg.inv(COLUMNS.T @ COLUMNS + np.eye(2))
    error = np.linalg.norm(np.cov(u.T) - cov) / np.linalg.norm(cov)
    assert error < case.accuracy
    spread = np.sqrt(np.diag(cov) / np.asarray(draws.ess))
    assert np.all(np.abs(u.mean(0) - cov @ COLUMNS.T @ MEASURED) < 4 * spread)


@samplers
def test_an_array_in_place_of_its_step_is_refused(case):
    with pytest.raises(ValueError, match="must be a scalar"):
        run(case.make(jnp.ones(3)))


@samplers
def test_other_starts_and_problems_are_refused(case):
    sampler = case.make(case.values[0])
    with pytest.raises(ValueError, match=r"u0s\[0\] must have shape \(2,\)"):
        ji.sample(sampler, problem(), normal(KEY, (2, 3)), key=KEY, num_steps=8)
    with pytest.raises(TypeError, match="problem must be a"):
        ji.sample(sampler, None, starts(2), key=KEY, num_steps=8)
