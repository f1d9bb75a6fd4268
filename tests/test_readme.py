"""What the README says is true: its example prints what it shows, its commands are two."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def text():
    return README.read_text()


def test_the_example_prints_what_is_shown(text, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown


def test_it_is_short_and_has_two_commands(text):
    lines = text.splitlines()
    assert len(lines) <= 150
    assert len([line for line in lines if line.startswith("python -m pip install ")]) == 2


def test_its_links_exist(text):
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (README.parent / target).exists(), target
