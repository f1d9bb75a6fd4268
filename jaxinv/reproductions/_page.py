"""The page of results: records of runs, kept with versions and date, and their table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxinv.reproductions._registry import Reproduction, _replace
from jaxinv.reproductions.claims import BEATEN, REFUTED, REPRODUCED, UNDECIDED

_VERDICTS = (REPRODUCED, BEATEN, UNDECIDED, REFUTED)
_KEPT = ("verdict", "claims", "seconds", "num_trials", "date", "jaxinv", "jax", "device", "dtype")
_HEAD = """\
# Results

What `jaxinv reproduce` gave: every published figure, table and theorem that the library runs, with
the verdict, the published value, the one measured and its 99 % interval. Written by
`jaxinv reproduce --all --write-docs` from `results.json`, which keeps the record of each run;
nothing on this page is typed by hand. How a verdict is reached is said beside each number in the
output of the command, and what the studies are in [reproductions](reproductions.md).
"""


def records(folder: Path, kept: Path) -> dict[str, Any]:
    """Return the records of a folder of runs, over those kept before; what is no record is left.

    Of two runs of one name the later stands, and one that had all the trials before one that had
    fewer.
    """
    found = _read(kept)
    found = {name: record for name, record in found.items() if _is_record(record)}
    for path in sorted(folder.glob("*.json")):
        run = _read(path)
        if not _is_record(run):
            continue
        record = {key: run[key] for key in _KEPT}
        old = found.get(path.stem)
        if old is None or _rank(record) >= _rank(old):
            found[path.stem] = record
    return found


def _rank(record: Mapping[str, Any]) -> tuple[bool, str]:
    return record["num_trials"] is None, record["date"]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_record(run: Any) -> bool:
    complete = isinstance(run, dict) and all(key in run for key in _KEPT)
    return complete and run["verdict"] in _VERDICTS and isinstance(run["claims"], list)


def write(folder: Path, found: Mapping[str, Any], items: Iterable[Reproduction]) -> list[Path]:
    """Write ``results.json`` and ``results.md``; returns their paths."""
    items = list(items)
    names = {item.name for item in items}
    found = {name: record for name, record in sorted(found.items()) if name in names}
    paths = [folder / "results.json", folder / "results.md"]
    _replace(paths[0], json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    _replace(paths[1], page(found, items))
    return paths


def page(found: Mapping[str, Any], items: Iterable[Reproduction]) -> str:
    """Return the page: a table of all, then the claims of each that was run."""
    items = list(items)
    lines = [_HEAD, "| name | what | verdict | run |", "|---|---|---|---|"]
    for item in items:
        verdict, run = "not run yet", ""
        if item.name in found:
            record = found[item.name]
            verdict = f"[{record['verdict']}](#{item.name})"
            run = f"{record['date']}, jaxinv {record['jaxinv']}, jax {record['jax']}"
        lines.append(f"| `{item.name}` | {_cell(item.title)} | {verdict} | {run} |")
    verdicts = [found[item.name]["verdict"] for item in items if item.name in found]
    told = [f"{verdicts.count(verdict)} {verdict}" for verdict in _VERDICTS if verdict in verdicts]
    told.append(f"{len(items) - len(verdicts)} not run yet")
    lines += ["", f"{len(items)} in all: {', '.join(told)}.", ""]
    for item in items:
        if item.name in found:
            lines += _claims(item, found[item.name])
    return "\n".join(lines)


def _claims(item: Reproduction, record: Mapping[str, Any]) -> list[str]:
    trials = record["num_trials"]
    size = "as published" if trials is None else f"{trials} trials, not as many as published"
    lines = [
        f"## {item.name}",
        "",
        f"{item.title}. Source: {item.source}. {size[0].upper()}{size[1:]}; {record['dtype']}, "
        f"{record['device']}, {record['seconds']:.0f} s.",
        "",
        "| claim | published | measured | interval | verdict |",
        "|---|---|---|---|---|",
    ]
    for claim in record["claims"]:
        interval = f"[{_number(claim['low'])}, {_number(claim['high'])}]"
        lines.append(
            f"| {_cell(claim['what'])} | {_number(claim['published'])} | "
            f"{_number(claim['measured'])} | {interval} | {claim['verdict']} |"
        )
    return [*lines, ""]


def _number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("\n", " ")
