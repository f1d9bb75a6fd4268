"""A script that starts processes has to be one that they can read without starting more."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from jaxinv._core import checks


def require_guard(where: str) -> None:
    """Refuse to start processes from the top of a script: each would run it, and start more."""
    main = sys.modules["__main__"]
    path, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    if path is None or (spec is not None and spec.name.endswith("__main__")):
        return  # a notebook, a prompt, python -m package: workers do not run these again
    frame = sys._getframe()
    while frame is not None and not (
        frame.f_code.co_name == "<module>" and frame.f_globals is vars(main)
    ):
        frame = frame.f_back
    if frame is None or _is_guarded(path, line := frame.f_lineno):
        return
    hint = (
        "Each worker process runs the script as it starts: only imports and functions belong "
        "above that line."
    )
    expected = 'come below a line if __name__ == "__main__":'
    checks.fail(where, "the call", expected, f"line {line} of {Path(path).name}", hint)


def _is_guarded(path: str, line: int) -> bool:
    """Whether a line is within an ``if`` that asks for the name of the module."""
    try:
        tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):  # as of a script that was deleted meanwhile
        return True
    return any(
        isinstance(node, ast.If)
        and "__name__" in ast.unparse(node.test)
        and node.lineno <= line <= (node.end_lineno or 0)
        for node in ast.walk(tree)
    )
