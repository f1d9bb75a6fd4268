"""Every example runs, in a small size, and does what it says."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import jaxinv as ji

FOLDER = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_phase_diagram(tmp_path):
    store = tmp_path / "phase.sqlite"
    options = {"widths": (40, 30), "ks": (2, 5), "ms": (4, 25), "num_trials": 6, "store": store}
    rates = load("phase_diagram").main(**options, plot=tmp_path / "phase.png")
    assert (tmp_path / "phase.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="rates must have one dimension"):
        ji.viz.plot_success_rates(tmp_path / "a.png", {"x": rates}, label="k", title="")
    with pytest.raises(ValueError, match="rates must have two dimensions"):
        ji.viz.plot_phase_diagram(tmp_path / "a.png", rates.isel(k=0))
    assert float(rates["rate"].sel(k=2, m=25)) > 0.6
    assert float(rates["rate"].sel(k=5, m=4)) < 0.5  # fewer measurements than latents
    again = load("phase_diagram").main(**options)
    assert again.equals(rates)


def test_own_phase_diagram(tmp_path):
    plot = tmp_path / "own.png"
    rates = load("own_phase_diagram").main(ks=(2, 8), ms=(4, 32), num_trials=8, plot=plot)
    assert plot.exists()
    assert float(rates["rate"].sel(k=2, m=32)) > 0.6
    assert float(rates["rate"].sel(k=8, m=4)) == 0  # fewer measurements than latents


def test_compose():
    assert load("compose").main(num_restarts=4, max_steps=800) < 0.05


def test_hyperparameter_grid():
    errors = np.asarray(load("hyperparameter_grid").main(num_problems=4, num_penalties=5, size=80))
    best = errors.mean(axis=1).argmin()
    assert errors.shape == (5, 4)
    assert 0 < best < 4  # neither no penalty nor all penalty


def test_train_alista(tmp_path):
    sizes = {"m": 40, "n": 80, "sparsity": 0.05, "num_layers": 6, "num_steps": 100}
    before, after, again = load("train_alista").main(**sizes, num_test=200, folder=tmp_path)
    assert after < before - 2
    assert again == after
    assert (tmp_path / "alista.npz").exists()


def test_own_network():
    errors = load("own_network").main(m=40, n=80, num_layers=6, num_steps=100)
    assert errors["garrote"] < errors["soft threshold"] - 2


def test_denoise_photo():
    sizes = {"size": 32, "num_channels": 24, "num_layers": 2}
    scores = load("denoise_photo").main(**sizes, num_steps=400, patience=100)
    assert scores["deep decoder"] > scores["noisy"] + 2


def test_mri_fewer_lines():
    scores = load("mri_fewer_lines").main(size=32, num_channels=24, num_layers=2, num_steps=300)
    assert scores["total variation"] > scores["zero-filled"]
    assert scores["deep decoder"] > scores["zero-filled"]


def test_predict_run():
    predicted, measured = load("predict_run").main(size=64, num_channels=2048, num_steps=60)
    best = int(predicted.argmin())
    assert 0 < best < 30
    np.testing.assert_allclose(predicted[: 3 * best], measured[: 3 * best], rtol=0.05)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda p: p.stem)
def test_examples_are_short_and_say_what_they_show(path):
    lines = path.read_text().splitlines()
    assert len(lines) < 100
    assert lines[0].startswith('"""')
