"""What a person sees while a sweep runs and when it has ended."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from jaxinv._core import checks, status_name
from jaxinv.reproductions.presets import Preset
from jaxinv.sweeps import Estimate, Progress, Report, wilson
from jaxinv.sweeps._progress import duration, state

_SECONDS_BETWEEN_LINES = 2.0


class SweepDisplay:
    """A table that grows by a row per finished cell, over a progress bar.

    Where the output is not a terminal, each finished cell is one line at once, and the table
    comes at the end.
    """

    def __init__(self, preset: Preset, solver: str) -> None:
        self.preset, self.solver = preset, solver
        self.console = Console()
        self.rows: dict[Any, list[str]] = {}
        self.table = self._built()
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )
        self.task = self.bar.add_task("compiling", total=None)
        self.live = Live(Group(self.table, self.bar), console=self.console, refresh_per_second=4)

    def _built(self) -> Table:
        """Return the table, its rows in the order of the axis whatever finished first."""
        title = f"{self.preset.title}\n{self.solver}"
        if self.preset.across is not None:
            return Table(title=title, title_justify="left", box=None)
        table = Table(title=title, title_justify="left", box=box.SIMPLE)
        for heading in self._headings():
            width = max(3, len(heading))
            table.add_column(heading, justify="right", no_wrap=True, min_width=width)
        table.add_column("ended")
        table.caption = f"{self.preset.label}; error and steps are medians"
        for value in sorted(self.rows):
            table.add_row(*self.rows[value])
        return table

    def _headings(self) -> list[str]:
        published = ["published"] if self.preset.published else []
        return [self.preset.symbol, "success", "95 % interval", *published, "error", "steps"]

    def __enter__(self) -> SweepDisplay:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def update(self, progress: Progress) -> None:
        """Show one report of the engine."""
        value = None if progress.cell is None else progress.cell[self.preset.axis]
        text = "compiling" if value is None else f"{self.preset.symbol} = {value}"
        if progress.cell is not None and self.preset.across is not None:
            name = self.preset.across.name
            text += f", {name} = {progress.cell[name]}"
        if progress.rate:
            text += f"  {state(progress)}"
        self.bar.update(
            self.task, description=text, completed=progress.num_done, total=progress.num_trials
        )
        if progress.finished is not None and self.preset.across is None:
            row = self._row(value, progress.finished)
            self.rows[value] = row
            self.table = self._built()
            self.live.update(Group(self.table, self.bar))
            if not self.console.is_terminal:
                print(f"{self.preset.symbol} = {value}: success {row[1]} in {row[2]}", flush=True)

    def _row(self, value: Any, results: dict[str, np.ndarray]) -> list[str]:
        error = results["error"]
        success = int(np.sum(error < self.preset.success))
        low, high = wilson(success, error.size)
        published = []
        if self.preset.published:
            known = self.preset.published.get(value)
            published = ["" if known is None else f"{known:.2f}"]
        ended = Counter(status_name(code) for code in results["status"])
        return [
            str(value),
            f"{success / error.size:.2f}",
            f"[{float(low):.2f}, {float(high):.2f}]",
            *published,
            f"{np.median(np.where(np.isnan(error), np.inf, error)):.1e}",
            f"{np.median(results['num_steps']):.0f}",
            ", ".join(f"{count} {name.lower()}" for name, count in ended.most_common()),
        ]

    def interrupted(self, store: str | None) -> None:
        """Say what is safe and how to go on."""
        if store is None:
            text = "Interrupted. Nothing was kept: give --store FILE to be able to resume."
        else:
            text = f"Interrupted. Finished trials are in {store}; the same command goes on there."
        self.say(text)

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def table_if_not_shown(self) -> None:
        """Print the table where it is not on the screen yet."""
        if not self.console.is_terminal and self.preset.across is None:
            self.console.print(self.table)

    def finish(self, figure: str, seconds: float, store: str | None, report: Report | None) -> None:
        """Say where things were written, how long it took, and what it cost."""
        print(f"figure: {figure}")
        if store is not None:
            print(f"store: {store}")
        if report is not None:
            for line in lines(report):
                print(line)
        print(f"{seconds:.1f} s in all", flush=True)


def print_estimate(preset: Preset, recipe: Any, found: Estimate) -> None:
    """Print what a sweep would take, and a line for each size on how its time grows."""
    num_cells = math.prod(map(len, preset.grid.values()))
    print(preset.title)
    print(f"sweep: {num_cells} cells x {recipe.trials} trials, {recipe.solver}, {recipe.dtype}")
    spread = f"{duration(found.low)} to {duration(found.high)}"
    compiling = f"{duration(found.compile_seconds)} of it compiling"
    print(f"time: {duration(found.seconds)}, 95 %: {spread}; {compiling}")
    print(f"memory: {found.bytes / 2**20:.1f} MiB a block of {found.block_size}")
    timed = f"{found.num_timed} of {found.num_blocks} blocks"
    print(f"timed: {timed}, in {found.num_cells_timed} of {num_cells} cells", flush=True)
    growth = Table(box=box.SIMPLE)
    growth.add_column("time grows with the")
    for heading in ("power", "standard error", "points"):
        growth.add_column(heading, justify="right")
    sizes = {"trial": "number of trials", preset.axis: preset.label}
    if preset.across is not None:
        sizes[preset.across.name] = preset.across.label
    for row in found.growth:
        numbers = ("-" if math.isnan(x) else f"{x:.2f}" for x in (row.slope, row.error))
        growth.add_row(sizes[row.name], *numbers, str(row.num_points))
    Console().print(growth)


def lines(report: Report) -> list[str]:
    """Return what a sweep did and what it cost."""
    found = report.num_trials - report.num_run
    first = f"trials: {report.num_trials}"
    first += f", {found} of them from the store" if found else ""
    first += f"; {report.num_failed} with a result that is not finite" if report.num_failed else ""
    many = report.num_workers or report.num_devices
    where = f"{many} {'worker' if report.num_workers else 'device'}{'s' if many > 1 else ''}"
    second = (
        f"time: {report.compile_seconds:.1f} s compiling, {report.run_seconds:.1f} s computing on "
        f"{where}, {report.write_seconds:.1f} s waiting for the store"
    )
    third = []
    if report.bytes_written:
        third.append(f"written: {report.bytes_written / 1000:.1f} kB")
    if report.num_retries:
        third.append(f"retries: {report.num_retries} tasks of lost workers")
    return [first, second, *third]


class JsonLog:
    """One line of JSON for every finished cell, every few seconds, and the end."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: Any = None
        self._last = -math.inf

    def __enter__(self) -> JsonLog:
        try:
            self._file = sys.stderr if self._path == "-" else open(self._path, "a")
        except OSError as error:
            got = f"{self._path!r} ({error.strerror})"
            checks.fail("sweep", "log-json", "be a file that can be written", got)
        return self

    def __exit__(self, *_: object) -> None:
        if self._path != "-":
            self._file.close()

    def update(self, progress: Progress) -> None:
        """Write one report of the engine."""
        now = time.time()
        kind = "report" if progress.report else "cell" if progress.finished else "progress"
        if kind == "progress" and now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = now
        row: dict[str, Any] = {"event": kind, "time": round(now, 3)}
        row |= {"done": progress.num_done, "of": progress.num_trials}
        if progress.cell is not None:
            row["cell"] = dict(progress.cell)
        if progress.report is not None:
            row |= progress.report._asdict()
        else:
            row |= {"rate": progress.rate, "seconds_left": progress.seconds_left}
            row |= {"failed": progress.num_failed, "busy": progress.busy}
        print(json.dumps(row), file=self._file, flush=True)
