"""What ``jaxinv reconstruct`` was given: measurements and an operator from files that fit."""

from __future__ import annotations

import argparse
from typing import Any, NamedTuple, NoReturn

import numpy as np

from jaxinv._core import checks
from jaxinv._core.outside import fail
from jaxinv.data._arrays import HDF5, Loaded, read_array

WHERE = "reconstruct"
OPERATORS = ("identity", "mask", "blur", "downsample", "mri", "multicoil")
BOUNDARIES = ("wrap", "reflect", "zero", "valid")
SCANS = ("mri", "multicoil")
_MEANT = {
    "deblur": "blur", "deconvolution": "blur", "convolution": "blur", "denoise": "identity",
    "denoising": "identity", "inpainting": "mask", "inpaint": "mask", "fourier": "mri",
    "kspace": "mri", "sense": "multicoil", "superresolution": "downsample", "sr": "downsample",
}  # fmt: skip
_SIMULATED = ("hadamard", "gaussian")
_FOR = {
    "mask": ("mask", *SCANS),
    "kernel": ("blur",),
    "boundary": ("blur",),
    "factor": ("downsample",),
    "maps": ("multicoil",),
    "slice": SCANS,
    "kspace": SCANS,
    "real": SCANS,
}
_NAMES = ("y", "kspace", "measured", "image")  # of arrays in an .npz
_LARGEST = 2**24  # pixels of an image; solvers hold some twenty of its size
_MOST_CHANNELS = 4


class Given(NamedTuple):
    """Measurements as an array, their operator, and what was seen in the files.

    Attributes:
        y: of ``operator.out_shape``, and channels.
        operator: linear.
        shape: of the image.
        text: what was measured, in words.
        notes: what was changed or is odd, a line each.
        is_picture: whether 1 is the largest value of a picture.
    """

    y: np.ndarray
    operator: Any
    shape: tuple[int, ...]
    text: str
    notes: list[str]
    is_picture: bool


def given(options: argparse.Namespace) -> Given:
    """Read and check the files that the options name."""
    _check_operator(options)
    _require_measured(options.measured)
    loaded = read(options, "measured", *_NAMES)
    notes: list[str] = []
    if options.operator in SCANS:
        from jaxinv._commands._kspace import scanned

        return scanned(options, loaded, notes)
    if loaded.path.suffix.lower() in HDF5:
        fail(WHERE, "--operator", "be mri or multicoil for .h5", repr(options.operator))
    y, is_picture = _pixels(loaded, "MEASURED", notes)
    if options.operator == "mask":
        return _masked(options, loaded, y, notes, is_picture)
    _finite(y, loaded)
    y = _as_image(y, loaded, notes)
    makers: Any = {"identity": _identity, "blur": _blurred, "downsample": _downsampled}
    operator, shape, text = makers[options.operator](options, y, notes)
    return Given(y, operator, (*shape, *y.shape[2:]), text, notes, is_picture)


def truth(options: argparse.Namespace, shape: tuple[int, ...]) -> np.ndarray:
    """Return the true image, which only scores look at."""
    notes: list[str] = []
    loaded = read(options, "truth", "truth", "x", "image")
    x = _as_image(_pixels(loaded, "--truth", notes)[0], loaded, notes)
    if x.shape != shape:
        hint = turned(x.shape, shape) or "Scores compare pixel by pixel: crop or resize it."
        if x.shape[:2] == shape[:2]:
            hint = "One of the two is in color: save both in gray, or both in color."
        if options.operator == "multicoil" and options.maps is None:
            hint = "Without --maps there is an image for each coil; with them there is one."
        fail(WHERE, "--truth", f"have the image's size {sized(shape)}", sized(x.shape), hint)
    return x


def read(options: argparse.Namespace, option: str, *names: str) -> Loaded:
    """Return what the file of an option holds; of an .npz the array by one of some names."""
    return read_array(
        WHERE,
        "MEASURED" if option == "measured" else f"--{option}",
        getattr(options, option),
        names=names,
        index=options.slice if option == "measured" else None,
        max_bytes=options.max_bytes,
    )


def read_mask(options: argparse.Namespace, notes: list[str]) -> np.ndarray:
    """Return a mask as Booleans, of any number of axes; says where others than 0 and 1 were."""
    loaded = read(options, "mask", "mask")
    values = _gray(loaded, "--mask")
    if not np.all(np.isfinite(values)):
        fail(WHERE, "--mask", "hold 0 and 1", "NaN or infinity")
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low < 0:
        fail(WHERE, "--mask", "hold 0 and 1", f"values from {low:g}", "1 is measured.")
    if high == 0:
        hint = "White, or 1, is measured."
        fail(WHERE, "--mask", "have a measured point", f"0 everywhere in {loaded.path}", hint)
    levels = np.unique(values)
    if not set(levels.tolist()) <= {0.0, high}:
        measured = values > high / 2
        notes.append(
            f"--mask has other levels than 0 and 1 ({len(levels)} in all): above {high / 2:.3g}, "
            f"half of the largest, counts as measured ({measured.mean():.1%})"
        )
        return measured
    return values > 0


def sized(shape: tuple[int, ...]) -> str:
    """Return a shape as it is spoken."""
    return " x ".join(str(size) for size in shape)


def turned(one: tuple[int, ...], other: tuple[int, ...]) -> str:
    """Return a hint where height and width of one are those of the other, exchanged."""
    if one[:2] == other[1::-1] != other[:2]:
        return "One of the two is turned: exchange its height and width."
    return ""


def _check_operator(options: argparse.Namespace) -> None:
    name = options.operator
    if name is None:
        expected = f"be given, one of {', '.join(OPERATORS)}"
        fail(WHERE, "--operator", expected, "none", "It says how the image was measured.")
    if name not in OPERATORS:
        meant = _MEANT.get(name.lower().replace("-", "").replace("_", ""))
        hint = f"Did you mean {meant!r}?" if meant else ""
        if name in _SIMULATED:
            hint = (
                f"jaxinv simulate has {name}; own matrices and functions: jaxinv.reconstruct(y, "
                "operator) in Python."
            )
        if hint:
            fail(WHERE, "--operator", f"be one of {', '.join(OPERATORS)}", repr(name), hint)
        checks.choice(WHERE, "--operator", name, OPERATORS)
    for option, operators in _FOR.items():
        value = getattr(options, option)
        if value not in (None, False) and name not in operators:
            hint = f"It is for {', '.join(operators)}."
            fail(WHERE, f"--{option}", f"be left out for --operator {name}", str(value), hint)
    if options.boundary is not None:
        checks.choice(WHERE, "--boundary", options.boundary, BOUNDARIES)


def _require_measured(name: str) -> None:
    """Say what to do with the name of an image that comes with the packages."""
    from pathlib import Path

    from jaxinv.data import image_names

    if name in image_names() and not Path(name).exists():
        hint = f"jaxinv simulate {name} measures that image, and reconstructs it."
        fail(WHERE, "MEASURED", "be a file of measurements", f"the name {name!r}", hint)


def _pixels(loaded: Loaded, argument: str, notes: list[str]) -> tuple[np.ndarray, bool]:
    """Return values as floats or complex numbers, and whether they are those of a picture."""
    values = loaded.values
    if 0 in values.shape:
        fail(WHERE, argument, "hold numbers", f"{loaded.path} with shape {values.shape}")
    if loaded.is_picture or values.dtype == bool:
        return values.astype(np.float32), True
    if values.dtype.kind == "u":
        most = np.iinfo(values.dtype).max
        notes.append(f"{loaded.path.name}: {values.dtype} is divided by {most}")
        return (values / most).astype(np.float32), True
    if values.dtype.kind == "c":
        return values, False
    return values.astype(np.float32) if values.dtype.kind == "i" else values, False


def _as_image(y: np.ndarray, loaded: Loaded, notes: list[str]) -> np.ndarray:
    """Return (h, w), or (h, w, c) where the channels differ."""
    if y.ndim == 3 and y.shape[2] > _MOST_CHANNELS and y.shape[0] <= _MOST_CHANNELS:
        _wrong_axes(y, loaded, "Put channels last: np.moveaxis(y, 0, -1).")
    if y.ndim not in (2, 3) or (y.ndim == 3 and y.shape[2] > _MOST_CHANNELS):
        hint = "Reshape it to (height, width)." if y.ndim == 1 else "Save one image of it."
        _wrong_axes(y, loaded, hint)
    if y.ndim == 3 and all(_same(y[..., 0], y[..., i]) for i in range(1, y.shape[2])):
        if y.shape[2] > 1:
            notes.append(f"{loaded.path.name}: its channels are equal and taken as one")
        return y[..., 0]
    return y


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=True)


def _wrong_axes(y: np.ndarray, loaded: Loaded, hint: str) -> NoReturn:
    got = f"{loaded.path} with shape {y.shape}"
    fail(WHERE, "MEASURED", "be an image (h, w) or (h, w, 3)", got, hint)


def _finite(y: np.ndarray, loaded: Loaded) -> None:
    bad = int(np.sum(~np.isfinite(y)))
    if bad:
        hint = "For pixels that were not measured use --operator mask."
        fail(WHERE, "MEASURED", "be finite", f"{bad} NaN or infinite in {loaded.path}", hint)


def _gray(loaded: Loaded, argument: str) -> np.ndarray:
    """Return real values; of a picture in color, its one channel."""
    values = np.asarray(loaded.values)
    if values.dtype.kind == "c":
        fail(WHERE, argument, "hold real numbers", f"{values.dtype} in {loaded.path}")
    if loaded.is_picture and values.ndim == 3:
        if not all(_same(values[..., 0], values[..., i]) for i in (1, 2)):
            got = f"{loaded.path} in color"
            fail(WHERE, argument, "be gray", got, "Save it as a gray picture, or .npy.")
        return values[..., 0]
    return values.astype(np.float64)


def _identity(options: Any, y: np.ndarray, notes: list[str]) -> Any:
    from jaxinv import operators

    if options.noise_std == 0:
        hint = "Leave it out to estimate it. Without noise the image is the answer."
        fail(WHERE, "--noise-std", "be > 0 for --operator identity", "0", hint)
    return operators.identity(y.shape[:2]), y.shape[:2], "every pixel, in noise"


def _blurred(options: Any, y: np.ndarray, notes: list[str]) -> Any:
    from jaxinv import operators

    kernel = _kernel(options, notes)
    boundary = options.boundary or "reflect"
    sides = y.shape[:2]
    if boundary == "valid":
        sides = tuple(n + k - 1 for n, k in zip(sides, kernel.shape, strict=True))
    elif any(k > n for k, n in zip(kernel.shape, sides, strict=True)):
        expected = f"be no larger than the image, {sized(sides)}"
        hint = turned(kernel.shape, sides) or "Crop it to where it is not 0."
        fail(WHERE, "--kernel", expected, sized(kernel.shape), hint)
    operator = operators.convolution(kernel, sides, boundary=boundary)
    text = f"blurred by a kernel of {sized(kernel.shape)}, boundary {boundary}"
    return operator, sides, text


def _kernel(options: Any, notes: list[str]) -> np.ndarray:
    """Return the kernel with sum 1."""
    if options.kernel is None:
        hint = "Pass --kernel k.npy, or a gray picture of it."
        fail(WHERE, "--kernel", "be given for --operator blur", "none", hint)
    kernel = _gray(read(options, "kernel", "kernel"), "--kernel")
    if kernel.ndim != 2:
        hint = "np.outer(k, k) makes one of a profile." if kernel.ndim == 1 else ""
        fail(WHERE, "--kernel", "have shape (height, width)", f"{kernel.shape}", hint)
    if not np.all(np.isfinite(kernel)):
        fail(WHERE, "--kernel", "be finite", "NaN or infinity")
    if not np.any(kernel):
        hint = "Nothing would be seen through it: check the file."
        fail(WHERE, "--kernel", "not be 0 everywhere", options.kernel, hint)
    total = float(kernel.sum())
    if total <= 1e-6 * float(np.abs(kernel).sum()):
        hint = "A blur keeps the brightness: its kernel has sum 1, and is divided by its sum."
        fail(WHERE, "--kernel", "have a sum > 0", f"{total:.4g}", hint)
    if abs(total - 1) > 1e-3:
        notes.append(f"--kernel has sum {total:.4g} and is divided by it: a blur keeps brightness")
    if kernel.min() < 0:
        notes.append("--kernel has negative entries, which no blur by light has")
    return (kernel / total).astype(np.float32)


def _downsampled(options: Any, y: np.ndarray, notes: list[str]) -> Any:
    from jaxinv import operators

    if options.factor is None:
        hint = "Pass --factor 2 for an image of twice the height and width."
        fail(WHERE, "--factor", "be given for --operator downsample", "none", hint)
    if options.factor < 2:
        hint = "At 1 nothing is averaged: that is --operator identity."
        fail(WHERE, "--factor", "be >= 2", f"{options.factor}", hint)
    sides = tuple(options.factor * n for n in y.shape[:2])
    if sides[0] * sides[1] > _LARGEST:
        expected = f"lead to at most {_LARGEST} pixels"
        fail(WHERE, "--factor", expected, f"{sized(sides)}", "Crop the image, or lower it.")
    text = f"averages over {options.factor} x {options.factor} pixels"
    return operators.downsample(options.factor, sides), sides, text


def _masked(
    options: Any, loaded: Loaded, y: np.ndarray, notes: list[str], is_picture: bool
) -> Given:
    from jaxinv import operators

    if options.mask is not None:
        mask = read_mask(options, notes)
        if mask.ndim != 2:
            fail(WHERE, "--mask", "have shape (height, width)", f"{mask.shape}")
        if mask.all():
            hint = "Where every pixel was measured use --operator identity."
            fail(WHERE, "--mask", "leave a pixel out", "1 everywhere", hint)
        y = _placed(y, mask, loaded)
    else:
        mask = _from_nan(y, notes)
    y = _as_image(y, loaded, notes)
    if y.shape[:2] != mask.shape:
        expected = f"have the size of {loaded.path.name}, {sized(y.shape[:2])}"
        hint = turned(mask.shape, y.shape) or "Pixels that were not measured may be 0 or NaN."
        fail(WHERE, "--mask", expected, sized(mask.shape), hint)
    _check_measured(y, mask, options.mask, notes)
    if _has_holes(mask):
        notes.append(
            "--mask has holes: measured pixels, left out one by one, lie closer to others than "
            "their inside does. The error there is larger than the held-out one and the spread say"
        )
    y = np.where(mask if y.ndim == 2 else mask[..., None], y, 0)
    text = f"{int(mask.sum())} pixels of {mask.size} ({mask.mean():.1%})"
    return Given(y, operators.mask(mask), y.shape, text, notes, is_picture)


def _has_holes(mask: np.ndarray) -> bool:
    """Whether missing pixels lie far deeper than measured ones would, a sixth left out."""
    from scipy.ndimage import distance_transform_cdt

    left_out = mask & (np.random.default_rng(0).random(mask.shape) < 1 / 6)
    if not left_out.any() or not (mask & ~left_out).any():
        return False
    within = np.asarray(distance_transform_cdt(~(mask & ~left_out), "chessboard"))[left_out]
    missing = np.asarray(distance_transform_cdt(~mask, "chessboard"))[~mask]
    return float(missing.mean()) > 1.5 * float(within.mean())


def _from_nan(y: np.ndarray, notes: list[str]) -> np.ndarray:
    missing = np.isnan(y)
    if not missing.any():
        hint = "Pass --mask m.png, white where a pixel was measured; or NaN in a .npy elsewhere."
        fail(WHERE, "--mask", "be given for --operator mask", "none", hint)
    mask = np.asarray(~(missing if missing.ndim < 3 else missing.any(axis=-1)))
    if not mask.any():
        fail(WHERE, "MEASURED", "have a measured pixel", "NaN everywhere")
    notes.append("no --mask: the pixels that are not NaN were measured")
    return mask


def _placed(y: np.ndarray, mask: np.ndarray, loaded: Loaded) -> np.ndarray:
    """Return an image for a list of the measured values, row by row."""
    count = int(mask.sum())
    if y.ndim != 1 and not (y.ndim == 2 and y.shape[1] in (1, 3) and y.shape[0] == count):
        return y
    if len(y) != count:
        expected = f"hold a value for each of the {count} measured pixels of the mask"
        hint = "They go row by row; the whole image, 0 or NaN elsewhere, is taken too."
        fail(WHERE, "MEASURED", expected, f"{len(y)} values in {loaded.path}", hint)
    image = np.zeros((*mask.shape, *y.shape[1:]), y.dtype)
    image[mask] = y
    return image


def _check_measured(y: np.ndarray, mask: np.ndarray, name: Any, notes: list[str]) -> None:
    """Refuse a mask that is white where the image is empty."""
    inside, outside = y[mask], np.nan_to_num(y[~mask])
    bad = int(np.sum(~np.isfinite(inside)))
    if bad:
        got = f"{bad} NaN or infinite among the measured pixels"
        fail(WHERE, "MEASURED", "be finite where the mask is 1", got, "Make the mask 0 there.")
    if not np.any(inside) or (np.mean(inside == 0) > 0.9 and np.mean(outside != 0) > 0.5):
        got = f"{name}, white where MEASURED is {np.mean(inside == 0):.0%} zeros"
        fail(WHERE, "--mask", "be white where pixels were measured", got, "Invert it.")
    if np.any(outside):
        notes.append("MEASURED holds values where the mask is 0: they are not used")
