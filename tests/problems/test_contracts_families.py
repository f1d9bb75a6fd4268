"""What every family and every generator promises, row by row of ``cases``."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import FAMILIES, GENERATORS, floats, rows

import jaxinv as ji

EPS = float(jnp.finfo(floats()).eps)
NUM_TRIALS = 400
KEY = jax.random.key(11)

families = rows(FAMILIES)
noisy = rows(row for row in FAMILIES if row.noise is not None)
generators = rows(GENERATORS)


def assert_trees_equal(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


# --- families -----------------------------------------------------------------------------------


@functools.cache
def made_family(index):
    return FAMILIES[index].make()


def family_of(case):
    return made_family(FAMILIES.index(case))


@functools.cache
def batch(index):
    family = made_family(index)
    keys = jax.random.split(KEY, NUM_TRIALS)
    return jax.jit(jax.vmap(family.sample, out_axes=family.axes))(keys)


def drawn(case):
    return batch(FAMILIES.index(case))


@families
def test_a_problem_is_determined_by_its_key_in_both_styles(case):
    family = family_of(case)
    problem, u0 = family.sample(KEY), family.initial(KEY)
    old_style = jax.random.PRNGKey(11)
    assert_trees_equal(family.sample(KEY), problem)
    assert_trees_equal(family.sample(old_style), problem)
    assert_trees_equal(family.initial(old_style), u0)
    other = family.sample(jax.random.key(12))
    pairs = zip(*(jax.tree.leaves((p.y, p.truth.u)) for p in (other, problem)), strict=True)
    assert not any(np.size(a) > 1 and np.array_equal(a, b) for a, b in pairs)
    assert jax.tree.map(jnp.shape, u0) == jax.tree.map(jnp.shape, problem.truth.u)
    assert all(leaf.dtype == floats() for leaf in jax.tree.leaves(u0))


@families
def test_measurements_are_the_operator_on_the_signal_plus_noise(case):
    family = family_of(case)
    problem = family.sample(KEY)
    truth = problem.truth
    np.testing.assert_allclose(problem.signal(truth.u), truth.x, atol=8 * EPS)
    if case.noise is not None:
        clean = problem.operator(truth.x)
        np.testing.assert_allclose(clean + truth.noise, problem.y, atol=16 * EPS)
    for leaf in jax.tree.leaves(problem):
        assert leaf.dtype == floats()


@noisy
def test_noise_has_its_level(case):
    problems = drawn(case)
    axes = case.make().axes
    energy = np.square(np.asarray(problems.truth.noise, np.float64))
    energy = energy.reshape(NUM_TRIALS, -1).sum(axis=1)
    expected = jax.jit(jax.vmap(case.noise, in_axes=(axes,)))(problems)
    expected = np.broadcast_to(np.asarray(expected, np.float64), energy.shape)
    kept = expected > 0  # a signal without any entry has no noise
    ratio = energy[kept] / expected[kept]
    standard_error = np.std(ratio) / np.sqrt(ratio.size)
    assert abs(np.mean(ratio) - 1) < 4 * standard_error + 20 * EPS
    assert np.max(energy[~kept], initial=0) == 0


@families
def test_a_batch_is_its_problems_stacked(case):
    family = family_of(case)
    keys = jax.random.split(KEY, NUM_TRIALS)
    shared = {name: None for name, axis in family.axes._asdict().items() if axis is None}
    for index in (0, 7):
        one = family.sample(keys[index])
        expected = jax.tree.leaves(one._replace(**shared))
        got = jax.tree.leaves(drawn(case)._replace(**shared))
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a[index], b, atol=20 * EPS)
        for name in shared:  # not copied per trial
            assert_trees_equal(getattr(drawn(case), name), getattr(one, name))


@families
def test_axes_serve_vmap_in_and_out(case):
    family, problems = case.make(), drawn(case)
    shapes = jax.eval_shape(family.batch, jax.random.split(KEY, NUM_TRIALS))
    for a, b in zip(jax.tree.leaves(shapes), jax.tree.leaves(problems), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    loss = jax.jit(jax.vmap(lambda problem, u: problem.loss(u), in_axes=(family.axes, 0)))
    losses = loss(problems, problems.truth.u)
    if case.noise is None:
        return
    noise = case.share * np.square(np.asarray(problems.truth.noise)).reshape(NUM_TRIALS, -1).sum(
        axis=1
    )
    np.testing.assert_allclose(losses, noise, rtol=1e-3, atol=1e-9)


@families
def test_starts_for_restarts_have_a_first_axis(case):
    family = case.make()
    starts = jax.eval_shape(lambda key: family.initial(key, num_restarts=4), KEY)
    one = jax.eval_shape(family.initial, KEY)
    assert jax.tree.map(jnp.shape, starts) == jax.tree.map(lambda leaf: (4, *leaf.shape), one)


@families
@pytest.mark.parametrize("bad", [0, "key", np.zeros(3), None])
def test_something_that_is_not_a_key_is_refused(case, bad):
    family = case.make()
    for draw in (family.sample, family.initial):
        with pytest.raises((TypeError, ValueError), match="key must be"):
            draw(bad)


# --- generators ---------------------------------------------------------------------------------


@functools.cache
def generator(index):
    case = GENERATORS[index]
    return case.make(KEY), jax.random.normal(jax.random.key(2), case.z_shape, floats())


def made(case):
    return generator(GENERATORS.index(case))


@jax.jit
def apply(g, z):
    return g(z)


@generators
def test_jit_and_vmap_equal_the_plain_call(case):
    g, z = made(case)
    x = g(z)
    assert x.dtype == floats()
    np.testing.assert_allclose(apply(g, z), x, atol=20 * EPS)
    latents = jnp.stack([z, -2 * z])
    got = jax.jit(jax.vmap(apply, in_axes=(None, 0)))(g, latents)
    np.testing.assert_allclose(got[1], g(-2 * z), atol=40 * EPS)
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), g, jax.tree.map(lambda a: 0.5 * a, g))
    got = jax.jit(jax.vmap(apply, in_axes=(0, None)))(both, z)
    np.testing.assert_allclose(got[0], x, atol=20 * EPS)


@generators
def test_jacobian_equals_forward_mode_and_finite_differences(case):
    g, z = made(case)
    J = jax.jit(lambda g, z: g.jacobian(z))(g, z)
    assert J.shape == (*g(z).shape, *z.shape)
    np.testing.assert_allclose(J, jax.jit(jax.jacfwd(g.__call__))(z), atol=40 * EPS)
    step = 1e-6 if floats() == jnp.float64 else 1e-2
    ends = jnp.concatenate([z + step * jnp.eye(z.size), z - step * jnp.eye(z.size)])
    values = np.asarray(jax.jit(jax.vmap(g))(ends.astype(floats())), np.float64)
    slopes = (values[: z.size] - values[z.size :]).T / (2 * step)
    np.testing.assert_allclose(J, slopes, atol=5e-3 if floats() == jnp.float32 else 1e-8)


@generators
def test_an_untrained_prior_varies_its_parameters(case):
    g, z = made(case)
    prior = g.untrained(z)
    np.testing.assert_allclose(prior(prior.params), g(z), atol=20 * EPS)
    problem = ji.Problem(ji.operators.identity(g(z).shape), jnp.ones_like(g(z)), prior)
    _, gradient = jax.jit(ji.problems.loss_and_gradient)(problem, prior.params)
    assert jax.tree.structure(gradient) == jax.tree.structure(prior.params)
    direction = jax.tree.map(lambda leaf: jnp.cos(jnp.arange(leaf.size)).reshape(leaf.shape), g)
    direction = jax.tree.map(lambda a, b: b.astype(a.dtype), prior.params, direction.params)
    step = 1e-6 if floats() == jnp.float64 else 1e-3

    def moved(sign):
        params = jax.tree.map(lambda a, d: a + sign * step * d, prior.params, direction)
        return float(problem.loss(params))

    slope = sum(
        float(jnp.sum(a * b))
        for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    )
    np.testing.assert_allclose((moved(1) - moved(-1)) / (2 * step), slope, rtol=2e-2, atol=2e-3)


@generators
def test_a_latent_of_the_wrong_shape_is_named(case):
    g, _ = made(case)
    with pytest.raises(ValueError, match=r"z must have shape .*got shape \(2, 9\)"):
        g(jnp.zeros((2, 9)))
