"""Whether a network, or a fit, can be held in memory."""

from __future__ import annotations

import os
from typing import Any

from jaxinv._core import checks

COPIES = 8  # of a fit: parameters, gradient, two moments, the best so far, the last good state
_SHARE = 0.9


def require_memory(
    where: str, num_parameters: int, itemsize: int, *, num_fits: int = 1, copies: int = 1
) -> None:
    """Refuse networks whose parameters, so many times, exceed the machine's memory."""
    needed = copies * num_parameters * num_fits * itemsize
    available = _physical_memory()
    if available is not None and needed > _SHARE * available:
        fits = "" if num_fits == 1 else f" in each of {num_fits} fits"
        got = f"{num_parameters} parameters{fits}, about {needed / 2**30:.1f} GiB"
        hint = "Use fewer channels, or fewer fits at once."
        expected = f"fit in memory ({available / 2**30:.1f} GiB)"
        checks.fail(where, "prior", expected, got, hint)


def _physical_memory() -> float | None:
    """Return the machine's memory in bytes, where the system tells it."""
    names: Any = getattr(os, "sysconf_names", {})
    if "SC_PAGE_SIZE" not in names or "SC_PHYS_PAGES" not in names:
        return None
    return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
