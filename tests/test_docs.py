"""Examples of the docs run as they stand; where a page shows what they print, they print it."""

import functools
import re
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"


def run(page, capsys):
    """Return what the one example of a page prints, and the text of the page."""
    text = (DOCS / page).read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(code, page, "exec"), {})
    return capsys.readouterr().out, text


def test_conditions_from_own_weights(capsys):
    printed, text = run("theory.md", capsys)
    (shown,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    words, numbers = (
        [re.split(r"\d\.\d+", both) for both in (printed, shown)],
        [np.array(re.findall(r"\d\.\d+", both), float) for both in (printed, shown)],
    )
    assert words[0] == words[1]
    np.testing.assert_allclose(*numbers, atol=0.011)  # of another machine's search


def test_one_bit_example(capsys):
    printed, text = run("problems.md", capsys)
    (shown,) = re.findall(r"print\(.*# (\.\d+)", text)
    assert abs(float(printed) - float(shown)) < 0.011


def test_examples_of_operators(capsys):
    text = (DOCS / "operators.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for code in blocks:
        exec(compile(code, "operators.md", "exec"), {})
    error, shapes, *tested = capsys.readouterr().out.split("\n")[:4]
    assert abs(float(error) - 0.15) < 0.01
    assert (len(blocks), shapes, tested) == (3, "(32,) True", ["False", "True"])


def test_commands_are_understood():
    """Every command line on the page of the command line, and in the README, parses."""
    from jaxinv.cli import _parser

    pages = [DOCS / "command_line.md", DOCS.parent / "README.md"]
    typed = re.findall(
        r"^jaxinv (.*)$", "\n".join(page.read_text() for page in pages), re.MULTILINE
    )
    assert len(typed) > 15
    for line in typed:
        assert callable(_parser().parse_args(line.partition("  #")[0].split()).run), line


@pytest.mark.parametrize(
    ("page", "expected"), [("own_generator.md", 1e-4), ("plug_and_play.md", 25)]
)
def test_how_tos(page, expected, capsys):
    printed, _ = run(page, capsys)
    value = float(printed.removesuffix(" dB\n"))
    assert value < expected if expected < 1 else value > expected


@pytest.mark.slow
def test_an_image_from_own_measurements(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(
        re.findall(r"```python\n(.*?)```", (DOCS / "images.md").read_text(), re.DOTALL)
    )
    exec(compile(code, "images.md", "exec"), {})


def test_a_trained_prior(capsys):
    printed, _ = run("trained.md", capsys)
    assert printed.strip() == "True"


def test_pages_name_what_there_is():
    """Names of the library in the docs exist, and so do the pages that others point to."""
    import jaxinv as ji

    for page in DOCS.glob("*.md"):
        text = page.read_text()
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#:]+)\)", prose):
            made = target.startswith("gallery/")  # by the build, of an example
            where = DOCS.parent / f"examples/{target[8:]}.py" if made else DOCS / target
            where = DOCS / "_extensions/statements.py" if target == "statements" else where
            assert where.exists(), (page.name, target)
        folders = "|".join(("generators", "problems", "solvers", "operators", "misfits", "theory"))
        if page.name != "from_other_libraries.md":  # whose names begin alike
            for folder, name in re.findall(rf"`({folders})\.([a-z]\w*)[`(]", text):
                assert hasattr(getattr(ji, folder), name), (page.name, folder, name)
        for name in re.findall(r"\bji\.([A-Za-z_][\w.]*\w)", text):
            functools.reduce(getattr, name.split("."), ji)


def test_every_public_name_has_an_example(monkeypatch):
    """Its own, or that of the function that makes it; the doctests of the suite run them."""
    import inspect

    monkeypatch.syspath_prepend(DOCS / "_extensions")
    import reference

    made = reference.makers()
    lacking = [
        name
        for name, value in reference.public().items()
        if name not in made and ">>>" not in (inspect.getdoc(value) or "") and callable(value)
    ]
    assert not lacking
    assert all(reference.example(reference.public()[maker]) for maker in made.values())


def test_docstrings_become_restructuredtext(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    import reference

    lines = ["|x| of h_x and w_", "", ".. math:: a|b|*", "", "Returns:", "    The gap: a number."]
    assert reference.convert([*lines, "", ">>> f(*x_)"]) == [
        r"\|x\| of h_x and w\_", "", ".. math:: a|b|*", "", ":returns: The gap: a number.", "",
        ">>> f(*x_)",
    ]  # fmt: skip


def test_citations_are_read_from_sources(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "_extensions")
    import citing

    papers = citing.papers()
    assert papers["beck2009teboulle"].authors == ("Beck", "Teboulle")
    assert "jaxinv.solvers.fista" in papers["beck2009teboulle"].users
    assert papers["ulyanov2018vedaldi"].title == "Deep image prior"
    assert "and others" in citing.entry("tancik2020", papers["tancik2020"])
