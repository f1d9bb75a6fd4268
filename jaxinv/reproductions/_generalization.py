"""The generalization gap: a dictionary network trained on few samples and tested on many."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax

from jaxinv._core import numerics, pytree, replace, static
from jaxinv.operators import dense
from jaxinv.problems import Problem
from jaxinv.reproductions._registry import Outcome, Settings, trials
from jaxinv.reproductions.claims import Claim, mean_error
from jaxinv.solvers import Layers, unfold
from jaxinv.sweeps import sweep
from jaxinv.theory import generalization_bound
from jaxinv.unfolded._orthogonal import orthogonal_network, polar_factor
from jaxinv.viz._colors import PUBLISHED
from jaxinv.viz._panels import Line, Panel, draw

SOURCE = "Behboodi, Rauhut, Schnoor (2022), theorem 2"
QUANTITIES = {"gap": "gap after training", "discrepancy": "discrepancy of the class"}
_SEEDS = 10

_THRESHOLD = 0.1
_TEST = 8192
_DENSITY = 8  # one coefficient in so many is not zero
_RATE = 0.03


@pytree
class Cell:
    """Largest sizes: samples m, layers L, signal size N (n = N / 2); and optimizer steps."""

    num_samples: int = static(default=256)
    num_layers: int = static(default=6)
    signal_size: int = static(default=32)
    num_steps: int = static(default=200)


def gap_trial(
    cell: Cell,
    key: Any,
    *,
    num_samples: Any = None,
    num_layers: Any = None,
    signal_size: int | None = None,
) -> dict[str, Any]:
    """Return losses, gap and discrepancy of one drawn problem.

    ``num_samples`` and ``num_layers`` may be traced, up to the cell's: samples above have
    weight 0, layers above step and threshold 0, which makes them the identity.

    ``gap`` is the loss on fresh samples minus that on the training samples, after training.
    ``discrepancy`` is the maximum over the networks of (1/m) Σ ε_i ‖h(y_i) − x_i‖, where half
    of the signs are + and half −, from below, by ascent: the complexity that the theorem's
    proof bounds, which holds for every network of the class, also those no training finds.
    """
    size = cell.signal_size if signal_size is None else signal_size
    m = cell.num_samples if num_samples is None else num_samples
    keys = jax.random.split(key, 6)
    operator = dense(_rotation(keys[0], size)[: size // 2])
    layers = _network(operator, cell.num_layers, num_layers, keys[1])
    truth = _rotation(keys[2], size)
    used = jnp.arange(cell.num_samples) < m
    x = jnp.where(used[:, None], _signals(keys[3], cell.num_samples, truth), 0)
    fresh = _signals(keys[4], _TEST, truth)
    rank = jnp.argsort(jnp.argsort(jnp.where(used, jax.random.uniform(keys[5], used.shape), 2)))
    weights = jnp.stack([used, used * jnp.where(2 * rank < m, 1, -1)]) / m
    trained, values = jax.vmap(lambda w: _train(layers, operator, x, w, cell.num_steps))(weights)
    found = jax.tree.map(lambda leaf: leaf[0], trained)
    losses = _losses(found, layers, operator, jnp.concatenate([x, fresh]))
    train_loss = jnp.sum(weights[0] * losses[: cell.num_samples])
    test_loss = jnp.mean(losses[cell.num_samples :])
    return {
        "train_loss": train_loss,
        "test_loss": test_loss,
        "gap": test_loss - train_loss,
        "discrepancy": jnp.max(-values[1]),
        "operator_norm": operator.norm(),
        "measurement_norm": numerics.safe_norm(jax.vmap(operator)(x)),
    }


def _rotation(key: Array, size: int) -> Array:
    """Draw an orthogonal matrix."""
    return polar_factor(jax.random.normal(key, (size, size), jnp.float32), approaches=12)


def _network(operator: Any, num_layers: int, active: Any, key: Array) -> Layers:
    layers = orthogonal_network(
        operator, num_layers, threshold=_THRESHOLD, output_bound=1.0, key=key
    )
    if active is None:
        return layers
    solver, keep = layers.solver, jnp.arange(num_layers) < active
    solver = replace(solver, step_size=keep * solver.step_size, threshold=keep * solver.threshold)
    return replace(layers, solver=solver)


def _signals(key: Array, count: int, dictionary: Array) -> Array:
    """Draw signals of norm 1, sparse in the dictionary."""
    size = dictionary.shape[0]
    place_key, value_key = jax.random.split(key)
    values = jax.random.normal(value_key, (count, size), dictionary.dtype)
    order = jax.vmap(lambda key: jax.random.permutation(key, size))
    support = order(jax.random.split(place_key, count)) < max(1, size // _DENSITY)
    z = jnp.where(support, values, 0)
    z = z / jax.vmap(numerics.safe_norm)(z)[:, None]
    return numerics.matmul(z, dictionary.T)


def _losses(trained: Any, layers: Layers, operator: Any, x: Array) -> Array:
    """Return ‖h(A x) − x‖ of each sample."""
    network = layers.partition()[1].merge(trained)

    def loss(x: Array) -> Array:
        return numerics.safe_norm(unfold(network, Problem(operator, operator(x))) - x)

    return jax.vmap(loss)(x)


def _train(
    layers: Layers, operator: Any, x: Array, weights: Array, num_steps: int
) -> tuple[Any, Array]:
    """Minimize the weighted sum of all samples' losses; returns weights and objectives."""
    optimizer = optax.adam(optax.cosine_decay_schedule(_RATE, num_steps))
    first = layers.partition()[0]

    def objective(trained: Any) -> Array:
        return jnp.sum(weights * _losses(trained, layers, operator, x))

    def body(carry: Any, _: None) -> tuple[Any, Array]:
        trained, memory = carry
        value, gradient = jax.value_and_grad(objective)(trained)
        update, memory = optimizer.update(gradient, memory)
        return (optax.apply_updates(trained, update), memory), value

    (trained, _), values = lax.scan(body, (first, optimizer.init(first)), None, length=num_steps)
    return trained, values


def gap_sweep(cell: Cell, axis: str, values: Any, settings: Settings, *, traced: bool) -> Any:
    """Run the trial for every value of one size."""
    num_trials = trials(settings, _SEEDS)
    return sweep(
        jax.tree_util.Partial(gap_trial, cell),
        {axis: values},
        key=settings.key,
        num_trials=num_trials,
        traced=(axis,) if traced else (),
        block_size=min(num_trials, _SEEDS),
        progress=settings.progress,
    ).rename({axis: "value"})


def bounds(found: Any, cell: Cell, axis: str, values: Any) -> np.ndarray:
    """Return the bound at each value, with the mean norms that were drawn."""
    rows = []
    for value in values:
        sizes = replace(cell, **{axis: value})
        norms = found.sel(value=value).mean("trial")
        bound = generalization_bound(
            sizes.num_samples,
            sizes.signal_size // 2,
            sizes.signal_size,
            sizes.num_layers,
            operator_norm=float(norms.operator_norm),
            measurement_norm=float(norms.measurement_norm),
        )
        rows.append(float(bound.total))
    return np.asarray(rows)


def gap_outcome(
    claims: list[Claim], found: Any, values: np.ndarray, bound: np.ndarray, label: str, title: str
) -> Outcome:
    """Return the outcome with its table and figure."""
    rows = []
    for index, value in enumerate(values):
        row: dict[str, Any] = {"value": int(value), "bound": float(bound[index])}
        for name in ("train_loss", "test_loss", *QUANTITIES):
            samples = found[name].sel(value=value).values
            row[name] = float(samples.mean())
            row["seeds"] = samples.size
            row[f"{name}_standard_error"] = mean_error(samples)
        rows.append(row)
    draw: Callable[[Path], Any] = partial(_draw, rows, label=label, title=title)
    return Outcome(claims, rows, draw)


def _draw(rows: list[dict[str, Any]], path: Path, *, label: str, title: str) -> str:
    values = [row["value"] for row in rows]
    bound = np.asarray([row["bound"] for row in rows])
    scale = rows[-1]["discrepancy"] / bound[-1]
    lines = [Line(values, scale * bound, f"bound × {scale:.1e}", PUBLISHED, "--")]
    for key, name in QUANTITIES.items():
        bars = [2 * row[f"{key}_standard_error"] for row in rows]
        lines.append(Line(values, [row[key] for row in rows], name, marker="o", errors=bars))
    title = f"orthogonal dictionary network, {title}, {rows[0]['seeds']} seeds"
    panel = Panel(
        title, label, "gap, discrepancy", lines, xscale="log", yscale="log", xticks=values
    )
    return draw(path, [panel], size=(6.0, 4.2))
