"""Files of trained generators that somebody else made: one line for each, and at once."""

import time

import jax
import pytest

import jaxinv as ji
from jaxinv._core import files


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Header and arrays of a file of each kind."""
    folder, key, found = tmp_path_factory.mktemp("trained"), jax.random.key(0), {}
    for name, settings in (("vae", {"latent_size": 2}), ("flow", {"num_layers": 2})):
        make = getattr(ji.generators, name)
        path = ji.trained.save(folder / name, make(key, (4, 4), hidden=(8,), **settings))
        _, header, arrays = files.load(path, files.BUDGET, pytest.fail)
        found[name] = {k: v for k, v in header.items() if k != "checksum"}, arrays
    return found


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("vae", "hidden", [4] * 3000),
        ("vae", "hidden", [10**9]),
        ("vae", "latent_size", 10**12),
        ("vae", "latent_size", "two"),
        ("vae", "signal_shape", None),
        ("vae", "kind", {"a": 1}),
        ("flow", "num_layers", 10**9),
        ("flow", "num_layers", "many"),
        ("flow", "unit", 3),
    ],
)
def test_settings_that_do_not_fit_the_arrays(parts, tmp_path, name, setting, value):
    header, arrays = parts[name]
    config = header["config"] | {setting: value}
    files.write("save", tmp_path / "bad.npz", header | {"config": config}, arrays)
    began = time.process_time()
    with pytest.raises(ValueError, match=r"^load: path must be a file of a trained gen.*bad\.npz"):
        ji.trained.load(tmp_path / "bad.npz")
    assert time.process_time() - began < 5
