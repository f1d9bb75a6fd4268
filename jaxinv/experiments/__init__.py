"""Experiments: Monte-Carlo sweeps with a store, summaries, and reconstruction of one image."""

from jaxinv.experiments._export import export
from jaxinv.experiments._merge import merge
from jaxinv.experiments._progress import Progress, Report
from jaxinv.experiments._store import StoreError
from jaxinv.experiments._verify import Verification, verify
from jaxinv.experiments.baselines import Baseline, baseline
from jaxinv.experiments.cluster import connect, local_workers
from jaxinv.experiments.engine import sweep
from jaxinv.experiments.reconstruct import Reconstruction, reconstruct
from jaxinv.experiments.stores import open_store as open
from jaxinv.experiments.summaries import quartiles, success_rate, wilson
from jaxinv.experiments.transitions import transition

__all__ = [
    "Baseline",
    "Progress",
    "Reconstruction",
    "Report",
    "StoreError",
    "Verification",
    "baseline",
    "connect",
    "export",
    "local_workers",
    "merge",
    "open",
    "quartiles",
    "reconstruct",
    "success_rate",
    "sweep",
    "transition",
    "verify",
    "wilson",
]
