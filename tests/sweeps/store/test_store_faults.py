"""Damage to a store: whatever happens to its bytes, it is found, named, and settled."""

import contextlib
import random
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.sweeps import StoreError, sweep
from jaxinv.sweeps.store import _store
from jaxinv.sweeps.store._store import Store
from jaxinv.sweeps.store._verify import verify

KEY = jax.random.key(3)
ENDINGS = ("", "-wal", "-shm", ".lock")


def trial(key, *, scale):
    draws = jax.random.normal(key, (8,), jnp.float32)
    return {"size": scale * jnp.linalg.norm(draws), "positive": draws[0] > 0}


def run(store, num_trials=24, **options):
    grid = {"scale": [1.0, 2.0, 3.0]}
    return sweep(
        trial, grid, key=KEY, num_trials=num_trials, traced=("scale",), block_size=4, store=store,
        **options,
    )  # fmt: skip


def copy(source, target):
    for ending in ENDINGS:
        if Path(f"{source}{ending}").exists():
            shutil.copy(f"{source}{ending}", f"{target}{ending}")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Return a closed store, and the files of one whose writer has not closed it."""
    folder = tmp_path_factory.mktemp("stores")
    run(folder / "closed", num_trials=12)
    shutil.copy(folder / "closed", folder / "growing")
    complete = run(folder / "closed")

    def keep(progress):
        if progress.num_done == 72 and not (folder / "live-wal").exists():
            copy(folder / "growing", folder / "live")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_store, "_SECONDS", 0.0)  # a transaction for each block
        run(folder / "growing", progress=keep)
    assert (folder / "live-wal").stat().st_size > 20_000
    assert (folder / "live.lock").exists()
    return {"closed": folder / "closed", "live": folder / "live", "complete": complete}


def damage(store, generator):
    """Flip one bit of a file of the store, or cut it; returns what was done."""
    files = [Path(f"{store}{ending}") for ending in ("", "-wal")]
    file = generator.choice([file for file in files if file.exists()])
    content = bytearray(file.read_bytes())
    place = generator.randrange(len(content))
    if generator.random() < 0.2:
        file.write_bytes(content[:place])
        return f"{file.name} cut at {place}"
    bit = generator.randrange(8)
    content[place] ^= 1 << bit
    file.write_bytes(content)
    return f"{file.name} bit {bit} of byte {place}"


def opened(store):
    """Return the Dataset, the warnings and the StoreError of opening a store."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            return ji.sweeps.open_store(store), [str(w.message) for w in caught], None
        except StoreError as error:
            return None, [], error


def is_same(found, expected):
    return found.equals(expected) and all(
        found[name].dtype == expected[name].dtype for name in expected.data_vars
    )


@pytest.mark.parametrize("kind", ["closed", "live"])
def test_no_damage_is_silent(tmp_path, stores, kind):
    """200 random bit flips and cuts, half of them with a live log."""
    outcomes = {"refused": 0, "warned": 0, "harmless": 0}
    for seed in range(100):
        store = tmp_path / f"{seed}"
        copy(stores[kind], store)
        what = damage(store, random.Random(seed))
        found, texts, error = opened(store)
        if error is not None:
            assert len(str(error).splitlines()) == 1
            outcomes["refused"] += 1
        elif texts:
            assert all("block" in text or "gone" in text or "damaged" in text for text in texts)
            outcomes["warned"] += 1
        else:
            assert is_same(found, stores["complete"]), f"silent: {what}"
            outcomes["harmless"] += 1
    assert min(outcomes["warned"], outcomes["harmless"]) > 5, outcomes


def settle_and_finish(store):
    """Settle a damaged store and run the sweep again; False where it is refused."""
    try:
        report = verify(store, repair=True)
    except StoreError:
        return False
    assert verify(store).lost == ()
    assert not verify(store).damaged
    run(store)
    assert verify(store).ok, report
    return True


@pytest.mark.parametrize("kind", ["closed", "live"])
def test_a_settled_store_is_finished_to_the_same_bits(tmp_path, stores, kind):
    num_settled = 0
    for seed in range(8):
        store = tmp_path / f"{seed}"
        copy(stores[kind], store)
        what = damage(store, random.Random(seed))
        if settle_and_finish(store):
            num_settled += 1
            found, texts, error = opened(store)
            assert (texts, error) == ([], None), what
            assert is_same(found, stores["complete"]), what
    assert num_settled >= 4


@pytest.mark.parametrize("seed", range(6))
def test_a_sweep_settles_a_damaged_store_by_itself(tmp_path, stores, seed):
    """Without verify: the sweep warns, or refuses, and its result is right."""
    store = tmp_path / "store"
    copy(stores["live" if seed % 2 else "closed"], store)
    damage(store, random.Random(1000 + seed))
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        try:
            found = run(store)
        except StoreError:
            return
    assert is_same(found, stores["complete"])
    again, texts, error = opened(store)
    assert (texts, error) == ([], None)
    assert is_same(again, stores["complete"])
    assert verify(store).ok


def test_a_destroyed_page_loses_its_own_blocks_only(tmp_path, stores):
    store = tmp_path / "store"
    shutil.copy(stores["closed"], store)
    with Store(store, write=True) as many:
        cell = next(iter(many.cells()))
        many.ask(cell, 4000)
        draws = {"size": np.arange(4, dtype=np.float32), "positive": np.ones(4, bool)}
        for block in range(6, 1000):
            many.put(cell, block, draws)
        many.flush()
        pages = many._db.execute("SELECT pageno FROM dbstat WHERE name = 'blocks'").fetchall() \
            if _has_dbstat(many) else [(20,), (30,)]  # fmt: skip
    content = bytearray(store.read_bytes())
    number = pages[len(pages) // 2][0]
    content[4096 * (number - 1) : 4096 * number] = bytes(4096)
    store.write_bytes(content)
    with pytest.raises(StoreError, match=r"repair=True.* keeps what is sound"):
        ji.sweeps.open_store(store)
    report = verify(store, repair=True)
    assert any("cannot be read through" in text for text in report.lost)
    assert any("quick_check" in text for text in report.lost)
    assert 0 < len(report.missing) < 200
    after = verify(store)
    assert after.missing == report.missing
    assert not after.lost


def _has_dbstat(store):
    options = {name for (name,) in store._db.execute("PRAGMA compile_options")}
    return "ENABLE_DBSTAT_VTAB" in options


_WRITER = """
import sys
import numpy as np
from jaxinv.sweeps.store._store import Store

with Store(sys.argv[1], write=True) as store:
    store.claim({"block_size": 2, "names": ["n"]})
    store.claim_program('{"n":1}', "program")
    store.ask('{"n":1}', 100_000)
    print("ready", flush=True)
    for block in range(50_000):
        store.put('{"n":1}', block, {"value": np.sin([block, block + 0.5])})
        if block % 7 == 6:  # blocks are durable in groups
            store.flush()
            print(block, flush=True)
"""


def test_a_power_cut_leaves_whole_blocks_only(tmp_path):
    """Files at random moments of a writer: a prefix of the blocks, with every finished one.

    The log is also cut at a random byte, as a disk may leave what was not yet synced.
    """
    generator = random.Random(0)
    arguments = [sys.executable, "-c", _WRITER, str(tmp_path / "store")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        finished = -1
        for moment in range(20):
            for _ in range(generator.randrange(1, 20)):
                finished = int(writer.stdout.readline())
            writer.send_signal(signal.SIGSTOP)
            copy(tmp_path / "store", tmp_path / f"{moment}")
            writer.send_signal(signal.SIGCONT)
            whole = _num_in_prefix(tmp_path / f"{moment}")
            assert finished + 1 <= whole
            log = tmp_path / f"{moment}-wal"
            if log.exists() and log.stat().st_size:
                cut = tmp_path / f"{moment}cut"
                copy(tmp_path / f"{moment}", cut)
                with open(f"{cut}-wal", "r+b") as file:
                    file.truncate(generator.randrange(log.stat().st_size))
                Path(f"{cut}.lock").unlink()  # the note tells of what this cut has lost
                with contextlib.suppress(StoreError):  # part of the log was in the file already
                    assert _num_in_prefix(cut) <= whole
        writer.kill()


def _num_in_prefix(path):
    with Store(path, write=False) as store:
        blocks = sorted((block, results) for _, block, results in store.blocks())
        assert not store.records.faults
        assert store.records.num_blocks in (len(blocks), None)
    assert [block for block, _ in blocks] == list(range(len(blocks)))
    for block, results in blocks:
        expected = np.sin([block, block + 0.5])
        np.testing.assert_array_equal(results["value"], expected, strict=True)
    return len(blocks)
