"""Figures without global state, in one style."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jaxinv._core import checks, files

INK = "#222222"
PUBLISHED = "#8a8a8a"
MEASURED = ("#1f6fb4", "#d1602a", "#2e8b57", "#8551a8", "#b5912a")

_FORMATS = (".png", ".pdf", ".svg")


def figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """Return a matplotlib Figure of that size in inches, and its axes."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(width, height), layout="constrained")
    axes = drawing.subplots(rows, columns)
    for axis in drawing.axes:
        axis.grid(alpha=0.25, lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    return drawing, axes


def check_path(where: str, path: str | os.PathLike[str], argument: str = "plot") -> Path:
    """Check before a long run that a figure can be written there.

    Args:
        where: what asks, for the text of the error.
        path: of the figure; its folder may still be missing, the one above may not.
        argument: what the error calls the path.

    Returns:
        The path.

    Raises:
        ValueError: a suffix other than png, pdf and svg; a folder that cannot be written to.
    """
    target = files.as_path(where, argument, path)
    if target.suffix.lower() not in _FORMATS:
        checks.fail(where, argument, f"end in {', '.join(_FORMATS)}", repr(str(path)))
    files.writable(where, argument, target, folder_is_made=True)
    return target


def save(drawing: Any, path: str | os.PathLike[str]) -> str:
    """Write a figure: whole, or not at all."""
    target = check_path("plot", path, "path")
    try:
        target.parent.mkdir(exist_ok=True)
        with files.writing(target) as stream:
            drawing.savefig(stream, dpi=150, format=target.suffix[1:].lower())
    except OSError as error:
        raise OSError(f"plot: {target} cannot be written ({error.strerror}).") from None
    return str(target)
