"""What training shows while it runs."""

from __future__ import annotations

import math
from typing import Any


class Display:
    """A progress bar; where the output is not a terminal, one line a chunk."""

    def __init__(self, verb: str, *, in_decibels: bool, test_size: int = 0) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.console = Console()
        self.in_decibels = in_decibels
        self.test_size = test_size
        text = TextColumn("{task.description}", markup=False)
        columns = (text, BarColumn(), TimeElapsedColumn())
        self.bar = Progress(*columns, console=self.console, transient=True)
        self.task = self.bar.add_task(verb, total=None)

    def __enter__(self) -> Display:
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
