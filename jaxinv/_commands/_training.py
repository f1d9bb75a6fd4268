"""What a person sees while a network trains and when it has been tested."""

from __future__ import annotations

import argparse
import math
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

_HEADS = ("NMSE", "interval", "ten worst", "median", "failures")


class TrainDisplay:
    """A progress bar; where the output is not a terminal, one line a chunk."""

    def __init__(self, chosen: Any, options: argparse.Namespace) -> None:
        self.console = Console()
        self.in_decibels = options.protocol == "joint"
        self.test_size = options.test_size
        text = TextColumn("{task.description}", markup=False)
        columns = (text, BarColumn(), TimeElapsedColumn())
        self.bar = Bar(*columns, console=self.console, transient=True)
        verb = "compiling" if chosen.num_steps else "tuning"
        self.task = self.bar.add_task(verb, total=None)

    def __enter__(self) -> TrainDisplay:
        if self.console.is_terminal:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self.bar.stop()

    def trained(self, report: Any) -> None:
        """Show a report of training."""
        losses = f"loss {self._loss(report.loss)}, validation {self._loss(report.validation)}"
        text = f"step {report.step}: {losses}"
        self.bar.update(self.task, description=text, completed=report.step, total=report.num_steps)
        if not self.console.is_terminal:
            print(text, flush=True)

    def tested(self, count: int) -> None:
        """Show how many signals the test has seen."""
        self.bar.update(self.task, description="testing", completed=count, total=self.test_size)

    def _loss(self, value: float) -> str:
        """Return a loss as text; the logarithm of an NMSE in dB."""
        return f"{10 / math.log(10) * value:.2f} dB" if self.in_decibels else f"{value:.4g}"


def show_scores(options: argparse.Namespace, chosen: Any, found: dict[str, Any]) -> None:
    """Print the scores before and after training, and after every layer where asked for."""
    trained = found["trained"]
    noise = "no noise" if options.snr is None else f"SNR {options.snr:g} dB"
    title = (
        f"{chosen.title}\nm = {options.measurements}, n = {options.size}, "
        f"p = {options.sparsity:g}, {noise}, {options.layers} layers"
    )
    table = Table("", *_HEADS, title=title, title_justify="left")
    for name, each in found.items():
        numbers = (each.nmse_db, each.interval_db, each.worst_share)
        table.add_row(name, *_cells(*numbers, each.median_db, each.failure_rate))
    table.caption = (
        f"{trained.errors.size} fresh signals; NMSE in dB is a ratio of sums, with its 95 % "
        "interval and the share of the ten worst signals in the error; "
        f"a failure is above {trained.threshold_db:g} dB"
    )
    console = Console()
    console.print(table)
    limit = _limit(options)
    if limit is not None:
        print(f"least squares on the true support: {limit:.2f} dB")
    if options.by_layer:
        layers = Table("layer", *_HEADS)
        columns = (
            trained.layer_nmse_db,
            trained.layer_interval_db,
            trained.layer_worst_share,
            trained.layer_median_db,
            trained.layer_failure_rate,
        )
        for index, numbers in enumerate(zip(*columns, strict=True), start=1):
            layers.add_row(str(index), *_cells(*numbers))
        console.print(layers)


def _cells(nmse: float, interval: Any, worst: float, median: float, failures: float) -> Any:
    low, high = interval
    return (
        f"{nmse:.2f} dB",
        f"{low:.1f} .. {high:.1f}",
        f"{100 * worst:.0f} %",
        f"{median:.2f} dB",
        f"{100 * failures:.2f} %",
    )


def _limit(options: argparse.Namespace) -> float | None:
    """Return the error of least squares on the true support, where there is noise."""
    from jaxinv.theory import oracle_nmse_db

    aspect = options.measurements / options.size
    if options.snr is None or options.sparsity >= aspect:
        return None
    return float(oracle_nmse_db(options.snr, aspect=aspect, sparsity=options.sparsity))
