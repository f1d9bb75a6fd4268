"""The operator contract, and the algebra of linear operators."""

from __future__ import annotations

import math
import numbers
from typing import Any, NoReturn, overload

import jax
import jax.numpy as jnp

from jaxinv._core import checks, numerics, pytree
from jaxinv.operators._require import require_memory

Array = jax.Array


class Operator:
    """A measurement map ``y = op(x)``: arrays are leaves, shapes are static.

    A subclass gives ``in_shape``, ``out_shape`` (where it differs) and ``_apply(x)``. Its dtype
    follows the input.
    """

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        raise NotImplementedError

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``y``; that of ``x`` unless the operator says otherwise."""
        return self.in_shape

    def _apply(self, x: Array) -> Array:
        raise NotImplementedError

    def _ndims(self) -> dict[str, int]:
        """Return how many axes the arrays of one operator have, to tell it from a batch."""
        return {}

    def __call__(self, x: Any) -> Array:
        """Measure ``x`` of shape ``in_shape``; returns ``y`` of shape ``out_shape``."""
        name = _name(self)
        require_single(self)
        x = checks.array(name, "x", x)
        checks.shape_is(name, "x", x, self.in_shape, "Use jax.vmap for a batch of signals.")
        return self._apply(x)

    def __matmul__(self, other: Any) -> Any:
        """Apply to an array, as a call does."""
        if isinstance(other, Operator):
            hint = "Compose its linear part, op.linear @ B, and wrap the result."
            checks.fail_type("A @ B", "A", "be linear to be composed", self, hint)
        return self(other)


def require_single(op: Operator) -> None:
    """Refuse a batch of operators outside ``vmap``, which would broadcast to wrong numbers."""
    for name, ndim in op._ndims().items():
        held = getattr(op, name)
        if getattr(held, "ndim", 0) > ndim:
            hint = "The operator holds a batch; use jax.vmap."
            checks.fail(_name(op), name, f"have {ndim} dimension(s)", held, hint)
    for name in getattr(op, "__dataclass_fields__", ()):
        if isinstance(getattr(op, name), Operator):
            require_single(getattr(op, name))


class LinearOperator(Operator):
    """A linear measurement map with its adjoint and an algebra.

    A subclass gives ``in_shape``, ``out_shape``, ``_apply(x)`` and ``_adjoint(y)``; where a
    closed form is cheaper it also gives ``_gram(x)`` or ``norm``. ``in_dtype`` is the type of
    ``x`` that ``norm`` and ``todense`` use.

    Adjoints are taken in the real inner product Re⟨A x, y⟩ = Re⟨x, A* y⟩. For every map that is
    linear over the complex numbers this is the usual one; it also covers maps from real signals
    to complex measurements, whose adjoint ends with a real part.
    """

    __array_priority__ = 1000.0  # numpy arrays on the left leave `*` and `@` to us
    __array_ufunc__ = None

    @property
    def in_dtype(self) -> Any:
        """Type of ``x`` for ``norm`` and ``todense``: the leaves', else the default float."""
        leaves = [
            x for x in jax.tree.leaves(self) if jnp.issubdtype(jnp.result_type(x), jnp.inexact)
        ]
        return jnp.result_type(*leaves) if leaves else jnp.result_type(float)

    @property
    def out_dtype(self) -> Any:
        """Type of ``A x`` for ``x`` of type ``in_dtype``."""
        return _result_dtype(self._apply, self.in_shape, self.in_dtype)

    def _adjoint(self, y: Array) -> Array:
        raise NotImplementedError

    def _gram(self, x: Array) -> Array:
        return self._adjoint(self._apply(x))

    def adjoint(self, y: Any) -> Array:
        """Apply the adjoint: ⟨A x, y⟩ = ⟨x, A* y⟩ for all x and y."""
        name = f"{_name(self)}.adjoint"
        require_single(self)
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
        """Apply A* A to ``x`` of shape ``in_shape``."""
        name = f"{_name(self)}.gram"
        require_single(self)
        x = checks.array(name, "x", x)
        checks.shape_is(name, "x", x, self.in_shape, "Use jax.vmap for a batch of signals.")
        return self._gram(x)

    def norm(self, *, tol: float = 1e-3, max_steps: int = 1000) -> Array:
        """Return the spectral norm ‖A‖₂ (not squared), by power iteration on A* A.

        The estimate is from below; ``tol`` bounds the relative residual of the last step.
        Operators with a closed form return it and ignore both arguments. Reverse-mode
        differentiation does not pass through the iteration (a ``lax.while_loop``); for matrices
        differentiate ``jnp.linalg.norm(A.todense(), 2)``.
        """
        where = f"{_name(self)}.norm"
        require_single(self)
        tol = checks.nonnegative(where, "tol", tol)
        if checks.is_concrete(max_steps):
            max_steps = checks.count(where, "max_steps", max_steps)
        start = _random_start(self.in_shape, self.in_dtype)
        found = numerics.power_iteration(self._gram, start, tol=tol, max_steps=max_steps)
        return jnp.sqrt(found.value)

    def todense(self) -> Array:
        """Return the matrix of shape ``(prod(out_shape), prod(in_shape))``, column by column."""
        require_single(self)
        size = math.prod(self.in_shape)
        require_memory(f"{_name(self)}.todense", math.prod(self.out_shape), size, self.out_dtype)
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
            if isinstance(other, Operator):
                checks.fail_type("A @ B", "B", "be linear to be composed", other)
            return self(other)
        if other.out_shape != self.in_shape:
            expected = f"have the out_shape {self.in_shape} that A accepts"
            checks.fail("A @ B", "B", expected, f"{other.out_shape}")
        return Product(self, other)

    def __rmatmul__(self, other: Any) -> NoReturn:
        hint = "Write A.T @ y for the row vector y times A, or A.H @ y for the adjoint."
        checks.fail_type("y @ A", "y", "be an operator", other, hint)

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
        _require_scalar("c * A", factor)
        return Scaled(jnp.asarray(factor), self)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> LinearOperator:
        """Divide by a number."""
        _require_scalar("A / c", divisor)
        if checks.is_concrete(divisor) and divisor == 0:
            checks.fail("A / c", "c", "not be zero", divisor)
        return self * (1 / divisor)

    def __neg__(self) -> LinearOperator:
        return Scaled(jnp.asarray(-1.0), self)

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        return self + (-other)


def _require_scalar(where: str, value: Any) -> None:
    if not isinstance(value, numbers.Number) and getattr(value, "shape", None) != ():
        hint = "Compose operators with @; weight entries with operators.mask."
        checks.fail_type(where, "c", "be a scalar", value, hint)


def _name(op: Operator) -> str:
    return type(op).__name__


def _random_start(shape: tuple[int, ...], dtype: Any) -> Array:
    """Return a fixed start for power iterations: random, so not orthogonal to what is sought."""
    return jax.random.normal(jax.random.key(0), shape, dtype)


def _result_dtype(function: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.eval_shape(function, jax.ShapeDtypeStruct(shape, dtype)).dtype


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
    def in_dtype(self) -> Any:
        return self.operator.out_dtype

    @property
    def H(self) -> LinearOperator:
        return self.operator

    def _apply(self, x: Array) -> Array:
        return self.operator._adjoint(x)

    def _adjoint(self, y: Array) -> Array:
        return self.operator._apply(y)

    def norm(self, *, tol: float = 1e-3, max_steps: int = 1000) -> Array:
        return self.operator.norm(tol=tol, max_steps=max_steps)

    def todense(self) -> Array:
        return jnp.conj(self.operator.todense().T)


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
    def in_dtype(self) -> Any:
        return self.operator.out_dtype

    @property
    def T(self) -> LinearOperator:
        return self.operator

    def _apply(self, x: Array) -> Array:
        return jnp.conj(self.operator._adjoint(jnp.conj(x)))

    def _adjoint(self, y: Array) -> Array:
        return jnp.conj(self.operator._apply(jnp.conj(y)))

    def norm(self, *, tol: float = 1e-3, max_steps: int = 1000) -> Array:
        return self.operator.norm(tol=tol, max_steps=max_steps)

    def todense(self) -> Array:
        return self.operator.todense().T


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
        # a complex A after a real B makes A* A complex; a real-signal B keeps it real
        return _result_dtype(self._gram, self.right.in_shape, self.right.in_dtype)

    def _apply(self, x: Array) -> Array:
        return self.left._apply(self.right._apply(x))

    def _adjoint(self, y: Array) -> Array:
        return self.right._adjoint(self.left._adjoint(y))

    def _gram(self, x: Array) -> Array:
        return self.right._adjoint(self.left._gram(self.right._apply(x)))


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

    @property
    def in_dtype(self) -> Any:
        dtype = jnp.result_type(self.left.in_dtype, self.right.in_dtype)
        return _result_dtype(self._gram, self.in_shape, dtype)

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

    def _ndims(self) -> dict[str, int]:
        return {"factor": 0}

    def _apply(self, x: Array) -> Array:
        return _scale(self.factor, self.operator._apply(x))

    def _adjoint(self, y: Array) -> Array:
        # before A*, not after: a real-signal operator takes the real part of the product
        return self.operator._adjoint(_scale(jnp.conj(self.factor), y))

    def _gram(self, x: Array) -> Array:
        return _scale(numerics.sum_squares(self.factor), self.operator._gram(x))

    def norm(self, *, tol: float = 1e-3, max_steps: int = 1000) -> Array:
        return _scale(jnp.abs(self.factor), self.operator.norm(tol=tol, max_steps=max_steps))

    def todense(self) -> Array:
        return _scale(self.factor, self.operator.todense())


def _scale(factor: Array, value: Array) -> Array:
    """Multiply in the type of ``value``: a scalar gives its kind but never its width."""
    kind = complex if jnp.iscomplexobj(factor) else float
    return factor.astype(jnp.result_type(value, kind)) * value
