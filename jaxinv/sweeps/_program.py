"""One compiled program for one block of trials, or for one block on each device."""

from __future__ import annotations

import inspect
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxinv._core import checks
from jaxinv._core.functions import as_function
from jaxinv.sweeps._blocks import Results
from jaxinv.sweeps._identity import calls_host, program_identity

Trial = Callable[..., Mapping[str, Any]]


class Block(NamedTuple):
    """Which trials to run: the key of their cell, their block, and the cell's traced values."""

    key_data: np.ndarray
    number: int
    traced: Mapping[str, Any]


class Program:
    """The trial for one set of static cell values, compiled for blocks of ``block_size``.

    Arrays of a ``jax.tree_util.Partial`` trial are arguments of the program, not constants. With
    several devices every call runs one block on each: the blocks are never cut, so that their
    bits are those of one device.
    """

    def __init__(
        self,
        trial: Trial,
        static: Mapping[str, Any],
        traced: Mapping[str, Any],
        block_size: int,
        *,
        key_impl: str,
        num_devices: int = 1,
    ) -> None:
        self.block_size, self.num_devices = block_size, num_devices
        self.static = dict(static)
        self._key_impl = key_impl
        self._leaves, self._tree = _split(trial)
        self._compiled: Any = None
        self._sharding: NamedSharding | None = None
        self._on_device = False
        began = time.perf_counter()
        key_data = jax.random.key_data(jax.random.key(0, impl=key_impl))
        example = self._arguments(Block(np.asarray(key_data), 0, traced))
        try:
            stage = jax.jit(self._block).trace(self._leaves, *example)
        except Exception as error:
            error.add_note(f"sweep: raised by the trial in the cell {dict(static)}")
            raise
        self.metrics = _check_metrics(stage.out_info, self.static)
        self._lowered = stage.lower()
        text = self._lowered.as_text()
        constants = getattr(getattr(self._lowered, "_lowering", None), "const_args", ())
        self.identity = program_identity(text, [*self._leaves, *constants])
        self.calls_host = calls_host(text, stage.jaxpr)
        _warn_of_lapack(text, self.static)
        if num_devices > 1:
            self._lowered = self._lower_sharded(example)
        self.seconds = time.perf_counter() - began

    def _block(self, leaves: Any, key_data: Any, indices: Any, traced: Any) -> Any:
        trial = jax.tree.unflatten(self._tree, leaves)
        key = jax.random.wrap_key_data(key_data, impl=self._key_impl)

        def one(index: Any) -> dict[str, Any]:
            result = trial(jax.random.fold_in(key, index), **self.static, **traced)
            if not isinstance(result, Mapping) or not result:
                checks.fail_type("sweep", "trial's result", "be a dict of scalars", result)
            return {str(name): _metric(str(name), value) for name, value in result.items()}

        if self.block_size == 1:  # no batch axis: conditionals stay conditionals
            return jax.tree.map(lambda value: value[None], one(indices[0]))
        return jax.vmap(one)(indices)

    def _arguments(self, block: Block) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        start = block.number * self.block_size
        indices = np.arange(start, start + self.block_size, dtype=np.uint32)
        traced = {name: _scalar(value) for name, value in block.traced.items()}
        return block.key_data, indices, traced

    def _lower_sharded(self, example: tuple[Any, ...]) -> Any:
        mesh = jax.make_mesh(
            (self.num_devices,),
            ("block",),
            axis_types=(AxisType.Auto,),
            devices=jax.local_devices()[: self.num_devices],
        )
        each, all_ = PartitionSpec("block"), PartitionSpec()

        def body(leaves: Any, *stacked: Any) -> Any:
            results = self._block(leaves, *jax.tree.map(lambda value: value[0], stacked))
            return jax.tree.map(lambda value: value[None], results)

        sharded = jax.shard_map(
            body,
            mesh=mesh,
            in_specs=(all_, each, each, each),
            out_specs=each,
            check_vma=False,  # it refuses scans that start from a constant
        )
        self._sharding = NamedSharding(mesh, all_)
        stacked = jax.tree.map(lambda value: np.stack([value] * self.num_devices), example)
        return jax.jit(sharded).lower(self._leaves, *stacked)

    def compile(self) -> None:
        """Compile now, if that has not been done. Runs no program."""
        if self._compiled is None:
            began = time.perf_counter()
            self._compiled = self._lowered.compile()
            self.seconds += time.perf_counter() - began

    def pop_seconds(self) -> float:
        """Return the seconds of tracing and compiling since this was last asked."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds

    def memory(self) -> int:
        """Return the bytes that one call takes, by the compiler's own account."""
        self.compile()
        found = self._compiled.memory_analysis()
        return found.temp_size_in_bytes + found.output_size_in_bytes + found.argument_size_in_bytes

    def start(self, blocks: Sequence[Block]) -> Any:
        """Begin at most ``num_devices`` blocks and return at once; ``collect`` waits for them."""
        self.compile()
        if not self._on_device:  # once: they are the same in every call
            self._leaves = jax.device_put(self._leaves, self._sharding)
            self._on_device = True
        if self.num_devices == 1:
            return self._compiled(self._leaves, *self._arguments(blocks[0]))
        filled = [*blocks, *[blocks[-1]] * (self.num_devices - len(blocks))]
        arguments = [self._arguments(block) for block in filled]
        stacked = jax.tree.map(lambda *values: np.stack(values), *arguments)
        return self._compiled(self._leaves, *stacked)

    def collect(self, running: Any, count: int = 1) -> list[Results]:
        """Wait for what ``start`` began; returns the results of its first ``count`` blocks."""
        # copies: views would keep the device's buffers alive, kilobytes for a few numbers
        found = {name: np.array(value) for name, value in jax.device_get(running).items()}
        if self.num_devices == 1:
            return [found]
        return [{name: value[i] for name, value in found.items()} for i in range(count)]


_FACTORIZATION = re.compile(
    r"custom_call @lapack_\w(?:getrf|potrf|geqrf|syevd|heevd|gesdd|geev)\w*\(.*num_batch_dims = "
    r'"[1-9]'
)


def _warn_of_lapack(text: str, static: Mapping[str, Any]) -> None:
    """Warn of a program that can hang: XLA runs independent LAPACK calls on one pool of threads.

    Two batched ones, each waiting for threads that the other holds, never end.
    """
    cores = os.cpu_count() or 1
    threads = os.environ.get("NPROC", "")
    enough = threads.isdigit() and int(threads) >= 2 * cores
    if enough or jax.default_backend() != "cpu" or len(_FACTORIZATION.findall(text)) < 2:
        return
    warnings.warn(
        f"sweep: the trial in the cell {dict(static)} makes several batched LAPACK calls, which "
        f"can hang on a CPU. Start Python with NPROC={max(16, 2 * cores)} in the environment.",
        stacklevel=2,
    )


def _metric(name: str, value: Any) -> jax.Array:
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError):
        hint = f"This came as {name!r}."
        checks.fail_type("sweep", "trial's result", "be a dict of numbers or booleans", value, hint)


def check_trial(trial: Trial, names: Sequence[str], *, is_sent: bool) -> None:
    """Refuse a trial that cannot be called with the grid's names, or sent to another process."""
    if not callable(trial):
        checks.fail_type("sweep", "trial", "be a function trial(key, **cell)", trial)
    try:
        signature = inspect.signature(trial)
    except (TypeError, ValueError):  # some builtins have none
        return
    try:
        signature.bind(None, **dict.fromkeys(names))
    except TypeError as error:
        call = f"trial(key, {', '.join(f'{name}=...' for name in names)})"
        raise TypeError(
            f"sweep: trial must take a key and the names of the grid, {call}: {error}. "
            f"It takes {signature}."
        ) from None
    if is_sent:
        try:
            ForkingPickler.dumps(trial)
        except Exception as error:
            raise TypeError(
                f"sweep: trial must be one that other processes can import: {error}. Define it at "
                "the top level of a module, or use Dask workers."
            ) from None


def _split(trial: Trial) -> tuple[list[Any], Any]:
    """Return the arrays of a Partial trial and the structure to rebuild it from.

    A plain function has no arrays: it is part of the structure.
    """
    leaves, tree = jax.tree.flatten(as_function("sweep", "trial", trial, "trial(key, **cell)"))
    return [_scalar(leaf) for leaf in leaves], tree


def _scalar(value: Any) -> Any:
    """Return an array of the default width for a Python number, so that types never change."""
    if isinstance(value, jax.Array):
        return value
    if isinstance(value, np.ndarray) and value.ndim:
        return value.astype(value.dtype.newbyteorder("="), copy=False)  # FITS has it the other way
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
