"""Measurements carried back to signals: any linear or one-bit problem as one of denoising."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxinv._core import checks
from jaxinv.operators import LinearOperator, identity
from jaxinv.operators._nonlinear import Sign
from jaxinv.problems._problem import Problem


def back_projected(problem: Problem, scale: Any = 1.0) -> Problem:
    r"""Return the problem of denoising the back-projected measurements.

    .. math:: \min_u \tfrac12 \| G(u) - s\, A^* y \|^2

    The gradient has the mean of that of ½‖A G(u) − y‖² where E[A*A] = I, but a loss without A.
    For dithered signs y = sign(A x + τ), of rows N(0, I) and dithers in [−λ, λ], s = λ/m makes
    s A*y an unbiased image of x as long as |⟨a_i, x⟩| <= λ; for a linear problem with entries
    N(0, 1/m) s = 1 gives the one-shot estimate, with the error of A*A as noise.

    Args:
        problem: whose operator is linear, or the ``operators.sign`` of one that is.
        scale: s > 0; may be traced.

    Returns:
        A problem of the identity with y = s A*y, the same prior and truth (its noise, which
        would be s A*y − x, left out).

    Raises:
        TypeError: what is no problem, or another operator.
        ValueError: signs that are not −1, 0 or 1; a scale that is not positive.

    Cost: one product with A*.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> A = ji.operators.dense(jnp.eye(3)[:2])
        >>> back_projected(ji.Problem(A, jnp.array([1.0, 2.0]))).y.tolist()
        [1.0, 2.0, 0.0]

    Source: Qiu, Wei, Yang (2020), one-bit recovery; Liu, Scarlett (2020), one-shot recovery.
    """
    where = "back_projected"
    if not isinstance(problem, Problem):
        checks.fail_type(where, "problem", "be a jaxinv.Problem", problem)
    scale = checks.positive(where, "scale", scale, single=True)
    operator, y = problem.operator, checks.array(where, "problem.y", problem.y)
    if isinstance(operator, Sign):
        operator.check_measurements(where, "problem.y", y)
        operator = operator.linear
    if not isinstance(operator, LinearOperator):
        hint = "Those of operators.magnitude and single_index have no such image."
        checks.fail_type(where, "problem.operator", "be linear, or the sign of one", operator, hint)
    checks.shape_is(where, "problem.y", y, operator.out_shape)
    image = operator.adjoint(y)
    truth = problem.truth
    if truth is not None:
        truth = truth._replace(noise=None)
    return Problem(
        identity(operator.in_shape), jnp.asarray(scale).astype(image.dtype) * image,
        problem.prior, truth,
    )  # fmt: skip
