"""The catalog of statements: every name in it is there, and none is blank."""

import functools
import json

import pytest

import jaxinv as ji
from jaxinv.cli import main
from jaxinv.reproductions import REPRODUCTIONS

STATEMENTS = ji.theory.catalog()


def test_every_statement_has_a_verdict_or_a_reason():
    for item in STATEMENTS:
        where = f"{item.paper}, {item.label}"
        assert item.paper in ji.theory.PAPERS, where
        assert bool(item.reproductions) != bool(item.reason), where
        assert item.functions or item.reason, where
    labels = [(item.paper, item.label) for item in STATEMENTS]
    assert len(set(labels)) == len(labels)


def test_every_name_is_there():
    for item in STATEMENTS:
        assert set(item.reproductions) <= set(REPRODUCTIONS), item.label
        for name in item.functions:
            assert callable(functools.reduce(getattr, name.split("."), ji)), name


@pytest.mark.parametrize(
    ("paper", "labels"),
    [
        ("survey", [f"Theorem {i}" for i in range(1, 12)]),
        ("survey", ["Definition 1", "Definition 2", "Definition 3"]),
        ("survey", ["Proposition 1", "Proposition 2", *(f"Figure {i}" for i in range(1, 7))]),
        ("non-expansive", ["Theorem 1.1", "Theorem 1.2", "Algorithm 1", "Theorem 4.4"]),
        ("non-expansive", ["Definition 4.1", "Definition 4.2", "Definition 4.3", "Theorem 5.4"]),
        ("non-expansive", ["Lemma 5.1", "Lemma 5.2", "Lemma 5.3", "Remark 3"]),
        ("sensing", [f"Figure {i}" for i in range(1, 6)]),
        ("sensing", [*(f"Theorem {i}" for i in range(1, 5)), *(f"Lemma {i}" for i in range(1, 6))]),
        ("sensing", ["Proposition 1", "Proposition 2"]),
        ("cs-dip", ["Theorem 4.1", "Table 1", "Table 2", "Algorithm 1", "Theorem B.5"]),
        ("cs-dip", ["Lemma B.1", "Lemma B.2", "Lemma B.3", "Lemma B.4", "Theorem C.1"]),
    ],
)
def test_nothing_numbered_is_left_out(paper, labels):
    assert set(labels) <= {item.label for item in ji.theory.catalog(paper)}


def test_a_paper_that_is_none_is_named():
    with pytest.raises(ValueError, match="catalog: paper must be one of survey"):
        ji.theory.catalog("bora")


def test_the_command_shows_the_verdicts_of_earlier_runs(tmp_path, capsys):
    (tmp_path / "noise-law.json").write_text(json.dumps({"verdict": "reproduced"}))
    (tmp_path / "step-lista.json").write_text('{"verdict": "reproduced; rm -rf"}')
    (tmp_path / "untrained-mri.json").write_text("[" * 10000)
    assert main(["reproduce", "--coverage", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "noise-law: reproduced\n" in out
    assert "step-lista: not run\n" in out
    assert "untrained-mri: not run\n" in out
    assert out.rstrip().endswith("1 reproduced")
