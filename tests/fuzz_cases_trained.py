"""The rows of the fuzzing tests for trained generators."""

import functools
from typing import Any

import numpy as np
from cases import floats
from fuzz_values import KEY, row

import jaxinv as ji


@functools.cache
def _small_vae() -> Any:
    return ji.generators.vae(KEY, 4, 2, hidden=(3,), likelihood="gaussian", dtype=floats())


def _signals() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 4)).astype(floats())


TRAINED = [
    row(
        "trained.diagnose",
        lambda: {"key": KEY, "model": _small_vae(), "signals": _signals(), "num_samples": 10},
        slow=True,
    ),
    row(
        "trained.fit",
        lambda: {"key": KEY, "model": _small_vae(), "signals": _signals(), "num_steps": 2},
        slow=True,
    ),
    row("trained.load", lambda: {"path": "no-such-file.npz"}),
    row("trained.load_notes", lambda: {"path": "no-such-file.npz"}, says=("load",)),
    row("trained.pretrained", lambda: {"name": "mnist"}),
    row("trained.pretrained_path", lambda: {"name": "mnist"}, says=("pretrained",)),
    row("trained.save", lambda: {"path": "/dev/null/a.npz", "model": _small_vae()}),
]  # fmt: skip
