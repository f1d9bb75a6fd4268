"""The steps of training: compiled chunks, in which every player updates its parameters."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax


class Carry(NamedTuple):
    """What one step needs from the one before."""

    params: Any
    moments: Any
    best: Any
    best_value: Array
    best_step: Array
    step: Array
    num_skipped: Array


class Setting(NamedTuple):
    """What is fixed while training, hashable."""

    optimizers: tuple[optax.GradientTransformation, ...]
    batch_size: int
    num_steps: int
    chunk: int


def players(model: Any) -> tuple[tuple[str, ...], ...]:
    """Return each set of parameters that plays, once."""
    return tuple(dict.fromkeys(model.players))


@partial(jax.jit, static_argnums=0)
def begin(setting: Setting, model: Any, held: Array, key: Array) -> tuple[Carry, Array]:
    """Return the state before the first step, and the held-out loss."""
    params = model.params
    moments = tuple(
        optimizer.init(_part(params, player))
        for optimizer, player in zip(setting.optimizers, players(model), strict=True)
    )
    value = model.held_out_loss(params, held, key)
    zero = jnp.zeros((), jnp.int32)
    return Carry(params, moments, params, value, zero, zero, zero), value


def _part(params: Any, player: tuple[str, ...]) -> Any:
    return {name: params[name] for name in player}


@partial(jax.jit, static_argnums=0)
def advance(
    setting: Setting, model: Any, train: Array, held: Array, keys: Any, carry: Carry
) -> tuple[Carry, tuple[Array, Array]]:
    """Take ``setting.chunk`` steps, then look at the held-out signals."""
    train_key, held_key = keys
    step = partial(_step, setting, model, train, train_key)
    carry, losses = lax.scan(step, carry, None, length=setting.chunk)
    value = model.held_out_loss(carry.params, held, held_key)
    better = value < carry.best_value
    carry = carry._replace(
        best=jax.tree.map(partial(jnp.where, better), carry.params, carry.best),
        best_value=jnp.where(better, value, carry.best_value),
        best_step=jnp.where(better, carry.step, carry.best_step),
    )
    return carry, (losses, value)


def _step(
    setting: Setting, model: Any, train: Array, key: Array, carry: Carry, _: None
) -> tuple[Carry, Array]:
    """Let every player of the model update its parameters once."""
    params, moments, skipped = carry.params, list(carry.moments), jnp.zeros((), bool)
    value = jnp.zeros((), train.dtype)
    done = (carry.step / setting.num_steps).astype(train.dtype)
    key = jax.random.fold_in(key, carry.step)
    for index, player in enumerate(model.players):
        which = players(model).index(player)
        batch_key, noise_key = jax.random.split(jax.random.fold_in(key, index))
        x = train[jax.random.randint(batch_key, (setting.batch_size,), 0, len(train))]

        def objective(free: Any, params: Any = params, player: Any = player, x: Any = x,
                      noise_key: Any = noise_key) -> Array:  # fmt: skip
            return model.training_loss({**params, **free}, player, x, noise_key, done)

        free = _part(params, player)
        value, gradient = jax.value_and_grad(objective)(free)
        total = sum((jnp.sum(leaf) for leaf in jax.tree.leaves(gradient)), value)
        finite = jnp.isfinite(total)
        optimizer = setting.optimizers[which]
        update, following = optimizer.update(gradient, moments[which], free)
        kept = partial(jax.tree.map, partial(jnp.where, finite))
        params = {**params, **kept(optax.apply_updates(free, update), free)}
        moments[which] = kept(following, moments[which])
        skipped = skipped | ~finite
        value = jnp.where(finite, value, jnp.nan)
    carry = carry._replace(
        params=params,
        moments=tuple(moments),
        step=carry.step + 1,
        num_skipped=carry.num_skipped + skipped,
    )
    return carry, value
