"""The dot test finds what is wrong with an adjoint, at any scale."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats
from operator_cases import OPERATORS

from jaxinv._core import pytree, static
from jaxinv.operators import LinearOperator, dense, dot_test, magnitude

KEY = jax.random.key(1)
RANDOM = np.random.default_rng(0)


@pytree
class Wrong(LinearOperator):
    """A matrix whose adjoint is another one."""

    matrix: jax.Array
    other: jax.Array
    shape: tuple[int, ...] = static()

    @property
    def in_shape(self):
        return (self.matrix.shape[1],)

    @property
    def out_shape(self):
        return self.shape

    def _apply(self, x):
        return self.matrix @ x

    def _adjoint(self, y):
        return self.other @ y


def wrong(matrix, other):
    return Wrong(jnp.asarray(matrix), jnp.asarray(other), (matrix.shape[0],))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_wrong_adjoints_are_found_at_any_scale(scale):
    matrix = RANDOM.normal(size=(60, 40)).astype(np.float32) * np.float32(scale)
    wave = (matrix + 1j * np.roll(matrix, 1)).astype(np.complex64)
    for right in (matrix, wave):
        assert dot_test(wrong(right, right.conj().T), KEY) < 1e-6
        # of y one half in energy is along A x, so c A* instead of A* gives |1 - c| / max(1, c) / √2
        assert dot_test(wrong(right, -right.conj().T), KEY) > 0.5
        assert dot_test(wrong(right, right.conj().T * np.float32(1.01)), KEY) > 1e-3
        other = right.conj().T.copy()
        other[0, 0] *= 2
        assert dot_test(wrong(right, other), KEY) > 1e-5
    assert dot_test(wrong(wave, wave.T), KEY) > 1e-2


@pytest.mark.parametrize("name", ["dense-complex", "fourier-real", "hadamard", "chain"])
def test_right_adjoints_are_found_right(name):
    (case,) = (case for case in OPERATORS if case.name == name)
    assert dot_test(case.make(KEY), KEY) < 64 * np.finfo(floats()).eps


def test_what_is_no_number_is_infinite_and_nothing_is_zero():
    matrix = np.ones((3, 2), np.float32)
    assert dot_test(wrong(matrix, matrix.T * np.nan), KEY) == np.inf
    assert dot_test(wrong(matrix * np.inf, matrix.T), KEY) == np.inf
    assert dot_test(dense(0 * matrix), KEY) == 0
    assert dot_test(wrong(0 * matrix, matrix.T), KEY) > 0.1


def test_dot_test_refuses_by_name():
    matrix = np.ones((3, 2), np.float32)
    with pytest.raises(TypeError, match=r"dot_test: operator must be a linear.*Magnitude"):
        dot_test(magnitude(dense(matrix)), KEY)
    with pytest.raises(ValueError, match=r"dot_test: A\* y must have shape \(2,\).*Wrong"):
        dot_test(wrong(matrix, np.ones((4, 3), np.float32)), KEY)
    with pytest.raises(ValueError, match="outside of jit"):
        jax.jit(lambda A: dot_test(A, KEY))(dense(matrix))
