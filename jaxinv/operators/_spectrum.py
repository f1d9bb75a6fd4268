"""Singular values, all of them where a fast transform finds them, and the factors of operators."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Inexact

from jaxinv._core import checks, numerics, pytree, replace


@pytree
class Diagonalization:
    r"""An orthonormal basis in which A* A is diagonal; from ``A.diagonalization()``.

    .. math:: A^* A = U^* \operatorname{diag}(\sigma^2) U, \qquad U^* U = U U^* = I

    It solves exactly what would take conjugate gradients, at the cost of two transforms:
    (A* A + μ)⁻¹ v is ``d.multiply(1 / (d.eigenvalues + mu), v)``.

    Attributes:
        basis: U, a linear operator; None for the standard basis.
        singular_values: σ >= 0, in no order, of a shape that broadcasts against ``U x``; a scalar
            where A* A is a multiple of the identity.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxinv.operators import convolution
        >>> A = convolution(jnp.array([1.0, 2.0, 1.0]), 6)
        >>> d, x = A.diagonalization(), jnp.arange(6.0)
        >>> bool(jnp.allclose(d.multiply(d.eigenvalues, x), A.gram(x), atol=1e-4))
        True
    """

    basis: Any
    singular_values: Array

    @property
    def eigenvalues(self) -> Inexact[Array, "..."]:
        """σ², the eigenvalues of A* A."""
        return jnp.square(self.singular_values)

    def transform(self, x: Inexact[Array, "*shape"]) -> Inexact[Array, "..."]:
        """Return the coefficients U x."""
        return x if self.basis is None else self.basis._apply(x)

    def inverse(self, coefficients: Inexact[Array, "..."]) -> Inexact[Array, "*shape"]:
        """Return U* c, which undoes ``transform``."""
        return coefficients if self.basis is None else self.basis._adjoint(coefficients)

    def multiply(
        self, weights: Inexact[Array, "..."], x: Inexact[Array, "*shape"]
    ) -> Inexact[Array, "*shape"]:
        """Return U* (w ⊙ U x), in the precision of x: a function of A* A where w is one of σ."""
        coefficients = self.transform(x)
        if not jnp.iscomplexobj(weights):
            weights = weights.astype(numerics.real_dtype(coefficients.dtype))
        return self.inverse(weights * coefficients)

    def conjugate(self) -> Diagonalization:
        """Diagonalize the complex conjugate of A* A."""
        return self if self.basis is None else replace(self, basis=self.basis.H.T)

    def after(self, unitary: Any) -> Diagonalization:
        """Diagonalize (A Q)* A Q for a unitary operator Q."""
        return replace(self, basis=unitary if self.basis is None else self.basis @ unitary)

    def scaled(self, size: Inexact[Array, ""]) -> Diagonalization:
        """Diagonalize (c A)* c A for |c| = ``size``."""
        return replace(self, singular_values=scaled(size, self.singular_values))


def largest_singular_value(
    apply: Callable[[Array], Array],
    adjoint: Callable[[Array], Array],
    start: Array,
    tol: Any,
    max_steps: Any,
) -> tuple[Array, Array, Array]:
    r"""Find the largest singular value and its vectors by turns of A and A*.

    .. math:: u \leftarrow A v / \|A v\|, \qquad v \leftarrow A^* u / \|A^* u\|

    Power iteration on A* A without its square: whatever the scale of A, nothing leaves the range
    of the type unless ‖A‖ does. It stops at a relative residual ‖A* A v − σ² v‖ / σ² of ``tol``.

    Returns:
        (σ, u, v), all 0 for the zero operator, NaN for one with NaN.
    """
    forward = jax.eval_shape(apply, start)
    kind = jax.eval_shape(adjoint, forward).dtype  # of a complex multiple of a real A: complex
    forward = jax.eval_shape(apply, jax.ShapeDtypeStruct(start.shape, kind))
    image = jnp.zeros(forward.shape, forward.dtype)
    size, vector = jnp.zeros((), numerics.real_dtype(image.dtype)), _unit(start)[1].astype(kind)

    def unfinished(carry: Any) -> Array:
        *_, residual, num_steps = carry
        return (residual > tol) & (num_steps < max_steps)

    def body(carry: Any) -> Any:
        _, _, vector, _, num_steps = carry
        size, image = _unit(apply(vector))
        back = adjoint(image)
        change = back - size.astype(vector.dtype) * vector
        residual = numerics.safe_divide(_unit(change)[0], size)
        following = _unit(back)
        return following[0], image, following[1], residual.astype(size.dtype), num_steps + 1

    first = (size, image, vector, jnp.full_like(size, jnp.inf), jnp.zeros((), jnp.int32))
    size, image, vector, _, _ = lax.while_loop(unfinished, body, first)
    return size, image, vector


def _unit(x: Array) -> tuple[Array, Array]:
    """Return ‖x‖ and x / ‖x‖, which is 0 for x = 0."""
    size = numerics.safe_norm(x)
    return size, numerics.safe_divide(x, size)


def scalar(where: str, value: Any) -> Array:
    """Return a number as a floating or complex array that holds it."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if not isinstance(value, numbers.Number) and getattr(value, "shape", None) != ():
        hint = "Compose operators with @; weight entries with operators.mask."
        checks.fail_type(where, "c", "be a scalar", value, hint)
    if isinstance(value, numbers.Real):  # an integer of any length
        try:
            value = float(value)
        except OverflowError:
            checks.fail(where, "c", "be a finite number", value)
    result = checks.array(where, "c", value)
    checks.finite(where, "c", result)
    return result


def scaled(factor: Array, value: Array) -> Array:
    """Multiply in the type of ``value``: a scalar gives its kind but never its width."""
    kind = complex if jnp.iscomplexobj(factor) else float
    result = jnp.result_type(value, kind)
    wide = jnp.promote_types(result, jnp.float32)  # half precision cannot hold every factor
    own = wide if jnp.iscomplexobj(factor) else numerics.real_dtype(wide)
    return (factor.astype(own) * value.astype(wide)).astype(result)
