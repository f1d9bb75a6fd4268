"""Settings for the whole suite. ``JAX_ENABLE_X64=1`` runs it in float64 mode as well."""

import atexit
import os
import shutil
import tempfile

if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # programs that several tests share compile once
    folder = tempfile.mkdtemp(prefix="jaxinv-test-cache-")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
