"""``jaxinv simulate IMAGE``: measure a photo that is known, reconstruct it, compare."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from jaxinv import cli

_EXAMPLE = """\
example:
  jaxinv simulate camera --operator hadamard --ratio 0.25 --prior wavelet --out camera.png
  jaxinv simulate camera --operator identity --noise-std 0.098 --prior deep-decoder --size 128
"""


def add_parser(commands: Any) -> None:
    """Register the subcommand."""
    parser = commands.add_parser(
        "simulate",
        help="measure a known image, reconstruct it, and score the reconstruction",
        description="IMAGE is the truth: a path, or the name of an image that comes with the\n"
        "packages, such as camera, astronaut, retina. Own measurements: jaxinv reconstruct.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image", metavar="IMAGE", help="path or name")
    parser.add_argument(
        "--operator",
        default="hadamard",
        metavar="NAME",
        help="hadamard, fourier, gaussian, mask, blur, downsample, identity (denoising), mri or "
        "multicoil (8 coils); default hadamard",
    )
    parser.add_argument(
        "--ratio",
        type=float,
        default=0.25,
        metavar="R",
        help="measurements per pixel, in (0, 1], default 0.25; for blur it sets the width, 1/√R",
    )
    parser.add_argument(
        "--prior",
        default="wavelet",
        metavar="NAME",
        help="dct, wavelet or tv, or an untrained network: deep-decoder, dip, convdecoder, dcgan "
        "or coordinate; default wavelet",
    )
    parser.add_argument(
        "--snr", type=float, metavar="DB", help="SNR of the measurements; default no noise"
    )
    parser.add_argument(
        "--noise-std",
        type=float,
        metavar="S",
        help="instead: standard deviation of their noise, in units of the image's range",
    )
    _add_network_options(parser)
    parser.add_argument("--size", type=int, metavar="N", help="shrink the longer side to N")
    parser.add_argument("--gray", action="store_true", help="reconstruct the luminance only")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="write the estimate as an image, and no figure unless --plot is given",
    )
    parser.add_argument(
        "--plot", metavar="FILE", help="figure to write (png, pdf, svg); default in results/"
    )
    cli.add_seed(parser)
    parser.set_defaults(run=run)


def _add_network_options(parser: Any) -> None:
    group = parser.add_argument_group("for networks")
    group.add_argument(
        "--seeds", type=int, metavar="N", help="fits to average, run as one batch; default 1"
    )
    group.add_argument(
        "--stop",
        type=_stop,
        metavar="auto|N",
        help="auto (default): where left out measurements are predicted best; N: after N steps",
    )
    group.add_argument(
        "--steps", type=int, metavar="N", help="most steps, for --stop auto; default 3000"
    )
    group.add_argument(
        "--channels", type=int, metavar="N", help="width of the layers; fewer are faster"
    )


def _stop(text: str) -> Any:
    """Return a number of steps, or the text for ``simulate`` to judge."""
    try:
        return int(text)
    except ValueError:
        return text


def run(options: argparse.Namespace) -> int:
    """Reconstruct the image that the options name."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    from jaxinv._core.outside import fail
    from jaxinv.data import save_image
    from jaxinv.data._saving import check_image_path
    from jaxinv.images import simulate
    from jaxinv.viz import check_path, plot_reconstruction

    if options.operator == "identity" and options.snr is None and not options.noise_std:
        hint = (
            f"IMAGE is the truth here. To denoise it: jaxinv reconstruct {options.image} "
            "--operator identity."
        )
        expected = "be given for --operator identity"
        fail("simulate", "--noise-std or --snr", expected, "no noise", hint)
    name = Path(options.image).stem
    default = f"simulate-{name}-{options.operator}-{options.prior}.png"
    figure = os.path.join("results", default) if options.plot is None else options.plot
    drawn = options.out is None or options.plot is not None
    key = cli.root_key("simulate", options)
    if drawn:
        check_path("simulate", figure)
    if options.out is not None:
        check_image_path("simulate", "out", options.out)
    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("starting", total=1.0)
        found = simulate(
            options.image,
            operator=options.operator,
            ratio=options.ratio,
            prior=options.prior,
            snr_db=options.snr,
            noise_std=options.noise_std,
            num_seeds=options.seeds,
            stop=options.stop,
            num_steps=options.steps,
            num_channels=options.channels,
            key=key,
            size=options.size,
            gray=options.gray,
            progress=lambda text, share: bar.update(task, description=text, completed=share),
        )
    _show(name, found)
    if options.out is not None:
        print(f"estimate: {save_image(options.out, found.estimate)}")
    if drawn:
        print(f"figure: {plot_reconstruction(found, figure)}")
    return 0


def _show(name: str, found: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from jaxinv._core import Status, describe

    settings = found.settings
    table = Table("", "PSNR", "SSIM", title=f"{name} {found.truth.shape}", title_justify="left")
    first = "noisy image" if settings["operator"] == "identity" else "without a prior"
    table.add_row(first, *_scores(found.baseline_psnr, found.baseline_ssim))
    for rival in found.rivals:
        table.add_row(rival.name, *_scores(rival.psnr, rival.ssim))
    prior, num_seeds = f"{settings['prior']} prior", len(found.seed_psnr)
    if num_seeds > 1:
        spread = _spread(found.seed_psnr, "{:.2f} ± {:.2f} dB"), _spread(found.seed_ssim)
        table.add_row(f"{prior}, mean of {num_seeds} seeds", *spread)
        prior = f"average of the {num_seeds} estimates"
    table.add_row(prior, *_scores(found.psnr, found.ssim), style="bold")
    Console().print(table)
    print(f"measurements: {settings['measurements']} ({settings['ratio']:.3g} per pixel)")
    print(f"prior: {settings['prior_detail']}")
    if num_seeds:
        print(f"stopped: {_ending(settings)}")
    elif found.status != Status.CONVERGED:
        print(describe(found.status))
    print(f"{found.num_steps} steps in {found.seconds:.1f} s")


def _scores(psnr: float, ssim: float) -> tuple[str, str]:
    return f"{psnr:.2f} dB", f"{ssim:.3f}"


def _spread(values: Any, form: str = "{:.3f} ± {:.3f}") -> str:
    """Return the mean and the sample standard deviation."""
    import numpy as np

    return form.format(np.mean(values), np.std(values, ddof=1))


def _ending(settings: Any) -> str:
    """Say what ended the fits of a network."""
    by_hand = settings["stop"] != "auto"
    texts = {
        "STOPPED": "by the left out measurements",
        "CONVERGED": "the measurements are met",
        "MAX_STEPS": "after the steps asked for" if by_hand else "by the most steps (--steps)",
        "NONFINITE": "NaN or infinity appeared",
    }
    names = settings["seed_status"]
    if len(set(names)) == 1:
        return texts[names[0]]
    counts = [(names.count(name), text) for name, text in texts.items() if name in names]
    return ", ".join(f"{count} of {len(names)} {text}" for count, text in counts)
