"""Fit the weights of a network to one measurement."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import Status, checks, memory
from jaxinv.problems import Problem
from jaxinv.untrained import _arguments, _loop, _resuming
from jaxinv.untrained._descent import Objective

if TYPE_CHECKING:
    import optax


_WHERE = "fit"
_RATE = 0.01


class FitHistory(NamedTuple):
    """What happened in a fit; a first axis where several were run.

    Attributes:
        loss: objective at the start of each step, on the measurements that were fitted.
        look_steps: steps after which the stopping rule looked, (number of looks,).
        score: what the rule looked at; infinite before it could judge.
        residual: ‖A x − y‖ / ‖y‖ of the averaged estimate, at each look.
        best_step: the step whose averaged estimate was kept.
        num_spikes: steps that were taken back because the loss jumped.
    """

    loss: Array
    look_steps: Array
    score: Array
    residual: Array
    best_step: Array
    num_spikes: Array


class FitState(NamedTuple):
    """Where a fit is, for ``fit(resume=)``; a first axis where several were run.

    Attributes:
        lane: what a fit has to itself: the key of its noise, and the unit of its measurements.
        carry: what changes: ``state`` (parameters and the optimizer's state), the averages, the
            rule's memory, ``step``, the best estimate so far.
    """

    lane: Any
    carry: Any


class Fit(NamedTuple):
    """What ``fit`` returns; a first axis where several were run.

    Attributes:
        x: the estimate: the average of the iterates up to the step that the rule preferred.
        params: the network's parameters after that step. ``prior(params)`` is one signal and
            ``x`` an average: in noise, or early, they differ by some percent, and ``x`` is the
            better one.
        history: a ``FitHistory``.
        status: STOPPED (by the rule), CONVERGED (the measurements are met to ``tol``),
            MAX_STEPS, or NONFINITE (no step of a chunk led to a finite loss).
        num_steps: steps taken.
        prior: the prior that was fitted, with its input; shared by the fits of a batch.
        state: where it is: what ``resume`` continues.
    """

    x: Array
    params: Any
    history: FitHistory
    status: Array
    num_steps: Array
    prior: Any
    state: Any = None


class FitProgress(NamedTuple):
    """What ``progress`` of ``fit`` is told between chunks, of the first of several fits."""

    step: int
    num_steps: int
    loss: float
    residual: float
    score: float
    num_running: int


def fit(
    key: Any,
    prior: Any,
    problem: Problem,
    *,
    optimizer: optax.GradientTransformation | None = None,
    num_steps: int = 3000,
    stop: Any = "auto",
    params: Any = None,
    axes: Problem | None = None,
    penalty: Callable[[Array], Any] | None = None,
    regularizer: Callable[[Any], Any] | None = None,
    input_noise: Any = 0.0,
    input_noise_decay: Any = 1.0,
    average: Any = 0.99,
    spike: Any = 10.0,
    tol: Any = 1e-4,
    compute_dtype: Any = None,
    look_every: int = 50,
    progress: Callable[[FitProgress], None] | None = None,
    resume: Fit | None = None,
) -> Fit:
    r"""Fit an untrained network to one measurement: no training data, only the architecture.

    .. math:: \min_\theta \tfrac12 \|A\, G_\theta(z) - y\|^2 + P(G_\theta(z)) + R(\theta)

    by the update rule of an optax transformation. The estimate is an average of the iterates;
    where to stop is found from the measurements alone. Where a source has ‖·‖² without the
    factor ½, as CS-DIP does, halve its weights λ of P and R.

    Args:
        key: a JAX PRNG key: draws the network's parameters, the input noise and what the
            stopping rule leaves out; the input is the prior's own. An array of keys runs that
            many fits as one batch.
        prior: an untrained prior: ``generators.deep_decoder`` and its relatives, or
            ``generator.untrained(z)`` of any generator or Flax module. Those that cannot draw
            parameters (``from_function``, nnx) start at their own, or as
            ``untrained(z, init=)`` says; ``params=prior.params`` starts at trained ones.
        problem: operator, y and misfit; its prior and truth are not read. With a misfit other
            than squares ``stop`` is None or a number of steps: rules watch squares.
        optimizer: an optax transformation, made once (it is static); default Adam, rate 0.01.
        num_steps: most steps, after those of ``resume``; not read where ``stop`` is an int.
        stop: ``"auto"`` (``held_out()`` with its own patience; in fewer than 500 steps it cannot
            stop, only choose among the looks), a rule of ``jaxinv.untrained``, or None or an
            int: run that many steps and keep the last average.
        params: start here instead of drawing; float32 or wider.
        axes: for a batch of keys: a ``Problem`` prefix of 0 and None that says which parts of
            ``problem`` have a first axis (``family.axes``); default: all share one problem.
        penalty: P, a function of the signal, such as ``untrained.total_variation(0.01)``: at
            module level, or a ``jax.tree_util.Partial``, whose arrays stay arguments.
        regularizer: R, a function of the parameters, such as ``LearnedRegularizer``.
        input_noise: standard deviation of noise on the input, fresh at every step.
        input_noise_decay: factor on it every 500 steps, in [0, 1].
        average: weight in [0, 1) of the past in the average of the iterates, at most: the
            average looks back a tenth of the steps, so that short fits are not held at their
            start. 0 keeps the last.
        spike: a step whose loss exceeds this many times its recent average is taken back, with
            up to ``look_every`` steps before it, and the steps that follow are half as long for
            a while; inf never does.
        tol: stop when ‖A x − y‖ <= tol ‖y‖.
        compute_dtype: type to evaluate the network in, such as ``jnp.bfloat16``; parameters,
            averages and losses keep theirs.
        look_every: steps of a compiled chunk; the rule looks after each.
        progress: called with a ``FitProgress`` between chunks. What it raises ends the fit, and
            carries the fit so far as its attribute ``fit``.
        resume: go on where this fit ended, with the other arguments as before; ``key`` is not
            read. 150 steps and 250 more are 400 steps, to the bit, where ``look_every`` divides
            the first number. What had stopped stays as it is.

    Returns:
        A ``Fit``.

    Raises:
        ValueError, TypeError: an argument that cannot be; a prior that does not fit the
            operator; NaN in y, or nothing but zeros; more parameters than memory; too few steps
            for the rule.

    Cost: a forward and a backward pass a step.

    Notes: with the rule of ``stop``, the part of y that it leaves out is not fitted. The misfit of
        measurements whose largest entry is below 2⁻⁷ or above 2³⁰ is taken in a unit near that
        entry, a power of two, as are P and R: rates that are no ratios, as those of plain
        gradient descent, refer to it. Derivatives through a fit are taken in reverse mode. Inside
        ``jax.vmap`` every step is run (lanes that have stopped are frozen); a batch of keys
        stops when its last fit does.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> x = jnp.outer(jnp.hanning(16), jnp.hanning(16))
        >>> problem = ji.Problem(ji.operators.identity((16, 16)), x)
        >>> prior = ji.generators.deep_decoder((16, 16), 8, 2)
        >>> found = fit(jax.random.key(0), prior, problem, num_steps=100, stop=None)
        >>> found.x.shape, bool(found.history.loss[-1] < found.history.loss[0])
        ((16, 16), True)

    Source: Ulyanov, Vedaldi, Lempitsky (2018), equation 2; Heckel, Hand (2019).
    """
    key = _arguments.key(key)
    num_fits = key.shape[0] if key.ndim else 1
    if axes is not None and not key.ndim:
        hint = "Use jax.random.split(key, number)."
        checks.fail(_WHERE, "key", "be a vector of keys, where axes is given", key, hint)
    problem, single = _arguments.problem(prior, problem, axes, num_fits)
    done = 0 if resume is None else _resuming.steps_done(resume)
    num_steps, rule = _arguments.rule(num_steps, stop, done)
    _arguments.rule_of_misfit(problem, rule)
    rule.check(_WHERE, single)
    needed_steps = rule.min_steps + (rule.patience or 0)
    if needed_steps > done + num_steps:
        needed = f"at least {needed_steps}, as the stopping rule needs"
        hint = "Or give the rule less patience, or stop=None."
        checks.fail(_WHERE, "num_steps", f"be {needed}", num_steps, hint)
    params = _arguments.params(prior, params)
    _arguments.starts(prior, params, axes, num_fits)
    itemsize = max(leaf.dtype.itemsize for leaf in jax.tree.leaves(prior.params))
    copies = memory.COPIES
    memory.require_memory(_WHERE, prior.num_parameters, itemsize, num_fits=num_fits, copies=copies)
    penalty, regularizer, progress = _arguments.functions(
        penalty=penalty, regularizer=regularizer, progress=progress
    )
    _arguments.scalars(prior, penalty, regularizer)
    average = checks.scalar(_WHERE, "average", average, low=0.0, high=1.0, single=True)
    if checks.is_concrete(average) and average >= 1:
        checks.fail(_WHERE, "average", "be below 1", average)
    decay = checks.scalar(
        _WHERE, "input_noise_decay", input_noise_decay, low=0.0, high=1.0, single=True
    )
    numbers = _loop.Numbers(
        average=average,
        input_noise=checks.nonnegative(_WHERE, "input_noise", input_noise, single=True),
        input_noise_decay=decay,
        spike=_arguments.spike(spike),
        tol=checks.nonnegative(_WHERE, "tol", tol, single=True),
        num_steps=done + num_steps,
    )
    objective = Objective(penalty, regularizer, _transform(optimizer))
    model = _loop.Model(prior, objective, rule, numbers)
    setting = _loop.Setting(
        length=checks.count(_WHERE, "look_every", look_every),
        dtype=None
        if compute_dtype is None
        else checks.float_type(_WHERE, compute_dtype, argument="compute_dtype", real=True),
        batch=None if not key.ndim else axes or Problem(None, None, None, None),
        is_noisy=not (checks.is_concrete(input_noise) and float(input_noise) == 0),
    )
    if setting.is_noisy and prior.input_shape is None:
        hint = "Noise is added to a fixed input of floating numbers."
        checks.fail(_WHERE, "input_noise", "be 0: this prior has no input", input_noise, hint)
    begin = partial(_loop.begin, setting)
    if resume is None:
        start = FitState(*begin(model, key, problem, params))
        return _run(setting, model, problem, _fit_of(prior, start), done + num_steps, progress)
    if params is not None:
        checks.fail(_WHERE, "params", "be None, where a fit is resumed", params)
    state = _resuming.continued(jax.eval_shape(begin, model, key, problem, None), prior, resume)
    resume = resume._replace(state=FitState(*state), prior=prior)
    return _run(setting, model, problem, resume, done + num_steps, progress)


def _run(
    setting: _loop.Setting,
    model: _loop.Model,
    problem: Problem,
    fit: Fit,
    num_steps: int,
    progress: Callable[[FitProgress], None] | None,
) -> Fit:
    """Advance chunk by chunk until every fit is done."""
    state, steps = fit.state, _resuming.steps_done(fit)
    looks: list[Any] = []
    while steps < num_steps and _is_running(state):
        length = min(setting.length - steps % setting.length, num_steps - steps)
        carry, look = _loop.advance(
            setting._replace(length=length), model, problem, state.lane, state.carry
        )
        state, steps = state._replace(carry=carry), steps + length
        looks.append((steps, look))
        if progress is not None and checks.is_concrete(carry):
            try:
                progress(_report(look, steps, num_steps, carry.status))
            except BaseException as error:
                _hand_over(error, _extended(fit, state, looks))
                raise
    return _extended(fit, state, looks)


def _hand_over(error: Any, fit: Fit) -> None:
    """Give the fit so far to what ends it."""
    error.fit = fit
    error.add_note("The fit so far is this exception's `fit`; fit(..., resume=it) continues it.")


def _is_running(state: FitState) -> bool:
    status = state.carry.status
    return not checks.is_concrete(status) or bool(np.any(np.asarray(status) == Status.RUNNING))


def _fit_of(prior: Any, state: FitState) -> Fit:
    """Return the fit before its first step."""
    carry = state.carry
    none = jnp.zeros((*carry.status.shape, 0), carry.best_score.dtype)
    history = FitHistory(
        none, jnp.zeros(0, jnp.int32), none, none, carry.best_step, carry.num_spikes
    )
    return Fit(carry.best_x, carry.best_params, history, carry.status, carry.step, prior, state)


def _extended(fit: Fit, state: FitState, looks: list[tuple[int, Any]]) -> Fit:
    """Return a fit after more looks."""
    if not looks:
        return fit._replace(state=state)
    carry, past = state.carry, fit.history
    steps = jnp.asarray([step for step, _ in looks], past.look_steps.dtype)

    def joined(before: Array, name: str) -> Array:
        parts = [getattr(look, name) for _, look in looks]
        parts = [part if part.ndim == before.ndim else part[..., None] for part in parts]
        return jnp.concatenate([before.astype(parts[0].dtype), *parts], axis=-1)

    history = FitHistory(
        loss=joined(past.loss, "loss"),
        look_steps=jnp.concatenate([past.look_steps, steps]),
        score=joined(past.score, "score"),
        residual=joined(past.residual, "residual"),
        best_step=carry.best_step,
        num_spikes=carry.num_spikes,
    )
    return Fit(carry.best_x, carry.best_params, history, carry.status, carry.step, fit.prior, state)


def _report(look: Any, step: int, num_steps: int, status: Array) -> FitProgress:
    parts = (look.loss[..., -1], look.residual, look.score)
    loss, residual, score = (float(np.ravel(np.asarray(part))[0]) for part in parts)
    running = int(np.sum(np.asarray(status) == Status.RUNNING))
    return FitProgress(step, num_steps, loss, residual, score, running)


def _transform(optimizer: Any) -> Any:
    """Return the transformation, which is static."""
    import optax

    if optimizer is None:
        return _default_optimizer()
    if not isinstance(optimizer, optax.GradientTransformation):
        hint = "For example optax.adam(0.01)."
        checks.fail_type(_WHERE, "optimizer", "be an optax transformation", optimizer, hint)
    return optax.with_extra_args_support(optimizer)


@lru_cache(maxsize=1)
def _default_optimizer() -> optax.GradientTransformationExtraArgs:
    """Return Adam, one object, so that it traces once."""
    import optax

    return optax.with_extra_args_support(optax.adam(_RATE))
