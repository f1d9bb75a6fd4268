"""Global least squares over the range and the bounds on its error."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.problems import Truth
from jaxinv.theory import check_range_recovery, range_least_squares, range_recovery_bound


def drawn(seed, widths=(2, 6, 12), m=9):
    first, second = jax.random.split(jax.random.key(seed))
    return ji.operators.gaussian(first, m, widths[-1]), ji.generators.relu(second, widths)


@pytest.mark.parametrize("radius", [None, 0.7])
@pytest.mark.parametrize("seed", [0, 1])
def test_global_minimum_against_all_directions(seed, radius):
    """Along a direction G is linear, so the best length is known; 20 000 directions."""
    A, G = drawn(seed)
    y = np.random.default_rng(seed).standard_normal(9).astype(np.float32)
    angles = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    images = np.asarray(jax.vmap(lambda z: A(G(z)))(circle), float)
    lengths = np.maximum(images @ y, 0) / np.maximum(np.sum(images**2, axis=1), 1e-12)
    lengths = lengths if radius is None else np.minimum(lengths, radius)
    brute = np.linalg.norm(y - lengths[:, None] * images, axis=1).min()
    found = range_least_squares(A, G, y, radius=radius)
    assert brute - 1e-4 <= found.residual <= brute + 1e-6
    assert radius is None or np.linalg.norm(found.latent) <= radius * (1 + 1e-9)
    np.testing.assert_allclose(G(found.latent), found.signal, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(y - A(found.signal)), found.residual, rtol=1e-5)


def test_global_minimum_of_one_and_three_latents_and_of_few_measurements():
    for widths, m in (((1, 4, 6), 3), ((3, 5, 6), 4), ((2, 4, 6), 1)):
        A, G = drawn(2, widths, m)
        z = np.random.default_rng(0).standard_normal(widths[0]).astype(np.float32)
        found = range_least_squares(A, G, A(G(z)))
        assert found.residual < 1e-5 * np.linalg.norm(A(G(z)))
    A, G = drawn(0)
    y = np.ones(9, np.float32)
    scaled = range_least_squares(ji.operators.dense(1e15 * A.matrix), G, 1e10 * y)
    latent = range_least_squares(A, G, y).latent
    np.testing.assert_allclose(scaled.latent, 1e-5 * latent, rtol=1e-5)


def test_errors_stay_below_what_is_proven():
    """γ, the minimum and the best signal are exact, so nothing may exceed the bound."""
    holds = []
    for seed in range(12):
        A, G = drawn(seed)
        rng = np.random.default_rng(seed)
        x = np.asarray(G(rng.standard_normal(2).astype(np.float32)))
        x = x + 0.2 * np.linalg.norm(x) * rng.standard_normal(12).astype(np.float32)
        y = A(x) + 0.1 * rng.standard_normal(9).astype(np.float32)
        problem = ji.Problem(A, y, G, Truth(None, jnp.asarray(x)))
        for radius in (None, 0.5):
            found = check_range_recovery(problem, radius=radius)
            assert found.representation_error <= found.measured <= found.proven
            gamma = ji.theory.set_restricted_eigenvalue(A, G, "exact").value
            assert found.eigenvalue == pytest.approx(gamma)
            holds.append(found.holds)
            expected = 6 * found.representation_error + 3 * found.noise_norm
            assert found.bound == pytest.approx(expected)
            assert found.noise_norm == pytest.approx(np.linalg.norm(y - A(x)), rel=1e-4)
    assert all(holds)


def test_constants_of_the_bound():
    assert range_recovery_bound(1.0, 2.0, delta=3.0) == 6 + 6 + 6
    # at γ = 4/5 the proof's constants are at most the theorem's, at ½ they are not
    for error, noise, delta in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        theorem = range_recovery_bound(error, noise, delta=delta)
        assert range_recovery_bound(error, noise, delta=delta, eigenvalue=0.8) <= theorem
    assert range_recovery_bound(1.0, eigenvalue=0.5) == 9
    assert range_recovery_bound(0.0, 1.0, eigenvalue=0.5) == 4


def test_refusals():
    A, G = drawn(0)
    y = np.ones(9, np.float32)
    problem = ji.Problem(A, y, G)
    cases = [
        (lambda: range_least_squares(A, G, y[:3]), r"y must have shape \(9,\)"),
        (lambda: range_least_squares(A, ji.generators.circle(), y), "signals of the generator"),
        (lambda: check_range_recovery(problem), "problem.truth must hold the signal"),
        (lambda: check_range_recovery(y), "be a Problem"),
    ]
    for call, message in cases:
        with pytest.raises((ValueError, TypeError), match=message):
            call()


def test_complex_measurements_are_two_real_ones():
    """The same numbers, stacked by hand."""
    (A, G), (B, _) = drawn(4), drawn(5)
    parts = np.asarray(A.matrix), np.asarray(B.matrix)
    x = np.random.default_rng(0).random(12).astype(np.float32)
    noise = np.random.default_rng(1).standard_normal(9).astype(np.float32)
    matrix, y = parts[0] + 1j * parts[1], parts[0] @ x + 1j * (parts[1] @ x + noise)
    stacked, both = np.concatenate(parts), np.concatenate([y.real, y.imag])
    np.testing.assert_allclose(
        range_least_squares(matrix, G, y).latent, range_least_squares(stacked, G, both).latent
    )
    truth = Truth(None, x)
    ours = check_range_recovery(ji.Problem(ji.operators.dense(matrix), y, G, truth))
    theirs = check_range_recovery(ji.Problem(ji.operators.dense(stacked), both, G, truth))
    np.testing.assert_allclose(ours, theirs)
