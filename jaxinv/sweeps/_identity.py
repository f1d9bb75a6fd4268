"""What makes a result what it is: its program, without names, and all that changes its bits."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr

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
