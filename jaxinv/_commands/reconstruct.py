"""``jaxinv reconstruct MEASURED``: the image behind your own measurement."""

from __future__ import annotations

import argparse
import json
import math
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxinv import cli

if TYPE_CHECKING:
    from jaxinv._commands._measured import Given

_EXAMPLE = """\
examples:
  jaxinv reconstruct noisy.png --operator identity --noise-std 0.1 --out clean.png
  jaxinv reconstruct damaged.png --operator mask --mask mask.png --out whole.png
  jaxinv reconstruct blurred.png --operator blur --kernel kernel.npy --out sharp.png
  jaxinv reconstruct small.png --operator downsample --factor 2 --out large.png
  jaxinv reconstruct kspace.npy --operator mri --mask lines.npy --out image.npy
  jaxinv reconstruct knee.h5 --operator multicoil --maps maps.npy --plot knee.png
"""
_WHERE = "reconstruct"
_INPUTS = ("measured", "mask", "kernel", "maps", "truth")
_BLACK = 0.05  # below 0 by less, a picture loses nothing that is seen
_UNLIKE = 2.0  # times the truth: then scores compare different units


def add_parser(commands: Any) -> None:
    """Register the subcommand."""
    parser = commands.add_parser(
        "reconstruct",
        help="reconstruct the image behind your own measurement",
        description="MEASURED is a picture (.png, .jpg, .tif), a NumPy array (.npy, .npz) or\n"
        "k-space of fastMRI (.h5). Pictures, and unsigned integers, are read as values in [0, 1].\n"
        "An image that is known is measured and reconstructed by jaxinv simulate.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("measured", metavar="MEASURED", help="file of the measurements")
    parser.add_argument(
        "--operator",
        metavar="NAME",
        help="how the image was measured: identity (noise only), mask (some pixels), blur, "
        "downsample, mri (k-space), multicoil (k-space of several coils)",
    )
    _add_operator_options(parser)
    parser.add_argument(
        "--prior",
        default="auto",
        metavar="NAME",
        help="auto (default: the better of tv and smooth at measurements left out, unless wavelet "
        "is far better; for identity the best of tv, wavelet and nlm), tv, smooth, wavelet, dct, "
        "nlm (non-local means), or an untrained network, for minutes: deep-decoder, dip, "
        "convdecoder, dcgan, coordinate. Commas between several",
    )
    parser.add_argument(
        "--noise-std",
        type=float,
        metavar="S",
        help="standard deviation of the noise, in units of the values: 0.1 is 25 of 255; used "
        "for identity, where it is estimated by default",
    )
    parser.add_argument("--starts", type=int, metavar="N", help="fits of a network; default 3")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of each; default 600")
    parser.add_argument("--truth", metavar="FILE", help="the image itself, for PSNR and SSIM only")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write the image: .npy as it is (complex too), .png, .jpg, .tif as a picture; no "
        "other file is written unless --plot is given",
    )
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="figure (png, pdf, svg); without --out and --json one is written in results/",
    )
    cli.add_budget(parser, "most memory that a file may ask for (default: 1 GiB)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON, only")
    cli.add_seed(parser)
    parser.set_defaults(run=run)


def _add_operator_options(parser: Any) -> None:
    group = parser.add_argument_group("for the operator")
    group.add_argument(
        "--mask",
        metavar="FILE",
        help="picture or array, white or 1 where measured; for mask NaN in MEASURED says it too, "
        "for mri the points that are not 0",
    )
    group.add_argument("--kernel", metavar="FILE", help="of the blur; divided by its sum")
    group.add_argument(
        "--boundary",
        metavar="NAME",
        help="of the blur: reflect (default), wrap, zero, or valid (the image is larger)",
    )
    group.add_argument("--factor", type=int, metavar="N", help="of downsample: 2 doubles the sides")
    group.add_argument("--maps", metavar="FILE", help="sensitivities of the coils, (coils, h, w)")
    group.add_argument("--slice", type=int, metavar="N", help="of an .h5; default the middle one")
    group.add_argument("--real", action="store_true", help="mri: the image is real")
    group.add_argument(
        "--kspace",
        metavar="LAYOUT",
        help="auto (default: looks where the energy is), centered (scanners, fastMRI), corner "
        "(np.fft.fft2) or shifted (np.fft.fftshift of that)",
    )


def run(options: argparse.Namespace) -> int:
    """Reconstruct the image behind the file that the options name."""
    key = cli.root_key(_WHERE, options)
    figure = _check_outputs(options)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", UserWarning)
        from jaxinv._commands._measured import given, truth

        held = given(options)
        _check_noise(options, held)
        true = None if options.truth is None else truth(options, held.shape)
        found = _reconstruct(options, held, true, key)
    held.notes.extend(str(warning.message) for warning in heard)
    if true is not None:
        _compare_units(found.x, true, held.notes)
    files = _write(options, figure, held, found)
    if options.json:
        print(json.dumps(_as_json(options, held, found, files), allow_nan=False))
    else:
        _show(options, held, found, files)
    return 0


def _check_outputs(options: argparse.Namespace) -> str | None:
    """Return where a figure goes; refuse places that cannot be written, before any work."""
    from jaxinv._core.outside import fail
    from jaxinv.data._saving import check_image_path
    from jaxinv.viz import check_path

    figure = options.plot
    if figure is None and options.out is None and not options.json:
        name = Path(options.measured).stem[:100] or "measured"
        figure = os.path.join("results", f"reconstruct-{name}-{options.operator}.png")
    if figure is not None:
        check_path(_WHERE, figure, "--plot")
    if options.out is not None:
        check_image_path(_WHERE, "--out", options.out)
    for name in ("out", "plot"):
        path = getattr(options, name)
        for other in ("out", *_INPUTS) if name == "plot" else _INPUTS:
            if path is not None and _is_same(path, getattr(options, other)):
                shown = "MEASURED" if other == "measured" else f"--{other}"
                fail(_WHERE, f"--{name}", "be another file", f"{path}, which is {shown}")
    return figure


def _is_same(one: str, other: str | None) -> bool:
    return other is not None and os.path.realpath(one) == os.path.realpath(other)


def _check_noise(options: argparse.Namespace, held: Given) -> None:
    """Say the unit of the noise, where another was surely meant."""
    from jaxinv._core.outside import fail

    level = options.noise_std
    if level is not None and held.is_picture and level >= 1 and math.isfinite(level):
        hint = f"For {level:g} of 255 pass {level / 255:.3g}." if level < 255 else ""
        expected = "be below 1, in units of a picture's range [0, 1]"
        fail(_WHERE, "--noise-std", expected, f"{level:g}", hint)


def _reconstruct(options: argparse.Namespace, held: Given, true: Any, key: Any) -> Any:
    """Call the library, with a bar and the time that is left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from jaxinv.images import reconstruct

    names = options.prior.split(",")
    console = Console(stderr=True)
    text = TextColumn("{task.description}", markup=False)
    with Progress(
        text,
        BarColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("starting", total=1.0)
        return reconstruct(
            held.y,
            held.operator,
            prior=tuple(names) if len(names) > 1 else options.prior,
            num_starts=3 if options.starts is None else options.starts,
            num_steps=options.steps,
            noise_std=options.noise_std,
            truth=true,
            key=key,
            progress=lambda text, share: bar.update(task, description=text, completed=share),
        )


def _compare_units(x: Any, true: Any, notes: list[str]) -> None:
    """Say that scores mean nothing where the image and the truth have other units."""
    import numpy as np

    size, true_size = float(np.linalg.norm(x)), float(np.linalg.norm(true))
    if true_size > 0 and not 1 / _UNLIKE < size / true_size < _UNLIKE:
        notes.append(
            f"the image is {size / true_size:.3g} times as large as --truth: PSNR and SSIM compare "
            "different units. k-space has those of the image with norm='ortho'"
        )


def _write(
    options: argparse.Namespace, figure: str | None, held: Given, found: Any
) -> dict[str, str]:
    import numpy as np

    from jaxinv._core.files import as_path, writing
    from jaxinv.data import save_image
    from jaxinv.viz import plot_reconstruction

    files = {}
    if options.out is not None:
        if Path(options.out).suffix.lower() == ".npy":  # of any number of axes
            with writing(as_path(_WHERE, "--out", options.out)) as stream:
                np.save(stream, found.x, allow_pickle=False)
        else:
            save_image(options.out, _as_picture(found.x, held))
        files["image"] = options.out
    if figure is not None:
        files["figure"] = str(plot_reconstruction(found, figure))
    return files


def _as_picture(x: Any, held: Given) -> Any:
    """Return an image in [0, 1]; notes say how."""
    import numpy as np

    if np.iscomplexobj(x):
        held.notes.append("--out shows magnitudes; .npy keeps the phases")
        x = np.abs(x)
    if x.ndim == 3 and x.shape[-1] not in (1, 3):  # one image a coil
        x = np.sqrt(np.sum(np.square(x), axis=0))
    largest = float(np.max(x))
    if not held.is_picture and largest > 0 and not 0.25 < largest <= 1.25:
        held.notes.append(f"--out is divided by the largest value, {largest:.4g}")
        x = x / largest
    if float(np.min(x)) < -_BLACK:
        held.notes.append("--out shows negative values as black; .npy keeps them")
    return np.clip(x, 0, 1)


def _as_json(
    options: argparse.Namespace, held: Given, found: Any, files: dict[str, str]
) -> dict[str, Any]:
    import jaxinv
    from jaxinv._core import Status

    fields = {
        "measured": options.measured,
        "operator": options.operator,
        "measurements": held.text,
        "shape": list(found.x.shape),
        "candidates": [one._asdict() for one in found.candidates],
        "chosen": found.chosen,
        "reason": found.reason,
        "scores": found.scores,
        "status": Status(int(found.status)).name,
        "settings": found.settings | {"seed": options.seed},
        "notes": held.notes,
        "files": files,
        "seconds": found.seconds,
        "version": jaxinv.__version__,
    }
    return _plain(fields)


def _plain(value: Any) -> Any:
    """Return what JSON can hold; None for NaN and infinity."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str | bool | int | None):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else None


def _show(options: argparse.Namespace, held: Given, found: Any, files: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from jaxinv._commands._measured import sized
    from jaxinv._core import Status, describe

    for note in held.notes:
        print(f"note: {note}")
    print(f"{options.measured}: {held.text}; image {sized(found.x.shape)}")
    table = Table("prior", "held-out error")
    for one in found.candidates:
        style = "bold" if one.name == found.chosen else None
        error = f"{one.held_out:.4g} ± {one.standard_error:.2g}"
        table.add_row(one.name, error, style=style)
    Console().print(table, markup=False)
    print(f"kept: {found.reason or found.chosen}")  # the reason begins with the name
    print(f"judged by {found.settings['judge']}")
    noise, origin = found.settings["noise_std"], found.settings["noise_std_is"]
    if origin != "not used":
        print(f"noise: {noise:.4g} ({origin})")
    scores = found.scores
    if "psnr" in scores:
        print(
            f"against {options.truth}: PSNR {scores['psnr']:.2f} dB, SSIM {scores['ssim']:.3f}; "
            f"without a prior {scores['input_psnr']:.2f} dB, {scores['input_ssim']:.3f}"
        )
    if found.status == Status.MAX_STEPS:
        print("MAX_STEPS: the image still moved by over a thousandth when its steps were taken")
    elif found.status not in (Status.CONVERGED, Status.STOPPED):
        print(describe(found.status))
    for kind, path in files.items():
        print(f"{kind}: {path}")
    print(f"{found.seconds:.1f} s")
