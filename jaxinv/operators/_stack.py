"""Operators side by side: one below the other, next to each other, and block diagonal."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Inexact

from jaxinv._core import checks, pytree
from jaxinv.operators._base import LinearOperator, result_dtype
from jaxinv.operators._spectrum import Diagonalization

Shape = tuple[int, ...]


class _Several(LinearOperator):
    """Operators whose signals, measurements or both are laid flat, one after the other."""

    operators: tuple[LinearOperator, ...]

    @property
    def in_dtype(self) -> Any:
        dtype = jnp.result_type(*(op.in_dtype for op in self.operators))
        return result_dtype(self._gram, self.in_shape, dtype)

    def _in_shapes(self) -> list[Shape]:
        return [op.in_shape for op in self.operators]

    def _out_shapes(self) -> list[Shape]:
        return [op.out_shape for op in self.operators]


@pytree
class VerticalStack(_Several):
    """Operators of one signal, one below the other; see ``vstack``."""

    operators: tuple[LinearOperator, ...]

    @property
    def in_shape(self) -> Shape:
        return self.operators[0].in_shape

    @property
    def out_shape(self) -> Shape:
        return _flat(self._out_shapes())

    def split(self, y: Inexact[Array, "m"]) -> list[Array]:
        """Return the measurements of each operator, in its own shape."""
        return _split(y, self._out_shapes())

    def _apply(self, x: Array) -> Array:
        return _join([op._apply(x) for op in self.operators])

    def _adjoint(self, y: Array) -> Array:
        return self._total([op._adjoint(v) for op, v in self._pairs(self.split(y))])

    def _gram(self, x: Array) -> Array:
        return self._total([op._gram(x) for op in self.operators])

    def _pairs(self, parts: list[Array]) -> Iterable[tuple[LinearOperator, Array]]:
        return zip(self.operators, parts, strict=True)

    def _total(self, parts: list[Array]) -> Array:
        # where one operator takes real signals, x is real for all of them
        if len({jnp.iscomplexobj(part) for part in parts}) == 2 and any(
            map(_takes_real_signals, self.operators)
        ):
            parts = [jnp.real(part) for part in parts]
        return sum(parts[1:], parts[0])

    def _diagonalization(self) -> Diagonalization | None:
        found = [op._diagonalization() for op in self.operators]
        kept = [each for each in found if each is not None]
        if len(kept) < len(found):
            return None
        # a multiple of the identity is diagonal in every basis
        based = [each for each in kept if each.basis is not None or each.singular_values.ndim]
        basis = based[0].basis if based else None
        kinds = {jax.tree.structure(each.basis) for each in based}
        if len(kinds) > 1 or jax.tree.leaves(basis):
            return None
        # in one basis the squares of the singular values add up
        values = functools.reduce(jnp.hypot, [each.singular_values for each in kept])
        return Diagonalization(basis, values)


@pytree
class HorizontalStack(_Several):
    """Operators with one measurement, next to each other; see ``hstack``."""

    operators: tuple[LinearOperator, ...]

    @property
    def in_shape(self) -> Shape:
        return _flat(self._in_shapes())

    @property
    def out_shape(self) -> Shape:
        return self.operators[0].out_shape

    def split(self, x: Inexact[Array, "n"]) -> list[Array]:
        """Return the signal of each operator, in its own shape."""
        return _split(x, self._in_shapes())

    def _apply(self, x: Array) -> Array:
        parts = [op._apply(v) for op, v in zip(self.operators, self.split(x), strict=True)]
        return sum(parts[1:], parts[0])

    def _adjoint(self, y: Array) -> Array:
        return _join([op._adjoint(y) for op in self.operators])


@pytree
class BlockDiagonal(_Several):
    """Operators that each have a signal and a measurement of their own; see ``block_diag``."""

    operators: tuple[LinearOperator, ...]

    @property
    def in_shape(self) -> Shape:
        return _flat(self._in_shapes())

    @property
    def out_shape(self) -> Shape:
        return _flat(self._out_shapes())

    def split(self, x: Inexact[Array, "n"]) -> list[Array]:
        """Return the signal of each operator, in its own shape."""
        return _split(x, self._in_shapes())

    def _apply(self, x: Array) -> Array:
        parts = zip(self.operators, self.split(x), strict=True)
        return _join([op._apply(v) for op, v in parts])

    def _adjoint(self, y: Array) -> Array:
        parts = zip(self.operators, _split(y, self._out_shapes()), strict=True)
        return _join([op._adjoint(v) for op, v in parts])

    def _gram(self, x: Array) -> Array:
        parts = zip(self.operators, self.split(x), strict=True)
        return _join([op._gram(v) for op, v in parts])

    def norm(self, *, tol: float | int = 1e-3, max_steps: int = 1000) -> Float[Array, ""]:
        norms = [op.norm(tol=tol, max_steps=max_steps) for op in self.operators]
        return functools.reduce(jnp.maximum, norms)


def vstack(operators: Sequence[LinearOperator]) -> VerticalStack:
    r"""Measure one signal by several operators: their measurements one after the other.

    .. math:: y = (A_1 x, A_2 x, \ldots), \qquad A^* y = \sum_i A_i^* y_i, \qquad
        A^* A = \sum_i A_i^* A_i

    For data of several kinds, and for quadratic penalties as rows below the measurements:
    ‖A x − y‖² + μ ‖D x‖² is that of ``vstack([A, mu**0.5 * D])`` and (y, 0).

    Args:
        operators: linear operators of one in_shape, at least one; types may differ.

    Returns:
        An operator from that shape to a vector: each measurement laid flat, row by row.
        ``A.split(y)`` undoes that. Its diagonalization is known where all have theirs in one basis.

    Raises:
        ValueError: no operators, or different in_shapes.
        TypeError: what is no linear operator.

    Cost: that of each; ``gram`` is the sum of theirs.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxinv.operators import finite_difference, identity
        >>> A = vstack([identity(3), 2 * finite_difference(3)])
        >>> y = A @ jnp.array([1.0, 4.0, 9.0])
        >>> y
        Array([ 1.,  4.,  9.,  6., 10.,  0.], dtype=float32)
        >>> [part.shape for part in A.split(y)]
        [(3,), (1, 3)]
    """
    return VerticalStack(_checked("vstack", operators, "in_shape"))


def hstack(operators: Sequence[LinearOperator]) -> HorizontalStack:
    r"""Add up the measurements of several signals, each with its operator.

    .. math:: y = \sum_i A_i x_i, \qquad A^* y = (A_1^* y, A_2^* y, \ldots)

    For signals that are sums of parts, such as edges and texture in two dictionaries.

    Args:
        operators: linear operators of one out_shape, at least one; types may differ.

    Returns:
        An operator from a vector, the signals laid flat one after the other, to that shape;
        ``A.split(x)`` returns the signals.

    Raises:
        ValueError: no operators, or different out_shapes.
        TypeError: what is no linear operator.

    Cost: that of each.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxinv.operators import dct, identity
        >>> A = hstack([identity(4), dct(4).H])
        >>> A @ jnp.array([0.0, 0, 1, 0, 2, 0, 0, 0])
        Array([1., 1., 2., 1.], dtype=float32)
    """
    return HorizontalStack(_checked("hstack", operators, "out_shape"))


def block_diag(operators: Sequence[LinearOperator]) -> BlockDiagonal:
    r"""Measure several signals, each by its own operator.

    .. math:: y = (A_1 x_1, A_2 x_2, \ldots), \qquad \|A\| = \max_i \|A_i\|

    Args:
        operators: linear operators of any shapes and types, at least one.

    Returns:
        An operator from a vector to a vector: signals and measurements laid flat, one after the
        other; ``A.split(x)`` returns the signals.

    Raises:
        ValueError: no operators.
        TypeError: what is no linear operator.

    Cost: that of each; so are ``gram`` and ``norm``.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxinv.operators import downsample, identity
        >>> block_diag([identity(2), downsample(2, 4)]) @ jnp.arange(6.0)
        Array([0. , 1. , 2.5, 4.5], dtype=float32)
    """
    return BlockDiagonal(_checked("block_diag", operators, None))


def _checked(where: str, operators: Any, side: str | None) -> tuple[LinearOperator, ...]:
    if not isinstance(operators, list | tuple):
        checks.fail_type(where, "operators", "be a list of linear operators", operators)
    if not operators:
        checks.fail(where, "operators", "hold at least one operator", "none")
    for i, op in enumerate(operators):
        if not isinstance(op, LinearOperator):
            hint = "Wrap a matrix with operators.dense."
            checks.fail_type(where, f"operators[{i}]", "be a linear operator", op, hint)
        if side is not None and getattr(op, side) != getattr(operators[0], side):
            expected = f"have the {side} {getattr(operators[0], side)} of operators[0]"
            checks.fail(where, f"operators[{i}]", expected, f"{getattr(op, side)}")
    return tuple(operators)


def _flat(shapes: list[Shape]) -> Shape:
    return (sum(map(math.prod, shapes)),)


def _join(parts: list[Array]) -> Array:
    return jnp.concatenate([jnp.ravel(part) for part in parts])


def _split(v: Array, shapes: list[Shape]) -> list[Array]:
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(jnp.split(v, ends), shapes, strict=True)]


def _takes_real_signals(op: LinearOperator) -> bool:
    dtype = jnp.result_type(op.out_dtype, jnp.complex64)
    return not jnp.issubdtype(result_dtype(op._adjoint, op.out_shape, dtype), jnp.complexfloating)
