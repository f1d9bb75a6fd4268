"""``jaxinv sweep PRESET``: run a named sweep with live progress, a table and a figure."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

from jaxinv import cli
from jaxinv._commands import _recipe

OUT_OF_TIME = 124  # as timeout(1) has it

_EXAMPLE = """\
example:
  jaxinv sweep nonexpansive-2layer --trials 30 --store runs/2layer.sqlite --plot 2layer.png
"""


def add_parser(commands: Any) -> None:
    """Register the subcommand."""
    parser = commands.add_parser(
        "sweep",
        help="run a named Monte-Carlo sweep and draw it",
        description="Presets: phase-map, nonexpansive-2layer, nonexpansive-3layer, lasso.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("preset", metavar="PRESET", help="name of the sweep")
    parser.add_argument("--trials", type=int, metavar="N", help="trials a cell")
    parser.add_argument(
        "--solver",
        metavar="NAME",
        help="levenberg-marquardt (default) or subgradient; lasso: fista",
    )
    parser.add_argument("--store", metavar="FILE", help="keep results here; an old file is resumed")
    parser.add_argument("--plot", metavar="FILE", help="figure to write (png, pdf, svg)")
    parser.add_argument("--dtype", default="float32", metavar="TYPE", help="float32 or float64")
    cli.add_seed(parser)
    where = parser.add_argument_group("where it runs")
    where.add_argument("--workers", type=int, metavar="N", help="N processes here, a core each")
    where.add_argument("--dask", metavar="ADDRESS", help="workers of a Dask scheduler")
    where.add_argument("--devices", type=int, metavar="N", help="devices here that run blocks")
    where.add_argument("--compile-cache", metavar="DIR", help="keep compiled programs here")
    adaptive = parser.add_argument_group("how much of it")
    adaptive.add_argument(
        "--precision", type=float, metavar="P", help="end a cell when its rate is known to +- P"
    )
    adaptive.add_argument(
        "--bisect",
        type=float,
        nargs="?",
        const=0.0,
        metavar="SPACING",
        help="look for the transition only: three values, then halving down to SPACING",
    )
    adaptive.add_argument(
        "--time-limit", metavar="TIME", help="begin nothing after TIME: seconds, 90m, or H:MM:SS"
    )
    parser.add_argument(
        "--estimate", action="store_true", help="say what it would take, from a few trials"
    )
    parser.add_argument("--log-json", metavar="FILE", help="a line of JSON per event; - for stderr")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the sweep that the options name."""
    started = time.perf_counter()
    import jax

    from jaxinv.reproductions.presets import preset

    if options.compile_cache is not None and not options.estimate:
        _cache(options.compile_cache)  # before the first program: JAX looks for a cache once
    if options.devices is not None:
        _split_processor(options.devices)
    recipe = _recipe.from_options(options)
    chosen = preset(recipe.preset)
    if options.estimate:
        return _estimate(options, recipe, chosen)
    figure = _default_figure(recipe.preset, recipe.solver, recipe.dtype)
    figure = figure if options.plot is None else options.plot
    from jaxinv.viz import check_path

    check_path("sweep", figure)
    if recipe.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    arguments = _recipe.settings(recipe, chosen)
    arguments |= {"store": options.store, "num_devices": options.devices}
    if options.time_limit is not None:
        arguments["time_limit"] = seconds(options.time_limit)

    from jaxinv._commands._show import JsonLog, SweepDisplay
    from jaxinv.sweeps import Progress

    with contextlib.ExitStack() as stack:
        arguments["executor"] = _workers(options, stack)
        log = None if options.log_json is None else stack.enter_context(JsonLog(options.log_json))
        stack.enter_context(_terminable())
        display = stack.enter_context(SweepDisplay(chosen, recipe.solver))
        ended: list[Progress] = []

        def update(progress: Progress) -> None:
            display.update(progress)
            if log is not None:
                log.update(progress)
            ended[:] = [progress]

        try:
            results = _with_warnings_as_lines(recipe, chosen, arguments | {"progress": update})
        except KeyboardInterrupt as stopped:
            display.interrupted(options.store)
            return 143 if isinstance(stopped, Terminated) else 130
    if "error" not in results:
        print("jaxinv: sweep: the time limit came before the first trial.", file=sys.stderr)
        return OUT_OF_TIME
    display.table_if_not_shown()
    if options.bisect is not None:
        display.say(_transition(chosen, results))
    path = _draw(chosen, recipe.solver, results, figure)
    display.finish(path, time.perf_counter() - started, options.store, ended[-1].report)
    return 0 if results.attrs["complete"] else OUT_OF_TIME


def _split_processor(count: int) -> None:
    """Let a CPU be so many devices, where it has the cores and JAX has not looked for any yet."""
    import jax

    cores = os.cpu_count() or 1
    if 1 < count <= cores:
        os.environ.setdefault("NPROC", str(2 * cores))  # else batched LAPACK calls can hang
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)


def _estimate(options: argparse.Namespace, recipe: Any, chosen: Any) -> int:
    """Print what the sweep would take."""
    from jaxinv._core import checks

    reasons = {
        "which writes nothing": ("store", "plot", "compile_cache", "log_json"),
        "which times one process here": ("workers", "dask"),
        "as results decide how much of it is run": ("precision", "bisect"),
        "which foresees all of it": ("time_limit",),
    }
    for reason, names in reasons.items():
        for name in names:
            value = getattr(options, name)
            if value is not None:
                option = f"--{name.replace('_', '-')}"
                checks.fail("sweep", option, f"be left out with --estimate, {reason}", value)
    from jaxinv._commands._show import print_estimate
    from jaxinv.sweeps import estimate

    with _of_type(recipe.dtype):
        arguments = _recipe.settings(recipe, chosen)
        names = ("grid", "key", "num_trials", "traced", "block_size")
        found = estimate(
            chosen.trial(recipe.solver, recipe.dtype),
            num_devices=options.devices,
            **{name: arguments[name] for name in names},
        )
    print_estimate(chosen, recipe, found)
    return 0


def _of_type(dtype: str) -> contextlib.AbstractContextManager[Any]:
    import jax

    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


def _with_warnings_as_lines(recipe: Any, chosen: Any, arguments: dict[str, Any]) -> Any:
    from jaxinv.sweeps import sweep

    trial = chosen.trial(recipe.solver, recipe.dtype)
    if arguments["store"] is not None:
        arguments = arguments | {"recipe": recipe._asdict()}
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", UserWarning)
        results = sweep(trial, **arguments)
    for warning in heard:
        print(f"warning: {warning.message}", file=sys.stderr)
    return results


def run_again(recipe: Any, store: str) -> None:
    """Run a remembered sweep; it computes what its store lacks and nothing else."""
    from jaxinv.reproductions.presets import preset

    chosen = preset(recipe.preset)
    with _of_type(recipe.dtype), _terminable():
        arguments = _recipe.settings(recipe, chosen)
        _with_warnings_as_lines(recipe, chosen, arguments | {"store": store})


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a sweep as Ctrl-C does."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that it too leaves nothing half done."""

    def stop(*_: object) -> None:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def seconds(text: str) -> float:
    """Return the seconds that ``90``, ``90s``, ``15m``, ``8h`` or ``H:MM:SS`` mean."""
    units = {"s": 1, "m": 60, "h": 3600}
    try:
        if ":" in text:
            total, *rest = map(float, text.split(":"))
            for part in rest:
                total = 60 * total + part if 0 <= part < 60 else math.nan
        else:
            unit = units.get(text[-1:])
            total = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        total = math.nan
    if not 0 < total < math.inf:
        from jaxinv._core import checks

        checks.fail("sweep", "time-limit", "be a time > 0, as 3600, 90m or 1:30:00", repr(text))
    return total


def _cache(folder: str) -> None:
    import jax

    from jaxinv._core import checks

    checks.writable_folder("sweep", "compile-cache", folder)
    jax.config.update("jax_compilation_cache_dir", os.path.abspath(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def _workers(options: argparse.Namespace, stack: contextlib.ExitStack) -> Any:
    """Return a Dask client when workers are asked for; it closes with the stack."""
    from jaxinv._core import checks

    if options.workers is not None and options.dask is not None:
        checks.fail("sweep", "workers", "be left out with --dask", options.workers)
    from jaxinv.sweeps import connect, local_workers

    if options.workers is not None:
        return stack.enter_context(local_workers(options.workers))
    if options.dask is not None:
        return stack.enter_context(connect(options.dask))
    return None


def _transition(chosen: Any, results: Any) -> str:
    from jaxinv.sweeps import transition

    found = transition(results["error"] < chosen.success, chosen.axis)
    value, low, high = (float(found[name]) for name in ("value", "low", "high"))
    if math.isnan(value):
        return f"no transition between the smallest and the largest {chosen.symbol}"
    return (
        f"success falls through 1/2 at {chosen.symbol} = {value:.4g}, 95 % [{low:.4g}, {high:.4g}]"
    )


def _default_figure(preset: str, solver: str, dtype: str) -> str:
    suffix = "" if dtype == "float32" else f"-{dtype}"
    return os.path.join("results", f"{preset}-{solver}{suffix}.png")


def _draw(chosen: Any, solver: str, results: Any, figure: str) -> str:
    from jaxinv.sweeps import success_rate
    from jaxinv.viz import plot_phase_diagram, plot_success_rates

    rates = success_rate(results["error"] < chosen.success)
    if chosen.across is not None:
        print(rates["rate"].to_pandas().round(2).to_string())
        labels = {chosen.axis: chosen.label, chosen.across.name: chosen.across.label}
        title = f"{chosen.title}, {solver}"
        return plot_phase_diagram(figure, rates, title=title, labels=labels)
    return plot_success_rates(
        figure,
        {solver: rates},
        label=chosen.label,
        title=chosen.title,
        published=chosen.published,
        published_label=f"published: {chosen.source.split(',')[0]}",
        transition=chosen.transition,
    )
