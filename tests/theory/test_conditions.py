"""Coherence, restricted constants and sufficient sparsities against brute force."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import hadamard
from scipy.optimize import linprog

import jaxinv as ji
from jaxinv.theory import (
    coherence,
    generalized_coherence,
    restricted_eigenvalue,
    restricted_isometry,
    sufficient_sparsity,
    welch_bound,
)
from jaxinv.unfolded import analytic_weights

EPS = float(jnp.finfo(jnp.result_type(float)).eps)


def gaussian(m, n, seed=0):
    matrix = np.random.default_rng(seed).standard_normal((m, n))
    return matrix / np.linalg.norm(matrix, axis=0)


def two_bases(n):
    return np.concatenate([np.eye(n), hadamard(n) / math.sqrt(n)], axis=1)


def equiangular(count):
    """Return ``count`` unit vectors in dimension count - 1, all at the same angle: a simplex."""
    centered = np.eye(count) - 1 / count
    frame = np.linalg.svd(centered)[2][: count - 1] @ centered
    return frame / np.linalg.norm(frame, axis=0)


def test_coherence_of_known_matrices():
    assert float(coherence(np.eye(5))) == 0
    np.testing.assert_allclose(coherence(two_bases(16)), 0.25, atol=4 * EPS)
    np.testing.assert_allclose(coherence(equiangular(6)), welch_bound(5, 6), atol=8 * EPS)
    np.testing.assert_allclose(coherence(gaussian(10, 30)), brute_coherence(gaussian(10, 30)))
    assert float(coherence(gaussian(10, 30))) > welch_bound(10, 30)
    assert welch_bound(4, 4) == 0
    assert float(coherence(np.ones((3, 1)))) == 0


def brute_coherence(matrix):
    pairs = itertools.combinations(range(matrix.shape[1]), 2)
    return max(
        abs(np.vdot(matrix[:, i], matrix[:, j]))
        / (np.linalg.norm(matrix[:, i]) * np.linalg.norm(matrix[:, j]))
        for i, j in pairs
    ).astype(jnp.result_type(float))


def test_coherence_ignores_scale_takes_operators_complex_and_tracers():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((5, 8)) + 1j * rng.standard_normal((5, 8))
    expected = brute_coherence(matrix)
    for given in (matrix, matrix * np.arange(1, 9), ji.operators.dense(matrix)):
        np.testing.assert_allclose(coherence(given), expected, rtol=4 * EPS)
    traced = jax.jit(coherence)(jnp.asarray(matrix))
    np.testing.assert_allclose(traced, expected, rtol=50 * EPS)


def test_generalized_coherence():
    A = gaussian(20, 40)
    np.testing.assert_allclose(generalized_coherence(A, A), coherence(A), rtol=1e-6)
    W = analytic_weights(A)
    products = np.abs(np.asarray(W, float).T @ A)
    np.fill_diagonal(products, 0)
    np.testing.assert_allclose(generalized_coherence(W, A), products.max(), rtol=1e-5)
    assert float(generalized_coherence(W, A)) < float(coherence(A))
    with pytest.warns(UserWarning, match="divided by it"):
        scaled = generalized_coherence(3 * W, A)
    np.testing.assert_allclose(scaled, generalized_coherence(W, A), rtol=1e-6)


def test_published_coherence_of_analytic_weights():
    """The published 250 × 500 matrix: .28 becomes .204; other draws lie near."""
    A = gaussian(250, 500)
    assert 0.25 < float(coherence(A)) < 0.34
    assert 0.19 < float(generalized_coherence(analytic_weights(A), A)) < 0.225


def brute_isometry(matrix, order):
    values = [
        np.linalg.svd(matrix[:, list(S)], compute_uv=False) ** 2
        for S in itertools.combinations(range(matrix.shape[1]), order)
    ]
    return max(v.max() - 1 for v in values), max(1 - v.min() for v in values)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_restricted_isometry_brackets_brute_force(order):
    A = gaussian(8, 12, seed=order) * np.linspace(0.9, 1.1, 12)
    up, down = brute_isometry(A, order)
    exact = restricted_isometry(A, order, "exact")
    np.testing.assert_allclose((exact.largest - 1, 1 - exact.smallest), (up, down), atol=1e-12)
    assert (exact.bound, exact.value) == ("exact", max(exact.largest - 1, 1 - exact.smallest))
    sides = {}
    for method in ("search", "sampled", "gershgorin"):
        sides[method] = restricted_isometry(A, order, method)
    assert sides["gershgorin"].bound == "upper"
    assert sides["gershgorin"].value >= exact.value - 1e-12
    assert sides["gershgorin"].support is None
    for method in ("search", "sampled"):
        found = sides[method]
        assert found.bound == "lower"
        assert found.value <= exact.value + 1e-12
        values = np.linalg.svd(A[:, list(found.support)], compute_uv=False) ** 2
        assert len(found.support) == order
        np.testing.assert_allclose(max(values.max() - 1, 1 - values.min()), found.value)
    np.testing.assert_allclose(sides["search"].value, exact.value, atol=1e-12)


def test_search_finds_a_planted_support_that_sampling_misses():
    rng = np.random.default_rng(5)
    A = gaussian(60, 150)
    planted = rng.choice(150, 6, replace=False)
    A[:, planted[0]] = A[:, planted[1:]] @ rng.choice([-1.0, 1.0], 5) + 0.05 * A[:, planted[0]]
    A /= np.linalg.norm(A, axis=0)
    found = restricted_isometry(A, 6, key=jax.random.key(1))
    assert found.smallest < 0.01
    assert restricted_isometry(A, 6, "sampled").smallest > 0.05


def test_isometry_of_order_two_is_the_coherence_for_unit_columns():
    A = gaussian(40, 120)
    for method in ("exact", "search", "gershgorin"):
        np.testing.assert_allclose(
            restricted_isometry(A, 2, method).value, float(coherence(A)), rtol=1e-6
        )


def sphere_minimum(A, cone, order=1):
    """Return the least quotient over the cone on a fine grid of the sphere in 3 dimensions."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, 1201), np.linspace(0, np.pi, 1201))
    points = np.stack(
        [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    ).reshape(3, -1)
    ordered = -np.sort(-np.abs(points), axis=0)
    inside = ordered[order:].sum(0) <= cone * ordered[:order].sum(0) + 1e-12
    return float(np.min(np.sum((A @ points[:, inside]) ** 2, axis=0)))


@pytest.mark.parametrize("cone", [0.3, 1.0, 3.0])
def test_restricted_eigenvalue_brackets_a_fine_grid(cone):
    for seed in range(3):
        A = gaussian(2, 3, seed)
        grid = sphere_minimum(A, cone)
        found = restricted_eigenvalue(A, 1, cone)
        assert found.bound == "upper"
        assert abs(found.value - grid) < 5e-3
        tail = np.delete(found.vector, found.support)
        assert np.abs(tail).sum() <= cone * np.abs(found.vector[list(found.support)]).sum() + 1e-9
        np.testing.assert_allclose(np.sum((A @ found.vector) ** 2), found.value, atol=1e-12)
        low = restricted_eigenvalue(A, 1, cone, "gershgorin")
        assert low.bound == "lower"
        assert low.value <= grid + 5e-3
        assert restricted_eigenvalue(A, 1, cone, "sampled").value >= found.value - 1e-9


def test_restricted_eigenvalue_over_sparse_vectors_is_exact():
    A = gaussian(6, 10)
    found = restricted_eigenvalue(A, 3, 0.0, "exact")
    np.testing.assert_allclose(found.value, 1 - brute_isometry(A, 3)[1], atol=1e-12)
    np.testing.assert_allclose(np.sum((A @ found.vector) ** 2), found.value, atol=1e-12)
    searched = restricted_eigenvalue(A, 3, 0.0)
    assert found.value - 1e-12 <= searched.value < found.value + 0.1


def test_lower_bound_of_the_restricted_eigenvalue_can_certify():
    A = two_bases(256)
    low = restricted_eigenvalue(A, 1, 1.0, "gershgorin")
    np.testing.assert_allclose(low.value, 1 - (4 - 1) / 16, atol=1e-12)
    assert restricted_eigenvalue(A, 1, 1.0, num_samples=4).value >= low.value


def basis_pursuit_recovers(A, order):
    """Whether ℓ₁ minimization recovers all signals of the order: each support and sign."""
    n = A.shape[1]
    for support in itertools.combinations(range(n), order):
        for signs in itertools.product([-1.0, 1.0], repeat=order):
            x = np.zeros(n)
            x[list(support)] = signs
            found = linprog(np.ones(2 * n), A_eq=np.hstack([A, -A]), b_eq=A @ x)
            if np.abs(found.x[:n] - found.x[n:] - x).max() > 1e-6:
                return False
    return True


def test_basis_pursuit_recovers_up_to_the_sufficient_sparsity():
    A = two_bases(4)[:, :7]
    sufficient = sufficient_sparsity(A, "basis_pursuit")
    assert (sufficient.value, sufficient.bound) == (1, "exact")  # μ = 1/2: s < 1.5
    assert basis_pursuit_recovers(A, 1)
    assert not basis_pursuit_recovers(A, 3)


def test_sufficient_sparsity_of_known_matrices():
    A = two_bases(16)  # μ = 1/4
    assert sufficient_sparsity(A, "omp").value == 2
    assert sufficient_sparsity(A, "lasso").value == 1
    assert sufficient_sparsity(A, "omp_cumulative").value == 2
    assert sufficient_sparsity(np.eye(6), "omp").value == 6
    assert sufficient_sparsity(np.eye(6), "omp_cumulative").value == 6
    # μ = 1/3: the limit is 2 exactly and not reached, also when 1/3 is rounded
    simplex = equiangular(4)
    assert sufficient_sparsity(simplex, "omp").value == 1
    assert sufficient_sparsity(simplex.astype(np.float32), "omp").value == 1
    for theorem in ("basis_pursuit_rip", "iht", "cosamp", "omp_rip"):
        assert sufficient_sparsity(np.eye(12), theorem).bound == "lower"
    assert sufficient_sparsity(np.eye(12), "basis_pursuit_rip").value == 6
    assert sufficient_sparsity(np.eye(12), "cosamp").value == 3


def test_weights_raise_the_sufficient_sparsity():
    A = gaussian(250, 500)
    W = analytic_weights(A)
    found = sufficient_sparsity(A, "alista", weights=W)
    mu = float(generalized_coherence(W, A))
    assert found.value == math.ceil((1 + 1 / mu) / 2) - 1 == 2
    assert found.value >= sufficient_sparsity(A, "omp").value
    assert sufficient_sparsity(A, "null_space", weights=W).value == found.value
    assert math.isclose(found.constant, mu, rel_tol=1e-6)


def test_kernel_vectors_obey_the_null_space_bound():
    """|x_i| <= μ̃/(1 + μ̃) ‖x‖₁ for A x = 0: worst entry by linear programs."""
    A = gaussian(6, 9, seed=2)
    W = analytic_weights(A)
    mu = float(generalized_coherence(W, A))
    split = np.hstack([A, -A])
    worst = 0.0
    for i in range(9):
        cost = np.zeros(18)
        cost[i], cost[9 + i] = -1, 1
        found = linprog(cost, A_eq=split, b_eq=np.zeros(6), A_ub=np.ones((1, 18)), b_ub=[1.0])
        worst = max(worst, -found.fun)
    assert worst <= mu / (1 + mu) + 1e-9
    sparsity = sufficient_sparsity(A, "null_space", weights=W).value
    assert sparsity * worst < 0.5


def test_isometry_theorems_say_which_side():
    A = gaussian(14, 16, seed=1) * 1.0
    exact = sufficient_sparsity(A, "omp_rip", method="exact")
    low = sufficient_sparsity(A, "omp_rip")
    high = sufficient_sparsity(A, "omp_rip", method="sampled")
    assert (low.bound, exact.bound, high.bound) == ("lower", "exact", "upper")
    assert low.value <= exact.value <= high.value
    if exact.value:
        delta = max(brute_isometry(A, exact.value + 1))
        assert delta < 1 / math.sqrt(exact.value + 1)


def test_columns_that_are_not_unit_are_announced_once():
    A = gaussian(10, 15) * np.linspace(1, 2, 15)
    with pytest.warns(UserWarning, match="divided by their norms") as seen:
        found = sufficient_sparsity(A, "omp")
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert found.value == sufficient_sparsity(gaussian(10, 15), "omp").value
    np.testing.assert_allclose(found.constant, float(coherence(A)), rtol=1e-6)


def test_complex_matrices():
    rng = np.random.default_rng(3)
    A = rng.standard_normal((6, 9)) + 1j * rng.standard_normal((6, 9))
    A /= np.linalg.norm(A, axis=0)
    up, down = brute_isometry(A, 3)
    exact = restricted_isometry(A, 3, "exact")
    np.testing.assert_allclose(exact.value, max(up, down), atol=1e-12)
    assert restricted_isometry(A, 3).value <= exact.value + 1e-12
    assert restricted_isometry(A, 3, "gershgorin").value >= exact.value - 1e-12
    found = restricted_eigenvalue(A, 2, 1.0)
    np.testing.assert_allclose(np.linalg.norm(A @ found.vector) ** 2, found.value, atol=1e-12)
    assert restricted_eigenvalue(A, 2, 1.0, "gershgorin").value <= found.value


def test_bad_tracers_are_refused():
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda B: restricted_isometry(B, 2).value)(jnp.eye(3))
