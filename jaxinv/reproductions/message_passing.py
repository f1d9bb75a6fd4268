"""Message passing: its error beside state evolution, and where sparse recovery stops."""

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
from jaxinv.reproductions.claims import REFUTED, REPRODUCED, Claim
from jaxinv.solvers import amp, solve, trace
from jaxinv.sweeps import success_rate, sweep
from jaxinv.theory import donoho_tanner, minimax_multiplier, state_evolution
from jaxinv.viz import plot_iterations, plot_phase_diagram

_SIZE, _ASPECT, _SPARSITY, _SNR_DB, _STEPS = 4000, 0.5, 0.1, 40.0, 16
_TOLERANCE, _STANDARD_ERRORS = 0.05, 3.0

_PHASE_SIZE = 200
_DELTAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_RHOS = tuple(round(0.05 * i, 2) for i in range(1, 20))
_PHASE_SUCCESS, _PHASE_STEPS, _PHASE_TOLERANCE = 1e-2, 400, 0.04


# --- the error at every step ----------------------------------------------------------------


def _squared_error(problem: Any, state: Any) -> Any:
    return jnp.sum(jnp.square(state.u - problem.truth.x))


def _descent(family: SparseFamily, shrinkages: dict[str, Any], key: Any) -> dict[str, Any]:
    """Return the squared error over its scale p n after every step, for each shrinkage."""
    problem, start = family.sample(key), family.initial(key)
    found = {}
    for name, shrink in shrinkages.items():
        _, (_, errors) = trace(amp(shrink), problem, start, _STEPS, measure=_squared_error)
        for step in range(_STEPS):
            found[f"{name}_{step + 1:02d}"] = errors[step] / (_SPARSITY * _SIZE)
    return found


def _state_evolution(settings: Settings) -> Outcome:
    """Compare the mean over draws with exactly p n nonzero entries.

    With a Bernoulli number of them the mean is biased at this size, and the same rule refuted 8
    of 32 claims (100 draws, n = 4000, key 0; up to 22 % too high): the error falls
    exponentially in the steps at a rate that depends on the number, so that its mean over
    numbers exceeds its value at the mean number. At n = 1000 the mean after eight steps of the
    posterior mean is 1.50 ± 0.11 of the prediction so, and 0.995 ± 0.027 with the number fixed.
    """
    shrinkages = {"soft": shrinkage.soft(), "posterior": shrinkage.posterior_mean(_SPARSITY)}
    family = sparse(
        round(_ASPECT * _SIZE),
        _SIZE,
        snr_db=_SNR_DB,
        num_nonzeros=round(_SPARSITY * _SIZE),
        unit_columns=False,
    )
    results = sweep(
        jax.tree_util.Partial(_descent, family, shrinkages),
        {},
        key=settings.key,
        num_trials=trials(settings, 100),
        progress=settings.progress,
    )
    titles = {"soft": "soft threshold", "posterior": "posterior mean"}
    claims, rows, series = [], [], {}
    for name, shrink in shrinkages.items():
        law = state_evolution(
            shrink, aspect=_ASPECT, sparsity=_SPARSITY, snr_db=_SNR_DB, num_steps=_STEPS
        )
        samples = np.stack(
            [np.asarray(results[f"{name}_{step + 1:02d}"]) for step in range(_STEPS)], axis=1
        )
        predicted = np.asarray(law.nmse, float)
        series[titles[name]] = (samples, predicted)
        for step in range(_STEPS):
            claims.append(_agrees(titles[name], step + 1, samples[:, step], predicted[step]))
            rows.append(_descent_row(name, step + 1, samples[:, step], predicted[step]))
    title = f"AMP at n = {_SIZE}, m/n = {_ASPECT}, s/n = {_SPARSITY}, SNR {_SNR_DB:.0f} dB"
    return Outcome(claims, rows, partial(_draw_descent, series, title))


def _agrees(what: str, step: int, samples: np.ndarray, predicted: float) -> Claim:
    """Compare a mean with its prediction: within 5 % or three standard errors."""
    mean = float(np.mean(samples))
    error = float(np.std(samples, ddof=1)) / np.sqrt(samples.size)
    slack = max(_TOLERANCE * predicted, _STANDARD_ERRORS * error)
    verdict = REPRODUCED if abs(mean - predicted) <= slack else REFUTED
    low, high = mean - _STANDARD_ERRORS * error, mean + _STANDARD_ERRORS * error
    rule = f"mean of {samples.size} draws within 5 % or three standard errors"
    return Claim(f"NMSE, {what}, step {step}", predicted, mean, low, high, verdict, rule)


def _descent_row(name: str, step: int, samples: np.ndarray, predicted: float) -> dict[str, Any]:
    return {
        "shrinkage": name,
        "step": step,
        "state_evolution": predicted,
        "mean": float(np.mean(samples)),
        "standard_error": float(np.std(samples, ddof=1) / np.sqrt(samples.size)),
        "relative_spread": float(np.std(samples, ddof=1) / np.mean(samples)),
    }


def _draw_descent(series: dict[str, Any], title: str, path: Path) -> str:
    return plot_iterations(path, series, ylabel="squared error / p n (dB)", title=title)


# --- the phase diagram ----------------------------------------------------------------------


def _sizes(delta: Any, rho: Any) -> tuple[Any, Any]:
    """Return m and s as integers; one nonzero entry at least."""
    active = jnp.round(delta * _PHASE_SIZE)
    nonzeros = jnp.maximum(jnp.round(rho * active), 1)
    return active.astype(jnp.int32), nonzeros.astype(jnp.int32)


def _recover(family: SparseFamily, key: Any, *, delta: Any, rho: Any) -> dict[str, Any]:
    """Draw one noiseless signal and recover it with the minimax threshold."""
    active, nonzeros = _sizes(delta, rho)
    family = replace(family, active_measurements=active, num_nonzeros=nonzeros)
    problem = family.sample(key)
    solver = amp(shrinkage.soft(minimax_multiplier(active / _PHASE_SIZE)))
    solution = solve(solver, problem, family.initial(key), tol=1e-4, max_steps=_PHASE_STEPS)
    return {
        "error": relative_error(solution.x, problem.truth.x),
        "num_steps": solution.num_steps,
        "status": solution.status,
    }


def _phase_diagram(settings: Settings) -> Outcome:
    family = sparse(
        _PHASE_SIZE, _PHASE_SIZE, num_nonzeros=1, active_measurements=1, unit_columns=True
    )
    results = sweep(
        jax.tree_util.Partial(_recover, family),
        {"rho": _RHOS, "delta": _DELTAS},
        key=settings.key,
        num_trials=trials(settings, 30),
        traced=("rho", "delta"),
        block_size=10,  # small matrices: one lane does not keep a core busy
        progress=settings.progress,
    )
    rates = success_rate(results["error"] < _PHASE_SUCCESS)
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
    close = abs(measured - expected) <= _PHASE_TOLERANCE
    verdict = REPRODUCED if close and rate.max() > 0.5 else REFUTED
    rule = f"within {_PHASE_TOLERANCE:g} of the curve, for the finite size n = {_PHASE_SIZE}"
    what = f"ρ of 50 % recovery at δ = {delta:g}"
    return Claim(what, expected, measured, low, high, verdict, rule)


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
        title=f"AMP with the minimax soft threshold, n = {_PHASE_SIZE}",
        curve=(fine, curve, "Donoho, Tanner (weak)"),
        labels={"delta": "δ = m/n", "rho": "ρ = s/m"},
    )


ENTRIES = (
    Reproduction(
        name="amp-state-evolution",
        title="state evolution predicts the error of message passing at every step",
        source="Donoho, Maleki, Montanari (2009); Bayati, Montanari (2011)",
        run=_state_evolution,
        cost="3 minutes",
    ),
    Reproduction(
        name="sparse-phase-diagram",
        title="sparse recovery stops at the Donoho-Tanner curve",
        source="Donoho, Maleki, Montanari (2009), figure 1; Donoho, Tanner (2009)",
        run=_phase_diagram,
        cost="3 minutes",
    ),
)
