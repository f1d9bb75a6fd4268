"""``jaxinv store``: verify, repair, merge and export the stores of sweeps."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

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
    verify.set_defaults(run=_verify)
    merge = actions.add_parser("merge", help="put parts of one sweep together")
    merge.add_argument("stores", nargs="+", metavar="STORE", help="files of the same sweep")
    merge.add_argument("--into", required=True, metavar="STORE", help="file to write")
    merge.set_defaults(run=_merge)
    export = actions.add_parser("export", help="write netCDF, zarr or CSV")
    export.add_argument("store", metavar="STORE", help="file that a sweep wrote")
    export.add_argument("path", metavar="PATH", help="what to write: .nc, .zarr or .csv")
    export.add_argument("--overwrite", action="store_true", help="replace what is there")
    export.set_defaults(run=_export)


def _verify(options: argparse.Namespace) -> int:
    from jaxinv.experiments import verify

    found = verify(options.store, repair=options.repair)
    print(found, flush=True)
    if found.ok or not options.repair:
        return 0 if found.ok else 1
    return _compute_again(options.store)


def _compute_again(path: str) -> int:
    """Run the commands that made the store; they compute what is absent and nothing else."""
    from jaxinv._commands.sweep import arguments_of
    from jaxinv.experiments import verify

    commands = arguments_of(path)
    if not commands:
        print("It is not of a named sweep: call experiments.sweep again as it was called.")
        return 1
    with tempfile.TemporaryDirectory() as folder:  # for the figures, which are there already
        for arguments in commands:
            print(f"jaxinv {' '.join(arguments)}", flush=True)
            plot = ["--plot", str(Path(folder) / "figure.png")]
            called = [sys.executable, "-m", "jaxinv", *arguments, *plot]
            code = subprocess.run(called, check=False).returncode
            if code != 0:
                return code
    found = verify(path)
    print(found)
    return 0 if found.ok else 1


def _merge(options: argparse.Namespace) -> int:
    from jaxinv.experiments import merge

    found = merge(options.stores, options.into)
    print(found)
    return 0 if found.ok else 1


def _export(options: argparse.Namespace) -> int:
    from jaxinv.experiments import export

    print(f"written: {export(options.store, options.path, overwrite=options.overwrite)}")
    return 0
