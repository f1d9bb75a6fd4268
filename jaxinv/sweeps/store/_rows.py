"""Rows of a store: how results become bytes, and what each row's checksum covers."""

from __future__ import annotations

import functools
import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jaxinv.sweeps._cells import Results

FORMAT = "jaxinv sweep 3"
SCHEMA = {
    "manifest": "CREATE TABLE manifest (name TEXT PRIMARY KEY, value TEXT NOT NULL, "
    "claimed INTEGER NOT NULL, checksum BLOB NOT NULL) WITHOUT ROWID",
    "programs": "CREATE TABLE programs (cell TEXT PRIMARY KEY, identity TEXT NOT NULL, "
    "checksum BLOB NOT NULL) WITHOUT ROWID",
    "cells": "CREATE TABLE cells (cell TEXT PRIMARY KEY, num_trials INTEGER NOT NULL, "
    "position INTEGER NOT NULL, checksum BLOB NOT NULL) WITHOUT ROWID",
    "blocks": "CREATE TABLE blocks (cell TEXT NOT NULL, block INTEGER NOT NULL, "
    "payload BLOB NOT NULL, checksum BLOB NOT NULL, seal BLOB NOT NULL, "
    "PRIMARY KEY (cell, block)) WITHOUT ROWID",
    "ledger": "CREATE TABLE ledger (id INTEGER PRIMARY KEY, generation INTEGER NOT NULL, "
    "manifest INTEGER NOT NULL, programs INTEGER NOT NULL, cells INTEGER NOT NULL, "
    "blocks INTEGER NOT NULL, checksum BLOB NOT NULL)",
}


class StoreError(ValueError):
    """A store that cannot be used: foreign, damaged, full, or being written by another process.

    ``verify`` says what is damaged, and ``open_store`` reads what is not.
    """


class Ledger(NamedTuple):
    """How many transactions a store has seen, and how many rows its tables have."""

    generation: int
    manifest: int
    programs: int
    cells: int
    blocks: int

    def plus(self, **added: int) -> Ledger:
        """Return a ledger with more."""
        old = self._asdict()
        return Ledger(**{name: number + added.get(name, 0) for name, number in old.items()})

    def row(self) -> tuple[object, ...]:
        """Return the ledger as a row."""
        return (1, *self, digest("ledger", *self))


class Row(NamedTuple):
    """A row of blocks as it lies in the file.

    ``checksum`` covers the place and the payload; ``seal`` binds these to the store's identity
    and to the program that made them. A row that fails the first is damaged, one that fails
    only the second comes from elsewhere.
    """

    cell: str
    block: int
    payload: bytes
    checksum: bytes
    seal: bytes


def digest(*parts: Any) -> bytes:
    """Return a 128-bit hash of texts, numbers and bytes, each with its length before it."""
    return _hash(*parts).digest()


def _hash(*parts: Any) -> Any:
    pieces = []
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "replace")
        pieces += (_length(len(data)), data)
    return hashlib.blake2b(b"".join(pieces), digest_size=16)


def identity_of(claims: Mapping[str, str]) -> bytes:
    """Return the identity of a store: a hash of its format and of what it claims (JSON texts)."""
    return digest("identity", FORMAT, *(part for pair in sorted(claims.items()) for part in pair))


class Maker:
    """Makes the rows of the blocks of one cell; what is the same in all of them is hashed once."""

    def __init__(self, identity: bytes, program: str, cell: str) -> None:
        self._cell = cell
        self._block, self._seal = _hash("block", cell), _hash("seal", identity, program)

    def row(self, block: int, results: Results) -> Row:
        """Return the row of one block."""
        payload, number = encode(results), b"%d" % block
        whole, seal = self._block.copy(), self._seal.copy()
        whole.update(
            b"".join((_length(len(number)), number, _length(len(payload)), payload)),
        )
        checksum = whole.digest()
        seal.update(_length(len(checksum)) + checksum)
        return Row(self._cell, block, payload, checksum, seal.digest())


_length = struct.Struct("<Q").pack


def encode(results: Results) -> bytes:
    """Return a JSON header line with names and types, then the arrays' bytes in that order."""
    arrays = sorted(results.items())
    parts = [_line(tuple([(name, array.dtype, len(array)) for name, array in arrays]))]
    for _, array in arrays:
        plain = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("<"))
        parts.append(plain.tobytes())
    return b"".join(parts)


@functools.lru_cache(maxsize=64)
def _line(layout: tuple[tuple[str, np.dtype, int], ...]) -> bytes:
    header = [[name, _type_name(dtype), length] for name, dtype, length in layout]
    return json.dumps(header).encode() + b"\n"


def _type_name(dtype: np.dtype) -> str:
    return dtype.name if dtype.kind == "V" else dtype.newbyteorder("<").str


def _types() -> dict[str, np.dtype]:
    """Return every type that results can have, by its name in a header."""
    kinds = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}
    plain = [np.dtype(f"<{kind}{size}") for kind, sizes in kinds.items() for size in sizes]
    names = (name for name in dir(ml_dtypes) if name.startswith(("bfloat", "float", "int", "uint")))
    small = [np.dtype(getattr(ml_dtypes, name)) for name in names]
    return {_type_name(dtype): dtype for dtype in [*plain, *small]}


_TYPES = _types()
Layout = tuple[tuple[str, np.dtype, int], ...]


@functools.lru_cache(maxsize=64)
def _layout(line: bytes) -> Layout:
    """Return names, types and lengths; ValueError for a header that this module did not write."""
    try:
        found = tuple((name, _TYPES[kind], length) for name, kind, length in json.loads(line))
        as_written = _line(found) == line + b"\n"
    except (ValueError, TypeError, LookupError, RecursionError, AttributeError, OverflowError):
        as_written, found = False, ()
    if not as_written or not found or any(length < 0 for _, _, length in found):
        raise ValueError("a header of no block")
    return found


def layout_of(payload: bytes) -> Layout:
    """Return the names, types and lengths of a payload; ValueError where it is none."""
    line, _, body = payload.partition(b"\n")
    layout = _layout(line)
    if sum(length * dtype.itemsize for _, dtype, length in layout) != len(body):
        raise ValueError("a payload of another size")
    return layout


def decode(payload: bytes) -> Results:
    """Return the arrays of a payload; ValueError where it is none."""
    start = payload.find(b"\n") + 1
    results: Results = {}
    for name, dtype, length in layout_of(payload):
        results[name] = np.frombuffer(payload, dtype, length, start)
        start += length * dtype.itemsize
    return results
