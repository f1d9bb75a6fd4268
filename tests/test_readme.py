"""What the README says is true: its example prints what it shows, its commands are two."""

import re
from pathlib import Path

import numpy as np
import pytest

import jaxinv as ji

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def text():
    return README.read_text()


def test_the_example_prints_what_is_shown(text, capsys):
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[1]
    (shown,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out == shown


def test_your_own_measurement_runs_as_it_stands(text, capsys):
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    x = np.asarray(ji.data.image("camera", size=24))
    mask = np.random.default_rng(0).uniform(size=x.shape) < 0.5
    code = code.replace("noise_std=0.02", 'noise_std=0.02, prior="tv"')  # one candidate, for speed
    exec(compile(code, "README.md", "exec"), {"mask": mask, "y": np.where(mask, x, 0)})
    assert capsys.readouterr().out.startswith("tv 0.")


def test_it_is_short_and_has_two_commands(text):
    lines = text.splitlines()
    assert len(lines) <= 150
    assert len([line for line in lines if line.startswith("python -m pip install ")]) == 2


def test_its_links_exist(text):
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (README.parent / target).exists(), target
