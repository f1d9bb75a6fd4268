"""Least squares over the range stays below the bounds of Bora et al., to the global minimum."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np

from jaxinv.generators import relu
from jaxinv.operators import gaussian
from jaxinv.reproductions._models import draw_means, row_of_mean
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import Claim, at_most, holds
from jaxinv.theory import RangeRecovery
from jaxinv.theory.generative._range_recovery import Pieces, enumerated, scored

_WIDTHS, _NUM_MEASUREMENTS = (2, 6, 12), 10
_OFF_RANGE = (0.0, 0.1, 0.3, 1.0)  # energy besides the range, relative to the signal
_NOISE = (0.0, 0.05, 0.3)  # ‖η‖ over the signal
_RADIUS, _DELTA = 1.5, 0.1
_LEVELS = (1e-4, 1e-2, 1.0)  # α of the noise N(0, α/m)
_PER_NETWORK = 12  # one of each level off the range and of noise


def _certified(key: jax.Array) -> Pieces | None:
    """Return a drawn network and operator where γ >= ½ is certified."""
    weight_key, operator_key = jax.random.split(key)
    A = gaussian(operator_key, _NUM_MEASUREMENTS, _WIDTHS[-1])
    pieces = enumerated("reproduce", A, relu(weight_key, _WIDTHS), with_eigenvalue=True)
    return pieces if pieces.eigenvalue >= 0.5 else None


def _solved(pieces: Pieces, rng: np.random.Generator, off: float, noise: float) -> Any:
    """Return the scores of Theorem 2 and of Theorem 1, in a ball, of one problem."""
    latent = rng.standard_normal(_WIDTHS[0])
    signal = latent
    for weight in pieces.weights:
        signal = np.maximum(weight @ signal, 0)
    signal = pieces.size * signal
    length = np.linalg.norm(signal)
    truth = signal + off * length * _unit(rng, len(signal))
    y = pieces.scale * (pieces.matrix @ truth)
    y = y + noise * length * _unit(rng, len(y))
    in_ball = scored(pieces, truth, y, radius=_RADIUS, delta=_DELTA)
    return scored(pieces, truth, y), in_ball


def _unit(rng: np.random.Generator, size: int) -> np.ndarray:
    vector = rng.standard_normal(size)
    return vector / np.linalg.norm(vector)


def _mean_squares(pieces: Pieces, rng: np.random.Generator, level: float) -> float:
    """Return the squared error over α, of a signal in the range and noise N(0, α/m)."""
    latent = rng.standard_normal(_WIDTHS[0])
    truth = latent
    for weight in pieces.weights:
        truth = np.maximum(weight @ truth, 0)
    truth = pieces.size * truth
    m = _NUM_MEASUREMENTS
    y = pieces.scale * (pieces.matrix @ truth) + np.sqrt(level / m) * rng.standard_normal(m)
    return scored(pieces, truth, y).measured ** 2 / level


def _bounds(settings: Settings) -> Outcome:
    wanted = trials(settings, 1000)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(settings.key)))
    found: dict[float, list[RangeRecovery]] = {off: [] for off in _OFF_RANGE}
    in_ball: list[RangeRecovery] = []
    squares: dict[float, list[float]] = {level: [] for level in _LEVELS}
    count = index = 0
    while count < wanted:
        pieces = _certified(jax.random.fold_in(settings.key, index))
        index += 1
        if pieces is None:
            continue
        for off in _OFF_RANGE:
            for noise in _NOISE:
                everywhere, ball = _solved(pieces, rng, off, noise)
                found[off].append(everywhere)
                in_ball.append(ball)
        for level in _LEVELS:
            squares[level] += [_mean_squares(pieces, rng, level) for _ in range(_PER_NETWORK)]
        count += _PER_NETWORK
    everywhere = [score for scores in found.values() for score in scores]
    claims = [
        _never("(16): 6 min ‖G(z) − x*‖ + 3 ‖η‖", everywhere),
        _never(f"(13): and 2δ, ‖z‖ <= {_RADIUS}, δ = {_DELTA}", in_ball),
    ]
    above = [score.measured > score.proven * (1 + 1e-9) + 1e-9 for score in everywhere]
    what = f"exceeded: what γ and the gain of A prove, {len(above)} problems"
    claims.append(holds(what, 0.0, float(np.sum(above)), not np.any(above), "never"))
    for level in _LEVELS:
        what = f"(20): E‖x̂ − x*‖²/α at α = {level:g}, at most the 9 of (16)"
        claims.append(at_most(what, squares[level], 9.0))
    rows = []
    for off, scores in found.items():
        errors = np.array([score.measured for score in scores])
        rows.append(
            row_of_mean(errors, off_range=off, law=float(np.mean([s.bound for s in scores])))
        )
    draw = partial(
        draw_means,
        rows,
        axis="off_range",
        law="6 min ‖G(z) − x*‖ + 3 ‖η‖",
        xlabel="distance of the signal from the range",
        ylabel="error ‖x̂ − x*‖",
        title=f"global least squares over the range, {_WIDTHS}, m = {_NUM_MEASUREMENTS}, γ >= ½",
    )
    return Outcome(claims, rows, draw)


def _never(what: str, scores: list[RangeRecovery]) -> Claim:
    violated = float(np.sum([not score.holds for score in scores]))
    what = f"violated: {what}, {len(scores)} problems with γ >= ½ certified"
    return holds(what, 0.0, violated, violated == 0, "never")


ENTRIES = (
    Reproduction(
        name="range-recovery",
        title="the error of least squares over the range stays below its bounds",
        source="Bora, Jalal, Price, Dimakis (2017), Theorems 1.1, 1.2; Scarlett et al. (2022), "
        "(13), (16), (20)",
        run=_bounds,
        cost="30 seconds",
    ),
)
