"""Fit the weights of a network to one measurement."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import Status, checks, memory
from jaxinv._core.functions import as_function
from jaxinv.operators._require import fail_function
from jaxinv.problems import Problem
from jaxinv.solvers import gradient
from jaxinv.solvers._loop import check_problem
from jaxinv.untrained import _loop
from jaxinv.untrained.stopping import StoppingRule, Unstopped, held_out

if TYPE_CHECKING:
    import optax

Array = jax.Array

_WHERE = "fit"
_RATE = 0.01
_AUTO_PATIENCE = 500


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


class Fit(NamedTuple):
    """What ``fit`` returns; a first axis where several were run.

    Attributes:
        x: the estimate: the average of the iterates up to the step that the rule preferred.
        params: the network's parameters at that step; ``prior(params)`` is close to ``x``.
        history: a ``FitHistory``.
        status: STOPPED (by the rule), CONVERGED (the measurements are met to ``tol``),
            MAX_STEPS, or NONFINITE (no step of a chunk led to a finite loss).
        num_steps: steps taken.
        prior: the prior that was fitted, with its input; shared by the fits of a batch.
    """

    x: Array
    params: Any
    history: FitHistory
    status: Array
    num_steps: Array
    prior: Any


class FitProgress(NamedTuple):
    """What ``progress`` is told between compiled chunks; of the first fit, where there are more."""

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
) -> Fit:
    r"""Fit an untrained network to one measurement: no training data, only the architecture.

    .. math:: \min_\theta \tfrac12 \|A\, G_\theta(z) - y\|^2 + P(G_\theta(z)) + R(\theta)

    by the update rule of an optax transformation (the solver is ``solvers.gradient``). The
    estimate is an average of the iterates; where to stop is found from the measurements alone.

    Args:
        key: a JAX PRNG key: draws the network's parameters, the input noise and what the
            stopping rule leaves out; the input is the prior's own. An array of keys runs that
            many fits as one batch.
        prior: an untrained prior: ``generators.deep_decoder`` and its relatives, or
            ``generator.untrained(z)``, which starts at the generator's own parameters.
        problem: operator and y; its prior and truth are not read.
        optimizer: an optax transformation, made once (it is static); default Adam, rate 0.01.
        num_steps: most steps; not read where ``stop`` is an int.
        stop: ``"auto"`` (``held_out()`` with its own patience; in fewer than 500 steps it cannot
            stop, only choose among the looks), a rule of ``jaxinv.untrained``, or None or an
            int: run that many steps and keep the last average.
        params: start here instead of drawing.
        axes: for a batch of keys: a ``Problem`` prefix of 0 and None that says which parts of
            ``problem`` have a first axis (``family.axes``); default: all share one problem.
        penalty: P, a function of the signal, such as ``untrained.total_variation(0.01)``: at
            module level, or a ``jax.tree_util.Partial``, whose arrays stay arguments.
        regularizer: R, a function of the parameters, such as ``LearnedRegularizer``.
        input_noise: standard deviation of noise on the input, fresh at every step.
        input_noise_decay: factor on it every 500 steps, in [0, 1].
        average: weight in [0, 1) of the past in the average of the iterates; 0 keeps the last.
        spike: a step whose loss exceeds this many times its recent average is taken back, with
            up to ``look_every`` steps before it, and the steps that follow are half as long for
            a while; inf never does.
        tol: stop when ‖A x − y‖ <= tol ‖y‖.
        compute_dtype: type to evaluate the network in, such as ``jnp.bfloat16``; parameters,
            averages and losses keep theirs.
        look_every: steps of a compiled chunk; the rule looks after each.
        progress: called with a ``FitProgress`` between chunks.

    Returns:
        A ``Fit``.

    Raises:
        ValueError, TypeError: an argument that cannot be; a prior that does not fit the
            operator; NaN in y, or nothing but zeros; more parameters than memory; too few steps
            for the rule.

    Cost: a forward and a backward pass a step.

    Notes: with the rule of ``stop``, the part of y that it leaves out is not fitted. Inside
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
    key = _key(key)
    num_fits = key.shape[0] if key.ndim else 1
    if axes is not None and not key.ndim:
        hint = "Use jax.random.split(key, number)."
        checks.fail(_WHERE, "key", "be a vector of keys, where axes is given", key, hint)
    problem = _problem(prior, problem, axes, num_fits)
    num_steps, rule = _rule(num_steps, stop)
    rule.check(_WHERE, problem)
    needed_steps = rule.min_steps + (rule.patience or 0)
    if needed_steps > num_steps:
        needed = f"at least {needed_steps}, as the stopping rule needs"
        hint = "Or give the rule less patience, or stop=None."
        checks.fail(_WHERE, "num_steps", f"be {needed}", num_steps, hint)
    itemsize = max(leaf.dtype.itemsize for leaf in jax.tree.leaves(prior.params))
    copies = memory.COPIES
    memory.require_memory(_WHERE, prior.num_parameters, itemsize, num_fits=num_fits, copies=copies)
    _callables(penalty=penalty, regularizer=regularizer, progress=progress)
    _scalars(prior, penalty, regularizer)
    if optimizer is not None and not all(hasattr(optimizer, n) for n in ("init", "update")):
        hint = "For example optax.adam(0.01)."
        checks.fail_type(_WHERE, "optimizer", "be an optax transformation", optimizer, hint)
    params = None if params is None else _params(prior, params)
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
        spike=_spike(spike),
        tol=checks.nonnegative(_WHERE, "tol", tol, single=True),
        num_steps=num_steps,
    )
    model = _loop.Model(
        prior=prior,
        solver=gradient(_default_optimizer() if optimizer is None else optimizer, regularizer),
        rule=rule,
        penalty=None if penalty is None else as_function(_WHERE, "penalty", penalty, "(x)"),
        numbers=numbers,
    )
    setting = _loop.Setting(
        chunk=min(checks.count(_WHERE, "look_every", look_every), num_steps),
        dtype=None
        if compute_dtype is None
        else checks.float_type(_WHERE, compute_dtype, argument="compute_dtype", real=True),
        batch=None if not key.ndim else axes or Problem(None, None, None, None),
        is_noisy=not (checks.is_concrete(input_noise) and float(input_noise) == 0),
    )
    if setting.is_noisy and prior.input_shape is None:
        checks.fail(_WHERE, "input_noise", "be 0: this prior has no input", input_noise)
    lane, carry = _loop.begin(setting, model, key, problem, params)
    return _run(setting, model, problem, lane, carry, num_steps, progress)


def _run(
    setting: _loop.Setting,
    model: _loop.Model,
    problem: Problem,
    lane: _loop.Lane,
    carry: Any,
    num_steps: int,
    progress: Callable[[FitProgress], None] | None,
) -> Fit:
    """Advance chunk by chunk until every fit is done."""
    looks: list[Any] = []
    steps = [0]
    while steps[-1] < num_steps:
        length = min(setting.chunk, num_steps - steps[-1])
        carry, look = _loop.advance(setting._replace(chunk=length), model, problem, lane, carry)
        looks.append(look)
        steps.append(steps[-1] + length)
        if checks.is_concrete(carry):
            running = int(np.sum(np.asarray(carry.status) == Status.RUNNING))
            if progress is not None:
                progress(_report(look, steps[-1], num_steps, running))
            if not running:
                break
    loss = jnp.concatenate([look.loss for look in looks], axis=-1)
    history = FitHistory(
        loss=loss,
        look_steps=jnp.asarray(steps[1:]),
        score=jnp.stack([look.score for look in looks], axis=-1),
        residual=jnp.stack([look.residual for look in looks], axis=-1),
        best_step=carry.best_step,
        num_spikes=carry.num_spikes,
    )
    return Fit(carry.best_x, carry.best_params, history, carry.status, carry.step, model.prior)


def _report(look: Any, step: int, num_steps: int, running: int) -> FitProgress:
    parts = (look.loss[..., -1], look.residual, look.score)
    loss, residual, score = (float(np.ravel(np.asarray(part))[0]) for part in parts)
    return FitProgress(step, num_steps, loss, residual, score, running)


@lru_cache(maxsize=1)
def _default_optimizer() -> optax.GradientTransformation:
    """Return Adam, one object, so that it traces once."""
    import optax

    return optax.adam(_RATE)


def _key(key: Any) -> Array:
    """Return a key, or a vector of keys."""
    is_older = isinstance(key, jax.Array) and key.dtype == jnp.uint32 and key.ndim == 2
    if is_older and key.shape[0] and key.shape[1] in (2, 4):
        return jax.random.wrap_key_data(key)
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim:
        if key.ndim > 1 or key.size == 0:
            checks.fail(_WHERE, "key", "be one key or a vector of keys", key)
        return key
    return checks.key(_WHERE, key)


def _problem(prior: Any, problem: Any, axes: Any, num_fits: int) -> Problem:
    """Return the problem without its truth, after looking whether the prior fits it."""
    if not hasattr(prior, "draw") or not hasattr(prior, "num_parameters"):
        hint = "Such as generators.deep_decoder(shape), or generator.untrained(z)."
        checks.fail_type(_WHERE, "prior", "be an untrained prior", prior, hint)
    problem = check_problem(_WHERE, problem)._replace(prior=None, truth=None)
    expected = getattr(problem.operator, "in_shape", None)
    if expected is not None and tuple(expected) != tuple(prior.out_shape):
        hint = "Both must have the shape of the image: gaussian(key, m, (h, w)) measures images."
        checks.fail(_WHERE, "prior", f"make signals of shape {expected}", prior.out_shape, hint)
    single = problem if axes is None else _first(problem, axes, num_fits)
    x = jax.eval_shape(prior, prior.params)
    predicted = jax.eval_shape(lambda operator, x: operator(x), single.operator, x)
    hint = "" if axes is not None else "For several problems give keys, and axes=family.axes."
    checks.shape_is(_WHERE, "problem.y", single.y, predicted.shape, hint)
    if checks.is_concrete(problem.y) and not np.any(np.asarray(problem.y)):
        hint = "An empty mask measures nothing."
        checks.fail(_WHERE, "problem.y", "have an entry other than 0", "all zeros", hint)
    if jnp.iscomplexobj(single.y) and not jnp.issubdtype(predicted.dtype, jnp.complexfloating):
        hint = "Build the prior with dtype=jnp.complex64, or take jnp.real(y)."
        checks.fail(_WHERE, "problem.y", "be real, as what the operator returns", single.y, hint)
    return problem


def _first(problem: Problem, axes: Any, num_fits: int) -> Problem:
    """Return one problem of a batch, after looking whether there is one for each key."""
    named = isinstance(axes, Problem)
    if not named or any(axis is not None and axis != 0 for axis in (axes.operator, axes.y)):
        hint = "As Problem(None, 0): other measurements, one operator."
        checks.fail(_WHERE, "axes", "be a Problem of 0 and None", axes, hint)

    def one(name: str, axis: Any, value: Any) -> Any:
        for leaf in () if axis is None else jax.tree.leaves(value):
            if jnp.shape(leaf)[:1] != (num_fits,):
                expected = f"have a first axis of {num_fits}, one for each key"
                checks.fail(_WHERE, f"problem.{name}", expected, leaf)
        return value if axis is None else jax.tree.map(lambda part: part[0], value)

    return Problem(one("operator", axes.operator, problem.operator), one("y", axes.y, problem.y))


def _rule(num_steps: Any, stop: Any) -> tuple[int, StoppingRule]:
    num_steps = checks.count(_WHERE, "num_steps", num_steps)
    if isinstance(stop, StoppingRule):
        return num_steps, stop
    if stop is None:
        return num_steps, Unstopped()
    if isinstance(stop, str):
        if stop != "auto":
            hint = "Other rules are objects, such as untrained.held_out()."
            checks.fail(_WHERE, "stop", "be 'auto', a rule, an int or None", repr(stop), hint)
        return num_steps, held_out(patience=min(_AUTO_PATIENCE, num_steps))
    if checks.is_integer(stop):
        return checks.count(_WHERE, "stop", stop), Unstopped()
    hint = "Such as untrained.windowed_variance(), or None for no rule."
    return checks.fail_type(_WHERE, "stop", "be 'auto', a rule, an int or None", stop, hint)


def _spike(spike: Any) -> Any:
    if isinstance(spike, float) and spike == float("inf"):
        return spike
    return checks.scalar(_WHERE, "spike", spike, low=1.0, single=True)


def _params(prior: Any, params: Any) -> Any:
    """Return the parameters of a start, which must look like the prior's own."""
    params = checks.arrays(_WHERE, "params", params)
    checks.finite(_WHERE, "params", params)
    expected = jax.tree.map(jnp.shape, prior.params)
    if jax.tree.map(jnp.shape, params) != expected:
        checks.fail(_WHERE, "params", f"have the prior's shapes {expected}", params)
    return params


def _scalars(prior: Any, penalty: Any, regularizer: Any) -> None:
    """Require that P and R take what they are given, and return a real scalar."""
    x = jax.eval_shape(prior, prior.params)
    functions = (("penalty", penalty, x), ("regularizer", regularizer, prior.params))
    for name, function, taken in functions:
        if function is None:
            continue
        try:
            value = jax.eval_shape(as_function(_WHERE, name, function, "(x)"), taken)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            fail_function(_WHERE, name, "what the network makes", error)
        if getattr(value, "shape", None) != () or jnp.iscomplexobj(value):
            checks.fail(_WHERE, name, "return a real scalar", f"{value}")


def _callables(**functions: Any) -> None:
    for name, function in functions.items():
        if function is not None and not callable(function):
            checks.fail_type(_WHERE, name, "be a function, or None", function)
