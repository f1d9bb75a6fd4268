"""Fits in files: what ``fit(resume=)`` continues, without anything that is run or imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks, files
from jaxinv.untrained._fitting import Fit, FitHistory, FitState

_FORMAT = 1
_KEYS = ("threefry2x32", "rbg", "unsafe_rbg")  # kinds of keys, as JAX names them
_PARTS = ("estimate", "params", "prior", "state")


def save(path: Any, fit: Fit) -> Path:
    """Write a fit to one file, to look at it or to go on with it later.

    Args:
        path: where, in a folder that exists; the suffix ``.npz`` is added when there is none.
        fit: what ``fit`` returned, or what an exception of ``progress`` carried.

    Returns:
        The path written; an interruption leaves the old file.

    Raises:
        TypeError: not a fit.
        ValueError: traced values; a folder that does not exist.

    Example:
        >>> import tempfile, jax, jaxinv as ji
        >>> x = jnp.outer(jnp.hanning(16), jnp.hanning(16))
        >>> problem = ji.Problem(ji.operators.identity((16, 16)), x)
        >>> prior = ji.generators.deep_decoder((16, 16), 8, 2)
        >>> first = ji.untrained.fit(jax.random.key(0), prior, problem, num_steps=50, stop=None)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     again = load(save(f"{folder}/fit", first), prior)
        >>> bool((again.x == first.x).all()), int(again.num_steps)
        (True, 50)
    """
    where = "save"
    if not isinstance(fit, Fit):
        checks.fail_type(where, "fit", "be what untrained.fit returned", fit)
    path = files.place(where, path, "fit", fit)
    arrays: dict[str, np.ndarray] = {}
    kinds: dict[str, str] = {}
    estimate = (fit.x, tuple(fit.history), fit.status, fit.num_steps)
    for part, tree in zip(_PARTS, (estimate, fit.params, fit.prior, fit.state), strict=True):
        for index, leaf in enumerate(jax.tree.leaves(tree)):
            name = f"{part}{index}"
            leaf = jnp.asarray(leaf)
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                kinds[name], leaf = str(jax.random.key_impl(leaf)), jax.random.key_data(leaf)
            arrays[name] = np.asarray(leaf)
    files.write(where, path, {"format": _FORMAT, "fit": kinds}, arrays)
    return path


def load(path: Any, prior: Any, *, max_bytes: int = files.BUDGET) -> Fit:
    """Read a fit that ``save`` wrote.

    Args:
        path: the file.
        prior: a prior of the same architecture; its input and start are taken from the file.
        max_bytes: most memory that the arrays may take up; known before they are read.

    Returns:
        The ``Fit``; its ``state`` is a tuple of arrays, which ``fit(resume=)`` puts in place.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, one that is no fit, one of another version or architecture.

    Example: see ``save``.
    """
    if not hasattr(prior, "params"):
        hint = "Such as generators.deep_decoder(shape), or generator.untrained(z)."
        checks.fail_type("load", "prior", "be an untrained prior", prior, hint)
    path, header, arrays = files.load(path, max_bytes, _damaged)
    kinds = header.get("fit")
    if not isinstance(kinds, dict) or header.get("format") != _FORMAT:
        _damaged(path, "it holds no fit of this version")
    for name, kind in kinds.items():
        try:
            if kind not in _KEYS:
                raise ValueError(kind)
            arrays[name] = jax.random.wrap_key_data(jnp.asarray(arrays[name]), impl=kind)
        except Exception:  # data of any shape and type
            _damaged(path, f"{checks.show(name)} is no key")
    leaves = {part: _part(arrays, part) for part in _PARTS}
    if sum(map(len, leaves.values())) != len(arrays) or len(leaves["estimate"]) != 9:
        _damaged(path, "its arrays are not those of a fit")
    x, *history, status, num_steps = leaves["estimate"]
    batch = status.shape
    return Fit(
        x,
        _like(path, "params", leaves["params"], prior.params, batch),
        FitHistory(*history),
        status,
        num_steps,
        _like(path, "prior", leaves["prior"], prior, ()),
        FitState((), tuple(leaves["state"])),
    )


def _part(arrays: dict[str, Any], part: str) -> list[Any]:
    """Return the leaves of one part, in their order."""
    names: list[str] = []
    while f"{part}{len(names)}" in arrays:
        names.append(f"{part}{len(names)}")
    return [jnp.asarray(arrays[name]) for name in names]


def _like(path: Any, part: str, leaves: list[Any], tree: Any, batch: tuple[int, ...]) -> Any:
    """Return the leaves as a tree like another one, if their shapes and types are its own."""
    expected, structure = jax.tree.flatten(tree)
    wanted = [((*batch, *jnp.shape(leaf)), jnp.asarray(leaf).dtype) for leaf in expected]
    if [(leaf.shape, leaf.dtype) for leaf in leaves] != wanted:
        got = f"another one than that of {part} in {path}"
        checks.fail("load", "prior", "have the fitted architecture", got)
    return jax.tree.unflatten(structure, leaves)


def _damaged(path: Any, reason: str) -> NoReturn:
    reason = " ".join(reason.split())[:300]
    hint = "Write one with jaxinv.untrained.save."
    checks.fail("load", "path", "be the file of a fit in order", f"{path}: {reason}", hint)
