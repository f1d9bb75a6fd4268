"""Verifying a store: every block that is asked for is there, sound, and this store's own."""

from __future__ import annotations

import os
from typing import NamedTuple

from jaxinv._core import checks
from jaxinv.sweeps.store._budget import MOST_BYTES
from jaxinv.sweeps.store._location import file_path
from jaxinv.sweeps.store._store import Store, StoreError
from jaxinv.sweeps.store._survey import Place, named, survey


class Verification(NamedTuple):
    """What ``verify`` found.

    Attributes:
        path: the store.
        num_blocks: rows of blocks in it.
        num_trials: the most trials that were asked for of a cell.
        missing: ``(cell, block)`` of blocks that are asked for and absent.
        damaged: of blocks whose bytes are not those that were written.
        foreign: of sound blocks of another sweep or program, of a cell that nobody asked for, or
            of another size.
        lost: one line for each thing that is wrong with the store's own records or its file.
        repaired: whether the store has been settled.
    """

    path: str
    num_blocks: int
    num_trials: int
    missing: tuple[Place, ...]
    damaged: tuple[Place, ...]
    foreign: tuple[Place, ...]
    lost: tuple[str, ...]
    repaired: bool

    @property
    def ok(self) -> bool:
        """Whether everything asked for is there, and nothing is wrong."""
        return not (self.missing or self.damaged or self.foreign or self.lost)

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.num_blocks} blocks, {'all well' if self.ok else 'not well'}"]
        for kind in ("missing", "damaged", "foreign"):
            places = getattr(self, kind)
            if places:
                lines.append(f"{kind} ({len(places)}): {named(places)}")
        lines += [f"lost: {text}" for text in self.lost]
        if self.repaired:
            lines.append("settled: run the same sweep again to compute what is absent")
        return "\n".join(lines)


def verify(
    store: str | os.PathLike[str], repair: bool = False, *, max_bytes: int = MOST_BYTES
) -> Verification:
    """Check every row of a store, and drop what is not sound.

    Args:
        store: path of a file that ``sweep`` wrote. Another process may be writing it, unless
            it is to be repaired.
        repair: keep the sound blocks and records only, in one transaction. The same ``sweep``
            then computes what is absent, and nothing else.
        max_bytes: most memory that the store may ask for.

    Returns:
        What was found, before any repair; ``str`` of it has one line for each kind of fault.

    Raises:
        StoreError: the file is no store, its manifest or too much of its structure is damaged
            or cut off (restore a copy then), it asks for more memory, or it is to be repaired
            while another process writes it.

    Cost: reads the whole file twice, once for SQLite's ``quick_check``.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp, jaxinv as ji
        >>> store = tempfile.mkdtemp() + "/sweep.sqlite"
        >>> def trial(key, *, n): return {"mean": jnp.mean(jax.random.normal(key, (n,)))}
        >>> _ = ji.sweep(
        ...     trial, {"n": [4]}, key=jax.random.key(0), num_trials=3, store=store)
        >>> ji.sweeps.verify(store).ok
        True
    """
    repair = checks.boolean("verify", "repair", repair)
    path = file_path("verify", "store", store)
    if repair and not path.exists():
        raise StoreError(f"verify: store {path} does not exist.")
    with Store(path, write=repair, max_bytes=max_bytes) as opened:
        opened.require_sweep("verify")
        found = survey(opened, salvage=True)
        broken = opened.quick_check()
        repaired = repair and bool(found.needs_repair or broken)
        if repaired:
            opened.rebuild(found.rows, found.cells)
        return Verification(
            path=str(opened.path),
            num_blocks=found.num_rows,
            num_trials=max(found.cells.values(), default=0),
            missing=tuple(found.missing),
            damaged=tuple(found.damaged),
            foreign=tuple(found.foreign),
            lost=(*found.faults, *(f"quick_check: {text}" for text in broken)),
            repaired=repaired,
        )
