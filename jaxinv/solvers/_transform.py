"""Whether an optax transformation is linear in the gradients that it is given."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    import optax

_FACTORS = [2.0**power for power in (-80, -40, 0, 40, 80)]  # what is linear scales to the bit
_STEPS = 3


def is_linear(transform: optax.GradientTransformationExtraArgs, u: Any) -> bool:
    """Whether scaled gradients give scaled updates: tried on small arrays of the tree of ``u``."""
    leaves, structure = jax.tree.flatten(u)
    kinds = tuple((leaf.ndim, jnp.dtype(leaf.dtype).name) for leaf in leaves)
    return _is_linear(transform, structure, kinds)


@lru_cache(maxsize=256)
def _is_linear(transform: Any, structure: Any, kinds: tuple[tuple[int, str], ...]) -> bool:
    draw = np.random.default_rng(0)
    gradients = [
        jax.tree.unflatten(
            structure, [draw.normal(size=(2,) * n).astype(kind) for n, kind in kinds]
        )
        for _ in range(_STEPS)
    ]
    with jax.ensure_compile_time_eval():
        try:
            found = {factor: _updates(transform, gradients, factor) for factor in _FACTORS}
        except Exception:  # one that needs more than gradients, as a line search does
            return False
    # with a rate of 1e35 some overflow, and say nothing
    clean = [u / f for f, u in found.items() if np.all(np.isfinite(u) & (u != 0))]
    return len(clean) > 1 and all(np.array_equal(other, clean[0]) for other in clean)


def _updates(transform: Any, gradients: list[Any], factor: float) -> np.ndarray:
    """Return the entries of the updates that some gradients lead to, one after the other."""
    point = jax.tree.map(jnp.ones_like, gradients[0])
    state, found = transform.init(point), []
    for gradient in gradients:
        scaled = jax.tree.map(lambda leaf: jnp.asarray(factor * leaf, leaf.dtype), gradient)
        updates, state = transform.update(scaled, state, point)
        found.extend(np.asarray(leaf, np.complex128).ravel() for leaf in jax.tree.leaves(updates))
    return np.concatenate(found)
