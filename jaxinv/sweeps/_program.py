"""One compiled program for one block of trials, and what makes its results what they are."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import inspect
import os
import platform
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxinv._core import checks
from jaxinv._core.checks import as_function
from jaxinv.sweeps._metrics import metric, metric_types
from jaxinv.sweeps._tracers import explained, is_of_tracers

Results = dict[str, np.ndarray]
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
        where: str = "sweep",
    ) -> None:
        self.block_size, self.num_devices, self._where = block_size, num_devices, where
        self.static = dict(static)
        self._key_impl = key_impl
        self._leaves, self._tree = _split(where, trial)
        self._compiled: Any = None
        self._sharding: NamedSharding | None = None
        self._on_device = False
        began = time.perf_counter()
        key_data = jax.random.key_data(jax.random.key(0, impl=key_impl))
        example = self._arguments(Block(np.asarray(key_data), 0, traced))
        try:
            stage = jax.jit(self._block).trace(self._leaves, *example)
        except Exception as error:
            if is_of_tracers(error):
                raise explained(where, error, traced) from None
            error.add_note(f"{where}: raised by the trial in the cell {dict(static)}")
            raise
        self.metrics = metric_types(where, stage.out_info, self.static)
        self._lowered = stage.lower()
        text = self._lowered.as_text()
        constants = getattr(getattr(self._lowered, "_lowering", None), "const_args", ())
        self.identity = program_identity(text, [*self._leaves, *constants])
        self.calls_host = calls_host(text, stage.jaxpr)
        _warn_of_lapack(where, text, self.static)
        if num_devices > 1:
            self._lowered = self._lower_sharded(example)
        self.seconds = time.perf_counter() - began

    def _block(self, leaves: Any, key_data: Any, indices: Any, traced: Any) -> Any:
        trial = jax.tree.unflatten(self._tree, leaves)
        key = jax.random.wrap_key_data(key_data, impl=self._key_impl)
        where = self._where

        def one(index: Any) -> dict[str, Any]:
            result = trial(jax.random.fold_in(key, index), **self.static, **traced)
            if not isinstance(result, Mapping) or not result:
                hint = 'Name what is measured: return {"error": error}.'
                checks.fail_type(where, "trial's result", "be a dict of scalars", result, hint)
            return {name: metric(where, name, value) for name, value in result.items()}

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


def _warn_of_lapack(where: str, text: str, static: Mapping[str, Any]) -> None:
    """Warn of a program that can hang: XLA runs independent LAPACK calls on one pool of threads.

    Two batched ones, each waiting for threads that the other holds, never end.
    """
    cores = os.cpu_count() or 1
    threads = os.environ.get("NPROC", "")
    enough = threads.isdigit() and int(threads) >= 2 * cores
    if enough or jax.default_backend() != "cpu" or len(_FACTORIZATION.findall(text)) < 2:
        return
    warnings.warn(
        f"{where}: the trial in the cell {dict(static)} makes several batched LAPACK calls, which "
        f"can hang on a CPU. Start Python with NPROC={max(16, 2 * cores)} in the environment.",
        stacklevel=2,
    )


def check_trial(trial: Trial, names: Sequence[str], *, is_sent: bool, where: str = "sweep") -> None:
    """Refuse a trial that cannot be called with the grid's names, or sent to another process."""
    if not callable(trial):
        checks.fail_type(where, "trial", "be a function trial(key, **cell)", trial)
    try:
        signature = inspect.signature(trial)
    except (TypeError, ValueError):  # some builtins have none
        return
    try:
        signature.bind(None, **dict.fromkeys(names))
    except TypeError as error:
        call = f"trial(key, {', '.join(f'{name}=...' for name in names)})"
        raise TypeError(
            f"{where}: trial must take a key and the names of the grid, {call}: {error}. "
            f"It takes {signature}."
        ) from None
    if is_sent:
        try:
            ForkingPickler.dumps(trial)
        except Exception as error:
            raise TypeError(
                f"{where}: trial must be one that other processes can import: {error}. Define "
                "it at the top level of a module, or use Dask workers."
            ) from None


def _split(where: str, trial: Trial) -> tuple[list[Any], Any]:
    """Return the arrays of a Partial trial and the structure to rebuild it from.

    A plain function has no arrays: it is part of the structure.
    """
    leaves, tree = jax.tree.flatten(as_function(where, "trial", trial, "trial(key, **cell)"))
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


FLAGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
    "jax_disable_most_optimizations",
    "jax_optimization_level",
    "jax_exec_time_optimization_effort",
    "jax_memory_fitting_effort",
    "jax_compiler_enable_remat_pass",
)
_HARMLESS = ("--xla_force_host_platform_device_count", "--xla_dump_")
_ARITHMETIC = re.compile(r"(?:s?sse|avx|fma|f16c|amx|bmi|neon|asimd|sve|sme|fp|bf16|i8mm|mmx)\w*")
_CPU_FIELDS = ("vendor_id", "cpu family", "model", "CPU implementer", "CPU part")


def environment() -> dict[str, Any]:
    """Return what changes the bits of a result beside its program: device, flags, versions."""
    device = _device()
    return {
        "float": str(jnp.result_type(float)),
        "platform": device.platform,
        "device": device.device_kind,
        "driver": " ".join(device.client.platform_version.split()),
        "processor": _processor() if device.platform == "cpu" else None,
        "xla_flags": _xla_flags(),
        "jax_flags": {name: flag(name) for name in FLAGS},
        "jax": jax.__version__,
        "jaxlib": importlib.metadata.version("jaxlib"),
    }


def flag(name: str) -> Any:
    """Return a flag of JAX as it holds here; within a ``with`` it may differ from the global."""
    values = getattr(jax.config, "values", {})
    return getattr(jax.config, name, values.get(name))


def _device() -> Any:
    device = flag("jax_default_device")
    if isinstance(device, str):
        return jax.local_devices(backend=device)[0]
    return device or jax.local_devices()[0]


def _xla_flags() -> list[str]:
    """Return the flags of the compiler in order of their names, the last of each name."""
    words = f"{os.environ.get('XLA_FLAGS', '')} {os.environ.get('LIBTPU_INIT_ARGS', '')}".split()
    flags: dict[str, str] = {}
    for word in words:
        for flag in [word] if word.startswith("-") else _words_of(word):
            if not flag.startswith(_HARMLESS):
                flags[flag.partition("=")[0]] = flag
    return [flags[name] for name in sorted(flags)]


def _words_of(path: str) -> list[str]:
    """Return the flags in a file, as XLA takes a word that is none for the path of one."""
    try:
        return Path(path).read_text().split()
    except (OSError, UnicodeDecodeError):
        return [path]


@functools.cache
def _processor() -> str:
    """Return the maker, the model, and a digest of the arithmetic that this processor has."""
    fields: dict[str, str] = {}
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    words = (fields.get("flags") or fields.get("Features") or "").split()
    arithmetic = sorted(word for word in words if _ARITHMETIC.fullmatch(word))
    name = " ".join(fields[field] for field in _CPU_FIELDS if field in fields)
    features = digest(" ".join(arithmetic).encode())[:12]
    return f"{platform.machine()} {name}, features {features}"


def digest(*parts: bytes) -> str:
    """Return the SHA-256 of pieces, each with its length before it."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


def program_identity(text: str, leaves: Sequence[Any]) -> str:
    """Return the identity of a program: its text without names, and the arrays it is given."""
    parts = [canonical_text(text).encode()]
    for leaf in leaves:
        key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        value = np.asarray(jax.random.key_data(leaf) if key else leaf)
        kind = str(jax.random.key_impl(leaf)) if key else ""
        parts += [f"{kind} {value.dtype.name} {value.shape}".encode(), value.tobytes()]
    return digest(*parts)


_DEFINED = re.compile(r'func\.func (?:public |private )?@("[^"\n]*"|[\w.$-]+)\(')
_SYMBOL = re.compile(r'(custom_call )?@("[^"\n]*"|[\w.$-]+)')


def canonical_text(text: str) -> str:
    """Return the text of a program with its functions numbered in the order of appearance.

    The names are those of Python functions, which mean nothing. Targets of custom calls do.
    """
    numbers: dict[str, int] = {}
    for name in _DEFINED.findall(text):
        numbers.setdefault(name, len(numbers))

    def renamed(match: re.Match[str]) -> str:
        call, name = match.groups()
        return match.group() if call or name not in numbers else f"@f{numbers[name]}"

    _, _, body = text.partition("\n")  # the first line names the module
    head = re.sub(r"^module @\S+", "module", text[: len(text) - len(body)])
    return head + _SYMBOL.sub(renamed, body)


_HOST_CALL = re.compile(
    r'custom_call @"?\w*callback|call_target_name = "\w*callback|stablehlo\.(?:send|recv|outfeed)'
)


def calls_host(text: str, jaxpr: Any) -> bool:
    """Whether a program runs code that its text does not hold: Python's, or a foreign library's."""
    return bool(_HOST_CALL.search(text)) or "ffi_call" in set(_primitives(jaxpr))


def _primitives(jaxpr: Any) -> Iterator[str]:
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        yield equation.primitive.name
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if isinstance(part, ClosedJaxpr | Jaxpr):
                    yield from _primitives(part)
