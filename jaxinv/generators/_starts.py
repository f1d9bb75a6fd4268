"""Random starts: a whole tree of parameters from one draw, which compiles once."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Start(NamedTuple):
    """How one leaf begins.

    The law is "uniform" on ±size, "unit" on [0, size], "normal" N(0, size²), or "constant".
    """

    shape: tuple[int, ...]
    law: str
    size: float


def uniform(shape: tuple[int, ...], fan_in: int) -> Start:
    """U(±1/sqrt(fan_in)), what PyTorch draws by default."""
    return Start(shape, "uniform", 1.0 / math.sqrt(fan_in))


def norm(num_channels: int) -> dict[str, Start]:
    """A channel norm: scales one, offsets zero."""
    shape = (num_channels,)
    return {"scale": Start(shape, "constant", 1.0), "offset": Start(shape, "constant", 0.0)}


def convolution(shape: tuple[int, int, int, int], *, bias: bool = False) -> dict[str, Start]:
    """A convolution of shape (kh, kw, c_in, c_out), U(±1/sqrt(c_in kh kw)), bias too."""
    fan_in = shape[0] * shape[1] * shape[2]
    layer = {"weight": uniform(shape, fan_in)}
    return layer | {"bias": uniform(shape[-1:], fan_in)} if bias else layer


def draw(key: Array, tree: Any, dtype: Any) -> Any:
    """Draw every ``Start`` of a tree, independently."""
    starts, structure = jax.tree.flatten(tree, is_leaf=lambda node: isinstance(node, Start))
    leaves = _draw(key, tuple(starts), jnp.dtype(dtype))
    return jax.tree.unflatten(structure, leaves)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _draw(key: Array, starts: tuple[Start, ...], dtype: Any) -> list[Array]:
    total = {
        law: sum(math.prod(start.shape) for start in starts if start.law == law)
        for law in ("uniform", "unit", "normal")
    }
    for_uniform, for_unit, for_normal = jax.random.split(key, 3)
    numbers = {
        "uniform": jax.random.uniform(for_uniform, (total["uniform"],), dtype, -1.0, 1.0),
        "unit": jax.random.uniform(for_unit, (total["unit"],), dtype),
        "normal": jax.random.normal(for_normal, (total["normal"],), dtype),
    }
    used = dict.fromkeys(total, 0)
    leaves = []
    for shape, law, size in starts:
        if law == "constant":
            leaves.append(jnp.full(shape, size, dtype))
            continue
        first, used[law] = used[law], used[law] + math.prod(shape)
        leaves.append(size * numbers[law][first : used[law]].reshape(shape))
    return leaves
