"""Trained generators in files: settings and weights; nothing in them is run or imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import generators
from jaxinv._core import checks, files, replace
from jaxinv.generators._learned import Learned

_FORMAT = 1
_MAKERS = {"vae": generators.vae, "flow": generators.flow, "gan": generators.gan}


def save(
    path: Any, model: Any, *, notes: Mapping[str, Any] | None = None, half: bool = False
) -> Path:
    """Write a trained generator to one file, an npz with a JSON header and a checksum.

    Args:
        path: where, in a folder that exists; the suffix ``.npz`` is added when there is none.
        model: what ``generators.vae``, ``flow`` or ``gan`` made, trained or not.
        notes: what should travel with the weights, in numbers and texts; ``load_notes`` returns
            it.
        half: write float16, half the size and three digits; for a VAE or GAN to be used, not
            trained on.

    Returns:
        The path written; an interruption leaves the old file.

    Raises:
        TypeError: no trained generator.
        ValueError: traced values; notes that JSON cannot hold; a folder that does not exist;
            weights that float16 does not hold.

    Example:
        >>> import tempfile, jaxinv as ji
        >>> G = ji.generators.vae(jax.random.key(0), (4, 4), 2, hidden=(8,))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     copy = load(save(f"{folder}/prior", G, notes={"of": "nothing"}))
        >>> bool((copy(jnp.ones(2)) == G(jnp.ones(2))).all())
        True
    """
    where = "save"
    model = _require(where, model)
    half = checks.boolean(where, "half", half)
    path = files.place(where, path, "model", model, notes)
    arrays = {name: np.asarray(leaf) for name, leaf in _leaves(model).items()}
    if half:
        arrays = {name: _halved(where, value) for name, value in arrays.items()}
    header = {
        "format": _FORMAT,
        "trained": model.name,
        "config": model.config,
        "parts": sorted(model.params),
        "dtype": jnp.dtype(model.dtype).name,
        "notes": dict(notes or {}),
    }
    files.write(where, path, header, arrays)
    return path


def load(path: Any, *, max_bytes: int = files.BUDGET) -> Any:
    """Read a trained generator that ``save`` wrote.

    Args:
        path: the file.
        max_bytes: most memory that the arrays may take up; known before they are read.

    Returns:
        The generator, as it was saved.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a damaged file, one of another kind or version.

    Example: see ``save``.
    """
    path, header, arrays = _read(path, max_bytes)
    try:
        _require_no_more_layers(header["config"], len(arrays))
        like = _shaped(header)
    except Exception as error:  # settings of any origin
        _damaged(path, f"its settings are not those of a {header['trained']} ({error})")
    expected = _leaves(like)
    if set(expected) != set(arrays):
        _damaged(path, "its arrays are not those of its settings")
    found = {}
    for name, leaf in expected.items():
        if arrays[name].shape != leaf.shape or arrays[name].dtype.kind != np.dtype(leaf.dtype).kind:
            _damaged(path, f"{name} has shape {arrays[name].shape}, by its settings {leaf.shape}")
        found[name] = jnp.asarray(arrays[name], leaf.dtype)
    structure = jax.tree.structure(like)
    return jax.tree.unflatten(structure, [found[name] for name in expected])


def load_notes(path: Any, *, max_bytes: int = files.BUDGET) -> dict[str, Any]:
    """Return the notes that were saved with a trained generator.

    Args:
        path: file that ``save`` wrote.
        max_bytes: memory that its arrays may take.

    Returns:
        The notes, plain values of JSON.

    Raises:
        ValueError: as ``load``.

    Example:
        >>> import tempfile, jaxinv as ji
        >>> G = ji.generators.vae(jax.random.key(0), (4, 4), 2, hidden=(8,))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_notes(save(f"{folder}/prior", G, notes={"seed": 1}))
        {'seed': 1}
    """
    path, header, _ = _read(path, max_bytes)
    return header["notes"]


def pretrained(name: str) -> Any:
    """Return a trained generator that comes with the library, without a download.

    Args:
        name: ``"mnist"``: the decoder of a VAE with 20 latents and softplus units, for digits of
            28 x 28 in [0, 1], trained on 4500 of the 5000 of ``data.mnist``.
            ``load_notes(trained.pretrained_path(name))`` says how it was made.

    Returns:
        The generator.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> pretrained("mnist")(jnp.zeros(20)).shape
        (28, 28)

    Source: the network of Bora, Jalal, Price, Dimakis (2017), "Compressed sensing using
        generative models"; data of LeCun, Cortes, Burges.
    """
    return load(pretrained_path(name))


def pretrained_path(name: str) -> Path:
    """Return the file of a generator that comes with the library.

    Args:
        name: as in ``pretrained``.

    Returns:
        Its path.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> load_notes(pretrained_path("mnist"))["seed"]
        0
    """
    folder = Path(__file__).parent / "weights"
    names = sorted(path.stem for path in folder.glob("*.npz"))
    return folder / f"{checks.choice('pretrained', 'name', name, names)}.npz"


def _require(where: str, model: Any) -> Any:
    if not isinstance(model, Learned):
        hint = "Other networks: unfolded.save takes any tree of arrays."
        checks.fail_type(where, "model", "be a generator of vae, flow or gan", model, hint)
    return model


def _leaves(model: Any) -> dict[str, Any]:
    """Return the arrays of a model by their paths."""
    found = jax.tree_util.tree_flatten_with_path(model)[0]
    return {jax.tree_util.keystr(path): leaf for path, leaf in found}


def _halved(where: str, value: np.ndarray) -> np.ndarray:
    if value.dtype.kind != "f":
        return value
    if not np.all(np.abs(value) < np.finfo(np.float16).max):
        checks.fail(where, "half", "be False: float16 does not hold the weights", "True")
    return value.astype(np.float16)


def _read(path: Any, max_bytes: Any) -> tuple[Path, dict[str, Any], dict[str, np.ndarray]]:
    path, header, arrays = files.load(path, max_bytes, _damaged)
    if header.get("trained") not in _MAKERS or not isinstance(header.get("notes"), dict):
        _damaged(path, "it holds no trained generator")
    if header.get("format") != _FORMAT:
        got = f"{path} of format {checks.show(header.get('format'))}"
        hint = "Train or save the generator again with this version."
        checks.fail("load", "path", f"be of format {_FORMAT}", got, hint)
    return path, header, arrays


def _require_no_more_layers(config: dict[str, Any], most: int) -> None:
    """Refuse settings of more layers than there are arrays, before any is laid out."""
    counts = [len(value) for value in config.values() if isinstance(value, list)]
    if max([*counts, config.get("num_layers", 0)], default=0) > most:
        raise ValueError(f"more layers than its {most} arrays")


def _shaped(header: dict[str, Any]) -> Any:
    """Return a model of the settings in a header, of which the arrays have shapes only."""
    config = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in header["config"].items()
    }
    make, dtype = _MAKERS[header["trained"]], header["dtype"]

    def made(key: Any) -> Any:
        model = make(key, **config, dtype=jnp.dtype(dtype))
        return replace(model, params={part: model.params[part] for part in header["parts"]})

    return jax.eval_shape(made, jax.random.key(0))


def _damaged(path: Any, reason: str) -> NoReturn:
    reason = " ".join(reason.split())[:300]
    hint = "Write one with jaxinv.trained.save."
    checks.fail("load", "path", "be a file of a trained generator", f"{path}: {reason}", hint)
