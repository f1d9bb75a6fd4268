"""``jaxinv sweep PRESET``: run a named sweep with live progress, a table and a figure."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from jaxinv._commands import _options

_EXAMPLE = """\
example:
  jaxinv sweep nonexpansive-2layer --trials 30 --store runs/2layer.sqlite --plot 2layer.png
"""


def add_parser(commands: Any) -> None:
    """Register the subcommand."""
    parser = commands.add_parser(
        "sweep",
        help="run a named Monte-Carlo sweep and draw it",
        description="Presets: nonexpansive-2layer, nonexpansive-3layer, lasso.",
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
    _options.add_seed(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the sweep that the options name."""
    started = time.perf_counter()
    import jax

    from jaxinv._core import checks
    from jaxinv.reproductions.presets import preset
    from jaxinv.viz._figure import check_path

    chosen = preset(options.preset)
    checks.choice("sweep", "dtype", options.dtype, ("float32", "float64"))
    solver = next(iter(chosen.solvers)) if options.solver is None else options.solver
    checks.choice("sweep", "solver", solver, chosen.solvers)
    num_trials = chosen.num_trials if options.trials is None else options.trials
    checks.count("sweep", "trials", num_trials)
    figure = _default_figure(chosen.name, solver, options.dtype)
    figure = figure if options.plot is None else options.plot
    check_path("sweep", figure)
    key = _options.root_key("sweep", options)
    if options.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    trial = chosen.trial(solver, options.dtype)

    from jaxinv._commands._show import SweepDisplay
    from jaxinv.experiments import sweep

    with SweepDisplay(chosen, solver) as display:
        try:
            results = sweep(
                trial,
                {chosen.axis: list(chosen.values)},
                key=key,
                num_trials=num_trials,
                traced=(chosen.axis,),
                store=options.store,
                micro_batch=chosen.micro_batch if jax.default_backend() == "cpu" else None,
                progress=display.update,
            )
        except KeyboardInterrupt:
            display.interrupted(options.store)
            return 130
    display.table_if_not_shown()
    path = _draw(chosen, solver, results, figure)
    display.finish(path, time.perf_counter() - started, options.store)
    return 0


def _default_figure(preset: str, solver: str, dtype: str) -> str:
    suffix = "" if dtype == "float32" else f"-{dtype}"
    return os.path.join("results", f"{preset}-{solver}{suffix}.png")


def _draw(chosen: Any, solver: str, results: Any, figure: str) -> str:
    from jaxinv.experiments import success_rate
    from jaxinv.viz.phase import plot_success_rates

    rates = success_rate(results["error"] < chosen.success)
    return plot_success_rates(
        figure,
        {solver: rates},
        label=chosen.label,
        title=chosen.title,
        published=chosen.published,
        published_label=f"published: {chosen.source.split(',')[0]}",
        transition=chosen.transition,
    )
