"""The family that a network is trained or scored on, checked."""

from __future__ import annotations

from typing import Any

import jax

from jaxinv._core import checks, numerics
from jaxinv.solvers import Layers


def check_family(where: str, layers: Layers, family: Any, *, truth: bool) -> None:
    """Refuse a family that draws another operator than the network was made for.

    Args:
        where: the function that asks.
        layers: the network.
        family: where problems come from.
        truth: whether the problems must hold their truth.
    """
    if not all(hasattr(family, name) for name in ("sample", "batch", "axes")):
        hint = "Make one with jaxinv.problems, such as problems.sparse(operator=A)."
        checks.fail_type(where, "family", "be a family of problems", family, hint)
    drawn = jax.eval_shape(family.sample, jax.random.key(0))
    if truth and drawn.truth is None:
        hint = 'Use loss="lasso", or a function of u and the problem.'
        checks.fail(where, "family", "draw problems with their truth", "problems without", hint)
    made_for = getattr(layers.solver, "operator", None)
    if made_for is None:
        return
    hint = "Give the family the network's operator: problems.sparse(..., operator=A)."
    if family.axes.operator is not None:
        expected = "share one operator, the network's"
        checks.fail(where, "family", expected, "one that draws an operator for each trial", hint)
    shapes = (made_for.in_shape, made_for.out_shape)
    theirs = (drawn.operator.in_shape, drawn.operator.out_shape)
    if shapes != theirs:
        expected = f"measure as the network, from {shapes[0]} to {shapes[1]}"
        checks.fail(where, "family", expected, f"from {theirs[0]} to {theirs[1]}", hint)
    given = getattr(family, "operator", None)
    same_kind = jax.tree.structure(given) == jax.tree.structure(made_for)
    known = same_kind and checks.is_concrete((given, made_for))
    if known and not numerics.same_arrays(given, made_for):
        checks.fail(where, "family", "share the network's operator", "another operator", hint)
