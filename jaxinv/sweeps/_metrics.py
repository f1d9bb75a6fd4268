"""What a trial may return: numbers and booleans by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv._core import checks


def metric(where: str, name: Any, value: Any) -> jax.Array:
    """Return one result of a trial as an array."""
    if not isinstance(name, str) or not name:
        checks.fail_type(where, "trial's result", "have names that are texts", name)
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError):
        hint = f"This came as {name!r}."
        checks.fail_type(where, "trial's result", "be a dict of numbers or booleans", value, hint)


def metric_types(where: str, out_info: Any, static: Mapping[str, Any]) -> dict[str, np.dtype]:
    """Return the types of the results by name; refuse what is no number."""
    for name, info in out_info.items():
        if len(info.shape) != 1:
            got = f"shape {info.shape[1:]} for {name!r} in cell {dict(static)}"
            hint = "Return a summary, such as a norm, or a name for each entry."
            checks.fail(where, "trial's result", "be a dict of scalars", got, hint)
        if not any(jnp.issubdtype(info.dtype, kind) for kind in (np.number, np.bool_)):
            got = f"{info.dtype} for {name!r}"
            checks.fail(where, "trial's result", "be a dict of numbers", got)
    return {name: np.dtype(info.dtype) for name, info in sorted(out_info.items())}
