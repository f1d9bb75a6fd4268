"""Operators against independent references, the algebra, and what constructors refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import scipy.ndimage
from jax.tree_util import Partial

import jaxinv as ji

O = ji.operators
KEY = jax.random.key(3)
EPS = np.finfo(jnp.result_type(float)).eps
RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(jnp.result_type(float))


def assert_close(actual, expected, factor=64):
    size = max(1.0, float(np.max(np.abs(expected))))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=factor * EPS * size)


# -------------------------------------------------------------------------------- references


@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (4, 3, 2)])
def test_dct_equals_scipy(shape):
    x = normal(*shape)
    op = O.dct(shape)
    assert_close(op(x), scipy.fft.dctn(x, norm="ortho"))
    assert_close(op.adjoint(x), scipy.fft.idctn(x, norm="ortho"))


@pytest.mark.parametrize("shape", [(8,), (5,), (4, 6), (2, 3, 2, 3)])
def test_fourier_equals_numpy(shape):
    weights, x = normal(*shape), normal(*shape)
    expected = weights * np.fft.fftn(x, norm="ortho")
    assert_close(O.subsampled_fourier(weights)(x), expected)
    assert_close(O.subsampled_fourier(weights, real=True)(x), expected)
    back = np.fft.ifftn(weights * expected, norm="ortho")
    assert_close(O.subsampled_fourier(weights).adjoint(expected), back)
    assert_close(O.subsampled_fourier(weights, real=True).adjoint(expected), back.real)


@pytest.mark.parametrize(("m", "n"), [(1, 1), (3, 5), (5, 13), (16, 16), (7, (5, 6))])
def test_hadamard_equals_scipy(m, n):
    op = O.subsampled_hadamard(KEY, m, n)
    size = int(np.prod(n))
    order = 2 ** int(np.ceil(np.log2(size)))
    rows = np.asarray(op.rows)
    assert len(set(rows.tolist())) == m
    assert set(np.asarray(op.signs).tolist()) <= {-1, 1}
    matrix = scipy.linalg.hadamard(order)[rows][:, :size] * np.asarray(op.signs) / np.sqrt(m)
    assert_close(op.todense(), matrix)


def test_hadamard_keeps_the_energy_on_average():
    x = normal(12)
    energies = jax.vmap(lambda key: jnp.sum(O.subsampled_hadamard(key, 4, 12)(x) ** 2))(
        jax.random.split(KEY, 2000)
    )
    error = np.std(energies) / np.sqrt(energies.size)
    assert abs(np.mean(energies) - np.sum(x**2)) < 4 * error


def test_hadamard_signs_and_rows_are_uniform():
    ops = jax.vmap(lambda key: O.subsampled_hadamard(key, 8, 16))(jax.random.split(KEY, 2000))
    signs, rows = np.asarray(ops.signs), np.asarray(ops.rows)
    assert np.all(np.abs(signs.mean(0)) < 4 / np.sqrt(2000))
    shares = np.bincount(rows.ravel(), minlength=16) / 2000
    assert np.all(np.abs(shares - 0.5) < 4 * np.sqrt(0.25 / 2000))


def test_hadamard_norm_is_exact_where_it_is_closed():
    op = O.subsampled_hadamard(KEY, 5, 13)  # 5 + 13 > 16
    assert_close(op.norm(), np.linalg.norm(op.todense(), 2))


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((8,), (3,)),
        ((8,), (4,)),
        ((5,), (5,)),
        ((6, 7), (3, 3)),
        ((6, 7), (2, 5)),
        ((3, 4, 5), (1, 2, 3)),
    ],
)
def test_convolution_equals_scipy(shape, size):
    x, kernel = normal(*shape), normal(*size)
    op = O.convolution(kernel, shape)
    assert_close(op(x), scipy.ndimage.convolve(x, kernel, mode="wrap"))
    assert op(x).dtype == x.dtype


def test_convolution_is_differentiable_in_its_kernel():
    x, kernel, direction = normal(7), normal(3), normal(3)
    _, slope = jax.jvp(lambda h: O.convolution(h, 7)(x), (kernel,), (direction,))
    assert_close(slope, scipy.ndimage.convolve(x, direction, mode="wrap"))


@pytest.mark.parametrize(
    ("shape", "name", "levels"),
    [
        ((96,), "db4", 3),  # sums over taps, then dense products for the short levels
        ((8,), "db4", 3),  # filters longer than the signal
        ((96, 40), "db2", 2),
        ((40, 48), "haar", 3),
        ((32,), "sym5", 1),
        ((32, 16), "coif1", 2),
        ((16, 24, 8), "db3", 2),
        ((96,), "bior2.2", 3),
        ((64, 96), "bior4.4", 2),
        ((32, 16), "rbio3.5", 1),
        ((64,), "rbio1.3", 2),
    ],
)
@pytest.mark.filterwarnings("ignore:Level value:UserWarning")
def test_wavelet_equals_pywavelets(shape, name, levels):
    pywt = pytest.importorskip("pywt")
    x = normal(*shape)
    op = O.wavelet(shape, name, levels)
    coefficients = pywt.wavedecn(x, name, mode="periodization", level=levels)
    assert_close(op(x), pywt.coeffs_to_array(coefficients)[0], 256)
    back = op.inverse(op(x))
    assert_close(back, x, max(256, 1e-11 / EPS))  # symlets: tables of 12 digits
    assert np.allclose(op.adjoint(op(x)), back, atol=1e-3) != name.startswith(("bior", "rbio"))


@pytest.mark.filterwarnings("ignore:Level value:UserWarning")
def test_wavelet_layout_is_the_nested_pyramid():
    pywt = pytest.importorskip("pywt")
    x = normal(16, 16)
    y = O.wavelet((16, 16), "db2", 2)(x)
    averages, _, (horizontal, vertical, diagonal) = pywt.wavedec2(
        x, "db2", mode="periodization", level=2
    )
    assert_close(y[:4, :4], averages)
    assert_close(y[8:, :8], horizontal)
    assert_close(y[:8, 8:], vertical)
    assert_close(y[8:, 8:], diagonal)
    z = O.wavelet(32, "db3", 2)(x.ravel()[:32])
    averages, coarse, fine = pywt.wavedec(x.ravel()[:32], "db3", mode="periodization", level=2)
    assert_close(z, np.concatenate([averages, coarse, fine]))


def test_every_wavelet_is_orthogonal():
    from jaxinv.operators._wavelet import _ORTHOGONAL, _filters, _matrix

    for name in _ORTHOGONAL:
        matrix = _matrix(128, *_filters(name))
        tolerance = 2e-11 if name.startswith("sym") else 1e-12
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(128), atol=tolerance)


def test_every_biorthogonal_wavelet_has_an_inverse():
    from jaxinv.operators._wavelet import _BIORTHOGONAL, _dual_filters, _filters, _matrix

    for name in _BIORTHOGONAL:
        dual, matrix = _matrix(64, *_dual_filters(name)), _matrix(64, *_filters(name))
        np.testing.assert_allclose(dual.T @ matrix, np.eye(64), atol=1e-9)


def test_a_mask_of_pixels_is_that_of_every_channel():
    mask, x = RANDOM.random((4, 5)) < 0.5, normal(4, 5, 3)
    np.testing.assert_array_equal(O.mask(mask, x.shape)(x), x * mask[..., None])
    np.testing.assert_array_equal(
        O.mask(mask, (3, 4, 5))(x.T.swapaxes(1, 2)), x.T.swapaxes(1, 2) * mask
    )
    with pytest.raises(ValueError, match=r"begin or end with the shape \(4, 5\) of the mask"):
        O.mask(mask, (5, 4, 3))


def test_downsample_equals_a_loop_over_blocks():
    x = normal(6, 4)
    y = O.downsample((3, 2), (6, 4))(x)
    expected = [
        [x[3 * i : 3 * i + 3, 2 * j : 2 * j + 2].mean() for j in range(2)] for i in range(2)
    ]
    assert_close(y, np.array(expected))


def test_finite_difference_equals_a_loop():
    x = normal(3, 4)
    expected = np.zeros((2, 3, 4))
    expected[0, :2] = x[1:] - x[:2]
    expected[1, :, :3] = x[:, 1:] - x[:, :3]
    assert_close(O.finite_difference((3, 4))(x), expected)


@pytest.mark.parametrize("op", [O.finite_difference((4, 7)), O.finite_difference(1)])
def test_finite_difference_norm_is_exact(op):
    assert_close(op.norm(), np.linalg.norm(op.todense(), 2))


def test_fourier_norm_on_real_signals_is_exact():
    op = O.subsampled_fourier(normal(3, 4), real=True)
    matrix = np.asarray(op.todense())
    assert_close(op.norm(), np.linalg.norm(np.concatenate([matrix.real, matrix.imag]), 2))


def test_gaussian_entries_have_variance_one_over_m():
    for dtype in (jnp.float32, jnp.complex64):
        entries = np.asarray(O.gaussian(KEY, 50, 2000, dtype=dtype).matrix)
        energy = np.abs(entries) ** 2
        assert entries.dtype == dtype
        assert abs(energy.mean() * 50 - 1) < 4 * energy.std() * 50 / np.sqrt(energy.size)
        assert abs(entries.mean()) < 4 / np.sqrt(50 * energy.size)


def test_gaussian_of_a_shape_measures_the_flat_image():
    image = normal(4, 5)
    op, flat = O.gaussian(KEY, 7, (4, 5)), O.gaussian(KEY, 7, 20)
    assert op.in_shape == (4, 5)
    np.testing.assert_array_equal(op(image), flat(image.ravel()))
    assert_close(op.adjoint(op(image)), flat.adjoint(flat(image.ravel())).reshape(4, 5))


# --------------------------------------------------------------------------------- functions


def _rolled(matrix, x):
    return matrix @ jnp.roll(x, 1)


def test_from_function_keeps_the_arrays_of_a_partial_as_leaves():
    matrix = normal(3, 4)
    op = O.from_function(Partial(_rolled, matrix), 4, matrix.dtype)
    assert [leaf.shape for leaf in jax.tree.leaves(op)] == [(3, 4)]
    assert_close(op.todense(), np.roll(matrix, -1, axis=1))
    assert_close(op.adjoint(np.ones(3, matrix.dtype)), np.roll(matrix, -1, axis=1).sum(0))


def test_from_function_takes_a_lambda():
    op = O.from_function(lambda x: jnp.cumsum(x)[1:], (4,), jnp.float32)
    assert_close(op.todense(), np.tril(np.ones((4, 4)))[1:])


def test_from_function_on_complex_signals():
    op = O.from_function(jnp.fft.fft, 5, jnp.complex64)
    y = normal(5) + 1j * normal(5)
    np.testing.assert_allclose(op.adjoint(y), 5 * np.fft.ifft(y), rtol=0, atol=1e-5)


def _affine(x):
    return 2 * x + 1


def _two(x):
    return x, x


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (jnp.sin, "must be linear"),
        (jnp.abs, "must be linear"),
        (_affine, "must map 0 to 0"),
        (_two, "must return one floating or complex array"),
        (jnp.isnan, "must return one floating or complex array"),
    ],
)
def test_from_function_refuses_what_is_not_linear(function, message):
    with pytest.raises(ValueError, match=f"from_function: fn {message}"):
        O.from_function(function, 4)


# --------------------------------------------------------------------------------- nonlinear


def test_nonlinear_operators_equal_numpy():
    matrix, x, dither = normal(5, 3) + 1j * normal(5, 3), normal(3), normal(5)
    A, B = O.dense(matrix), O.dense(matrix.real)
    assert_close(O.magnitude(A)(x), np.abs(matrix @ x))
    assert_close(O.sign(B, dither)(x), np.sign(matrix.real @ x + dither))
    assert_close(O.single_index(B, jnp.tanh)(x), np.tanh(matrix.real @ x))
    assert O.magnitude(A).linear is A


def test_magnitude_has_derivative_zero_at_zero():
    A = O.dense(normal(5, 3) + 1j * normal(5, 3))
    weights = normal(5)

    def loss(x):
        return jnp.sum(weights * O.magnitude(A)(x))

    np.testing.assert_array_equal(jax.grad(loss)(np.zeros(3)), np.zeros(3))
    assert np.all(np.isfinite(jax.hessian(loss)(np.zeros(3))))


def test_a_kernel_that_changes_the_brightness_is_said_or_normalized(tmp_path):
    ji.data.save_image(tmp_path / "kernel.png", np.ones((3, 3)))
    kernel = ji.data.image(tmp_path / "kernel.png")
    with pytest.warns(UserWarning, match=r"convolution: kernel has sum 9, .*normalize=True"):
        O.convolution(kernel, (8, 8))
    with pytest.warns(UserWarning, match="kernel has sum -1,"):
        O.convolution(-np.ones((2, 2)) / 4, (8, 8))
    x = jnp.ones((8, 8))
    blur = O.convolution(kernel, (8, 8), normalize=True)
    np.testing.assert_allclose(blur @ x, 1, rtol=1e-5)
    np.testing.assert_allclose(O.convolution(kernel, (8, 8), normalize=False) @ x, 9, rtol=1e-5)
    huge = O.convolution(kernel * np.float32(1e38), (8, 8), normalize=True)
    np.testing.assert_allclose(huge @ x, 1, rtol=1e-5)
