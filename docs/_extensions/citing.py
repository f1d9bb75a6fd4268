"""Write the page of citations: BibTeX from the Source lines of the docstrings."""

from __future__ import annotations

import inspect
import re
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

from reference import public, update

_NAME = r"[A-ZÀ-Þ][\w'’-]+(?: [A-Z][\w'’-]+)?"
_TITLE = r'"([^"]+)"'
_CITED = re.compile(
    rf"((?:{_NAME}, )*{_NAME})(?: et al\.)?(?:,? {_TITLE})? \((\d{{4}})\)(?:, {_TITLE})?"
)
_NO_NAMES = ("SENSE", "MoDL", "Rec", "Theorem")


class Paper(NamedTuple):
    """One cited paper, and the public names that cite it."""

    authors: tuple[str, ...]
    year: str
    title: str
    others: bool
    users: tuple[str, ...]


def sources() -> dict[str, str]:
    """Return the Source of each public name that has one, once an object."""
    found: dict[str, str] = {}
    seen: set[int] = set()
    for full, value in public().items():
        match = re.search(r"^Source: *(.*?)(?=\n\n|\Z)", inspect.getdoc(value) or "", re.M | re.S)
        if match and id(value) not in seen:
            seen.add(id(value))
            found[full] = " ".join(match.group(1).split())
    return found


def papers() -> dict[str, Paper]:
    """Return the cited papers by their key, with the longest list of authors that is given."""
    found: dict[str, Paper] = {}
    for user, source in sources().items():
        for match in _CITED.finditer(source):
            authors = tuple(name for name in match.group(1).split(", ") if name not in _NO_NAMES)
            title, others = match.group(2) or match.group(4) or "", " et al." in match.group(0)
            key = (
                _plain(authors[0]).replace(" ", "").lower()
                + match.group(3)
                + _plain(authors[1] if len(authors) > 1 else "").replace(" ", "").lower()
            )
            old = found.get(key, Paper((), match.group(3), "", others, ()))
            found[key] = Paper(
                max(old.authors, authors, key=len),
                old.year,
                max(old.title, title, key=len),
                old.others and others,
                (*old.users, user),
            )
    for key, paper in list(found.items()):  # "et al." of a paper that is named in full elsewhere
        full = [other for other in found if other != key and other.startswith(key)]
        if paper.others and len(full) == 1:
            users = (*found[full[0]].users, *found.pop(key).users)
            found[full[0]] = found[full[0]]._replace(users=users)
    return found


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().replace("'", "")


def entry(key: str, paper: Paper) -> str:
    """Return the BibTeX of a paper; a title only where a docstring gives it."""
    authors = " and ".join([*paper.authors, *(["others"] if paper.others else [])])
    fields = {"author": authors, "title": paper.title, "year": paper.year}
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{key},", *lines, "}"])


def write_page(app: Any, config: Any) -> None:
    """Write ``citing.rst``: the library, then each paper with what is made of it."""
    lines = ["How to cite", "===========", "", "The library: the file ``CITATION.cff``. A method:"]
    lines += [
        "the paper it is from. What is below was read from the docstrings; where one gives no"
    ]
    lines += ["title, look it up by authors and year.", ""]
    for key, paper in sorted(papers().items()):
        names = ", ".join(f":obj:`~{name}`" for name in dict.fromkeys(paper.users))
        lines += [f"Used by {names}:", "", ".. code-block:: bibtex", ""]
        lines += [f"   {line}" for line in entry(key, paper).splitlines()] + [""]
    update(Path(app.srcdir) / "citing.rst", "\n".join(lines))


def setup(app: Any) -> dict[str, Any]:
    """Register the hook."""
    app.connect("config-inited", write_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
