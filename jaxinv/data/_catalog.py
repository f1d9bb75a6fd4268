"""Images shipped inside packages: found without a network."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

_SKIMAGE = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "checkerboard",
    "chelsea",
    "clock",
    "coffee",
    "coins",
    "colorwheel",
    "grass",
    "gravel",
    "horse",
    "hubble_deep_field",
    "immunohistochemistry",
    "logo",
    "microaneurysms",
    "moon",
    "page",
    "retina",
    "rocket",
    "text",
)
_MRI_SHAPE = (256, 256)


def missing(package: str) -> NoReturn:
    """Say which extra installs a package."""
    hint = "Run: python -m pip install 'jaxinv[data,viz]'"
    raise ModuleNotFoundError(f"data: {package} is not installed. {hint}", name=package)


def _skimage(name: str) -> Any:
    try:
        import skimage.data
    except ImportError:
        missing("scikit-image")
    return getattr(skimage.data, name)()


def _phantom() -> Any:
    return _skimage("shepp_logan_phantom")


def _sklearn(name: str) -> Any:
    try:
        from sklearn.datasets import load_sample_image
    except ImportError:
        missing("scikit-learn")
    return load_sample_image(f"{name}.jpg")


def _matplotlib_file(name: str) -> Path:
    try:
        import matplotlib
    except ImportError:
        missing("matplotlib")
    return Path(matplotlib.get_data_path()) / "sample_data" / name


def _mri_head() -> Any:
    # 16-bit big-endian, though the values fit 8 bits
    content = gzip.decompress(_matplotlib_file("s1045.ima.gz").read_bytes())
    return np.frombuffer(content, ">u2").reshape(_MRI_SHAPE).astype(np.uint8)


def _grace_hopper() -> Any:
    try:
        from PIL import Image
    except ImportError:
        missing("pillow")
    with Image.open(_matplotlib_file("grace_hopper.jpg")) as opened:
        return np.asarray(opened)


def _loaders() -> dict[str, tuple[Callable[..., Any], tuple[str, ...]]]:
    """Map each name to a loader and its arguments."""
    table: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
        name: (_skimage, (name,)) for name in _SKIMAGE
    }
    table |= {name: (_sklearn, (name,)) for name in ("china", "flower")}
    table["shepp_logan"] = (_phantom, ())
    table["mri_head"] = (_mri_head, ())
    table["grace_hopper"] = (_grace_hopper, ())
    return table


_TABLE = _loaders()
NAMES = tuple(sorted(_TABLE))


def load(name: str) -> Any:
    """Return a shipped image as its package stores it."""
    loader, arguments = _TABLE[name]
    return loader(*arguments)
