"""``jaxinv reconstruct IMAGE``: one photo from few measurements."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from jaxinv._commands import _options

_EXAMPLE = """\
example:
  jaxinv reconstruct camera --operator hadamard --ratio 0.25 --prior wavelet --out camera.png
"""


def add_parser(commands: Any) -> None:
    """Register the subcommand."""
    parser = commands.add_parser(
        "reconstruct",
        help="measure an image and reconstruct it",
        description="IMAGE is a path, or the name of an image that comes with the packages, "
        "such as camera, astronaut, retina.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image", metavar="IMAGE", help="path or name")
    parser.add_argument(
        "--operator",
        default="hadamard",
        metavar="NAME",
        help="hadamard, fourier, gaussian, mask, blur or downsample",
    )
    parser.add_argument(
        "--ratio",
        type=float,
        default=0.25,
        metavar="R",
        help="measurements per pixel, in (0, 1]; for blur it sets the width, 1/√R",
    )
    parser.add_argument("--prior", default="wavelet", metavar="NAME", help="dct, wavelet or tv")
    parser.add_argument("--noise-db", type=float, metavar="DB", help="SNR of the measurements")
    parser.add_argument("--size", type=int, metavar="N", help="shrink the longer side to N")
    parser.add_argument("--gray", action="store_true", help="reconstruct the luminance only")
    parser.add_argument("--out", metavar="FILE", help="write the estimate as an image")
    parser.add_argument("--plot", metavar="FILE", help="figure to write (png, pdf, svg)")
    _options.add_seed(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Reconstruct the image that the options name."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    from jaxinv.data import save_image
    from jaxinv.data._files import check_image_path
    from jaxinv.experiments.reconstruct import reconstruct
    from jaxinv.viz._figure import check_path
    from jaxinv.viz.images import plot_reconstruction

    name = Path(options.image).stem
    default = f"reconstruct-{name}-{options.operator}-{options.prior}.png"
    figure = os.path.join("results", default) if options.plot is None else options.plot
    key = _options.root_key("reconstruct", options)
    check_path("reconstruct", figure)
    if options.out is not None:
        check_image_path("reconstruct", "out", options.out)
    with Bar(console=Console(), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        found = reconstruct(
            options.image,
            operator=options.operator,
            ratio=options.ratio,
            prior=options.prior,
            noise_db=options.noise_db,
            key=key,
            size=options.size,
            gray=options.gray,
            progress=lambda text, share: bar.update(task, description=text, completed=share),
        )
    _show(name, found)
    plot_reconstruction(found, figure)
    if options.out is not None:
        save_image(options.out, found.estimate)
        print(f"estimate: {options.out}")
    print(f"figure: {figure}")
    return 0


def _show(name: str, found: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from jaxinv._core import Status, describe

    settings = found.settings
    table = Table("", "PSNR", "SSIM", title=f"{name} {found.truth.shape}", title_justify="left")
    baseline = f"{found.baseline_psnr:.2f} dB", f"{found.baseline_ssim:.3f}"
    table.add_row("without a prior", *baseline)
    table.add_row(
        f"{settings['prior']} prior", f"{found.psnr:.2f} dB", f"{found.ssim:.3f}", style="bold"
    )
    Console().print(table)
    print(f"measurements: {settings['measurements']} ({settings['ratio']:.3g} per pixel)")
    print(f"prior: {settings['prior_detail']}")
    if found.status != Status.CONVERGED:
        print(describe(found.status))
    print(f"{found.num_steps} steps in {found.seconds:.1f} s")
