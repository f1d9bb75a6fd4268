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
from jaxinv.sweeps.store._budget import MOST_BYTES
from jaxinv.sweeps.store._location import clean, file_path
from jaxinv.sweeps.store._open import open_store
from jaxinv.sweeps.store._store import Store, StoreError

if TYPE_CHECKING:
    import xarray as xr

_WHERE = "export"
_COPIES_OF_A_TABLE = 8  # a row of numbers repeats the values of its cell


class _Format(NamedTuple):
    packages: tuple[str, ...]
    write: Callable[[xr.Dataset, Path], Any]


def export(
    store: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    max_bytes: int = MOST_BYTES,
) -> Path:
    """Write the results in a store to a file that other tools read.

    Args:
        store: path of a file that ``sweep`` wrote.
        path: what to write, by its suffix: ``.nc`` (netCDF 4), ``.zarr`` (a folder, format 2) or
            ``.csv`` (one row a trial; the texts of numbers are exact).
        overwrite: replace what is there: a file, or a folder that is a zarr.
        max_bytes: most memory that the store may ask for.

    Returns:
        The path. The store's claims (key, block size, versions) are attributes of netCDF and
        zarr files, JSON where they are lists; a CSV has no place for them.

    Raises:
        ValueError: another suffix, a path that exists or is the store's own, or results that the
            format cannot hold.
        ImportError: a package is missing.
        StoreError: the store cannot be read.

    Warns:
        UserWarning: damaged blocks, as ``open`` does.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp, jaxinv as ji
        >>> folder = tempfile.mkdtemp()
        >>> def trial(key, *, n): return {"mean": jnp.mean(jax.random.normal(key, (n,)))}
        >>> _ = ji.sweep(trial, {"n": [4]}, key=jax.random.key(0), num_trials=3,
        ...                          store=f"{folder}/sweep.sqlite")
        >>> table = ji.sweeps.export(f"{folder}/sweep.sqlite", f"{folder}/table.csv")
        >>> table.read_text().splitlines()[0]
        'n,trial,mean'
    """
    source, target = file_path(_WHERE, "store", store), file_path(_WHERE, "path", path)
    overwrite = checks.boolean(_WHERE, "overwrite", overwrite)
    checks.choice(_WHERE, "path's suffix", target.suffix, _FORMATS)
    chosen = _FORMATS[target.suffix]
    if target.exists():
        _check_target(source, target, overwrite)
    for package in chosen.packages:
        if importlib.util.find_spec(package) is None:
            raise ImportError(
                f"export: a {target.suffix} file needs the package {package}. Install "
                '"jaxinv[export]".'
            )
    checks.writable_folder(_WHERE, "path", target.parent)
    dataset = open_store(source, max_bytes=max_bytes).transpose(..., "trial")
    _check_content(source, dataset, chosen, max_bytes)
    with Store(source, write=False, max_bytes=max_bytes) as opened:
        claims = {name: _attribute(value) for name, value in opened.claims().items()}
    try:
        _write_beside(chosen.write, _plain(dataset.assign_attrs(claims)), target)
    except (ValueError, TypeError, LookupError, NotImplementedError) as error:
        got = clean(error)
        checks.fail(_WHERE, "the results", f"be such as a {target.suffix} file can hold", got)
    return target


def _check_target(source: Path, target: Path, overwrite: bool) -> None:
    """Refuse to write over the store itself, and over what is not asked for."""
    own = [source, *(source.with_name(source.name + end) for end in ("-wal", "-shm", ".lock"))]
    if any(path.exists() and target.samefile(path) for path in own):
        checks.fail(_WHERE, "path", "be another file than the store", f"{target}")
    if not overwrite:
        checks.fail(_WHERE, "path", "be new", f"{target}", "overwrite=True replaces it.")
    is_zarr = target.suffix == ".zarr" and any(
        (target / name).exists() for name in (".zgroup", "zarr.json")
    )
    if target.is_dir() and not is_zarr:
        checks.fail(_WHERE, "path", "be no folder of other things", f"{target}")


def _check_content(source: Path, dataset: xr.Dataset, chosen: _Format, max_bytes: int) -> None:
    """Refuse names that formats take for folders, and a table that takes too much memory."""
    for name in map(str, dataset.data_vars):
        if name.startswith(".") or not name.isprintable() or set(name) & set("/\\"):
            raise StoreError(f"store {source} has a metric {clean(name)!r}: no name to export.")
    num_bytes = dataset.nbytes * (_COPIES_OF_A_TABLE if chosen.write is _csv else 1)
    if num_bytes > max_bytes:
        raise StoreError(
            f"store {source}: writing it takes more than {max_bytes} bytes of memory. If you trust "
            "it, give a larger max_bytes."
        )


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
