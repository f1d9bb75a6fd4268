"""Sweeps that decide for themselves how many trials a cell needs, and which cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxinv._core import checks
from jaxinv.sweeps._cells import canonical, token
from jaxinv.sweeps._program import Results
from jaxinv.sweeps._summaries import wilson
from jaxinv.sweeps._work import Cell

Success = str | Callable[[Mapping[str, np.ndarray]], Any]
_FIRST_ROUND = 16


class Rule(NamedTuple):
    """What success is, how well its rate must be known, and where the grid is refined.

    Decisions use trials in their order alone, at 16, 32, 64, ... of them: they are the same
    however the sweep was cut up.
    """

    success: Success | None
    precision: float | None
    bisect: Mapping[str, float]

    def first_round(self, num_trials: int) -> int:
        """Return the trials that every cell runs."""
        return num_trials if self.precision is None else min(_FIRST_ROUND, num_trials)

    def next_round(self, cell: Cell, num_trials: int) -> int | None:
        """Return how many trials the cell should have next, or None when it has enough."""
        if self.precision is None or cell.num_trials >= num_trials:
            return None
        low, high = wilson(self.count(cell), cell.num_trials)
        if float(high - low) / 2 <= self.precision:
            return None
        return min(2 * cell.num_trials, num_trials)

    def count(self, cell: Cell) -> int:
        """Return the successes among the wanted trials of a cell."""
        return int(np.sum(self._succeeded(cell.blocks.trials(cell.num_trials).arrays)))

    def _succeeded(self, results: Results) -> np.ndarray:
        if isinstance(self.success, str):
            name = checks.choice("sweep", "success", self.success, results)
            values: Any = results[name]
        else:
            assert self.success is not None
            values = self.success(results)
        found = np.asarray(values)
        length = len(next(iter(results.values())))
        if found.shape != (length,) or found.dtype != bool:
            got = f"{found.dtype} of shape {found.shape}"
            hint = "Example: success=lambda metrics: metrics['error'] < 1e-3."
            checks.fail("sweep", "success", f"give booleans of shape ({length},)", got, hint)
        return found

    def refined(self, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        """Return new cells halfway between neighbours whose rates lie on both sides of 1/2."""
        found: list[dict[str, Any]] = []
        for axis, spacing in self.bisect.items():
            lines: dict[str, list[Cell]] = {}
            for cell in cells:
                rest = {name: value for name, value in cell.values.items() if name != axis}
                lines.setdefault(token(sorted(map(list, rest.items()))), []).append(cell)
            for line in lines.values():
                line.sort(key=lambda cell: cell.values[axis])
                found += [
                    {**line[0].values, axis: value} for value in self._between(line, axis, spacing)
                ]
        return found

    def _between(self, line: list[Cell], axis: str, spacing: float) -> list[Any]:
        above = [2 * self.count(cell) >= cell.num_trials for cell in line]
        values = [cell.values[axis] for cell in line]
        middles = []
        for i in range(len(line) - 1):
            left, right = values[i], values[i + 1]
            if above[i] == above[i + 1] or right - left <= spacing:
                continue
            whole = isinstance(left, int) and isinstance(right, int)
            middle = (left + right) // 2 if whole else (left + right) / 2
            if left < middle < right:
                middles.append(canonical(axis, middle))
        return middles


def check_rule(
    success: Any, precision: Any, bisect: Any, axes: Mapping[str, Sequence[Any]]
) -> Rule:
    """Return the rule that the arguments of ``sweep`` describe."""
    if success is not None and not isinstance(success, str) and not callable(success):
        expected = "be the name of a boolean metric, or a function of the metrics"
        checks.fail_type("sweep", "success", expected, success)
    if success is None and (precision is not None or bisect):
        argument = "precision" if precision is not None else "bisect"
        hint = "Example: success=lambda metrics: metrics['error'] < 1e-3."
        checks.fail("sweep", argument, "come with success", "success=None", hint)
    if precision is not None:
        precision = float(checks.positive("sweep", "precision", precision))
        if precision >= 0.5:
            checks.fail("sweep", "precision", "be in (0, 0.5)", precision)
    if isinstance(bisect, str):
        bisect = {bisect: None}
    if bisect is not None and not isinstance(bisect, Mapping):
        expected = "be the name of an axis, or a dict of one to its smallest spacing"
        checks.fail_type("sweep", "bisect", expected, bisect)
    spacings = {}
    for axis, spacing in (bisect or {}).items():
        checks.choice("sweep", "bisect", axis, axes)
        spacings[axis] = _spacing(axis, spacing, axes[axis])
    return Rule(success, precision, spacings)


def _spacing(axis: str, spacing: Any, values: Sequence[Any]) -> float:
    if len(values) < 2 or any(
        isinstance(v, bool) or not isinstance(v, int | float) for v in values
    ):
        checks.fail(
            "sweep", f"grid[{axis!r}]", "be two or more numbers, to be bisected", str(values)
        )
    if spacing is None:  # whole numbers down to neighbours, others to a hundredth of the range
        whole = all(isinstance(value, int) for value in values)
        return 1 if whole else (max(values) - min(values)) / 100
    return float(checks.positive("sweep", f"bisect[{axis!r}]", spacing))
