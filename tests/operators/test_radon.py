"""Tomography against scikit-image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji

transform = pytest.importorskip("skimage.transform")
O = ji.operators
ANGLES = np.array([0.0, 12.5, 45.0, 73.0, 90.0, 131.0, 180.0, 297.0], np.float32)


def phantom(size):
    """Smooth blobs inside of the largest circle."""
    row, column = (np.mgrid[:size, :size] - size // 2) / size
    image = np.zeros((size, size))
    for center, width, height in (
        ((-0.1, 0.15), 0.08, 1.0),
        ((0.2, 0.0), 0.1, -0.4),
        ((0, 0), 0.15, 1),
    ):
        square = (row - center[0]) ** 2 + (column - center[1]) ** 2
        image += height * np.exp(-square / (2 * width**2))
    return (image * (row**2 + column**2 < 0.22)).astype(np.float32)


@pytest.mark.parametrize("size", [32, 33])
def test_radon_is_that_of_scikit_image(size):
    x = phantom(size)
    A = O.radon((size, size), ANGLES, num_bins=size)
    expected = transform.radon(x, ANGLES, circle=True).T
    assert np.max(np.abs(A(x) - expected)) < 1e-2 * np.max(np.abs(expected))
    assert O.dot_test(A, jax.random.key(0)) < 1e-5
    wave = (1 + 2j) * x
    np.testing.assert_allclose(A(wave), (1 + 2j) * A(x), rtol=1e-4, atol=1e-4)


def test_radon_of_an_oblong_image_keeps_its_mass_at_every_angle():
    x = np.random.default_rng(0).random((7, 12)).astype(np.float32)
    x = np.kron(x, np.ones((3, 3), np.float32))  # smooth enough for sums along slanted lines
    y = O.radon(x.shape, ANGLES)(x)
    np.testing.assert_allclose(np.sum(y, axis=1), x.sum(), rtol=0.02)
    center = y.shape[1] // 2
    np.testing.assert_allclose(y[0, center - 18 : center + 18], x.sum(0), rtol=1e-4)
    np.testing.assert_allclose(y[4, center + 10 : center - 11 : -1], x.sum(1), rtol=1e-4)


def test_filtered_back_projection_is_that_of_scikit_image():
    x, angles = phantom(64), np.arange(0, 180, 2.0)
    A = O.radon(x.shape, angles, num_bins=64)
    found = A.filtered_back_projection(A(x))
    expected = transform.iradon(np.asarray(A(x), float).T, angles, circle=True)
    inside = np.hypot(*(np.mgrid[:64, :64] - 32)) < 28
    assert np.max(np.abs((found - expected)[inside])) < 1e-3 * x.max()
    assert np.max(np.abs((found - x)[inside])) < 0.05 * x.max()


def test_radon_is_differentiable_in_its_angles():
    x = phantom(32)

    def size(angle):
        return jnp.sum(O.radon((32, 32), angle[None], num_bins=32)(x) ** 2)

    angle, step = jnp.asarray(31.3), 0.25
    slope = jax.grad(size)(angle)
    assert abs(slope - (size(angle + step) - size(angle - step)) / (2 * step)) < 0.02 * abs(slope)


def test_radon_refuses_by_name():
    with pytest.raises(ValueError, match=r"radon: shape must be \(h, w\), got \(4,\)"):
        O.radon(4, [0.0])
    with pytest.raises(ValueError, match="radon: angles must be finite"):
        O.radon((4, 4), [np.nan])
    with pytest.raises(ValueError, match="radon: angles must be real"):
        O.radon((4, 4), [1j])
