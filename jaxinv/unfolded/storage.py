"""Networks in files: one npz, its structure in a JSON header, no pickle."""

from __future__ import annotations

import hashlib
import importlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks, numerics
from jaxinv.operators import LinearOperator
from jaxinv.solvers import Layers

_FORMAT = 1
_HEADER = "header"
_PACKAGE = "jaxinv"


def save(path: Any, layers: Layers, *, notes: Mapping[str, Any] | None = None) -> Path:
    """Write a network to one file: weights, structure, and the operator it was made for.

    The file is an npz with a JSON header; every array is guarded by a checksum. It is written
    beside its place and moved there, so that an interruption leaves the old file.

    Args:
        path: where; the suffix ``.npz`` is added when there is none.
        layers: the network. Its solver's class must be one of this package.
        notes: what should travel with the weights, such as how signals are scaled, in numbers
            and texts; ``load_notes`` returns it.

    Returns:
        The path written.

    Raises:
        ValueError: notes that JSON cannot hold; a class of another package.
        TypeError: not a network.

    Example:
        >>> import tempfile, jaxinv as ji
        >>> A = ji.operators.dense(jnp.eye(3, 6) + 0.1)
        >>> layers = ji.unfolded.step_lista(A.matrix / jnp.linalg.norm(A.matrix, axis=0), 4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     copy = load(save(f"{folder}/net", layers))
        >>> bool((copy.solver.step_size == layers.solver.step_size).all())
        True
    """
    where = "save"
    if not isinstance(layers, Layers):
        checks.fail_type(where, "layers", "be a jaxinv.Layers", layers)
    if not checks.is_concrete(layers):
        checks.fail(where, "layers", "hold numbers", "traced values", "Save outside jit and vmap.")
    if notes is not None and not isinstance(notes, Mapping):
        checks.fail_type(where, "notes", "be a dict", notes)
    arrays: dict[str, np.ndarray] = {}
    header = {
        "format": _FORMAT,
        "network": _encode(where, layers, arrays),
        "notes": dict(notes or {}),
    }
    header["checksum"] = _checksum(header, arrays)
    try:
        text = json.dumps(header, allow_nan=False)
    except (TypeError, ValueError) as error:
        hint = f"JSON says: {error}."
        checks.fail(where, "notes", "hold numbers, texts, lists and dicts only", "others", hint)
    path = _path(where, path)
    path = path if path.suffix else path.with_suffix(".npz")
    checks.writable_folder(where, "path", path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    with draft.open("wb") as file:
        np.savez(file, **{_HEADER: np.asarray(text)}, **arrays)  # pyright: ignore[reportArgumentType]
    draft.replace(path)
    return path


def load(path: Any, *, operator: LinearOperator | None = None) -> Layers:
    """Read a network that ``save`` wrote.

    Args:
        path: the file.
        operator: when given, the network must have been made for this operator.

    Returns:
        The ``Layers``.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, one that is no network, one of a newer version, or weights
            for another operator.

    Example: see ``save``.
    """
    if operator is not None and not isinstance(operator, LinearOperator):
        checks.fail_type("load", "operator", "be a linear operator", operator)
    header, arrays = _read(path)
    try:
        layers = _decode(header["network"], arrays)
    except (KeyError, TypeError, AttributeError, ImportError) as error:
        _damaged(path, f"its structure is not one of this version ({error})")
    if not isinstance(layers, Layers):
        _damaged(path, "it holds no network")
    made_for = getattr(layers.solver, "operator", None)
    if operator is not None and made_for is None:
        hint = "Load without operator=: its solver has no field of that name."
        checks.fail("load", "path", "be a network that holds its operator", f"{path}", hint)
    if operator is not None and not numerics.same_arrays(made_for, operator):
        hint = "Load without operator= and read layers.solver.operator."
        got = f"{path}, made for another operator"
        checks.fail("load", "path", "be a network of the given operator", got, hint)
    return layers


def load_notes(path: Any) -> dict[str, Any]:
    """Return the notes that were saved with a network; raises as ``load``."""
    return _read(path)[0]["notes"]


def _path(where: str, path: Any) -> Path:
    if not isinstance(path, str | Path) or not str(path):
        checks.fail_type(where, "path", "be the path of a file", path)
    return Path(path)


def _read(path: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    path = _path("load", path)
    if not path.exists() and not path.suffix:
        path = path.with_suffix(".npz")
    if not path.exists():
        raise FileNotFoundError(f"load: path must be a file, got {path}, which does not exist.")
    if not zipfile.is_zipfile(path):
        _damaged(path, "it is no npz archive")
    try:
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            if _HEADER not in file.files:
                _damaged(path, "it is an npz file, but not of a network")
            arrays = {name: file[name] for name in file.files}
        header = json.loads(str(arrays.pop(_HEADER)))
        version, stated = header["format"], header.pop("checksum")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, TypeError) as error:
        _damaged(path, " ".join(str(error).split()) or type(error).__name__)
    if version != _FORMAT:
        checks.fail("load", "path", f"be of format {_FORMAT}", f"{path} of format {version}")
    if stated != _checksum(header, arrays):
        _damaged(path, "its checksum does not fit")
    return header, arrays


def _damaged(path: Any, reason: str) -> NoReturn:
    hint = "Write one with jaxinv.unfolded.save."
    checks.fail("load", "path", "be a network file in order", f"{path}: {reason}", hint)


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Return SHA-256 over the header and all arrays with their names, types and shapes."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, default=str).encode())
    for name in sorted(arrays):
        value = arrays[name]
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def _encode(where: str, value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a JSON tree for a value; its arrays go to ``arrays`` under numbered names."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        name = f"array{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {"array": name}
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return {"tuple": [_encode(where, entry, arrays) for entry in value]}
    if isinstance(value, list):
        return [_encode(where, entry, arrays) for entry in value]
    if is_dataclass(value) and type(value).__module__.split(".")[0] == _PACKAGE:
        held = {f.name: _encode(where, getattr(value, f.name), arrays) for f in fields(value)}
        return {"class": f"{type(value).__module__}:{type(value).__qualname__}", "fields": held}
    hint = "Save jax.tree.leaves(layers) with numpy.savez."
    checks.fail(where, "layers", f"be made of arrays and classes of {_PACKAGE}", value, hint)


def _decode(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if isinstance(tree, list):
        return [_decode(entry, arrays) for entry in tree]
    ((kind, content),) = tree.items() if len(tree) == 1 else (("class", tree["class"]),)
    if kind == "array":
        return jnp.asarray(arrays[content])
    if kind == "float":
        return float.fromhex(content)
    if kind == "tuple":
        return tuple(_decode(entry, arrays) for entry in content)
    found = _class(content)
    return found(**{name: _decode(entry, arrays) for name, entry in tree["fields"].items()})


def _class(name: str) -> Any:
    """Return a dataclass of this package by its name; nothing else is ever called."""
    module, _, attribute = name.partition(":")
    if module.split(".")[0] != _PACKAGE:
        raise ImportError(f"{name} is not of {_PACKAGE}")
    found = getattr(importlib.import_module(module), attribute)
    if not (isinstance(found, type) and is_dataclass(found)):
        raise TypeError(f"{name} is no dataclass")
    return found
