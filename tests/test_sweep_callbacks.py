"""Trials that call Python back: what tells their programs apart, and what their errors lose."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.experiments import StoreError, sweep

KEY = jax.random.key(0)


def called_back(factor):
    def trial(key, *, a):
        x = jax.random.normal(key)
        result = jax.ShapeDtypeStruct((), jnp.float32)
        return {"x": jax.pure_callback(lambda x: np.float32(factor * x), result, x)}

    return trial


def test_another_callback_is_another_program(tmp_path):
    store = tmp_path / "sweep.sqlite"
    options = {"key": KEY, "num_trials": 2, "store": store}
    first = sweep(called_back(1.0), {"a": [1]}, **options)
    again = sweep(called_back(1.0), {"a": [1]}, **options)
    np.testing.assert_array_equal(first["x"], again["x"])
    with pytest.raises(StoreError, match="another program for the cell"):
        sweep(called_back(2.0), {"a": [1]}, **options)


def test_what_a_callback_raises_names_the_cell_and_keeps_the_block_before(tmp_path):
    def fails_once(x):
        if x > 1:
            raise ArithmeticError("too large")
        return np.float32(x)

    def trial(key, *, a):
        result = jax.ShapeDtypeStruct((), jnp.float32)
        return {"x": jax.pure_callback(fails_once, result, jax.random.normal(key))}

    options = {"key": KEY, "num_trials": 30, "store": tmp_path / "sweep.sqlite"}
    with pytest.raises(Exception, match="too large") as caught:
        sweep(trial, {"a": [1]}, micro_batch=1, **options)
    note = next(note for note in caught.value.__notes__ if "in the cell" in note)
    failed = int(note.split()[-1])
    assert failed > 0
    kept = ji.experiments.open(options["store"])["x"]
    assert int(np.isfinite(kept).sum()) == failed
