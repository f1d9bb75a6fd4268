"""Proximal operators against brute-force minimization of the Moreau objective."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jaxinv import prox

X64 = jax.config.jax_enable_x64
DTYPE = np.float64 if X64 else np.float32
COMPLEX = np.complex128 if X64 else np.complex64
EPS = float(np.finfo(DTYPE).eps)

V = np.array([1.7, -0.3, 0.0, -2.2, 0.61, 0.9], DTYPE)
IMAGE = np.random.default_rng(0).normal(size=(3, 4)).astype(DTYPE)
STEP = 0.7


def complex_vector():
    generator = np.random.default_rng(1)
    return (generator.normal(size=4) + 1j * generator.normal(size=4)).astype(COMPLEX)


def entrywise_minimum(penalty, v):
    """The best real w for one entry, over a grid that contains 0 and v."""
    grid = np.concatenate([np.linspace(-3, 3, 60001), [0.0, v]])
    return grid[np.argmin(0.5 * (grid - v) ** 2 + STEP * penalty(grid))]


# --- entrywise ------------------------------------------------------------------------------


def test_soft_minimizes_the_moreau_objective():
    expected = [entrywise_minimum(lambda w: 0.8 * np.abs(w), v) for v in V]
    np.testing.assert_allclose(prox.soft(0.8)(V, STEP), expected, atol=2e-4)


def test_soft_takes_one_weight_per_coefficient():
    weights = np.array([0.0, 0.1, 0.5, 1.0, 2.0, 0.3])
    got = prox.soft(weights)(V, STEP)
    expected = [
        entrywise_minimum(lambda w, p=p: p * np.abs(w), v) for p, v in zip(weights, V, strict=True)
    ]
    np.testing.assert_allclose(got, expected, atol=2e-4)
    assert got[0] == V[0]
    np.testing.assert_allclose(
        prox.soft(weights).value(V), np.sum(weights * np.abs(V)), rtol=8 * EPS
    )


def test_hard_minimizes_the_moreau_objective():
    got = prox.hard(0.5)(V, STEP)
    expected = [entrywise_minimum(lambda w: 0.5 * (w != 0), v) for v in V]
    np.testing.assert_allclose(got, expected, atol=EPS)
    assert 0 < np.count_nonzero(got) < np.count_nonzero(V)
    assert prox.hard(0.5).value(V) == 0.5 * np.count_nonzero(V)


@pytest.mark.parametrize(("low", "high"), [(0.0, None), (None, 0.5), (-1.0, 0.5)])
def test_box_is_the_nearest_point_inside(low, high):
    found = optimize.lsq_linear(
        np.eye(V.size),
        V,
        (-np.inf if low is None else low, np.inf if high is None else high),
        tol=1e-14,
    )
    np.testing.assert_allclose(prox.box(low, high)(V, STEP), found.x, atol=1e-5)
    assert prox.box(low, high).value(V) == 0


# --- complex entries and groups ---------------------------------------------------------------


def assert_minimizes(w, objective, start):
    options = {"xatol": 1e-9, "fatol": 1e-15, "maxiter": 4000}
    found = optimize.minimize(objective, start, method="Nelder-Mead", options=options)
    assert objective(w) <= found.fun + 1e-6
    np.testing.assert_allclose(w, found.x, atol=2e-3)


def test_soft_keeps_the_phase_of_complex_entries():
    got = np.asarray(prox.soft(0.8)(complex_vector(), STEP))
    assert got.dtype == COMPLEX
    for v, w in zip(complex_vector(), got, strict=True):

        def objective(p, v=v):
            return 0.5 * abs(p[0] + 1j * p[1] - v) ** 2 + STEP * 0.8 * np.hypot(*p)

        assert_minimizes([w.real, w.imag], objective, [v.real, v.imag])
        np.testing.assert_allclose(w * abs(v), v * abs(w), atol=20 * EPS)


@pytest.mark.parametrize("is_complex", [False, True])
def test_group_minimizes_the_moreau_objective(is_complex):
    groups = np.array([[1.0, -0.5], [0.2, 0.1], [0.0, 2.0]], DTYPE)
    values = (groups * (1 + 0.5j)).astype(COMPLEX) if is_complex else groups
    got = np.asarray(prox.group(0.9)(values, STEP))
    for v, w in zip(values, got, strict=True):

        def objective(p, v=v):
            z = p[:2] + (1j * p[2:] if is_complex else 0)
            return 0.5 * np.sum(np.abs(z - v) ** 2) + STEP * 0.9 * np.linalg.norm(z)

        def parts(z):
            return np.concatenate([z.real, z.imag]) if is_complex else z

        assert_minimizes(parts(w), objective, parts(v))
    expected = 0.9 * np.sum(np.linalg.norm(values, axis=-1))
    np.testing.assert_allclose(prox.group(0.9).value(values), expected, rtol=8 * EPS)


def test_group_along_another_axis():
    np.testing.assert_array_equal(
        prox.group(0.4, axis=0)(IMAGE, STEP), prox.group(0.4)(IMAGE.T, STEP).T
    )
    whole = prox.group(0.4, axis=(0, 1))(IMAGE, STEP)
    flat = prox.group(0.4)(IMAGE.reshape(-1), STEP)
    np.testing.assert_allclose(whole.reshape(-1), flat, rtol=8 * EPS)


# --- total variation ----------------------------------------------------------------------------


def difference_matrices(shape):
    """Forward differences along each axis as matrices, with zero rows at the far edge."""
    size = int(np.prod(shape))
    matrices = []
    for axis in range(len(shape)):
        columns = []
        for unit in np.eye(size):
            slopes = np.zeros(shape)
            inside = [slice(None)] * len(shape)
            inside[axis] = slice(0, -1)
            slopes[tuple(inside)] = np.diff(unit.reshape(shape), axis=axis)
            columns.append(slopes.ravel())
        matrices.append(np.stack(columns, axis=1))
    return np.stack(matrices)


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("v", [V.astype(np.float64), IMAGE.astype(np.float64)], ids=["1d", "2d"])
def test_tv_closes_the_duality_gap(v, isotropic):
    operator = prox.tv(0.5, isotropic=isotropic, num_steps=300)
    start = operator.start(jnp.asarray(v, DTYPE))
    w, dual = operator.warm(jnp.asarray(v, DTYPE), STEP, start)
    w, dual = np.asarray(w, np.float64).ravel(), np.asarray(dual, np.float64).reshape(v.ndim, -1)
    D = difference_matrices(v.shape)

    def sizes(slopes):
        return np.linalg.norm(slopes, axis=0) if isotropic else np.abs(slopes)

    assert np.max(sizes(dual)) <= STEP * 0.5 * (1 + 4 * EPS)  # the dual point is feasible
    primal = 0.5 * np.sum((w - v.ravel()) ** 2) + STEP * 0.5 * np.sum(sizes(D @ w))
    nearest = v.ravel() - np.einsum("apj,ap->j", D, dual)
    gap = primal - 0.5 * np.sum(v**2) + 0.5 * np.sum(nearest**2)
    # weak duality: the gap bounds half the squared distance to the minimizer
    assert -1e-5 < gap < 1e-5
    value = operator.value(v.astype(DTYPE))
    np.testing.assert_allclose(value, 0.5 * np.sum(sizes(D @ v.ravel())), rtol=1e-5)


def test_tv_of_a_step_has_the_closed_form():
    # each side of a jump moves by step * penalty / its length
    step = jnp.array([0.0, 0.0, 2.0, 2.0], DTYPE)
    got = prox.tv(0.5, num_steps=300)(step, 0.8)
    np.testing.assert_allclose(got, [0.2, 0.2, 1.8, 1.8], atol=1e-5)


def test_tv_keeps_the_mean_and_leaves_constants():
    w = prox.tv(0.5)(IMAGE, STEP)
    np.testing.assert_allclose(w.mean(), IMAGE.mean(), atol=20 * EPS)
    constant = jnp.full((3, 4), 0.25, DTYPE)
    np.testing.assert_allclose(prox.tv(0.5)(constant, STEP), constant, atol=4 * EPS)


def test_tv_is_invariant_to_phase():
    rotated = (IMAGE * np.exp(0.7j)).astype(COMPLEX)
    got = prox.tv(0.5)(rotated, STEP) * np.exp(-0.7j)
    np.testing.assert_allclose(got, prox.tv(0.5)(IMAGE, STEP), atol=50 * EPS)


def test_tv_gets_nearer_from_a_warm_start():
    exact = prox.tv(2.0, num_steps=2000)(IMAGE, 1.0)
    short = prox.tv(2.0, num_steps=3)
    memory = short.start(jnp.asarray(IMAGE))
    errors = []
    for _ in range(12):
        w, memory = short.warm(jnp.asarray(IMAGE), 1.0, memory)
        errors.append(np.linalg.norm(w - exact))
    assert errors[-1] < 0.05 * errors[0]
    np.testing.assert_array_equal(
        short(IMAGE, 1.0), short.warm(jnp.asarray(IMAGE), 1.0, short.start(jnp.asarray(IMAGE)))[0]
    )


# --- what every one of them does ------------------------------------------------------------------


def shrink_to_half(v, step_size):
    return v / (1 + step_size)


def half_square(w):
    return 0.5 * jnp.sum(w**2)


EVERY = {
    "soft": prox.soft(0.3),
    "hard": prox.hard(0.3),
    "box": prox.box(-0.5, 0.5),
    "group": prox.group(0.3),
    "tv": prox.tv(0.3),
    "tv anisotropic": prox.tv(0.3, isotropic=False),
    "from_function": prox.from_function(shrink_to_half, half_square),
}


@pytest.mark.parametrize("name", EVERY)
def test_jit_vmap_and_dtype(name):
    operator = EVERY[name]
    eager = operator(IMAGE, STEP)
    assert eager.dtype == DTYPE
    assert operator.value(IMAGE).shape == ()
    assert operator.value(IMAGE).dtype == DTYPE
    run = jax.jit(lambda p, v, s: p(v, s))
    np.testing.assert_allclose(run(operator, IMAGE, STEP), eager, atol=8 * EPS)
    batch = jnp.stack([IMAGE, 2 * IMAGE])
    got = jax.jit(jax.vmap(lambda v: operator(v, STEP)))(batch)
    np.testing.assert_allclose(got[0], eager, atol=8 * EPS)
    np.testing.assert_allclose(got[1], operator(2 * IMAGE, STEP), atol=16 * EPS)


@pytest.mark.parametrize("name", ["soft", "hard", "group", "tv"])
def test_no_penalty_is_the_identity(name):
    make = getattr(prox, name)
    np.testing.assert_array_equal(make(0.0)(IMAGE, STEP), IMAGE)
    np.testing.assert_array_equal(make(0.5)(IMAGE, 0.0), IMAGE)


@pytest.mark.parametrize("name", ["soft", "box", "group", "tv", "from_function"])
def test_convex_ones_are_firmly_nonexpansive(name):
    operator = EVERY[name]
    other = jnp.asarray(IMAGE[::-1] * 1.5)
    p, q = operator(IMAGE, STEP), operator(other, STEP)
    difference = np.asarray(p - q, np.float64)
    slack = 1e-2 if name == "tv" else 10 * EPS  # tv is solved by a finite number of steps
    assert np.sum(difference**2) <= np.sum(difference * np.asarray(IMAGE - other)) + slack


def test_one_batched_penalty_equals_a_loop():
    penalties = jnp.array([0.1, 0.5, 2.0], DTYPE)
    got = jax.vmap(lambda p: prox.soft(p)(V, STEP))(penalties)
    for row, penalty in zip(got, penalties, strict=True):
        np.testing.assert_array_equal(row, prox.soft(float(penalty))(V, STEP))


@pytest.mark.parametrize("name", ["soft", "group"])
def test_derivatives_are_finite_at_zero(name):
    make = getattr(prox, name)

    def total(penalty, v):
        return jnp.sum(jnp.abs(make(penalty)(v, STEP)) ** 2)

    for v in (jnp.zeros(3, DTYPE), jnp.zeros(3, COMPLEX)):
        for gradient in jax.grad(total, argnums=(0, 1))(jnp.asarray(0.4, DTYPE), v):
            np.testing.assert_array_equal(gradient, 0)


def test_soft_derivative_in_the_penalty():
    slope = jax.grad(lambda p: jnp.sum(prox.soft(p)(V, STEP)))(0.5)
    active = np.abs(V) > 0.5 * STEP
    np.testing.assert_allclose(slope, -STEP * np.sum(np.sign(V[active])), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: prox.soft(-0.1), "soft: penalty must be finite and >= 0, got -0.1"),
        (lambda: prox.hard(float("nan")), "hard: penalty"),
        (lambda: prox.soft(np.ones(3))(V), r"v must have the shape \(3,\) of the penalty"),
        (lambda: prox.soft(1.0)(V, -1.0), "step_size must be finite and >= 0"),
        (lambda: prox.box(1.0, 0.0), "box: high must be >= low"),
        (lambda: prox.box(0.0)(complex_vector()), "box: v must be real"),
        (lambda: prox.tv(0.1, num_steps=0), "tv: num_steps must be >= 1"),
        (lambda: prox.tv(0.1)(np.ones((2, 2, 2))), "tv: v must have 1 or 2 dimensions"),
    ],
)
def test_bad_values_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: prox.group(0.1, axis="rows"),
        lambda: prox.from_function(3),
        lambda: prox.from_function(shrink_to_half, value=3),
        lambda: prox.soft("big"),
    ],
)
def test_bad_types_are_refused(call):
    with pytest.raises(TypeError):
        call()
