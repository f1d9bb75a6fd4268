"""What operators are composed of: adjoints, products, sums and multiples."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Inexact

from jaxinv._core import pytree
from jaxinv.operators._base import LinearOperator, result_dtype
from jaxinv.operators._spectrum import Diagonalization, scaled


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

    def norm(self, *, tol: float | int = 1e-3, max_steps: int = 1000) -> Array:
        return self.operator.norm(tol=tol, max_steps=max_steps)


@pytree
class Adjoint(_Swapped):
    """``A.H``.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> A, B = (ji.operators.dense(jnp.array([row])) for row in ([1.0, 2.0], [3.0, 4.0]))
        >>> A.H(jnp.array([1.0])).tolist()
        [1.0, 2.0]
    """

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

    def todense(self) -> Inexact[Array, "m n"]:
        return jnp.conj(self.operator.todense().T)


@pytree
class Transpose(_Swapped):
    """``A.T``: conjugate, adjoint, conjugate.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> A, B = (ji.operators.dense(jnp.array([row])) for row in ([1.0, 2.0], [3.0, 4.0]))
        >>> A.T(jnp.array([1.0])).tolist()
        [1.0, 2.0]
    """

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

    def todense(self) -> Inexact[Array, "m n"]:
        return self.operator.todense().T


@pytree
class Product(LinearOperator):
    """``A @ B``: first B, then A.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> A, B = (ji.operators.dense(jnp.array([row])) for row in ([1.0, 2.0], [3.0, 4.0]))
        >>> (A @ B.H)(jnp.array([1.0])).tolist()
        [11.0]
    """

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
        return result_dtype(self._gram, self.right.in_shape, self.right.in_dtype)

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
    """``A + B``.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> A, B = (ji.operators.dense(jnp.array([row])) for row in ([1.0, 2.0], [3.0, 4.0]))
        >>> (A + B)(jnp.array([1.0, 1.0])).tolist()
        [10.0]
    """

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
        return result_dtype(self._gram, self.in_shape, dtype)

    def _apply(self, x: Array) -> Array:
        return self.left._apply(x) + self.right._apply(x)

    def _adjoint(self, y: Array) -> Array:
        return self.left._adjoint(y) + self.right._adjoint(y)


@pytree
class Scaled(LinearOperator):
    """``c * A``.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> A, B = (ji.operators.dense(jnp.array([row])) for row in ([1.0, 2.0], [3.0, 4.0]))
        >>> (2 * A)(jnp.array([1.0, 1.0])).tolist()
        [6.0]
    """

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

    def norm(self, *, tol: float | int = 1e-3, max_steps: int = 1000) -> Float[Array, ""]:
        return scaled(jnp.abs(self.factor), self.operator.norm(tol=tol, max_steps=max_steps))

    def todense(self) -> Inexact[Array, "m n"]:
        return scaled(self.factor, self.operator.todense())
