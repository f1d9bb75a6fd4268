"""``jaxinv train``: what a person types, right and wrong."""

import re

import jax
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.cli import main
from jaxinv.unfolded import _catalog as catalog

TINY = (
    "--measurements", "16", "--size", "32", "--sparsity", "0.05", "--layers", "2",
    "--test-size", "30",
)  # fmt: skip
SHORT = ("--steps", "4", "--batch-size", "8")


def run(capsys, *arguments):
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_trains_saves_and_scores(capsys, folder):
    arguments = ("train", "alista", *TINY, *SHORT, "--snr", "30", "--by-layer", "--out", "a")
    code, out, err = run(capsys, *arguments)
    assert (code, err) == (0, "")
    assert "step 4: loss" in out
    assert "least squares on the true support" in out
    assert "network: a.npz" in out
    layers, notes = ji.unfolded.load("a.npz"), ji.unfolded.load_notes("a.npz")
    assert (notes["network"], notes["snr_db"], notes["sparsity"]) == ("alista", 30.0, 0.05)
    start = ji.unfolded.alista(layers.solver.operator, 2)
    assert not np.allclose(layers.solver.threshold, start.solver.threshold)
    family = ji.problems.sparse(16, 32, 0.05, 30.0, operator=layers.solver.operator)
    test_key = jax.random.split(jax.random.key(0), 4)[3]
    found = ji.unfolded.evaluate(test_key, layers, family, num_problems=30)
    assert f"{found.nmse_db:.2f} dB" in out
    assert f"{found.layer_nmse_db[0]:.2f} dB" in out
    assert run(capsys, *arguments)[1].split("network:")[0] == out.split("network:")[0]


def test_few_numbers_are_tuned(capsys, folder, monkeypatch):
    tune = ji.unfolded.tune
    options = {"num_problems": 16, "num_candidates": 6, "num_rounds": 1, "width": 2}
    monkeypatch.setattr(catalog, "tune", lambda *given: tune(*given, **options))
    code, out, err = run(capsys, "train", "hyperlista", *TINY)
    assert (code, err) == (0, "")
    saved = folder / "results" / "hyperlista-16x32-2.npz"
    assert f"network: {saved.relative_to(folder)}" in out
    assert ji.unfolded.load(saved).trainable[0] == "threshold_rate"


def test_the_published_protocol(capsys, folder):
    arguments = ("--protocol", "stagewise", "--steps", "10", "--batch-size", "8")
    code, out, err = run(capsys, "train", "alista", *TINY, *arguments)
    assert (code, err) == (0, "")
    assert re.search(r"step 60: loss [\d.e-]+, validation", out)  # 2 layers, 3 stages of 10 steps


def test_divergence_keeps_the_last_good_weights(capsys, folder):
    code, out, err = run(capsys, "train", "alista", *TINY, *SHORT, "--rate", "1e9", "--out", "d")
    assert code == 2
    assert re.search(r"train: diverged by step \d+: validation loss .* step \d+ are in d\.npz", err)
    assert err.count("\n") == 1
    assert "NMSE" not in out
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(ji.unfolded.load("d.npz")))
    assert ji.unfolded.load_notes("d.npz")["diverged"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("alsta",), "Did you mean 'alista'?"),
        (("alista", "--snr", "0.01"), "snr must be in dB"),
        (("alista", "--snr", "-10"), "snr must be in dB"),
        (("alista", "--snr", "10000"), "snr must be in dB"),
        (("alista", "--snr", "nan"), "snr must be in dB"),
        (("alista", "--measurements", "600"), "measurements must be at most the size 500"),
        (("alista", "--measurements", "0"), "measurements must be >= 1"),
        (("alista", "--sparsity", "1.5"), "sparsity must be in [0.0001, 1], got 1.5"),
        (("alista", "--sparsity", "0"), "sparsity must be in"),
        (("alista", "--layers", "0"), "layers must be >= 1"),
        (("alista", "--steps", "-1"), "steps must be >= 1"),
        (("alista", "--rate", "0"), "rate must be finite and > 0"),
        (("alista", "--test-size", "0"), "test-size must be >= 1"),
        (("alista", "--condition-number", "0.5"), "condition-number must be"),
        (("alista", "--protocol", "greedy"), "protocol must be one of joint, stagewise"),
        (("hyperlista", "--steps", "9"), "steps must be left out"),
        (("hyperlista", "--protocol", "stagewise"), "protocol must be joint"),
        (("alista", "--out", "/dev/null/a.npz"), "lie in a folder that exists"),
        (("alista", "--out", "a/b/c.npz"), "lie in a folder that exists, got a/b/c.npz. Make a/b"),
        (("alista", "--out", "."), "out must be a file"),
        (("alista", "--out", "a.txt"), "out must end in .npz"),
        (("alista", "--seed", "-1"), "seed must be in [0, 2**32)"),
        ((), "the following arguments are required: NETWORK"),
    ],
)
def test_wrong_input_is_one_clear_line(capsys, folder, arguments, message):
    code, out, err = run(capsys, "train", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert not list(folder.iterdir())


def test_the_help_names_every_network(capsys):
    code, out, _ = run(capsys, "train", "--help")
    assert code == 0
    listed = re.search(r"one of (.*?)\.", out.replace("\n", " ")).group(1)
    assert set(listed.replace(" ", "").split(",")) == set(catalog.NETWORKS)
