"""Damped least squares inside solvers against NumPy, for operators that are solved exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats, normal

import jaxinv as ji
from jaxinv.solvers._factor import damped_inverse, factorize

O = ji.operators


def _mask():
    return jax.random.bernoulli(jax.random.key(9), 0.6, (24,))


def _blur():
    return O.convolution(jnp.asarray([0.25, 1.0, 0.5], floats()), (24,))


OPERATORS = {
    "convolution": _blur,
    "convolution of an image": lambda: O.convolution(normal(jax.random.key(3), (3, 3)), (4, 6)),
    "scaled": lambda: 2.0 * _blur(),
    "fourier": lambda: O.subsampled_fourier(_mask()),
    "mask after wavelet": lambda: O.mask(_mask()) @ O.wavelet((24,), "haar", 1).H,
    "blur after wavelet": lambda: _blur() @ O.wavelet((24,), "haar", 1).H,
    "matrix after wavelet": lambda: (
        O.gaussian(jax.random.key(5), 10, 24, dtype=floats()) @ O.wavelet((24,), "haar", 1).H
    ),
    "tall matrix": lambda: O.gaussian(jax.random.key(5), 30, 24, dtype=floats()),
}


@pytest.mark.parametrize("shift", [0.0, 0.3])
@pytest.mark.parametrize("name", OPERATORS)
def test_damped_inverses_are_exact(name, shift):
    operator = OPERATORS[name]()
    factor = factorize(operator)
    assert factor.values is not None  # no conjugate gradients
    y = operator(normal(jax.random.key(1), operator.in_shape))
    y = y + 0.1 * normal(jax.random.key(2), y.shape)
    start = jnp.zeros_like(operator.adjoint(y))
    found, inexact = damped_inverse(operator, factor, y, shift, start, 0.0)
    matrix = np.asarray(operator.todense(), np.complex128)
    adjoint, flat = matrix.conj().T, np.asarray(y).reshape(-1)
    if shift:
        expected = adjoint @ np.linalg.solve(matrix @ adjoint + shift * np.eye(len(matrix)), flat)
    else:
        expected = np.linalg.pinv(matrix) @ flat
    np.testing.assert_allclose(np.reshape(found, -1), expected, rtol=1e-3, atol=1e-4)
    assert (found.dtype, float(inexact)) == (start.dtype, 0)
