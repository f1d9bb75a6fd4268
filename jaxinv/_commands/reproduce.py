"""``jaxinv reproduce``: run published results and give a verdict on each."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from jaxinv import cli

_NOT_RUN = "not run"
_EXAMPLE = """\
example:
  jaxinv reproduce noise-law --out results
  jaxinv reproduce --coverage
  jaxinv reproduce --all --write-docs
"""


def add_parser(commands: Any) -> None:
    """Register the subcommand."""
    parser = commands.add_parser(
        "reproduce",
        help="run a published result and say reproduced, beaten, refuted or undecided",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="which one; see --list")
    parser.add_argument("--list", action="store_true", help="list them with source and cost")
    parser.add_argument("--all", action="store_true", help="run every one")
    parser.add_argument(
        "--coverage",
        action="store_true",
        help="list every theorem, figure and table, with what runs it and the verdict in --out",
    )
    parser.add_argument("--out", default="results", metavar="DIR", help="folder for JSON, CSV, PNG")
    parser.add_argument("--trials", type=int, metavar="N", help="fewer trials than published")
    parser.add_argument(
        "--write-docs",
        nargs="?",
        const="docs",
        metavar="DIR",
        help="then write results.json and results.md there, of all runs in --out; default docs",
    )
    cli.add_seed(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run what the options name; 1 when a result was refuted."""
    from jaxinv._core import checks
    from jaxinv.reproductions import REPRODUCTIONS, overall, reproduction
    from jaxinv.reproductions.claims import REFUTED

    asked = {
        "NAME": options.name is not None, "--all": options.all,
        "--list": options.list, "--coverage": options.coverage,
    }  # fmt: skip
    given = [name for name, is_given in asked.items() if is_given]
    if len(given) != 1 and (given or options.write_docs is None):
        hint = "jaxinv reproduce --list shows the names."
        expected = "be given, one of them"
        checks.fail("reproduce", ", ".join(asked), expected, " and ".join(given) or "none", hint)
    if options.list:
        _list(REPRODUCTIONS.values())
        return 0
    if options.coverage:
        _coverage(Path(options.out))
        return 0
    if options.trials is not None:
        checks.count("reproduce", "trials", options.trials, minimum=2)
    named = [] if options.name is None else [reproduction(options.name)]
    chosen = list(REPRODUCTIONS.values()) if options.all else named
    checks.writable_folder("reproduce", "out", options.out)
    if options.write_docs is not None:
        checks.writable_folder("reproduce", "write_docs", options.write_docs)
    key = cli.root_key("reproduce", options)
    verdicts = [_run(item, options, key, overall) for item in chosen]
    if options.write_docs is not None:
        _write_docs(Path(options.out), Path(options.write_docs), REPRODUCTIONS.values())
    return 1 if REFUTED in verdicts else 0


def _write_docs(out: Path, docs: Path, items: Any) -> None:
    """Write the page of results: of the runs in a folder, over those that the page has."""
    from jaxinv.reproductions import _page

    docs.mkdir(parents=True, exist_ok=True)
    found = _page.records(out, docs / "results.json")
    print(", ".join(str(path) for path in _page.write(docs, found, items)))


def _list(items: Any) -> None:
    for item in items:
        print(f"{item.name}  (about {item.cost})\n    {item.title}\n    {item.source}")


def _coverage(folder: Path) -> None:
    """Show what the papers state, what runs it, and the verdicts of the runs in a folder."""
    from jaxinv.theory import PAPERS, catalog

    verdicts: dict[str, str] = {}
    for paper, source in PAPERS.items():
        print(f"{paper}: {source}")
        for item in catalog(paper):
            print(f"  {item.label}: {item.says}")
            if item.functions:
                print(f"      by {', '.join(item.functions)}")
            for name in item.reproductions:
                verdicts[name] = _verdict(folder, name)
                print(f"      {name}: {verdicts[name]}")
            if item.reason:
                print(f"      no verdict: {item.reason}")
    known = [verdict for verdict in verdicts.values() if verdict != _NOT_RUN]
    counts = ", ".join(f"{known.count(verdict)} {verdict}" for verdict in sorted(set(known)))
    total = len(catalog())
    reasons = sum(not item.reproductions for item in catalog())
    print(
        f"{total} statements: {total - reasons} by {len(verdicts)} reproductions, {reasons} with a "
        f"reason why none; in {folder}: {counts or 'no verdict yet (jaxinv reproduce --all)'}"
    )


def _verdict(folder: Path, name: str) -> str:
    """Return the verdict in the file that an earlier run wrote, if it is one."""
    from jaxinv.reproductions.claims import BEATEN, REFUTED, REPRODUCED, UNDECIDED

    try:
        found = json.loads((folder / f"{name}.json").read_text())["verdict"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return _NOT_RUN
    return found if found in (REPRODUCED, BEATEN, REFUTED, UNDECIDED) else _NOT_RUN


def _run(item: Any, options: argparse.Namespace, key: Any, overall: Any) -> str:
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.table import Table

    from jaxinv.reproductions import Settings, write

    console = Console()
    started = time.perf_counter()
    with Bar(console=console, transient=True) as bar:
        task = bar.add_task(item.name, total=None)

        def report(progress: Any) -> None:
            bar.update(task, completed=progress.num_done, total=progress.num_trials)

        settings = Settings(key, options.trials, report, Path(options.out))
        outcome = item.run(settings)
    seconds = time.perf_counter() - started
    paths = write(Path(options.out), item, outcome, seconds, num_trials=options.trials)
    table = Table(
        "claim", "published", "measured", "interval", "verdict",
        title=f"{item.name}: {item.title}\n{item.source}", title_justify="left",
    )  # fmt: skip
    for claim in outcome.claims:
        table.add_row(
            claim.what,
            f"{claim.published:.4g}",
            f"{claim.measured:.4g}",
            f"[{claim.low:.4g}, {claim.high:.4g}]",
            claim.verdict,
        )
    console.print(table)
    verdict = overall(outcome.claims)
    print(f"{item.name}: {verdict} in {seconds:.0f} s; {', '.join(paths.values())}", flush=True)
    return verdict
