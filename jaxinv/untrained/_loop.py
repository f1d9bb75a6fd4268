"""The compiled part of ``fit``: a chunk of steps, then a look."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import Status, checks, numerics
from jaxinv.problems import Problem
from jaxinv.untrained import _descent
from jaxinv.untrained._descent import Cast, Descent, Objective, measured_in, unit_of
from jaxinv.untrained._stopping import StoppingRule

_WARM = 20  # steps in which a jump of the loss is a spike only when far larger, by
_TOLERANT = 100
_MEMORY = 0.9  # of the average loss that a spike is compared with
_SHORTER, _LONGER = 0.5, 1.01  # of the steps after a spike; they grow back to full length
_DECAY_EVERY = 500
_WINDOWS = 10  # the average looks back this part of the steps, or less


class Numbers(NamedTuple):
    """Numbers of ``fit`` that may change without another compilation."""

    average: Any
    input_noise: Any
    input_noise_decay: Any
    spike: Any
    tol: Any
    num_steps: Any


class Model(NamedTuple):
    """What all fits of a batch share."""

    prior: Any
    objective: Objective
    rule: StoppingRule
    numbers: Numbers


class Setting(NamedTuple):
    """What is fixed at compile time; ``batch`` holds the problem's axes, None for one fit."""

    length: int
    dtype: Any
    batch: Problem | None
    is_noisy: bool


class Lane(NamedTuple):
    """What one fit has to itself and never changes."""

    noise_key: Array
    unit: Array


class Carry(NamedTuple):
    """What changes from step to step in one fit."""

    state: Any
    twin: Any
    mean: Array
    twin_mean: Array
    num_averaged: Array
    memory: Any
    step: Array
    typical_loss: Array
    step_scale: Array
    best_params: Any
    best_x: Array
    best_score: Array
    best_step: Array
    num_spikes: Array
    status: Array


class Look(NamedTuple):
    """What a chunk reports."""

    loss: Array
    score: Array
    residual: Array


def begin(
    setting: Setting, model: Model, key: Array, problem: Problem, params: Any
) -> tuple[Lane, Carry]:
    """Draw the parameters and make the state before the first step."""
    if setting.batch is None:
        return _begin(setting, model, key, problem, params)
    run = jax.vmap(_begin, in_axes=(None, None, 0, setting.batch, None))
    return run(setting, model, key, problem, params)


@partial(jax.jit, static_argnums=0)
def _begin(
    setting: Setting, model: Model, key: Array, problem: Problem, params: Any
) -> tuple[Lane, Carry]:
    draw_key, memory_key, noise_key = jax.random.split(key, 3)
    u = model.prior.init(draw_key) if params is None else params
    unit = unit_of(problem.y, _has_penalties(model))
    made = jax.eval_shape(_cast(setting, model.prior), u)
    blank = jnp.zeros(made.shape, made.dtype)  # only a fit that fails at once returns it
    memory = model.rule.begin(memory_key, measured_in(problem, unit), blank)
    state = _descent.begin(model.objective, model.prior, u)
    has_twin = model.rule.has_twin
    real = numerics.real_dtype(blank.dtype)
    zero, none = jnp.zeros((), jnp.int32), jnp.zeros((), real)
    infinity = jnp.full((), jnp.inf, real)
    return Lane(noise_key, unit), Carry(
        state=state,
        twin=state if has_twin else (),
        mean=blank,
        twin_mean=blank if has_twin else none,
        num_averaged=zero,
        memory=memory,
        step=zero,
        typical_loss=infinity,
        step_scale=jnp.ones((), real),
        best_params=u,
        best_x=blank,
        best_score=infinity,
        best_step=zero,
        num_spikes=zero,
        status=jnp.asarray(Status.RUNNING, jnp.int32),
    )


def advance(
    setting: Setting, model: Model, problem: Problem, lane: Lane, carry: Carry
) -> tuple[Carry, Look]:
    """Take ``setting.length`` steps in every fit that is running, then look."""
    run = _donating if checks.is_concrete((model, problem, lane, carry)) else _keeping
    return run(setting, model, problem, lane, carry)


def _advance(
    setting: Setting, model: Model, problem: Problem, lane: Lane, carry: Carry
) -> tuple[Carry, Look]:
    start = carry
    step = _lifted(setting, partial(_step, setting, model), setting.batch, 0, 0)
    take_back = _lifted(setting, _taken_back, 0, 0, 0, 0)

    def body(carry: Carry, _: None) -> tuple[Carry, Array]:
        following, loss, spiked = step(problem, lane, carry)
        # spikes are rare, and to select every weight costs a third of a step
        chosen = lax.cond(
            jnp.any(spiked),
            lambda: take_back(spiked, start, carry, following),
            lambda: following,
        )
        return chosen, loss

    stepped, losses = lax.scan(body, carry, None, length=setting.length)
    # the next chunk goes back to where this one ends, so the last step is judged too; of this
    # step only the loss is used, so no gradient is computed
    _, last_loss, spiked = step(problem, lane, stepped)
    stepped = lax.cond(
        jnp.any(spiked),
        lambda: take_back(spiked, start, stepped, stepped),
        lambda: stepped,
    )
    finish = _lifted(setting, partial(_finish, model), setting.batch, 0, 0, 0, 0, 0)
    return finish(problem, lane, start, stepped, jnp.moveaxis(losses, 0, -1), last_loss)


def _lifted(setting: Setting, function: Callable[..., Any], *axes: Any) -> Callable[..., Any]:
    """Return the function for every fit of the batch."""
    return function if setting.batch is None else jax.vmap(function, in_axes=axes)


_donating = jax.jit(_advance, static_argnums=0, donate_argnums=4)
_keeping = jax.jit(_advance, static_argnums=0)  # under vmap donated buffers cannot be reused


def _step(
    setting: Setting, model: Model, problem: Problem, lane: Lane, carry: Carry
) -> tuple[Carry, Array, Array]:
    """Take one step; return the loss before it, and whether that has jumped."""
    numbers, rule = model.numbers, model.rule
    key = jax.random.fold_in(lane.noise_key, carry.step)
    prior = _cast(setting, _perturbed(setting, model, key, carry.step))
    problem = measured_in(problem, lane.unit)

    def descend(target: Problem, before: Descent) -> tuple[Descent, Array, Array]:
        after, loss, x = _descent.step(
            model.objective, prior, target, before, jax.random.fold_in(key, 1), lane.unit
        )
        return _shortened(before, after, carry.step_scale), loss, x

    state, loss, x = descend(rule.fitted(carry.memory, problem), carry.state)
    loss = loss.astype(carry.typical_loss.dtype)
    factor = numbers.spike * jnp.where(carry.step >= _WARM, 1, _TOLERANT)
    jumped = loss > factor * carry.typical_loss  # infinite before the first step
    spiked = ~jnp.isfinite(loss) | jumped
    keep = _share_of_the_past(numbers.average, carry.num_averaged, carry.step_scale.dtype)
    following = carry._replace(
        state=state,
        mean=keep * carry.mean + (1 - keep) * x,
        num_averaged=carry.num_averaged + 1,
        memory=rule.observe(carry.memory, x),
        typical_loss=jnp.where(
            jnp.isfinite(carry.typical_loss),
            _MEMORY * carry.typical_loss + (1 - _MEMORY) * loss,
            loss,
        ),
        step_scale=jnp.minimum(_LONGER * carry.step_scale, 1),
    )
    if rule.has_twin:
        twin, _, twin_x = descend(rule.twin(carry.memory, problem), carry.twin)
        mean = keep * carry.twin_mean + (1 - keep) * twin_x
        following = following._replace(twin=twin, twin_mean=mean)
    return following._replace(step=carry.step + 1), loss, spiked


def _share_of_the_past(most: Any, count: Array, dtype: Any) -> Array:
    """Return the weight of the average so far: at first it looks back a tenth of the steps.

    A constant weight would keep the first images, far from the end, in the average of a short
    fit; this one rises to ``most`` from 0 at the first step.
    """
    count = count.astype(dtype)
    return jnp.minimum(jnp.asarray(most, dtype), count / (count + _WINDOWS))


def _taken_back(spiked: Array, start: Carry, carry: Carry, following: Carry) -> Carry:
    """Go back to the start of the chunk where the loss has jumped, with shorter steps."""
    back = carry._replace(
        state=start.state,
        twin=start.twin,
        step=following.step,
        typical_loss=start.typical_loss,
        step_scale=_SHORTER * carry.step_scale,
        num_spikes=carry.num_spikes + 1,
    )
    return jax.tree.map(partial(jnp.where, spiked), back, following)


def _finish(
    model: Model,
    problem: Problem,
    lane: Lane,
    start: Carry,
    stepped: Carry,
    losses: Array,
    last_loss: Array,
) -> tuple[Carry, Look]:
    """Look at a fit after its chunk; one that had stopped before stays as it was."""
    running = start.status == Status.RUNNING
    kept = partial(jnp.where, running)
    stepped = jax.tree.map(kept, stepped, start)  # what has stopped is looked at as it stopped
    looked, score, residual = _look(model, measured_in(problem, lane.unit), stepped)
    failures = jnp.sum(~jnp.isfinite(losses)) + ~jnp.isfinite(last_loss)
    # the loss before a step that is taken back is finite: more than half cannot fail
    is_stuck = failures >= max((losses.size + 1) // 2, 2)
    looked = looked._replace(status=jnp.where(is_stuck, Status.NONFINITE, looked.status))
    after = jax.tree.map(kept, looked, start)
    losses = jnp.where(running, losses, jnp.nan) / lane.unit / lane.unit
    score = score / lane.unit / lane.unit if model.rule.judges_measurements else score
    return after, Look(losses, score, residual)


def _look(model: Model, problem: Problem, carry: Carry) -> tuple[Carry, Array, Array]:
    """Judge the averaged estimate; keep it where it is the best so far."""
    numbers, rule = model.numbers, model.rule
    x, twin = carry.mean, carry.twin_mean
    misfit = numerics.safe_norm(problem.operator(x) - problem.y)
    size = numerics.safe_norm(problem.y)
    residual = jnp.where(size > 0, numerics.safe_divide(misfit, size), misfit)
    ready = carry.step >= rule.min_steps
    score = jnp.where(ready, rule.score(carry.memory, problem, x, twin), jnp.inf)
    score = score.astype(carry.best_score.dtype)
    better = (score < carry.best_score) | rule.keeps_last | ~ready
    finite = jnp.isfinite(residual)
    u = _descent.join(model.prior, carry.state.params, carry.state.carried)
    better = better & finite & (carry.num_averaged > 0)  # without a finite loss nothing is averaged
    carry = carry._replace(
        best_params=jax.tree.map(partial(jnp.where, better), u, carry.best_params),
        best_x=jnp.where(better, x, carry.best_x),
        best_score=jnp.where(better, score, carry.best_score),
        best_step=jnp.where(better, carry.step, carry.best_step),
    )
    status = jnp.where(carry.step >= numbers.num_steps, Status.MAX_STEPS, Status.RUNNING)
    if rule.patience is not None:
        late = carry.step - carry.best_step >= rule.patience
        status = jnp.where(ready & late, Status.STOPPED, status)
    status = jnp.where(residual <= numbers.tol, Status.CONVERGED, status)
    status = jnp.where(finite, status, Status.NONFINITE).astype(jnp.int32)
    return carry._replace(status=status), score, residual


def _perturbed(setting: Setting, model: Model, key: Array, step: Array) -> Any:
    """Return the prior with noise on its input."""
    prior, numbers = model.prior, model.numbers
    if not setting.is_noisy:
        return prior
    size = numbers.input_noise * numbers.input_noise_decay ** (step // _DECAY_EVERY)
    noise = jax.random.normal(key, prior.z.shape, prior.z.dtype)
    return prior.with_input(prior.z + size.astype(prior.z.dtype) * noise)


def _shortened(before: Descent, after: Descent, scale: Array) -> Descent:
    """Return the state after a step whose update is scaled."""

    def move(a: Array, b: Array) -> Array:
        return a + scale.astype(a.dtype) * (b - a)

    return after._replace(params=jax.tree.map(move, before.params, after.params))


def _has_penalties(model: Model) -> bool:
    return model.objective.penalty is not None or model.objective.regularizer is not None


def _cast(setting: Setting, prior: Any) -> Any:
    return prior if setting.dtype is None else Cast(prior, setting.dtype)
