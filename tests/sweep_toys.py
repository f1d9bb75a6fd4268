"""A small sweep whose last bits depend on the order of additions."""

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.tree_util import Partial

from jaxinv.sweeps import sweep

KEY = jax.random.key(7)
GRID = {"n": [6, 3], "scale": [2.0, 1.0, 0.5]}
ONE = {"n": [3], "scale": [1.0]}
TRACED = ("scale",)
traces = []


def trial(matrix, key, *, n, scale=1.0):
    """Return sums whose last bits depend on the order of additions."""
    traces.append(n)
    x = jax.random.normal(key, (n, 40), matrix.dtype) @ matrix
    scale = jnp.asarray(scale, matrix.dtype)
    return {"size": scale * jnp.linalg.norm(x), "sum": jnp.sum(jnp.sin(x)), "steps": jnp.int32(n)}


TRIAL = Partial(trial, jnp.linspace(-1.0, 1.0, 1600, dtype=jnp.float32).reshape(40, 40))


def run(grid=GRID, num_trials=10, **options):
    options = {"key": KEY, "traced": TRACED, "block_size": 4, **options}
    return sweep(TRIAL, grid, num_trials=num_trials, **options)


def assert_same_bits(left, right):
    for name in left.data_vars:
        a, b = xr.align(left[name], right[name], join="inner")
        assert a.size
        np.testing.assert_array_equal(a.values, b.values, strict=True)
