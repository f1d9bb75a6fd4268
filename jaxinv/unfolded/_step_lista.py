"""Step-LISTA: ISTA whose step sizes are trained."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxinv._core import checks, pytree
from jaxinv.solvers import Layers, ista
from jaxinv.solvers._ista import Ista
from jaxinv.unfolded._shared import measurement, squared_norm


@pytree
class StepLista(Ista):
    """See ``step_lista``: ``ista`` that remembers the operator it was made for."""

    operator: Any

    made_for = "operator"


def step_lista(operator: Any, num_layers: int, penalty: Any = 0.1) -> Layers:
    r"""Make Step-LISTA: steps of ISTA, each with its own trained step size.

    .. math:: x_{t+1} = S_{\gamma_t \lambda}\bigl(x_t - \gamma_t A^* (A x_t - y)\bigr)

    It solves the Lasso itself, in fewer steps, and trains without ground truth:
    ``fit(..., loss="lasso")``. It is ``solvers.ista``, one step size per layer.

    Args:
        operator: A, the matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        penalty: λ >= 0, of ½‖A x − y‖² + λ‖x‖₁.

    Returns:
        ``Layers``; trained is ``step_size``, from 1/‖A‖².

    Raises:
        ValueError: A with a zero column or more rows than columns; a negative penalty.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = step_lista(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 8, 0.1)
        >>> layers.trainable, layers.solver.step_size.shape
        (('step_size',), (8,))

    Source: Ablin, Moreau, Massias, Gramfort (2019), section 4.
    """
    where = "step_lista"
    penalty = checks.nonnegative(where, "penalty", penalty, single=True)
    given = measurement(where, operator)
    num_layers = checks.count(where, "num_layers", num_layers)
    real = jnp.finfo(given.matrix.dtype).dtype
    step_size = jnp.asarray(1 / squared_norm(given.matrix), real)
    plain = ista(step_size, jnp.asarray(penalty, real))
    solver = StepLista(plain.step_size, plain.prox, given.operator)
    return Layers.repeat(solver, num_layers, shared=("prox", "operator"), trainable=("step_size",))
