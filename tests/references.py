"""Plain NumPy references that several test files compare with."""

import math
from typing import Any

import numpy as np


def angle_map(theta: Any) -> Any:
    """Return the angle after one ReLU layer from its definition, in float64: good away from 0."""
    theta = np.asarray(theta, np.float64)
    return np.arccos(((np.pi - theta) * np.cos(theta) + np.sin(theta)) / np.pi)


def mean_and_error(samples: Any) -> tuple[Any, Any]:
    """Return the mean over the first axis and its standard error."""
    return np.mean(samples, 0), np.std(samples, 0, ddof=1) / math.sqrt(len(samples))
