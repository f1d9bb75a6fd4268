"""Random rows of a cosine basis: they miss what a network that is coherent with them makes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import numerics
from jaxinv.generators import from_function
from jaxinv.metrics import relative_error
from jaxinv.operators import dct
from jaxinv.operators._dense import Dense
from jaxinv.problems import Problem
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import at_least, holds
from jaxinv.solvers import levenberg_marquardt, solve
from jaxinv.sweeps import success_rate, sweep
from jaxinv.viz import plot_success_rates

_EXACT = 1e-5


class CoherenceStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        widths: (k, n_1, n) of x = W_2 relu(W_1 z), W_2 = β C + (1 − β) B: C holds n_1 vectors
            of the basis, B random orthonormal ones.
        mixtures: β.
        measurements: m, rows drawn without replacement.
        num_restarts: starts, of which the loss chooses.
        num_trials: trials a cell.
    """

    widths: tuple[int, int, int] = (5, 20, 256)
    mixtures: tuple[float, ...] = (0.0, 0.5, 0.9, 0.95, 0.98, 1.0)
    measurements: tuple[int, ...] = (10, 20, 40, 80, 160)
    num_restarts: int = 6
    num_trials: int = 20


def _network(params: tuple[jax.Array, jax.Array], z: jax.Array) -> jax.Array:
    first, second = params
    return numerics.matmul(second, jax.nn.relu(numerics.matmul(first, z)))


def _trial(
    widths: tuple[int, int, int], basis: Any, solver: Any, key: Any, *, beta: Any, m: Any
) -> dict[str, Any]:
    """Return the coherence max_i ‖Qᵀ a_i‖, Q = orth(W_2), and the error from m rows a_i."""
    k, hidden, n = widths
    keys = jax.random.split(key, 6)
    first = jax.random.normal(keys[0], (hidden, k)) * (2 / hidden) ** 0.5
    coherent = basis[jax.random.permutation(keys[1], n)[:hidden]].T
    generic = jnp.linalg.qr(jax.random.normal(keys[2], (n, hidden)))[0]
    second = beta * coherent + (1 - beta) * generic
    frame = jnp.linalg.qr(second)[0]
    coherence = jnp.max(numerics.safe_norm(numerics.matmul(basis, frame), 1))
    prior = from_function(_network, (first, second), in_shape=k)
    rows = jax.random.permutation(keys[3], n) < m
    operator = Dense(jnp.where(rows[:, None], basis, 0) * jnp.sqrt(n / m))
    x = prior(jax.random.normal(keys[4], (k,)))
    starts = jax.random.normal(keys[5], (solver.num_restarts, k))
    found = solve(solver, Problem(operator, operator(x), prior), starts, max_steps=100)
    return {"coherence": coherence, "error": relative_error(found.x, x), "status": found.status}


def _coherence(study: CoherenceStudy, settings: Settings) -> Outcome:
    basis = dct(study.widths[-1]).todense()
    solver = levenberg_marquardt(num_restarts=study.num_restarts)
    found = sweep(
        jax.tree_util.Partial(partial(_trial, study.widths), basis, solver),
        {"beta": study.mixtures, "m": study.measurements},
        key=settings.key,
        num_trials=trials(settings, study.num_trials),
        traced=("beta", "m"),
        progress=settings.progress,
    )
    success = found["error"] < _EXACT
    rates = success_rate(success)
    alphas = found["coherence"].mean(("m", "trial"))
    rows = [
        {
            "beta": beta,
            "coherence": float(alphas.sel(beta=beta)),
            "m": m,
            **{name: float(rates[name].sel(beta=beta, m=m)) for name in ("rate", "low", "high")},
        }
        for beta in study.mixtures
        for m in study.measurements
    ]
    low, high = min(study.mixtures), max(study.mixtures)
    overall = success.mean("m").astype(float)
    gain = overall.sel(beta=low).values - overall.sel(beta=high).values
    means = np.array([float(overall.sel(beta=beta).mean()) for beta in study.mixtures])
    rise = float(np.max(np.diff(means[np.argsort(alphas.values)])))
    what = "largest rise of the success over all m from one coherence to the next"
    claims = [
        holds(what, 0.0, rise, rise <= 0.05, "at most 0.05"),
        at_least("success over all m, least less most coherent", gain, 0.2),
    ]
    curves = {
        f"α = {float(alphas.sel(beta=beta)):.4f}": rates.sel(beta=beta, drop=True)
        for beta in study.mixtures
    }
    return Outcome(claims, rows, partial(_draw, curves, study))


def _draw(curves: dict[str, Any], study: CoherenceStudy, path: Path) -> str:
    title = f"rows of the cosine basis, {study.widths}"
    return plot_success_rates(path, curves, label="measurements m", title=title)


ENTRIES = (
    Reproduction(
        name="fourier-coherence",
        title="rows of a basis miss a network made of it, not one that is half so",
        source="Berk, Brugiapaglia, Joshi, Plan, Scott, Yilmaz (2022), section 4",
        run=partial(_coherence, CoherenceStudy()),
        cost="10 seconds",
    ),
)
