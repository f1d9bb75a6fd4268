"""The engine: same bits however a sweep is cut up, one compile a figure, a store that lasts."""

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from sweep_toys import KEY, ONE, TRACED, TRIAL, assert_same_bits, run, traces, trial

import jaxinv as ji
from jaxinv.sweeps import StoreError, sweep
from jaxinv.sweeps._cells import canonical, cell_id, cell_key
from jaxinv.sweeps.store._store import Store


@pytest.fixture(scope="module")
def reference():
    return run()


def test_dataset_has_the_grid_and_the_trials(reference):
    assert dict(reference.sizes) == {"n": 2, "scale": 3, "trial": 10}
    assert list(reference["n"].values) == [6, 3]
    assert reference["steps"].dtype == np.int32
    assert reference["size"].dtype == np.float32
    assert (reference["steps"] == reference["n"]).all()


def test_trials_are_the_function_of_key_and_cell(reference):
    cell = {"n": 3, "scale": 0.5}
    key = jax.random.fold_in(cell_key(KEY, cell_id(cell)), 5)
    expected = TRIAL(key, **cell)
    found = reference.sel(cell).isel(trial=5)
    assert float(found["size"]) == pytest.approx(float(expected["size"]), rel=1e-5)


def test_one_trace_per_static_value():
    traces.clear()
    run()
    assert sorted(traces) == [3, 6]


def test_bits_do_not_depend_on_order_or_on_the_rest_of_the_grid(reference):
    permuted = run({"scale": [0.5, 2.0], "n": [3, 6]})
    assert_same_bits(permuted.transpose("n", "scale", "trial"), reference)
    alone = run(ONE)
    assert_same_bits(alone, reference)


def test_bits_do_not_depend_on_the_number_of_trials(reference):
    assert_same_bits(run(num_trials=3), reference)
    assert_same_bits(run(num_trials=13), reference)


def test_numpy_and_python_values_are_one_cell(reference):
    found = run({"n": np.array([3, 6]), "scale": [np.float64(1.0)]}, key=jax.random.PRNGKey(7))
    assert_same_bits(found, reference)
    assert canonical("n", np.int64(20)) == 20
    assert type(canonical("n", np.int64(20))) is int
    assert cell_id({"a": 1, "b": 2.0}) == cell_id({"b": 2.0, "a": 1})


def test_store_keeps_resumes_and_grows(tmp_path, reference):
    store = tmp_path / "sweep.sqlite"
    assert_same_bits(run(store=store), reference)
    traces.clear()
    done = []
    again = run(store=store, progress=lambda p: done.append(p.num_done))
    assert_same_bits(again, reference)
    assert done[-1] == 60
    more = run({"n": [6, 3, 2], "scale": [2.0, 1.0, 0.5, 0.25]}, num_trials=11, store=store)
    assert_same_bits(more, reference)
    opened = ji.sweeps.open_store(store)
    assert opened["size"].sizes == {"n": 3, "scale": 4, "trial": 11}
    assert_same_bits(opened, more)
    assert opened["size"].dtype == np.float32


def test_a_store_remembers_how_it_was_asked_for(tmp_path):
    store = tmp_path / "sweep.sqlite"
    for recipe in ({"seed": 0, "sizes": (1, 2)}, {"seed": 1}, {"sizes": [1, 2], "seed": 0}):
        sweep(constant, {"a": [1]}, key=KEY, num_trials=1, store=store, recipe=recipe)
    assert ji.sweeps.recipes(store) == [{"seed": 0, "sizes": [1, 2]}, {"seed": 1}]


def test_blocks_in_the_store_are_not_run_again(tmp_path):
    """Marked rows survive: what a resumed sweep returns comes from the file."""
    store = tmp_path / "sweep.sqlite"
    cell = {"n": 3, "scale": 1.0}
    run(ONE, store=store)
    with Store(store, write=True) as opened:
        marked = {"size": np.full(4, 7, np.float32), "sum": np.zeros(4, np.float32)}
        opened.put(cell_id(cell), 1, {**marked, "steps": np.zeros(4, np.int32)})
    found = run(ONE, store=store)["size"].values.ravel()
    assert (found[4:8] == 7).all()
    assert not (found[:4] == 7).any()


_KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from sweep_toys import run
from jaxinv.sweeps.store import _store

_store._SECONDS = {seconds}

def die(progress):
    if progress.num_done >= {blocks}:
        os.kill(os.getpid(), signal.SIGKILL)

run(store={store!r}, progress=die)
"""


@pytest.mark.parametrize(("after", "seconds"), [(26, 0.0), (26, 1.0)])
def test_a_killed_sweep_resumes_to_the_same_bits(tmp_path, reference, after, seconds):
    """A kill costs the blocks of the last second, and nothing else."""
    store = str(tmp_path / "sweep.sqlite")
    tests = str(Path(__file__).parents[1])
    code = _KILLED.format(tests=tests, store=store, blocks=after, seconds=seconds)
    ended = subprocess.run([sys.executable, "-c", code], check=False)
    assert ended.returncode == -signal.SIGKILL
    if seconds == 0:
        partial = ji.sweeps.open_store(store)
        assert 20 <= int(partial["size"].notnull().sum()) < 60
    assert_same_bits(run(store=store), reference)


def test_an_exception_in_a_sweep_loses_no_finished_block(tmp_path, reference):
    store = tmp_path / "sweep.sqlite"

    def interrupt(progress):
        if progress.num_done >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(store=store, progress=interrupt)
    with sqlite3.connect(store) as db:
        assert db.execute("SELECT count(*) FROM blocks").fetchone()[0] == 6
    assert_same_bits(run(store=store), reference)


def test_a_damaged_block_is_named_and_done_again(tmp_path, reference):
    store = tmp_path / "sweep.sqlite"
    run(store=store)
    with sqlite3.connect(store) as db:
        (payload,) = db.execute("SELECT payload FROM blocks WHERE block = 1 LIMIT 1").fetchone()
        flipped = bytearray(payload)
        flipped[-1] ^= 1
        db.execute("UPDATE blocks SET payload = ? WHERE payload = ?", (bytes(flipped), payload))
    with pytest.warns(UserWarning, match="damaged blocks .* block 1"):
        opened = ji.sweeps.open_store(store)
    assert int(opened["size"].isnull().sum()) == 4
    with pytest.warns(UserWarning, match="block 1 of .* is damaged: done again"):
        assert_same_bits(run(store=store), reference)
    assert_same_bits(run(store=store), reference)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": jax.random.key(8)}, "key is"),
        ({"block_size": 2}, "block_size is 4 in the store and 2 now"),
        ({"grid": {"n": [3]}, "traced": ()}, "names is"),
    ],
)
def test_a_store_of_another_configuration_is_refused(tmp_path, change, message):
    store = tmp_path / "sweep.sqlite"
    run(ONE, num_trials=1, store=store)
    with pytest.raises(StoreError, match=message):
        run(**{"grid": ONE, "store": store, **change})


def test_a_store_of_another_program_is_refused(tmp_path):
    store = tmp_path / "sweep.sqlite"
    run(ONE, num_trials=1, store=store)
    other = Partial(trial, jnp.ones((40, 40), jnp.float32))
    with pytest.raises(StoreError, match="another program for the cell"):
        sweep(other, ONE, key=KEY, traced=TRACED, num_trials=1, store=store)
    manifest_batch = run(ONE, num_trials=1, store=store, block_size=None)
    assert manifest_batch.attrs["block_size"] == 4


def test_new_cells_of_another_program_do_not_join_old_ones(tmp_path):
    options = {"key": KEY, "num_trials": 2, "store": tmp_path / "sweep.sqlite"}
    sweep(lambda key, *, a: {"x": a * jax.random.normal(key)}, {"a": [1.0]}, **options)
    with pytest.raises(StoreError, match="another program for the cell"):
        sweep(lambda key, *, a: {"x": a + jax.random.normal(key)}, {"a": [2.0]}, **options)
    same = sweep(lambda key, *, a: {"x": a * jax.random.normal(key)}, {"a": [2.5]}, **options)
    assert same.sizes["a"] == 1


def test_a_store_has_one_set_of_metrics(tmp_path):
    options = {"key": KEY, "num_trials": 2, "store": tmp_path / "sweep.sqlite"}
    sweep(lambda key, *, a: {"x": jax.random.normal(key)}, {"a": [1]}, **options)
    with pytest.raises(ValueError, match=r"\['x'\] in the cell {'a': 1} and \['z'\] in {'a': 2}"):
        sweep(lambda key, *, a: {"z": jax.random.normal(key)}, {"a": [2]}, **options)


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path):
    store = tmp_path / "sweep.sqlite"
    run(ONE, num_trials=1, store=store)
    with Store(store, write=True):
        with pytest.raises(StoreError, match=f"being written by process {os.getpid()}"):
            run(ONE, store=store)
        assert ji.sweeps.open_store(store)["size"].size == 1
    run(ONE, store=store)
    assert not list(tmp_path.glob("*.lock"))


def test_what_is_no_store_is_refused(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be taken for one\n" * 40)
    with pytest.raises(StoreError, match="cannot be read as a sweep"):
        run(store=text)
    assert text.read_text().startswith("not a database")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t (x)")
    with pytest.raises(StoreError, match="not one of a sweep"):
        ji.sweeps.open_store(other)
    with pytest.raises(StoreError, match="does not exist"):
        ji.sweeps.open_store(tmp_path / "missing.sqlite")
    with pytest.raises(StoreError, match="is a folder"):
        run(store=tmp_path)
    with pytest.raises(TypeError, match="store must be the path of a file"):
        ji.sweeps.open_store(None)
    with pytest.raises(StoreError, match="folder of store"):
        run(store=text / "such.sqlite")
    torn = tmp_path / "torn.sqlite"
    run(store=torn)
    content = bytearray(torn.read_bytes())
    content[8192:] = b"x" * (len(content) - 8192)
    torn.write_bytes(content)
    with pytest.raises(StoreError, match=r"the file is damaged|cannot be read"):
        ji.sweeps.open_store(torn)


def test_a_store_in_a_new_folder(tmp_path):
    store = tmp_path / "runs" / "deep" / "sweep.sqlite"
    run(ONE, num_trials=1, store=store)
    assert list(ji.sweeps.open_store(store).sizes) == ["n", "scale", "trial"]


def test_other_traced_names_are_another_program(tmp_path):
    store = tmp_path / "sweep.sqlite"
    run(ONE, num_trials=1, store=store)
    with pytest.raises(StoreError, match="another program for the cell"):
        run(ONE, num_trials=1, store=store, traced=())


def scaled(key, *, a):
    return {"value": 1.0 * a * jnp.ones(())}


def test_equal_numbers_are_one_value_and_true_is_another():
    assert cell_id({"a": 1.0}) == cell_id({"a": 1}) != cell_id({"a": True})
    with pytest.raises(ValueError, match="different values"):
        sweep(scaled, {"a": [1, 1.0]}, key=KEY, num_trials=1)
    found = sweep(scaled, {"a": [True, 1, 0.5]}, key=KEY, num_trials=2)
    np.testing.assert_array_equal(found["value"], [[1, 1], [1, 1], [0.5, 0.5]])


def test_worker_processes_give_the_same_bits(tmp_path, reference):
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        found = run(executor=pool, store=tmp_path / "sweep.sqlite")
    assert_same_bits(found, reference)


def test_executors_that_hang_are_refused():
    with ThreadPoolExecutor() as pool, pytest.raises(TypeError, match="use processes"):
        run(executor=pool)
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=fork) as pool, pytest.raises(ValueError, match="spawn"):
        run(executor=pool)
    with pytest.raises(TypeError, match="method submit"):
        run(executor=4)


def constant(key, *, a):
    return {"value": jnp.float32(a)}


def named(key, *, a):
    return {"a": jnp.zeros(())}


def vector(key, *, a):
    return {"value": jnp.zeros(3)}


def no_dict(key, *, a):
    return jnp.zeros(())


def wordy(key, *, a):
    return {"value": "yes"}


def changing(key, *, a):
    return {f"value{a}": jnp.zeros(())}


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"grid": []}, TypeError, "grid must be a dict"),
        ({"grid": {"a": []}}, ValueError, "at least one value"),
        ({"grid": {"a": [1, 1]}}, ValueError, "different values"),
        ({"grid": {"a": [1, np.int64(1)]}}, ValueError, "different values"),
        ({"grid": {"a": "text"}}, TypeError, "sequence of values"),
        ({"grid": {"trial": [1]}}, ValueError, "identifiers other than"),
        ({"grid": {"a": [float("nan")]}}, ValueError, "finite values"),
        ({"grid": {"a": [object()]}}, TypeError, "numbers, strings"),
        ({"traced": ("b",)}, ValueError, "one of a"),
        ({"grid": {"a": ["x"]}, "traced": ("a",)}, TypeError, "to be traced"),
        ({"key": 3}, TypeError, "PRNG key"),
        ({"num_trials": 0}, ValueError, "num_trials must be >= 1"),
        ({"block_size": -1}, ValueError, "block_size must be >= 1"),
        ({"trial": 3}, TypeError, "trial must be a function"),
        ({"progress": 3}, TypeError, "progress must be True or a function"),
        ({"store": 3}, TypeError, "store must be the path"),
        ({"store": ""}, TypeError, "store must be the path"),
        ({"grid": {"a": [2**40]}, "traced": ("a",)}, ValueError, "fit into int32"),
        ({"traced": 5}, TypeError, "traced must be a tuple of names"),
        ({"trial": named}, ValueError, "names other than 'trial', 'ran' and those"),
        ({"trial": vector}, ValueError, r"got shape \(3,\) for 'value'"),
        ({"trial": no_dict}, TypeError, "dict of scalars"),
        ({"trial": changing, "grid": {"a": [1, 2]}}, ValueError, "same names in every cell"),
        ({"trial": wordy}, TypeError, "got str 'yes'. This came as 'value'"),
        ({"recipe": {"a": 1}}, ValueError, "recipe must come with a store"),
        ({"recipe": "a", "store": "x"}, TypeError, "recipe must be a dict that JSON can hold"),
        ({"recipe": {"a": KEY}, "store": "x"}, ValueError, "dict that JSON can hold"),
        ({"recipe": {"a": np.inf}, "store": "x"}, ValueError, "dict that JSON can hold"),
        ({"grid": {"b": [1]}}, TypeError, r"trial\(key, b=...\).* It takes \(key, \*, a\)"),
    ],
)
def test_bad_input_is_named(arguments, error, message):
    given = {"trial": constant, "grid": {"a": [1]}, "key": KEY, "num_trials": 1, **arguments}
    with pytest.raises(error, match=message):
        sweep(given.pop("trial"), given.pop("grid"), **given)


def failing(key, *, a):
    return {"error": jnp.where(a > 1, jnp.nan, 0.0), "status": jnp.int32(3)}


@pytest.mark.skipif(jax.config.jax_enable_x64, reason="float64 holds it")
def test_a_traced_number_that_would_be_infinite_is_refused():
    with pytest.raises(ValueError, match="fit into float32, to be traced"):
        sweep(failing, {"a": [1e300]}, key=KEY, num_trials=1, traced=("a",))


def test_failed_trials_are_kept_and_count():
    found = sweep(failing, {"a": [1.0, 2.0]}, key=KEY, num_trials=4, traced=("a",))
    rates = ji.sweeps.success_rate(found["error"] < 1e-3)
    np.testing.assert_array_equal(rates["rate"], [1.0, 0.0])


def test_string_and_tuple_values():
    def widths(key, *, sizes, name):
        return {"total": jnp.float32(sum(sizes) + len(name))}

    found = sweep(widths, {"sizes": [(1, 2), (3, 4)], "name": ["x"]}, key=KEY, num_trials=2)
    assert float(found["total"].sel(sizes="(3, 4)", name="x")[0]) == 8
