"""Named sweeps: a trial, its grid, what was published, and the solvers to choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxinv._core import checks
from jaxinv.reproductions import _lasso, _nonexpansive


class Axis(NamedTuple):
    """A second axis, which makes a map of a curve.

    Attributes:
        name: of the grid, and its letter.
        label: what it means.
        values: the grid's values.
    """

    name: str
    label: str
    values: Sequence[Any]


class Preset(NamedTuple):
    """A sweep with a name.

    Attributes:
        name: as the command line has it.
        title: one line on what it shows.
        source: paper, figure or section.
        axis: the grid's one name, ``symbol`` its letter and ``label`` what it means.
        values: the grid's values.
        solvers: names to functions ``dtype -> trial``; the first is the default.
        success: largest ``error`` that counts as recovery.
        published: the published success rate at some values, and out of how many trials.
        transition: a value where theory has the transition, and what it is called, or None.
        num_trials: trials a cell by default.
        block_size: trials per block on a CPU, None for the engine's choice.
        across: the horizontal axis of a map, whose vertical one is ``axis``; None: a curve.
    """

    name: str
    title: str
    source: str
    axis: str
    symbol: str
    label: str
    values: Sequence[Any]
    solvers: Mapping[str, Callable[[Any], Any]]
    success: float
    published: Mapping[Any, float]
    published_trials: int
    transition: tuple[float, str] | None = None
    num_trials: int = 30
    block_size: int | None = None
    across: Axis | None = None

    @property
    def grid(self) -> dict[str, list[Any]]:
        """The names and values of the sweep."""
        second = {} if self.across is None else {self.across.name: list(self.across.values)}
        return {self.axis: list(self.values), **second}

    def trial(self, solver: str | None = None, dtype: str = "float32") -> Any:
        """Return the trial for a solver and a dtype, each by name."""
        name = next(iter(self.solvers)) if solver is None else solver
        checks.choice(self.name, "solver", name, self.solvers)
        checks.choice(self.name, "dtype", dtype, ("float32", "float64"))
        return self.solvers[name](jnp.dtype(dtype))


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="phase-map",
            title="recovery with a random ReLU prior (k, 200, 150): one compile, one map",
            source="more measurements than latents: Hand, Voroninski (2019)",
            axis="k",
            symbol="k",
            label="latent dimension k",
            values=(2, 5, 8, 11, 14, 17, 20, 23, 26, 29),
            solvers=_nonexpansive.solvers(hidden=(200, 150), largest_k=29, largest_m=80),
            success=1e-3,
            published={},
            published_trials=0,
            num_trials=20,
            across=Axis("m", "measurements m", (5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80)),
        ),
        Preset(
            name="nonexpansive-2layer",
            title="recovery with a two-layer ReLU prior (k, 700, 600) from m = 300 measurements",
            source="Cocola (2022), figure 1 and appendix H",
            axis="k",
            symbol="k",
            label="latent dimension k",
            values=(5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 135, 150),
            solvers=_nonexpansive.solvers(hidden=(700, 600), largest_k=150),
            success=1e-3,
            published=_nonexpansive.PUBLISHED_TWO_LAYERS,
            published_trials=30,
        ),
        Preset(
            name="nonexpansive-3layer",
            title="recovery with a contracting ReLU prior (k, 150, 700, 600) from m = 300",
            source="Cocola (2022), figure 1 and appendix H",
            axis="k",
            symbol="k",
            label="latent dimension k",
            values=(5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80),
            solvers=_nonexpansive.solvers(hidden=(150, 700, 600), largest_k=80),
            success=1e-3,
            published=_nonexpansive.PUBLISHED_THREE_LAYERS,
            published_trials=30,
        ),
        Preset(
            name="lasso",
            title="noiseless sparse recovery, n = 400 from m = 200 Gaussian measurements",
            source="Donoho, Tanner (2009): weak threshold s/m = 0.385 at m/n = 0.5",
            axis="num_nonzeros",
            symbol="s",
            label="number of nonzeros s",
            values=(10, 20, 30, 40, 50, 60, 65, 70, 75, 80, 85, 90, 100, 120),
            solvers=_lasso.SOLVERS,
            success=1e-2,
            published={},
            published_trials=0,
            transition=(0.385 * 200, "weak threshold (Donoho, Tanner)"),
        ),
    )
}


def preset(name: str) -> Preset:
    """Return a preset by name; the choices are listed when there is none of that name."""
    return PRESETS[checks.choice("sweep", "preset", name, PRESETS)]
