"""SQLite connections to a store: opened, created, told from other files, and their errors."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

from jaxinv.sweeps.store._location import clean
from jaxinv.sweeps.store._rows import FORMAT, SCHEMA, Ledger, StoreError, digest

_LONGEST_VALUE = 2**28  # bytes of one text or blob
_LONGEST_STATEMENT = 10_000


def connect(path: Path, *, write: bool, noted: int) -> sqlite3.Connection:
    """Return a connection to the store at ``path``; an empty file is made one if it is to be.

    ``noted`` is the last transaction known to be on the disk; 0 for a new store.
    """
    _refuse_journal(path)
    uri = f"{path.absolute().as_uri()}?mode={'rw' if write else 'ro'}"
    if not write and _is_read_only(path):
        uri += "&immutable=1"  # SQLite cannot make the files of its log there, and needs none
    db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30, check_same_thread=False)
    try:
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        db.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _LONGEST_STATEMENT)
        db.execute("PRAGMA trusted_schema=OFF")
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


def _refuse_journal(path: Path) -> None:
    """Refuse a rollback journal: SQLite plays it back, and deletes the file that it names."""
    journal = path.with_name(path.name + "-journal")
    if os.path.lexists(journal):
        raise StoreError(
            f"store {path} has a rollback journal beside it, which no sweep leaves. Remove "
            f"{journal.name} if you trust what is in the store without it."
        )


def _is_read_only(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return not os.access(path.absolute().parent, os.W_OK) and not log.exists()


def _require_store(db: sqlite3.Connection, path: Path, *, write: bool, noted: int) -> None:
    """Refuse what is no store before anything in it is used; make a new one of an empty file.

    The schema must be ours to the letter: views, triggers and generated columns are programs.
    """
    found = set(db.execute("SELECT type, name, sql FROM sqlite_master LIMIT 100"))
    if not found and write and not noted:
        _create(db)
    elif not found and noted:
        raise lost(path, noted)
    elif not found:
        raise StoreError(f"store {path} is empty: no sweep has written to it.")
    elif ("table", "manifest", SCHEMA["manifest"]) not in found:
        raise StoreError(f"store {path} is a database, but not one of a sweep. Give another path.")
    else:
        _require_format(db, path)
        if found != {("table", name, sql) for name, sql in SCHEMA.items()}:
            raise StoreError(
                f"store {path} is damaged or was tampered with: its tables are not those of a "
                "sweep. Restore a copy, or remove the file to start again."
            )


def lost(path: Path, noted: int) -> StoreError:
    """Return the error of a store whose log went with everything that it held."""
    return StoreError(
        f"store {path} has lost its {noted} finished transactions: {path.name}-wal was cut, "
        f"damaged or removed. Restore a copy, or remove it and {path.name}.lock to start again."
    )


def _require_format(db: sqlite3.Connection, path: Path) -> None:
    row = db.execute("SELECT value FROM manifest WHERE name = 'format'").fetchone()
    written = row[0] if row else None
    if isinstance(written, str) and written == json.dumps(FORMAT):
        return
    if isinstance(written, str) and written.startswith('"jaxinv sweep '):
        raise StoreError(
            f"store {path} was written in the format {clean(written, 40)}, this version reads "
            f"{FORMAT!r}. Export it with the version that wrote it, and give another path here."
        )
    raise StoreError(
        f"store {path} is damaged: what it holds can no longer be told (manifest: no format). "
        "Restore a copy, or remove the file to start again."
    )


def _create(db: sqlite3.Connection) -> None:
    """Make the tables in one transaction, before the log: the file is then never without them."""
    value = json.dumps(FORMAT)
    ledger = Ledger(generation=0, manifest=1, programs=0, cells=0, blocks=0)
    db.execute("PRAGMA synchronous=FULL")
    db.execute("BEGIN IMMEDIATE")
    create_tables(db)
    checksum = digest("manifest", "format", value, 0)
    db.execute("INSERT INTO manifest VALUES ('format', ?, 0, ?)", (value, checksum))
    db.execute("INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?)", ledger.row())
    db.execute("COMMIT")


def create_tables(db: sqlite3.Connection) -> None:
    """Make the empty tables of a store."""
    for statement in SCHEMA.values():
        db.execute(statement)


def explain(path: Path, error: sqlite3.Error) -> StoreError:
    """Return what an error of SQLite means for a store, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    reason = clean(error)
    if code == sqlite3.SQLITE_FULL:
        text = (
            f"store {path}: the disk is full. Every block that was on it before is safe: make "
            "room and run the same sweep again."
        )
    elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        text = (
            f"store {path} is not writable ({reason}). What it holds is safe; give a path in a "
            "folder that can be written to."
        )
    else:
        text = (
            f"store {path} failed ({reason}). If the disk is full, make room: what was finished is "
            "safe. If the file is damaged, sweeps.verify(store, repair=True) keeps what is "
            "sound; or restore a copy, or remove it."
        )
    return StoreError(text)
