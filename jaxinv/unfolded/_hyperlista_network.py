"""The network made of HyperLISTA layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks
from jaxinv.solvers import Layers
from jaxinv.unfolded._analytic_weights import weights_for
from jaxinv.unfolded._conjugate import ConjugateHyperLista
from jaxinv.unfolded._hyperlista import HyperLista
from jaxinv.unfolded._matrix import Measurement, measurement

# c1 n, c2 n, c3: tuned once on 250 x 500, one signal entry in ten, no noise
_CONSTANTS = (7.5, 1.7, 0.45)


def hyperlista(
    A: Any,
    num_layers: int,
    constants: Sequence[Any] | None = None,
    *,
    symmetric: bool = True,
    layered: bool = False,
    finish: int = 0,
) -> Layers:
    r"""Make HyperLISTA: three numbers for the whole network, all else from the sample.

    Thresholds follow the misfit in the coordinates of the signal, momentum the number of
    nonzero entries, and the share that passes unshrunk the logarithm of the progress; see
    ``HyperLista``. It needs no gradient training (``tune``), keeps its accuracy when the
    amplitude of the signals changes (to any number) and when they become sparser.

    Args:
        A: the measurement matrix, shape (m, n), or a linear operator on vectors.
        num_layers: T >= 1.
        constants: (c₁, c₂, c₃); default (7.5/n, 1.7/n, 0.45), tuned for m = n/2 and one nonzero
            entry in ten. ``tune`` finds them for another family. May be traced.
        symmetric: the symmetric analytic weights, as published; otherwise the plain ones.
        layered: three numbers for every layer, to be trained by ``fit`` from these.
        finish: j > 0 lets each sample end with conjugate gradients once its support has not
            changed for j layers (``ConjugateHyperLista``); 0 never does.

    Returns:
        ``Layers``; trained are ``threshold_rate``, ``momentum_rate``, ``bypass_rate``. The
        gradient of the last is 0: the choice of the entries that pass is not differentiable.

    Raises:
        ValueError: A with a zero column or more rows than columns, or without full row rank;
            not three constants, or negative ones; a finish without symmetric weights.

    Cost: a layer takes 3 m n multiplications, with or without conjugate gradients.

    Notes: conjugate gradients end after finitely many steps on the true support, but the tuned
        momentum is nearly as fast, and the switch costs a layer: at 250 x 500 with one entry in
        ten, finish=2 is 3 dB behind at 16 layers and level at 20; with one in 33 it is 5 dB
        ahead at 20 layers, at the rounding level of float32. In noise it changes .1 dB.
        The default constants are those of n = 500. Where the first threshold exceeds
        max|Wᵀy| nothing ever moves: one in twenty of the samples at n = 40, none of 200 at
        n = 200. ``tune`` finds smaller constants for small problems.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 50, 100)
        >>> layers = hyperlista(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 16)
        >>> layers.solver.threshold_rate.shape, layers.num_layers
        ((), 16)

    Source: Chen, Liu, Wang, Yin (2021), equations (12) to (15).
    """
    where = "hyperlista"
    given = measurement(where, A)
    num_layers = checks.count(where, "num_layers", num_layers)
    size = given.matrix.shape[1]
    if constants is None:
        constants = (_CONSTANTS[0] / size, _CONSTANTS[1] / size, _CONSTANTS[2])
    if getattr(constants, "shape", None) == (3,):
        constants = tuple(constants)
    if not isinstance(constants, tuple | list) or len(constants) != 3:
        checks.fail(where, "constants", "be three numbers (c1, c2, c3)", constants)
    rates = [
        checks.nonnegative(where, f"constants[{i}]", c, single=True)
        for i, c in enumerate(constants)
    ]
    real = jnp.finfo(given.matrix.dtype).dtype
    symmetric = checks.boolean(where, "symmetric", symmetric)
    finish = checks.count(where, "finish", finish, minimum=0)
    if finish and not symmetric:
        hint = "Conjugate gradients need W^T A symmetric."
        checks.fail(where, "finish", "be 0 without symmetric weights", finish, hint)
    fields = {
        "weights": _weights(given, symmetric),
        "threshold_rate": jnp.asarray(rates[0], real),
        "momentum_rate": jnp.asarray(rates[1], real),
        "bypass_rate": jnp.asarray(rates[2], real),
        "step_size": jnp.ones((), real),
        "operator": given.operator,
    }
    solver = ConjugateHyperLista(**fields, num_stable=finish) if finish else HyperLista(**fields)
    trained = ("threshold_rate", "momentum_rate", "bypass_rate")
    shared = ("weights", "step_size", "operator")
    if checks.boolean(where, "layered", layered):
        trained = (*trained, "step_size")
        shared = ("weights", "operator")
    else:
        shared = (*shared, *trained)
    return Layers.repeat(solver, num_layers, shared=shared, trainable=trained)


def _weights(given: Measurement, symmetric: bool) -> Any:
    """Return [W | (A⁺)*]."""
    matrix = given.matrix
    weights = weights_for("hyperlista", "A", matrix, symmetric)
    if checks.is_concrete(matrix):
        wide = complex if np.iscomplexobj(matrix) else float
        inverse = jnp.asarray(np.linalg.pinv(np.asarray(matrix, wide)), matrix.dtype)
    else:
        inverse = jnp.linalg.pinv(matrix)
    return jnp.concatenate([weights, jnp.conj(inverse.T)], axis=1)
