"""Candidates that are networks: untrained ones, and latent search in trained ones."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv import misfits
from jaxinv._core import Status, pytree, static
from jaxinv.images._measurement import Measurement
from jaxinv.images._stages import Stage
from jaxinv.images._untrained import RECIPES, make_network
from jaxinv.operators import LinearOperator
from jaxinv.operators import mask as weights
from jaxinv.problems import Problem
from jaxinv.solvers import gradient, levenberg_marquardt, solve
from jaxinv.untrained import fit, total_variation

_HEADROOM = 1.5  # of a bounded network above what the measurements show
_NUM_STEPS = 600
_LOOKS = 10
_VARIATION = 0.01  # of network + TV
_LARGEST_JACOBIAN = 2**24  # entries, of Levenberg-Marquardt
_RATE = 0.03
_SEARCH_STEPS = {"lm": 60, "adam": 1500}


@pytree
class FromImage(LinearOperator):
    """An image, of its own shape and a unit, as the signal of an operator."""

    unit: Any
    shape: tuple[int, ...] = static()
    signal_shape: tuple[int, ...] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.signal_shape

    def _apply(self, x: Array) -> Array:
        return (self.unit * x).reshape(self.signal_shape)

    def _adjoint(self, y: Array) -> Array:
        return self.unit * y.reshape(self.shape)


def _of_images(measured: Measurement, unit: Any, shape: Any = None) -> LinearOperator:
    shape = measured.shape if shape is None else shape
    unit = jnp.asarray(unit, jnp.float32)
    return measured.operator @ FromImage(unit, shape, tuple(measured.operator.in_shape))


def network_of(name: str, measured: Measurement, num_channels: int | None = None) -> Any:
    """Return the named network for the image of a measurement; photos are bounded."""
    return make_network(
        name, measured.shape, num_channels, channels_first=measured.first, dtype=measured.dtype
    )


def fitted(
    measured: Measurement,
    judge: Any,
    network: Any,
    name: str,
    num_starts: int,
    num_steps: int | None,
    key: Array,
    *,
    variation: bool = False,
) -> Iterator[Stage]:
    """Fit an untrained network; of the first lane a stage is the mean of several starts."""
    num_lanes, num_steps = len(judge.y), _NUM_STEPS if num_steps is None else num_steps
    unit = 1.0
    if not jnp.issubdtype(measured.dtype, jnp.complexfloating):
        unit = _HEADROOM * max(1.0, float(jnp.max(jnp.abs(measured.shown()))))
    starts = np.arange(num_starts)
    others = starts[:1] if judge.one_start else starts
    start = np.concatenate([starts, *[others] * (num_lanes - 1)])
    lane = np.concatenate([0 * starts, *[np.full(len(others), i) for i in range(1, num_lanes)]])
    keys, y, keep = jax.random.split(key, num_starts)[start], judge.y[lane], judge.keep[lane]
    misfit = misfits.weighted(keep.astype(jnp.float32))
    problem = Problem(_of_images(measured, unit), y, misfit=misfit)
    chunk = max(1, num_steps // _LOOKS)
    found = None
    for index in range(1, -(-num_steps // chunk) + 1):
        found = fit(
            keys,
            network,
            problem,
            axes=Problem(None, 0, None, None, 0),
            optimizer=_adam(RECIPES[name].rate if name in RECIPES else 0.01),
            num_steps=chunk,
            stop=None,
            penalty=total_variation(_VARIATION * unit, first_axis=int(measured.first))
            if variation
            else None,
            look_every=chunk,
            resume=found,
        )
        x = unit * found.x
        means = jnp.stack([jnp.mean(x[lane == i], axis=0) for i in range(num_lanes)])
        planes = _planes(measured.planes(), means)
        text = f"{name}{' + tv' if variation else ''}, {index * chunk} steps, {num_starts} starts"
        yield Stage(planes, text, index * chunk / num_steps, _starts_spread(measured, x[lane == 0]))


def searched(
    measured: Measurement,
    judge: Any,
    generator: Any,
    num_starts: int,
    num_steps: int | None,
    key: Array,
) -> Iterator[Stage]:
    """Search the latent of a trained generator from several starts; the least misfit is kept."""
    latent = tuple(generator.in_shape)
    z0 = jax.random.normal(key, (num_starts, *latent), measured.dtype)
    z0 = jnp.real(z0)
    signal = jax.eval_shape(generator, z0[0])
    operator = _of_images(measured, 1 / measured.scale, signal.shape)
    size = math.prod(latent) * math.prod(measured.operator.out_shape)
    real = not jnp.iscomplexobj(measured.y)
    kind = "lm" if real and size <= _LARGEST_JACOBIAN else "adam"
    solver = levenberg_marquardt() if kind == "lm" else gradient(_adam(_RATE))
    steps = _SEARCH_STEPS[kind] if num_steps is None else num_steps
    held = judge.y, judge.keep
    x, losses, status = _search(solver, Problem(operator, None, generator), held, z0, steps)
    best = jnp.argmin(jnp.where(jnp.isnan(losses), jnp.inf, losses), axis=1)
    x = x.reshape(*losses.shape, *measured.shape) / measured.scale
    kept = jnp.take_along_axis(x, best.reshape(-1, 1, *[1] * len(measured.shape)), axis=1)[:, 0]
    text = f"latent search in {math.prod(latent)} numbers, best of {num_starts} starts"
    planes = _planes(measured.planes(), kept)
    spread = _starts_spread(measured, x[0])
    yield Stage(planes, text, 1.0, spread, Status(int(status[0, best[0]])))


@partial(jax.jit, static_argnames="num_steps")
def _search_lane(solver: Any, problem: Problem, z0: Array, num_steps: int) -> Any:
    def one(z: Array) -> tuple[Array, Array, Array]:
        found = solve(solver, problem, z, tol=1e-5, max_steps=num_steps)
        return found.x, problem.loss(found.u), found.status

    return lax.map(one, z0)


def _search(solver: Any, problem: Problem, held: Any, z0: Array, num_steps: int) -> Any:
    """Return the signals (L, S, ...), their misfits on what each lane keeps, and the statuses."""
    found = []
    for y, keep in zip(*held, strict=True):
        lane = problem._replace(operator=weights(keep) @ problem.operator, y=y)
        found.append(_search_lane(solver, lane, z0, num_steps))
    return jax.tree.map(lambda *lanes: jnp.stack(lanes), *found)


@jax.jit
def _planes(planes: Any, x: Array) -> Array:
    return jax.vmap(planes.split)(x)


def _starts_spread(measured: Measurement, x: Array) -> Array:
    """Return the standard deviation between the starts of the first lane, as planes."""
    centered = jnp.abs(x - jnp.mean(x, axis=0))
    return measured.planes().split(jnp.sqrt(jnp.mean(jnp.square(centered), axis=0)))


@lru_cache
def _adam(rate: float) -> Any:
    """Return one object for a rate, so that it traces once."""
    import optax

    return optax.adam(rate)
