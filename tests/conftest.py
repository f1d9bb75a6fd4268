"""Settings for the whole suite. ``JAX_ENABLE_X64=1`` runs it in float64 mode as well."""

import atexit
import gc
import itertools
import os
import shutil
import tempfile
from importlib import metadata

# Compiling is most of the suite's time. JAXINV_TEST_OPTIMIZED=1 compiles as users' programs are.
if not os.environ.get("JAXINV_TEST_OPTIMIZED"):
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    # half the time of a compile; XLA ends the process at a flag that it does not know
    if metadata.version("jaxlib").startswith("0.10."):
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

gc.set_threshold(50_000, 20, 50)  # traces are many small objects that live on

import jax  # noqa: E402  after the environment is set
import pytest  # noqa: E402

# Programs that several tests share compile once. Each process has a folder of its own, and its
# children have none: one that reads while another writes would find half an entry.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    folder = tempfile.mkdtemp(prefix="jaxinv-test-cache-")
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)

# Linux allows a process 65 530 mappings; every compiled program takes several
_MOST_MAPPINGS = 36_000
_TESTS_BETWEEN = 8  # looks at them: a module alone may compile more than there is room for
_ended = itertools.count(1)


@pytest.fixture(autouse=True)
def forget_programs():
    """Drop compiled programs before a process holds more than the system allows."""
    yield
    if next(_ended) % _TESTS_BETWEEN:
        return
    try:
        with open("/proc/self/maps") as file:
            count = sum(1 for _ in file)
    except OSError:  # no such file outside Linux
        count = 0
    if count >= _MOST_MAPPINGS:
        jax.clear_caches()
