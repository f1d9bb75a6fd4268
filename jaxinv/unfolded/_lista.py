"""LISTA and LISTA-SS: iterations of ISTA whose two matrices are trained."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Layers, Solver
from jaxinv.unfolded._shared import (
    BYPASS_LIMIT,
    BYPASS_RATE,
    bypass_schedule,
    first_weights,
    measurement,
    relative_change,
    soft_with_bypass,
)


class ListaState(NamedTuple):
    """State of ``Lista``: the estimate."""

    u: Array


@pytree
class Lista(Solver):
    r"""A layer of ``lista`` and LISTA-SS.

    .. math:: x_{t+1} = S^{p_t}_{\theta_t}\bigl(W_t x_t + B_t y\bigr)

    The operator itself is never applied by the layer. ``info.error`` is
    ‖x_{t+1} − x_t‖ / ‖x_{t+1}‖.

    Attributes:
        encoder: B, shape (n, m).
        recurrent: W, shape (n, n).
        threshold: θ >= 0, a scalar, or one per entry.
        bypass: p, the share of entries that pass unchanged; None for none.
        operator: the A that the weights were made for.
        positive: names of fields that training keeps positive.
    """

    encoder: Array
    recurrent: Array
    threshold: Any
    bypass: Any
    operator: Any
    positive: tuple[str, ...] = static(default=("threshold",))

    made_for = "operator"

    def init(self, problem: Problem, u0: Array) -> ListaState:
        return ListaState(u0)

    def step(self, problem: Problem, state: ListaState) -> tuple[ListaState, Info]:
        u = state.u
        encoded = numerics.matmul(self.encoder, problem.y).astype(u.dtype)
        following = numerics.matmul(self.recurrent, u) + encoded
        following = soft_with_bypass(following, self.threshold, self.bypass)
        error = relative_change(following, u)
        return ListaState(following), Info(problem.loss(u), error)


def lista(
    operator: Any,
    num_layers: int,
    *,
    tied: bool = False,
    initial_weights: str = "adjoint",
    layered_encoder: bool = False,
) -> Layers:
    r"""Make LISTA: iterations of ISTA whose two matrices are trained.

    .. math:: x_{t+1} = S_{\theta_t}(W_t x_t + B y), \qquad W_t = I - B A \ \text{at first}

    The first unfolded network. ``lista_cp`` has fewer weights, ``alista`` almost none, and both
    are more accurate.

    Args:
        operator: A, the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        tied: one W for all layers.
        initial_weights: first weights: ``"adjoint"``, as published (B = A*/L and θ = 0.4/L with
            L = 1.001 ‖A‖²: untrained, T steps of ISTA with penalty 0.4), or ``"analytic"``
            (B = W*, the analytic weights, and θ geometric: far less training).
        layered_encoder: a matrix B_t of its own for every layer; otherwise one B, as published.

    Returns:
        ``Layers``; trained are ``encoder``, ``recurrent`` and ``threshold``.

    Raises:
        ValueError: A with a zero column or more rows than columns; other ``initial_weights``.

    Cost: a layer takes n² + m n multiplications, a coupled one 2 m n.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = lista(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 8)
        >>> layers.solver.recurrent.shape, layers.solver.encoder.shape
        ((8, 100, 100), (100, 50))

    Source: Gregor, LeCun (2010); scale and start of Chen, Liu, Wang, Yin (2018).
    """
    layered = checks.boolean("lista", "layered_encoder", layered_encoder)
    return _lista("lista", operator, num_layers, tied, initial_weights, None, layered)


def lista_ss(
    operator: Any,
    num_layers: int,
    *,
    tied: bool = False,
    initial_weights: str = "adjoint",
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make LISTA-SS: LISTA with support selection.

    .. math:: x_{t+1} = S^{p_t}_{\theta_t}(W_t x_t + B y)

    Args:
        operator, num_layers, tied, initial_weights: as in ``lista``.
        bypass_rate, bypass_limit: as in ``lista_cpss``.

    Returns:
        ``Layers``; trained are ``encoder``, ``recurrent`` and ``threshold``.

    Raises:
        ValueError: as ``lista``; a share outside [0, 1].

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = lista_ss(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 8, tied=True)
        >>> layers.solver.recurrent.shape
        (100, 100)

    Source: Chen, Liu, Wang, Yin (2018), equation (16).
    """
    shares = bypass_schedule("lista_ss", num_layers, bypass_rate, bypass_limit)
    return _lista("lista_ss", operator, num_layers, tied, initial_weights, shares)


def _lista(
    where: str,
    operator: Any,
    num_layers: int,
    tied: bool,
    initial_weights: str,
    shares: Any,
    layered_encoder: bool = False,
) -> Layers:
    given = measurement(where, operator)
    weights, thresholds = first_weights(where, given, num_layers, initial_weights)
    encoder = jnp.conj(weights.T)
    recurrent = jnp.eye(encoder.shape[0], dtype=encoder.dtype)
    recurrent -= numerics.matmul(encoder, given.matrix)
    real = jnp.finfo(encoder.dtype).dtype
    solvers = [
        Lista(
            encoder=encoder,
            recurrent=recurrent,
            threshold=jnp.asarray(threshold, real),
            bypass=None if shares is None else shares[layer].astype(real),
            operator=given.operator,
        )
        for layer, threshold in enumerate(thresholds)
    ]
    tied = checks.boolean(where, "tied", tied)
    shared = (("recurrent",) * tied) + ("encoder",) * (not layered_encoder)
    return Layers.stack(solvers, shared=shared, trainable=("encoder", "recurrent", "threshold"))
