"""The command line: what a person types, right and wrong."""

import json
import os
import sqlite3

import jax
import numpy as np
import pytest

from jaxinv._commands import sweep as command
from jaxinv.cli import main
from jaxinv.reproductions import REPRODUCTIONS
from jaxinv.reproductions.presets import PRESETS, Preset, _nonexpansive
from jaxinv.sweeps import sweep


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Shrink the two-layer preset to a size that a test can wait for."""
    preset = PRESETS["nonexpansive-2layer"]
    tiny = preset._replace(
        values=(2, 4), solvers=_nonexpansive.solvers(hidden=(40, 30), largest_k=4)
    )
    monkeypatch.setitem(PRESETS, preset.name, tiny)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys, *arguments):
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    out, err = capsys.readouterr()
    return code, out, err


def test_without_arguments_it_shows_an_example(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    assert "jaxinv sweep nonexpansive-2layer" in out


def test_a_map_is_one_program_with_its_table_and_figure(capsys, monkeypatch, tmp_path):
    preset = PRESETS["phase-map"]
    tiny = preset._replace(
        values=(2, 4),
        across=preset.across._replace(values=(4, 30)),
        solvers=_nonexpansive.solvers(hidden=(40, 30), largest_k=4, largest_m=30),
    )
    monkeypatch.setitem(PRESETS, preset.name, tiny)
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "sweep", "phase-map", "--trials", "3", "--plot", "map.png")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    table = {row[0]: [float(value) for value in row[1:]] for row in rows if row[0] in ("2", "4")}
    assert [len(rates) for rates in table.values()] == [2, 2]
    few, many = (sum(rates[i] for rates in table.values()) for i in (0, 1))
    assert few < many  # measurements
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = run(capsys, "sweep", "phase-map", "--bisect")
    assert (code, "bisect must be left out for a map" in err) == (2, True)


def test_sweep_writes_a_figure_and_resumes_its_store(capsys, small):
    arguments = ("sweep", "nonexpansive-2layer", "--trials", "3", "--store", "s.sqlite")
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert "k = 4: success 1.00" in out
    figure = small / "results" / "nonexpansive-2layer-levenberg-marquardt.png"
    assert figure.read_bytes().startswith(b"\x89PNG")
    again = run(capsys, *arguments)
    assert again[0] == 0
    assert again[1].split("figure:")[0] == out.split("figure:")[0]
    with sqlite3.connect("s.sqlite") as db:
        db.execute("DELETE FROM blocks WHERE block = 1")
    db.close()
    assert run(capsys, "store", "verify", "s.sqlite")[0] == 1
    code, repaired, err = run(capsys, "store", "verify", "s.sqlite", "--repair")
    assert (code, err) == (0, "")
    assert "computing what is absent of nonexpansive-2layer: solver levenberg" in repaired
    assert repaired.splitlines()[-1] == "s.sqlite: 6 blocks, all well"
    code, _, err = run(capsys, *arguments, "--seed", "1")
    assert code == 2
    assert "holds another configuration: key is" in err
    assert err.count("\n") == 1


def test_an_estimate_says_what_a_sweep_takes_and_writes_nothing(capsys, small):
    arguments = ("sweep", "nonexpansive-2layer", "--trials", "5", "--estimate")
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert "sweep: 2 cells x 5 trials, levenberg-marquardt, float32" in out
    assert "timed: 10 of 10 blocks, in 2 of 2 cells" in out
    assert out.index("number of trials") < out.index("latent dimension k")
    assert not list(small.iterdir())


def test_sweep_with_the_other_solver(capsys, small):
    code, out, _ = run(
        capsys, "sweep", "nonexpansive-2layer", "--trials", "2", "--solver", "subgradient",
        "--plot", "figure.svg",
    )  # fmt: skip
    assert code == 0
    assert "figure: figure.svg" in out
    assert (small / "figure.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sweep", "nonexpansive-2layr"), "Did you mean 'nonexpansive-2layer'?"),
        (("sweep", "lasso", "--solver", "adam"), "solver must be one of fista"),
        (("sweep", "lasso", "--trials", "-3"), "trials must be >= 1, got -3"),
        (("sweep", "lasso", "--trials", "x"), "invalid int value: 'x'"),
        (("sweep", "lasso", "--dtype", "float16"), "dtype must be one of float32, float64"),
        (("sweep", "lasso", "--plot", "a.txt"), "plot must end in .png"),
        (("sweep", "nonexpansive-2layr", "--estimate"), "Did you mean 'nonexpansive-2layer'?"),
        (
            ("sweep", "lasso", "--estimate", "--store", "a"),
            "--store must be left out with --estimate",
        ),
        (("sweep", "lasso", "--estimate", "--workers", "2"), "workers must be left out with --est"),
        (("sweep", "lasso", "--estimate", "--bisect"), "--bisect must be left out with --estimate"),
        (("sweep", "lasso", "--estimate", "--out", "a"), "unrecognized arguments: --out a"),
        (("sweep", "lasso", "--estimate", "--trials", "0"), "trials must be >= 1, got 0"),
        (("sweep",), "the following arguments are required: PRESET"),
        (("sweep", "lasso", "--plot", ""), "plot must be a path"),
        (("sweep", "lasso", "--plot", "/dev/null/a.png"), "folder that exists"),
        (("sweep", "lasso", "--seed", "-1"), "seed must be in [0, 2**32)"),
        (("sweep", "lasso", "--store", "/dev/null/a.sqlite"), "folder of store"),
        (("swep", "lasso"), "invalid choice: 'swep'. Did you mean sweep?"),
        (("simulate", "kamera"), "camera"),
        (("simulate", "missing.png"), "exist"),
        (("simulate", "camera", "--ratio", "1.5"), "ratio must be in (0, 1], got 1.5"),
        (("simulate", "camera", "--operator", "radon"), "operator must be one of"),
        (("simulate", "camera", "--prior", "dyp"), "Did you mean 'dip'?"),
        (("simulate", "camera", "--seeds", "2"), "--seeds must be left out"),
        (("simulate", "camera", "--stop", "9", "--prior", "tv"), "stop must be left out"),
        (("simulate", "camera", "--stop", "x", "--prior", "dip"), "be 'auto' or a number"),
        (("simulate", "camera", "--operator", "gaussian"), "hadamard"),
        (("simulate", "camera", "--out", "a.xyz"), "end in one of"),
        (("simulate", "camera", "--out", "no/a.png"), "folder that exists"),
        (("reproduce",), "be given, one of them, got none"),
        (("reproduce", "noise-lw"), "Did you mean 'noise-law'?"),
        (("reproduce", "noise-law", "--trials", "1"), "trials must be >= 2"),
        (("reproduce", "noise-law", "--out", "/dev/null/a"), "folder that can be written"),
        (("reproduce", "noise-law", "--out", "/proc/x"), "out must lie in a folder that can be"),
        (("reproduce", "noise-law", "--trial", "3"), "unrecognized arguments: --trial 3"),
        (("reproduce", "--list", "--all"), "one of them, got --all and --list"),
        (("reproduce", "survey", "--coverage"), "one of them, got NAME and --coverage"),
    ],
)
def test_wrong_input_is_one_clear_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert not list(tmp_path.iterdir())


def test_simulate_writes_the_estimate_and_no_other_file(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(
        capsys, "simulate", "camera", "--size", "64", "--ratio", "0.5", "--out", "e.png"
    )
    assert (code, err) == (0, "")
    assert "estimate: e.png" in out
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")
    assert [entry.name for entry in tmp_path.iterdir()] == ["e.png"]


def test_reproduce_lists_and_writes(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "reproduce", "--list")
    assert code == 0
    assert all(name in out for name in REPRODUCTIONS)
    options = ("--trials", "4000", "--out", "r", "--write-docs", "d")
    code, out, _ = run(capsys, "reproduce", "landscape-width", *options)
    assert code == 0
    page = (tmp_path / "d" / "results.md").read_text()
    assert (
        run(capsys, "reproduce", "--out", "none", "--write-docs", "d")[0] == 0
    )  # from its records
    assert page == (tmp_path / "d" / "results.md").read_text()
    summary = json.loads((tmp_path / "r" / "landscape-width.json").read_text())
    assert summary["verdict"] == "reproduced"
    assert len(summary["claims"]) == 4
    assert (tmp_path / "r" / "landscape-width.csv").read_text().startswith("width,law,mean")
    assert (tmp_path / "r" / "landscape-width.png").read_bytes().startswith(b"\x89PNG")


def test_a_whole_grid_compiles_once_and_its_order_does_not_matter(monkeypatch):
    traces = []
    recover = _nonexpansive.recover

    def counted(*arguments, **cell):
        traces.append(cell)
        return recover(*arguments, **cell)

    monkeypatch.setattr(_nonexpansive, "recover", counted)
    solvers = _nonexpansive.solvers(hidden=(40, 30), largest_k=16)
    trial = solvers["levenberg-marquardt"](np.dtype("float32"))
    key = jax.random.key(0)
    forward = sweep(trial, {"k": range(1, 17)}, key=key, num_trials=2, traced=("k",))
    assert len(traces) == 1
    some = sweep(trial, {"k": [9, 3, 16]}, key=key, num_trials=3, traced=("k",))
    for name in forward.data_vars:
        same = some[name].isel(trial=slice(2)) == forward[name].sel(k=[9, 3, 16])
        assert bool(same.all()), name


def test_presets_are_whole():
    for preset in PRESETS.values():
        assert isinstance(preset, Preset)
        assert set(preset.published) <= set(preset.values)
        for solver in preset.solvers:
            assert callable(preset.trial(solver))


def test_devices_are_made_of_cores_before_jax_looks_for_any(monkeypatch):
    made = []
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(jax.config, "update", lambda *setting: made.append(setting))
    monkeypatch.setenv("NPROC", "")
    monkeypatch.delenv("NPROC")
    for count in (0, 1, 5, 4):
        command._split_processor(count)
    assert made == [("jax_num_cpu_devices", 4)]
    assert os.environ["NPROC"] == "8"
