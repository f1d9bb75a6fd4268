"""Where a store lies: moved, deleted, replaced or linked while it is written, and who writes it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from store_toys import CLAIMS, fill, values_of
from sweep_toys import ONE, assert_same_bits, run

import jaxinv as ji
from jaxinv.sweeps import StoreError
from jaxinv.sweeps.store import _lock, _store
from jaxinv.sweeps.store._store import Store
from jaxinv.sweeps.store._verify import verify

CELL = '{"n":1}'


def replaced(path):
    shutil.copy(path, f"{path}.new")
    os.replace(f"{path}.new", path)


def emptied(path):
    path.unlink()
    path.touch()


MOVES = {
    "renamed": lambda path: path.rename(f"{path}.moved"),
    "deleted": lambda path: path.unlink(),
    "replaced": replaced,
    "replaced by nothing": emptied,
    "linked": lambda path: os.link(path, f"{path}.link"),
    "without its log": lambda path: Path(f"{path}-wal").unlink(),
    "in a renamed folder": lambda path: path.parent.rename(f"{path.parent}.moved"),
    "in a deleted folder": lambda path: shutil.rmtree(path.parent),
}


@pytest.mark.parametrize("when", ["at the next commit", "at the end"])
@pytest.mark.parametrize("name", MOVES)
def test_a_store_that_is_no_more_in_its_place(tmp_path, name, when, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = tmp_path / "folder" / "a"
    fill(path)
    is_later = when == "at the next commit"

    def write_on():
        with Store(path, write=True) as store:
            store.ask(CELL, 100)
            store.put(CELL, 5, {"value": np.array([5.0, 0.0])})
            store.flush()
            MOVES[name](path)
            if is_later:
                store.put(CELL, 6, {"value": np.array([6.0, 0.0])})
                store.flush()
                pytest.fail("the commit passed")

    with pytest.raises(StoreError, match="while it was being written") as caught:
        write_on()
    text = str(caught.value)
    assert text.count("\n") == 0
    safe = Path(re.findall(r"safe in (\S+): run", text)[0])
    if name == "linked":
        Path(f"{path}.link").unlink()
    assert values_of(safe) == {(CELL, block): [block, 0.0] for block in range(6 + is_later)}
    assert not verify(safe).lost
    with Store(safe, write=True) as store:  # and it can be gone on with
        store.claim(CLAIMS)


def test_a_sweep_whose_store_was_renamed_is_not_done(tmp_path):
    store = tmp_path / "sweep.sqlite"

    def rename(progress):
        if progress.num_done >= 8 and store.exists():
            store.rename(tmp_path / "moved.sqlite")

    with pytest.raises(StoreError, match=r"renamed or deleted.* safe in .*moved.sqlite"):
        run(ONE, store=store, progress=rename)
    found = ji.sweeps.open_store(tmp_path / "moved.sqlite")
    assert found.attrs["complete"] == 1
    assert_same_bits(found, run(ONE))


def test_a_second_writer_is_refused_by_every_name(tmp_path, monkeypatch):
    path = fill(tmp_path / "a")
    (tmp_path / "symbolic").symlink_to(path)
    (tmp_path / "folder").symlink_to(tmp_path)
    with Store(path, write=True) as store:
        store.put(CELL, 0, {"value": np.ones(2)})
        store.flush()
        for name in ("a", "symbolic", "folder/a"):
            with pytest.raises(StoreError, match=f"being written by process {os.getpid()}"):
                Store(tmp_path / name, write=True)
        for owner in (f"process {os.getpid()}", "another process"):
            monkeypatch.setattr(_lock, "_held", set())  # as in another process
            with pytest.raises(StoreError, match=f"being written by {owner}"):
                Store(path, write=True)
            Path(f"{path}.lock").unlink(missing_ok=True)


def test_a_hard_link_is_not_written_through(tmp_path):
    path = fill(tmp_path / "a")
    os.link(path, tmp_path / "b")
    for name in ("a", "b"):
        with pytest.raises(StoreError, match="has 2 names"):
            Store(tmp_path / name, write=True)
    (tmp_path / "b").unlink()
    with Store(path, write=True) as store:
        os.link(path, tmp_path / "b")
        with pytest.raises(StoreError, match="being written by"):
            Store(tmp_path / "b", write=True)
        (tmp_path / "b").unlink()
        assert store.cells()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a"]


_KILLED = """
import os, signal, sys
import numpy as np
from jaxinv.sweeps.store._store import Store

store = Store(sys.argv[1], write=True)
store.claim({"block_size": 2, "names": ["n"]})
store.flush()
if len(sys.argv) > 2:
    store.claim_program('{"n":1}', "program")
    store.ask('{"n":1}', 20)
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for block in range(3):
        store.put('{"n":1}', block, {"value": np.ones(2)})
        store.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("blocks", [[], ["blocks"]])
def test_a_log_that_was_removed_after_a_kill_is_named(tmp_path, blocks):
    path = tmp_path / "a"
    command = [sys.executable, "-c", _KILLED, str(path), *blocks]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    Path(f"{path}-wal").unlink()
    if blocks:
        (text,) = verify(path).lost
        assert (
            "the last 3 finished transactions are gone: a-wal was cut, damaged or removed" in text
        )
    else:
        for use in (verify, ji.sweeps.open_store):
            with pytest.raises(StoreError, match="lost its 1 finished transactions: a-wal was cut"):
                use(path)


def test_blocks_are_written_in_groups_and_at_the_end(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(_store.time, "monotonic", lambda: clock[0])
    path = fill(tmp_path / "a")
    with Store(path, write=True) as store:
        store.ask(CELL, 1000)
        generation = store.records.ledger.generation
        seen = []
        for block in range(5, 105):
            clock[0] += 0.125
            store.put(CELL, block, {"value": np.ones(2)})
            seen.append(len(values_of(path)))
        assert store.records.ledger.generation - generation == 12
        behind = np.arange(6, 106) - seen
        assert behind.max() <= 11  # a second's worth
        with pytest.raises(KeyboardInterrupt):
            raise KeyboardInterrupt
    assert len(values_of(path)) == 105


def test_an_interrupt_in_the_middle_of_a_group_loses_nothing(tmp_path, monkeypatch):
    path = fill(tmp_path / "a")

    def interrupted(self, table, rows):
        raise KeyboardInterrupt

    def write_on():
        with Store(path, write=True) as store:
            store.ask(CELL, 100)
            store.put(CELL, 5, {"value": np.ones(2)})
            with monkeypatch.context() as patch:
                patch.setattr(Store, "_upsert", interrupted)
                store.flush()

    with pytest.raises(KeyboardInterrupt):
        write_on()
    assert len(values_of(path)) == 6
    assert not verify(path).lost
