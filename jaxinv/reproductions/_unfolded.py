"""What the reproductions of unfolded networks share: training, scoring, targets, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxinv import unfolded
from jaxinv.problems import sparse
from jaxinv.reproductions._registry import Settings, trials
from jaxinv.sweeps import Progress
from jaxinv.unfolded._catalog import NETWORKS, Signals, train
from jaxinv.viz._panels import Panel, draw

PROTOCOL = "m = 250, n = 500, one entry in ten nonzero and N(0, 1), 16 layers"

UNTRAINED = "AMP, posterior mean"

SOURCE = "networks and protocol of Chen et al. (2018, 2021), Liu et al. (2019)"
TARGETS_NMSE = {"alista": -68, "hyperlista": -85, "alista-momentum": -66, "lista-cpss": -60}
TARGET_BEST = -95

_UNITS = 100  # of progress per network; the last tenth is its test


class Study(NamedTuple):
    """The size of a study; the default is the published one.

    Attributes:
        num_measurements, signal_size, sparsity: m, n, p.
        num_layers: T.
        num_problems: fresh test signals.
        steps: steps of training by network, where not the catalog's.
        options: further options of training.
    """

    num_measurements: int = 250
    signal_size: int = 500
    sparsity: float = 0.1
    num_layers: int = 16
    num_problems: int = 10_000
    steps: Mapping[str, int] = {}
    options: Mapping[str, Any] = {}

    @property
    def aspect(self) -> float:
        """Return δ = m/n."""
        return self.num_measurements / self.signal_size

    def family(self, operator: Any = None, **options: Any) -> Any:
        """Return the family of problems; keyword arguments as in ``problems.sparse``."""
        options.setdefault("sparsity", self.sparsity)
        return sparse(self.num_measurements, self.signal_size, operator=operator, **options)


class Counter:
    """Reports how much of a study is done, as the engine reports its trials."""

    def __init__(self, settings: Settings, num_networks: int) -> None:
        self._report = settings.progress
        self._total = num_networks * _UNITS
        self._done = 0

    def share(self, name: str, share: float) -> None:
        """Report that this share of the network at work is done."""
        if self._report is not None:
            done = self._done + round(min(share, 1.0) * _UNITS)
            self._report(Progress(done, self._total, {"network": name}, None))

    def next(self, name: str) -> None:
        """Report that a network is done."""
        self.share(name, 1.0)
        self._done += _UNITS


def made(study: Study, key: Any, name: str, family: Any) -> Any:
    """Return a network of the catalog, untrained, for a family with a given operator."""
    signals = Signals(study.sparsity, _snr_db(family))
    return NETWORKS[name].make(key, family.operator, study.num_layers, signals)


def trained(study: Study, key: Any, name: str, family: Any, counter: Counter) -> unfolded.Fit:
    """Return a network of the catalog, trained on a family with a given operator."""
    network = NETWORKS[name]
    make_key, train_key = jax.random.split(key)
    layers = made(study, make_key, name, family)
    options: dict[str, Any] = {}
    if network.num_steps:
        steps = study.steps.get(name, network.num_steps)
        options = {**study.options, "num_steps": steps}
        options["progress"] = lambda report: counter.share(name, 0.9 * report.step / steps)
    return train(train_key, network, layers, family, **options)


def _snr_db(family: Any) -> float | None:
    return None if family.snr_db is None else float(family.snr_db)


def scored(
    study: Study,
    settings: Settings,
    names: Sequence[str],
    counter: Counter,
    *,
    snr_db: float | None = None,
    condition_number: float | None = None,
) -> dict[str, unfolded.Evaluation]:
    """Train networks for one operator, and score all on the same fresh problems.

    Beside LAMP comes what it is before training: approximate message passing.
    """
    operator_key, train_key, test_key = jax.random.split(settings.key, 3)
    operator = study.family(condition_number=condition_number).sample(operator_key).operator
    family = study.family(operator, snr_db=snr_db)
    found = {}
    for name in names:
        layers = trained(study, train_key, name, family, counter).layers
        found[name] = score(study, settings, test_key, layers, family)
        if name == "lamp":
            untrained = made(study, train_key, name, family)
            found[UNTRAINED] = score(study, settings, test_key, untrained, family)
        counter.next(name)
    return found


def score(
    study: Study, settings: Settings, key: Any, layers: Any, family: Any
) -> unfolded.Evaluation:
    """Score a network on as many fresh problems as the settings ask for."""
    return unfolded.evaluate(
        key,
        layers,
        family,
        num_problems=trials(settings, study.num_problems),
        threshold_db=unfolded.failure_threshold(_snr_db(family)),
    )


def rows(scenario: str, found: Mapping[str, unfolded.Evaluation]) -> list[dict[str, Any]]:
    """Return the table behind a figure: one row per network and layer."""
    return [
        {
            "scenario": scenario,
            "network": name,
            "layer": layer + 1,
            "nmse_db": float(each.layer_nmse_db[layer]),
            "median_db": float(each.layer_median_db[layer]),
            "failure_rate": float(each.layer_failure_rate[layer]),
        }
        for name, each in found.items()
        for layer in range(each.layer_nmse_db.size)
    ]


def best_of(found: Mapping[str, unfolded.Evaluation]) -> str:
    """Return the network of the least error."""
    return min(found, key=lambda name: found[name].nmse_db)


def curves_of(found: Mapping[str, unfolded.Evaluation]) -> dict[str, np.ndarray]:
    """Return the error at every layer by network."""
    return {name: each.layer_nmse_db for name, each in found.items()}


def draw_panels(panels: Sequence[Panel], title: str, path: Path) -> str:
    """Draw panels over layers that share their networks."""
    return draw(path, panels, size=(3.9, 4.2), title=title, one_legend=True)
