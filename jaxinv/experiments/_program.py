"""One compiled program for one block of trials."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks

Trial = Callable[..., Mapping[str, Any]]

_DEFAULT_BLOCK = {"cpu": 1}
_DEFAULT_BLOCK_ACCELERATOR = 256


def default_micro_batch() -> int:
    """Return the trials per block that suit the platform.

    One on CPUs, where a batch waits for its slowest trial and falls out of the cache; hundreds
    on accelerators, where one trial does not fill the device.
    """
    return _DEFAULT_BLOCK.get(jax.default_backend(), _DEFAULT_BLOCK_ACCELERATOR)


class Program:
    """The trial for one set of static cell values, compiled for blocks of ``micro_batch``.

    Arrays of a ``jax.tree_util.Partial`` trial are arguments of the program, not constants.
    """

    def __init__(
        self, trial: Trial, static: Mapping[str, Any], traced: Mapping[str, Any], micro_batch: int
    ) -> None:
        self.micro_batch = micro_batch
        self.static = dict(static)
        self._leaves, tree = _split(trial)
        self._tree = tree
        self._compiled: Any = None
        key = jax.random.key(0)
        indices = np.zeros(micro_batch, np.uint32)
        example = {name: _scalar(value) for name, value in traced.items()}
        stage = jax.jit(self._block).trace(self._leaves, key, indices, example)
        self.metrics = _check_metrics(stage.out_info, self.static)
        self._lowered = stage.lower()
        self.identity = self._identity()

    def _block(self, leaves: Any, key: Any, indices: Any, traced: Any) -> Any:
        trial = jax.tree.unflatten(self._tree, leaves)

        def one(index: Any) -> dict[str, Any]:
            result = trial(jax.random.fold_in(key, index), **self.static, **traced)
            if not isinstance(result, Mapping) or not result:
                checks.fail_type("sweep", "trial's result", "be a dict of scalars", result)
            return {str(name): jnp.asarray(value) for name, value in result.items()}

        if self.micro_batch == 1:  # no batch axis: conditionals stay conditionals
            return jax.tree.map(lambda value: value[None], one(indices[0]))
        return jax.vmap(one)(indices)

    def _identity(self) -> str:
        digest = hashlib.sha256(self._lowered.as_text().encode())
        for leaf in self._leaves:
            value = np.asarray(leaf)
            digest.update(f"{value.dtype.str}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    def compile(self) -> None:
        """Compile now, if that has not been done."""
        if self._compiled is None:
            self._compiled = self._lowered.compile()

    def run(self, key: jax.Array, block: int, traced: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Run one block of trials of a cell; returns one array (micro_batch,) a metric."""
        self.compile()
        start = block * self.micro_batch
        indices = np.arange(start, start + self.micro_batch, dtype=np.uint32)
        arguments = {name: _scalar(value) for name, value in traced.items()}
        results = jax.device_get(self._compiled(self._leaves, key, indices, arguments))
        return {name: np.asarray(value) for name, value in results.items()}


def _split(trial: Trial) -> tuple[list[Any], Any]:
    """Return the arrays of a Partial trial and the structure to rebuild it from.

    A plain function has no arrays: it is part of the structure.
    """
    if not callable(trial):
        checks.fail_type("sweep", "trial", "be a function trial(key, **cell)", trial)
    if not isinstance(trial, jax.tree_util.Partial):
        trial = jax.tree_util.Partial(trial)
    leaves, tree = jax.tree.flatten(trial)
    for leaf in leaves:
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | float | int | complex):
            hint = "Put settings that are not numbers into static fields or the function."
            checks.fail_type("sweep", "trial's bound values", "be arrays or numbers", leaf, hint)
    return [_scalar(leaf) for leaf in leaves], tree


def _scalar(value: Any) -> Any:
    """Return an array of the default width for a Python number, so that types never change."""
    if isinstance(value, jax.Array) or (isinstance(value, np.ndarray) and value.ndim):
        return value
    kind = np.asarray(value).dtype.kind
    default = {"b": np.bool_, "i": jnp.result_type(int), "f": jnp.result_type(float)}
    return np.asarray(value, default.get(kind, np.asarray(value).dtype))


def _check_metrics(out_info: Any, static: Mapping[str, Any]) -> dict[str, np.dtype]:
    for name, info in out_info.items():
        if len(info.shape) != 1:
            got = f"shape {info.shape[1:]} for {name!r} in cell {dict(static)}"
            hint = "Return a summary, such as a norm."
            checks.fail("sweep", "trial's result", "be a dict of scalars", got, hint)
        if not any(jnp.issubdtype(info.dtype, kind) for kind in (np.number, np.bool_)):
            got = f"{info.dtype} for {name!r}"
            checks.fail("sweep", "trial's result", "be a dict of numbers", got)
    return {name: np.dtype(info.dtype) for name, info in sorted(out_info.items())}
