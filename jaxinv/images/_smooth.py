"""The candidate of smooth images: conjugate gradients that end early."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import numerics, pytree, static
from jaxinv.images._measurement import Measurement
from jaxinv.images._stages import Stage, lane_of
from jaxinv.operators import LinearOperator, dct
from jaxinv.problems import Problem
from jaxinv.solvers import cgls

_FLAT = 0.1  # epsilon, per square of a pixel: shorter waves are smoothed, longer ones free
_NUM_STEPS, _NUM_STAGES = 300, 36
_STOPS = np.unique(np.geomspace(1, _NUM_STEPS, _NUM_STAGES).round().astype(int)).tolist()


@pytree
class Smoothing(LinearOperator):
    """Planes (c, H, W) made smooth by ε (ε − Δ)⁻¹, with reflecting edges."""

    weights: Array
    num_planes: int = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return (self.num_planes, *self.weights.shape)

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.in_shape

    def _apply(self, x: Array) -> Array:
        transform = dct(self.weights.shape)
        return jax.vmap(lambda plane: transform._adjoint(self.weights * transform._apply(plane)))(x)

    def _adjoint(self, y: Array) -> Array:
        return self._apply(y)


def smooth(measured: Measurement, judge: Any) -> Iterator[Stage]:
    r"""Fit images of small second differences, the longer the less smooth.

    .. math:: \min_w \tfrac12 \|A S w - y\|^2, \qquad S = \epsilon (\epsilon - \Delta)^{-1}

    by conjugate gradients from 0: the first steps find what is smooth, with the weight of
    ½‖w‖² = ½‖(1 − Δ/ε) x‖² falling as 1/steps².
    """
    planes = measured.planes()
    count, *sides = planes.canvas
    waves = [2 - 2 * jnp.cos(jnp.pi * jnp.arange(n) / n) for n in sides]
    weights = _FLAT / (_FLAT + waves[0][:, None] + waves[1])
    smoothing = Smoothing(weights.astype(numerics.real_dtype(measured.dtype)), count)
    problem = Problem(measured.operator, None, planes @ smoothing)
    held = judge.y, judge.keep
    state, done = _begin(problem, held, jnp.zeros(planes.canvas, measured.dtype)), 0
    for stop in _STOPS:
        state, found = _steps(problem, smoothing, held, state, stop - done)
        done = stop
        yield Stage(found, f"smooth, {stop} steps", stop / _NUM_STEPS)


@jax.jit
def _begin(problem: Problem, held: Any, w0: Array) -> Any:
    return jax.vmap(lambda y, keep: cgls().init(lane_of(problem, y, keep), w0))(*held)


@jax.jit
def _steps(
    problem: Problem, smoothing: Smoothing, held: Any, state: Any, num_steps: Any
) -> tuple[Any, Array]:
    def one(y: Array, keep: Array, state: Any) -> tuple[Any, Array]:
        lane = lane_of(problem, y, keep)
        state = lax.fori_loop(0, num_steps, lambda _, state: cgls().step(lane, state)[0], state)
        return state, smoothing(state.u)

    return jax.vmap(one)(held[0], held[1], state)
