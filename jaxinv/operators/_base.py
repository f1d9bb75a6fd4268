"""The contracts of operators and of linear ones, and what runs them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import AxisType
from jax.typing import ArrayLike
from jaxtyping import Float, Inexact, Num

from jaxinv._core import checks, numerics
from jaxinv.operators._require import require_memory
from jaxinv.operators._spectrum import Diagonalization, largest_singular_value, scalar


def name_of(op: Any) -> str:
    """Return the name of an operator's class, for messages."""
    return type(op).__name__


def run(where: str, argument: str, op: Any, product: Callable[[Array], Array], x: Array) -> Array:
    """Call a product; where a mesh with explicit axes forbids it, say so in one line."""
    try:
        return product(x)
    except Exception as error:  # ShardingTypeError is not public, and other types occur
        if not any(_is_explicit(leaf) for leaf in jax.tree.leaves((op, x))):
            raise
        hint = (
            "Make the mesh with jax.make_mesh(shape, names, axis_types=(AxisType.Auto,) * "
            f"len(names)). JAX says: {' '.join(str(error).split())[:160]}"
        )
        expected = "be on mesh axes of type AxisType.Auto for this product, as the operator"
        raise ValueError(
            f"{where}: {argument} must {expected}, got {jax.typeof(x)} on Explicit ones. {hint}"
        ) from error


def _is_explicit(leaf: Any) -> bool:
    if not isinstance(leaf, jax.Array):
        return False
    sharding: Any = jax.typeof(leaf).sharding
    return AxisType.Explicit in getattr(sharding.mesh, "axis_types", ())


class Operator:
    """A measurement map ``y = op(x)``: arrays are leaves, shapes are static.

    A subclass gives ``in_shape``, ``out_shape`` (where it differs) and ``_apply(x)``. Its dtype
    follows the input.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> magnitude = ji.operators.magnitude(ji.operators.dense(jnp.array([[1.0, -2.0]])))
        >>> magnitude(jnp.array([0.0, 1.0])).tolist(), magnitude.in_shape, magnitude.out_shape
        ([2.0], (2,), (1,))
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

    def check_measurements(self, where: str, argument: str, y: Any) -> None:
        """Refuse measurements that this operator never makes, as far as they can be looked at."""

    def __call__(self, x: Num[ArrayLike, "*in"]) -> Inexact[Array, "*out"]:
        """Measure ``x`` of shape ``in_shape``; returns ``y`` of shape ``out_shape``."""
        name = name_of(self)
        require_single(self)
        x = checks.array(name, "x", x)
        checks.shape_is(name, "x", x, self.in_shape, "Use jax.vmap for a batch of signals.")
        return run(name, "x", self, self._apply, x)

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
            checks.fail(name_of(op), name, f"have {ndim} dimension(s)", held, hint)
    for name in getattr(op, "__dataclass_fields__", ()):
        held = getattr(op, name)
        for inner in held if isinstance(held, tuple) else (held,):
            if isinstance(inner, Operator):
                require_single(inner)


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
        return result_dtype(self._apply, self.in_shape, self.in_dtype)

    def _adjoint(self, y: Array) -> Array:
        raise NotImplementedError

    def _gram(self, x: Array) -> Array:
        return self._adjoint(self._apply(x))

    def adjoint(self, y: Num[ArrayLike, "*out"]) -> Inexact[Array, "*in"]:
        """Apply the adjoint: ⟨A x, y⟩ = ⟨x, A* y⟩ for all x and y."""
        name = f"{name_of(self)}.adjoint"
        require_single(self)
        y = checks.array(name, "y", y)
        checks.shape_is(name, "y", y, self.out_shape, "Use jax.vmap for a batch of measurements.")
        return run(name, "y", self, self._adjoint, y)

    @property
    def H(self) -> LinearOperator:
        """The adjoint as an operator."""
        return _algebra.Adjoint(self)

    @property
    def T(self) -> LinearOperator:
        """The transpose (without conjugation) as an operator."""
        return _algebra.Transpose(self)

    def gram(self, x: Num[ArrayLike, "*in"]) -> Inexact[Array, "*in"]:
        """Apply A* A to ``x`` of shape ``in_shape``."""
        name = f"{name_of(self)}.gram"
        require_single(self)
        x = checks.array(name, "x", x)
        checks.shape_is(name, "x", x, self.in_shape, "Use jax.vmap for a batch of signals.")
        return run(name, "x", self, self._gram, x)

    def norm(self, *, tol: float | int = 1e-3, max_steps: int = 1000) -> Float[Array, ""]:
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

    def todense(self) -> Inexact[Array, "m n"]:
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
        return _algebra.Product(self, other)

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
        return _algebra.Sum(self, other)

    def __mul__(self, factor: Any) -> LinearOperator:
        """Scale by a number."""
        return _algebra.Scaled(scalar("c * A", factor), self)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> LinearOperator:
        """Divide by a number."""
        divisor = scalar("A / c", divisor)
        if checks.is_concrete(divisor) and divisor == 0:
            checks.fail("A / c", "c", "not be zero", divisor)
        return _algebra.Scaled(
            1 / divisor.astype(jnp.promote_types(divisor.dtype, jnp.float32)), self
        )

    def __neg__(self) -> LinearOperator:
        return _algebra.Scaled(jnp.asarray(-1.0), self)

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        return self + (-other)


def result_dtype(function: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.eval_shape(function, jax.ShapeDtypeStruct(shape, dtype)).dtype


from jaxinv.operators import _algebra  # noqa: E402  # its classes are LinearOperators
