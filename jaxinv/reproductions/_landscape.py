"""What the studies of the landscape share: the draws at one point, the rows and the figure."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxinv._core import numerics
from jaxinv.generators import relu
from jaxinv.operators import gaussian
from jaxinv.problems import Problem, loss_and_gradient
from jaxinv.reproductions._models import draw_means
from jaxinv.reproductions._registry import Outcome, Settings, trials
from jaxinv.sweeps import sweep

SOURCE = "Hand, Voroninski (2019); Scarlett et al. (2023), section II-D"
LATENT, DEPTHS = 3, (1, 2, 3)
_WIDTH, _MEASUREMENTS, _TRIALS = 500, 500, 400
_ANGLE, _RADIUS = 2.0, 0.8  # where the gradient and the loss are looked at


def _point(angle: float) -> jax.Array:
    return jnp.array([math.cos(angle), math.sin(angle), 0.0], jnp.float32)


def looked_at() -> jax.Array:
    """Return where the gradient and the loss are looked at."""
    return _RADIUS * _point(_ANGLE)


def true_point() -> jax.Array:
    """Return the latent of the truth."""
    return _point(0.0)


def _trial(key: Any, *, depth: int) -> dict[str, Any]:
    """Return one draw's gradient and loss at a fixed point, and its minimizer on the ray −x*."""
    network_key, operator_key = jax.random.split(key)
    prior = relu(network_key, (LATENT,) + (_WIDTH,) * depth)
    operator = gaussian(operator_key, _MEASUREMENTS, _WIDTH)
    problem = Problem(operator, operator(prior(true_point())), prior)
    loss, gradient = loss_and_gradient(problem, looked_at())
    # on the ray −t x* the prediction is t p, so the loss is a parabola in t
    p = problem.predict(-true_point())
    best = numerics.inner(p, problem.y) / numerics.sum_squares(p)
    first, second, third = gradient
    return {"loss": loss, "first": first, "second": second, "third": third, "best": best}


def landscape_draws(settings: Settings) -> Any:
    """Draw problems at every depth."""
    return sweep(
        _trial,
        {"depth": DEPTHS},
        key=settings.key,
        num_trials=trials(settings, _TRIALS),
        block_size=16,
        progress=settings.progress,
    )


def by_depth(claims: Any, rows: Any, *, ylabel: str, law: str, what: str) -> Outcome:
    """Return the outcome with its figure over depth."""
    title = f"expected {what}: k = {LATENT}, widths {_WIDTH}, m = {_MEASUREMENTS}"
    options = {"axis": "depth", "xlabel": "depth d", "ylabel": ylabel, "law": law, "title": title}
    return Outcome(claims, rows, partial(draw_means, rows, **options))
