"""The operator contract, and the algebra of linear operators."""

from __future__ import annotations

import math
from typing import Any, overload

import jax
import jax.numpy as jnp

from jaxinv._core import checks, numerics, pytree

Array = jax.Array


class Operator:
    """A measurement map ``y = op(x)``: arrays are leaves, shapes are static.

    A subclass gives ``in_shape``, ``out_shape`` and ``_apply(x)``. Its dtype follows the input.
    """

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        raise NotImplementedError

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``y``."""
        raise NotImplementedError

    def _apply(self, x: Array) -> Array:
        raise NotImplementedError

    def __call__(self, x: Any) -> Array:
        """Measure ``x`` of shape ``in_shape``; returns ``y`` of shape ``out_shape``."""
        name = _name(self)
        x = checks.array(name, "x", x)
        checks.shape_is(name, "x", x, self.in_shape, "Use jax.vmap for a batch of signals.")
        return self._apply(x)


class LinearOperator(Operator):
    """A linear measurement map with its adjoint and an algebra.

    A subclass gives ``in_shape``, ``out_shape``, ``_apply(x)`` and ``_adjoint(y)``;
    ``in_dtype`` is the type of ``x`` that ``norm`` and ``todense`` use.
    """

    __array_priority__ = 1000.0  # numpy arrays on the left leave `*` and `@` to us
    __array_ufunc__ = None

    @property
    def in_dtype(self) -> Any:
        """Type of ``x`` for ``norm`` and ``todense``: that of the leaves, else the default float."""
        leaves = [x for x in jax.tree.leaves(self) if jnp.issubdtype(jnp.result_type(x), jnp.inexact)]
        return jnp.result_type(*leaves) if leaves else jnp.result_type(float)

    def _adjoint(self, y: Array) -> Array:
        raise NotImplementedError

    def adjoint(self, y: Any) -> Array:
        """Apply the adjoint: ⟨A x, y⟩ = ⟨x, A* y⟩ for all x and y."""
        name = f"{_name(self)}.adjoint"
        y = checks.array(name, "y", y)
        checks.shape_is(name, "y", y, self.out_shape, "Use jax.vmap for a batch of measurements.")
        return self._adjoint(y)

    @property
    def H(self) -> LinearOperator:
        """The adjoint as an operator."""
        return Adjoint(self)

    @property
    def T(self) -> LinearOperator:
        """The transpose (without conjugation) as an operator."""
        return Transpose(self)

    def gram(self, x: Any) -> Array:
        """Apply A* A."""
        return self.adjoint(self(x))

    def norm(self, *, tol: float = 1e-3, max_steps: int = 1000) -> Array:
        """Return the spectral norm ‖A‖₂ (not squared), by power iteration on A* A.

        The estimate is from below; ``tol`` bounds the relative residual of the last step.
        """
        start = _random_start(self.in_shape, self.in_dtype)
        found = numerics.power_iteration(self.gram, start, tol=tol, max_steps=max_steps)
        return jnp.sqrt(found.value)

    def todense(self) -> Array:
        """Return the matrix of shape ``(prod(out_shape), prod(in_shape))``, column by column."""
        size = math.prod(self.in_shape)
        basis = jnp.eye(size, dtype=self.in_dtype).reshape(size, *self.in_shape)
        columns = jax.lax.map(self._apply, basis)
        return columns.reshape(size, -1).T

    @overload
    def __matmul__(self, other: LinearOperator) -> LinearOperator: ...
    @overload
    def __matmul__(self, other: Any) -> Any: ...
    def __matmul__(self, other: Any) -> Any:
        """Compose with an operator, or apply to an array."""
        if not isinstance(other, LinearOperator):
            return self(other)
        checks.shape_is("A @ B", "B's output", jnp.empty(other.out_shape), self.in_shape)
        return Product(self, other)

    def __add__(self, other: LinearOperator) -> LinearOperator:
        """Add two operators of equal shapes."""
        if not isinstance(other, LinearOperator):
            return NotImplemented
        for side in ("in_shape", "out_shape"):
            if getattr(self, side) != getattr(other, side):
                expected = f"have the {side} {getattr(self, side)} of A"
                checks.fail("A + B", "B", expected, f"{getattr(other, side)}")
        return Sum(self, other)

    def __mul__(self, factor: Any) -> LinearOperator:
        """Scale by a number."""
        if isinstance(factor, Operator) or jnp.ndim(factor) != 0:
            hint = "Compose operators with @; weight entries with operators.mask."
            checks.fail_type("c * A", "c", "be a scalar", factor, hint)
        return Scaled(jnp.asarray(factor), self)

    __rmul__ = __mul__

    def __neg__(self) -> LinearOperator:
        return Scaled(jnp.asarray(-1.0), self)

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        return self + (-other)


def _name(op: Operator) -> str:
    return type(op).__name__


def _random_start(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return a fixed start for power iterations: random, so not orthogonal to what is sought."""
    return jax.random.normal(jax.random.key(0), shape, dtype)


@pytree
class Adjoint(LinearOperator):
    """``A.H``."""

    operator: LinearOperator

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.operator.out_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.operator.in_shape

    @property
    def H(self) -> LinearOperator:
        return self.operator

    def _apply(self, x: Array) -> Array:
        return self.operator._adjoint(x)

    def _adjoint(self, y: Array) -> Array:
        return self.operator._apply(y)


@pytree
class Transpose(LinearOperator):
    """``A.T``: conjugate, adjoint, conjugate."""

    operator: LinearOperator

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.operator.out_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.operator.in_shape

    @property
    def T(self) -> LinearOperator:
        return self.operator

    def _apply(self, x: Array) -> Array:
        return jnp.conj(self.operator._adjoint(jnp.conj(x)))

    def _adjoint(self, y: Array) -> Array:
        return jnp.conj(self.operator._apply(jnp.conj(y)))


@pytree
class Product(LinearOperator):
    """``A @ B``: first B, then A."""

    left: LinearOperator
    right: LinearOperator

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.right.in_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.left.out_shape

    @property
    def in_dtype(self) -> Any:
        return self.right.in_dtype

    def _apply(self, x: Array) -> Array:
        return self.left._apply(self.right._apply(x))

    def _adjoint(self, y: Array) -> Array:
        return self.right._adjoint(self.left._adjoint(y))


@pytree
class Sum(LinearOperator):
    """``A + B``."""

    left: LinearOperator
    right: LinearOperator

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.left.in_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.left.out_shape

    def _apply(self, x: Array) -> Array:
        return self.left._apply(x) + self.right._apply(x)

    def _adjoint(self, y: Array) -> Array:
        return self.left._adjoint(y) + self.right._adjoint(y)


@pytree
class Scaled(LinearOperator):
    """``c * A``."""

    factor: Array
    operator: LinearOperator

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.operator.in_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.operator.out_shape

    @property
    def in_dtype(self) -> Any:
        return self.operator.in_dtype

    def _apply(self, x: Array) -> Array:
        y = self.operator._apply(x)
        return self.factor.astype(jnp.result_type(y, _weak(self.factor))) * y

    def _adjoint(self, y: Array) -> Array:
        x = self.operator._adjoint(y)
        factor = jnp.conj(self.factor)
        return factor.astype(jnp.result_type(x, _weak(factor))) * x


def _weak(factor: Array) -> Any:
    """Return the kind of the factor without its width, so that a scalar never widens a result."""
    return complex if jnp.iscomplexobj(factor) else float
