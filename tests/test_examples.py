"""Every example is short, says what it shows and asserts it; the build of the site runs all."""

import ast
import runpy
from pathlib import Path

import matplotlib
import pytest

FOLDER = Path(__file__).parents[1] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))


def test_there_are_enough():
    assert len(EXAMPLES) >= 24


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_it_is_short_and_asserts_what_it_shows(path):
    text = path.read_text()
    tree = ast.parse(text)
    title, underline = ast.get_docstring(tree).splitlines()[:2]
    assert underline == "=" * len(title)
    assert len(text.splitlines()) < 100
    assert isinstance(tree.body[-1], ast.Assert)


@pytest.mark.parametrize("name", ["hyperparameter_grid", "own_operator", "store_and_resume"])
def test_it_runs(name, monkeypatch):
    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "show", lambda: None)
    runpy.run_path(str(FOLDER / f"{name}.py"))
    pyplot.close("all")
