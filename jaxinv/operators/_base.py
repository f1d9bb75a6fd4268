"""Linear operators and their algebra."""

from __future__ import annotations

import math
from typing import Any, overload

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree
from jaxinv.operators._contract import Operator, name_of, require_single, run, scalar, scaled
from jaxinv.operators._require import require_memory
from jaxinv.operators._spectrum import Diagonalization, largest_singular_value


class LinearOperator(Operator):
    """A linear measurement map with its adjoint and an algebra.

    A subclass gives ``in_shape``, ``out_shape``, ``_apply(x)`` and ``_adjoint(y)``; where a
    closed form is cheaper it also gives ``_gram(x)``, ``norm``, or ``_diagonalization()``, from
    which ``norm`` follows. ``in_dtype`` is the type of ``x`` that ``norm`` and ``todense`` use.

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
        name = f"{name_of(self)}.adjoint"
        require_single(self)
        y = checks.array(name, "y", y)
        checks.shape_is(name, "y", y, self.out_shape, "Use jax.vmap for a batch of measurements.")
        return run(name, "y", self, self._adjoint, y)

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
        name = f"{name_of(self)}.gram"
        require_single(self)
        x = checks.array(name, "x", x)
        checks.shape_is(name, "x", x, self.in_shape, "Use jax.vmap for a batch of signals.")
        return run(name, "x", self, self._gram, x)

    def norm(self, *, tol: float = 1e-3, max_steps: int = 1000) -> Array:
        """Return the spectral norm ‖A‖₂ (not squared), by turns of A and A* at any scale.

        The estimate is from below; ``tol`` bounds the relative residual of the last step on
        A* A. Operators with a diagonalization return the exact value and ignore both arguments.
        The derivative is that of a simple singular value, and as exact as its vectors.
        """
        where = f"{name_of(self)}.norm"
        require_single(self)
        tol = checks.nonnegative(where, "tol", tol)
        if checks.is_concrete(max_steps):
            max_steps = checks.count(where, "max_steps", max_steps)
        found = self._diagonalization() or self._outer_diagonalization()
        real = numerics.real_dtype(self.in_dtype)
        if found is not None:
            return jnp.max(found.singular_values).astype(real)
        wide = jnp.promote_types(self.in_dtype, jnp.float32)
        held = jax.tree.map(lax.stop_gradient, self)
        # a random start, so not orthogonal to what is sought
        start = jax.random.normal(jax.random.key(0), self.in_shape, wide)
        _, u, v = largest_singular_value(held._apply, held._adjoint, start, tol, max_steps)
        return jnp.real(numerics.inner(u, self._apply(v))).astype(real)

    def diagonalization(self) -> Diagonalization | None:
        """Return an orthonormal basis in which A* A is diagonal; None where no fast one is known.

        It costs no product with A. The one of A A* is that of ``A.H``.
        """
        require_single(self)
        return self._diagonalization()

    @property
    def _is_unitary(self) -> bool:
        """Whether A* A and A A* are the identity, whatever the leaves."""
        return False

    def _diagonalization(self) -> Diagonalization | None:
        one = jnp.ones((), numerics.real_dtype(self.in_dtype))
        return Diagonalization(None, one) if self._is_unitary else None

    def _outer_diagonalization(self) -> Diagonalization | None:
        """Diagonalize A A*."""
        return LinearOperator._diagonalization(self)

    def _is_diagonal_in(self, basis: Any) -> bool:
        """Whether A itself, not only A* A, is diagonal in a basis."""
        return False

    def todense(self) -> Array:
        """Return the matrix of shape ``(prod(out_shape), prod(in_shape))``, column by column."""
        require_single(self)
        size = math.prod(self.in_shape)
        require_memory(f"{name_of(self)}.todense", math.prod(self.out_shape), size, self.out_dtype)
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

    def __rmatmul__(self, other: Any) -> Any:
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
        return Scaled(scalar("c * A", factor), self)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> LinearOperator:
        """Divide by a number."""
        divisor = scalar("A / c", divisor)
        if checks.is_concrete(divisor) and divisor == 0:
            checks.fail("A / c", "c", "not be zero", divisor)
        return Scaled(1 / divisor.astype(jnp.promote_types(divisor.dtype, jnp.float32)), self)

    def __neg__(self) -> LinearOperator:
        return Scaled(jnp.asarray(-1.0), self)

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        return self + (-other)


def _result_dtype(function: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.eval_shape(function, jax.ShapeDtypeStruct(shape, dtype)).dtype


class _Swapped(LinearOperator):
    """An operator between the same shapes as another one, the other way round."""

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
    def _is_unitary(self) -> bool:
        return self.operator._is_unitary

    def norm(self, *, tol: float = 1e-3, max_steps: int = 1000) -> Array:
        return self.operator.norm(tol=tol, max_steps=max_steps)


@pytree
class Adjoint(_Swapped):
    """``A.H``."""

    operator: LinearOperator

    @property
    def H(self) -> LinearOperator:
        return self.operator

    def _apply(self, x: Array) -> Array:
        return self.operator._adjoint(x)

    def _adjoint(self, y: Array) -> Array:
        return self.operator._apply(y)

    def _diagonalization(self) -> Diagonalization | None:
        return self.operator._outer_diagonalization()

    def _outer_diagonalization(self) -> Diagonalization | None:
        return self.operator._diagonalization()

    def _is_diagonal_in(self, basis: Any) -> bool:
        return self.operator._is_diagonal_in(basis)

    def todense(self) -> Array:
        return jnp.conj(self.operator.todense().T)


@pytree
class Transpose(_Swapped):
    """``A.T``: conjugate, adjoint, conjugate."""

    operator: LinearOperator

    @property
    def T(self) -> LinearOperator:
        return self.operator

    def _apply(self, x: Array) -> Array:
        return jnp.conj(self.operator._adjoint(jnp.conj(x)))

    def _adjoint(self, y: Array) -> Array:
        return jnp.conj(self.operator._apply(jnp.conj(y)))

    def _diagonalization(self) -> Diagonalization | None:
        found = self.operator._outer_diagonalization()
        return found and found.conjugate()

    def _outer_diagonalization(self) -> Diagonalization | None:
        found = self.operator._diagonalization()
        return found and found.conjugate()

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

    @property
    def _is_unitary(self) -> bool:
        return self.left._is_unitary and self.right._is_unitary

    def _diagonalization(self) -> Diagonalization | None:
        found = self.left._diagonalization()
        if found is None:
            return None
        if self.right._is_unitary:
            return found.after(self.right)
        inner = self.right._diagonalization()
        multiple = found.basis is None and found.singular_values.ndim == 0
        if inner is None or not (multiple or self.right._is_diagonal_in(found.basis)):
            return None
        return Diagonalization(inner.basis, found.singular_values * inner.singular_values)

    def _outer_diagonalization(self) -> Diagonalization | None:
        return Product(Adjoint(self.right), Adjoint(self.left))._diagonalization()


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
        return scaled(self.factor, self.operator._apply(x))

    def _adjoint(self, y: Array) -> Array:
        # before A*, not after: a real-signal operator takes the real part of the product
        return self.operator._adjoint(scaled(jnp.conj(self.factor), y))

    def _gram(self, x: Array) -> Array:
        # |c| twice, and not |c|², which may leave the range of the type
        size = jnp.abs(self.factor)
        return scaled(size, self.operator._gram(scaled(size, x)))

    def _diagonalization(self) -> Diagonalization | None:
        found = self.operator._diagonalization()
        return found and found.scaled(jnp.abs(self.factor))

    def _outer_diagonalization(self) -> Diagonalization | None:
        found = self.operator._outer_diagonalization()
        return found and found.scaled(jnp.abs(self.factor))

    def _is_diagonal_in(self, basis: Any) -> bool:
        # a complex c would not pass through an operator on real signals
        return not jnp.iscomplexobj(self.factor) and self.operator._is_diagonal_in(basis)

    def norm(self, *, tol: float = 1e-3, max_steps: int = 1000) -> Array:
        return scaled(jnp.abs(self.factor), self.operator.norm(tol=tol, max_steps=max_steps))

    def todense(self) -> Array:
        return scaled(self.factor, self.operator.todense())
