"""SQLite connections to a store: opened, created, told from other files, and their errors."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

from jaxinv.experiments._rows import FORMAT, SCHEMA, TABLES, Ledger, StoreError, digest


def connect(path: Path, *, write: bool, noted: int) -> sqlite3.Connection:
    """Return a connection to the store at ``path``, created if it is to be written and absent.

    ``noted`` is the last transaction known to be on the disk; 0 for a new store.
    """
    uri = f"{path.absolute().as_uri()}?mode={'rwc' if write else 'ro'}"
    if not write and _is_read_only(path):
        uri += "&immutable=1"  # SQLite cannot make the files of its log there, and needs none
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30, check_same_thread=False)
    try:
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        _require_store(db, path, write=write, noted=noted)
        if write:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
        else:
            db.execute("BEGIN")  # the records and the rows of one moment
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.OperationalError) and not isinstance(error, StoreError):
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL):
                raise explain(path, error) from None
        raise
    return db


def _is_read_only(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return not os.access(path.absolute().parent, os.W_OK) and not log.exists()


def _require_store(db: sqlite3.Connection, path: Path, *, write: bool, noted: int) -> None:
    """Refuse what is no store before anything is written; make a new one of an empty file."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables >= TABLES:
        return
    if not tables and write and not noted:
        _create(db)
        return
    if not tables and noted:
        raise StoreError(
            f"store {path} has lost all of its {noted} finished transactions. Restore a copy, or "
            f"remove it and {path.name}.lock to start again."
        )
    written = _format_of(db) if "manifest" in tables else ""
    if written == FORMAT:
        raise StoreError(f"store {path} is damaged: tables are missing. Restore a copy.")
    if written.startswith("jaxinv sweep"):
        raise StoreError(
            f"store {path} was written in the format {written!r}, this version reads {FORMAT!r}. "
            "Give another path, or remove the file to start again."
        )
    raise StoreError(f"store {path} is a database, but not one of a sweep.")


def _format_of(db: sqlite3.Connection) -> str:
    try:
        row = db.execute("SELECT value FROM manifest WHERE name = 'format'").fetchone()
        return str(json.loads(row[0])) if row else ""
    except (sqlite3.DatabaseError, ValueError):
        return ""


def _create(db: sqlite3.Connection) -> None:
    """Make the tables in one transaction, before the log: the file is then never without them."""
    value = json.dumps(FORMAT)
    ledger = Ledger(generation=0, manifest=1, programs=0, cells=0, blocks=0)
    db.execute("PRAGMA synchronous=FULL")
    db.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.split(";")[:-1]:
        db.execute(statement)
    checksum = digest("manifest", "format", value, 0)
    db.execute("INSERT INTO manifest VALUES ('format', ?, 0, ?)", (value, checksum))
    checksum = digest("ledger", *ledger)
    db.execute("INSERT INTO ledger VALUES (1, ?, ?, ?, ?, ?, ?)", (*ledger, checksum))
    db.execute("COMMIT")


def explain(path: Path, error: sqlite3.DatabaseError) -> StoreError:
    """Return what an error of SQLite means for a store, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        text = (
            f"store {path}: the disk is full. Every block that was finished before is safe: make "
            "room and run the same sweep again."
        )
    elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        text = (
            f"store {path} is not writable ({error}). What it holds is safe; give a path in a "
            "folder that can be written to."
        )
    else:
        text = (
            f"store {path} failed ({error}). If the disk is full, make room: what was finished is "
            "safe. If the file is damaged, experiments.verify(store, repair=True) keeps what is "
            "sound; or restore a copy, or remove it."
        )
    return StoreError(text)
