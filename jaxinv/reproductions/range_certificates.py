"""Set-restricted eigenvalues with certificates: four nets, twenty seeds, over measurements."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.generators import relu
from jaxinv.generators._relu import Relu
from jaxinv.operators import gaussian
from jaxinv.reproductions._models import draw_means, row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import Claim, equals, holds
from jaxinv.theory import set_restricted_eigenvalue, weight_distribution

# widths, m, seed of NumPy's generator: bound over subspaces, γ
_TABLE = {
    ((2, 10, 20), 8, 0): (0.104, 0.3452),
    ((2, 10, 20), 15, 1): (0.250, 0.5358),
    ((2, 30, 100), 20, 0): (0.363, 0.6237),
    ((2, 10, 20, 30), 15, 3): (0.273, 0.4471),
}
_WIDTHS = (2, 10, 20)
_MEASUREMENTS = (4, 6, 8, 10, 12, 15, 20)
_LAYERS = {20: (0.42, 0.99), 100: (0.22, 0.30), 400: (0.115, 0.177)}
_SLACK = 1e-3  # of single precision, which the searches have


def _table() -> list[Claim]:
    claims = []
    for (widths, m, seed), (subspace, gamma) in _TABLE.items():
        rng = np.random.default_rng(seed)
        weights = [rng.standard_normal((b, a)) for a, b in itertools.pairwise(widths)]
        A = rng.standard_normal((m, widths[-1])) / np.sqrt(m)
        G = Relu(tuple(map(_array, weights)))
        exact = set_restricted_eigenvalue(A, G, "exact")
        bound = set_restricted_eigenvalue(A, G, "subspace").bound
        what = f"{widths}, m = {m}"
        claims += [
            equals(f"γ of {what}", float(exact.value), gamma, 1e-3 / gamma),
            equals(f"bound over subspaces of {what}", float(bound), subspace, 1e-3 / subspace),
        ]
    return claims


def _array(weight: np.ndarray) -> Any:
    return jax.numpy.asarray(weight)


def _drawn(key: jax.Array, m: int) -> tuple[Any, Any]:
    weight_key, operator_key = jax.random.split(key)
    return gaussian(operator_key, m, _WIDTHS[-1]), relu(weight_key, _WIDTHS)


def _ordered(keys: jax.Array, m: int) -> Claim:
    """Claim sampled >= search >= exact >= subspace of every seed."""

    def estimate(method: str, key: jax.Array) -> jax.Array:
        A, G = _drawn(key, m)
        return jnp.asarray(set_restricted_eigenvalue(A, G, method, key=key).value)

    sampled, search = (
        np.asarray(jax.jit(jax.vmap(partial(estimate, method)))(keys))
        for method in ("sampled", "search")
    )
    exact, subspace = np.transpose(
        [
            (
                float(set_restricted_eigenvalue(*_drawn(key, m), "exact").value),
                float(set_restricted_eigenvalue(*_drawn(key, m), "subspace").bound),
            )
            for key in keys
        ]
    )
    right = (sampled >= search) & (search >= exact * (1 - _SLACK)) & (exact >= subspace)
    what = f"sampled >= search >= exact >= subspace, {len(keys)} seeds, m = {m}"
    wrong = float(np.sum(~right))
    return holds(what, 0.0, wrong, wrong == 0, "none out of order")


def _eigenvalues(settings: Settings) -> Outcome:
    keys = jax.random.split(settings.key, trials(settings, 20))
    claims = [*_table(), _ordered(keys, 15)]
    rows = []
    for m in _MEASUREMENTS:
        exact, subspace = [], []
        for key in keys:
            A, G = _drawn(key, m)
            exact.append(float(set_restricted_eigenvalue(A, G, "exact").value))
            subspace.append(float(set_restricted_eigenvalue(A, G, "subspace").bound))
        rows.append(
            row_of_mean(
                exact,
                m=m,
                law=float(np.mean(subspace)),
                certified_half=float(np.mean(np.array(exact) >= 0.5)),
            )
        )
    rising = all(a["mean"] < b["mean"] for a, b in itertools.pairwise(rows))
    last = rows[-1]["mean"]
    claims.append(holds("mean γ grows with m", 1.0, last, rising, "at every m"))
    draw = partial(
        draw_means,
        rows,
        axis="m",
        law="bound over subspaces",
        xlabel="measurements m",
        ylabel="set-restricted eigenvalue γ",
        title=f"certified γ of random ReLU networks {_WIDTHS}",
    )
    return Outcome(claims, rows, draw)


def _weights(settings: Settings) -> Outcome:
    claims, rows = [], []
    for n, (low, high) in _LAYERS.items():
        values, gaps = [], []
        for seed in range(trials(settings, 4)):
            W = np.random.default_rng(seed).standard_normal((n, 2)) / np.sqrt(n)
            found = weight_distribution(W, "exact")
            values.append(float(found.value))
            gaps.append(float(found.bound - found.value))
        for what, value, published in (("least", min(values), low), ("largest", max(values), high)):
            claims.append(equals(f"{what} ε of draws, n = {n}", value, published, 0.03))
        apart = round(max(gaps), 12)  # the search stops at 1e-5, but for rounding
        claims.append(holds(f"value and bound, n = {n}", 1e-5, apart, apart <= 1e-5, "apart"))
        rows.append(row_of_mean(values, n=n, law=(low + high) / 2))
    draw = partial(
        draw_means,
        rows,
        axis="n",
        law="middle of the published range",
        xlabel="units n",
        ylabel="constant ε of the WDC",
        title="weight distribution condition of (n, 2) Gaussian layers",
    )
    return Outcome(claims, rows, draw)


ENTRIES = (
    Reproduction(
        name="range-certificates",
        title="set-restricted eigenvalues of random ReLU networks, certified, over measurements",
        source="Bora, Jalal, Price, Dimakis (2017), Definition 1; table of a prototype",
        run=_eigenvalues,
        cost="1 minute",
    ),
    Reproduction(
        name="weight-distribution",
        title="constants of the weight distribution condition of layers of two inputs",
        source="Hand, Voroninski (2019), Definition 2; grid of a prototype",
        run=_weights,
        cost="20 seconds",
    ),
)
