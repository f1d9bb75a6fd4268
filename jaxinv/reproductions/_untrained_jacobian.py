"""Jacobians of a four-layer decoder along a fit: what two studies look at."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from jaxinv import ntk, operators
from jaxinv.generators import deep_decoder
from jaxinv.problems import Problem
from jaxinv.reproductions._registry import Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.solvers import gradient, trace
from jaxinv.viz._panels import Panel, draw, named, published

PAPER = "Heckel, Soltanolkotabi (2020), compressive sensing with un-trained networks"
INDICES = (0, 10, 100, 200, 300, 400, 480)
PUBLISHED = {  # read off the figure; None where the plot hides it
    1: (8.6e3, 650, 12, 2.5, 0.86, 0.37, 0.13),
    75: (None, 250, 4.6, 0.76, 0.26, 0.10, 0.019),
    3500: (4.7e3, 360, 17, 4.6, 2.2, 1.1, 0.47),
}
NUM_VECTORS, NUM_MODES = 6, 12
_RATE = 0.01
_NOISE_STD = 0.2


class JacobianStudy(NamedTuple):
    """Sizes of the study: outputs, channels, layers, side of the input, steps to look at."""

    size: int = 512
    num_channels: int = 64
    num_layers: int = 4
    input_size: int = 32
    steps: tuple[int, ...] = (1, 75, 3500)


class Spectra(NamedTuple):
    """Of one network: σ of J and of L J by step, and the smoothness of their leading vectors."""

    true: dict[int, np.ndarray]
    accumulated: dict[int, np.ndarray]
    true_energy: float
    accumulated_energy: float


def _signal(network: Any, last: Any, hidden: Any) -> Any:
    """Return the output of a decoder whose last layer is fixed."""
    return network((*hidden, {"weight": last}))


def _of_weights(network: Any, last: Any, norms: Any, weights: Any) -> Any:
    """Return the output as a function of the convolutions' weights alone."""
    hidden = tuple({**norm, "weight": weight} for norm, weight in zip(norms, weights, strict=True))
    return _signal(network, last, hidden)


def _spectra(study: JacobianStudy, key: Any, counter: Counter) -> Spectra:
    """Fit a noisy step as published; look at the Jacobian before and after."""
    for_network, for_noise = jax.random.split(key)
    network = deep_decoder(
        (study.size,), study.num_channels, study.num_layers, key=for_network,
        input_size=study.input_size, extra_layer="none", squash=False,
        initial_weights="xavier", initial_scales="uniform",
    )  # fmt: skip
    network = network.with_input(10 * network.z)  # published: U(0, 1)
    k = study.num_channels
    last = jnp.where(jnp.arange(k) < k // 2, 1.0, -1.0)[:, None] / k**0.5
    step = jnp.where(jnp.arange(study.size) < study.size // 2, 0.0, 1.0)
    y = step + _NOISE_STD * jax.random.normal(for_noise, (study.size,))
    start = network.params[:-1]
    true, accumulated, energies = {}, {}, (0.0, 0.0)
    for count in study.steps:
        hidden = start if count == 1 else _fitted(network, last, y, start, count)
        rows = _jacobian(network, last, hidden)
        if count == 1:
            energies = (_smoothness(rows), _smoothness(np.cumsum(rows, axis=0)))
        # the sum over rows is what gradients that are never set to zero add up to
        true[count], accumulated[count] = _values(rows), _values(np.cumsum(rows, axis=0))
        counter.next(f"step {count}")
    return Spectra(true, accumulated, *energies)


def _fitted(network: Any, last: Any, y: Any, start: Any, num_steps: int) -> Any:
    problem = Problem(operators.identity(y.shape), y, Partial(_signal, network, last))
    return trace(gradient(_adam()), problem, start, num_steps)[0].u


@lru_cache(maxsize=1)
def _adam() -> Any:
    """Return one object for all fits, which then trace once."""
    import optax

    return optax.adam(_RATE)


def _jacobian(network: Any, last: Any, hidden: Any) -> np.ndarray:
    norms = tuple({n: v for n, v in layer.items() if n != "weight"} for layer in hidden)
    weights = tuple(layer["weight"] for layer in hidden)
    prior = Partial(_of_weights, network, last, norms)
    return np.asarray(ntk.jacobian(prior, weights), np.float64)


def _values(rows: np.ndarray) -> np.ndarray:
    """Return singular values by the Gram matrix; below 1e-8 of the largest they are rounding."""
    squares = np.linalg.eigvalsh(rows @ rows.T)[::-1]
    return np.sqrt(np.maximum(squares, 1e-16 * squares[0]))


def _smoothness(rows: np.ndarray) -> float:
    """Return the mean energy of the leading left singular vectors in the lowest cosines."""
    from scipy.fft import dct

    vectors = np.linalg.eigh(rows @ rows.T)[1][:, ::-1][:, :NUM_VECTORS]
    modes = np.asarray(dct(vectors, axis=0, norm="ortho"))[:NUM_MODES]
    return float(np.mean(np.sum(modes**2, axis=0)))


def spectra_of(study: JacobianStudy, settings: Settings) -> list[Spectra]:
    """Return the spectra of as many networks as the settings ask for."""
    keys = jax.random.split(settings.key, trials(settings, 4))
    counter = Counter(settings, len(keys) * len(study.steps))
    return [_spectra(study, key, counter) for key in keys]


def draw_spectra(study: JacobianStudy, found: list[Spectra], path: Path) -> str:
    """Draw the singular values, beside the published ones where they were accumulated."""
    panels = []
    for name, text in (("accumulated", "as published (rows summed up)"), ("true", "Jacobian")):
        lines: dict[str, Any] = {}
        for count in study.steps:
            values = np.mean([getattr(each, name)[count] for each in found], axis=0)
            lines[f"step {count}"] = (np.arange(1, values.size + 1), values)
        points = _points(study) if name == "accumulated" else {}
        drawn = [*named(lines), *published(points)]
        panels.append(Panel(text, "index + 1", "σ", drawn, xscale="log", yscale="log"))
    title = f"singular values of a {study.num_layers}-layer decoder, n = {study.size}"
    return draw(path, panels, title=title)


def _points(study: JacobianStudy) -> Mapping[str, Any]:
    points = {}
    for count in study.steps:
        pairs = zip(INDICES, PUBLISHED.get(count, ()), strict=False)
        pairs = [(i + 1, v) for i, v in pairs if v is not None and i < study.size]
        if pairs:
            points[f"published, step {count}"] = tuple(zip(*pairs, strict=True))
    return points
