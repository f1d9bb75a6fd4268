"""The names that a file of a network may use, and the classes that they stand for.

A file holds names such as ``operators.Dense``: the public classes of five folders. Nothing is
imported, or called, because a file names it.
"""

from __future__ import annotations

import functools
import inspect
from dataclasses import is_dataclass


@functools.cache
def classes() -> dict[str, type]:
    """Return the class of every name."""
    from jaxinv import operators, prox, shrinkage, solvers, unfolded

    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": value
        for module in (operators, prox, shrinkage, solvers, unfolded)
        for name, value in ((name, getattr(module, name)) for name in module.__all__)
        if inspect.isclass(value) and is_dataclass(value)
    }


@functools.cache
def names() -> dict[type, str]:
    """Return the name of every class."""
    return {value: name for name, value in classes().items()}
