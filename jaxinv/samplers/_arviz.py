"""Draws as arviz keeps them."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import jax
import numpy as np


def to_arviz(draws: Any) -> Any:
    """Return ``arviz.InferenceData``, from arviz 1.0 on a ``DataTree``."""
    arviz = _package()
    posterior = {"x": draws.x}
    for path, leaf in jax.tree_util.tree_flatten_with_path(draws.u)[0]:
        posterior["u" + jax.tree_util.keystr(path)] = leaf
    info = draws.info
    stats = {"lp": info.log_density, "acceptance_rate": info.accepted, **info.events}
    if "diverging" in stats:
        stats["diverging"] = np.asarray(stats["diverging"]) > 0  # arviz marks such draws
    groups = {
        "posterior": {name: np.asarray(value) for name, value in posterior.items()},
        "sample_stats": {name: np.asarray(value) for name, value in stats.items()},
    }
    return arviz.from_dict(**groups) if hasattr(arviz, "InferenceData") else arviz.from_dict(groups)


def _package() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it announces its own successor
            return importlib.import_module("arviz")
    except ImportError:
        hint = "Install it: python -m pip install arviz."
        text = f"to_arviz: the package arviz is not installed. {hint}"
        raise ModuleNotFoundError(text, name="arviz") from None
