"""Measurement models that are not linear: operator, measurements and noise of one draw."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import numerics, pytree, static
from jaxinv.operators import LinearOperator, Operator, identity, outer
from jaxinv.operators._dense import Dense
from jaxinv.operators._nonlinear import Magnitude, Sign, SingleIndex
from jaxinv.problems._generative import Draw, Linear, Model, Rows
from jaxinv.problems._problem import gaussian_noise, gaussian_operator, masked


@pytree
class Magnitudes(Linear):
    """|A x|, entries of A N(0, 1/m)."""

    def wrapped(self, linear: LinearOperator) -> Operator:
        return Magnitude(linear)


@pytree
class Signs(Model):
    """sign(A x + ξ + τ), entries of A N(0, 1), dithers τ uniform in [−λ, λ]; the noise is ξ."""

    dither: Any

    def draw(self, keys: tuple[Array, Array], x: Array, rows: Rows, levels: Any) -> Draw:
        linear = gaussian_operator(keys[0], x, rows, unit=True)
        dither_key, noise_key = jax.random.split(keys[1])
        reach = jnp.asarray(self.dither).astype(x.dtype)
        drawn = jax.random.uniform(dither_key, linear.out_shape, x.dtype, -1, 1)
        dither = masked(reach * drawn, rows.mask)
        operator = Sign(linear, dither)
        inner = gaussian_noise(noise_key, linear.out_shape, x.dtype, levels, rows.mask)
        y = jnp.sign(linear(x) + inner + dither)
        return operator, y, y - operator(x)


@pytree
class Link(Model):
    """f(A x) + η, entries of A N(0, 1); where f is not known the operator is A alone."""

    link: Any
    is_known: bool = static()

    def draw(self, keys: tuple[Array, Array], x: Array, rows: Rows, levels: Any) -> Draw:
        linear = gaussian_operator(keys[0], x, rows, unit=True)
        operator = SingleIndex(linear, self.link)
        noise = gaussian_noise(keys[1], linear.out_shape, x.dtype, levels, rows.mask)
        y = operator(x) + noise
        if self.is_known:
            return operator, y, noise
        y = masked(y, rows.mask)
        return linear, y, y - linear(x)


@pytree
class Wigner(Model):
    """x xᵀ + ν H, H symmetric with H_ij ~ N(0, 1/n) and H_ii ~ N(0, 2/n); of rows their sum."""

    def draw(self, keys: tuple[Array, Array], x: Array, rows: Rows, levels: Any) -> Draw:
        *_, n = x.shape
        drawn = jax.random.normal(keys[1], (n, n), x.dtype)
        level = jnp.asarray(levels[1]).astype(x.dtype) / math.sqrt(2 * n)
        noise = level * (drawn + drawn.T)
        operator = outer(n, rank=x.size // n)
        return operator, operator(x) + noise, noise


@pytree
class Wishart(Model):
    """Sample covariance of N rows u_i x + σ z_i, less σ² I, by products: no n x n array.

    Of signals that are rows, u_i x is a sum of theirs with independent factors.
    """

    def draw(self, keys: tuple[Array, Array], x: Array, rows: Rows, levels: Any) -> Draw:
        *_, n = x.shape
        rank = x.size // n
        std = jnp.asarray(levels[1]).astype(x.dtype)
        share = jax.random.normal(keys[0], (rows.size, rank), x.dtype)  # pyright: ignore
        signals = share * x if rank == 1 else numerics.matmul(share, x)
        samples = signals + std * jax.random.normal(keys[1], (rows.size, n), x.dtype)  # pyright: ignore
        mask = None if rows.mask is None else rows.mask[:, None]
        root = jnp.sqrt(jnp.asarray(rows.in_use, x.dtype))
        samples = Dense(masked(samples, mask) / root)
        return outer(n, rank=rank), samples.H @ samples - jnp.square(std) * identity(n), None
