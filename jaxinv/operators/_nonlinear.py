"""Nonlinear measurements: a linear operator followed by an entrywise function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, pytree
from jaxinv._core.checks import as_function
from jaxinv.operators._base import LinearOperator, Operator
from jaxinv.operators._require import fail_function

_FEWEST = 16  # signs that are all 1 beside zeros are taken for labels; by chance they never are


class _Entrywise(Operator):
    """A nonlinear function of ``linear(x)``, entry by entry."""

    linear: LinearOperator

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.linear.in_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.linear.out_shape


@pytree
class Magnitude(_Entrywise):
    """``|A x|``; see ``magnitude``."""

    linear: LinearOperator

    @property
    def homogeneous(self) -> bool:
        """Whether c x gives c y for every c > 0."""
        return True

    def check_measurements(self, where: str, argument: str, y: Any) -> None:
        """Refuse what are no magnitudes, where it can be looked at; noise may turn a few."""
        if checks.is_concrete(y) and not jnp.iscomplexobj(y):
            below = int(np.sum(np.asarray(y) < 0))
            if 3 * below > np.size(y):
                hint = "For A x itself solve with A, in place of operators.magnitude(A)."
                got = f"{below} of {np.size(y)} below 0"
                checks.fail(where, argument, "hold magnitudes, up to noise", got, hint)

    def _apply(self, x: Array) -> Array:
        return jnp.abs(self.linear._apply(x))


def magnitude(operator: LinearOperator) -> Magnitude:
    r"""Measure magnitudes only: phase retrieval.

    .. math:: y = |A x|

    The derivative at A x = 0 is taken as 0, for real and complex A, so gradients hold no NaN.

    Args:
        operator: A, a linear operator, real or complex.

    Returns:
        A nonlinear operator with real output; ``.linear`` is A.

    Raises:
        TypeError: ``operator`` is not a linear operator.

    Cost: one product with A.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxinv.operators import identity
        >>> magnitude(identity(2))(jnp.array([-1.0, 2.0]))
        Array([1., 2.], dtype=float32)

    Source: Hand, Leong, Voroninski (2018), "Phase retrieval under a generative prior".
    """
    return Magnitude(_linear("magnitude", operator))


@pytree
class Sign(_Entrywise):
    """``sign(A x + dither)``; see ``sign``."""

    linear: LinearOperator
    dither: Array | None = None

    def _ndims(self) -> dict[str, int]:
        return {"dither": len(self.out_shape)}

    def check_measurements(self, where: str, argument: str, y: Any) -> None:
        """Refuse what are no signs, where it can be looked at."""
        if checks.is_concrete(y) and not jnp.iscomplexobj(y):
            seen = np.asarray(y)
            if not np.all((np.abs(seen) == 1) | (seen == 0)):
                got = f"entries from {np.min(seen):g} to {np.max(seen):g}"
                checks.fail(where, argument, "hold signs, 1 and -1 (0 for none)", got)
            if np.any(seen == 0) and np.sum(seen == 1) >= _FEWEST and not np.any(seen < 0):
                hint = "Labels of 0 and 1 are the signs 2 y - 1."
                got = f"{np.sum(seen == 0)} times 0, and never -1"
                checks.fail(where, argument, "hold signs, 1 and -1 (0 for none)", got, hint)

    def _apply(self, x: Array) -> Array:
        y = self.linear._apply(x)
        return jnp.sign(y if self.dither is None else y + self.dither)


def sign(operator: LinearOperator, dither: Num[ArrayLike, "*shape"] | None = None) -> Sign:
    r"""Measure signs only: one-bit compressed sensing.

    .. math:: y = \operatorname{sign}(A x + \tau)

    sign(0) = 0, and sign(v) = v/|v| for complex v. The derivative is 0 everywhere, so a gradient
    solver stays at its start on this model. With dithers solve
    ``problems.back_projected(problem, scale)``. Without them the norm of x is lost: fit the linear
    part, ``Problem(op.linear, y, prior, misfit=misfits.logistic())``, and keep the direction of
    the answer only. Where some x has all the signs right, its multiples fit ever better, so that
    the norm grows until ``tol`` stops it, and the status is CONVERGED all the same.

    Args:
        operator: A, a linear operator.
        dither: τ, with the ``out_shape`` of A, finite; None for no dither.

    Returns:
        A nonlinear operator; ``.linear`` is A, and the dither is a leaf.

    Raises:
        TypeError: ``operator`` is not a linear operator.
        ValueError: a dither of another shape, or not finite.

    Cost: one product with A.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxinv.operators import identity
        >>> sign(identity(2), dither=jnp.array([0.0, -3.0]))(jnp.array([0.5, 2.0]))
        Array([ 1., -1.], dtype=float32)

    Source: Qiu, Wei, Yang (2020), "Robust one-bit recovery via ReLU generative networks".
    """
    linear = _linear("sign", operator)
    if dither is not None:
        dither = checks.array("sign", "dither", dither)
        checks.shape_is("sign", "dither", dither, linear.out_shape)
        checks.finite("sign", "dither", dither)
    return Sign(linear, dither)


@pytree
class SingleIndex(_Entrywise):
    """``link(A x)``; see ``single_index``."""

    linear: LinearOperator
    link: Any

    def _apply(self, x: Array) -> Array:
        return self.link(self.linear._apply(x))


def single_index(operator: LinearOperator, link: Callable[[Array], Array]) -> SingleIndex:
    r"""Apply a scalar function to linear measurements: single-index models.

    .. math:: y_i = f(\langle a_i, x \rangle)

    Args:
        operator: A, a linear operator.
        link: f, entrywise, from an array to one of its shape. Best a module-level function
            such as ``jnp.tanh``, or ``jax.tree_util.Partial(function, *arrays)``, whose arrays
            stay leaves; each new lambda is compiled again.

    Returns:
        A nonlinear operator; ``.linear`` is A.

    Raises:
        TypeError: ``operator`` is not a linear operator, or ``link`` is not callable.
        ValueError: ``link`` changes the shape, or raises (as numpy functions do).

    Cost: one product with A.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxinv.operators import identity
        >>> single_index(identity(2), jnp.square)(jnp.array([-1.0, 2.0]))
        Array([1., 4.], dtype=float32)

    Source: Plan, Vershynin (2016), "The generalized Lasso with non-linear observations".
    """
    linear = _linear("single_index", operator)
    link = as_function("single_index", "link", link, "link(x)")
    signal = jax.ShapeDtypeStruct(linear.out_shape, linear.out_dtype)
    try:
        result = jax.eval_shape(link, signal)
    except Exception as error:  # whatever the user's function raises
        given = f"an array of shape {signal.shape} {signal.dtype.name}"
        fail_function("single_index", "link", given, error)
    got = getattr(result, "shape", result)
    if got != linear.out_shape:
        checks.fail("single_index", "link", f"keep the shape {linear.out_shape}", f"{got}")
    return SingleIndex(linear, link)


def _linear(where: str, operator: Any) -> LinearOperator:
    if not isinstance(operator, LinearOperator):
        hint = "Wrap a matrix with operators.dense."
        checks.fail_type(where, "operator", "be a linear operator", operator, hint)
    return operator
