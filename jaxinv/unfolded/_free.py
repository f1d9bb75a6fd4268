"""Fields that training keeps positive, as numbers that may be anything."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

_FLOOR = 1e-10  # a positive field of 0 starts here


def to_free(solver: Any, trainable: dict[str, Any]) -> dict[str, Any]:
    """Return the trainable fields without constraint."""
    return {
        name: jax.tree.map(_log, value) if name in _positive(solver) else value
        for name, value in trainable.items()
    }


def from_free(solver: Any, free: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that unconstrained numbers stand for."""
    return {
        name: jax.tree.map(jnp.exp, value) if name in _positive(solver) else value
        for name, value in free.items()
    }


def _positive(solver: Any) -> tuple[str, ...]:
    return getattr(solver, "positive", ())


def _log(leaf: Any) -> Any:
    return jnp.log(jnp.maximum(leaf, _FLOOR))
