"""Exporting a store to the formats of other tools."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxinv._core import checks
from jaxinv.experiments._store import Store
from jaxinv.experiments.stores import open_store

if TYPE_CHECKING:
    import xarray as xr

_WHERE = "export"


class _Format(NamedTuple):
    packages: tuple[str, ...]
    write: Callable[[xr.Dataset, Path], Any]


def export(
    store: str | os.PathLike[str], path: str | os.PathLike[str], *, overwrite: bool = False
) -> Path:
    """Write the results in a store to a file that other tools read.

    Args:
        store: path of a file that ``sweep`` wrote.
        path: what to write, by its suffix: ``.nc`` (netCDF 4), ``.zarr`` (a folder, format 2) or
            ``.csv`` (one row a trial; the texts of numbers are exact).
        overwrite: replace what is there.

    Returns:
        The path. The store's claims (key, micro-batch, versions) are attributes of netCDF and
        zarr files, JSON where they are lists; a CSV has no place for them.

    Raises:
        ValueError: another suffix, or a path that exists.
        ImportError: a package is missing.
        StoreError: the store cannot be read.

    Warns:
        UserWarning: damaged blocks, as ``open`` does.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp, jaxinv as ji
        >>> folder = tempfile.mkdtemp()
        >>> def trial(key, *, n): return {"mean": jnp.mean(jax.random.normal(key, (n,)))}
        >>> _ = ji.experiments.sweep(trial, {"n": [4]}, key=jax.random.key(0), num_trials=3,
        ...                          store=f"{folder}/sweep.sqlite")
        >>> table = ji.experiments.export(f"{folder}/sweep.sqlite", f"{folder}/table.csv")
        >>> table.read_text().splitlines()[0]
        'n,trial,mean'
    """
    target = Path(path)
    overwrite = checks.boolean(_WHERE, "overwrite", overwrite)
    checks.choice(_WHERE, "path's suffix", target.suffix, _FORMATS)
    chosen = _FORMATS[target.suffix]
    if target.exists() and not overwrite:
        checks.fail(_WHERE, "path", "be new", f"{target}", "overwrite=True replaces it.")
    for package in chosen.packages:
        if importlib.util.find_spec(package) is None:
            raise ImportError(
                f"export: a {target.suffix} file needs the package {package}. Install "
                '"jaxinv[export]".'
            )
    checks.writable_folder(_WHERE, "path", target.parent)
    dataset = open_store(store).transpose(..., "trial")
    with Store(store, write=False) as opened:
        claims = {name: _attribute(value) for name, value in opened.claims().items()}
    _write_beside(chosen.write, _plain(dataset.assign_attrs(claims)), target)
    return target


def _attribute(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else json.dumps(value)


def _plain(dataset: xr.Dataset) -> xr.Dataset:
    """Return the dataset with text for coordinates whose values are of several types."""
    for name, values in dataset.coords.items():
        if values.dtype.kind == "O":
            texts = np.array([str(value) for value in values.to_numpy()])
            dataset = dataset.assign_coords({name: texts})
    return dataset


def _write_beside(write: Callable[[xr.Dataset, Path], Any], dataset: xr.Dataset, to: Path) -> None:
    """Write next to the target and rename: nobody sees half a file."""
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as folder:
        new, old = Path(folder) / to.name, Path(folder) / "old"
        write(dataset, new)
        if to.is_dir():
            os.replace(to, old)
        os.replace(new, to)
        if old.exists():
            shutil.rmtree(old)


def _netcdf(dataset: xr.Dataset, path: Path) -> None:
    dataset.to_netcdf(path, engine="h5netcdf")


def _zarr(dataset: xr.Dataset, path: Path) -> None:
    dataset.to_zarr(path, mode="w", zarr_format=2, consolidated=True)


def _csv(dataset: xr.Dataset, path: Path) -> None:
    """Write one row a trial; float32 as the double of the same value, so that texts are exact."""
    frame = dataset.to_dataframe().reset_index()
    for name in frame.columns:
        if frame[name].dtype.kind == "f":
            frame[name] = frame[name].astype(np.float64)
    frame.to_csv(path, index=False)


_FORMATS = {
    ".nc": _Format(("xarray", "h5netcdf"), _netcdf),
    ".zarr": _Format(("xarray", "zarr"), _zarr),
    ".csv": _Format(("xarray", "pandas"), _csv),
}
