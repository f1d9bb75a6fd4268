"""Exports of a store: what is read back equals what the store holds."""

import csv

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from store_toys import run

import jaxinv as ji
from jaxinv.sweeps import StoreError, export


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    run(folder / "store")
    return folder


@pytest.mark.parametrize(("suffix", "package"), [("nc", "h5netcdf"), ("zarr", "zarr")])
def test_exported_arrays_are_equal(exported, suffix, package):
    pytest.importorskip(package)
    path = export(exported / "store", exported / f"table.{suffix}")
    engine = {"nc": "h5netcdf", "zarr": "zarr"}[suffix]
    expected = ji.sweeps.open_store(exported / "store")
    with xr.open_dataset(path, engine=engine) as found:
        assert found.equals(expected)
        for name in ("mean", "worst", "above", "count"):
            assert found[name].dtype == expected[name].dtype
        assert found.attrs["block_size"] == 2
        assert found.attrs["jax"] == jax.__version__
        assert found.attrs["key"] == "[0, 5]"
    with pytest.raises(ValueError, match="path must be new"):
        export(exported / "store", path)
    export(exported / "store", path, overwrite=True)
    assert not list(exported.glob(".table*"))


def test_an_exported_table_is_equal(exported):
    path = export(exported / "store", exported / "table.csv")
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["n", "kind", "trial", "above", "count", "mean", "worst"]
    expected = ji.sweeps.open_store(exported / "store")
    assert len(rows) == expected["mean"].size
    assert expected["worst"].isnull().any()
    for row in rows:
        place = {"n": int(row["n"]), "kind": row["kind"], "trial": int(row["trial"])}
        for name in ("mean", "worst", "count"):
            value = float(expected[name].sel(place))
            assert row[name] == "" if np.isnan(value) else float(row[name]) == value
        assert row["above"] == str(bool(expected["above"].sel(place)))
    found = pd.read_csv(path)
    assert found["above"].dtype == bool
    assert found["count"].dtype == np.int64


def test_what_cannot_be_exported(exported, monkeypatch):
    with pytest.raises(ValueError, match=r"suffix must be one of .nc, .zarr, .csv"):
        export(exported / "store", exported / "table.xls")
    with pytest.raises(StoreError, match="does not exist"):
        export(exported / "missing", exported / "other.csv")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'needs the package xarray. Install "jaxinv\[export\]"'):
        export(exported / "store", exported / "other.csv")
    assert not (exported / "other.csv").exists()
