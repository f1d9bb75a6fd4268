"""Experiments: Monte-Carlo sweeps with a store, summaries, and reconstruction of one image."""

from jaxinv.experiments._store import StoreError
from jaxinv.experiments.baselines import Baseline, baseline
from jaxinv.experiments.engine import Progress, sweep
from jaxinv.experiments.reconstruct import Reconstruction, reconstruct
from jaxinv.experiments.stores import open_store as open
from jaxinv.experiments.summaries import quartiles, success_rate, wilson

__all__ = [
    "Baseline",
    "Progress",
    "Reconstruction",
    "StoreError",
    "baseline",
    "open",
    "quartiles",
    "reconstruct",
    "success_rate",
    "sweep",
    "wilson",
]
