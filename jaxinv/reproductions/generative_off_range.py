"""Signals that the range does not reach: Sparse-Gen and intermediate layers beside the latent."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv import metrics
from jaxinv._core import numerics
from jaxinv.generators import plus_sparse, tail
from jaxinv.problems import generative
from jaxinv.reproductions._decoders import panel_of_errors
from jaxinv.reproductions._models import row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import at_most
from jaxinv.solvers import alternating, fista, intermediate_layers, levenberg_marquardt, solve
from jaxinv.sweeps import sweep
from jaxinv.viz._panels import draw

_NAMES = ("CSGM", "Sparse-Gen", "ILO")
_KINDS = ("signal", "layer")  # where the deviation is: a few pixels, a few units of the first layer
_HALF = 0.5


class OffRangeStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        widths: of the network, of two layers.
        num_measurements: m.
        shares: energy of the deviation over that of the signal, or of the layer.
        at: the share of the claims.
        num_nonzeros: entries of the deviation.
        penalty: λ of Sparse-Gen.
        radius: r of the intermediate layer, of which the norm is 1.
        max_steps: of Sparse-Gen and of the layers.
        num_trials: trials a share and a kind.
    """

    widths: tuple[int, ...] = (10, 250, 500)
    num_measurements: int = 200
    shares: tuple[float, ...] = (0.01, 0.1, 0.3)
    at: float = 0.1
    num_nonzeros: int = 10
    penalty: float = 1e-3
    radius: float = 2.0
    max_steps: int = 500
    num_trials: int = 20


def _deviation(study: OffRangeStudy, key: Array, base: Array, share: Any, positive: bool) -> Array:
    """Return a sparse vector with a share of the energy of ``base``."""
    places, values = jax.random.split(key)
    order = jax.random.permutation(places, base.size)
    sparse = jnp.where(order < study.num_nonzeros, jax.random.normal(values, base.shape), 0)
    sparse = jnp.abs(sparse) if positive else sparse
    return jnp.sqrt(share) * numerics.safe_norm(base) * sparse / numerics.safe_norm(sparse)


def _trial(family: Any, study: OffRangeStudy, key: Any, *, share: Any, kind: Any) -> dict[str, Any]:
    """Return the relative error of each decoder; all start from the latent that CSGM finds."""
    problem, starts = family.sample(key), family.initial(key, 4)
    G, deviation_key = problem.prior, jax.random.fold_in(key, 7)
    if kind == "signal":
        x = problem.truth.x
        x = x + _deviation(study, deviation_key, x, share, positive=False)
    else:
        hidden = G.between(0, 1)(problem.truth.u)
        hidden = hidden + _deviation(study, deviation_key, hidden, share, positive=True)
        x = tail(G, 1)(hidden)
    problem = problem._replace(y=problem.operator(x))
    lm, most = levenberg_marquardt(), study.max_steps
    latent = solve(levenberg_marquardt(num_restarts=4), problem, starts, max_steps=100)
    pair = alternating([lm, fista(penalty=study.penalty)])
    near = problem._replace(prior=plus_sparse(G))
    sparse = solve(pair, near, (latent.u, jnp.zeros_like(x)), tol=1e-4, max_steps=most)
    layers = solve(
        intermediate_layers(lm, [study.radius]), problem, latent.u, tol=1e-4, max_steps=most
    )
    found = zip(_NAMES, (latent, sparse, layers), strict=True)
    return {name: metrics.relative_error(solution.x, x) for name, solution in found}


def _off_range(study: OffRangeStudy, settings: Settings) -> Outcome:
    family = generative(study.widths, study.num_measurements)
    found = sweep(
        jax.tree_util.Partial(_trial, family, study),
        {"share": study.shares, "kind": _KINDS},
        key=settings.key,
        num_trials=trials(settings, study.num_trials),
        traced=("share",),
        progress=settings.progress,
    )
    rows = [
        row_of_mean(found[name].sel(share=share, kind=kind), kind=kind, share=share, decoder=name)
        for kind in _KINDS
        for name in _NAMES
        for share in study.shares
    ]
    claims = []
    for kind, name in zip(_KINDS, ("Sparse-Gen", "ILO"), strict=True):
        errors = found.sel(share=study.at, kind=kind)
        what = f"error of {name} over that of CSGM, {study.at:.0%} of the energy off in the {kind}"
        claims.append(at_most(what, (errors[name] / errors["CSGM"]).values, _HALF))
    return Outcome(claims, rows, partial(_draw, rows, study))


def _draw(rows: list[dict[str, Any]], study: OffRangeStudy, path: Path) -> str:
    panels = [
        panel_of_errors(
            f"deviation in the {kind}, {study.widths}, m = {study.num_measurements}",
            "energy off the range",
            [row for row in rows if row["kind"] == kind],
            "share",
            xscale="log",
        )
        for kind in _KINDS
    ]
    return draw(path, panels)


ENTRIES = (
    Reproduction(
        name="generative-off-range",
        title="near the range Sparse-Gen and intermediate layers have half the error of CSGM",
        source="Dhar, Grover, Ermon (2018); Daras, Dean, Jalal, Dimakis (2021); section II-C",
        run=partial(_off_range, OffRangeStudy()),
        cost="20 seconds",
    ),
)
