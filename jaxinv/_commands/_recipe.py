"""How a named sweep was asked for: numbers and registered names, checked whenever they are read."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

DTYPES = ("float32", "float64")


class Recipe(NamedTuple):
    """The settings of a named sweep that its results depend on, and nothing else."""

    preset: str
    solver: str
    dtype: str
    seed: int
    trials: int
    precision: float | None
    bisect: float | None

    def __str__(self) -> str:
        given = [f"{name} {value}" for name, value in self._asdict().items() if value is not None]
        return ", ".join(given[1:])


def from_options(options: argparse.Namespace) -> Recipe:
    """Return the recipe that a command line describes."""
    from jaxinv.reproductions.presets import preset

    chosen = preset(options.preset)
    solver = next(iter(chosen.solvers)) if options.solver is None else options.solver
    trials = chosen.num_trials if options.trials is None else options.trials
    numbers = (options.seed, trials, options.precision, options.bisect)
    return checked(Recipe(chosen.name, solver, options.dtype, *numbers)._asdict())


def checked(values: Any) -> Recipe:
    """Return a recipe; ValueError or TypeError, in a line, for what no sweep is asked for by."""
    from jaxinv._core import checks
    from jaxinv.reproductions.presets import preset

    if not isinstance(values, Mapping) or set(values) != set(Recipe._fields):
        checks.fail_type("sweep", "recipe", f"have {', '.join(Recipe._fields)}", values)
    found = Recipe(**values)
    chosen = preset(found.preset)
    checks.choice("sweep", "solver", found.solver, chosen.solvers)
    checks.choice("sweep", "dtype", found.dtype, DTYPES)
    checks.count("sweep", "trials", found.trials)
    if type(found.seed) is not int or not 0 <= found.seed < 2**32:
        checks.fail("sweep", "seed", "be in [0, 2**32)", found.seed)
    if chosen.across is not None and found.bisect is not None:
        checks.fail("sweep", "bisect", "be left out for a map", found.bisect)
    precision = _number("precision", found.precision, high=0.5)
    return found._replace(precision=precision, bisect=_number("bisect", found.bisect))


def _number(name: str, value: Any, high: float = math.inf) -> float | None:
    from jaxinv._core import checks

    if value is None:
        return None
    if type(value) not in (int, float):
        checks.fail_type("sweep", name, "be a number", value)
    if not 0 <= value < high:
        checks.fail("sweep", name, f"be in [0, {high:g})", value)
    return float(value)


def remembered(path: str) -> list[Recipe]:
    """Return the recipes in a store; StoreError for one that this version does not know."""
    from jaxinv import sweeps
    from jaxinv.sweeps import StoreError
    from jaxinv.sweeps.store._location import clean

    most = sweeps.verify(path).num_trials
    found = []
    for value in sweeps.recipes(path)[:_MOST_RECIPES]:
        try:
            found.append(checked(value))
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"store {path} remembers settings that are none of a named sweep "
                f"({clean(error)}): nothing is computed. Call sweeps.sweep as you did."
            ) from None
        if found[-1].trials > most:
            raise StoreError(
                f"store {path} remembers {found[-1].trials} trials, and no cell was asked for so "
                "many: nothing is computed. Call sweeps.sweep as you did."
            )
    return found


_MOST_RECIPES = 100


def settings(recipe: Recipe, chosen: Any) -> dict[str, Any]:
    """Return the arguments of ``sweep`` that a recipe stands for."""
    import jax

    grid = chosen.grid
    found: dict[str, Any] = {
        "key": jax.random.key(recipe.seed),
        "num_trials": recipe.trials,
        "precision": recipe.precision,
        "traced": tuple(grid),
        "block_size": chosen.block_size if jax.default_backend() == "cpu" else None,
    }
    if recipe.bisect is not None:
        values = grid[chosen.axis]
        middle = values[len(values) // 2]
        spacing = recipe.bisect or max(1, round((values[-1] - values[0]) / 30))
        found["bisect"] = {chosen.axis: spacing}
        grid[chosen.axis] = [values[0], middle, values[-1]]
    if recipe.precision is not None or recipe.bisect is not None:
        found["success"] = lambda metrics: metrics["error"] < chosen.success
    return {"grid": grid, **found}
