"""A small network, a signal and a linear prior, on which fits are tested."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import jaxinv as ji

DTYPE = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32
KEY = jax.random.key(0)
SHAPE = (64,)


@functools.cache
def decoder():
    with jax.ensure_compile_time_eval():  # kept: no part of a trace that asks first
        return ji.generators.two_layer_decoder(64, 8, dtype=DTYPE)


@functools.cache
def signal():
    x = np.hanning(64) + 0.2 * (np.arange(64) > 32)
    noise = 0.05 * np.random.default_rng(0).normal(size=SHAPE)
    with jax.ensure_compile_time_eval():
        return jnp.asarray(x, DTYPE), jnp.asarray(x + noise, DTYPE)


def denoising():
    return ji.Problem(ji.operators.identity(SHAPE), signal()[1])


def scaled(params, z):
    return params * z


def line(size=12):
    """A prior that is linear in its parameters: x = params."""
    start = jnp.zeros(size, DTYPE)
    return ji.generators.from_function(scaled, start).untrained(jnp.ones(size, DTYPE))
