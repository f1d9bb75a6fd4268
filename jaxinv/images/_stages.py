"""Candidates for the image behind some measurements: estimates that follow one another.

Each is a generator of stages, from the strongest prior to the weakest; a stage has one image for
each lane of a judge. Which stage is best the judge tells."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv import prox as proximal
from jaxinv._core import Status, numerics, pytree, replace, static
from jaxinv.images._measurement import Measurement
from jaxinv.images._path import MARGIN, STEPS, THRESHOLDS
from jaxinv.images._shrinking import make_prior
from jaxinv.operators import LinearOperator
from jaxinv.operators import mask as weights
from jaxinv.problems import Problem
from jaxinv.prox import Prox
from jaxinv.solvers import fista

_STILL = 1e-3  # relative change between the last stages, below which an image has settled
_NUM_STEPS = 300  # of a penalty that is taken as it is
_STRENGTHS = [1.5 * 0.9**i for i in range(14)]  # of a denoiser, in units of the noise
_LEVELS = [0.25 * 0.7**i for i in range(12)]  # of plug-and-play, in units of the image's range


class Stage(NamedTuple):
    """Estimates of all lanes, as planes (L, c, H, W) in the measurement's units.

    ``spread`` is that of several starts for the first lane, where there are some; ``status`` of
    an only stage that knows its own.
    """

    planes: Array
    text: str
    fraction: float
    spread: Any = 0.0
    status: Status | None = None


def settled(before: Array, after: Array) -> Status:
    """Say whether the image still moves from one stage to the next."""
    return Status.CONVERGED if bool(_is_still(before, after)) else Status.MAX_STEPS


@jax.jit
def _is_still(before: Array, after: Array) -> Array:
    return numerics.safe_norm(after - before) <= _STILL * numerics.safe_norm(after)


@pytree
class OnPlanes(Prox):
    """A penalty of an image, or of each of its planes alone, as one of planes (c, h, w).

    It is called in the user's units: the image times ``scale``, the step times ``factor``.
    """

    prox: Prox
    planes: Any
    scale: Any = 1.0
    factor: Any = 1.0
    whole: bool = static(default=False)

    def value(self, w: Any) -> Array:
        if self.whole:
            return self.prox.value(self.planes.image(w * self.scale))
        return jnp.sum(jax.vmap(self.prox.value)(w * self.scale))

    def start(self, v: Array) -> Any:
        return self.prox.start(self.planes.image(v)) if self.whole else jax.vmap(self.prox.start)(v)

    def warm(self, v: Array, step_size: Any, memory: Any) -> tuple[Array, Any]:
        inner, step_size = (v * self.scale).astype(v.dtype), step_size * self.factor
        if self.whole:
            image, memory = self.prox.warm(self.planes.image(inner), step_size, memory)
            found = self.planes.split(image)
        else:

            def one(part: Array, held: Any) -> tuple[Array, Any]:
                return self.prox.warm(part, step_size, held)

            found, memory = jax.vmap(one)(inner, memory)
        return (found / self.scale).astype(v.dtype), memory


def penalized(measured: Measurement, judge: Any, name: str, key: Array) -> Iterator[Stage]:
    """Lower the penalty of a classical prior stage by stage."""
    shrinking = make_prior(name, measured.sides, key)
    planes = measured.planes(shrinking.canvas)
    problem, held = Problem(measured.operator, None, planes), (judge.y, judge.keep)
    step_size, state = _start(problem, held, OnPlanes(shrinking.prox, planes), measured.dtype)
    for index, threshold in enumerate(THRESHOLDS, start=1):
        prox = OnPlanes(replace(shrinking.prox, penalty=threshold / step_size), planes)
        state, mean = _steps(fista(step_size, prox=prox), problem, held, state)
        yield Stage(mean, f"{name}, threshold {threshold:.3g}", index / len(THRESHOLDS))


def with_prox(
    measured: Measurement, judge: Any, prox: Prox, num_steps: int | None
) -> Iterator[Stage]:
    """Solve with a penalty of the user's, in the user's units, as it is."""
    planes = measured.planes()
    problem, held = Problem(measured.operator, None, planes), (judge.y, judge.keep)
    # with y = s g y', x = s x', A = g A': a step of η on A' is one of η / g² on A
    scale, factor = (jnp.asarray(v, jnp.float32) for v in (measured.scale, measured.gain**-2))
    own = OnPlanes(prox, planes, scale, factor, whole=_takes_images(prox, measured))
    step_size, state = _start(problem, held, own, measured.dtype)
    count = max(1, (_NUM_STEPS if num_steps is None else num_steps) // STEPS)
    solver = fista(step_size, prox=own)
    before = mean = jnp.zeros_like(state.u)
    for _ in range(count):
        before = mean
        state, mean = _steps(solver, problem, held, state)
    text = f"{type(prox).__name__}, {count * STEPS} steps"
    yield Stage(mean, text, 1.0, status=settled(before[0], mean[0]))


def plugged(measured: Measurement, judge: Any, denoiser: Any, name: str) -> Iterator[Stage]:
    """Plug a denoiser in; where the image itself was measured, denoise it once."""
    planes = measured.planes()
    whole = _takes_images(_denoiser(measured, denoiser, 0.1), measured)
    if measured.denoises:
        for index, strength in enumerate(_STRENGTHS, start=1):
            own = _denoiser(measured, denoiser, strength * judge.noise_std)
            found = _denoised(OnPlanes(own, planes, whole=whole), planes, judge.y)
            text = f"{name} at {strength:.2f} of the noise"
            yield Stage(found, text, index / len(_STRENGTHS))
        return
    problem, held = Problem(measured.operator, None, planes), (judge.y, judge.keep)
    first = OnPlanes(_denoiser(measured, denoiser, _LEVELS[0]), planes, whole=whole)
    step_size, state = _start(problem, held, first, measured.dtype)
    for index, level in enumerate(_LEVELS, start=1):
        own = OnPlanes(_denoiser(measured, denoiser, level), planes, whole=whole)
        state, mean = _steps(fista(step_size, prox=own), problem, held, state)
        yield Stage(mean, f"{name} for noise of {level:.3g}", index / len(_LEVELS))


@pytree
class Parts(Prox):
    """A penalty of real images, of the parts of a complex one each by itself."""

    prox: Prox

    def value(self, w: Any) -> Array:
        return self.prox.value(jnp.real(w)) + self.prox.value(jnp.imag(w))

    def _apply(self, v: Array, step_size: Any) -> Array:
        parts = (self.prox._apply(part, step_size) for part in (jnp.real(v), jnp.imag(v)))
        return jax.lax.complex(*parts)


def _denoiser(measured: Measurement, denoise: Any, level: Any) -> Prox:
    found = proximal.denoiser(denoise, noise_std=level)
    return Parts(found) if jnp.issubdtype(measured.dtype, jnp.complexfloating) else found


def _takes_images(prox: Prox, measured: Measurement) -> bool:
    """Whether a penalty takes an image with channels; else it gets one plane at a time."""
    if len(measured.shape) == 2 or measured.first:
        return False
    image = jnp.zeros(measured.shape, measured.dtype)
    try:
        found = jax.eval_shape(lambda v: prox.warm(v, 1.0, prox.start(v))[0], image)
    except (ValueError, TypeError):
        return False
    return found.shape == measured.shape


@jax.jit
def _denoised(prox: Prox, planes: Any, y: Array) -> Array:
    def one(y: Array) -> Array:
        v = planes.split(y)
        return prox.warm(v, 1.0, prox.start(v))[0]

    return lax.map(one, y)


def lane_of(problem: Problem, y: Array, keep: Array) -> Problem:
    """Return the problem of one lane: what it does not keep is 0 on both sides."""
    operator: LinearOperator = weights(keep) @ problem.operator
    return problem._replace(operator=operator, y=y)


@partial(jax.jit, static_argnames="dtype")
def _start(problem: Problem, held: Any, prox: Prox, dtype: Any) -> tuple[Array, Any]:
    step_size = 1 / (MARGIN * jnp.square(problem.operator.norm()))
    u0 = jnp.zeros(problem.prior.canvas, dtype)

    def one(y: Array, keep: Array) -> Any:
        return fista(step_size, prox=prox).init(lane_of(problem, y, keep), u0)

    return step_size, jax.vmap(one)(held[0], held[1])


@jax.jit
def _steps(solver: Any, problem: Problem, held: Any, state: Any) -> tuple[Any, Array]:
    """Take the steps of one stage in every lane; also return the mean u of the steps.

    Random shifts keep the iterates moving about the solution; their mean is closer to it.
    """

    def one(y: Array, keep: Array, state: Any) -> tuple[Any, Array]:
        lane = lane_of(problem, y, keep)

        def body(carry: tuple[Any, Array], _: None) -> tuple[tuple[Any, Array], None]:
            state = solver.step(lane, carry[0])[0]
            return (state, carry[1] + state.u), None

        first = (state, jnp.zeros_like(state.u))
        (state, total), _ = lax.scan(body, first, None, length=STEPS)
        return state, total / STEPS

    return jax.vmap(one)(held[0], held[1], state)
