"""Bounds of the theory of untrained networks, each on random draws, as measured over promised."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxinv as ji
from jaxinv import ntk, theory
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained import smooth_signal, triangle
from jaxinv.reproductions.claims import at_most
from jaxinv.viz._panels import Line, Panel, draw

_FAILURE = 0.01  # probability with which a lemma may fail in a draw


class BoundsStudy(NamedTuple):
    """Sizes of the study."""

    size: int = 64
    width: int = 5
    num_measurements: int = 24
    num_channels: int = 512
    num_steps: int = 400


Ratios = dict[str, float]


def _linear(study: BoundsStudy, key: Any) -> Ratios:
    """Linear models: Theorem 1, Proposition 1, Proposition 2."""
    for_signal, for_draws, for_residual = jax.random.split(key, 3)
    kernel = jnp.asarray(triangle(study.size, study.width), jnp.float32)
    signal = smooth_signal(for_signal, study.size, study.num_measurements // 3)
    covariance = ntk.expected_kernel(kernel)
    found = theory.check_sketched_recovery(
        for_draws, covariance, signal, study.num_measurements, num_trials=4
    )
    worst = jnp.max(found.measured)
    basis, _ = jnp.linalg.qr(jax.random.normal(for_draws, (study.size, study.size)))
    smooth = basis[:, : study.num_measurements // 3] @ jax.random.normal(
        for_signal, (study.num_measurements // 3,)
    )
    decaying = (basis * 0.7 ** jnp.arange(1, study.size + 1)) @ basis.T
    geometric = theory.check_sketched_recovery(
        for_draws, decaying, smooth, study.num_measurements, num_trials=4
    )
    allowed = theory.geometric_recovery_bound(0.7, study.num_measurements) * jnp.sum(smooth**2)
    matrix = jax.random.normal(for_residual, (12, 40)) / math.sqrt(40)
    residual = jax.random.normal(jax.random.fold_in(for_residual, 1), (12,))
    step = 1 / float(jnp.linalg.norm(matrix, 2)) ** 2
    dynamics = theory.check_linear_dynamics(matrix, residual, step, 200)
    return {
        "sensing: Theorem 1": float(worst / found.bound),
        "sensing: Proposition 1": float(worst / found.sharper_bound),
        "sensing: equation (8)": float(jnp.max(geometric.measured) / allowed),
        "sensing: Proposition 2, (39)": _ratio(dynamics.residual),
        "sensing: Proposition 2, (40)": _ratio(dynamics.distance),
    }


def _two_layer(study: BoundsStudy, key: Any) -> Ratios:
    """Two-layer networks: Theorems 2 to 4 and Lemmas 1 to 3 and 5."""
    n, m, k = study.size, study.num_measurements, study.num_channels
    for_signal, for_operator, for_prior, for_step = jax.random.split(key, 4)
    kernel = jnp.asarray(triangle(n, study.width), jnp.float32)
    signal = smooth_signal(for_signal, n, m // 3)
    operator = ji.operators.gaussian(for_operator, m, n)
    y = operator(signal)
    norm = float(jnp.max(jnp.abs(jnp.fft.fft(kernel))))  # ‖U‖
    scale = 0.1 * float(jnp.linalg.norm(y)) / (2 * math.sqrt(n) * norm)
    prior = ji.generators.two_layer(kernel, k, key=for_prior, scale=scale)
    problem = ji.Problem(operator, y, prior)
    step = m / (4 * n * norm**2)
    recovery = theory.check_network_recovery(problem, signal, step, study.num_steps)
    start = prior.params
    frobenius = math.sqrt(n) * float(jnp.linalg.norm(kernel))
    initial = scale * math.sqrt(8 * math.log(2 * n / _FAILURE)) * frobenius
    jacobian = ntk.empirical_kernel(prior, start)
    expected = ntk.expected_kernel(kernel)
    concentration = norm**2 * math.sqrt(math.log(2 * n / _FAILURE) / k)
    radius = 0.25 * math.sqrt(k)
    direction = jax.random.normal(for_step, start.shape)
    moved = start + scale * radius * direction / jnp.linalg.norm(direction)
    change = ntk.jacobian(prior, moved) - ntk.jacobian(prior, start)
    allowed = 2 * (k * radius) ** (1 / 3) * norm / math.sqrt(k)
    return {
        "sensing: Theorem 2": float(recovery.measured[-1] / recovery.bound),
        "sensing: Lemma 1": float(jnp.linalg.norm(prior(start))) / initial,
        "sensing: Lemma 2": math.sqrt(float(jnp.linalg.norm(jacobian, 2))) / norm,
        "sensing: Lemma 3": float(jnp.linalg.norm(jacobian - expected, 2)) / concentration,
        "sensing: Lemma 5": float(jnp.linalg.norm(change, 2)) / allowed,
    }


def _nearly_linear(study: BoundsStudy, key: Any) -> Ratios:
    """Theorem 4, for a model near enough to a linear one that its premise is met."""
    matrix = jax.random.normal(key, (6, 12)) / math.sqrt(12)
    prior = ji.generators.from_function(_bent, matrix, in_shape=(12,))
    problem = ji.Problem(ji.operators.identity((6,)), jnp.ones(6), prior)
    step = 0.5 / float(jnp.linalg.norm(matrix, 2)) ** 2
    found = theory.check_linear_closeness(problem, jnp.zeros(12), step, 40, num_checks=6)
    if not bool(found.premise):
        return {}
    names = ("residual", "residual_gap", "largest_gap", "parameter_gap", "distance")
    return {
        f"sensing: Theorem 4, {name.replace('_', ' ')}": _ratio(getattr(found, name))
        for name in names
    }


def _bent(matrix: Any, u: Any) -> Any:
    return matrix @ (u + 1e-3 * jnp.sin(u))


def _one_layer(study: BoundsStudy, key: Any) -> Ratios:
    """CS-DIP: Theorem 4.1 and Lemmas B.1, B.3 and B.4."""
    y = jax.random.normal(jax.random.fold_in(key, 0), (16,))
    found = theory.check_fitting_rate(jax.random.fold_in(key, 1), y, 4096, study.num_steps)
    return {
        "CS-DIP: Theorem 4.1": float(jnp.max(found.measured / found.bound)),
        "CS-DIP: Lemma B.1": float(found.promised_smallest / found.smallest),
        "CS-DIP: Lemma B.3": float(found.largest / found.promised_largest),
        "CS-DIP: Lemma B.4": float(found.measured[0] / 3),
    }


def _moved(study: BoundsStudy, key: Any) -> Ratios:
    """CS-DIP: Lemma B.2, where the weights move as far as the lemma allows them to."""
    n, d = 16, 4096
    entries = np.random.default_rng(int(jax.random.randint(key, (), 0, 2**31 - 1)))
    z, start = entries.standard_normal(8), entries.standard_normal((d, 8))
    nu = 1 / math.sqrt(d * n) / float(np.linalg.norm(z))
    output = nu * entries.standard_normal((n, d))
    changes = d / 30  # (2 d R)^(2/3)
    radius = changes**1.5 / (2 * d)
    close = np.argsort(np.abs(start @ z))  # the signs that are cheapest to turn
    cost = np.cumsum((start @ z)[close] ** 2) / float(z @ z)
    turned = close[: int(np.searchsorted(cost, radius**2))]
    change = float(np.linalg.norm(output[:, turned], 2)) * float(np.linalg.norm(z))
    spread = 2 * math.sqrt(n) + math.sqrt(6 * changes * math.log(d / (3 * changes)))
    return {"CS-DIP: Lemma B.2": change / (nu * float(np.linalg.norm(z)) * spread)}


def _decoder(study: BoundsStudy, key: Any) -> Ratios:
    """Survey: Proposition 2."""
    decoder = ji.generators.two_layer_decoder(study.size, 3)
    found = theory.check_noise_fit(decoder, key, num_starts=2, num_steps=300)
    least = jnp.minimum(found.measured, found.subspace)
    return {"survey: Proposition 2": found.bound.residual / float(least)}


def _ratio(claim: Any) -> float:
    """Return the largest of measured over bound, where the bound is not 0."""
    measured, bound = np.asarray(claim.measured), np.asarray(claim.bound)
    ratio = float(np.max(np.where(bound > 0, measured / np.where(bound > 0, bound, 1), 0)))
    return min(ratio, 1.0) if bool(claim.holds) else ratio  # equal at t = 0 up to rounding


_CHECKS: tuple[Callable[[BoundsStudy, Any], Ratios], ...] = (
    _linear, _two_layer, _nearly_linear, _one_layer, _moved, _decoder,
)  # fmt: skip


def _run(study: BoundsStudy, settings: Settings) -> Outcome:
    count = trials(settings, 10)
    counter = Counter(settings, count * len(_CHECKS))
    found: dict[str, list[float]] = {}
    for trial in range(count):
        for number, check in enumerate(_CHECKS):
            key = jax.random.fold_in(jax.random.fold_in(settings.key, trial), number)
            for name, value in check(study, key).items():
                found.setdefault(name, []).append(value)
            counter.next(check.__doc__.partition(":")[0] if check.__doc__ else "")
    claims = [
        at_most(f"{name}, largest of {len(values)}, over promised", max(values), 1.0)
        for name, values in found.items()
    ]
    rows = [
        {"statement": name, "draw": draw, "measured_over_promised": value}
        for name, values in found.items()
        for draw, value in enumerate(values)
    ]
    return Outcome(claims, rows, partial(_draw, found))


def _draw(found: dict[str, list[float]], path: Path) -> str:
    """Show every draw of every statement, numbered as in the legend."""
    lines = [
        Line([number] * len(values), values, f"{number}  {name}", style="", marker="o")
        for number, (name, values) in enumerate(found.items(), 1)
    ]
    count = max(map(len, found.values()))
    title = f"bounds on untrained networks, {count} draws each"
    panel = Panel(title, "statement", "measured over promised", lines, {"promised": 1.0},
                  yscale="log", xticks="integer")  # fmt: skip
    return draw(path, [panel], size=(5.0, 5.6), one_legend=True)


ENTRIES = (
    Reproduction(
        name="untrained-bounds",
        title="the bounds on untrained networks hold on random draws",
        source="Heckel, Soltanolkotabi (2020), compressive sensing with un-trained networks, "
        "theorems, propositions and lemmas; Van Veen et al. (2018), theorem 4.1 and lemmas of "
        "appendix B; Scarlett et al. (2022), proposition 2",
        run=partial(_run, BoundsStudy()),
        cost="1 minute",
    ),
)
