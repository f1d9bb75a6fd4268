"""The spurious critical point of random ReLU networks lies at −ρ_d x*."""

from __future__ import annotations

from jaxinv.reproductions._landscape import DEPTHS, SOURCE, by_depth, landscape_draws
from jaxinv.reproductions._models import row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import compare_mean
from jaxinv.theory import rho

_SLACK = 0.02  # ρ_1 is 0, and ρ_d has a bias of order 1/width


def _rho(settings: Settings) -> Outcome:
    results = landscape_draws(settings)
    claims, rows = [], []
    for depth in DEPTHS:
        samples = results["best"].sel(depth=depth).values
        law = round(rho(depth), 12)
        claims.append(compare_mean(f"ρ_{depth}", samples, law, tolerance=0.0, slack=_SLACK))
        rows.append(row_of_mean(samples, depth=depth, law=law))
    return by_depth(claims, rows, ylabel="minimizer on the ray −t x*", law="ρ_d", what="ρ_d")


ENTRIES = (
    Reproduction(
        "landscape-rho",
        "the spurious critical point lies at −ρ_d x*",
        SOURCE,
        _rho,
        "20 seconds",
    ),
)
