"""Where message passing stops to recover sparse signals: the phase diagram."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import shrinkage
from jaxinv._core import replace
from jaxinv.metrics import relative_error
from jaxinv.problems._sparse import SparseFamily, sparse
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import Claim, holds
from jaxinv.solvers import amp, solve
from jaxinv.sweeps import success_rate, sweep
from jaxinv.theory import donoho_tanner, minimax_multiplier
from jaxinv.viz import plot_phase_diagram

_SIZE = 200
_DELTAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_RHOS = tuple(round(0.05 * i, 2) for i in range(1, 20))
_SUCCESS, _STEPS, _TOLERANCE = 1e-2, 400, 0.04


def _sizes(delta: Any, rho: Any) -> tuple[Any, Any]:
    """Return m and s as integers; one nonzero entry at least."""
    active = jnp.round(delta * _SIZE)
    nonzeros = jnp.maximum(jnp.round(rho * active), 1)
    return active.astype(jnp.int32), nonzeros.astype(jnp.int32)


def _recover(family: SparseFamily, key: Any, *, delta: Any, rho: Any) -> dict[str, Any]:
    """Draw one noiseless signal and recover it with the minimax threshold."""
    active, nonzeros = _sizes(delta, rho)
    family = replace(family, active_measurements=active, num_nonzeros=nonzeros)
    problem = family.sample(key)
    solver = amp(shrinkage.soft(minimax_multiplier(active / _SIZE)))
    solution = solve(solver, problem, family.initial(key), tol=1e-4, max_steps=_STEPS)
    return {
        "error": relative_error(solution.x, problem.truth.x),
        "num_steps": solution.num_steps,
        "status": solution.status,
    }


def _phase_diagram(settings: Settings) -> Outcome:
    family = sparse(_SIZE, _SIZE, num_nonzeros=1, active_measurements=1, unit_columns=True)
    results = sweep(
        jax.tree_util.Partial(_recover, family),
        {"rho": _RHOS, "delta": _DELTAS},
        key=settings.key,
        num_trials=trials(settings, 30),
        traced=("rho", "delta"),
        block_size=10,  # small matrices: one lane does not keep a core busy
        progress=settings.progress,
    )
    rates = success_rate(results["error"] < _SUCCESS)
    claims = [_crossing(rates, delta) for delta in _DELTAS]
    rows = [
        {
            "delta": delta,
            "rho": rho,
            "success_rate": float(rates.rate.sel(delta=delta, rho=rho)),
            "curve": float(donoho_tanner(delta)),
        }
        for delta in _DELTAS
        for rho in _RHOS
    ]
    return Outcome(claims, rows, partial(_draw_phase, rates))


def _crossing(rates: Any, delta: float) -> Claim:
    """Compare the ρ at which half of the trials succeed with the curve."""
    rate = rates.rate.sel(delta=delta).values
    measured, low, high = (
        half_crossing(_RHOS, values.sel(delta=delta).values)
        for values in (rates.rate, rates.low, rates.high)
    )
    expected = float(donoho_tanner(delta))
    close = abs(measured - expected) <= _TOLERANCE and rate.max() > 0.5
    rule = f"within {_TOLERANCE:g} of the curve, for the finite size n = {_SIZE}"
    what = f"ρ of 50 % recovery at δ = {delta:g}"
    return holds(what, expected, measured, close, rule, interval=(low, high))


def half_crossing(values: Any, rates: Any) -> float:
    """Return where rates that fall as the values grow pass 1/2, by linear interpolation.

    The last passage counts; where there is none, the end that is on the wrong side.
    """
    values, rates = np.asarray(values, float), np.asarray(rates, float)
    above = np.flatnonzero(rates >= 0.5)
    if above.size == 0:
        return float(values[0])
    last = above[-1]
    if last + 1 == values.size:
        return float(values[-1])
    share = (rates[last] - 0.5) / (rates[last] - rates[last + 1])
    return float(values[last] + share * (values[last + 1] - values[last]))


def _draw_phase(rates: Any, path: Path) -> str:
    fine = np.linspace(0.06, 0.94, 80)
    curve = np.asarray(donoho_tanner(fine))
    return plot_phase_diagram(
        path,
        rates,
        title=f"AMP with the minimax soft threshold, n = {_SIZE}",
        curve=(fine, curve, "Donoho, Tanner (weak)"),
        labels={"delta": "δ = m/n", "rho": "ρ = s/m"},
    )


ENTRIES = (
    Reproduction(
        name="sparse-phase-diagram",
        title="sparse recovery stops at the Donoho-Tanner curve",
        source="Donoho, Maleki, Montanari (2009), figure 1; Donoho, Tanner (2009)",
        run=_phase_diagram,
        cost="3 minutes",
    ),
)
