"""Networks in files: they come back to the bit, also those of classes of the user's own."""

import importlib
import inspect
import pkgutil
from dataclasses import is_dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv._core import pytree
from jaxinv.unfolded import _storage

M, N, T = 6, 12, 3
MATRIX = np.random.default_rng(0).normal(size=(M, N)).astype(np.float32)
MATRIX /= np.linalg.norm(MATRIX, axis=0)


@pytree
class Own(ji.solvers.Solver):
    """A network of the user's own, with weights in a tree."""

    step_size: jax.Array
    weights: dict

    def init(self, problem, u0):
        return u0

    def step(self, problem, state):
        del problem
        scaled = self.step_size * (self.weights["a"] @ state) + self.weights["b"]
        return scaled, ji.solvers.Info(jnp.zeros(()), jnp.zeros(()))


def own(number):
    rng = np.random.default_rng(number)
    weights = {
        "a": jnp.asarray(rng.normal(size=(N, N)), jnp.float32),
        "b": jnp.ones(N, jnp.bfloat16),
    }
    return Own(jnp.asarray(0.5 + number), weights)


def network(name="alista", layers=T):
    return getattr(ji.unfolded, name)(MATRIX, layers)


def assert_equal(copy, layers):
    assert jax.tree.structure(copy) == jax.tree.structure(layers)
    for a, b in zip(jax.tree.leaves(copy), jax.tree.leaves(layers), strict=True):
        assert jnp.asarray(a).dtype == jnp.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name", ["alista", "lista", "tilista", "hyperlista", "step_lista", "alamp", "lamp"]
)
def test_every_network_comes_back(tmp_path, name):
    layers = network(name)
    path = ji.unfolded.save(
        tmp_path / "net", layers, notes={"snr_db": None, "sizes": {2: 1, 10: 2}}
    )
    assert path.name == "net.npz"
    assert_equal(ji.unfolded.load(path), layers)
    assert ji.unfolded.load_notes(path) == {"snr_db": None, "sizes": {"2": 1, "10": 2}}
    with np.load(path, allow_pickle=False) as file:
        text = str(file["header"])
    assert "jaxinv" not in text  # no module is named
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.npz"]


def test_every_class_that_a_network_can_be_made_of_has_a_name():
    registered = set(_storage._classes().values())
    for folder in ("operators", "prox", "shrinkage", "solvers", "unfolded"):
        package = importlib.import_module(f"jaxinv.{folder}")
        public = (i for i in pkgutil.iter_modules(package.__path__) if not i.name.startswith("_"))
        for info in public:
            module = importlib.import_module(f"jaxinv.{folder}.{info.name}")
            for value in vars(module).values():
                if (
                    inspect.isclass(value)
                    and value.__module__ == module.__name__
                    and is_dataclass(value)
                ):
                    assert value in registered, value
    assert len(_storage._names()) == len(_storage._classes())


@pytest.mark.parametrize("make", [own, lambda i: ji.Layers.stack([own(i), own(i + 1)])])
def test_a_network_of_the_users_own_comes_back(tmp_path, make):
    layers, untrained = make(3), make(1)
    path = ji.unfolded.save(tmp_path / "net.npz", layers, notes={"epoch": 3})
    assert_equal(ji.unfolded.load(path, like=untrained), layers)
    assert ji.unfolded.load_notes(path) == {"epoch": 3}
    with pytest.raises(ValueError, match=r"jaxinv's own classes.*'Own'. Pass like="):
        ji.unfolded.load(path)


def test_bare_leaves_and_numbers_come_back(tmp_path):
    layers = own(3)
    path = ji.unfolded.save(tmp_path / "net.npz", jax.tree.leaves(layers))
    assert_equal(ji.unfolded.load(path, like=own(1)), layers)
    path = ji.unfolded.save(tmp_path / "net.npz", {"rate": 0.5, "steps": 3, "w": np.ones(2)})
    found = ji.unfolded.load(path, like={"rate": 1.0, "steps": 1, "w": np.zeros(2)})
    assert (found["rate"], found["steps"], type(found["steps"])) == (0.5, 3, int)
    known = network()
    path = ji.unfolded.save(tmp_path / "net.npz", known)
    assert_equal(ji.unfolded.load(path, like=known), known)


def test_leaves_that_do_not_fit_are_named(tmp_path):
    path = ji.unfolded.save(tmp_path / "net.npz", own(3))
    other = own(1).weights
    for like, message in [
        (other, r"like must have as many leaves as the file, got 2 for the 3"),
        ({"step_size": 1, "weights": other}, r"have a leaf \.step_size here, got \['step_size'\]"),
        (
            Own(jnp.ones(2), other),
            r"like\.step_size must have shape \(\) float.*, as in the file, got shape \(2,\)",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            ji.unfolded.load(path, like=like)


def test_a_file_knows_its_operator(tmp_path):
    path = ji.unfolded.save(tmp_path / "net.npz", network("step_lista"))
    A = ji.operators.dense(MATRIX)
    assert_equal(ji.unfolded.load(path, operator=A), network("step_lista"))
    with pytest.raises(ValueError, match="made for another operator"):
        ji.unfolded.load(path, operator=ji.operators.dense(MATRIX[:, ::-1]))
    path = ji.unfolded.save(path, ji.Layers.repeat(ji.solvers.ista(0.1, 0.1), 2))
    with pytest.raises(ValueError, match="be a network that holds its operator"):
        ji.unfolded.load(path, operator=A)


@pytest.mark.parametrize(
    ("layers", "notes", "message"),
    [
        (network(), {"a": object()}, "notes must hold numbers, texts"),
        (network(), {"a": "x" * 2**23}, "notes must take at most"),
        ({"w": "text"}, None, r"layers\['w'\] must be an array of numbers"),
        (jax.random.key(0), None, "layers must be an array of numbers"),
        ({}, None, r"layers must be a jaxinv\.Layers"),
    ],
)
def test_what_cannot_be_saved_leaves_nothing(tmp_path, layers, notes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ji.unfolded.save(tmp_path / "net.npz", layers, notes=notes)
    assert list(tmp_path.iterdir()) == []


def test_places_where_nothing_can_be_written_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"a folder that exists, got .*Make .*/a/b first"):
        ji.unfolded.save(tmp_path / "a" / "b" / "net", network())
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ji.unfolded.save("~/net", network()) == tmp_path / "net.npz"
    assert_equal(ji.unfolded.load("~/net"), network())
    with pytest.raises(FileNotFoundError, match="does not exist"):
        ji.unfolded.load("~/none.npz")


def test_an_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = ji.unfolded.save(tmp_path / "net.npz", network())
    old = path.read_bytes()

    def broken(stream, **_):
        stream.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(OSError, match="disk full"):
        ji.unfolded.save(path, network("lista"))
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.npz"]
