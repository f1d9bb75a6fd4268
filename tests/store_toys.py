"""Small stores, made by a sweep or without one, and ways to change and read them."""

import sqlite3

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.sweeps import sweep
from jaxinv.sweeps.store._store import Store

KEY = jax.random.key(5)
CLAIMS = {"block_size": 2, "names": ["n"], "key": [0, 1]}


def trial(key, *, n, kind):
    draws = jax.random.normal(key, (n,), jnp.float32)
    worst = jnp.where(draws[0] > 0.5, jnp.nan, draws[0])
    return {"mean": jnp.mean(draws), "worst": worst, "above": draws[0] > 0, "count": jnp.int32(n)}


def run(store, ns=(3, 4), key=KEY, num_trials=7, kinds=("a", "b")):
    grid = {"n": list(ns), "kind": list(kinds)}
    return sweep(trial, grid, key=key, num_trials=num_trials, block_size=2, store=store)


def fill(path, num_blocks=5, cell='{"n":1}', program="program", claims=CLAIMS, shift=0.0):
    """Make a store without running anything."""
    with Store(path, write=True) as store:
        store.claim(claims)
        store.claim_program(cell, program)
        store.ask(cell, 2 * num_blocks)
        for block in range(num_blocks):
            store.put(cell, block, {"value": np.array([block, shift])})
    return path


def change(path, sql, *values):
    with sqlite3.connect(path) as db:
        db.execute(sql, values)
    db.close()


def values_of(path):
    with Store(path, write=False) as store:
        return {(c, b): None if r is None else r["value"].tolist() for c, b, r in store.blocks()}
