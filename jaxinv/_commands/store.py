"""``jaxinv store``: verify, repair, merge and export the stores of sweeps."""

from __future__ import annotations

import argparse
from typing import Any

from jaxinv import cli

_BUDGET = "most memory that a store may ask for (default: 1 GiB)"
_EXAMPLE = """\
example:
  jaxinv store verify runs/2layer.sqlite --repair
  jaxinv store merge runs/a.sqlite runs/b.sqlite --into runs/all.sqlite
  jaxinv store export runs/all.sqlite runs/all.nc
"""


def add_parser(commands: Any) -> None:
    """Register the subcommand."""
    parser = commands.add_parser(
        "store",
        help="verify, merge or export the store of a sweep",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=lambda _: parser.print_help() or 0)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    verify = actions.add_parser("verify", help="check every block of a store")
    verify.add_argument("store", metavar="STORE", help="file that a sweep wrote")
    verify.add_argument(
        "--repair", action="store_true", help="drop what is not sound, and compute it again"
    )
    cli.add_budget(verify, _BUDGET)
    verify.set_defaults(run=_verify)
    merge = actions.add_parser("merge", help="put parts of one sweep together")
    merge.add_argument("stores", nargs="+", metavar="STORE", help="files of the same sweep")
    merge.add_argument("--into", required=True, metavar="STORE", help="file to write")
    cli.add_budget(merge, _BUDGET)
    merge.set_defaults(run=_merge)
    export = actions.add_parser("export", help="write netCDF, zarr or CSV")
    export.add_argument("store", metavar="STORE", help="file that a sweep wrote")
    export.add_argument("path", metavar="PATH", help="what to write: .nc, .zarr or .csv")
    export.add_argument("--overwrite", action="store_true", help="replace what is there")
    cli.add_budget(export, _BUDGET)
    export.set_defaults(run=_export)


def _verify(options: argparse.Namespace) -> int:
    from jaxinv.sweeps import verify

    found = verify(options.store, repair=options.repair, max_bytes=options.max_bytes)
    print(found, flush=True)
    if found.ok or not options.repair:
        return 0 if found.ok else 1
    return _compute_again(options.store)


def _compute_again(path: str) -> int:
    """Run the sweeps that made the store; they compute what is absent and nothing else."""
    from jaxinv._commands import _recipe
    from jaxinv._commands.sweep import run_again
    from jaxinv.sweeps import verify

    recipes = _recipe.remembered(path)
    if not recipes:
        print("It is not of a named sweep: call sweeps.sweep again as it was called.")
        return 1
    for recipe in recipes:
        print(f"computing what is absent of {recipe.preset}: {recipe}", flush=True)
        run_again(recipe, path)
    found = verify(path)
    print(found)
    return 0 if found.ok else 1


def _merge(options: argparse.Namespace) -> int:
    from jaxinv.sweeps import merge

    found = merge(options.stores, options.into, max_bytes=options.max_bytes)
    print(found)
    return 0 if found.ok else 1


def _export(options: argparse.Namespace) -> int:
    from jaxinv.sweeps import export

    path = export(
        options.store, options.path, overwrite=options.overwrite, max_bytes=options.max_bytes
    )
    print(f"written: {path}")
    return 0
