"""Any linear JAX function as an operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv._core.checks import as_function
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._require import fail_function

_WHERE = "from_function"


@pytree
class LinearFunction(LinearOperator):
    """A linear function with the adjoint that JAX derives; see ``from_function``."""

    function: Any
    shape: tuple[int, ...] = static()
    measured: tuple[int, ...] = static()
    dtype: Any = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.measured

    @property
    def in_dtype(self) -> Any:
        return self.dtype

    def _apply(self, x: Array) -> Array:
        try:
            return self.function(x)
        except (TypeError, ValueError) as error:  # a type that the function does not know
            fail_function("LinearFunction", "x", f"{checks.show(x)} in the function", error)

    def _adjoint(self, y: Array) -> Array:
        try:
            return self._transposed(y)
        except (TypeError, ValueError) as error:
            where = "LinearFunction.adjoint"
            fail_function(where, "y", f"{checks.show(y)} in the function", error)

    def _transposed(self, y: Array) -> Array:
        # the signal's type at the precision of y: JAX transposes at one type exactly
        real = numerics.real_dtype(y.dtype)
        is_complex = jnp.issubdtype(self.dtype, jnp.complexfloating)
        signal = jax.ShapeDtypeStruct(
            self.shape, jnp.result_type(real, jnp.complex64) if is_complex else real
        )
        measured = jax.eval_shape(self.function, signal).dtype
        if jnp.iscomplexobj(y) and not jnp.issubdtype(measured, jnp.complexfloating):
            return jax.lax.complex(self._transposed(jnp.real(y)), self._transposed(jnp.imag(y)))
        (x,) = jax.linear_transpose(self.function, signal)(jnp.conj(y).astype(measured))
        return jnp.conj(x)


def from_function(
    fn: Callable[[Array], Array], in_shape: Any, dtype: Any = jnp.float32
) -> LinearFunction:
    r"""Make an operator from a linear JAX function; its adjoint is derived.

    .. math:: A x = f(x), \qquad A^* y = \overline{f^{T}(\bar{y})}

    Use it for a measurement model of your own. A hand-written adjoint is seldom faster.

    Args:
        fn: x of shape ``in_shape`` to one array. Best a module-level function, or
            ``jax.tree_util.Partial(function, *arrays)``, whose arrays stay leaves: they can be
            batched and differentiated. A lambda or a closure works too, but each new one is
            compiled again and its arrays become constants of the program.
        in_shape: shape of x.
        dtype: type of x; complex if the signal is. Other precisions work as well.

    Returns:
        An operator from ``in_shape`` to the shape of ``fn``'s result. If ``dtype`` is real and
        the result is complex, the adjoint is the one of Re⟨A x, y⟩ = ⟨x, A* y⟩.

    Raises:
        ValueError: ``fn`` is not linear (also if affine), raises on x, or does not return one
            array.
        TypeError: ``fn`` is not callable.

    Cost: that of ``fn``, for the adjoint too.

    Example:
        >>> import jax.numpy as jnp
        >>> A = from_function(jnp.cumsum, 3)
        >>> A @ jnp.ones(3), A.H @ jnp.ones(3)
        (Array([1., 2., 3.], dtype=float32), Array([3., 2., 1.], dtype=float32))

    Source: Frostig et al. (2021), "Decomposing reverse-mode automatic differentiation".
    """
    function = as_function(_WHERE, "fn", fn, "fn(x)")
    shape = checks.shape(_WHERE, "in_shape", in_shape)
    dtype = checks.float_type(_WHERE, dtype)
    signal = jax.ShapeDtypeStruct(shape, dtype)
    try:
        result = jax.eval_shape(function, signal)
    except Exception as error:  # whatever the user's function raises
        name = getattr(getattr(function, "func", function), "__name__", repr(function))
        fail_function(_WHERE, f"fn {name}", f"x of shape {shape} {dtype.name}", error)
    if not isinstance(result, jax.ShapeDtypeStruct) or not jnp.issubdtype(
        result.dtype, jnp.inexact
    ):
        checks.fail(_WHERE, "fn", "return one floating or complex array", f"{result}")
    _require_linear(function, signal, result)
    return LinearFunction(function, shape, result.shape, dtype)


def _require_linear(
    function: Any, signal: jax.ShapeDtypeStruct, result: jax.ShapeDtypeStruct
) -> None:
    try:
        jax.eval_shape(jax.linear_transpose(function, signal), result)
    except Exception as error:  # JAX raises a different type for each kind of non-linearity
        hint = f"JAX says: {type(error).__name__}: {str(error).splitlines()[0][:120]}"
        checks.fail(_WHERE, "fn", "be linear, so that JAX can transpose it", f"{function}", hint)
    # a constant term has a transpose all the same
    constant = function(jnp.zeros(signal.shape, signal.dtype))
    if checks.is_concrete(constant) and bool(jnp.any(constant != 0)):
        checks.fail(_WHERE, "fn", "map 0 to 0", "an affine function", "Subtract fn(0) from y.")
