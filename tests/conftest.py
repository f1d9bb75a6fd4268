"""Settings for the whole suite. ``JAX_ENABLE_X64=1`` runs it in float64 mode as well."""

import atexit
import os
import shutil
import tempfile

# Programs that several tests share compile once. Each worker process has a folder of its own:
# one that reads while another writes would find half an entry.
_OURS = "JAXINV_TEST_CACHE"
if "JAX_COMPILATION_CACHE_DIR" not in os.environ or _OURS in os.environ:
    folder = tempfile.mkdtemp(prefix="jaxinv-test-cache-")
    os.environ[_OURS] = "1"
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
