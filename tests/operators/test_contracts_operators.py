"""What every operator promises, row by row of ``cases.OPERATORS``."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import complexes, floats, rows
from operator_cases import NONLINEAR_OPERATORS, OPERATORS

KEYS = jax.random.split(jax.random.key(7), 2)
linear = rows(OPERATORS)
nonlinear = rows(NONLINEAR_OPERATORS)
every = rows([*OPERATORS, *NONLINEAR_OPERATORS])


@jax.jit
def apply(op, x):
    return op(x)


@jax.jit
def adjoint(op, y):
    return op.adjoint(y)


@jax.jit
def gram(op, x):
    return op.gram(x)


@jax.jit
def apply_each(op, x):
    return jax.vmap(apply, in_axes=(None, 0))(op, x)


@functools.cache
def build(case, index=0):
    return case.make(KEYS[index])


def draw(seed, shape, dtype):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=shape)
    if np.issubdtype(dtype, np.complexfloating):
        x = x + 1j * generator.normal(size=shape)
    return x.astype(dtype)


def assert_close(actual, expected, factor=64):
    """Compare up to rounding: ``factor`` units in the last place of the largest entry."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    eps = np.finfo(floats()).eps
    size = max(1.0, float(np.max(np.abs(expected), initial=0)))
    assert np.max(np.abs(actual - expected), initial=0) <= factor * eps * size


def signal_types(case):
    return [floats()] if case.real_signals else [floats(), complexes()]


def dense_matrix(op):
    """The matrix of an operator, flattened, from its products with unit vectors."""
    size = int(np.prod(op.in_shape))
    units = np.eye(size, dtype=floats()).reshape(size, *op.in_shape)
    return np.asarray(apply_each(op, units)).reshape(size, -1).T


@linear
def test_adjoint_passes_the_dot_test(case):
    op = build(case)
    for dtype in signal_types(case):
        x = draw(1, op.in_shape, dtype)
        image = apply(op, x)
        # measurements of the other kind must do as well: a complex y for a real A x
        for kind in {image.dtype, complexes()}:
            y = draw(2, op.out_shape, kind)
            back = adjoint(op, y)
            assert back.shape == op.in_shape
            left = np.real(np.vdot(np.asarray(y), np.asarray(image)))
            right = np.real(np.vdot(np.asarray(back), np.asarray(x)))
            assert abs(left - right) <= 64 * np.finfo(floats()).eps * (
                np.linalg.norm(y) * np.linalg.norm(image) + 1
            )


@jax.jit
def matrices(op):
    return op.todense(), op.H.todense(), op.T.todense()


@linear
def test_todense_equals_products(case):
    # so the operator is linear, and its adjoint too: the entries of x and y are complex
    op = build(case)
    matrix, adjoint_matrix, transposed = map(np.asarray, matrices(op))
    assert_close(matrix, dense_matrix(op))
    x = draw(1, op.in_shape, signal_types(case)[-1])
    assert_close(matrix @ np.asarray(x).ravel(), apply(op, x).ravel(), 256)
    y = draw(2, op.out_shape, complexes())
    expected = matrix.conj().T @ np.asarray(y).ravel()
    if case.real_signals:
        expected = expected.real
        assert_close(np.real(adjoint(op, y)).ravel(), expected, 256)
    else:
        assert_close(adjoint(op, y).ravel(), expected, 256)
        assert_close(adjoint_matrix, matrix.conj().T)
        assert_close(transposed, matrix.T)
        assert_close(apply(op.T, y).ravel(), matrix.T @ np.asarray(y).ravel(), 256)


SCALES = np.array([1, 1e-18, 1e-9, 1e9, 1e18], floats())


@functools.partial(jax.jit, static_argnames="by_leaves")
def at_scales(op, x, by_leaves):
    """Norm and Gram product of A at every scale c, by c A or by scaled leaves, over c and c²."""

    def one(c):
        scaled = c * op
        back = scaled.adjoint(scaled(x / c)) / c
        held = jax.tree.map(lambda leaf: leaf * c if _inexact(leaf) else leaf, op)
        return (held if by_leaves else scaled).norm() / c, scaled.gram(x / c) / c, back

    return jax.vmap(one)(SCALES)


def _inexact(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


NOT_BY_LEAVES = (
    "from_function",
    "radon",
    "nufft",
    "sum-mixed",
    "vstack-diagonal",
    "hstack",
    "block_diag",
)


@linear
def test_norm_and_gram_follow_every_scale(case):
    op = build(case)
    matrix = dense_matrix(op)
    if case.real_signals:  # the supremum runs over real signals
        matrix = np.concatenate([matrix.real, matrix.imag])
    x = draw(1, op.in_shape, signal_types(case)[-1])
    single = sum(map(_inexact, jax.tree.leaves(op))) == 1
    by_leaves = single and case.name not in NOT_BY_LEAVES
    norms, grams, backs = at_scales(op, x, by_leaves)
    assert norms.dtype == floats()
    np.testing.assert_allclose(norms, np.full(5, _norm(case, op, matrix)), rtol=1e-3)
    for product, back in zip(grams, backs, strict=True):
        assert_close(product, gram(op, x), 256)
        assert_close(back, gram(op, x), 256)


HOLD_PLACES = ("hadamard", "hadamard-padded", "from_sparse")


@linear
def test_leaves_are_floating_or_masks(case):
    for leaf in jax.tree.leaves(build(case)):
        assert _inexact(leaf) or leaf.dtype == bool or case.name in HOLD_PLACES


@linear
def test_what_is_not_measured_is_selected_away(case):
    op = build(case)
    matrix = dense_matrix(op)
    sides = [(apply, op.in_shape, ~matrix.any(0)), (adjoint, op.out_shape, ~matrix.any(1))]
    for product, shape, unused in sides:
        if unused.any():
            v, filled = draw(1, shape, floats()), draw(1, shape, floats())
            unused = unused.reshape(shape)
            v[unused], filled[unused] = 0, np.where(np.arange(unused.sum()) % 2, np.nan, np.inf)
            assert_close(product(op, filled), product(op, v), 256)


@jax.jit
def slopes(op, x, y):
    """Derivatives of two products in the signals and in the leaves."""

    def loss(op, x, y):
        ahead, back = op(x), op.adjoint(y)
        return jnp.sum(jnp.real(ahead)) + jnp.sum(jnp.imag(ahead)) + jnp.sum(jnp.real(back))

    value, slope = jax.value_and_grad(loss, (0, 1, 2), allow_int=True)(op, x, y)
    return value, slope


CURVED = ("radon", "nufft")  # in their leaves, angles and frequencies


@linear
def test_reverse_mode_equals_differences(case):
    op, other = build(case, 0), build(case, 1)
    x, y = draw(1, op.in_shape, floats()), draw(2, op.out_shape, op.out_dtype)
    if len(jax.tree.leaves(op)) > 2 or case.name in CURVED:  # too high a degree for what follows
        other = jax.tree.map(jnp.zeros_like, op)
    moves = (other, draw(3, x.shape, x.dtype), draw(4, y.shape, y.dtype))
    # of degree two at most in all together: a long central step is exact
    ahead, behind = (_moved((op, x, y), moves, step) for step in (0.5, -0.5))
    change = slopes(*ahead)[0] - slopes(*behind)[0]
    pairs = zip(jax.tree.leaves(slopes(op, x, y)[1]), jax.tree.leaves(moves), strict=True)
    expected = sum(np.sum(np.real(np.asarray(g) * d)) for g, d in pairs if _inexact(d))
    assert_close(change, expected, 4096)


def _moved(values, moves, step):
    return jax.tree.map(lambda a, d: a + step * d if _inexact(a) else a, values, moves)


# the rows whose A* A has a fast diagonalization; of those marked H, A A* has one
DIAGONAL = {
    *("identity", "mask-boolean", "mask-integer", "mask-real", "mask-complex"),
    *("fourier", "fourier-weights", "fourier-real", "mri", "mri-real", "multicoil_mri-no-maps"),
    *("hadamard", "dct", "dct-2d", "convolution", "convolution-2d", "convolution-complex"),
    *("finite_difference", "finite_difference-2d", "wavelet", "wavelet-2d", "scaled"),
    *("scaled-real-signals", "synthesis", "blurred-spectrum", "finite_difference-wrap"),
    *("pad", "pad-reflect", "crop", "vstack-diagonal"),
}
OUTER = DIAGONAL - {
    *("fourier-real", "mri-real", "finite_difference", "finite_difference-2d"),
    *("scaled-real-signals", "blurred-spectrum", "finite_difference-wrap", "pad-reflect"),
    "vstack-diagonal",
} | {"downsample", "downsample-2d"}


@jax.jit
def diagonalized(op, x):
    found = op.diagonalization()
    coefficients = found.transform(x)
    weighted = found.eigenvalues * coefficients
    return coefficients, found.inverse(coefficients), found.inverse(weighted), op._gram(x)


@linear
def test_diagonalization_holds_the_eigenvalues_of_the_gram(case):
    op = build(case)
    assert (op.diagonalization() is not None) == (case.name in DIAGONAL)
    assert (op.H.diagonalization() is not None) == (case.name in OUTER)
    for side in [op] * (case.name in DIAGONAL) + [op.H] * (case.name in OUTER):
        x = draw(1, side.in_shape, floats() if case.real_signals else complexes())
        coefficients, back, product, expected = diagonalized(side, x)
        assert_close(np.linalg.norm(coefficients), np.linalg.norm(x), 256)
        assert_close(back, x, 256)
        assert_close(product, expected, 512)


def _norm(case, op, matrix):
    if case.name != "sum-mixed":
        return np.linalg.norm(matrix, 2)
    # F Re(x) + B x on complex x: the matrix of the real-linear map on (Re x, Im x)
    units = [f * e for f in (1, 1j) for e in np.eye(op.in_shape[0])]
    columns = [np.asarray(op._apply(jnp.asarray(e, complexes()))) for e in units]
    stacked = np.stack([np.concatenate([c.real, c.imag]) for c in columns], 1)
    return np.linalg.norm(stacked, 2)


@every
def test_jit_equals_eager(case):
    if case.name == "nufft":
        pytest.skip("its package takes ten seconds without jit")
    op = build(case)
    x = draw(1, op.in_shape, floats())
    with jax.disable_jit():
        eager = op(x)
        back = op.adjoint(eager) if hasattr(op, "adjoint") else None
    assert_close(apply(op, x), eager)
    if back is not None:
        assert_close(adjoint(op, apply(op, x)), back)


@every
def test_vmap_equals_a_loop(case):
    ops = [build(case, 0), build(case, 1)]
    axis = 0 if jax.tree.leaves(ops[0]) else None
    stacked = jax.tree.map(lambda *arrays: np.stack(arrays), *ops)
    x = draw(1, (2, *ops[0].in_shape), floats())
    assert_close(apply_each(ops[0], x), np.stack([apply(ops[0], v) for v in x]))
    over_both = jax.jit(jax.vmap(apply, in_axes=(axis, 0)))(stacked, x)
    assert_close(over_both, np.stack([apply(op, v) for op, v in zip(ops, x, strict=True)]))
    if hasattr(ops[0], "adjoint"):
        y = draw(2, (2, *ops[0].out_shape), ops[0].out_dtype)
        back = jax.jit(jax.vmap(adjoint, in_axes=(axis, 0)))(stacked, y)
        assert_close(back, np.stack([adjoint(op, v) for op, v in zip(ops, y, strict=True)]))


@every
def test_is_built_inside_vmap(case):
    if not jax.tree.leaves(build(case)):
        pytest.skip("no arrays to batch")
    x = draw(1, build(case).in_shape, floats())
    inside = jax.jit(jax.vmap(lambda key: case.make(key)(x)))(KEYS)
    assert_close(inside, np.stack([apply(build(case, i), x) for i in (0, 1)]))


@every
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_keeps_the_precision_of_its_inputs(case, dtype):
    if dtype == "float64" and floats() != np.float64:
        pytest.skip("needs JAX_ENABLE_X64=1")
    op = _cast(build(case), dtype)
    x = draw(1, op.in_shape, dtype)
    y = apply(op, x)
    assert jnp.finfo(y.dtype).dtype == np.dtype(dtype)
    assert y.shape == op.out_shape
    if hasattr(op, "adjoint"):
        assert y.dtype == op.out_dtype or floats() != np.dtype(dtype)
        for result in (adjoint(op, y), gram(op, x)):
            assert jnp.finfo(result.dtype).dtype == np.dtype(dtype)
        if case.real_signals and case.name != "sum-mixed":
            assert adjoint(op, y).dtype == np.dtype(dtype)


def _cast(op, dtype):
    kinds = {jnp.floating: np.dtype(dtype), jnp.complexfloating: np.result_type(dtype, "complex64")}

    def cast(leaf):
        for kind, target in kinds.items():
            if jnp.issubdtype(leaf.dtype, kind):
                return leaf.astype(target)
        return leaf

    return jax.tree.map(cast, op)


@every
def test_a_wrong_shape_names_both(case):
    op = build(case)
    calls = [(op, op.in_shape)]
    if hasattr(op, "adjoint"):
        calls += [(op.adjoint, op.out_shape), (op.gram, op.in_shape)]
    for call, shape in calls:
        wrong = (*shape, 2)
        for function in (call, lambda x, call=call: jax.eval_shape(call, x)):
            with pytest.raises(ValueError, match="must have shape") as caught:
                function(np.ones(wrong, floats()))
            assert str(shape) in str(caught.value)
            assert str(wrong) in str(caught.value)


@jax.jit
def gradient(op, weights, x):
    return jax.grad(lambda x: jnp.sum(weights * op(x)))(x)


@nonlinear
def test_gradient_is_finite_at_zero(case):
    op = build(case)
    weights = draw(3, op.out_shape, floats())
    assert np.all(np.isfinite(gradient(op, weights, np.zeros(op.in_shape, floats()))))


@nonlinear
def test_gradient_matches_finite_differences(case):
    op = build(case)
    weights, x = draw(3, op.out_shape, floats()), draw(4, op.in_shape, floats())
    eps = float(np.finfo(floats()).eps)
    step = eps ** (1 / 3)
    changes = step * np.eye(x.size, dtype=floats())
    rise = np.asarray(apply_each(op, x + changes)) - np.asarray(apply_each(op, x - changes))
    expected = (rise / (2 * step)) @ weights if case.smooth else np.zeros(x.size)
    # the step's square for the difference quotient, eps / step for its cancellation
    tolerance = 30 * step**2 + 30 * eps / step
    np.testing.assert_allclose(gradient(op, weights, x), expected, atol=tolerance, rtol=0)


@nonlinear
def test_nonlinear_operators_show_the_linear_one(case):
    op = build(case)
    x = draw(1, op.in_shape, floats())
    assert apply(op.linear, x).shape == op.out_shape
    assert not hasattr(op, "adjoint")
