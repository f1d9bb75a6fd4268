"""What the studies of real images share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import data
from jaxinv.problems import PatchFamily
from jaxinv.reproductions.claims import Claim, bootstrap, lies_above
from jaxinv.solvers import trace

TRAINING = ("astronaut", "brick", "chelsea", "china", "coffee", "coins", "flower", "grass", "moon")


TEST_IMAGE = "camera"


CLASSICAL = ("ISTA", "FISTA")


def training_images(names: Sequence[str], size: int | None) -> list[np.ndarray]:
    return [data.image(name, gray=True, size=512 if size is None else size) for name in names]


def solver_steps(solver: Any, num_steps: int, family: PatchFamily, problems: Any) -> Array:
    """Return the codes after a number of steps of a solver."""
    start = jnp.zeros(family.operator.in_shape, problems.y.dtype)

    def run(problem: Any) -> Array:
        return trace(solver, problem, start, num_steps)[0].u

    return jax.jit(jax.vmap(run, in_axes=(family.axes,)))(problems)


def gain_claims(
    where: str,
    errors: Mapping[str, np.ndarray],
    rivals: Sequence[str],
    count: int,
    measure: str,
) -> list[Claim]:
    """Claim for each network that it beats the rivals, over blocks or patches."""
    claims = []
    for name in errors:
        if name.split(",")[0] in CLASSICAL or name == "linear":
            continue
        for rival in rivals:
            gain, low, high = gain_db(errors[rival][:count], errors[name][:count])
            what = f"{where}: gain of {name} over {rival}, {measure} (dB)"
            rule = "99 % bootstrap interval over test patches above 0"
            claims.append(lies_above(what, gain, low, high, 0.0, rule))
    return claims


def gain_db(theirs: np.ndarray, ours: np.ndarray) -> tuple[float, float, float]:
    """Return 10 log₁₀ Σ theirs / Σ ours, and its 99 % bootstrap interval."""

    def ratio(chosen: Any) -> float:
        return float(10 * np.log10(theirs[chosen].sum() / ours[chosen].sum()))

    low, high = bootstrap(ratio, ours.size)
    return ratio(slice(None)), low, high
