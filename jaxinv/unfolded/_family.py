"""The family that a network is trained or scored on, checked."""

from __future__ import annotations

from typing import Any

import jax

from jaxinv._core import checks
from jaxinv.problems import Problem
from jaxinv.problems._family import require_family
from jaxinv.solvers import Layers
from jaxinv.solvers._same_model import same_model


def check_family(where: str, layers: Layers, family: Any, *, truth: bool) -> None:
    """Refuse a family that draws another operator than the network was made for.

    Args:
        where: the function that asks.
        layers: the network.
        family: where problems come from.
        truth: whether the problems must hold their truth.
    """
    require_family(where, family)
    drawn = jax.eval_shape(family.sample, jax.random.key(0))
    if truth and drawn.truth is None:
        hint = 'Use loss="lasso", or a function of u and the problem.'
        checks.fail(where, "family", "draw problems with their truth", "problems without", hint)
    made_for = layers.operator
    if made_for is None:
        return
    hint = "Give the family the network's operator: problems.sparse(..., operator=A)."
    for name in ("operator", "prior"):
        if jax.tree.leaves(getattr(family.axes, name)) and getattr(drawn, name) is not None:
            expected = "share one operator, the network's"
            got = f"one that draws an {name} for each trial".replace("an prior", "a prior")
            checks.fail(where, "family", expected, got, hint)
    shapes = (made_for.in_shape, made_for.out_shape)
    first = drawn.operator if drawn.prior is None else drawn.prior
    theirs = (getattr(first, "in_shape", None), drawn.operator.out_shape)
    if shapes != theirs:
        expected = f"measure as the network, from {shapes[0]} to {shapes[1]}"
        checks.fail(where, "family", expected, f"from {theirs[0]} to {theirs[1]}", hint)
    if not same_model(made_for, _shared(family, drawn)):
        got = "another operator" if drawn.prior is None else "another operator, with its prior"
        checks.fail(where, "family", "share the network's operator", got, hint)


def _shared(family: Any, drawn: Problem) -> Problem:
    """Return a problem of the family, with the operator and the prior of all."""
    given = getattr(family, "operator", None)
    if drawn.prior is None and jax.tree.structure(given) == jax.tree.structure(drawn.operator):
        return drawn._replace(operator=given)  # it need not be drawn
    return family.sample(jax.random.key(0))
