"""``jaxinv train vae|flow|gan DATA``: what a person types, right and wrong."""

import numpy as np
import pytest
from test_cli_train import folder, run

import jaxinv as ji

__all__ = ["folder"]
TINY = ("--hidden", "8", "--steps", "200", "--latent", "2", "--rate", "0.01")
LIGHT = ("--divergence-weight", "0.1")


def test_a_vae_from_an_array_of_ones_own(capsys, folder):
    x = np.random.default_rng(0).random((60, 1, 1)) * np.ones((4, 1)) * np.linspace(0, 1, 4)
    np.save(folder / "own.npy", (255 * x).astype(np.uint8))
    code, out, err = run(capsys, "train", "vae", "own.npy", *TINY, *LIGHT, "--half", "--out", "a")
    assert (code, err) == (0, "")
    assert "step 200: loss" in out
    assert "latents out of use" in out
    assert "prior: a.npz" in out
    G, notes = ji.trained.load("a.npz"), ji.trained.load_notes("a.npz")
    assert (G(np.zeros(2)).shape, notes["steps"], notes["data"]) == ((4, 4), 200, "own.npy")
    assert list(G.params) == ["decoder"]


def test_a_collapsed_vae_is_told_in_words_of_the_command_line(capsys, folder):
    x = np.random.default_rng(0).random((60, 4, 4))
    np.save(folder / "own.npy", x)
    heavy = ("--divergence-weight", "100", "--out", "c")
    code, _, err = run(capsys, "train", "vae", "own.npy", *TINY, *heavy)
    assert code == 2
    assert "of the 49 signals. The weights are in c.npz. Raise --steps, lower --div" in err
    assert err.count("\n") == 1
    assert "error.fit" not in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vae",), "DATA must be digits, mnist"),
        (("vae", "no-such-folder"), "be one of digits, mnist, faces, patches, a folder or a file"),
        (("alista", "digits"), "data must be left out for alista"),
        (("alista", "--latent", "3"), "latent must be left out for alista"),
        (("vae", "digits", "--sparsity", "0.2"), "sparsity must be left out for vae"),
        (("flow", "digits", "--latent", "3"), "latent must be left out for flow"),
        (("vae", "digits", "--unit", "sine"), "unit must be one of softplus, relu, leaky"),
        (("vae", "digits", "--image-size", "4", "4"), "size must be None"),
        (("vae", "digits", "--rate", "-1"), "rate must be finite and > 0"),
    ],
)
def test_wrong_input_is_one_clear_line(capsys, folder, arguments, message):
    code, out, err = run(capsys, "train", *arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
