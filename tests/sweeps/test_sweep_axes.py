"""Axes of a grid, from arrays and columns of every kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from jax.tree_util import Partial

from jaxinv.sweeps import sweep
from jaxinv.sweeps._cells import check_grid

AXES = {
    "array": lambda v: np.array(v),
    "big-endian": lambda v: np.array(v, ">f8"),
    "jax": lambda v: jnp.array(v, jnp.float32),
    "half": lambda v: jnp.array(v, jnp.bfloat16),
    "masked": lambda v: np.ma.array(v),
    "DataArray": lambda v: xr.DataArray(v, dims="x", coords={"x": v}),
    "coordinate": lambda v: xr.DataArray(v, dims="x", coords={"x": v}).x,
    "elements": lambda v: list(xr.DataArray(v, dims="x")),
    "Index": lambda v: pd.Index(v),
    "Series": lambda v: pd.Series(v, index=[7, 3]),
    "nullable": lambda v: pd.array(v, dtype="Float64"),
    "categories": lambda v: pd.Categorical(v),
    "range": lambda v: pd.Series(v).to_numpy(),
}


@pytest.mark.parametrize("kind", AXES)
def test_arrays_and_columns_of_every_kind_are_axes(kind):
    axes, _ = check_grid({"x": AXES[kind]([0.5, 1.0])}, ("x",))
    assert axes == {"x": [0.5, 1.0]}
    assert all(type(value) is float for value in axes["x"])


def test_columns_of_texts_and_integers_are_axes():
    axes, _ = check_grid({"n": pd.array([1, 2], "Int64"), "s": pd.Series(["a", "b"])}, ())
    assert axes == {"n": [1, 2], "s": ["a", "b"]}
    assert type(axes["n"][0]) is int


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, None], dtype="Int64"),
        np.ma.array([1.0, 2.0], mask=[True, False]),
        pd.date_range("2020", periods=2),
        np.array(3.0),
        jnp.float32(3),
        b"ab",
        {1, 2},
    ],
)
def test_what_is_no_axis_is_refused(values):
    with pytest.raises((TypeError, ValueError), match=r"grid\['x'\] must"):
        check_grid({"x": values}, ())


def test_bound_arrays_of_the_other_byte_order():
    def mean(image, key):
        return {"mean": jnp.mean(image)}

    found = sweep(Partial(mean, np.arange(4, dtype=">f4")), {}, key=jax.random.key(0), num_trials=1)
    assert float(found["mean"][0]) == 1.5
