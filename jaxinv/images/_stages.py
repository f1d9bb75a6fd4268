"""Candidates for the image behind some measurements: estimates that follow one another.

Each is a generator of stages, from the strongest prior to the weakest; a stage has one image for
each lane of a judge. Which stage is best the judge tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import pytree, replace
from jaxinv.images._measurement import Measurement
from jaxinv.images._path import MARGIN, STEPS, THRESHOLDS
from jaxinv.images._shrinking import make_prior
from jaxinv.operators import LinearOperator
from jaxinv.operators import mask as weights
from jaxinv.problems import Problem
from jaxinv.prox import Prox
from jaxinv.solvers import fista


class Stage(NamedTuple):
    """Estimates of all lanes, as planes (L, c, H, W) in the measurement's units."""

    planes: Array
    text: str
    fraction: float


@pytree
class PerPlane(Prox):
    """A penalty of each plane of an image (c, h, w)."""

    prox: Prox

    def value(self, w: Any) -> Array:
        return jnp.sum(jax.vmap(self.prox.value)(w))

    def start(self, v: Array) -> Any:
        return jax.vmap(self.prox.start)(v)

    def warm(self, v: Array, step_size: Any, memory: Any) -> tuple[Array, Any]:
        return jax.vmap(lambda part, held: self.prox.warm(part, step_size, held))(v, memory)


def penalized(measured: Measurement, lanes: Any, name: str, key: Array) -> Iterator[Stage]:
    """Lower the penalty of a classical prior stage by stage."""
    shrinking = make_prior(name, measured.sides, key)
    planes = measured.planes(shrinking.canvas)
    problem = Problem(measured.operator, None, planes)
    held, prox = (lanes.y, lanes.keep), PerPlane(shrinking.prox)
    u0 = jnp.zeros((len(lanes.y), *planes.canvas), measured.dtype)
    step_size, state = _start(problem, held, prox, u0)
    for index, threshold in enumerate(THRESHOLDS, start=1):
        solver = fista(
            step_size, prox=PerPlane(replace(shrinking.prox, penalty=threshold / step_size))
        )
        state, mean = _steps(solver, problem, held, state)
        text = f"{name}, threshold {threshold:.3g}"
        yield Stage(mean, text, index / len(THRESHOLDS))


def _lane(problem: Problem, y: Array, keep: Array) -> Problem:
    """Return the problem of one lane: what it does not keep is 0 on both sides."""
    operator: LinearOperator = weights(keep) @ problem.operator
    return problem._replace(operator=operator, y=y)


@jax.jit
def _start(problem: Problem, held: Any, prox: Prox, u0: Array) -> tuple[Array, Any]:
    step_size = 1 / (MARGIN * jnp.square(problem.operator.norm()))

    def one(y: Array, keep: Array, u0: Array) -> Any:
        return fista(step_size, prox=prox).init(_lane(problem, y, keep), u0)

    return step_size, jax.vmap(one)(held[0], held[1], u0)


@jax.jit
def _steps(solver: Any, problem: Problem, held: Any, state: Any) -> tuple[Any, Array]:
    """Take the steps of one stage in every lane; also return the mean u of the steps.

    Random shifts keep the iterates moving about the solution; their mean is closer to it.
    """

    def one(y: Array, keep: Array, state: Any) -> tuple[Any, Array]:
        lane = _lane(problem, y, keep)

        def body(carry: tuple[Any, Array], _: None) -> tuple[tuple[Any, Array], None]:
            state = solver.step(lane, carry[0])[0]
            return (state, carry[1] + state.u), None

        first = (state, jnp.zeros_like(state.u))
        (state, total), _ = lax.scan(body, first, None, length=STEPS)
        return state, total / STEPS

    return jax.vmap(one)(held[0], held[1], state)
