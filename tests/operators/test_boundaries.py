"""Boundaries of convolutions, differences and padding against SciPy and NumPy; stacks by hand."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.ndimage
import scipy.signal

import jaxinv as ji

O = ji.operators
EPS = np.finfo(jnp.result_type(float)).eps
RANDOM = np.random.default_rng(0)
MODES = {"wrap": "wrap", "reflect": "reflect", "zero": "constant"}
OF_NUMPY = {"wrap": "wrap", "reflect": "symmetric", "zero": "constant"}


def normal(*shape):
    return RANDOM.normal(size=shape).astype(jnp.result_type(float))


def assert_close(actual, expected, factor=64):
    size = max(1.0, float(np.max(np.abs(expected))))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=factor * EPS * size)


def of_scipy(x, kernel, boundary):
    if boundary == "valid":
        return scipy.signal.convolve(x, kernel, mode="valid", method="direct")
    return scipy.ndimage.convolve(x, kernel, mode=MODES[boundary])


@pytest.mark.parametrize("boundary", ["wrap", "reflect", "zero", "valid"])
@pytest.mark.parametrize(
    ("shape", "size"), [((8,), (3,)), ((7,), (4,)), ((5,), (5,)), ((4,), (4,)), ((6, 7), (2, 5))]
)
def test_convolution_is_that_of_scipy_at_every_boundary(shape, size, boundary):
    x, kernel = normal(*shape), normal(*size)
    A = O.convolution(kernel, shape, boundary=boundary)
    expected = of_scipy(x, kernel, boundary)
    assert A.out_shape == expected.shape
    assert_close(A(x), expected)
    assert A(x).dtype == x.dtype
    # the adjoint against one column after the other of SciPy's own matrix
    y = normal(*A.out_shape)
    units = np.eye(x.size).reshape(-1, *shape)
    columns = [np.sum(of_scipy(unit, kernel, boundary) * y) for unit in units]
    assert_close(A.adjoint(y), np.reshape(columns, shape))


@pytest.mark.parametrize("boundary", ["wrap", "reflect", "zero", "valid"])
def test_differences_are_those_of_scipy_at_every_boundary(boundary):
    x = normal(4, 5)
    found = np.asarray(O.finite_difference((4, 5), boundary=boundary)(x))
    for axis, difference in enumerate(found):
        if boundary == "valid":
            expected = np.diff(x, axis=axis)[:3, :4]
        else:  # x_{i+1} - x_i as a convolution whose origin is its second entry
            shape = (2, 1) if axis == 0 else (1, 2)
            kernel = np.reshape([1.0, -1.0], shape)
            expected = scipy.ndimage.convolve(x, kernel, mode=MODES[boundary])
        assert_close(difference, expected)


def test_wrapped_differences_have_an_exact_norm():
    A = O.finite_difference((4, 7), boundary="wrap")
    assert_close(A.norm(), np.linalg.norm(A.todense(), 2))


@pytest.mark.parametrize("boundary", ["wrap", "reflect", "zero"])
def test_pad_is_that_of_numpy_and_crop_undoes_it(boundary):
    x, widths = normal(3, 4), ((2, 1), (0, 3))
    A = O.pad(widths, (3, 4), boundary=boundary)
    np.testing.assert_array_equal(A(x), np.pad(x, widths, mode=OF_NUMPY[boundary]))
    np.testing.assert_array_equal((O.crop(widths, A.out_shape) @ A)(x), x)
    assert O.pad(1, (3, 4)).out_shape == (5, 6)


def test_stacks_are_block_matrices():
    a, b, c = normal(2, 4), normal(3, 4), normal(2, 3)
    A, B, C = O.dense(a), O.dense(b), O.dense(c)
    assert_close(O.vstack([A, B]).todense(), np.vstack([a, b]))
    assert_close(O.hstack([A, C]).todense(), np.hstack([a, c]))
    assert_close(O.block_diag([A, C]).todense(), scipy.linalg.block_diag(a, c))
    # [A C] [B; I] with shapes that fit, and images laid flat row by row
    left, right = O.hstack([C, A]), O.vstack([B, O.identity(4)])
    assert_close((left @ right).todense(), c @ b + a)
    image = O.vstack([O.finite_difference((2, 3)), O.downsample((2, 1), (2, 3))])
    x = normal(2, 3)
    parts = image.split(image(x))
    assert [part.shape for part in parts] == [(2, 2, 3), (1, 3)]
    assert_close(parts[1], x.mean(0, keepdims=True))


def test_a_stack_of_operators_with_one_basis_is_diagonal_in_it():
    D = O.finite_difference((4, 5))
    A = O.vstack([2 * O.identity((4, 5)), D])
    matrix = np.vstack([2 * np.eye(20), D.todense()])
    assert_close(A.norm(), np.linalg.norm(matrix, 2))
    y = normal(A.out_shape[0])
    u = ji.solvers.least_squares(ji.Problem(A, y))
    assert_close(np.ravel(u), np.linalg.lstsq(matrix, y, rcond=None)[0], 256)
    other = O.vstack([O.mask(normal(4, 5)), D])
    assert other.diagonalization() is None


def test_a_stack_is_as_precise_as_its_widest_operator_and_real_where_it_can_be():
    narrow, wide = O.dense(normal(2, 3).astype(np.float16)), O.dense(normal(2, 3) * 1j)
    x = normal(3)
    assert O.vstack([narrow, wide])(x).dtype == wide(x).dtype
    assert O.vstack([O.dense(normal(2, 3)), O.identity(3)])(x).dtype == x.dtype
    real = O.vstack([O.identity(3), O.subsampled_fourier(np.ones(3, bool), real=True)])
    assert real.in_dtype == x.dtype == real.adjoint(real(x)).dtype
    assert_close(real.adjoint(real(x)), 2 * x)


def test_stacks_refuse_what_does_not_fit():
    A, B = O.identity(3), O.identity(4)
    with pytest.raises(ValueError, match=r"vstack: operators\[1\] must have the in_shape \(3,\)"):
        O.vstack([A, B])
    with pytest.raises(ValueError, match=r"hstack: operators\[1\] must have the out_shape \(3,\)"):
        O.hstack([A, B])
    with pytest.raises(TypeError, match=r"operators\[0\] must be a linear.*operators\.dense"):
        O.block_diag([np.eye(3)])
    with pytest.raises(ValueError, match="crop: width must leave an entry"):
        O.crop(2, (4, 9))
    with pytest.raises(ValueError, match="Did you mean 'reflect'"):
        O.convolution(np.ones(3), 8, boundary="reflekt")
    with pytest.raises(ValueError, match="shape must be at least 2"):
        O.finite_difference((1, 3), boundary="valid")
