"""Own operators and generators with sizes that are traced: the small problem inside the large."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy.linalg import circulant as circulant_matrix

import jaxinv as ji

KEY = jax.random.key(3)
N, K = 12, 4
BASIS = jnp.asarray(np.random.default_rng(0).standard_normal((N, K)), jnp.float32)


def circulant(key):
    return ji.operators.convolution(jax.random.normal(key, (N,), jnp.float32), (N,))


def apply(basis, z):
    return jnp.tanh(basis @ z)


def own_generator(key):
    return ji.generators.from_function(apply, BASIS + 0 * jax.random.normal(key), in_shape=(K,))


G = ji.generators.from_function(apply, BASIS, in_shape=(K,))


@pytest.mark.parametrize("generator", [G, own_generator], ids=["shared", "drawn"])
@pytest.mark.parametrize("rescale", [True, False])
def test_the_problem_is_that_of_the_first_rows_and_latents(generator, rescale):
    family = ji.problems.padded(circulant, generator, rescale=rescale)
    problem = family.with_active(latent=2, measurements=5).sample(KEY)
    full = family.sample(KEY).operator.todense()
    kernel = np.roll(np.asarray(family.sample(KEY).operator.kernel), -(N // 2))
    np.testing.assert_allclose(full, circulant_matrix(kernel), atol=1e-5)
    z = problem.truth.u
    assert not np.any(z[2:])
    assert np.all(z[:2])
    x = np.tanh(np.asarray(BASIS)[:, :2] @ np.asarray(z)[:2])
    np.testing.assert_allclose(problem.truth.x, x, atol=1e-5)
    scale = np.sqrt(N / 5) if rescale else 1.0
    np.testing.assert_allclose(problem.y[:5], scale * full[:5] @ x, rtol=1e-4, atol=1e-5)
    assert not np.any(problem.y[5:])
    # what lies beyond changes nothing, in the prior, its energy and its Jacobian
    wide = z.at[2:].set(7.0)
    np.testing.assert_array_equal(problem.signal(wide), problem.signal(z))
    np.testing.assert_allclose(problem.prior.energy(wide), 0.5 * np.sum(z**2), rtol=1e-6)
    jacobian = jax.jacfwd(problem.prior)(wide)
    np.testing.assert_allclose(problem.prior.jacobian(wide), jacobian, atol=1e-6)
    assert not np.any(family.with_active(latent=2).initial(KEY)[2:])


def test_traced_sizes_are_one_program_and_the_same_problems():
    family = ji.problems.padded(circulant, own_generator, noise_std=0.1)
    count = 0

    @jax.jit
    def draw(k, m):
        nonlocal count
        count += 1
        return family.with_active(latent=k, measurements=m).sample(KEY).y

    for k, m in ((1, 3), (4, 12), (2, 7)):
        given = family.with_active(latent=k, measurements=m).sample(KEY)
        np.testing.assert_allclose(draw(k, m), given.y, rtol=1e-5, atol=1e-6)
        assert np.count_nonzero(given.truth.noise) == m
    assert count == 1


def test_a_batch_shares_a_generator_that_was_given():
    family = ji.problems.padded(circulant, G).with_active(latent=2, measurements=5)
    batch = family.batch(jax.random.split(KEY, 3))
    assert batch.y.shape == (3, N)
    one = jax.vmap(lambda p, u: p.predict(u), in_axes=(family.axes, 0))(batch, batch.truth.u)
    np.testing.assert_allclose(one, batch.y, rtol=1e-4, atol=1e-5)


def test_a_solver_finds_the_signal_of_the_padded_problem():
    family = ji.problems.padded(circulant, G).with_active(latent=2, measurements=8)
    problem = family.sample(KEY)
    found = ji.solve(ji.solvers.levenberg_marquardt(), problem, problem.truth.u + 0.1, tol=1e-6)
    np.testing.assert_allclose(found.x, problem.truth.x, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"operator": jnp.ones((3, N))}, "operator must be a linear operator, or a function"),
        ({"operator": G}, "operator must be a linear operator, or a function of a key"),
        (
            {"operator": lambda key: 3},
            "operator must return a linear operator, got Shape",
        ),
        ({"operator": ji.operators.identity(5)}, r"generator must make signals of .*\(5,\)"),
        ({"generator": apply}, "generator must accept a key"),
        ({"generator": lambda key: BASIS}, "generator must return a generator"),
        (
            {"generator": ji.generators.from_function(apply, BASIS)},
            "generator must know the shape",
        ),
        ({"noise_std": 0.1, "noise_norm": 0.1}, "noise_norm and noise_std must not both be set"),
        ({"rescale": 1}, "rescale must be True or False"),
    ],
)
def test_what_cannot_be_padded_is_refused_in_one_line(arguments, words):
    with pytest.raises((ValueError, TypeError), match=f"padded: {words}") as caught:
        ji.problems.padded(**{"operator": circulant, "generator": G, **arguments})
    assert "\n" not in str(caught.value)


def test_sizes_beyond_the_largest_are_refused():
    family = ji.problems.padded(Partial(circulant), G)
    with pytest.raises(ValueError, match=r"latent must be in \[1, 4\] \(of the generator\)"):
        family.with_active(latent=5)
    with pytest.raises(ValueError, match=r"measurements must be in \[1, 12\]"):
        family.with_active(measurements=13)
