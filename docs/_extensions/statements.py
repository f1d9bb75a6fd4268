"""Write the map of the papers: every statement, what computes it, and the verdict on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reference import escape, update

from jaxinv.theory import PAPERS, catalog


def write_page(app: Any, config: Any) -> None:
    """Write ``statements.rst`` from the library's catalog and the kept records of runs."""
    kept = json.loads((Path(app.srcdir) / "results.json").read_text())
    title = "Theorem by theorem"
    lines = [title, "=" * len(title), "", "What the papers state, the functions that compute it,"]
    lines += ["and the reproductions that put it to the test (:doc:`results`).", ""]
    for paper, source in PAPERS.items():
        lines += [paper, "-" * len(paper), "", escape(source) + ".", "", ".. list-table::"]
        lines += ["   :header-rows: 1", "   :widths: 15 40 25 20", ""]
        lines += ["   * - where", "     - what", "     - computed by", "     - verdict"]
        for item in catalog(paper):
            functions = ", ".join(f":obj:`{name} <jaxinv.{name}>`" for name in item.functions)
            verdicts = ", ".join(
                f"``{name}``: {kept.get(name, {}).get('verdict', 'not run yet')}"
                for name in item.reproductions
            )
            cells = (
                escape(item.label),
                escape(item.says),
                functions,
                verdicts or escape(item.reason),
            )
            lines += [
                f"   {'*' if index == 0 else ' '} - {cell}" for index, cell in enumerate(cells)
            ]
        lines.append("")
    update(Path(app.srcdir) / "statements.rst", "\n".join(lines))


def setup(app: Any) -> dict[str, Any]:
    """Register the hook."""
    app.connect("config-inited", write_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
