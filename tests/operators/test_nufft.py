"""The Fourier transform at any frequencies against sums, and against the one on the grid."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji

pytest.importorskip("nufftax")
O = ji.operators
RANDOM = np.random.default_rng(0)
DTYPE = jnp.result_type(float)


@pytest.mark.parametrize(
    ("shape", "real"),
    [((9,), False), ((8, 7), True), pytest.param((4, 5, 6), False, marks=pytest.mark.slow)],
)
def test_nufft_is_the_sum(shape, real):
    points = RANDOM.uniform(-0.8, 0.8, size=(11, len(shape))).astype(DTYPE)
    A = O.nufft(points, shape, real=real)
    x = RANDOM.normal(size=shape) + 1j * (not real) * RANDOM.normal(size=shape)
    places = np.moveaxis(np.indices(shape), 0, -1) - np.array(shape) // 2
    phases = np.tensordot(points.astype(float), places, (1, -1))
    expected = np.sum(np.exp(-2j * np.pi * phases) * x, axis=tuple(range(1, x.ndim + 1)))
    expected = expected / np.sqrt(x.size)
    found = A(x.real if real else x)
    assert np.linalg.norm(found - expected) < 1e-5 * np.linalg.norm(expected)
    assert O.dot_test(A, jax.random.key(0)) < 1e-5
    assert jnp.iscomplexobj(A.adjoint(found)) != real


def test_nufft_on_the_grid_is_that_of_mri():
    shape = (6, 5)
    points = np.stack(
        np.meshgrid(*((np.arange(n) - n // 2) / n for n in shape), indexing="ij"), -1
    ).reshape(-1, 2)
    x = RANDOM.normal(size=shape)
    found = O.nufft(points, shape)(x).reshape(shape)
    np.testing.assert_allclose(found, O.fft2c(x), atol=1e-5)


def test_nufft_refuses_by_name(monkeypatch):
    with pytest.raises(ValueError, match=r"nufft: points must be real, of shape \(num, 2\)"):
        O.nufft(np.zeros((4, 3)), (8, 8))
    with pytest.raises(ValueError, match="nufft: points must be finite"):
        O.nufft(np.full((4, 2), np.nan), (8, 8))
    monkeypatch.setitem(sys.modules, "nufftax", None)
    with pytest.raises(ModuleNotFoundError, match=r"nufftax is not installed.*jaxinv\[nufft\]"):
        O.nufft(np.zeros((4, 2)), (8, 8))
