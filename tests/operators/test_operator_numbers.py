"""Numbers in operators: factors and weights of any type and size, derivatives, meshes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jaxinv as ji

O = ji.operators
EPS = float(np.finfo(floats()).eps)
MATRIX = np.random.default_rng(5).normal(size=(4, 3)).astype(floats())
X = np.array([1.0, -2.0, 0.5], floats())


def assert_close(actual, expected, factor=64):
    np.testing.assert_allclose(actual, expected, rtol=factor * EPS)


@pytest.mark.parametrize(
    "c", [2**40, 100000, np.int8(-128), np.array(2**40), jnp.int32(7), np.uint8(255), True]
)
def test_integer_factors_are_numbers(c):
    A, value = c * O.dense(MATRIX), float(c)
    assert_close(A(X), value * (MATRIX @ X))
    assert_close(A.gram(X), value**2 * (MATRIX.T @ MATRIX @ X))
    assert_close((O.dense(MATRIX) / c)(X), MATRIX @ X / value)
    np.testing.assert_allclose(A.norm(), abs(value) * np.linalg.norm(MATRIX, 2), rtol=1e-3)


def test_factors_leave_no_type_that_holds_the_answer():
    A, expected = O.dense(MATRIX), MATRIX.T @ MATRIX @ X
    assert_close((1e30 * A).gram(1e-30 * X), 1e30 * expected)
    assert_close((1e-30 * A).gram(1e30 * X), 1e-30 * expected)
    assert_close((1e-30 * (1e30 * A)).gram(X), expected)
    product = (1e-30 * A) @ (1e30 * O.identity(3))
    np.testing.assert_allclose(product.norm(), np.linalg.norm(MATRIX, 2), rtol=1e-3)
    half = 100000 * O.identity(2)  # above the largest number of half precision
    for dtype in ("float16", "bfloat16"):
        y = half(jnp.full(2, 1e-3, dtype))
        assert y.dtype == dtype
        np.testing.assert_allclose(y.astype(float), 100, rtol=1e-2)


@pytest.mark.parametrize(
    ("weights", "dtype"),
    [([0, 255], "uint8"), ([0, -128], "int8"), ([0, 30000], "int16"), ([0, 2**40], "int64")],
)
def test_integer_masks_are_weights(weights, dtype):
    weights = np.array(weights, dtype)
    x, largest = np.array([np.nan, 1], floats()), float(weights[1])
    A = O.mask(weights)
    assert_close(A(x), [0, largest])
    assert_close(A.gram(x), [0, largest**2])
    assert_close(A.norm(), abs(largest))
    if dtype != "int64":  # what int32 does not hold is a plain float32
        assert_close(jax.jit(O.mask)(weights).gram(x), [0, largest**2])
        assert A(jnp.ones(2, "float16")).dtype == "float16"


def test_a_weight_of_zero_has_a_derivative_and_lets_no_nan_back():
    weights, x = jnp.array([0.0, 2.0]), jnp.array([3.0, 5.0])
    slopes = jax.jacobian(lambda w, x: O.mask(w)(x), (0, 1))(weights, x)
    np.testing.assert_array_equal(slopes[0], np.diag(x))
    np.testing.assert_array_equal(slopes[1], np.diag(weights))
    for mask in (weights, weights != 0, 1j * weights):
        _, pull = jax.vjp(O.mask(mask), x.astype(jnp.result_type(mask, float)))
        (back,) = pull(jnp.array([jnp.nan, 1.0]).astype(jnp.result_type(mask, float)))
        assert back[0] == 0
        assert np.isfinite(back[1])


def test_the_norm_is_differentiable():
    def norm(matrix):
        return O.dense(matrix).norm(tol=1e-6)

    u, _, v = np.linalg.svd(MATRIX, full_matrices=False)
    slope = jax.jit(jax.grad(norm))(MATRIX)
    np.testing.assert_allclose(slope, np.outer(u[:, 0], v[0]), atol=1e-4)
    with jax.disable_jit():
        np.testing.assert_allclose(norm(MATRIX), np.linalg.norm(MATRIX, 2), rtol=1e-5)


def test_meshes_with_explicit_axes_work_or_are_named():
    mesh = jax.make_mesh((1,), ("parts",), axis_types=(AxisType.Explicit,))
    x = jax.device_put(np.ones((3, 4), floats()), NamedSharding(mesh, PartitionSpec(None, "parts")))
    assert_close(O.identity((3, 4))(x), np.ones((3, 4)))
    A = O.subsampled_hadamard(jax.random.key(0), 6, (3, 4))  # has to flatten the image
    for product in (A, A.gram):
        with pytest.raises(ValueError, match=r"x must be on mesh axes of type AxisType\.Auto") as e:
            product(x)
        assert "\n" not in str(e.value)


@pytest.mark.parametrize("c", [np.nan, np.inf, 10**400, 1e300 if EPS > 1e-10 else np.inf])
def test_factors_that_are_no_numbers_are_refused(c):
    for attempt in (lambda: c * O.identity(2), lambda: O.identity(2) / c):
        with pytest.raises(ValueError, match=r": c must (be|fit|be a) (finite|float32)"):
            attempt()
