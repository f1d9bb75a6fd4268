"""What a person sees while a sweep runs and when it has ended."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from jaxinv._core import status_name
from jaxinv.experiments import Progress, wilson
from jaxinv.reproductions.presets import Preset


class SweepDisplay:
    """A table that grows by a row per finished cell, over a progress bar.

    Where the output is not a terminal, each finished cell is one line at once, and the table
    comes at the end.
    """

    def __init__(self, preset: Preset, solver: str) -> None:
        self.preset, self.solver = preset, solver
        self.console = Console()
        title = f"{preset.title}\n{solver}"
        self.table = Table(title=title, title_justify="left", box=box.SIMPLE)
        for heading in self._headings():
            width = len(heading)
            self.table.add_column(heading, justify="right", no_wrap=True, min_width=max(3, width))
        self.table.add_column("ended")
        self.table.caption = f"{preset.label}; error and steps are medians"
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )
        self.task = self.bar.add_task("compiling", total=None)
        self.live = Live(Group(self.table, self.bar), console=self.console, refresh_per_second=4)

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
        self.bar.update(
            self.task, description=text, completed=progress.num_done, total=progress.num_trials
        )
        if progress.finished is not None:
            row = self._row(value, progress.finished)
            self.table.add_row(*row)
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
        self.console.print(text, markup=False, highlight=False)

    def table_if_not_shown(self) -> None:
        """Print the table where it is not on the screen yet."""
        if not self.console.is_terminal:
            self.console.print(self.table)

    def finish(self, figure: str, seconds: float, store: str | None) -> None:
        """Say where things were written, and how long it took."""
        print(f"figure: {figure}")
        if store is not None:
            print(f"store: {store}")
        print(f"{seconds:.1f} s in all", flush=True)
