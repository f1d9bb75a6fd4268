"""Draws of a posterior as figures."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from jaxinv._core import Status, checks
from jaxinv.samplers import Samples
from jaxinv.samplers._summary import real_draws, summarized
from jaxinv.viz._colors import INK, MEASURED
from jaxinv.viz._panels import Line, Panel, Picture, draw

_PANEL = 2.3  # inches a side of an image
_TINY = 1e-30


def plot_samples(
    draws: Samples,
    path: str | os.PathLike[str],
    *,
    truth: Any = None,
    level: float = 0.9,
    num_draws: int = 3,
) -> str:
    """Draw the posterior mean, the spread and a few draws; of signals with one axis the intervals.

    Chains that have not mixed are drawn too, with their status in the title.

    Args:
        draws: what ``ji.sample`` returned, of images (h, w) or (h, w, 3), or of signals (n,).
        path: figure to write; the suffix (.png, .pdf, .svg) chooses the format.
        truth: the signal, drawn beside them where it is known.
        level: share of the posterior between the ends of the intervals.
        num_draws: how many draws to show, the last ones of different chains.

    Returns:
        The path.

    Raises:
        TypeError: no ``Samples``.
        ValueError: signals of another kind; a truth of another shape; another suffix.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.trained.pretrained("mnist")
        >>> A = ji.operators.from_function(jnp.ravel, (28, 28))
        >>> problem = ji.Problem(A, jnp.zeros(784), G)
        >>> key = jax.random.key(0)
        >>> draws = ji.sample(ji.samplers.langevin(1e-3, 1.0), problem, jnp.zeros((4, 20)),
        ...                   key=key, num_steps=8)
        >>> ji.viz.plot_samples(draws, tempfile.mkdtemp() + "/digit.png")[-9:]
        'digit.png'
    """
    where = "plot_samples"
    num_draws = checks.count(where, "num_draws", num_draws)
    draws = real_draws(where, draws)
    found = summarized(where, draws, level)
    x = np.asarray(draws.x)
    shape = x.shape[2:]
    if len(shape) not in (1, 2) and not (len(shape) == 3 and shape[-1] == 3):
        expected = "have signals of shape (n,), (h, w) or (h, w, 3)"
        checks.fail(where, "draws.x", expected, draws.x)
    if truth is not None:
        truth = np.asarray(checks.array(where, "truth", truth))
        checks.shape_is(where, "truth", truth, shape)
    num_chains, length = x.shape[:2]
    picked = range(min(num_draws, num_chains * length))
    some = [x[i % num_chains, length - 1 - i // num_chains] for i in picked]
    mean, std, low, high = (np.asarray(value) for value in found)
    said = _said(draws)
    if len(shape) == 1:
        places = np.arange(shape[0])
        band = f"{100 * level:g} % of the posterior"
        lines = [Line(places, mean, "mean", MEASURED[0], band=(low, high), band_label=band)]
        names = ["draws", *[""] * (len(some) - 1)]
        lines += [
            Line(places, one, name, MEASURED[1], ":") for one, name in zip(some, names, strict=True)
        ]
        lines += [] if truth is None else [Line(places, truth, "truth", INK, "", "o")]
        return draw(path, [Panel(said, "entry", "signal", lines)], size=(6.4, 3.4))
    return draw(path, _pictures(mean, std, some, truth, said), size=_size(shape), num_columns=9)


def _pictures(mean: Any, std: Any, some: list[Any], truth: Any, said: str) -> list[Picture]:
    largest = max(float(np.max(mean if truth is None else truth)), _TINY)
    spread = std if std.ndim == 2 else std.mean(axis=-1)
    widest = max(float(np.max(spread)), _TINY)
    return [
        *([] if truth is None else [Picture("Truth\n", truth / largest)]),
        Picture(f"Mean\n{said}", mean / largest),
        Picture("Standard\ndeviation", spread, widest, "magma", bar=True),
        *(Picture(f"Draw\n{index}", one / largest) for index, one in enumerate(some, 1)),
    ]


def _size(shape: tuple[int, ...]) -> tuple[float, float]:
    scale = _PANEL / max(shape[:2])
    return max(scale * shape[1], 1.6) + 0.2, scale * shape[0] + 0.62


def _said(draws: Samples) -> str:
    """Return the status of the chains, the worst where they differ."""
    status = np.asarray(draws.status)
    bad = status[status != Status.SAMPLED]
    worst = Status(int(bad.max() if bad.size else Status.SAMPLED))
    return f"{worst.name}, {status.size} chains"
