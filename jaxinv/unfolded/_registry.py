"""The names that a file of a network may use, and the classes that they stand for.

A file holds names such as ``operators.Dense``: the pytrees that five folders define. Nothing is
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
        f"{folder.__name__.rpartition('.')[2]}.{name}": value
        for folder in (operators, prox, shrinkage, solvers, unfolded)
        for module in list(vars(folder).values())
        if inspect.ismodule(module) and module.__name__.startswith(f"{folder.__name__}.")
        for name, value in vars(module).items()
        if inspect.isclass(value) and is_dataclass(value) and value.__module__ == module.__name__
    }


@functools.cache
def names() -> dict[type, str]:
    """Return the name of every class."""
    return {value: name for name, value in classes().items()}
