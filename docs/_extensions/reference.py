"""Write a page for every public name, and turn the library's docstrings into reStructuredText."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any

import jaxinv

VERBS = [name for name in jaxinv.__all__ if name not in jaxinv._NAMESPACES]
OWN_VERBS = [name for name in VERBS if jaxinv._NAMES[name] == "_core"]
_LITERAL = re.compile(r"(``.*?``|:[a-z]+:`[^`]*`|`[^`]*`_?)")
_LABEL = re.compile(r"^(Cost|Source|Notes?): (?=\S)")


def exports(namespace: str) -> list[str]:
    """Return the public names of a namespace, without the rooms of theory and other modules."""
    module = importlib.import_module(f"jaxinv.{namespace}")
    names = getattr(module, "__all__", None)
    if names is None and hasattr(module, "__path__"):
        names = [name for name in vars(module) if not name.startswith("_")]
    if names is None:
        own = vars(module).items()
        names = [name for name, value in own if getattr(value, "__module__", "") == module.__name__]
        names = [name for name in names if not name.startswith("_")]
    return sorted(name for name in names if not inspect.ismodule(getattr(module, name)))


def public() -> dict[str, Any]:
    """Return every public object by its full name; verbs at the top of the package first."""
    found = {f"jaxinv.{name}": getattr(jaxinv, name) for name in VERBS}
    for namespace in jaxinv._NAMESPACES:
        module = importlib.import_module(f"jaxinv.{namespace}")
        for name in exports(namespace):
            found[f"jaxinv.{namespace}.{name}"] = getattr(module, name)
    return found


def makers() -> dict[str, str]:
    """Return, for each class without an example, the function whose example shows one.

    That is what returns it, what returns a class that holds it, or what its docstring points to.
    """
    objects = public()
    shown = {full: full for full, value in objects.items() if ">>>" in (value.__doc__ or "")}
    classes = {full: value for full, value in objects.items() if inspect.isclass(value)}
    for _ in range(3):  # parts of parts
        for full, value in objects.items():
            returned = value.__annotations__.get("return") if inspect.isfunction(value) else None
            if inspect.isclass(value):
                returned = " ".join(map(str, inspect.get_annotations(value).values()))
            for name in re.findall(r"\w+", str(returned)) if full in shown else ():
                for candidate in (f"{full.rpartition('.')[0]}.{name}", f"jaxinv.{name}"):
                    if candidate in classes:
                        shown.setdefault(candidate, shown[full])
    for full, value in objects.items():
        pointed = re.findall(r"``(?:\w+\.)*(\w+)", value.__doc__ or "")
        for name in pointed if full not in shown else ():
            target = f"{full.rpartition('.')[0]}.{name}"
            if inspect.isfunction(objects.get(target)) and target in shown:
                shown.setdefault(full, target)
    for full, value in classes.items():  # one class under two names
        same = [other for other in shown if objects[other] is value]
        if same:
            shown.setdefault(full, shown[same[0]])
    return {full: maker for full, maker in shown.items() if full != maker}


def example(value: Any) -> list[str]:
    """Return the lines of the Example of a docstring."""
    text = inspect.getdoc(value) or ""
    (section,) = re.findall(r"^Examples?:\n((?:(?:    .*)?\n?)+)", text + "\n", re.MULTILINE)[:1]
    return [line[4:] for line in section.rstrip().splitlines()]


def write_pages(app: Any, config: Any) -> None:
    """Write the pages that list the names; autosummary writes the one of each name."""
    folder = Path(app.srcdir) / "reference"
    folder.mkdir(exist_ok=True)
    pages = {"verbs": ("The verbs, and what they pass on", "jaxinv", OWN_VERBS)}
    for namespace in jaxinv._NAMESPACES:
        full = f"jaxinv.{namespace}"
        pages[namespace] = (full, full, exports(namespace))
    homes: dict[int, str] = {}  # a class under two names has one page
    for page, (title, module, names) in pages.items():
        home = importlib.import_module(module)
        held = {
            name: homes.setdefault(id(getattr(home, name)), f"{module}.{name}") for name in names
        }
        own = [name for name in names if held[name] == f"{module}.{name}"]
        others = [f"~{full}" for name, full in held.items() if name not in own]
        if page == "verbs":
            others = [f"~{jaxinv._NAMES[n]}.{n}" for n in VERBS if n not in OWN_VERBS]
        says = "" if page == "verbs" else importlib.import_module(module).__doc__ or ""
        lines = [title, "=" * len(title), "", escape(says.strip()), ""]
        lines += [f".. currentmodule:: {module}", "", ".. autosummary::", "   :toctree: names", ""]
        lines += [*(f"   {name}" for name in own), ""]
        if others:
            lines += [".. autosummary::", "", *(f"   {name}" for name in others)]
        update(folder / f"{page}.rst", "\n".join([*lines, ""]))
    lines = ["Reference", "=========", "", f"Every public name, {len(public())} of them, each with"]
    lines += ["an example that the tests run.", "", ".. toctree::", "   :maxdepth: 1", ""]
    update(folder / "index.rst", "\n".join([*lines, *(f"   {page}" for page in pages), ""]))


def update(path: Path, text: str) -> None:
    """Write a file, unless it holds that already: what is not touched is not built again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def escape(line: str) -> str:
    """Escape what reStructuredText would take for markup, outside literals."""
    parts = _LITERAL.split(line)
    parts[::2] = [re.sub(r"([*|\\])|(?<=\w)(_)(?=\W|$)", r"\\\1\2", part) for part in parts[::2]]
    return "".join(parts)


def convert(lines: list[str]) -> list[str]:
    """Turn the lines of a docstring into reStructuredText with sections of Google's style."""
    out: list[str] = []
    block, doctest = None, False  # the indent of a block that stands as it is; in an example
    for line in lines:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        if block is not None and text and indent <= block:
            block = None
        doctest = bool(text) and (doctest or text.startswith(">>>"))
        if block is None and not doctest and not text.startswith(".. "):
            out.append(_LABEL.sub(r"**\1:** ", escape(line)))
        else:
            out.append(line)
        if block is None and (text.startswith(".. ") or text.endswith("::")):
            block = indent
    return _returns(out)


def _returns(lines: list[str]) -> list[str]:
    """Write Returns as a field: a colon in its text separates no type from it."""
    out, inside = [], False
    for line in lines:
        if line.rstrip() == "Returns:":
            out.append(":returns:")
            inside = True
        elif inside and line.strip() and not line.startswith(" "):
            inside = False
            out.append(line)
        elif inside and out[-1] == ":returns:":
            out[-1] = f":returns: {line.strip()}"
        else:
            out.append(line)
    return out


def process(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Convert a docstring; a class without an example gets that of what makes it."""
    if what == "data":  # a constant has the docstring of its type
        lines[:] = [f"A ``{type(value).__name__}``:", "", *(f"- ``{key}``" for key in value), ""]
        return
    maker = app.env.jaxinv_makers.get(name)
    if maker is not None:
        lines += ["", f"Made by :func:`{maker}`:", "", *example(public()[maker]), ""]
    lines[:] = convert(lines)


def setup(app: Any) -> dict[str, Any]:
    """Register the hooks."""
    # before the first look for pages, so that autosummary finds what to write
    app.connect("config-inited", write_pages)
    app.connect("builder-inited", lambda app: setattr(app.env, "jaxinv_makers", makers()))
    app.connect("autodoc-process-docstring", process, priority=100)  # before napoleon's
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
