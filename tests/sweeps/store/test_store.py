"""The store: what binds a block to it, verifying, merging, and a full disk."""

import contextlib
import itertools
import os
import re
import shutil
import sqlite3
import subprocess
import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from store_toys import CLAIMS, change, fill, run, values_of

import jaxinv as ji
from jaxinv.sweeps import StoreError
from jaxinv.sweeps.store._merge import merge
from jaxinv.sweeps.store._store import Store
from jaxinv.sweeps.store._verify import verify


def test_what_is_put_is_read_in_one_transaction(tmp_path):
    path = fill(tmp_path / "a")
    cell = '{"n":1}'
    assert values_of(path) == {(cell, block): [block, 0.0] for block in range(5)}
    with Store(path, write=True) as store:
        before = store.bytes_written
        with contextlib.suppress(KeyboardInterrupt), store.transaction():
            store.put(cell, 5, {"value": np.zeros(2)})
            store.ask(cell, 100)
            raise KeyboardInterrupt
        assert store.cells() == {cell: 10}
        store.put(cell, 1, {"value": np.ones(2)})
        store.flush()
        assert 16 < store.bytes_written - before < 200
    assert values_of(path)[cell, 1] == [1, 1]
    assert len(values_of(path)) == 5


def test_more_trials_may_be_asked_for_and_never_fewer(tmp_path):
    with Store(fill(tmp_path / "a"), write=True) as store:
        store.ask('{"n":1}', 12)
        store.ask('{"n":1}', 3)
        assert store.cells() == {'{"n":1}': 12}
    assert verify(tmp_path / "a").missing == (('{"n":1}', 5),)


def test_types_survive(tmp_path):
    results = {
        "bfloat": np.array([1.5, np.nan], jnp.bfloat16),
        "flag": np.array([True, False]),
        "complex": np.array([1j, 2], np.complex64),
        "big": np.array([1, 2], ">i2"),
    }
    with Store(fill(tmp_path / "a"), write=True) as store:
        store.put('{"n":1}', 0, results)
        store.flush()
        ((_, _, found),) = [row for row in store.blocks() if row[1] == 0]
    for name, array in results.items():
        np.testing.assert_array_equal(found[name].astype("c8"), array.astype("c8"))
        assert found[name].dtype == array.dtype.newbyteorder("<")


def test_a_store_without_a_sweep_says_so(tmp_path):
    with Store(tmp_path / "a", write=True) as store:
        with pytest.raises(StoreError, match="claim it"):
            store.ask("{}", 1)
        for reader in (ji.sweeps.open_store, verify):
            with pytest.raises(StoreError, match="holds no sweep yet"):
                reader(tmp_path / "a")
    assert not list(tmp_path.iterdir())  # a file that holds nothing is not left behind
    fill(tmp_path / "b")
    with Store(tmp_path / "b", write=False) as store, pytest.raises(StoreError, match="reading"):
        store.ask('{"n":1}', 50)


BLOCKS = "SELECT * FROM blocks"


@pytest.mark.parametrize(
    "other",
    [{"claims": {**CLAIMS, "key": [0, 2]}}, {"program": "another"}],
    ids=["another key", "another program"],
)
def test_a_block_copied_from_another_store_is_foreign(tmp_path, other):
    path, source = fill(tmp_path / "a"), fill(tmp_path / "b", shift=1.0, **other)
    change(path, "DELETE FROM blocks WHERE block = 3")
    with sqlite3.connect(source) as db:
        (row,) = db.execute(f"{BLOCKS} WHERE block = 3").fetchall()
    change(path, "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)", *row)
    report = verify(path, repair=True)
    assert report.foreign == (('{"n":1}', 3),)
    assert not report.ok
    assert "foreign (1): {\"n\":1} block 3" in str(report)  # fmt: skip
    assert verify(path).missing == (('{"n":1}', 3),)
    assert not verify(path).foreign


def test_a_block_in_another_place_is_damaged(tmp_path):
    path = fill(tmp_path / "a")
    change(path, "UPDATE blocks SET block = 9 WHERE block = 3")
    report = verify(path)
    assert report.damaged == (('{"n":1}', 9),)
    assert report.missing == (('{"n":1}', 3),)


def test_blocks_of_another_size_and_of_unasked_cells_are_foreign(tmp_path):
    with Store(fill(tmp_path / "a"), write=True) as store:
        store.put('{"n":1}', 2, {"value": np.zeros(3)})
        store.claim_program('{"n":7}', "program")
        store.put('{"n":7}', 0, {"value": np.zeros(2)})
    report = verify(tmp_path / "a", repair=True)
    assert report.foreign == (('{"n":1}', 2), ('{"n":7}', 0))
    assert len(values_of(tmp_path / "a")) == 4


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("DELETE FROM blocks WHERE block = 2", "4 of 5 rows of blocks"),
        ("DELETE FROM programs", "0 of 1 rows of programs"),
        ("DELETE FROM cells", "0 of 1 rows of cells"),
        ("DELETE FROM ledger", "the ledger, which counts the rows, is damaged"),
        ("UPDATE ledger SET blocks = 4", "the ledger, which counts the rows, is damaged"),
        ("UPDATE programs SET identity = 'x'", "the program of the cell .* is damaged"),
        ("UPDATE cells SET num_trials = 6", "the record of the cell .* is damaged"),
        ("UPDATE cells SET cell = '{\"n\":3}'", "the record of the cell .* is damaged"),
    ],
)
def test_lost_and_changed_records_are_found_and_settled(tmp_path, sql, message):
    path = fill(tmp_path / "a")
    with Store(path, write=True) as store:
        store.remember("dims", ["n"])
    change(path, sql)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ji.sweeps.open_store(path)
    assert any(re.search(message, str(warning.message)) for warning in caught)
    report = verify(path, repair=True)
    assert report.lost
    assert report.repaired
    after = verify(path)
    assert (after.lost, after.damaged, after.foreign) == ((), (), ())
    fill(path)
    assert verify(path).ok
    assert len(values_of(path)) == 5
    assert not verify(path, repair=True).repaired


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE manifest SET value = '3' WHERE name = 'block_size'",
        "DELETE FROM manifest WHERE name = 'key'",
        "UPDATE manifest SET claimed = 0 WHERE name = 'key'",
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, sql):
    path = fill(tmp_path / "a")
    change(path, sql)
    for use in (ji.sweeps.open_store, lambda store: verify(store, repair=True), fill):
        with pytest.raises(StoreError, match=r"can no longer be told .* Restore a copy"):
            use(path)


def test_other_databases_are_left_alone(tmp_path):
    other = tmp_path / "other"
    change(other, "CREATE TABLE t (x)")
    old = fill(tmp_path / "old")
    change(old, "UPDATE manifest SET value = '\"jaxinv sweep 2\"' WHERE name = 'format'")
    expected = r'format "jaxinv sweep 2", this version reads .* Export it with the version'
    for path, message in ((other, "not one of a sweep"), (old, expected)):
        content = path.read_bytes()
        for use in (ji.sweeps.open_store, verify, fill):
            with pytest.raises(StoreError, match=message):
                use(path)
        assert path.read_bytes() == content
        assert not list(tmp_path.glob("*-wal"))
    with pytest.raises(StoreError, match="does not exist"):
        verify(tmp_path / "missing", repair=True)
    assert not (tmp_path / "missing").exists()


def test_a_store_being_written_is_verified_but_not_repaired(tmp_path):
    path = fill(tmp_path / "a")
    with Store(path, write=True) as store:
        store.put('{"n":1}', 0, {"value": np.ones(2)})
        store.flush()
        assert verify(path).ok
        with pytest.raises(StoreError, match="being written by process"):
            verify(path, repair=True)


def test_a_log_that_was_removed_is_missed(tmp_path):
    path = fill(tmp_path / "a")
    with Store(path, write=True) as store:
        for block in (0, 1):
            store.put('{"n":1}', block, {"value": np.ones(2)})
            store.flush()
        for ending in ("", ".lock"):
            shutil.copy(f"{path}{ending}", f"{tmp_path / 'b'}{ending}")
    report = verify(tmp_path / "b", repair=True)
    assert "the last 2 finished transactions are gone" in str(report)
    assert verify(tmp_path / "b").ok


def put_for_ever(store, finished=None):
    for block in itertools.count(5):
        store.ask('{"n":1}', 2 * block + 2)
        store.put('{"n":1}', block, {"value": np.array([block, 0.0])})
        store.flush()
        if finished is not None:
            finished.append(block)


def test_a_full_file_loses_no_finished_block(tmp_path):
    path = fill(tmp_path / "a")
    with Store(path, write=True) as store:
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count={pages + 3}")
        with pytest.raises(StoreError, match=r"disk is full\. Every block .* is safe"):
            put_for_ever(store)
    report = verify(path)
    assert report.num_blocks > 10
    assert (report.lost, report.damaged) == ((), ())
    assert values_of(path)['{"n":1}', report.num_blocks - 1] == [report.num_blocks - 1, 0.0]
    assert not (tmp_path / "a.lock").exists()
    fill(path, num_blocks=report.num_blocks + 20)
    assert verify(path).ok


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if shutil.which("mount") is None:
        pytest.skip("no mount command to make a small file system with")
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_no_finished_block(tmp_path, small_disk):
    path = fill(small_disk / "a")
    (small_disk / "other").write_bytes(bytes(60_000))
    finished = []
    with pytest.raises(StoreError, match="full"), Store(path, write=True) as store:
        put_for_ever(store, finished)
    (small_disk / "other").unlink()
    assert sorted(block for _, block in values_of(path)) == [*range(5), *finished]
    assert len(finished) > 5
    assert not verify(path).lost
    fill(path, num_blocks=len(finished) + 8)
    assert verify(path).ok


def test_a_read_only_disk(small_disk):
    path = fill(small_disk / "a")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert verify(path).ok
    assert len(values_of(path)) == 5
    for use in (fill, lambda store: verify(store, repair=True)):
        with pytest.raises(StoreError, match="is not writable"):
            use(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write read-only files")
def test_a_read_only_file(tmp_path):
    path = fill(tmp_path / "a")
    path.chmod(0o444)
    with pytest.raises(StoreError, match="not writable"):
        fill(path, num_blocks=9)


# Merging.


def test_merged_parts_are_the_whole(tmp_path):
    whole = run(tmp_path / "whole")
    run(tmp_path / "a", ns=(3,))
    run(tmp_path / "b", ns=(4,), num_trials=5)
    run(tmp_path / "c", ns=(4,), kinds=("b", "a"))
    report = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "ab")
    assert (report.ok, report.num_blocks) == (True, 2 * 4 + 2 * 3)
    report = merge([tmp_path / "c"], tmp_path / "ab")
    assert (report.ok, report.num_blocks) == (True, 2 * 4 + 2 * 4)
    found = ji.sweeps.open_store(tmp_path / "ab")
    assert found.equals(whole)
    assert run(tmp_path / "ab").equals(whole)


def test_stores_that_differ_are_not_merged(tmp_path):
    fill(tmp_path / "a")
    fill(tmp_path / "key", claims={**CLAIMS, "key": [0, 2]})
    fill(tmp_path / "program", program="another")
    fill(tmp_path / "result", shift=1.0)
    for name, message in {
        "key": r"key is \[0, 1\] in .*a and \[0, 2\] in .*key",
        "program": r"different programs for the cell \{.n.:1\}",
        "result": r"block 0 of \{.n.:1\} has different results in .*a and .*result",
    }.items():
        with pytest.raises(StoreError, match=message):
            merge([tmp_path / "a", tmp_path / name], tmp_path / "new")
        assert not list(tmp_path.glob("new*"))
        before = (tmp_path / "a").read_bytes()
        with pytest.raises(StoreError, match=message):
            merge([tmp_path / name], tmp_path / "a")
        assert values_of(tmp_path / "a").keys() == values_of(tmp_path / "result").keys()
        assert len(before) == len((tmp_path / "a").read_bytes())
    with pytest.raises(StoreError, match="does not exist"):
        merge([tmp_path / "missing"], tmp_path / "new")
    with pytest.raises(TypeError, match="stores must be a sequence"):
        merge(str(tmp_path / "a"), tmp_path / "new")
    with pytest.raises(ValueError, match="at least one path"):
        merge([], tmp_path / "new")


def test_damaged_blocks_are_not_merged(tmp_path):
    fill(tmp_path / "a")
    change(tmp_path / "a", "UPDATE blocks SET payload = x'00' WHERE block = 2")
    with pytest.warns(UserWarning, match=r"merge: damaged blocks in .*a.* block 2"):
        report = merge([tmp_path / "a"], tmp_path / "new")
    assert report.missing == (('{"n":1}', 2),)
    with pytest.raises(StoreError, match=r"is damaged. sweeps.verify"):
        merge([tmp_path / "new"], tmp_path / "a")
    fill(tmp_path / "b")
    assert merge([tmp_path / "b", tmp_path / "b"], tmp_path / "new").ok
