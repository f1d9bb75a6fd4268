"""A person with signals and a matrix in files: train, save, load, serve, from an empty folder."""

import runpy
import shutil
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_data.py"


def test_own_signals_become_a_service(tmp_path, monkeypatch):
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "show", lambda: None)
    monkeypatch.chdir(tmp_path)
    found = runpy.run_path(str(EXAMPLE))
    pyplot.close("all")
    assert not list(tmp_path.iterdir())  # it leaves nothing where it is run
    service, network = found["service"], found["network"]
    matrix = np.load(found["folder"] / "matrix.npy")
    signal = np.zeros((1, 60), np.float32)
    signal[0, [3, 40]] = 1.0, -1.0
    answer = np.asarray(service((signal @ matrix.T).astype(np.float32)))  # of raw measurements
    assert answer.shape == (1, 60)
    assert set(np.argsort(-np.abs(answer[0]))[:2]) == {3, 40}
    assert network.num_layers == 6
    shutil.rmtree(found["folder"])
