"""One file of results for each device: parts measured at different times are kept beside another.

What a file says is data: a file that is not of this form, or of another device, is left alone, and
the next free name is taken.
"""

from __future__ import annotations

import datetime
import itertools
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LARGEST = 1 << 24  # bytes; a file of results has some thousands


def read(path: Path, device: str) -> dict[str, Any] | None:
    """Return the parts in a file of results of this device, None for any other file."""
    try:
        if path.stat().st_size > _LARGEST:
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("device_name") != device:
        return None
    parts = found.get("parts")
    if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
        return None
    return parts


def place(folder: Path, prefix: str, device: str) -> tuple[Path, dict[str, Any]]:
    """Return the first path that is free or this device's own, and the parts that are there."""
    name = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")[:80] or "unnamed"
    for count in itertools.count(1):
        path = folder / f"{prefix}-{name}{f'-{count}' * (count > 1)}.json"
        if not os.path.lexists(path):
            return path, {}
        parts = read(path, device)
        if parts is not None:
            return path, parts
    raise AssertionError


def keep(folder: Path, prefix: str, device: str, part: str, found: Mapping[str, Any]) -> Path:
    """Write one part of this device's results beside its others."""
    folder.mkdir(parents=True, exist_ok=True)
    path, parts = place(folder, prefix, device)
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    parts[part] = {"when": when, **found}
    report = {"benchmark": prefix, "device_name": device, "parts": parts}
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(report, indent=2, default=float) + "\n", encoding="utf-8")
    os.replace(beside, path)  # a write that breaks off leaves the old file whole
    return path
