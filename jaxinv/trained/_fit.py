"""Training of generators on signals: chunks of compiled steps, driven from the host."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num, PRNGKeyArray

from jaxinv._core import checks, replace
from jaxinv._core.training import History, TrainingFailedError, TrainingProgress
from jaxinv.generators._learned import Learned
from jaxinv.trained._checkpoint import Checkpoint
from jaxinv.trained._steps import Carry, Setting, advance, begin, players

_WHERE = "fit"
_LOOKS = 50  # at the held-out signals, unless the caller says how often
_EPOCHS = 100
_GROWTH = 10.0  # of the held-out loss above its start, relative to it, is a divergence
_SPREAD = 0.01  # of the variance of the signals; generated ones with less have collapsed
_NUM_GENERATED = 256


class Fit(NamedTuple):
    """A trained generator, with the weights of the least held-out loss, and its history."""

    model: Any
    history: History


class _Past(NamedTuple):
    """What the host has seen: losses of chunks, held-out losses, and the steps of those."""

    losses: tuple[Any, ...]
    values: tuple[Any, ...]
    steps: tuple[int, ...]


def fit(
    key: PRNGKeyArray,
    model: Any,
    signals: Num[ArrayLike, "signals *shape"],
    *,
    num_steps: int | None = None,
    epochs: float | None = None,
    batch_size: int = 100,
    optimizer: optax.GradientTransformation | None = None,
    held_out: float = 0.1,
    validate_every: int | None = None,
    patience: int | None = 10,
    checkpoint: Any = None,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Fit:
    """Train a generator on signals: a prior from data of your own.

    A share of the signals is held out; the weights with the least loss on them are kept (of a
    VAE the evidence bound, of a flow the density, of a GAN the sliced distance), and training
    ends where ``patience`` looks in a row have not lowered it.

    Args:
        key: a JAX PRNG key; decides batches, noise and which signals are held out.
        model: what ``generators.vae``, ``flow`` or ``gan`` made, or an earlier ``Fit.model``.
        signals: shape (N, *model.signal_shape), N >= 2, finite, not all the same.
        num_steps: steps of the optimizer; or give ``epochs``.
        epochs: passes over the signals; 100 by default.
        batch_size: signals of an update, drawn with replacement.
        optimizer: any optax transformation; default: Adam at the model's rate (1e-3; 1e-4 for a
            GAN) with a cosine decay.
        held_out: share of the signals in (0, 1), at least one.
        validate_every: steps between looks at them, and of one compiled chunk; a fiftieth of all
            by default.
        patience: looks; None: all steps are taken.
        checkpoint: path of a file to go on from, written as training goes and where it is
            interrupted; the end is the same to the bit.
        progress: called with a ``TrainingProgress`` between chunks.

    Returns:
        ``Fit(model, history)``.

    Raises:
        ValueError, TypeError: an argument that cannot be; signals of another shape or range than
            the model's, one only, NaN, all the same; a checkpoint of another training.
        TrainingFailedError: no step of a chunk had a finite gradient, or the held-out loss rose
            far above its start (diverged); or what the end generates hardly differs (collapsed).
            ``error.fit`` holds the best weights.

    Cost: about three times that of encoder and decoder a signal and update; a GAN takes five
        updates of its critic, each with second derivatives, for one of its generator.

    Notes: a step with a NaN or infinite gradient is skipped and counted.

    Example:
        >>> import jax, jaxinv as ji
        >>> images, _ = ji.data.digits()
        >>> G = ji.generators.vae(jax.random.key(0), (8, 8), 4, divergence_weight=0.1)
        >>> result = fit(jax.random.key(1), G, images, num_steps=200, validate_every=100)
        >>> result.model(jax.numpy.zeros(4)).shape, result.history.validation.shape
        ((8, 8), (3,))
    """
    key = checks.key(_WHERE, key)
    model = require_learned(_WHERE, model)
    x = _checked(model, signals)
    split_key, held_key, train_key = jax.random.split(key, 3)
    held, train = _split(split_key, x, held_out)
    batch_size = checks.count(_WHERE, "batch_size", batch_size)
    num_steps = _steps(num_steps, epochs, len(train), batch_size)
    every = math.ceil(num_steps / _LOOKS) if validate_every is None else validate_every
    chunk = min(checks.count(_WHERE, "validate_every", every), num_steps)
    if patience is not None:
        patience = checks.count(_WHERE, "patience", patience)
    checks.report(_WHERE, "progress", progress)
    setting = Setting(_optimizers(model, optimizer, num_steps), batch_size, num_steps, chunk)
    model = model.prepared(train)
    carry, start = begin(setting, model, held, held_key)
    past = _Past((), (start,), (0,))
    saver = Checkpoint(
        checkpoint, model, key, x, (num_steps, batch_size, chunk, len(held), optimizer is None)
    )
    carry, past = saver.restored(carry, past)
    with saver:
        while past.steps[-1] < num_steps and not _is_over(past.values, patience):
            length = min(chunk, num_steps - past.steps[-1])
            carry, (losses, value) = advance(
                setting._replace(chunk=length), model, train, held, (train_key, held_key), carry
            )
            past = _Past(
                (*past.losses, losses), (*past.values, value), (*past.steps, int(carry.step))
            )
            saver.hold(carry, past)
            result = _result(model, carry, past)
            _require_finite(result, length)
            if progress is not None:
                progress(result.history.progress(num_steps))
    result = _result(model, carry, past)
    _require_varied(result, train, held_key)
    return result


def require_learned(where: str, model: Any) -> Any:
    """Refuse what is no trained generator."""
    if not isinstance(model, Learned):
        hint = "Make one with generators.vae, flow or gan."
        checks.fail_type(where, "model", "be a generator that signals train", model, hint)
    return model


def flat_signals(where: str, model: Any, signals: Any) -> Array:
    """Return signals as (N, n) in the model's type; refuse other shapes and NaN."""
    x = checks.array(where, "signals", signals)
    if x.shape[1:] != model.signal_shape or not x.size:
        expected = f"have shape (N, {', '.join(map(str, model.signal_shape))})"
        checks.fail(where, "signals", expected, x, "The first axis counts the signals.")
    if jnp.iscomplexobj(x):
        checks.fail(where, "signals", "be real", x, "Stack real and imaginary parts.")
    checks.finite(where, "signals", x)
    return x.reshape(len(x), -1).astype(model.dtype)


def _checked(model: Any, signals: Any) -> Array:
    x = flat_signals(_WHERE, model, signals)
    if len(x) < 2:
        checks.fail(_WHERE, "signals", "be at least 2, one of them held out", f"{len(x)}")
    if bool(jnp.all(x == x[0])):
        checks.fail(_WHERE, "signals", "differ from each other", f"{len(x)} times the same one")
    model.check_signals(_WHERE, x)
    return x


def _split(key: Array, x: Array, held_out: Any) -> tuple[Array, Array]:
    share = checks.scalar(
        _WHERE, "held_out", held_out, low=0.0, high=1.0, open_low=True, single=True
    )
    count = min(max(round(share * len(x)), 1), len(x) - 1)
    order = jax.random.permutation(key, len(x))
    return x[order[:count]], x[order[count:]]


def _steps(num_steps: Any, epochs: Any, num_signals: int, batch_size: int) -> int:
    if num_steps is not None and epochs is not None:
        checks.fail(_WHERE, "epochs", "be None where num_steps is given", f"{epochs}")
    if num_steps is not None:
        return checks.count(_WHERE, "num_steps", num_steps)
    epochs = _EPOCHS if epochs is None else checks.positive(_WHERE, "epochs", epochs, single=True)
    return math.ceil(epochs * num_signals / batch_size)


def _optimizers(model: Any, optimizer: Any, num_steps: int) -> tuple[Any, ...]:
    """Return one optimizer for each set of parameters that plays."""
    if optimizer is None:
        counts = [model.players.count(player) for player in players(model)]
        return tuple(_default_optimizer(model.adam, num_steps * count) for count in counts)
    return (checks.optimizer(_WHERE, "optimizer", optimizer),) * len(players(model))


@lru_cache(maxsize=32)
def _default_optimizer(adam: Any, num_updates: int) -> optax.GradientTransformation:
    """Return Adam with a cosine decay; one object for one number, so that it traces once."""
    rate, first, second = adam
    schedule = optax.cosine_decay_schedule(rate, num_updates, alpha=0.01)
    return optax.adam(schedule, b1=first, b2=second)


def _is_over(values: Any, patience: int | None) -> bool:
    """Whether the last ``patience`` looks have not lowered the held-out loss."""
    if patience is None or len(values) <= patience:
        return False
    seen = np.asarray(jnp.stack(values))
    return bool(np.min(seen[-patience:]) >= np.min(seen[:-patience]))


def _result(model: Any, carry: Carry, past: _Past) -> Fit:
    history = History(
        loss=jnp.concatenate([jnp.zeros(0), *past.losses]),
        validation_steps=jnp.asarray(past.steps),
        validation=jnp.stack(past.values),
        best_step=carry.best_step,
        num_skipped=carry.num_skipped,
    )
    return Fit(replace(model, params=carry.best), history)


def _require_finite(result: Fit, length: int) -> None:
    """Stop a training that has diverged."""
    history = result.history
    recent, values = np.asarray(history.loss[-length:]), np.asarray(history.validation)
    first, last = float(values[0]), float(values[-1])
    ceiling = first + _GROWTH * max(abs(first), 1.0)
    if np.isfinite(recent).any() and last < ceiling:
        return
    step = int(history.validation_steps[-1])
    reason = f"held-out loss {last:.4g}, at the start {first:.4g}"
    if not np.isfinite(recent).any():
        reason = f"no finite loss in the last {len(recent)} steps"
    hint = f"The weights of step {int(history.best_step)} are in error.fit; lower the rate."
    raise TrainingFailedError(f"fit: training diverged by step {step}: {reason}. {hint}", result)


def _require_varied(result: Fit, train: Array, key: Array) -> None:
    """Stop where what is generated hardly differs: nothing of the latent is in use."""
    model = result.model
    z = jax.random.normal(key, (_NUM_GENERATED, model.latent_size), train.dtype)
    made = jax.jit(jax.vmap(model))(z).reshape(len(z), -1)
    share = float(jnp.sum(jnp.var(made, 0)) / jnp.sum(jnp.var(train, 0)))
    if not share >= _SPREAD:
        hint = "Train longer, with a smaller batch, or with another key."
        if model.name == "vae":
            hint = "Train longer, with a longer warmup= or a smaller divergence_weight=."
        raise TrainingFailedError(
            f"fit: the {model.name} has collapsed: what it generates has {share:.2g} of the "
            f"variance of the {len(train)} signals. {hint} The weights are in error.fit.",
            result,
        )
