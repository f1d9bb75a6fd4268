"""Generators whose signals are sparse, as the lower bounds use them, and the toy circle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.generators import circle, sparse_tents


@pytest.mark.parametrize("signed", [False, True])
def test_outputs_are_exactly_one_sparse(signed):
    """At random latents and at the floating numbers next to every edge between tents."""
    G = sparse_tents(12, radius=3.0, height=2.0, signed=signed)
    edges = np.linspace(-3, 3, 25, dtype=np.float32)
    latents = [np.random.default_rng(0).uniform(-3.2, 3.2, 20_000).astype(np.float32), edges]
    for direction in (-np.inf, np.inf):
        nearby = edges
        for _ in range(4):
            nearby = np.nextafter(nearby, np.float32(direction))
            latents.append(nearby)
    signals = np.asarray(jax.vmap(G)(np.concatenate(latents)[:, None]))
    counts = np.sum(signals != 0, axis=1)
    assert counts.max() == 1
    inside = signals[: latents[0].size][np.abs(latents[0]) < 3]
    assert np.mean(np.sum(inside != 0, axis=1)) > 0.999
    assert np.all(np.any(inside > 0, axis=0))  # every entry is reached
    assert np.any(inside < 0) == signed
    assert np.abs(signals).max() == pytest.approx(2, rel=1e-2)
    assert not signals[: latents[0].size][np.abs(latents[0]) > 3].any()


def test_tents_by_hand():
    G = sparse_tents(8, 2)  # two blocks of four tents over [-1, 1]
    z = jnp.array([-0.875, 0.25])  # the middle of the rise of tent 1, the top of tent 3
    np.testing.assert_allclose(G(z), [0.5, 0, 0, 0, 0, 0, 1, 0], atol=1e-6)
    deep = sparse_tents(8, levels=2)
    # 4 s = .8: tent 1 at height .4, which at the next level is 4 (.4) = 1.6: tent 2 at .8
    np.testing.assert_allclose(
        deep(jnp.array([2 * 0.2 - 1])), [0.4, 0, 0, 0, 0, 0.8, 0, 0], atol=1e-5
    )


def test_deep_tents_are_as_sparse_as_they_have_levels():
    G = sparse_tents(36, 2, levels=3)
    latents = jax.random.uniform(jax.random.key(0), (4000, 2), minval=-1, maxval=1)
    signals = np.asarray(jax.vmap(G)(latents)).reshape(4000, 2, 3, 6)
    assert np.sum(signals != 0, axis=3).max() == 1
    assert np.mean(np.sum(signals != 0, axis=(1, 2, 3)) == 6) > 0.99
    # two latents choose among 6³ supports each
    supports = {tuple(np.argmax(block, axis=1)) for block in signals[:, 0]}
    assert len(supports) == 6**3


@pytest.mark.parametrize(("levels", "signed"), [(1, False), (1, True), (2, False)])
def test_lipschitz_constant_is_the_largest_slope(levels, signed):
    G = sparse_tents(12, 2, levels=levels, radius=2.0, height=3.0, signed=signed)
    latents = jax.random.uniform(jax.random.key(1), (500, 2), minval=-2, maxval=2)
    norms = np.linalg.norm(jax.vmap(G.jacobian)(latents), 2, axis=(1, 2))
    assert norms.max() == pytest.approx(G.lipschitz, rel=1e-4)
    if levels == 1 and signed:  # 2 n h/(k r), as published
        assert G.lipschitz == pytest.approx(2 * 12 * 3 / (2 * 2))


def test_descent_has_no_slope_toward_another_tent():
    """The truth is in the last tent; at a start in the first the loss falls away from both."""
    G = sparse_tents(4)
    problem = ji.Problem(ji.operators.identity(4), G(jnp.array([0.75])), G)
    gradient = jax.grad(problem.loss)(jnp.array([-0.85]))
    assert float(gradient[0]) > 0  # steps go to -1, away from .75
    solution = ji.solve(
        ji.solvers.subgradient(0.01, negate=False), problem, jnp.array([-0.85]), tol=1e-6
    )
    assert float(jnp.abs(solution.x - problem.y).max()) == pytest.approx(1)


def test_circle():
    G = circle()
    z = jnp.linspace(-3, 3, 7)[:, None]
    np.testing.assert_allclose(jnp.linalg.norm(jax.vmap(G)(z), axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(G.jacobian(z[2]), 2), 1, rtol=1e-6)
    assert G(jnp.zeros(1)).dtype == jnp.result_type(float)


def test_refusals():
    with pytest.raises(ValueError, match="signal_size must be a multiple of 6"):
        sparse_tents(10, 2, levels=3)
    with pytest.raises(ValueError, match="radius must be finite and > 0"):
        sparse_tents(4, radius=0.0)
