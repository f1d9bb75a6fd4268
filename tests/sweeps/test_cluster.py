"""Sweeps on worker processes of Dask, and trials that could hang: each under a watchdog."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from sweep_toys import assert_same_bits, run

import jaxinv as ji
from jaxinv.sweeps import _cluster, connect, local_workers

TESTS = str(Path(__file__).parents[1])
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def client():
    with local_workers(2) as client:
        yield client


def test_workers_are_pinned_and_give_the_same_bits(client, tmp_path):
    cores = list(client.run(lambda: __import__("os").sched_getaffinity(0)).values())
    assert all(len(core) == 1 for core in cores)
    if len(os.sched_getaffinity(0)) > 1:
        assert cores[0] != cores[1]
    reports = []
    found = run(executor=client, store=tmp_path / "sweep.sqlite", progress=reports.append)
    assert_same_bits(found, run())
    assert reports[-1].report.num_workers == 2
    again = run(executor=client.get_executor(), store=tmp_path / "sweep.sqlite")
    assert_same_bits(found, again)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(client):
    expected = run(num_trials=400)
    killed = []

    def kill(progress):
        if progress.num_done >= 300 and not killed:
            pid = next(iter(client.run(os.getpid).values()))
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    found = run(num_trials=400, executor=client, progress=kill)
    assert killed
    assert_same_bits(found, expected)


def test_workers_that_could_hang_are_refused():
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 1, "dashboard_address": "127.0.0.1:0", "processes": False}
    with (
        distributed.LocalCluster(threads_per_worker=1, **options) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises(ValueError, match="processes of their own"),
    ):
        run(executor=client)


def test_nobody_at_the_address_is_said_within_ten_seconds(monkeypatch):
    assert _cluster._SECONDS_TO_ANSWER + 1 < 10
    monkeypatch.setattr(_cluster, "_SECONDS_TO_ANSWER", 1)  # a test need not wait as long
    with pytest.raises(ValueError, match=r"address of a running Dask scheduler.*dask scheduler"):
        connect("tcp://127.0.0.1:9")
    with socket.socket() as silent:  # takes connections, and says nothing
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        with pytest.raises(ValueError, match="address of a running Dask scheduler"):
            connect(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - began < 6
    with pytest.raises(TypeError, match="address must be"):
        connect("")
    with pytest.raises(ValueError, match="num_workers must be >= 1"), local_workers(0):
        pass


@pytest.mark.slow
def test_over_tls():
    pytest.importorskip("cryptography")
    distributed = pytest.importorskip("distributed")
    security = distributed.Security.temporary()
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            security=security,
            host="127.0.0.1",
        ) as cluster,
        distributed.Client(cluster, security=security) as client,
    ):
        assert cluster.scheduler_address.startswith("tls://")
        assert_same_bits(run(executor=client), run())
        with pytest.raises(ValueError, match="address of a running Dask scheduler"):
            connect(cluster.scheduler_address)  # without certificates


_LAPACK = """
import sys
sys.path.insert(0, {tests!r})
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
import jax, jax.numpy as jnp, numpy as np
from jaxinv.sweeps import local_workers, sweep

def trial(key, *, n):
    matrix = jax.random.normal(key, (4, n, n)) + 10 * jnp.eye(n)
    gram = matrix @ jnp.swapaxes(matrix, 1, 2)
    return {{"sum": jnp.sum(jnp.linalg.solve(gram, matrix)),
             "log": jnp.sum(jnp.linalg.cholesky(gram))}}

def run(**options):
    return sweep(trial, {{"n": [150, 151]}}, key=jax.random.key(0), num_trials=6, **options)

if __name__ == "__main__":
    one = run()
    ways = [run(num_devices=4)]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        ways.append(run(executor=pool))
    with local_workers(2) as client:
        ways.append(run(executor=client))
    for found in ways:
        for name in one.data_vars:
            np.testing.assert_array_equal(one[name], found[name], strict=True)
    ways = run(block_size=4)
    print("all ways ended")
"""


@pytest.mark.slow
def test_batched_lapack_never_hangs(tmp_path):
    script = tmp_path / "lapack.py"
    script.write_text(_LAPACK.format(tests=TESTS))
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "NPROC": "16",
    }
    ended = subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        timeout=300,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "all ways ended" in ended.stdout


def test_batched_lapack_with_many_programs_never_hangs():
    """Blocks of a batched solve run while the next program compiles."""
    code = _LAPACK.format(tests=TESTS).partition("if __name__")[0]
    code = code.replace("linalg.cholesky", "abs").replace("[150, 151]", "[150, 151, 152, 153]")
    environment = {name: value for name, value in os.environ.items() if name != "NPROC"}
    ended = subprocess.run(
        [sys.executable, "-c", code + "\nrun(); print('ended')"],
        env=environment,
        timeout=120,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "ended" in ended.stdout


def two_factorizations(key, *, n):
    matrix = jax.random.normal(key, (4, n, n)) + 10 * jnp.eye(n)
    gram = matrix @ jnp.swapaxes(matrix, 1, 2)
    return {
        "sum": jnp.sum(jnp.linalg.solve(gram, matrix)),
        "log": jnp.sum(jnp.linalg.cholesky(gram)),
    }


def test_a_trial_that_can_hang_is_warned_of(monkeypatch):
    """Small matrices take no threads: the warning comes before anything could hang."""
    monkeypatch.delenv("NPROC", raising=False)
    options = {"key": jax.random.key(0), "num_trials": 1}
    with pytest.warns(UserWarning, match=r"several batched LAPACK calls.*NPROC="):
        ji.sweep(two_factorizations, {"n": [3]}, **options)
    monkeypatch.setenv("NPROC", str(2 * (os.cpu_count() or 1)))
    ji.sweep(two_factorizations, {"n": [3]}, **options)
