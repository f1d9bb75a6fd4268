"""Functions that a wide convolutional network fits first."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import ntk
from jaxinv.generators import two_layer
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained import triangle
from jaxinv.reproductions._untrained_theory import (
    PAPER,
)
from jaxinv.reproductions.claims import at_least, at_most, equals
from jaxinv.viz._panels import Panel, Picture, draw, named

_SHOWN = (0, 1, 5, 20)  # the 1st, 2nd, 6th and 21st function of the figure


_WELL = 0.9  # energy from which on "well approximated" counts as reproduced


class BasisStudy(NamedTuple):
    """Sizes of the study of singular vectors: outputs, kernel width, channels, functions."""

    size: int = 300
    width: int = 10
    num_channels: int = 4096
    num_functions: int = 21


def _basis(study: BasisStudy, settings: Settings) -> Outcome:
    n, p = study.size, study.num_functions
    basis = np.asarray(ntk.trigonometric_basis(n), float)
    departure = float(np.max(np.abs(basis.T @ basis - np.eye(n))))
    claims = [at_most("largest entry of |WᵀW − I|", departure, 1e-5)]
    shown = [index for index in _SHOWN if index < n // 2]
    for index in shown:
        turns = _sign_changes(basis[:, index])
        claims.append(equals(f"sign changes of w_{index}", turns, 2 * index, 0))
    energies, vectors = [], None
    keys = jax.random.split(settings.key, trials(settings, 5))
    counter = Counter(settings, len(keys))
    low = basis[:, ntk.frequency_order(n)[:p]]
    kernel = jnp.asarray(triangle(n, study.width), jnp.float32)
    for key in keys:
        matrix = ntk.empirical_kernel(two_layer(kernel, study.num_channels, key=key))
        vectors = np.linalg.eigh(np.asarray(matrix, float))[1][:, ::-1][:, :p]
        energies.append(float(np.mean(np.sum((low.T @ vectors) ** 2, axis=0))))
        counter.next("two-layer")
    what = f"energy of the {p} leading singular vectors of J in the {p} smoothest functions"
    claims.append(at_least(what, energies, _WELL))
    names = [f"w_{index}" for index in shown]
    rows = [
        {"entry": j} | {name: basis[j, i] for name, i in zip(names, shown, strict=True)}
        for j in range(n)
    ]
    return Outcome(claims, rows, partial(_draw_basis, basis, shown, vectors))


def _sign_changes(values: np.ndarray) -> int:
    """Return how often a periodic sequence changes its sign; zeros have the sign before them."""
    signs = np.sign(np.where(np.abs(values) < 1e-9, 0, values))
    signs = signs[signs != 0]
    return int(np.sum(signs != np.roll(signs, 1)))


def _draw_basis(basis: np.ndarray, shown: list[int], vectors: Any, path: Path) -> str:
    """Draw the functions, and where in frequency the energy of each singular vector lies."""
    n, places = len(basis), np.arange(len(basis))
    panels: list[Any] = [
        Panel(f"function {i + 1}", "entry j", "[w]_j", named({f"w_{i}": (places, basis[:, i])}))
        for i in shown
    ]
    energy = (basis.T @ vectors) ** 2
    frequency = np.minimum(places, n - places)
    num_shown = vectors.shape[1] // 2 + 3
    by_frequency = np.stack([energy[frequency == f].sum(axis=0) for f in range(num_shown)])
    text = f"frequency 0 to {num_shown - 1} (down) of\nsingular vector 1 to {vectors.shape[1]}"
    panels.append(Picture(f"{text}: energy, black is 1", 1 - by_frequency))
    title = f"trigonometric functions and singular vectors of a two-layer network, n = {n}"
    return draw(path, panels, title=title, num_columns=5)


ENTRIES = (
    Reproduction(
        name="untrained-basis",
        title="singular vectors of a wide two-layer network are trigonometric functions",
        source=f"{PAPER}, figure 2 and equation 10",
        run=partial(_basis, BasisStudy()),
        cost="10 seconds",
    ),
)
