"""Randomized Walsh-Hadamard measurements."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv.operators._base import LinearOperator, require_single
from jaxinv.operators._spectrum import Diagonalization

_LARGEST_SIZE = 2**30  # the row numbers are int32


@pytree
class SubsampledHadamard(LinearOperator):
    """Random rows of a Hadamard matrix with random signs; see ``subsampled_hadamard``."""

    signs: Array
    rows: Array
    shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return (self.rows.shape[-1],)

    def _ndims(self) -> dict[str, int]:
        return {"signs": 1, "rows": 1}

    def _apply(self, x: Array) -> Array:
        size, order = self._sizes()
        padded = jnp.pad(self.signs * x.reshape(size), (0, order - size))
        spectrum = walsh_hadamard(padded)
        return (
            spectrum.at[self.rows].get(indices_are_sorted=True, unique_indices=True) * self._gain()
        )

    def _adjoint(self, y: Array) -> Array:
        size, order = self._sizes()
        spectrum = jnp.zeros(order, y.dtype)
        spectrum = spectrum.at[self.rows].set(y, indices_are_sorted=True, unique_indices=True)
        x = self.signs * walsh_hadamard(spectrum)[:size] * self._gain()
        return x.reshape(self.shape)

    def _sizes(self) -> tuple[int, int]:
        size = math.prod(self.shape)
        return size, _order(size)

    def _gain(self) -> float:
        # √(N/m) for the rows that were kept, 1/√N for the transform
        return 1 / math.sqrt(self.rows.shape[-1])

    @property
    def _is_unitary(self) -> bool:
        size, order = self._sizes()
        return self.rows.shape[-1] == size == order

    def _diagonalization(self) -> Diagonalization | None:
        size, order = self._sizes()
        if size < order:  # the padding cuts the rows off: they are not orthogonal
            return None
        every = SubsampledHadamard(self.signs, jnp.arange(order, dtype="int32"), self.shape)
        values = jnp.full(self.rows.shape, self._stretch())
        spread = jnp.zeros(order, values.dtype).at[self.rows].set(values)
        return Diagonalization(every, spread)

    def _outer_diagonalization(self) -> Diagonalization | None:
        size, order = self._sizes()
        return None if size < order else Diagonalization(None, jnp.full((), self._stretch()))

    def _stretch(self) -> float:
        return math.sqrt(self._sizes()[1] / self.rows.shape[-1])

    def norm(self, *, tol: float | int = 1e-3, max_steps: int = 1000) -> Array:
        require_single(self)
        size, order = self._sizes()
        if size + self.rows.shape[-1] > order:  # some padded signal lies in the span of the rows
            return jnp.full((), self._stretch(), self.in_dtype)
        return super().norm(tol=tol, max_steps=max_steps)


def subsampled_hadamard(key: Any, m: int, n: Any) -> SubsampledHadamard:
    r"""Draw m random rows of a Hadamard matrix with randomly signed columns.

    .. math:: y = \sqrt{N/m}\, R H D x, \qquad \mathbb{E} \|A x\|^2 = \|x\|^2

    D flips each entry of x by a fair coin, H is the orthonormal Walsh-Hadamard matrix of order
    N, the least power of two that is at least n (x is padded with zeros), and R keeps m rows
    drawn without replacement. A stand-in for ``gaussian`` that stores n signs and m indices
    instead of m n numbers: use it for images.

    Args:
        key: a JAX PRNG key.
        m: number of measurements, from 1 to n.
        n: size of the signal, or its shape, such as ``(512, 512)``: x then has this shape and
            is flattened row by row.

    Returns:
        An operator from shape (n,) (or ``n``, if that is a shape) to (m,). Its norm is
        √(N/m), exactly, if m + n > N. The leaves are int8 signs and int32 rows.

    Raises:
        ValueError: a size below 1 or above 2^30, or m > n.

    Cost: N log₂ N additions a product; O(N) memory.

    Example:
        >>> import jax
        >>> A = subsampled_hadamard(jax.random.key(0), 16, (8, 8))
        >>> A.in_shape, A.out_shape, float(A.norm())
        ((8, 8), (16,), 2.0)

    Source: Ailon, Chazelle (2009); Tropp (2011), "Improved analysis of the subsampled
    randomized Hadamard transform", section 1.2.
    """
    key = checks.key("subsampled_hadamard", key)
    m = checks.count("subsampled_hadamard", "m", m)
    if checks.is_integer(n) and not getattr(n, "ndim", 0) and int(n) > _LARGEST_SIZE:
        checks.fail("subsampled_hadamard", "n", f"have at most {_LARGEST_SIZE} entries", f"{n}")
    shape = checks.shape("subsampled_hadamard", "n", n)
    size = math.prod(shape)
    if not shape or m > size:
        checks.fail("subsampled_hadamard", "m", f"be at most n = {size}", f"{m}")
    if size > _LARGEST_SIZE:
        checks.fail("subsampled_hadamard", "n", f"have at most {_LARGEST_SIZE} entries", f"{size}")
    sign_key, row_key = jax.random.split(key)
    coins = jax.random.bits(sign_key, (size,), "uint8") & 1
    signs = 2 * coins.astype("int8") - 1
    rows = jnp.sort(jax.random.permutation(row_key, _order(size))[:m]).astype("int32")
    return SubsampledHadamard(signs, rows, shape)


@jax.jit
def walsh_hadamard(x: Array) -> Array:
    """Multiply by the (unnormalized) Sylvester-Hadamard matrix; ``x`` has 2**p entries.

    Radix 4: each pass over memory does two butterfly stages, in additions only.
    """
    stride = 1
    while stride < x.size:
        radix = min(4, x.size // stride)
        blocks = x.reshape(-1, radix, stride)
        parts = _butterfly([blocks[:, i] for i in range(radix)])
        x = jnp.stack(parts, axis=1).reshape(-1)
        stride *= radix
    return x


def _butterfly(parts: list[Array]) -> list[Array]:
    if len(parts) == 1:
        return parts
    half = len(parts) // 2
    first, second = _butterfly(parts[:half]), _butterfly(parts[half:])
    sums = [a + b for a, b in zip(first, second, strict=True)]
    return sums + [a - b for a, b in zip(first, second, strict=True)]


def _order(size: int) -> int:
    """Return the least power of two that is at least ``size``."""
    return 1 << (size - 1).bit_length()
