"""Landscape and convergence of descent with random networks: formulas, loops, closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.theory import check_descent, check_landscape, descent_guarantee, noise_gain, rho
from jaxinv.theory.generative._convergence import _compared


def family(widths=(3, 60, 80), m=60, **options):
    return ji.problems.generative(widths=widths, num_measurements=m, **options)


def test_guarantee_in_both_scalings_by_hand():
    """With weights N(0, 1/n) the paper's formulas; He scaling is the same map of √(2^d) x."""
    d, eps, loss, norm, noise, omega = 3, 1e-3, 0.7, 2.0, 0.05, 0.4
    given = {"initial_loss": loss, "noise_norm": noise, "noise_gain": omega}
    paper = descent_guarantee(d, eps, latent_norm=norm, weight_scale=1.0, **given)
    assert paper.step_size == pytest.approx(2**d / d**2)
    assert paper.num_steps == pytest.approx(loss * 2**d / (d**4 * eps * norm**2))
    near = d**9 * norm * eps**0.5 + d**6 * 2 ** (d / 2) * omega * noise
    assert paper.latent_error == pytest.approx(near)
    assert paper.signal_error == pytest.approx(1.2 * omega * noise)
    he = descent_guarantee(d, eps, latent_norm=norm / 2 ** (d / 2), **given)
    assert he.step_size == pytest.approx(paper.step_size / 2**d)
    assert he.num_steps == pytest.approx(paper.num_steps)
    assert he.contraction == pytest.approx(paper.contraction)
    assert he.contraction == pytest.approx(1 - 7 / 8 * paper.step_size / 2**d)
    assert he.latent_error == pytest.approx(near / 2 ** (d / 2))
    assert not he.premise
    assert descent_guarantee(2, 1e-28, initial_loss=0.0).premise
    # the corrected ω does not vanish with depth
    gains = [noise_gain((5, *[50] * d), 100) for d in (2, 4, 8)]
    assert gains == sorted(gains)


def test_landscape_of_a_wide_network_is_the_promised_one():
    for seed in range(2):
        key = jax.random.key(seed)
        problem = family((3, 400, 1600), 1000).sample(key)
        found = check_landscape(problem, key)
        assert bool(found.holds)
        assert float(found.measured) > 0.2 * float(found.predicted)
        # f_E(-ρ z*) = (1 - ρ²) ‖z*‖²/2
        z = problem.truth.u
        expected = 0.5 * (1 - rho(2) ** 2) * jnp.sum(z**2)
        loss = problem.loss(-rho(2) * z)
        np.testing.assert_allclose(found.spurious_loss, loss / expected, rtol=1e-4)
        assert 0.6 < float(found.spurious_loss) < 1.6
        assert problem.loss(rho(2) * z) < loss  # so that the negation leaves the wrong basin


def test_slope_at_zero_against_differences():
    problem = family().sample(jax.random.key(0))
    directions = jax.random.normal(jax.random.key(1), (2000, 3))
    directions /= jnp.linalg.norm(directions, axis=1, keepdims=True)
    step = 1e-3 * jnp.linalg.norm(problem.truth.u)
    zero = 0.5 * jnp.sum(problem.y**2)
    slopes = (jax.vmap(problem.loss)(step * directions) - zero) / step
    found = check_landscape(problem, jax.random.key(2), num_points=4000)
    largest = jnp.max(slopes) / jnp.linalg.norm(problem.truth.u)
    np.testing.assert_allclose(found.slope_at_zero, largest, atol=0.02)
    np.testing.assert_allclose(found.bound, -1 / (8 * np.pi), rtol=1e-6)
    half = check_landscape(problem, jax.random.key(2), num_points=10, weight_scale=1.0)
    np.testing.assert_allclose(half.bound, found.bound / 4, rtol=1e-6)


def test_a_narrow_network_has_points_that_do_not_descend():
    problem = family((3, 8, 10), 6).sample(jax.random.key(0))
    found = check_landscape(problem, jax.random.key(1))
    assert not bool(found.holds)
    assert float(found.descends) < 1


def test_distances_are_those_of_a_loop():
    key = jax.random.key(0)
    problem, u0 = family().sample(key), family().initial(key)
    found = check_descent(problem, u0, 0.2, num_steps=5)
    u, size = np.asarray(u0, float), np.linalg.norm(problem.truth.u)
    distances = [np.linalg.norm(u - problem.truth.u) / size]
    for _ in range(5):
        if problem.loss(-u) < problem.loss(u):
            u = -u
        u = u - 0.2 * np.asarray(jax.grad(problem.loss)(jnp.asarray(u, u0.dtype)))
        distances.append(np.linalg.norm(u - problem.truth.u) / size)
    np.testing.assert_allclose(found.measured, distances, rtol=1e-4)
    assert float(found.contraction) == pytest.approx(1 - 7 / 8 * 0.2)


@pytest.mark.parametrize(("factor", "holds"), [(0.7, True), (0.85, False)])
def test_bound_of_a_geometric_sequence(factor, holds):
    distances = jnp.asarray(2.0 * factor ** np.arange(30))
    found = _compared(distances, jnp.asarray(0.8), jnp.asarray(1e-6))
    assert int(found.entered) == int(np.argmax(distances <= 0.2))
    np.testing.assert_allclose(found.rate, factor, rtol=1e-3)
    assert bool(found.holds) == holds
    away = _compared(jnp.full(10, 0.9), jnp.asarray(0.8), jnp.asarray(1e-6))
    assert not bool(away.holds)


def test_promised_rate_holds_where_the_curvature_is_near_one():
    """With one latent and wide layers Λᵀ Aᵀ A Λ is within 1/8 of 1; noise leaves its floor."""
    wide = family((1, 2000, 1500), 1200, noise_norm=0.05)
    keys = jax.random.split(jax.random.key(3), 4)
    holds = []
    for key in keys:
        problem = wide.sample(key)
        found = check_descent(problem, wide.initial(key), 0.25, num_steps=60)
        holds.append(bool(found.holds))
        assert float(found.measured[-1]) < 0.05
    assert sum(holds) >= 3


def test_refusals():
    problem = family().sample(jax.random.key(0))
    one = family((3, 20)).sample(jax.random.key(0))
    key, u0 = jax.random.key(0), jnp.ones(3)
    cases = [
        (lambda: check_landscape(one, key), "at least 2 layers, got 1"),
        (lambda: check_landscape(problem._replace(truth=None), key), "truth must hold u and x"),
        (lambda: check_descent(problem, jnp.ones(4), 0.1), r"u0 must have shape \(3,\)"),
        (lambda: check_descent(problem._replace(prior=None), u0, 0.1), "be a ReLU network"),
        (lambda: descent_guarantee(1, 0.1, initial_loss=1.0), "depth must be >= 2"),
    ]
    for call, message in cases:
        with pytest.raises((ValueError, TypeError), match=message):
            call()
