"""Stores that somebody else made: nothing of them is run, and whatever they say is one line."""

import io
import json
import random
import sqlite3
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from store_toys import CLAIMS, fill

import jaxinv as ji
from jaxinv._commands import _recipe
from jaxinv.cli import main
from jaxinv.sweeps import StoreError
from jaxinv.sweeps.store._budget import MOST_BYTES, Budget
from jaxinv.sweeps.store._rows import SCHEMA, Maker, digest, identity_of
from jaxinv.sweeps.store._store import Store

CELL = '{"n":1}'
MOST_TRACED = 200 * 2**20


def make(path, *, claims=CLAIMS, cells=((CELL, 10),), facts=None, payload=None):
    """Make a store with true checksums that says whatever it likes."""
    claimed = {
        name: value.decode() if isinstance(value, bytes) else json.dumps(value)
        for name, value in claims.items()
    }
    identity = identity_of(claimed)
    tables = {name: [] for name in SCHEMA}
    tables["manifest"] = [
        ("format", json.dumps("jaxinv sweep 3"), 0),
        *((name, text, 1) for name, text in claimed.items()),
        *((name, text, 0) for name, text in (facts or {}).items()),
    ]
    tables["manifest"] = [(*row, digest("manifest", *row)) for row in tables["manifest"]]
    for position, (cell, count) in enumerate(cells):
        tables["programs"].append((cell, "p", digest("program", identity, cell, "p")))
        record = (cell, count, position)
        tables["cells"].append((*record, digest("cell", identity, *record)))
        maker = Maker(identity, "p", cell)
        tables["blocks"] += [maker.row(block, {"value": np.ones(2)}) for block in range(2)]
    if payload is not None:
        checksum = digest("block", CELL, 0, payload)
        seal = digest("seal", identity, "p", checksum)
        tables["blocks"] = [(CELL, 0, payload, checksum, seal)]
    counts = [len(tables[name]) for name in ("manifest", "programs", "cells", "blocks")]
    tables["ledger"] = [(1, 1, *counts, digest("ledger", 1, *counts))]
    with sqlite3.connect(path) as db:
        for name, statement in SCHEMA.items():
            db.execute(statement)
            for row in tables[name]:
                db.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", tuple(row))
    db.close()
    return path


def tampered(path, *statements):
    make(path)
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def with_schema(path, table, sql):
    make(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA writable_schema=ON")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, table))
    db.close()


def header(*entries):
    return json.dumps(entries).encode() + b"\n"


RECIPE = {
    "preset": "lasso",
    "solver": "fista",
    "dtype": "float32",
    "seed": 0,
    "trials": 10,
    "precision": None,
    "bisect": None,
}
DEEP = "[" * 900 + "]" * 900
GENERATED = SCHEMA["blocks"].replace(
    "payload BLOB NOT NULL", "payload BLOB GENERATED ALWAYS AS (zeroblob(400000000))"
)
RECURSIVE = (
    "CREATE VIEW manifest AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
    "SELECT x AS name, x AS value, 1 AS claimed, x AS checksum FROM c"
)
GRID = tuple((f'{{"m":{i},"n":{i}}}', 100) for i in range(1000))

CRAFTED = {
    "a million million trials": lambda p: make(p, cells=((CELL, 10**12),)),
    "a generated column": lambda p: with_schema(p, "blocks", GENERATED),
    "a view": lambda p: tampered(p, "DROP TABLE manifest", RECURSIVE),
    "a trigger": lambda p: tampered(
        p, "CREATE TRIGGER t AFTER INSERT ON ledger BEGIN DELETE FROM blocks; END"
    ),
    "another table": lambda p: tampered(p, "CREATE TABLE more (x)"),
    "a block size of zero": lambda p: make(p, claims={**CLAIMS, "block_size": 0}),
    "a block size of text": lambda p: make(p, claims={**CLAIMS, "block_size": "2"}),
    "no names": lambda p: make(p, claims={"block_size": 2}),
    "names that are none": lambda p: make(p, claims={**CLAIMS, "names": ["trial"]}),
    "deep JSON": lambda p: make(p, claims={**CLAIMS, "key": DEEP.encode() * 200}),
    "no JSON": lambda p: make(p, claims={**CLAIMS, "key": b"{"}),
    "a cell that is none": lambda p: make(p, cells=(("[" * 5000, 10),)),
    "a cell of other names": lambda p: make(p, cells=(('{"m":1}', 10),)),
    "a cell of halves of letters": lambda p: make(p, cells=(('{"n":"\\ud800"}', 10),)),
    "trials as a text": lambda p: make(p, cells=((CELL, "ten"),)),
    "a grid too large": lambda p: make(p, claims={**CLAIMS, "names": ["m", "n"]}, cells=GRID),
    "a header of objects": lambda p: make(p, payload=header(["value", "|O", 2]) + bytes(16)),
    "a header of giants": lambda p: make(p, payload=header(["value", "<f8", 10**15])),
    "a header of no arrays": lambda p: make(p, payload=b"[]\n"),
    "a metric named as an axis": lambda p: make(
        p, payload=header(["n", "<f8", 2]) + np.ones(2).tobytes()
    ),
    "a rollback journal": lambda p: (make(p), Path(f"{p}-journal").write_bytes(b"x" * 600)),
    "an option as a setting": lambda p: make(
        p, facts={"recipe 0": json.dumps({**RECIPE, "bisect": "--dask=tcp://127.0.0.1:9"})}
    ),
}


def used(path, folder):
    """Use a store in every way; returns the errors and what was said."""
    into = folder / "into.sqlite"
    said = []
    uses = {
        "open": lambda: ji.sweeps.open_store(path),
        "verify": lambda: str(ji.sweeps.verify(path)),
        "merge": lambda: ji.sweeps.merge([path], into),
        "export": lambda: ji.sweeps.export(path, folder / "out.csv", overwrite=True),
        "recipes": lambda: _recipe.remembered(str(path)),
        "repair": lambda: str(ji.sweeps.verify(path, repair=True)),
    }
    for name, use in uses.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                use()
            except StoreError as error:
                said.append((name, str(error)))
        said += [(name, str(warning.message)) for warning in caught]
        for ending in ("", "-wal", "-shm", ".lock"):
            Path(f"{into}{ending}").unlink(missing_ok=True)
    return said


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_stores_are_refused_or_read_in_a_line(tmp_path, name, monkeypatch):
    path = tmp_path / "in" / "crafted.sqlite"
    path.parent.mkdir()
    CRAFTED[name](path)
    (tmp_path / "bystander").write_text("as it was")
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a process was started"))
    xr.Dataset({"x": ("n", pd.Series([1.0]))}, {"n": ["a"]}).to_dataframe()  # imports
    tracemalloc.start()
    said = used(path, tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert said, "all well"
    assert all("\n" not in text and len(text) < 1500 for _, text in said)
    assert most < MOST_TRACED
    assert (tmp_path / "bystander").read_text() == "as it was"
    assert {entry.name for entry in tmp_path.iterdir()} <= {"in", "bystander", "out.csv"}
    left = {entry.name for entry in path.parent.iterdir()}
    endings = ("", "-journal", "-wal", "-shm")  # readers leave the empty log that SQLite makes
    assert left <= {f"crafted.sqlite{ending}" for ending in endings}


def test_there_are_twenty_of_them():
    assert len(CRAFTED) >= 20


def test_sound_stores_are_neither_refused_nor_warned_of(tmp_path):
    assert used(make(tmp_path / "a", cells=((CELL, 4),)), tmp_path) == []
    assert used(fill(tmp_path / "b"), tmp_path) == []


def test_any_bytes_give_a_dataset_or_the_one_error(tmp_path):
    """2000 mutations: bits flipped, pieces copied, cut, and filled, in the file or its log."""
    original = fill(tmp_path / "original", num_blocks=30).read_bytes()
    generator = random.Random(0)
    path = tmp_path / "mutated"
    outcomes = {"refused": 0, "read": 0}
    for number in range(2000):
        content = bytearray(original)
        for _ in range(generator.choice([1, 1, 3, 30])):
            place, length = generator.randrange(len(content)), generator.randrange(1, 200)
            kind = generator.randrange(4)
            if kind == 0:
                content[place] ^= 1 << generator.randrange(8)
            elif kind == 1:
                start = generator.randrange(len(content))
                content[place : place + length] = content[start : start + length]
            elif kind == 2:
                content[place : place + length] = generator.randbytes(length)
            else:
                del content[place:]
                content = content or bytearray(b"x")
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            uses = (ji.sweeps.open_store, ji.sweeps.verify)
            try:
                uses[number % 2](path)
                outcomes["read"] += 1
            except StoreError as error:
                outcomes["refused"] += "\n" not in str(error)
    assert min(outcomes.values()) > 100
    assert sum(outcomes.values()) == 2000  # each refusal is one line


def test_a_budget_is_what_may_be_taken(tmp_path):
    budget = Budget(tmp_path, 100)
    budget.take(100)
    with pytest.raises(StoreError, match=r"more than 100 bytes of memory.*max_bytes"):
        budget.take(1)
    with pytest.raises(TypeError, match="max_bytes"):
        Budget(tmp_path, "1 GB")
    path = fill(tmp_path / "a", num_blocks=50)
    with pytest.raises(StoreError, match="more than 10000 bytes"):
        ji.sweeps.open_store(path, max_bytes=10_000)
    assert ji.sweeps.open_store(path, max_bytes=100_000)["value"].size == 100
    assert MOST_BYTES == 2**30


# --- settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"bisect": "--dask=tcp://127.0.0.1:9"},
        {"bisect": "--log-json=/tmp/x"},
        {"bisect": True},
        {"bisect": -1},
        {"bisect": float("nan")},
        {"precision": 0.7},
        {"precision": "0.1"},
        {"preset": "jaxinv.__main__:main"},
        {"preset": ["lasso"]},
        {"solver": "../fista"},
        {"dtype": "object"},
        {"seed": -1},
        {"seed": 2**40},
        {"seed": 1.0},
        {"trials": 0},
        {"trials": 11},  # more than any cell was asked for
        {"trials": True},
        {"store": "/tmp/x"},
    ],
)
def test_a_setting_that_is_none_runs_nothing(tmp_path, monkeypatch, capsys, change):
    path = tmp_path / "a"
    text = json.dumps({**RECIPE, **change})
    make(path, facts={"recipe 0": text})
    from jaxinv._commands import sweep as command

    monkeypatch.setattr(command, "run_again", lambda *_: pytest.fail("a sweep was begun"))
    assert main(["store", "verify", str(path), "--repair"]) == 2
    out, err = capsys.readouterr()
    assert "nothing is computed" in err
    assert err.count("\n") == 1
    assert {entry.name for entry in tmp_path.iterdir()} <= {"a", "a-wal", "a-shm"}
    assert "computing" not in out


def test_true_settings_are_read(tmp_path):
    make(tmp_path / "a", facts={"recipe 0": json.dumps(RECIPE)})
    (found,) = _recipe.remembered(str(tmp_path / "a"))
    assert found._asdict() == RECIPE
    assert str(found) == "solver fista, dtype float32, seed 0, trials 10"
    make(tmp_path / "b", facts={"command 0": json.dumps(RECIPE)})  # nothing of another name
    assert _recipe.remembered(str(tmp_path / "b")) == []


# --- paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [":memory:", "file:a.sqlite?mode=rwc", "s3://bucket/a", "~no-such-user/a"]
)
def test_names_that_mean_something_else_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    uses = (
        lambda: Store(name, write=True),
        lambda: ji.sweeps.open_store(name),
        lambda: ji.sweeps.verify(name),
        lambda: ji.sweeps.merge([name], "b"),
        lambda: ji.sweeps.export("b", name),
    )
    for use in uses:
        with pytest.raises(ValueError, match="must"):
            use()
    assert not list(tmp_path.iterdir())


def test_a_home_folder_is_expanded_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    fill("~/a.sqlite")
    ji.sweeps.merge(["~/a.sqlite"], "~/b.sqlite")
    assert ji.sweeps.verify("~/b.sqlite").ok
    assert ji.sweeps.open_store("~/b.sqlite")["value"].size == 10
    assert ji.sweeps.export("~/b.sqlite", "~/c.csv") == tmp_path / "c.csv"
    assert {"a.sqlite", "b.sqlite", "c.csv"} <= {entry.name for entry in tmp_path.iterdir()}
    assert not list(tmp_path.glob("~*"))


def test_an_export_never_replaces_a_store_or_a_folder(tmp_path):
    store = fill(tmp_path / "y.csv")
    content = store.read_bytes()
    (tmp_path / "link.csv").symlink_to(store)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.zarr").mkdir()
    (tmp_path / "folder.zarr" / "thesis.tex").write_text("years of work")
    for name in ("y.csv", "link.csv", "folder.csv", "folder.zarr"):
        with pytest.raises(ValueError, match=r"path must be (another file than|no folder)"):
            ji.sweeps.export(store, tmp_path / name, overwrite=True)
    assert store.read_bytes() == content
    assert (tmp_path / "folder.zarr" / "thesis.tex").exists()


def test_output_that_a_terminal_cannot_write_ends_nothing(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    assert main(["reproduce", "--list"]) == 0
    sys.stdout.flush()
    assert b"noise-law" in written.getvalue()
    assert b"?" in written.getvalue()  # for a sign that ASCII lacks
