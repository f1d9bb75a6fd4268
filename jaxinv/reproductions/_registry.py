"""Reproductions: each knows its source and the published numbers, runs, and gives a verdict."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jax

import jaxinv
from jaxinv._core import checks
from jaxinv.reproductions.claims import Claim, overall
from jaxinv.sweeps import Progress


class Outcome(NamedTuple):
    """What running a reproduction yields.

    Attributes:
        claims: the comparisons.
        rows: the table behind the figure, one dict a row.
        draw: ``draw(path)`` writes the figure.
    """

    claims: Sequence[Claim]
    rows: Sequence[Mapping[str, Any]]
    draw: Callable[[Path], Any]


class Settings(NamedTuple):
    """How to run: ``num_trials`` None means as published; ``folder`` is where results go."""

    key: jax.Array
    num_trials: int | None = None
    progress: Callable[[Progress], None] | None = None
    folder: Path | None = None


class Reproduction(NamedTuple):
    """A named reproduction.

    Attributes:
        name: as the command line has it.
        title: what is reproduced, one line.
        source: paper, and figure, table or theorem.
        run: ``run(settings) -> Outcome``.
        cost: about how long it takes on two cores.
    """

    name: str
    title: str
    source: str
    run: Callable[[Settings], Outcome]
    cost: str


def write(
    folder: Path,
    item: Reproduction,
    outcome: Outcome,
    seconds: float,
    *,
    num_trials: int | None = None,
) -> dict[str, str]:
    """Write JSON, CSV and PNG of an outcome; returns their paths by kind."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {kind: folder / f"{item.name}.{kind}" for kind in ("json", "csv", "png")}
    summary = {
        "name": item.name,
        "title": item.title,
        "source": item.source,
        "verdict": overall(outcome.claims),
        "claims": [claim._asdict() for claim in outcome.claims],
        "seconds": round(seconds, 1),
        "num_trials": num_trials,
        "date": datetime.now(UTC).date().isoformat(),
        "jaxinv": jaxinv.__version__,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
        "dtype": jax.dtypes.canonicalize_dtype(float).name,
    }
    _replace(paths["json"], json.dumps(summary, indent=2) + "\n")
    draft = paths["csv"].with_suffix(".csv.part")
    with draft.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(outcome.rows[0]))
        writer.writeheader()
        writer.writerows(outcome.rows)
    draft.replace(paths["csv"])
    outcome.draw(paths["png"])
    return {kind: str(path) for kind, path in paths.items()}


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(path.suffix + ".part")
    draft.write_text(text)
    draft.replace(path)


def trials(settings: Settings, published: int) -> int:
    """Return the number of trials to run."""
    if settings.num_trials is None:
        return published
    return checks.count("reproduce", "trials", settings.num_trials, minimum=2)
