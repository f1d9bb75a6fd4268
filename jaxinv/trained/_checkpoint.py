"""Training that goes on where it was interrupted: its state in one file."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks, files

_FORMAT = 1
_SECONDS = 20.0  # between two writes
_WHERE = "fit"


class Checkpoint:
    """The file of one training; without a path it does nothing."""

    def __init__(self, path: Any, model: Any, key: Any, signals: Any, sizes: tuple[Any, ...]):
        self.path: Path | None = None
        self.held: Any = None
        self.written = time.monotonic()
        if path is None:
            return
        self.path = files.named(_WHERE, path)
        files.writable(_WHERE, "checkpoint", self.path)
        digest = hashlib.sha256(np.asarray(jax.random.key_data(key)).tobytes())
        digest.update(np.asarray(signals).tobytes())
        for leaf in jax.tree.leaves(model):
            digest.update(np.asarray(leaf).tobytes())
        self.identity = {
            "model": json.loads(json.dumps([model.name, model.config])),
            "steps, batch size, looks, held out, default optimizer": list(sizes),
            "key, signals and first weights": digest.hexdigest(),
        }

    def restored(self, carry: Any, past: Any) -> tuple[Any, Any]:
        """Return what the file holds, or what was given where there is no file."""
        if self.path is None or not os.path.lexists(self.path):
            return carry, past
        path, header, arrays = files.load(self.path, files.BUDGET, _damaged)
        if header.get("format") != _FORMAT or not isinstance(header.get("training"), dict):
            _damaged(path, "it holds no training of this version")
        for name, ours in self.identity.items():
            if header["training"].get(name) != ours:
                hint = "Give the same arguments as before, or another file."
                got = f"{path}, of another {name}"
                checks.fail(_WHERE, "checkpoint", "be of the same training", got, hint)
        expected, structure = jax.tree.flatten(carry)
        leaves = [arrays.get(f"leaf{index}") for index in range(len(expected))]
        for leaf, like in zip(leaves, expected, strict=True):
            if leaf is None or leaf.shape != like.shape or leaf.dtype != like.dtype:
                _damaged(path, "its arrays are not those of this optimizer")
        seen = [arrays.get(name) for name in ("losses", "values", "steps")]
        if any(part is None for part in seen):
            _damaged(path, "its history is missing")
        losses, values, steps = seen
        found = jax.tree.unflatten(structure, [jnp.asarray(leaf) for leaf in leaves])
        history = (
            (jnp.asarray(losses),),
            tuple(jnp.asarray(values)),
            tuple(int(s) for s in np.asarray(steps)),
        )
        return found, type(past)(*history)

    def hold(self, carry: Any, past: Any) -> None:
        """Keep the state; write it where the last time was long ago."""
        self.held = (carry, past)
        if time.monotonic() - self.written > _SECONDS:
            self.write()

    def write(self) -> None:
        """Write the state that is held."""
        if self.path is None or self.held is None:
            return
        carry, past = self.held
        arrays = {f"leaf{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(carry))}
        arrays["losses"] = np.concatenate([np.asarray(part) for part in past.losses])
        arrays["values"] = np.stack([np.asarray(value) for value in past.values])
        arrays["steps"] = np.asarray(past.steps)
        header = {"format": _FORMAT, "training": self.identity}
        files.write(_WHERE, self.path, header, arrays)
        self.written = time.monotonic()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.write()  # at the end, and where training is interrupted


def _damaged(path: Any, reason: str) -> NoReturn:
    hint = "Delete it to start again."
    checks.fail(_WHERE, "checkpoint", "be a training in order", f"{path}: {reason[:200]}", hint)
