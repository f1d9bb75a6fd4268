"""Layer-by-layer training, as the papers train, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from jaxinv._core import checks
from jaxinv._core.training import History, TrainingProgress
from jaxinv.problems import Family, Problem
from jaxinv.solvers import Layers, unfold
from jaxinv.unfolded._free import from_free, to_free
from jaxinv.unfolded._scoring import batch_loss, check_loss
from jaxinv.unfolded._training import Fit, held_out, require_trainable

RATES = (5e-4, 1e-4, 1e-5)  # of the three stages of a layer: it alone, then all up to it, twice


class _Carry(NamedTuple):
    free: Any
    moments: Any
    best: Any
    best_value: Array
    step: Array
    num_skipped: Array


class _Stage(NamedTuple):
    """One stage: traced, so that all share one program."""

    layer: Array
    alone: Array
    rate: Array


class _Setting(NamedTuple):
    loss: Any
    batch_size: int
    chunk: int


def fit_stagewise(
    key: Any,
    layers: Layers,
    family: Family,
    *,
    rates: tuple[float, ...] = RATES,
    loss: str | Callable[..., Any] = "mse",
    batch_size: int = 64,
    validation_size: int = 1000,
    validate_every: int = 10,
    patience: int = 4000,
    max_steps: int = 200_000,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Fit:
    r"""Train a network layer by layer, the published protocol.

    For t = 1, ..., T the loss is that of the output of layer t, and layer t has three stages:
    first only its own fields move, then those of all layers up to it, at a fifth and at a
    fiftieth of the rate. A stage ends when the validation loss has not improved for
    ``patience`` steps; Adam starts anew in each. ``fit`` trains all layers together, which is
    far faster and more accurate; use this one to reproduce published training.

    Args:
        key, layers, family, batch_size, validation_size, progress: as in ``fit``.
        rates: Adam's rate in each stage of a layer; the first moves the layer alone.
        loss: as in ``fit``; the published one is ``"mse"``.
        validate_every: steps between looks at the validation set.
        patience: steps without a better validation loss after which a stage ends.
        max_steps: most steps of one stage.

    Returns:
        ``Fit(layers, history)``; each stage ends with its best weights. ``history`` counts
        steps over all stages; its losses are those of the layer in training.

    Raises:
        ValueError, TypeError: as ``fit``; an empty or negative rate.

    Cost: every step runs all T layers, of which the gradient reaches the first t: one program
        for all 3 T stages, at about twice the products that t layers need on average.

    Notes: fields shared by all layers belong to layer 1, as published: later only stages two
        and three move them. Unlike the published codes, the best weights of a stage are kept
        rather than the last, thresholds move through their logarithm, and the rates of frozen
        layers act after Adam (Adam undoes factors on gradients).

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.problems.sparse(20, 40).sample(jax.random.key(0)).operator
        >>> family = ji.problems.sparse(20, 40, num_nonzeros=2, operator=A)
        >>> options = dict(validate_every=5, patience=5, max_steps=10, validation_size=32)
        >>> result = fit_stagewise(jax.random.key(1), ji.unfolded.alista(A, 2), family, **options)
        >>> result.history.validation.shape[0] >= 6
        True

    Source: protocol of Chen, Liu, Wang, Yin (2018), appendix, and its published code.
    """
    where = "fit_stagewise"
    key = checks.key(where, key)
    require_trainable(where, layers)
    loss = check_loss(where, loss, layers, family)
    checks.report(where, "progress", progress)
    if not isinstance(rates, Sequence):
        checks.fail_type(where, "rates", "be a tuple of rates", rates)
    if not rates:
        checks.fail(where, "rates", "have at least one rate", "none")
    rates = tuple(checks.positive(where, f"rates[{i}]", rate) for i, rate in enumerate(rates))
    chunk = checks.count(where, "validate_every", validate_every)
    patience = checks.count(where, "patience", patience)
    max_steps = checks.count(where, "max_steps", max_steps)
    setting = _Setting(loss, checks.count(where, "batch_size", batch_size), chunk)
    validation_key, training_key = jax.random.split(key)
    size = checks.count(where, "validation_size", validation_size)
    family, problems = held_out(where, validation_key, family, None, size)
    log = _Log(progress, layers.num_layers * len(rates) * max_steps)
    for layer in range(layers.num_layers):
        for index, rate in enumerate(rates):
            stage = _Stage(jnp.asarray(layer), jnp.asarray(index == 0), jnp.asarray(rate))
            carry = _begin(setting, layers, family, problems, stage, log.step)
            log.look(carry.best_value)
            first = log.step
            best, best_step = float(carry.best_value), first
            while log.step - first < max_steps and log.step - best_step < patience:
                carry, losses, value = _advance(
                    setting, layers, family, problems, training_key, stage, carry
                )
                log.steps(losses, value)
                if float(value) < best:
                    best, best_step = float(value), log.step
            log.close(best_step, int(carry.num_skipped))
            layers = _merged(layers, carry.best)
    return Fit(layers, log.history())


class _Log:
    """The history, as it grows."""

    def __init__(self, progress: Any, most: int) -> None:
        self.step, self.skipped, self.best_step = 0, 0, 0
        self._progress, self._most = progress, most
        self._losses: list[np.ndarray] = []
        self._looks: list[tuple[int, float]] = []

    def look(self, value: Array) -> None:
        self._looks.append((self.step, float(value)))

    def steps(self, losses: Array, value: Array) -> None:
        self._losses.append(np.asarray(losses))
        self.step += losses.size
        self.look(value)
        if self._progress is not None:
            skipped = self.skipped + int(np.isnan(self._losses[-1]).sum())
            report = TrainingProgress(
                self.step, self._most, float(losses[-1]), float(value), skipped
            )
            self._progress(report)

    def close(self, best_step: int, skipped: int) -> None:
        self.best_step, self.skipped = best_step, self.skipped + skipped

    def history(self) -> History:
        steps, values = zip(*self._looks, strict=True)
        return History(
            loss=jnp.asarray(np.concatenate(self._losses)),
            validation_steps=jnp.asarray(steps),
            validation=jnp.asarray(values),
            best_step=jnp.asarray(self.best_step),
            num_skipped=jnp.asarray(self.skipped),
        )


def _merged(layers: Layers, free: Any) -> Layers:
    return layers.partition()[1].merge(from_free(layers.solver, free))


def _stage_loss(
    setting: _Setting, layers: Layers, family: Any, problems: Problem, stage: _Stage
) -> Array:
    """Return the loss of the output of the stage's layer."""
    run = partial(unfold, all_layers=True)
    outputs = jax.vmap(run, in_axes=(None, family.axes))(layers, problems)
    output = lax.dynamic_index_in_dim(outputs, stage.layer, axis=1, keepdims=False)
    return batch_loss(setting.loss, layers.layer(-1), family.axes, output, problems)


def _adam() -> optax.GradientTransformation:
    return optax.scale_by_adam()


@partial(jax.jit, static_argnums=0)
def _begin(
    setting: _Setting, layers: Layers, family: Any, problems: Problem, stage: _Stage, step: Any
) -> _Carry:
    free = to_free(layers.solver, layers.partition()[0])
    value = _stage_loss(setting, layers, family, problems, stage)
    zero = jnp.zeros((), jnp.int32)
    return _Carry(free, _adam().init(free), free, value, jnp.asarray(step, jnp.int32), zero)


@partial(jax.jit, static_argnums=0)
def _advance(
    setting: _Setting,
    layers: Layers,
    family: Any,
    problems: Problem,
    key: Array,
    stage: _Stage,
    carry: _Carry,
) -> tuple[_Carry, Array, Array]:
    """Take one chunk of steps of a stage, then look at the validation set."""
    rates = _rates(layers, stage)

    def step(carry: _Carry, _: None) -> tuple[_Carry, Array]:
        drawn = family.training_batch(key, carry.step, setting.batch_size)

        def objective(free: Any) -> Array:
            return _stage_loss(setting, _merged(layers, free), family, drawn, stage)

        value, gradient = jax.value_and_grad(objective)(carry.free)
        sizes = jnp.stack([jnp.sum(jnp.abs(leaf)) for leaf in jax.tree.leaves(gradient)])
        finite = jnp.all(jnp.isfinite(sizes)) & jnp.isfinite(value)
        safe = jax.tree.map(lambda leaf: jnp.where(finite, leaf, 0), gradient)
        update, moments = _adam().update(safe, carry.moments)
        free = {
            name: jax.tree.map(partial(_descend, rates[name]), leaf, update[name])  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType]
            for name, leaf in carry.free.items()
        }
        free, moments = jax.tree.map(
            partial(jnp.where, finite), (free, moments), (carry.free, carry.moments)
        )
        following = carry._replace(
            free=free,
            moments=moments,
            step=carry.step + 1,
            num_skipped=carry.num_skipped + jnp.where(finite, 0, 1),
        )
        return following, jnp.where(finite, value, jnp.nan)

    carry, losses = lax.scan(step, carry, None, length=setting.chunk)
    value = _stage_loss(setting, _merged(layers, carry.free), family, problems, stage)
    better = value < carry.best_value
    best = jax.tree.map(partial(jnp.where, better), carry.free, carry.best)
    carry = carry._replace(best=best, best_value=jnp.where(better, value, carry.best_value))
    return carry, losses, value


def _rates(layers: Layers, stage: _Stage) -> dict[str, Array]:
    """Return the rate of each field: one per layer, 0 where frozen, or one if it is shared."""
    index = jnp.arange(layers.num_layers)
    moves = jnp.where(stage.alone, index == stage.layer, index <= stage.layer)
    axes = dict(layers.axes)
    return {
        name: stage.rate * (moves if axes[name] == 0 else moves[0]) for name in layers.trainable
    }


def _descend(rate: Array, leaf: Array, update: Array) -> Array:
    rate = rate.reshape(rate.shape + (1,) * (leaf.ndim - rate.ndim)).astype(leaf.dtype)
    return leaf - rate * update
