"""Estimates that agree with the measurements, and the scale that the measurements suggest."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Inexact, Num

from jaxinv._core import checks, numerics
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._mri import MRI, root_sum_of_squares
from jaxinv.operators._spectrum import Diagonalization

_TOL = 1e-6  # relative, of the conjugate gradients


def data_consistency(
    operator: LinearOperator,
    y: Num[ArrayLike, "*out"],
    x: Num[ArrayLike, "*in"],
    *,
    weight: Any = 0.0,
    num_steps: int = 20,
) -> Inexact[Array, "*in"]:
    r"""Bring an estimate into agreement with the measurements, and change nothing else.

    .. math:: \arg\min_z \tfrac12 \|A z - y\|^2 + \tfrac\mu2 \|z - x\|^2 ,
        \qquad \mu \to 0: \; x + A^+ (y - A x)

    With μ = 0 the measured coefficients of x are overwritten by y, as the last step of
    ConvDecoder; a small μ > 0 trusts noisy measurements less.

    Args:
        operator: A, linear. Where A* A or A A* has a diagonalization (as of ``mri``, ``mask``,
            ``convolution``, ``downsample``) the result is exact; any other, such as
            ``multicoil_mri`` with maps, takes conjugate gradients.
        y: measurements, of ``operator.out_shape``.
        x: the estimate, of ``operator.in_shape``.
        weight: μ >= 0, scalar.
        num_steps: most conjugate-gradient steps, >= 1; they stop at a relative residual of
            1e-6 of the normal equations.

    Returns:
        An array of the shape of x, complex where A* y is.

    Raises:
        TypeError: an operator that is not linear.
        ValueError: shapes that do not fit, a negative weight, NaN in y or x.

    Cost: A and A* once and two transforms; with conjugate gradients once more each a step.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxinv.operators import fourier_lines, mri
        >>> A = mri(fourier_lines(jax.random.key(0), (8, 8), 2, 0.25))
        >>> y = A @ jnp.ones((8, 8))
        >>> z = data_consistency(A, y, jnp.zeros((8, 8)))
        >>> bool(abs(A @ z - y).max() < 1e-5)
        True

    Source: Darestani, Heckel (2021), "Accelerated MRI with un-trained neural networks", section
        on data consistency; with maps: Aggarwal, Mani, Jacob (2019), MoDL, equation 9.
    """
    where = "data_consistency"
    y, x = _arguments(where, operator, y), checks.array(where, "x", x)
    checks.shape_is(where, "x", x, operator.in_shape)
    checks.finite(where, "x", x)
    weight = checks.nonnegative(where, "weight", weight, single=True)
    num_steps = checks.count(where, "num_steps", num_steps)
    return x + _move(operator, y - operator(x), weight, num_steps)


def measured_scale(
    operator: LinearOperator, y: Num[ArrayLike, "*out"], like: Any = None
) -> Float[Array, ""]:
    r"""Return the factor that brings measurements to the range a network can reach.

    .. math:: c = \|x_0\| / \|A^* y\| \quad\text{or}\quad c = 1 / \max_p |A^* y|_p

    Untrained networks start in a fixed range, scanners measure in any units: fit c y, and divide
    the estimate by c. It reads the measurements only, not the full k-space, which a real scan
    does not have.

    Args:
        operator: A, linear.
        y: measurements, of ``operator.out_shape``; not all zero.
        like: x₀, an image whose norm A* y shall have, such as the network's first output;
            None: the largest magnitude becomes 1 (of the root sum of squares over coils, where
            there is an image per coil).

    Returns:
        A positive real scalar; 1 for traced measurements that are all zero.

    Raises:
        TypeError: an operator that is not linear.
        ValueError: shapes that do not fit, NaN, measurements that are all zero.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxinv.operators import mri
        >>> A = mri(jnp.ones((4, 4), bool).at[0, 0].set(False))
        >>> y = A @ jnp.full((4, 4), 50.0)
        >>> round(float(measured_scale(A, y)), 5)
        0.02
    """
    where = "measured_scale"
    y = _arguments(where, operator, y)
    image = operator.adjoint(y)
    if like is not None:
        like = checks.array(where, "like", like)
        checks.finite(where, "like", like)
        size, target = numerics.safe_norm(image), numerics.safe_norm(like)
    else:
        per_coil = isinstance(operator, MRI) and operator.num_coils is not None
        size = jnp.max(root_sum_of_squares(image) if per_coil else numerics.magnitude(image))
        target = jnp.ones((), size.dtype)
    if checks.is_concrete(size) and not float(size) > 0:
        checks.fail(where, "y", "not be zero", "measurements whose image A* y is 0")
    return numerics.safe_divide(target.astype(size.dtype), size, default=1.0)


@partial(jax.jit, static_argnums=3)
def _move(operator: LinearOperator, residual: Array, weight: Any, num_steps: int) -> Array:
    """Solve (A* A + μ) v = A* r; for μ = 0 by the pseudoinverse where that is known."""
    slope = operator.adjoint(residual)
    weight = jnp.asarray(weight).astype(numerics.real_dtype(slope.dtype))
    inner, outer = operator.diagonalization(), operator.H.diagonalization()
    if inner is not None:
        return inner.multiply(_inverse(inner, weight), slope)
    if outer is not None:
        return operator.adjoint(outer.multiply(_inverse(outer, weight), residual))
    # A by its size on the slope: no square then leaves the range of the type
    size = numerics.safe_norm(slope)
    direction = numerics.safe_divide(slope, size)
    stretch = numerics.order(operator(direction))
    unit = operator / stretch
    damping = weight / stretch / stretch

    def normal(v: Array) -> Array:
        return unit.gram(v) + damping * v

    v = jax.scipy.sparse.linalg.cg(normal, direction, tol=_TOL, maxiter=num_steps)[0]
    return size / stretch * v / stretch


def _inverse(found: Diagonalization, weight: Array) -> Array:
    """Return 1 / (σ² + μ), and 0 where that is within rounding of 0."""
    values = found.singular_values.astype(weight.dtype)
    kept = values > 100 * jnp.finfo(values.dtype).eps * jnp.max(values)
    shifted = jnp.square(values) + weight
    return jnp.where(kept | (weight > 0), numerics.safe_divide(1.0, shifted), 0)


def _arguments(where: str, operator: Any, y: Any) -> Array:
    if not isinstance(operator, LinearOperator):
        checks.fail_type(where, "operator", "be a linear operator", operator)
    y = checks.array(where, "y", y)
    checks.shape_is(where, "y", y, operator.out_shape, "That is what the operator returns.")
    checks.finite(where, "y", y, "Remove or replace the broken measurements.")
    return y
