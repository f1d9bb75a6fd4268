"""The bar of ``progress=True``: in a terminal and a notebook; elsewhere a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any

from jaxinv.sweeps._progress import Progress

_SECONDS_BETWEEN_LINES = 5.0


class ProgressBar:
    """Shows a ``Progress`` whenever it is called with one; a context that ends with the bar."""

    def __init__(self) -> None:
        self._bar = _rich_bar()
        self._task = None if self._bar is None else self._bar.add_task("compiling", total=None)
        self._last_line = time.perf_counter()

    def __enter__(self) -> ProgressBar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Show how far the sweep is."""
        if self._bar is not None:
            text = str(progress).partition(" trials")[2].lstrip(", ")
            done, total = progress.num_done, progress.num_trials
            self._bar.update(self._task, description=text, completed=done, total=total)
            return
        now = time.perf_counter()
        if progress.report is not None or now - self._last_line > _SECONDS_BETWEEN_LINES:
            self._last_line = now
            print(f"sweep: {progress}", file=sys.stderr, flush=True)


def _rich_bar() -> Any:
    """Return rich's bar where there is a place to draw one."""
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar
    except ModuleNotFoundError:
        return None
    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        return None
    texts = TextColumn("{task.description}", markup=False)
    return Bar(BarColumn(), MofNCompleteColumn(), texts, console=console, refresh_per_second=4)
