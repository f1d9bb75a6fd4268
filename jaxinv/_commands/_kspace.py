"""The k-space that ``jaxinv reconstruct`` was given: its mask, its coils, its frequency 0."""

from __future__ import annotations

import argparse
import itertools
import math
from typing import NoReturn

import numpy as np

from jaxinv._commands._measured import WHERE, Given, read, read_mask, sized, turned
from jaxinv._core import checks
from jaxinv._core.outside import fail
from jaxinv.data._arrays import Loaded

LAYOUTS = ("auto", "centered", "corner", "shifted")
_CLEARLY = 2.0  # times the energy, before something is taken as it was not said
_NEAR = 16  # a window about frequency 0 reaches n / 16 to both sides
_MIDDLE = 0.15  # of the energy, at least, in the middle quarter of an object's image


def scanned(options: argparse.Namespace, loaded: Loaded, notes: list[str]) -> Given:
    """Return k-space with frequency 0 in the middle, and the operator of its mask and maps."""
    from jaxinv import operators
    from jaxinv.operators._pixels import Real

    layout = checks.choice(WHERE, "--kspace", options.kspace or "auto", LAYOUTS)
    y = _complex(loaded, "MEASURED", notes)
    _check_axes(options.operator, y, loaded)
    missing = ~np.isfinite(y)
    if missing.any():
        notes.append("NaN and infinite points of k-space count as not measured")
        y = np.where(missing, 0, y)
    if not np.any(y):
        hint = "Nothing was measured: check the file."
        fail(WHERE, "MEASURED", "not be 0 everywhere", str(loaded.path), hint)
    sides = y.shape[-2:]
    maps = None if options.maps is None else _maps(options, y, notes)
    mask = _mask(options, loaded, y, notes)
    y, mask = _centered(y, mask, layout, notes)
    y = np.where(mask, y, 0)
    if not np.any(y):
        fail(WHERE, "--mask", "be 1 where k-space is not 0", "zeros there only", "Invert it.")
    text = _in_words(mask)
    if options.operator == "mri":
        operator = operators.mri(mask, real=options.real)
        return Given(y, operator, sides, text, notes, is_picture=False)
    text += f", {len(y)} coils"
    if maps is None:
        if options.real:
            fail(WHERE, "--real", "be left out without --maps", "--real", "Coils have phases.")
        notes.append("no --maps: one image for each coil; pictures show their root sum of squares")
        operator = operators.multicoil_mri(mask, num_coils=len(y))
        return Given(y, operator, y.shape, text, notes, is_picture=False)
    operator = operators.multicoil_mri(mask, maps)
    operator = Real(operator) if options.real else operator
    return Given(y, operator, sides, text, notes, is_picture=False)


def _complex(loaded: Loaded, argument: str, notes: list[str]) -> np.ndarray:
    """Return complex numbers; a last axis of two real ones is their real and imaginary part."""
    values = loaded.values
    if values.dtype.kind == "c" or (argument == "--maps" and values.ndim == 3):
        return np.asarray(values)
    if not loaded.is_picture and values.ndim >= 3 and values.shape[-1] == 2:
        notes.append(f"{loaded.path.name}: its last axis is taken as real and imaginary part")
        return values[..., 0] + 1j * values[..., 1]
    hint = "Real and imaginary part may also be the last axis of a .npy."
    if loaded.is_picture:
        hint = "A picture has no phase: save the complex array with numpy.save."
    fail(WHERE, argument, "hold complex numbers", f"{values.dtype} in {loaded.path}", hint)


def _check_axes(operator: str, y: np.ndarray, loaded: Loaded) -> None:
    if operator == "mri" and y.ndim != 2:
        hint = "Several coils: --operator multicoil. Of several slices save one."
        _wrong_axes("(h, w)", y, loaded, hint)
    if operator == "multicoil" and y.ndim != 3:
        hint = "One coil is --operator mri." if y.ndim == 2 else "Save one slice of it."
        _wrong_axes("(coils, h, w)", y, loaded, hint)
    if operator == "multicoil" and y.shape[2] < min(y.shape[:2]) / 2:
        _wrong_axes("(coils, h, w)", y, loaded, "Put coils first: np.moveaxis(y, -1, 0).")


def _wrong_axes(expected: str, y: np.ndarray, loaded: Loaded, hint: str) -> NoReturn:
    got = f"{loaded.path} with shape {y.shape}"
    fail(WHERE, "MEASURED", f"have shape {expected}", got, hint)


def _maps(options: argparse.Namespace, y: np.ndarray, notes: list[str]) -> np.ndarray:
    maps = _complex(read(options, "maps", "maps"), "--maps", notes)
    if maps.shape == y.shape:
        return maps
    coils = f"have the shape of k-space, (coils, h, w) = {y.shape}"
    hint = "They must be those of the same coils, at the size of k-space."
    if maps.ndim == 3 and maps.shape == (*y.shape[1:], y.shape[0]):
        hint = "Put coils first: np.moveaxis(maps, -1, 0)."
    elif maps.ndim == 3 and maps.shape[1:] == y.shape[1:]:
        hint = f"k-space has {len(y)} coils, the maps {len(maps)}."
    fail(WHERE, "--maps", coils, f"{maps.shape}", hint)


def _mask(
    options: argparse.Namespace, loaded: Loaded, y: np.ndarray, notes: list[str]
) -> np.ndarray:
    """Return what was measured, (h, w): by --mask, by the file, or where k-space is not 0."""
    sides = y.shape[-2:]
    if options.mask is not None:
        mask = read_mask(options, notes)
        found = mask.reshape([n for n in mask.shape if n > 1]) if mask.ndim > 2 else mask
        if (found.ndim == 1 and len(found) not in sides) or found.ndim not in (1, 2):
            _misfit(found, sides)
        if found.ndim == 1:
            found = found[None, :] if len(found) == sides[1] else found[:, None]
        if any(n not in (1, side) for n, side in zip(found.shape, sides, strict=True)):
            _misfit(found, sides)
        return np.broadcast_to(found, sides)
    if loaded.scan is not None and loaded.scan.mask is not None:
        return np.broadcast_to(loaded.scan.mask, sides)
    mask = np.any(y.reshape(-1, *sides) != 0, axis=0)
    notes.append(f"no --mask: the {mask.mean():.1%} of k-space that are not 0 were measured")
    return mask


def _misfit(mask: np.ndarray, sides: tuple[int, ...]) -> NoReturn:
    expected = f"have the size of k-space, {sized(sides)}, or one entry a column"
    hint = turned(mask.shape, sides) or "It must be that of this scan; without it zeros tell."
    fail(WHERE, "--mask", expected, sized(mask.shape), hint)


def _centered(
    y: np.ndarray, mask: np.ndarray, layout: str, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return k-space and mask with frequency 0, and the image, in the middle."""
    power = np.sum(np.square(np.abs(y / np.max(np.abs(y)))).reshape(-1, *y.shape[-2:]), axis=0)
    mask = _like(power, mask, notes)
    looks = layout in ("auto", "shifted")
    axes = _at_corner(power) if looks else [-2, -1] if layout == "corner" else []
    if axes:
        if looks:
            where = {1: "along one axis", 2: "in the corner"}[len(axes)]
            notes.append(
                f"k-space has its frequency 0 {where}, as of np.fft.fft2: it was moved to the "
                "middle (--kspace centered leaves it)"
            )
        y, mask = np.fft.fftshift(y, axes), np.fft.fftshift(mask, axes)
    # an axis moved is one of fft2, whose image begins at index 0; "shifted" says the contrary
    for axis in {-2, -1} - set(axes) if layout == "shifted" else axes:
        y = _with_image_in_the_middle(y, axis)
    if layout == "auto":
        _look_at_image(y * mask, notes)
    return y, mask


def _like(power: np.ndarray, mask: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return the mask, its halves exchanged where that fits k-space far better."""
    shifts = [axes for size in (1, 2) for axes in itertools.combinations((0, 1), size)]
    energy = [float(np.sum(power[np.fft.fftshift(mask, axes)])) for axes in shifts]
    best = int(np.argmax(energy))
    if energy[best] <= _CLEARLY * float(np.sum(power[mask])):
        return mask
    notes.append("--mask has its frequency 0 elsewhere than k-space: its halves were exchanged")
    return np.fft.fftshift(mask, shifts[best])


def _at_corner(power: np.ndarray) -> list[int]:
    """Return the axes along which the energy lies about index 0, not in the middle."""
    found = []
    for axis in (0, 1):
        line = power.sum(axis=1 - axis)
        reach = max(1, len(line) // _NEAR)
        middle = len(line) // 2
        near = slice(max(0, middle - reach), middle + reach + 1)
        if np.fft.fftshift(line)[near].sum() > _CLEARLY * line[near].sum():
            found.append(axis - 2)
    return found


def _with_image_in_the_middle(y: np.ndarray, axis: int) -> np.ndarray:
    """Return centered k-space of an image about the middle, for that of one from index 0 on.

    A shift of the image is a phase of each frequency; masked ones keep their place.
    """
    n = y.shape[axis]
    turns = (np.arange(n) - n // 2) * (n // 2) % n / n
    phases = np.exp(2j * math.pi * turns)
    return y * (phases[:, None] if axis == -2 else phases)


def _look_at_image(y: np.ndarray, notes: list[str]) -> None:
    """Say that an object lies at the borders, where the halves of its image are exchanged."""
    from jaxinv import operators

    image = np.asarray(operators.ifft2c(y / np.max(np.abs(y)))).reshape(-1, *y.shape[-2:])
    power = np.sum(np.square(np.abs(image)), axis=0)
    height, width = power.shape
    middle = power[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]
    if middle.sum() < _MIDDLE * power.sum():
        notes.append(
            "most of the image lies at its borders: if its halves are exchanged, pass --kspace "
            "shifted, for k-space of np.fft.fftshift(np.fft.fft2(image)), or of "
            "np.fft.fft2(np.fft.ifftshift(image))"
        )


def _in_words(mask: np.ndarray) -> str:
    height, width = mask.shape
    if (mask == mask[0]).all():
        return f"{int(mask[0].sum())} of {width} columns of k-space"
    if (mask == mask[:, :1]).all():
        return f"{int(mask[:, 0].sum())} of {height} rows of k-space"
    return f"{int(mask.sum())} of {mask.size} points of k-space ({mask.mean():.1%})"
