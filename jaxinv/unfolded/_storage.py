"""Networks in files: one npz, its structure in a JSON header; nothing in it is run or imported."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks, files, numerics
from jaxinv.operators import LinearOperator
from jaxinv.solvers import Layers, Solver

_FORMAT = 2
_NUMBERS = bool | int | float | complex


def save(path: Any, layers: Any, *, notes: Mapping[str, Any] | None = None) -> Path:
    """Write a network to one file: weights, structure, and the operator it was made for.

    The file is an npz with a JSON header; every array is guarded by a checksum. It is written
    beside its place and moved there, so that an interruption leaves the old file.

    Args:
        path: where, in a folder that exists; the suffix ``.npz`` is added when there is none.
        layers: the network. Of one that is made of classes of your own (or of any other tree of
            arrays, such as ``jax.tree.leaves(layers)``) the leaves are written, and
            ``load(path, like=...)`` puts them into a tree of the same shape.
        notes: what should travel with the weights, such as how signals are scaled, in numbers
            and texts; ``load_notes`` returns it.

    Returns:
        The path written.

    Raises:
        ValueError: notes that JSON cannot hold; a folder that does not exist; traced values.
        TypeError: leaves that are no numbers.

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
    path = files.place(where, path, "layers", layers, notes)
    arrays: dict[str, np.ndarray] = {}
    try:
        content = {"network": _encode(layers, arrays)}
    except _UnregisteredError as error:
        arrays = {}
        content = {"leaves": _leaves(where, layers, arrays), "of": str(error)}
    files.write(where, path, {"format": _FORMAT, **content, "notes": dict(notes or {})}, arrays)
    return path


def load(
    path: Any,
    *,
    operator: LinearOperator | None = None,
    like: Any = None,
    max_bytes: int = files.BUDGET,
) -> Any:
    """Read a network that ``save`` wrote.

    Args:
        path: the file.
        operator: when given, the network must have been made for this operator.
        like: a tree with leaves of the same paths, shapes and types, for a network of classes of
            your own; any network of the same layout will do, such as an untrained one.
        max_bytes: most memory that the arrays may take up; known before they are read.

    Returns:
        The ``Layers``; with ``like`` a tree like it.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, one that is no network, one of another version, one that
            needs ``like``, leaves that do not fit it, or weights for another operator.

    Example: see ``save``. A network of your own: ``layers = load(path, like=untrained)``.
    """
    if operator is not None and not isinstance(operator, LinearOperator):
        checks.fail_type("load", "operator", "be a linear operator", operator)
    path, header, arrays = _read(path, max_bytes)
    layers = _layers(path, header, arrays) if like is None else _fill(path, header, arrays, like)
    made_for = layers.operator if isinstance(layers, Layers) else None
    if operator is not None and made_for is None:
        hint = "Load without operator=: its solver names none that it was made for."
        checks.fail("load", "path", "be a network that holds its operator", f"{path}", hint)
    if operator is not None and not numerics.same_arrays(made_for, operator):
        hint = "Load without operator= and read layers.solver.operator."
        got = f"{path}, made for another operator"
        checks.fail("load", "path", "be a network of the given operator", got, hint)
    return layers


def load_notes(path: Any, *, max_bytes: int = files.BUDGET) -> dict[str, Any]:
    """Return the notes that were saved with a network.

    Args:
        path: file that ``save`` wrote.
        max_bytes: memory that its arrays may take.

    Returns:
        The notes, plain values of JSON.

    Raises:
        ValueError: as ``load``.

    Example:
        >>> import tempfile, jaxinv as ji
        >>> layers = ji.unfolded.step_lista(jnp.eye(3), 4)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = ji.unfolded.save(f"{folder}/network.npz", layers, notes={"seed": 1})
        ...     load_notes(path)
        {'seed': 1}
    """
    path, header, _ = _read(path, max_bytes)
    if not isinstance(header.get("notes"), dict):
        _damaged(path, "its notes are missing")
    return header["notes"]


def _read(path: Any, max_bytes: Any) -> tuple[Path, dict[str, Any], dict[str, np.ndarray]]:
    path, header, arrays = files.load(path, max_bytes, _damaged)
    if header.get("format") != _FORMAT:
        got = f"{path} of format {checks.show(header.get('format'))}"
        hint = "Train or save the network again with this version."
        checks.fail("load", "path", f"be of format {_FORMAT}", got, hint)
    return path, header, arrays


def _layers(path: Path, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> Layers:
    if "leaves" in header:
        hint = "Pass like=, a network of the same layout, such as an untrained one."
        got = f"{path}, the leaves of a tree with {checks.show(header.get('of'))}"
        checks.fail("load", "path", "be a network of jaxinv's own classes", got, hint)
    try:
        layers = _decode(header["network"], arrays)
        sound = isinstance(layers, Layers) and _is_sound(layers)
    except Exception as error:  # a structure of any origin
        _damaged(
            path, f"its structure is not one of this version ({type(error).__name__}: {error})"
        )
    if not sound:
        _damaged(path, "it holds no network")
    return layers


def _is_sound(layers: Layers) -> bool:
    """Whether a network has the parts of one, and arrays where arrays belong."""
    names = {name for name, _ in layers.axes} | set(layers.trainable)
    held = {field.name for field in fields(layers.solver)}
    return (
        isinstance(layers.solver, Solver)
        and names <= held
        and isinstance(layers.num_layers, int)
        and all(
            isinstance(x, _NUMBERS) or checks.is_number_array(x) for x in jax.tree.leaves(layers)
        )
    )


def _fill(path: Path, header: dict[str, Any], arrays: dict[str, np.ndarray], like: Any) -> Any:
    """Return a tree like another one, with the leaves of the file."""
    try:
        if "leaves" in header:
            found = [(str(name), arrays[array]) for name, array in header["leaves"]]
        else:
            tree = _decode(header["network"], arrays)
            found = [(jax.tree_util.keystr(place), leaf) for place, leaf in _with_paths(tree)]
    except Exception as error:
        _damaged(path, f"its leaves are not listed ({type(error).__name__})")
    expected, structure = jax.tree_util.tree_flatten_with_path(like)
    if len(found) != len(expected):
        got = f"{len(expected)} for the {len(found)} in {path}"
        checks.fail("load", "like", "have as many leaves as the file", got)
    bare = all(name == f"[{index}]" for index, (name, _) in enumerate(found))
    leaves = []
    for (name, value), (place, leaf) in zip(found, expected, strict=True):
        ours = jax.tree_util.keystr(place)
        if not bare and name != ours:
            checks.fail("load", "like", f"have a leaf {name} here", ours, f"That is in {path}.")
        leaves.append(_fitting(ours, value, leaf))
    return jax.tree.unflatten(structure, leaves)


def _fitting(name: str, value: Any, leaf: Any) -> Any:
    """Return a leaf of the file in the place of another; both must have one shape and type."""
    if isinstance(leaf, _NUMBERS) and np.shape(value) == ():
        return type(leaf)(np.asarray(value).item())
    ours, theirs = (f"shape {np.shape(x)} {np.asarray(x).dtype}" for x in (leaf, value))
    if ours != theirs:
        checks.fail("load", f"like{name}", f"have {theirs}, as in the file", ours)
    return jnp.asarray(value)


def _damaged(path: Any, reason: str) -> NoReturn:
    reason = " ".join(reason.split())[:300]
    hint = "Write one with jaxinv.unfolded.save."
    checks.fail("load", "path", "be a network file in order", f"{path}: {reason}", hint)


def _with_paths(tree: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def _leaves(where: str, tree: Any, arrays: dict[str, np.ndarray]) -> list[list[str]]:
    """Put the leaves of a tree into ``arrays``; return their paths and names."""
    found = []
    for place, leaf in _with_paths(tree):
        shown = f"layers{jax.tree_util.keystr(place)}"
        numeric = isinstance(leaf, _NUMBERS) or checks.is_number_array(leaf)
        if not numeric:
            checks.fail_type(where, shown, "be an array of numbers, as every leaf", leaf)
        found.append([jax.tree_util.keystr(place), _kept(leaf, arrays)])
    if not found:
        checks.fail_type(where, "layers", "be a jaxinv.Layers, or a tree of arrays", tree)
    return found


def _kept(value: Any, arrays: dict[str, np.ndarray]) -> str:
    name = f"array{len(arrays)}"
    arrays[name] = np.asarray(value)
    return name


class _UnregisteredError(Exception):
    """A class that no file may name; holds how it is called."""


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return a JSON tree for a value; its arrays go to ``arrays`` under numbered names."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if checks.is_number_array(value):
        return {"array": _kept(value, arrays)}
    if isinstance(value, float):
        return {"float": value.hex()}
    if type(value) is tuple:
        return {"tuple": [_encode(entry, arrays) for entry in value]}
    if type(value) is list:
        return [_encode(entry, arrays) for entry in value]
    registered = _names().get(type(value))
    if registered is None:
        raise _UnregisteredError(type(value).__name__)
    held = {f.name: _encode(getattr(value, f.name), arrays) for f in fields(value)}
    return {"class": registered, "fields": held}


def _decode(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if tree is None or isinstance(tree, bool | int | str):
        return tree
    if isinstance(tree, list):
        return [_decode(entry, arrays) for entry in tree]
    if "class" in tree:
        found = _classes()[tree["class"]]
        if {f.name for f in fields(found)} != set(tree["fields"]):  # pyright: ignore[reportArgumentType]
            raise ValueError(f"fields of {tree['class']}")
        held = {name: _decode(entry, arrays) for name, entry in tree["fields"].items()}
        for field in fields(found):  # pyright: ignore[reportArgumentType]
            if field.metadata.get("static", False):
                hash(held[field.name])  # jax.jit will want to
        return found(**held)
    ((kind, content),) = tree.items()
    if kind == "array":
        return jnp.asarray(arrays[content])
    if kind == "float":
        return float.fromhex(content)
    if kind == "tuple":
        return tuple(_decode(entry, arrays) for entry in content)
    raise ValueError(f"a {kind}")


@functools.cache
def _classes() -> dict[str, type]:
    """Return the class of every name."""
    from jaxinv import operators, prox, shrinkage, solvers, unfolded

    return {
        f"{folder.__name__.rpartition('.')[2]}.{name}": value
        for folder in (operators, prox, shrinkage, solvers, unfolded)
        for module in list(vars(folder).values())
        if inspect.ismodule(module) and module.__name__.startswith(f"{folder.__name__}.")
        for name, value in vars(module).items()
        if inspect.isclass(value) and is_dataclass(value) and value.__module__ == module.__name__
    }


@functools.cache
def _names() -> dict[type, str]:
    """Return the name of every class."""
    return {value: name for name, value in _classes().items()}
