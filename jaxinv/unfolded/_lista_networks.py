"""The networks made of LISTA layers: LISTA and LISTA-SS."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxinv._core import checks, numerics
from jaxinv.solvers import Layers
from jaxinv.unfolded._lista import Lista
from jaxinv.unfolded._matrix import measurement
from jaxinv.unfolded._shrink import bypass_schedule
from jaxinv.unfolded._start import BYPASS_LIMIT, BYPASS_RATE, first_weights


def lista(
    A: Any,
    num_layers: int,
    tied: bool = False,
    *,
    start: str = "adjoint",
    layered_encoder: bool = False,
) -> Layers:
    r"""Make LISTA: iterations of ISTA whose two matrices are trained.

    .. math:: x_{t+1} = S_{\theta_t}(W_t x_t + B y), \qquad W_t = I - B A \ \text{at first}

    The first unfolded network. ``lista_cp`` has fewer weights, ``alista`` almost none, and both
    are more accurate.

    Args:
        A: the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        tied: one W for all layers.
        start: first weights: ``"adjoint"``, as published (B = A*/L and θ = 0.4/L with
            L = 1.001 ‖A‖²: untrained, T steps of ISTA with penalty 0.4), or ``"analytic"``
            (B = W*, the analytic weights, and θ geometric: far less training).
        layered_encoder: a matrix B_t of its own for every layer; otherwise one B, as published.

    Returns:
        ``Layers``; trained are ``encoder``, ``recurrent`` and ``threshold``.

    Raises:
        ValueError: A with a zero column or more rows than columns; another ``start``.

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
    return _lista("lista", A, num_layers, tied, start, None, layered)


def lista_ss(
    A: Any,
    num_layers: int,
    tied: bool = False,
    *,
    start: str = "adjoint",
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make LISTA-SS: LISTA with support selection.

    .. math:: x_{t+1} = S^{p_t}_{\theta_t}(W_t x_t + B y)

    Args:
        A, num_layers, tied, start: as in ``lista``.
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
    return _lista("lista_ss", A, num_layers, tied, start, shares)


def _lista(
    where: str,
    A: Any,
    num_layers: int,
    tied: bool,
    start: str,
    shares: Any,
    layered_encoder: bool = False,
) -> Layers:
    given = measurement(where, A)
    weights, thresholds = first_weights(where, given, num_layers, start)
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
