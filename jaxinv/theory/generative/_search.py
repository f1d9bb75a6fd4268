"""Largest value of a function of latents: random points, then ascent from the best of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import checks, numerics
from jaxinv.generators import Generator
from jaxinv.operators import LinearOperator, Operator, dense

SAMPLING = ("search", "sampled")
_NUM_STARTS, _NUM_STEPS = 32, 200
_SIZES = tuple(10.0 ** (-j / 2) for j in range(9))  # of a step, relative to the point
_BATCH = 128


def latent_of(where: str, generator: Any) -> tuple[tuple[int, ...], Any]:
    """Return shape and dtype of the latents of a generator."""
    if not isinstance(generator, Generator) or generator.in_shape is None:
        hint = "Make one with generators.relu, or generators.from_function with in_shape."
        checks.fail_type(where, "generator", "be a generator of known in_shape", generator, hint)
    leaves = jax.tree.leaves(generator)
    dtypes = [leaf.dtype for leaf in leaves if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)]
    dtype = numerics.real_dtype(jnp.result_type(*dtypes)) if dtypes else jnp.result_type(float)
    return tuple(generator.in_shape), dtype


def measuring(
    where: str, operator: Any, generator: Any, argument: str = "operator"
) -> LinearOperator:
    """Return a linear operator that takes the signals of a generator."""
    if isinstance(operator, Generator | Operator) and not isinstance(operator, LinearOperator):
        hint = "The order is (operator, generator)." * isinstance(operator, Generator)
        checks.fail_type(where, argument, "be a matrix or a linear operator", operator, hint)
    if not isinstance(operator, LinearOperator):
        given = checks.array(where, argument, operator, ndim=2)
        if not given.size:
            checks.fail(where, argument, "have at least one row and one column", given)
        checks.finite(where, argument, given)
        operator = dense(given)
    checks.finite(where, argument, operator)
    shape, dtype = latent_of(where, generator)
    checks.finite(where, "generator", generator)
    signal = jax.eval_shape(generator, jax.ShapeDtypeStruct(shape, dtype)).shape
    if tuple(operator.in_shape) != tuple(signal):
        expected = f"take the signals of the generator, of shape {tuple(signal)}"
        checks.fail(where, argument, expected, f"in_shape {tuple(operator.in_shape)}")
    return operator


def require_distinct(where: str, value: Array) -> None:
    """Refuse a generator of which no two signals drawn differ, where that can be looked at."""
    if checks.is_concrete(value) and bool(value == -jnp.inf):
        checks.fail(where, "generator", "have signals that differ", "one signal for all latents")


def sampling(where: str, key: Any, num_samples: Any) -> tuple[Array, int]:
    """Return the key and the number of points to draw."""
    key = jax.random.key(0) if key is None else checks.key(where, key)
    return key, checks.count(where, "num_samples", num_samples, maximum=10**7)


@functools.partial(jax.jit, static_argnums=(0, 3, 4, 5, 6))
def largest(
    objective: Callable[[Any, Array], Array],
    parts: Any,
    key: Array,
    shape: tuple[int, ...],
    dtype: Any,
    num_samples: int,
    method: str,
) -> tuple[Array, Array]:
    """Return the largest ``objective(parts, point)`` found, and its point.

    ``"search"`` moves the best points along the gradient and at random, by steps of many sizes,
    and keeps what is better: the masks of ReLU units have no gradient.
    """
    sample_key, search_key = jax.random.split(key)
    value_of = functools.partial(objective, parts)
    points = _points(sample_key, num_samples, shape, dtype)
    values = lax.map(value_of, points, batch_size=min(_BATCH, num_samples))
    if method == "search":
        values, chosen = lax.top_k(values, min(_NUM_STARTS, num_samples))
        keys = jax.random.split(search_key, len(chosen))
        climb = functools.partial(_climb, value_of)
        values, points = jax.vmap(climb)(values, points[chosen], keys)
    best = jnp.argmax(values)
    return values[best], points[best]


def _points(key: Array, count: int, shape: tuple[int, ...], dtype: Any) -> Array:
    """Return Gaussian latents; in every other point they lie close together."""
    key, near_key = jax.random.split(key)
    points = jax.random.normal(key, (count, *shape), dtype)
    powers = jax.random.uniform(near_key, (count, *[1] * len(shape)), dtype, -3, 0)
    near = points[:, :1] + 10**powers * (points - points[:, :1])
    every_other = (jnp.arange(count) % 2 == 1).reshape(powers.shape)
    return jnp.where(every_other, near, points)


def _climb(value_of: Any, value: Array, point: Array, key: Array) -> tuple[Array, Array]:
    sizes = jnp.asarray(_SIZES, point.dtype).reshape(-1, *[1] * point.ndim)

    def step(carry: tuple[Array, Array], step_key: Array) -> tuple[tuple[Array, Array], None]:
        value, point = carry
        slope = jnp.nan_to_num(jax.grad(value_of)(point), posinf=0, neginf=0)
        random = jax.random.normal(step_key, point.shape, point.dtype)
        # one part alone moves as often as all do
        part = jax.random.randint(step_key, (), 0, 2 * point.shape[0])
        rows = jnp.arange(point.shape[0]).reshape(-1, *[1] * (point.ndim - 1))
        random = jnp.where((part >= point.shape[0]) | (rows == part), random, 0)
        length = numerics.safe_norm(point)
        moves = jnp.concatenate([sizes * length * _unit(slope), sizes * length * _unit(random)])
        candidates = point + moves
        values = jax.vmap(value_of)(candidates)
        best = jnp.argmax(values)
        better = values[best] > value
        following = (
            jnp.where(better, values[best], value),
            jnp.where(better, candidates[best], point),
        )
        return following, None

    (value, point), _ = lax.scan(step, (value, point), jax.random.split(key, _NUM_STEPS))
    return value, point


def _unit(vector: Array) -> Array:
    return numerics.safe_divide(vector, numerics.safe_norm(vector))


def secant(generator: Any, pair: Array) -> tuple[Array, Array]:
    """Return G(z₁) − G(z₂) and whether it stands out of the rounding of the two."""
    first, second = generator(pair[0]), generator(pair[1])
    difference = first - second
    size = numerics.safe_norm(first) + numerics.safe_norm(second)
    level = jnp.sqrt(jnp.finfo(difference.dtype).eps)
    return difference, numerics.safe_norm(difference) > level * size
