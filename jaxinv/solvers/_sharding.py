"""Arrays on meshes with explicit axes, at the boundary of the loops."""

from __future__ import annotations

from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding

from jaxinv._core import checks

_HINT = "Make the mesh with jax.make_mesh(shape, names, axis_types=(AxisType.Auto,) * len(names))."


def automatic(where: str, argument: str, tree: Any) -> Any:
    """Return a tree whose arrays leave it to XLA how what is computed from them is sharded.

    On axes of type Explicit, as ``jax.make_mesh`` makes them by default, every product would have
    to say how its result is sharded. Each array stays where it is, split as it is; under a
    transformation, where it cannot be taken over, it is refused.
    """
    if not any(_is_explicit(leaf) for leaf in jax.tree.leaves(tree)):
        return tree

    def one(leaf: Any) -> Any:
        if not _is_explicit(leaf):
            return leaf
        if not checks.is_concrete(leaf):
            got = f"an array sharded as {jax.typeof(leaf)} on Explicit ones"
            checks.fail(where, argument, "be on mesh axes of type AxisType.Auto", got, _HINT)
        mesh, spec = leaf.sharding.mesh, leaf.sharding.spec
        types = (AxisType.Auto,) * len(mesh.axis_names)
        mesh = Mesh(mesh.devices, mesh.axis_names, axis_types=types)
        return jax.device_put(leaf, NamedSharding(mesh, spec))

    return jax.tree.map(one, tree)


def _is_explicit(leaf: Any) -> bool:
    if not isinstance(leaf, jax.Array):
        return False
    sharding: Any = jax.typeof(leaf).sharding
    return AxisType.Explicit in getattr(sharding.mesh, "axis_types", ())
