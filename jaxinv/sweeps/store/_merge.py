"""Merging stores: the blocks of several stores of one sweep in one file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxinv._core import checks
from jaxinv.sweeps.store._budget import MOST_BYTES
from jaxinv.sweeps.store._location import clean, file_path
from jaxinv.sweeps.store._open import warn
from jaxinv.sweeps.store._rows import Row
from jaxinv.sweeps.store._store import Store, StoreError
from jaxinv.sweeps.store._survey import Survey, survey
from jaxinv.sweeps.store._verify import Verification, verify


class _Source(NamedTuple):
    path: Path
    manifest: dict[str, Any]
    claims: dict[str, Any]
    programs: dict[str, str]
    found: Survey


def merge(
    stores: Sequence[str | os.PathLike[str]],
    into: str | os.PathLike[str],
    *,
    max_bytes: int = MOST_BYTES,
) -> Verification:
    """Put the blocks of several stores of one sweep into one store: all of them or none.

    For parts of a grid, or ranges of cells, that ran on different machines with the same trial,
    key and block size.

    Args:
        stores: paths of at least one store; they are only read.
        into: path of a new store, or of an existing one of the same sweep, which gains blocks.
        max_bytes: most memory that one of them may ask for.

    Returns:
        The verification of ``into``: its ``missing`` is what no store had.

    Raises:
        StoreError: stores of different configurations or programs (with what differs, and in
            which file), a block with different results in two stores, or a file that is no store.

    Warns:
        UserWarning: damaged or foreign blocks, named; they are left out.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp, jaxinv as ji
        >>> folder = tempfile.mkdtemp()
        >>> def trial(key, *, n): return {"mean": jnp.mean(jax.random.normal(key, (n,)))}
        >>> parts = [f"{folder}/{n}.sqlite" for n in (4, 5)]
        >>> for n, part in zip((4, 5), parts):
        ...     _ = ji.sweep(
        ...         trial, {"n": [n]}, key=jax.random.key(0), num_trials=3, store=part)
        >>> report = ji.sweeps.merge(parts, f"{folder}/both.sqlite")
        >>> report.num_blocks, report.ok
        (6, True)
    """
    if isinstance(stores, str | os.PathLike) or not isinstance(stores, Sequence):
        checks.fail_type("merge", "stores", "be a sequence of paths", stores)
    if not stores:
        checks.fail("merge", "stores", "have at least one path", "none")
    target = file_path("merge", "into", into)
    sources = [_read(file_path("merge", "stores", path), max_bytes) for path in stores]
    with Store(target, write=True, max_bytes=max_bytes) as opened:
        have = _source(opened)
        if have.found.needs_repair:
            raise StoreError(
                f"merge: store {target} is damaged. sweeps.verify(store, repair=True) first."
            )
        everything = [have, *sources] if have.claims else sources
        for source in everything[1:]:
            _require_same(everything[0], source)
        rows = _union(everything)
        _write(opened, sources, rows, have.found)
    return verify(target, max_bytes=max_bytes)


def _read(path: Path, max_bytes: int) -> _Source:
    with Store(path, write=False, max_bytes=max_bytes) as opened:
        opened.require_sweep("merge")
        source = _source(opened)
    warn(source.found, path, "merge", stacklevel=4)
    return source


def _source(store: Store) -> _Source:
    found = survey(store)
    return _Source(store.path, store.manifest(), store.claims(), store.programs(), found)


def _require_same(one: _Source, other: _Source) -> None:
    names = sorted({*one.claims, *other.claims})
    wrong = [
        f"{clean(name)} is {clean(one.claims.get(name))} in {one.path} and "
        f"{clean(other.claims.get(name))} in {other.path}"
        for name in names
        if one.claims.get(name) != other.claims.get(name)
    ]
    if wrong:
        raise StoreError(f"merge: the stores hold different configurations: {'; '.join(wrong)}.")
    for cell, program in other.programs.items():
        if one.programs.get(cell, program) != program:
            raise StoreError(
                f"merge: {one.path} and {other.path} hold results of different programs for the "
                f"cell {cell}: the trial's code, settings, constants or traced names differ."
            )


def _union(sources: list[_Source]) -> dict[tuple[str, int], Row]:
    rows: dict[tuple[str, int], Row] = {}
    owner: dict[tuple[str, int], Path] = {}
    programs: dict[str, tuple[str, Path]] = {}
    for source in sources:
        for cell, program in source.programs.items():
            first, path = programs.setdefault(cell, (program, source.path))
            if first != program:
                raise StoreError(
                    f"merge: {path} and {source.path} hold results of different programs for the "
                    f"cell {cell}."
                )
        for row in source.found.rows:
            place = (row.cell, row.block)
            if place in rows and rows[place] != row:
                raise StoreError(
                    f"merge: block {row.block} of {row.cell} has different results in "
                    f"{owner[place]} and {source.path}. They ran on different hardware or "
                    "software; merge only one of them."
                )
            rows[place] = row
            owner.setdefault(place, source.path)
    return rows


def _write(
    into: Store, sources: list[_Source], rows: dict[tuple[str, int], Row], have: Survey
) -> None:
    with into.transaction():
        into.claim(sources[0].claims)
        for source in sources:
            for name, value in source.manifest.items():
                into.remember(name, value)
            for cell, program in source.programs.items():
                into.claim_program(cell, program)
            for cell, num_trials in source.found.cells.items():
                into.ask(cell, num_trials)
        present = {(row.cell, row.block) for row in have.rows}
        into.put_rows(row for place, row in rows.items() if place not in present)
