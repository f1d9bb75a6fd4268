"""The page of results: records of runs, newest and largest first, and what is no record."""

import json

from jaxinv.reproductions import REPRODUCTIONS, _page

ITEMS = [REPRODUCTIONS["noise-law"], REPRODUCTIONS["denoising-law"]]


def record(**changed):
    claim = {
        "what": "error | k", "published": 1.0, "measured": 1.02345, "low": 0.9, "high": 1.1,
        "verdict": "reproduced", "rule": "",
    }  # fmt: skip
    base = {
        "name": "noise-law", "verdict": "reproduced", "claims": [claim], "seconds": 2.0,
        "num_trials": None, "date": "2026-11-01", "jaxinv": "0.1.0", "jax": "0.10.2",
        "device": "cpu", "dtype": "float32",
    }  # fmt: skip
    return {**base, **changed}


def found(tmp_path, run, old=None):
    (tmp_path / "noise-law.json").write_text(json.dumps(run))
    kept = tmp_path / "docs.kept"
    if old is not None:
        kept.write_text(json.dumps({"noise-law": old}))
    return _page.records(tmp_path, kept)


def test_a_run_is_kept_and_shown(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    paths = _page.write(folder, found(tmp_path, record()), ITEMS)
    text = paths[1].read_text()
    assert "| error \\| k | 1 | 1.023 | [0.9, 1.1] | reproduced |" in text
    assert "2 in all: 1 reproduced, 1 not run yet." in text
    assert "`denoising-law`" in text
    again = _page.records(tmp_path / "none", paths[0])  # from the records alone
    assert _page.page(again, ITEMS) == text


def test_the_later_of_two_runs_stands_unless_it_had_fewer_trials(tmp_path):
    newer, older = record(date="2026-11-02"), record(verdict="beaten")
    assert found(tmp_path, newer, older)["noise-law"]["verdict"] == "reproduced"
    assert found(tmp_path, older, newer)["noise-law"]["verdict"] == "reproduced"
    small = record(date="2026-11-03", num_trials=4, verdict="refuted")
    assert found(tmp_path, small, newer)["noise-law"]["verdict"] == "reproduced"
    assert found(tmp_path, newer, small)["noise-law"]["verdict"] == "reproduced"
    assert "4 trials, not as many as published" in _page.page({"noise-law": small}, ITEMS)


def test_what_is_no_record_is_left_out(tmp_path):
    assert found(tmp_path, record(verdict="<script>")) == {}
    assert found(tmp_path, [1, 2]) == {}
    assert found(tmp_path, {"verdict": "reproduced"}) == {}
    (tmp_path / "noise-law.json").write_text("{")
    assert _page.records(tmp_path, tmp_path / "docs.kept") == {}


def test_the_page_of_the_docs_is_that_of_its_records():
    from pathlib import Path

    docs = Path(__file__).parents[2] / "docs"
    kept = json.loads((docs / "results.json").read_text())
    assert (docs / "results.md").read_text() == _page.page(kept, REPRODUCTIONS.values())
