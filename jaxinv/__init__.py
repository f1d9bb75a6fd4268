"""Inverse problems with deep priors: problems, solvers and networks as pytrees."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import data as data
    from . import denoisers as denoisers
    from . import generators as generators
    from . import images as images
    from . import metrics as metrics
    from . import misfits as misfits
    from . import ntk as ntk
    from . import operators as operators
    from . import problems as problems
    from . import prox as prox
    from . import samplers as samplers
    from . import shrinkage as shrinkage
    from . import solvers as solvers
    from . import sweeps as sweeps
    from . import theory as theory
    from . import trained as trained
    from . import unfolded as unfolded
    from . import untrained as untrained
    from . import viz as viz
    from ._core import Status as Status
    from ._core import describe as describe
    from ._core import pytree as pytree
    from ._core import static as static
    from .images import reconstruct as reconstruct
    from .problems import Problem as Problem
    from .samplers import Samples as Samples
    from .samplers import sample as sample
    from .solvers import Layers as Layers
    from .solvers import Solution as Solution
    from .solvers import raise_if_failed as raise_if_failed
    from .solvers import solve as solve
    from .solvers import trace as trace
    from .solvers import unfold as unfold
    from .sweeps import sweep as sweep

__version__ = "0.1.0"

_NAMESPACES = (
    "data", "denoisers", "generators", "images", "metrics", "misfits", "ntk", "operators",
    "problems", "prox", "samplers", "shrinkage", "solvers", "sweeps", "theory", "trained",
    "unfolded", "untrained", "viz",
)  # fmt: skip
_NAMES = {
    "Layers": "solvers",
    "Problem": "problems",
    "Samples": "samplers",
    "Solution": "solvers",
    "Status": "_core",
    "describe": "_core",
    "pytree": "_core",
    "raise_if_failed": "solvers",
    "reconstruct": "images",
    "sample": "samplers",
    "solve": "solvers",
    "static": "_core",
    "sweep": "sweeps",
    "trace": "solvers",
    "unfold": "solvers",
}
__all__ = sorted([*_NAMESPACES, *_NAMES])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a namespace, or what a name stands for, where it is first used (PEP 562)."""
    if name in _NAMESPACES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *(name for name in __all__ if name not in globals())]
