"""Joint training of a network on problems drawn as it goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from jaxinv._core import checks
from jaxinv._core.training import History, TrainingFailedError, TrainingProgress
from jaxinv.problems import Family
from jaxinv.problems._problem import require_family
from jaxinv.solvers import Layers, unfold
from jaxinv.unfolded._free import from_free, to_free
from jaxinv.unfolded._scoring import LOGARITHMIC, batch_loss, check_loss

_GROWTH = 10.0  # of a logarithmic loss above its start: 43 dB; of any other, this many times
_SCALAR_RATE, _MATRIX_RATE = 2e-2, 5e-4
_MEMORY = 0.95  # of the running average of the weights
_SETBACK = 1.0  # of a logarithmic loss above its best, 4.3 dB, after which training goes back
_SPLIT = 1  # stream of which signals are held out
_SETBACKS = 3  # from the start, one after the other, are a divergence


class Fit(NamedTuple):
    """A trained network, with the weights of the best validation loss, and its history."""

    layers: Layers
    history: History


class _Carry(NamedTuple):
    free: Any
    average: Any
    moments: Any
    best: Any
    best_value: Array
    best_step: Array
    step: Array
    num_skipped: Array


class _Setting(NamedTuple):
    """What is fixed while training, hashable."""

    optimizer: optax.GradientTransformation
    loss: Any
    batch_size: int
    chunk: int
    supervision: float


def fit(
    key: Any,
    layers: Layers,
    family: Family,
    *,
    num_steps: int = 1000,
    optimizer: optax.GradientTransformation | None = None,
    loss: str | Callable[..., Any] = "log_nmse",
    batch_size: int = 128,
    supervision: float = 0.0,
    validation_size: int = 1024,
    validate_every: int = 50,
    validation: Family | None = None,
    patience: int | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Fit:
    r"""Train all layers of a network together, on problems that are drawn at every step.

    .. math:: \min_\theta \log \frac{\sum_i \|x_T(y_i; \theta) - x_i\|^2}{\sum_i \|x_i\|^2}

    Data are drawn on the device inside the compiled loop, so that no sample is seen twice; of
    your own signals (``problems.from_arrays``) a fifth is held out for validation, and the others
    are gone through in epochs, each once before any comes again. The weights with the best loss
    on a fixed validation set are kept: those of a step, or their running average, which has less
    of the noise of the last batches. Where a logarithmic loss has risen by 1 (4.3 dB) above its
    best, training goes on from the best weights. The logarithm keeps the gradient alive at
    −60 dB, where the plain square is too small to learn from.

    Args:
        key: a JAX PRNG key; decides the data.
        layers: the network; its fields ``layers.trainable`` are changed.
        family: where problems come from, with ``sample``, ``batch`` and ``axes``. A network
            with weights for one matrix needs a family that shares it: ``operator=A``.
        num_steps: steps of the optimizer, >= 1.
        optimizer: any optax transformation; default: Adam, gradients clipped to norm 1, rate
            0.02 for fields of one number a layer and 5e-4 for larger ones, with a cosine decay.
        loss: ``"log_nmse"`` (above; a few bad samples decide it), ``"log_error"`` (twice the
            logarithm of the mean ‖x_T − x‖/‖x‖, which weighs typical samples more),
            ``"balanced"`` (three quarters of the first, one of the second),
            ``"mean_log_nmse"`` (the mean of each sample's logarithm: typical samples only),
            ``"mse"``, ``"lasso"`` (the solver's own objective; needs no truth), or a function
            ``loss(u, problem) -> scalar`` of one sample, defined at module level.
        batch_size: problems a step.
        supervision: weight >= 0 of the mean loss of all layers, added to that of the last: 1
            makes every layer's output usable, and steadies networks with momentum in noise.
        validation_size: problems of the validation set; of your own signals at most.
        validate_every: steps between looks at it; also the steps of one compiled chunk.
        validation: the family of the validation set; default: ``family``, of its own signals
            those that are held out.
        patience: training ends after so many steps without a better validation loss; None: never.
        progress: called with a ``TrainingProgress`` between chunks.

    Returns:
        ``Fit(layers, history)``. Everything but ``progress`` is a pure function: ``vmap`` over
        keys trains several seeds, over a leaf of ``layers`` or ``family`` a grid.

    Raises:
        ValueError, TypeError: an argument that cannot be; layers without a trainable field; fewer
            than 8 signals of your own.
        TrainingFailedError: no step of a chunk had a finite gradient, or the loss rose far
            above its start, or training had to go back to it three times; ``error.fit`` holds
            the last good weights. Not under ``vmap``, where ``history`` tells.

    Cost: about three times the products of ``unfold`` a step and sample.

    Notes: fields named in ``solver.positive`` are trained through their logarithm. A step with a
        NaN or infinite gradient is skipped and counted.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.problems.sparse(20, 40).sample(jax.random.key(0)).operator
        >>> family = ji.problems.sparse(20, 40, num_nonzeros=2, operator=A)
        >>> layers = ji.unfolded.alista(A, 4)
        >>> result = fit(jax.random.key(1), layers, family, num_steps=20, validate_every=10)
        >>> result.history.loss.shape, result.history.validation.shape
        ((20,), (3,))

    Source: end-to-end training as in Gregor, LeCun (2010); compare ``fit_stagewise``.
    """
    where = "fit"
    key = checks.key(where, key)
    require_trainable(where, layers)
    loss = check_loss(where, loss, layers, family)
    checks.report(where, "progress", progress)
    num_steps = checks.count(where, "num_steps", num_steps)
    chunk = min(checks.count(where, "validate_every", validate_every), num_steps)
    setting = _Setting(
        optimizer=_default_optimizer(num_steps)
        if optimizer is None
        else checks.optimizer(where, "optimizer", optimizer),
        loss=loss,
        batch_size=checks.count(where, "batch_size", batch_size),
        chunk=chunk,
        supervision=float(checks.nonnegative(where, "supervision", supervision, single=True)),
    )
    size = checks.count(where, "validation_size", validation_size)
    patience = num_steps if patience is None else checks.count(where, "patience", patience)
    validation_key, training_key = jax.random.split(key)
    family, problems = held_out(where, validation_key, family, validation, size)
    carry, start = _begin(setting, layers, family, problems)
    losses, values, steps = [], [start], [0]
    while steps[-1] < num_steps:
        length = min(chunk, num_steps - steps[-1])
        carry, (loss_values, value) = _advance(
            setting._replace(chunk=length), layers, family, problems, training_key, carry
        )
        losses.append(loss_values)
        values.append(value)
        steps.append(steps[-1] + length)
        if checks.is_concrete((carry, value)):
            result = _result(layers, carry, losses, values, steps)
            _require_finite(setting, result, steps[-1])
            if progress is not None:
                progress(result.history.progress(num_steps))
            if steps[-1] - int(carry.best_step) >= patience:
                break
    return _result(layers, carry, losses, values, steps)


def require_trainable(where: str, layers: Any) -> None:
    """Refuse what is not a network, or has nothing to train."""
    if not isinstance(layers, Layers):
        hint = "Make it with jaxinv.unfolded or Layers.repeat."
        checks.fail_type(where, "layers", "be a jaxinv.Layers", layers, hint)
    if not layers.trainable:
        hint = "Give trainable=... to Layers.repeat or Layers.stack."
        checks.fail(where, "layers", "have a trainable field", "none", hint)


@lru_cache(maxsize=32)
def _default_optimizer(num_steps: int) -> optax.GradientTransformation:
    """Return Adam with two rates; one object for one number of steps, so that it traces once."""

    def rate(peak: float) -> Any:
        return optax.adam(optax.cosine_decay_schedule(peak, num_steps, alpha=0.01))

    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.partition({"numbers": rate(_SCALAR_RATE), "matrices": rate(_MATRIX_RATE)}, _labels),
    )


def _labels(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: "matrices" if jnp.ndim(leaf) > 1 else "numbers", tree)


def network_loss(
    setting: Any, layers: Layers, family: Any, problems: Any, supervision: float
) -> Array:
    """Return the loss of the last layer on a batch, plus ``supervision`` times that of all."""
    run = partial(unfold, all_layers=supervision > 0)
    outputs = jax.vmap(run, in_axes=(None, family.axes))(layers, problems)
    each = partial(batch_loss, setting.loss)
    if not supervision > 0:
        return each(layers.layer(-1), family.axes, outputs, problems)
    outputs = jnp.moveaxis(outputs, 1, 0)
    solvers = [layers.layer(index) for index in range(layers.num_layers)]
    values = [each(s, family.axes, o, problems) for s, o in zip(solvers, outputs, strict=True)]
    return values[-1] + supervision * jnp.mean(jnp.stack(values))


def held_out(where: str, key: Array, family: Any, validation: Any, size: int) -> tuple[Family, Any]:
    """Return the family to train on, and problems for validation with none of its signals."""
    require_family(where, family)
    if validation is None:
        family, validation = family.split(jax.random.fold_in(key, _SPLIT))
    return family, _validation(require_family(where, validation), key, size)


@partial(jax.jit, static_argnums=2)  # one program, whatever is trained on them and how
def _validation(family: Family, key: Array, size: int) -> Any:
    return family.validation(key, size)


@partial(jax.jit, static_argnums=0)
def _begin(setting: _Setting, layers: Layers, family: Any, problems: Any) -> tuple[_Carry, Array]:
    trainable, _ = layers.partition()
    free = to_free(layers.solver, trainable)
    value = network_loss(setting, layers, family, problems, 0.0)
    zero = jnp.zeros((), jnp.int32)
    moments = setting.optimizer.init(free)
    return _Carry(free, free, moments, free, value, zero, zero, zero), value


@partial(jax.jit, static_argnums=0)
def _advance(
    setting: _Setting, layers: Layers, family: Any, validation: Any, key: Array, carry: _Carry
) -> tuple[_Carry, tuple[Array, Array]]:
    """Take ``setting.chunk`` steps, then look at the validation set."""
    _, frozen = layers.partition()

    def network(free: Any) -> Layers:
        return frozen.merge(from_free(layers.solver, free))

    def step(carry: _Carry, _: None) -> tuple[_Carry, Array]:
        problems = family.training_batch(key, carry.step, setting.batch_size)

        def objective(free: Any) -> Array:
            return network_loss(setting, network(free), family, problems, setting.supervision)

        value, gradient = jax.value_and_grad(objective)(carry.free)
        finite = jnp.all(
            jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradient)])
        ) & jnp.isfinite(value)
        safe = jax.tree.map(lambda leaf: jnp.where(finite, leaf, 0), gradient)
        update, moments = setting.optimizer.update(safe, carry.moments, carry.free)
        free = optax.apply_updates(carry.free, update)
        free, moments = jax.tree.map(
            partial(jnp.where, finite), (free, moments), (carry.free, carry.moments)
        )
        skipped = carry.num_skipped + jnp.where(finite, 0, 1)
        average = jax.tree.map(_averaged, carry.average, free)
        step = carry.step + 1
        following = carry._replace(
            free=free, average=average, moments=moments, step=step, num_skipped=skipped
        )
        return following, jnp.where(finite, value, jnp.nan)

    carry, losses = lax.scan(step, carry, None, length=setting.chunk)
    tried = (carry.free, carry.average)
    now, averaged = (network_loss(setting, network(w), family, validation, 0.0) for w in tried)
    found = jax.tree.map(partial(jnp.where, averaged < now), carry.average, carry.free)
    value = jnp.where(averaged < now, averaged, now)
    better = value < carry.best_value
    carry = carry._replace(
        best=jax.tree.map(partial(jnp.where, better), found, carry.best),
        best_value=jnp.where(better, value, carry.best_value),
        best_step=jnp.where(better, carry.step, carry.best_step),
    )
    if setting.loss in LOGARITHMIC:  # rules that choose a support give gradients that mislead
        lost = ~(value <= carry.best_value + _SETBACK)
        back = partial(jax.tree.map, partial(jnp.where, lost), carry.best)
        carry = carry._replace(free=back(carry.free), average=back(carry.average))
    return carry, (losses, value)


def _averaged(average: Array, leaf: Array) -> Array:
    return _MEMORY * average + (1 - _MEMORY) * leaf


def _result(layers: Layers, carry: _Carry, losses: Any, values: Any, steps: Any) -> Fit:
    _, frozen = layers.partition()
    best = frozen.merge(from_free(layers.solver, carry.best))
    history = History(
        loss=jnp.concatenate(losses),
        validation_steps=jnp.asarray(steps),
        validation=jnp.stack(values),
        best_step=carry.best_step,
        num_skipped=carry.num_skipped,
    )
    return Fit(best, history)


def _require_finite(setting: _Setting, result: Fit, step: int) -> None:
    """Stop a training that has diverged."""
    recent = np.asarray(result.history.loss[-setting.chunk :])
    values = np.asarray(result.history.validation)
    ceiling = values[0] + _GROWTH
    if setting.loss not in LOGARITHMIC:
        ceiling = _GROWTH**4 * max(values[0], np.finfo(values.dtype).tiny)
    best_step = int(result.history.best_step)
    later = values[1:][-_SETBACKS:]
    stuck = setting.loss in LOGARITHMIC and best_step == 0 and len(later) == _SETBACKS
    stuck = stuck and not np.any(later <= values[0] + _SETBACK)
    if np.isfinite(recent).any() and values[-1] < ceiling and not stuck:
        return
    reason = f"validation loss {values[-1]:.4g}, at the start {values[0]:.4g}"
    if not np.isfinite(recent).any():
        reason = f"no finite loss in the last {len(recent)} steps"
    hint = f"The weights of step {best_step} are in error.fit; lower the rate."
    if not np.isfinite(values[0]):
        hint = "The untrained network has no finite loss: look at its output."
    raise TrainingFailedError(f"fit: training diverged by step {step}: {reason}. {hint}", result)
