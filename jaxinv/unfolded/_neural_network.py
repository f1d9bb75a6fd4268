"""The network made of neurally augmented layers: NA-ALISTA."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks
from jaxinv.solvers import Layers
from jaxinv.unfolded._analytic_weights import weights_for
from jaxinv.unfolded._matrix import measurement
from jaxinv.unfolded._neural import NeuralAlista
from jaxinv.unfolded._shrink import bypass_schedule
from jaxinv.unfolded._start import BYPASS_LIMIT, BYPASS_RATE

Array = jax.Array

_STEP, _RATE = 1.0, 3.75  # γ and n θ / ‖W*r‖₁ that the untrained network is near
_READOUT = 0.1  # of the usual size: the untrained LSTM has little to say


def na_alista(
    key: Any,
    A: Any,
    num_layers: int,
    num_units: int = 32,
    *,
    bypass_rate: Any = BYPASS_RATE,
    bypass_limit: Any = BYPASS_LIMIT,
) -> Layers:
    r"""Make NA-ALISTA: an LSTM chooses the steps and thresholds of ALISTA for each sample.

    .. math:: x_{t+1} = S^{p_t}_{\theta_t}\bigl(x_t + \gamma_t W^* (y - A x_t)\bigr), \qquad
        (\gamma_t, \theta_t) = \mathrm{LSTM}(\|y - A x_t\|_1, \|W^* (y - A x_t)\|_1)

    One LSTM serves all layers. It pays where few layers must do, or signals differ in how hard
    they are; ``alista`` adapts with two numbers a layer.

    Args:
        key: a JAX PRNG key; decides the LSTM's first weights.
        A: the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        num_units: h >= 1, units of the LSTM.
        bypass_rate, bypass_limit: as in ``alista``.

    Returns:
        ``Layers``; trained are ``cell``, ``hidden``, ``readout``, ``offset``, ``memory``, one for
        all layers. Untrained, γ is near 1 and θ near 3.75 ‖W*r‖₁ / n.

    Raises:
        ValueError, TypeError: as ``alista``; not a key.

    Notes: the LSTM sees the logarithms of both norms relative to the start, and chooses the
        threshold in units of ‖W*r‖₁ / n, so that the network is exactly equivariant to the
        scale of y; the authors standardize the norms by those of the first batch.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> matrix = A.matrix / jnp.linalg.norm(A.matrix, axis=0)
        >>> layers = na_alista(jax.random.key(1), matrix, 8, num_units=16)
        >>> layers.solver.cell.shape, layers.solver.readout.shape
        ((19, 64), (16, 2))

    Source: Behrens, Sauder, Jung (2021), section 3.
    """
    where = "na_alista"
    key = checks.key(where, key)
    given = measurement(where, A)
    num_layers = checks.count(where, "num_layers", num_layers)
    units = checks.count(where, "num_units", num_units)
    shares = bypass_schedule(where, num_layers, bypass_rate, bypass_limit)
    weights = weights_for(where, "A", given.matrix)
    real = jnp.finfo(weights.dtype).dtype
    cell_key, hidden_key, readout_key = jax.random.split(key, 3)
    limit = units**-0.5
    forget = jnp.zeros(4 * units, real).at[units : 2 * units].set(1)  # remember at first
    network = {
        "cell": _uniform(cell_key, (units + 3, 4 * units), limit, real).at[-1].set(forget),
        "hidden": _uniform(hidden_key, (units + 1, units), limit, real).at[-1].set(0),
        "readout": _uniform(readout_key, (units, 2), _READOUT * limit, real),
        # softplus of these is 1 and 3.75
        "offset": jnp.asarray(np.log(np.expm1([_STEP, _RATE])), real),
        "memory": jnp.zeros((2, units), real),
    }
    solvers = [
        NeuralAlista(weights, bypass=share.astype(real), operator=given.operator, **network)
        for share in shares
    ]
    trained = tuple(network)
    return Layers.stack(solvers, shared=(*trained, "weights", "operator"), trainable=trained)


def _uniform(key: Array, shape: tuple[int, int], limit: float, dtype: Any) -> Array:
    return jax.random.uniform(key, shape, dtype, -limit, limit)
