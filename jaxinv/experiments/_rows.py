"""Rows of a store: how results become bytes, and what each row's checksum covers."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxinv.experiments._blocks import Results

FORMAT = "jaxinv sweep 2"
SCHEMA = """
CREATE TABLE manifest (name TEXT PRIMARY KEY, value TEXT NOT NULL, claimed INTEGER NOT NULL,
  checksum BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE programs (cell TEXT PRIMARY KEY, identity TEXT NOT NULL, checksum BLOB NOT NULL)
  WITHOUT ROWID;
CREATE TABLE cells (cell TEXT PRIMARY KEY, num_trials INTEGER NOT NULL, position INTEGER NOT NULL,
  checksum BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE blocks (cell TEXT NOT NULL, block INTEGER NOT NULL, payload BLOB NOT NULL,
  checksum BLOB NOT NULL, seal BLOB NOT NULL, PRIMARY KEY (cell, block)) WITHOUT ROWID;
CREATE TABLE ledger (id INTEGER PRIMARY KEY, generation INTEGER NOT NULL,
  manifest INTEGER NOT NULL, programs INTEGER NOT NULL, cells INTEGER NOT NULL,
  blocks INTEGER NOT NULL, checksum BLOB NOT NULL);
"""
TABLES = frozenset({"manifest", "programs", "cells", "blocks", "ledger"})


class StoreError(ValueError):
    """A store that cannot be used: foreign, damaged, full, or being written by another process."""


class Ledger(NamedTuple):
    """How many transactions a store has seen, and how many rows its tables have."""

    generation: int
    manifest: int
    programs: int
    cells: int
    blocks: int


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
    pieces = []
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode("utf-8", "replace")
        pieces.append(len(data).to_bytes(8, "little") + data)
    return hashlib.blake2b(b"".join(pieces), digest_size=16).digest()


def identity_of(claims: Mapping[str, str]) -> bytes:
    """Return the identity of a store: a hash of its format and of what it claims (JSON texts)."""
    return digest("identity", FORMAT, *(part for pair in sorted(claims.items()) for part in pair))


def make_row(identity: bytes, program: str, cell: str, block: int, results: Results) -> Row:
    """Return the row of one block."""
    payload = encode(results)
    checksum = digest("block", cell, block, payload)
    return Row(cell, block, payload, checksum, digest("seal", identity, program, checksum))


def encode(results: Results) -> bytes:
    """Return a JSON header line with names and types, then the arrays' bytes in that order."""
    arrays = {name: np.ascontiguousarray(results[name]) for name in sorted(results)}
    little = {name: a.astype(a.dtype.newbyteorder("<"), copy=False) for name, a in arrays.items()}
    header = [[name, _type_name(a.dtype), a.shape[0]] for name, a in little.items()]
    return json.dumps(header).encode() + b"\n" + b"".join(a.tobytes() for a in little.values())


def _type_name(dtype: np.dtype) -> str:
    return dtype.name if dtype.kind == "V" else dtype.str  # bfloat16 has a name only


@functools.lru_cache(maxsize=64)
def _header(line: bytes) -> tuple[tuple[str, np.dtype, int], ...]:
    return tuple((name, np.dtype(dtype), length) for name, dtype, length in json.loads(line))


def decode(payload: bytes) -> Results:
    """Return the arrays of a payload whose checksum has been verified."""
    line, _, body = payload.partition(b"\n")
    results: Results = {}
    start = 0
    for name, dtype, length in _header(line):
        results[name] = np.frombuffer(body, dtype, length, start)
        start += length * dtype.itemsize
    return results
