"""Where stores lie: the paths that are taken, and those that would be misunderstood."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jaxinv._core import checks


def file_path(where: str, argument: str, value: Any) -> Path:
    """Return a path with ``~`` expanded; refuses names that SQLite or a URL gives a meaning."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else ""
    if not isinstance(text, str) or not text or "\0" in text:
        checks.fail_type(where, argument, "be the path of a file", value)
    if text == ":memory:" or text.startswith("file:") or "://" in text:
        hint = f"For a file of that name give './{text}'." if text == ":memory:" else ""
        checks.fail(where, argument, "be the path of a file, no address", repr(text), hint)
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        hint = f"For a folder of that name give './{text}'."
        checks.fail(where, argument, "begin with a user's home folder", repr(text), hint)
    return Path(expanded)


def clean(text: Any, most: int = 120) -> str:
    """Return text out of a file as one line of printable characters."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text)[: most + 1])
    return line if len(line) <= most else f"{line[: most - 3]}..."
