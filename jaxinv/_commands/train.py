"""``jaxinv train NETWORK``: an unfolded network, scored on fresh signals; or a prior, on data."""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any, NoReturn

from jaxinv import cli
from jaxinv._commands import _train_prior
from jaxinv._commands._display import Display

_WHERE = "train"
_SNR_LOW, _SNR_HIGH = 1.0, 200.0  # outside, a ratio is meant
_SPARSEST = 1e-4
_LOOKS = 20  # chunks that training is divided into
_HEADS = ("NMSE", "interval", "ten worst", "median", "failures")
_EXAMPLE = """\
examples:
  jaxinv train alista
  jaxinv train hyperlista --sparsity 0.05
  jaxinv train alamp --snr 30 --layers 12 --out alamp.npz
  jaxinv train vae mnist
  jaxinv train flow photos/ --image-size 16 16
"""


def add_parser(commands: Any) -> None:
    """Register the subcommand."""
    parser = commands.add_parser(
        "train",
        help="train an unfolded network for sparse recovery, or a prior on data, and score it",
        description="NETWORK is one of lista, lista-ss, lista-cp, lista-cpss, tilista, "
        "gated-lista, iht-network, step-lista, alista, alista-published, alista-momentum, "
        "alista-at, aglista, na-alista, hyperlista, lamp, alamp. Signals have entries N(0, 1) at "
        "random places; the matrix is Gaussian with columns of norm 1. Or a prior, vae, flow or "
        "gan, from DATA: digits, mnist, faces, patches, a folder of images, an .npy array or an "
        "idx file.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("network", metavar="NETWORK", help="which network or prior")
    parser.add_argument("data", metavar="DATA", nargs="?", help="signals of a prior")
    problem = parser.add_argument_group("the problem")
    problem.add_argument(
        "--measurements", type=int, default=250, metavar="M", help="measurements m (250)"
    )
    problem.add_argument(
        "--size", type=int, default=500, metavar="N", help="entries n of the signal (500)"
    )
    problem.add_argument(
        "--sparsity", type=float, default=0.1, metavar="P", help="share of nonzero entries (0.1)"
    )
    problem.add_argument("--snr", type=float, metavar="DB", help="in dB; default: no noise")
    problem.add_argument(
        "--condition-number", type=float, metavar="K", help="of the matrix, before normalization"
    )
    network = parser.add_argument_group("the network and its training")
    network.add_argument("--layers", type=int, default=16, metavar="T", help="layers (16)")
    network.add_argument(
        "--protocol",
        default="joint",
        metavar="NAME",
        help="joint (default), or stagewise: layer by layer, as published, for hours",
    )
    network.add_argument(
        "--steps", type=int, metavar="S", help="steps; default by network; of a stage, the most"
    )
    network.add_argument("--batch-size", type=int, metavar="B", help="signals a step")
    network.add_argument(
        "--rate", type=float, metavar="R", help="rate of Adam; default by kind of weight"
    )
    network.add_argument(
        "--out",
        metavar="FILE",
        help="network to write, in a folder that exists; default results/NETWORK-MxN-T.npz",
    )
    test = parser.add_argument_group("the test")
    test.add_argument(
        "--test-size", type=int, default=10_000, metavar="N", help="fresh signals (10000)"
    )
    test.add_argument("--by-layer", action="store_true", help="show the error after every layer")
    own = {
        action.dest: action.default for action in (*problem._group_actions, *test._group_actions)
    }
    given = _train_prior.add_options(parser)
    cli.add_seed(parser)
    parser.set_defaults(run=run, of_networks=own, of_priors=given)


def run(options: argparse.Namespace) -> int:
    """Train, save and score the network or the prior that the options name."""
    is_prior = options.network in _train_prior.KINDS
    _left_out(options, options.of_networks if is_prior else options.of_priors)
    if is_prior:
        return _train_prior.run(options)
    import jax

    from jaxinv.unfolded import TrainingFailedError, evaluate, failure_threshold, save
    from jaxinv.unfolded._catalog import Signals, network, train

    chosen = network(_WHERE, options.network)
    _check(options, chosen)
    out = _out(options)
    root = cli.root_key(_WHERE, options)
    operator_key, make_key, train_key, test_key = jax.random.split(root, 4)
    started = time.perf_counter()
    family = _family(options, operator_key)
    signals = Signals(options.sparsity, options.snr)
    layers = chosen.make(make_key, family.operator, options.layers, signals)
    out.parent.mkdir(exist_ok=True)
    verb = "compiling" if chosen.num_steps else "tuning"
    shows = {"in_decibels": options.protocol == "joint", "test_size": options.test_size}
    with Display(verb, **shows) as display:
        try:
            result = train(train_key, chosen, layers, family, **_training(options, chosen, display))
        except TrainingFailedError as error:
            _diverged(error, out, _notes(options))
        seconds = time.perf_counter() - started
        saved = save(out, result.layers, notes=_notes(options))
        found = {
            name: evaluate(
                test_key,
                each,
                family,
                num_problems=options.test_size,
                threshold_db=failure_threshold(options.snr),
                progress=display.tested,
            )
            for name, each in (("untrained", layers), ("trained", result.layers))
        }
    _show_scores(options, chosen, found)
    if result.history is not None and (skipped := int(result.history.num_skipped)):
        print(f"{skipped} steps were skipped: their gradient was not finite")
    print(f"network: {saved}")
    print(f"trained in {seconds:.1f} s, {time.perf_counter() - started:.1f} s in all", flush=True)
    return 0


def _left_out(options: argparse.Namespace, others: dict[str, Any]) -> None:
    """Refuse options that are not for what is trained."""
    from jaxinv._core import checks

    for name, default in others.items():
        if getattr(options, name) != default:
            expected = f"be left out for {options.network}"
            checks.fail(_WHERE, name.replace("_", "-"), expected, f"{getattr(options, name)}")


def _check(options: argparse.Namespace, chosen: Any) -> None:
    """Refuse what cannot be, before any work."""
    from jaxinv._core import checks
    from jaxinv.unfolded._catalog import PROTOCOLS

    for name in ("measurements", "size", "layers", "test_size"):
        checks.count(_WHERE, name.replace("_", "-"), getattr(options, name))
    for name in ("steps", "batch_size"):
        if getattr(options, name) is not None:
            checks.count(_WHERE, name.replace("_", "-"), getattr(options, name))
    if options.measurements > options.size:
        hint = "With more measurements than entries use least squares."
        expected = f"be at most the size {options.size}"
        checks.fail(_WHERE, "measurements", expected, str(options.measurements), hint)
    hint = "It is a share of the entries, such as 0.1."
    checks.scalar(_WHERE, "sparsity", options.sparsity, low=_SPARSEST, high=1.0, hint=hint)
    if options.snr is not None and not _SNR_LOW <= options.snr <= _SNR_HIGH:
        hint = "40 is noise of 1 % of ‖A x‖; leave --snr out for no noise."
        expected = f"be in dB, from {_SNR_LOW:g} to {_SNR_HIGH:g}"
        checks.fail(_WHERE, "snr", expected, f"{options.snr:g}", hint)
    if options.condition_number is not None:
        checks.scalar(_WHERE, "condition-number", options.condition_number, low=1.0)
    if options.rate is not None:
        checks.positive(_WHERE, "rate", options.rate)
    checks.choice(_WHERE, "protocol", options.protocol, PROTOCOLS)
    if chosen.num_steps == 0:
        hint = f"{options.network} is tuned by trying, not by steps."
        if options.protocol != PROTOCOLS[0]:
            checks.fail(_WHERE, "protocol", f"be {PROTOCOLS[0]}", options.protocol, hint)
        for name in ("steps", "batch_size", "rate"):
            if getattr(options, name) is not None:
                argument = name.replace("_", "-")
                checks.fail(_WHERE, argument, "be left out", str(getattr(options, name)), hint)


def _out(options: argparse.Namespace) -> Path:
    """Return where the network goes; refuse a place that cannot be written.

    Only ``results``, the default's folder, is made.
    """
    from jaxinv._core import checks, files

    if options.out is None:
        name = f"{options.network}-{options.measurements}x{options.size}-{options.layers}.npz"
        out = Path("results") / name
    else:
        out = files.as_path(_WHERE, "out", options.out)
        if not out.name or out.is_dir():
            checks.fail(_WHERE, "out", "be a file", repr(options.out))
        out = out if out.suffix else out.with_suffix(".npz")
    if out.suffix != ".npz":
        checks.fail(_WHERE, "out", "end in .npz", repr(options.out))
    files.writable(_WHERE, "out", out, folder_is_made=options.out is None)
    return out


def _family(options: argparse.Namespace, key: Any) -> Any:
    """Return problems that share one matrix, drawn from the key."""
    from jaxinv.problems import sparse

    sizes = (options.measurements, options.size, options.sparsity)
    operator = sparse(*sizes, condition_number=options.condition_number).sample(key).operator
    return sparse(*sizes, options.snr, operator=operator)


def _training(options: argparse.Namespace, chosen: Any, display: Any) -> dict[str, Any]:
    """Return the keyword arguments of training."""
    if chosen.num_steps == 0:
        return {}
    given: dict[str, Any] = {"progress": display.trained, "protocol": options.protocol}
    if options.batch_size is not None:
        given["batch_size"] = options.batch_size
    if options.protocol == "stagewise":
        if options.rate is not None:
            given["rates"] = (options.rate, options.rate / 5, options.rate / 50)
        return {**given, "num_steps": options.steps}
    steps = chosen.num_steps if options.steps is None else options.steps
    if options.rate is not None:
        import optax

        given["optimizer"] = optax.adam(
            optax.cosine_decay_schedule(options.rate, steps, alpha=0.01)
        )
    return {**given, "num_steps": steps, "validate_every": math.ceil(steps / _LOOKS)}


def _notes(options: argparse.Namespace) -> dict[str, Any]:
    """Return what travels with the weights: the signals they are for, and how they were made."""
    import jaxinv

    return {
        "network": options.network,
        "num_measurements": options.measurements,
        "signal_size": options.size,
        "sparsity": options.sparsity,
        "snr_db": options.snr,
        "condition_number": options.condition_number,
        "signals": "Bernoulli support, entries N(0, 1); columns of A of norm 1",
        "protocol": options.protocol,
        "steps": options.steps,
        "seed": options.seed,
        "version": jaxinv.__version__,
    }


def _diverged(error: Any, out: Path, notes: dict[str, Any]) -> NoReturn:
    """Save the last good weights, then end with one line."""
    from jaxinv.unfolded import save

    saved = save(out, error.fit.layers, notes={**notes, "diverged": True})
    history = error.fit.history
    raise ArithmeticError(
        f"{_WHERE}: diverged by step {int(history.validation_steps[-1])}: validation loss "
        f"{float(history.validation[-1]):.4g}, at the start {float(history.validation[0]):.4g}. "
        f"The weights of step {int(history.best_step)} are in {saved}. Lower --rate."
    ) from None


def _show_scores(options: argparse.Namespace, chosen: Any, found: dict[str, Any]) -> None:
    """Print the scores before and after training, and after every layer where asked for."""
    from rich.console import Console
    from rich.table import Table

    trained = found["trained"]
    noise = "no noise" if options.snr is None else f"SNR {options.snr:g} dB"
    title = (
        f"{chosen.title}\nm = {options.measurements}, n = {options.size}, "
        f"p = {options.sparsity:g}, {noise}, {options.layers} layers"
    )
    table = Table("", *_HEADS, title=title, title_justify="left")
    for name, each in found.items():
        numbers = (each.nmse_db, each.interval_db, each.worst_share)
        table.add_row(name, *_cells(*numbers, each.median_db, each.failure_rate))
    table.caption = (
        f"{trained.errors.size} fresh signals; NMSE in dB is a ratio of sums, with its 95 % "
        "interval and the share of the ten worst signals in the error; "
        f"a failure is above {trained.threshold_db:g} dB"
    )
    console = Console()
    console.print(table)
    limit = _limit(options)
    if limit is not None:
        print(f"least squares on the true support: {limit:.2f} dB")
    if options.by_layer:
        layers = Table("layer", *_HEADS)
        columns = (
            trained.layer_nmse_db,
            trained.layer_interval_db,
            trained.layer_worst_share,
            trained.layer_median_db,
            trained.layer_failure_rate,
        )
        for index, numbers in enumerate(zip(*columns, strict=True), start=1):
            layers.add_row(str(index), *_cells(*numbers))
        console.print(layers)


def _cells(nmse: float, interval: Any, worst: float, median: float, failures: float) -> Any:
    low, high = interval
    return (
        f"{nmse:.2f} dB",
        f"{low:.1f} .. {high:.1f}",
        f"{100 * worst:.0f} %",
        f"{median:.2f} dB",
        f"{100 * failures:.2f} %",
    )


def _limit(options: argparse.Namespace) -> float | None:
    """Return the error of least squares on the true support, where there is noise."""
    from jaxinv.theory import oracle_nmse_db

    aspect = options.measurements / options.size
    if options.snr is None or options.sparsity >= aspect:
        return None
    return float(oracle_nmse_db(options.snr, aspect=aspect, sparsity=options.sparsity))
