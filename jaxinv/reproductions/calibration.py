"""Are intervals true? Posteriors of four priors against ranks, and conformal ones on digits."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv import data, generators, operators, trained
from jaxinv._core import Status
from jaxinv.data._sets import held_back
from jaxinv.problems import Problem, generative
from jaxinv.reproductions._csgm import PIXELS, _lasso
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import (
    REFUTED,
    REPRODUCED,
    UNDECIDED,
    Claim,
    compare_at_most,
    equals,
    holds,
    lies_above,
    lies_below,
)
from jaxinv.samplers import langevin, laplace, preconditioned, sample
from jaxinv.solvers import levenberg_marquardt, solve
from jaxinv.sweeps import Calibration, calibration, conformal, wilson
from jaxinv.viz._calibration import calibration_panels
from jaxinv.viz._panels import Line, Panel, draw

_LEVEL = 0.9
_SIGNIFICANCE = 0.01
_FLOOR = 0.02  # of the scale of a pixel, over the largest value


class CalibrationStudy(NamedTuple):
    """Sizes of the study.

    Attributes:
        num_exact: problems of the linear model.
        num_wrong: those of each sampler with another noise level.
        num_chains: those of each prior whose chains take steps.
        num_laplace: those of the flow by Laplace's approximation: it is off by little.
        num_steps: of the chains; a fifth of them is thrown away.
        num_bins: of the ranks; one less than ten of them are the draws.
        flow_steps: of the training of the flow.
        num_decoder, decoder_steps: problems of the decoder, and steps of its chains.
        num_held_back: digits that the decoder was not trained on.
        num_splits: of these into known and new ones.
        num_measurements: of a digit, by the decoder and by the Lasso.
    """

    num_exact: int = 10_000
    num_wrong: int = 1000
    num_chains: int = 300
    num_laplace: int = 4000
    num_steps: int = 5000
    num_bins: int = 10
    flow_steps: int = 600
    num_decoder: int = 100
    decoder_steps: int = 1500
    num_held_back: int = 500
    num_splits: int = 200
    num_measurements: tuple[int, int] = (100, 400)


class _Runner(NamedTuple):
    """Calibrates with the sizes of a study."""

    study: CalibrationStudy
    settings: Settings

    def __call__(self, family: Any, sampler: Any, num_trials: int, **options: Any) -> Calibration:
        bins = self.study.num_bins
        sizes: dict[str, Any] = {"num_steps": 10 * bins, "block_size": 20, **options}
        return calibration(
            family, sampler, key=self.settings.key, progress=self.settings.progress,
            num_trials=trials(self.settings, num_trials), num_bins=bins, num_draws=10 * bins - 1,
            **sizes,
        )  # fmt: skip

    def chains(
        self, family: Any, sampler: Any, num_trials: int, steps: int | None = None, **options: Any
    ) -> Calibration:
        """Calibrate a sampler whose draws are alike: longer chains, thinned."""
        steps = self.study.num_steps if steps is None else steps
        thin = max(1, steps // (20 * self.study.num_bins))
        kept = (steps - steps // 5) // thin * thin
        sizes = {"num_steps": steps, "burn_in": steps - kept, "thin": thin, **options}
        return self(family, sampler, num_trials, **sizes)


def _linear(run: _Runner) -> tuple[dict[str, Calibration], list[Claim]]:
    """Draw from a Gaussian posterior, and from three others that are wrong."""
    matrix = jax.random.normal(jax.random.fold_in(run.settings.key, 1), (20, 5)) / np.sqrt(5)
    G = generators.from_function(jnp.matmul, matrix, in_shape=5)
    noise_std = 0.5
    family = generative(generator=G, num_measurements=16, noise_std=noise_std)
    exact = run(family, laplace(noise_std), run.study.num_exact)
    place = int(np.argmin(np.abs(exact.levels - _LEVEL)))
    found = {"linear, exact": exact}
    claims = [
        lies_above("linear, exact: p of the rank test", exact.p_value, exact.p_value,
                   exact.p_value, _SIGNIFICANCE, "of all entries and the loss"),
        *(equals(f"linear, exact: 90 % intervals of {name} cover", share, _LEVEL, 0.01 / _LEVEL)
          for name, share in zip(exact.names, exact.coverage[:, place], strict=True)),
    ]  # fmt: skip
    found["linear, langevin"] = run.chains(family, langevin(0.02, noise_std), run.study.num_chains)
    claims.append(_claim("linear, langevin", found["linear, langevin"]))
    for factor, how in ((0.8, "narrow"), (1.25, "wide")):
        name = f"linear, σ times {factor:g}"
        wrong = found[name] = run(family, laplace(factor * noise_std), run.study.num_wrong)
        refused = not wrong.holds and f"too {how}" in wrong.verdict
        what = f"{name}: refused as too {how}"
        claims.append(holds(what, 1.0, float(refused), refused, wrong.verdict))
    return found, claims


def _claim(name: str, found: Calibration) -> Claim:
    """Claim that 90 % intervals hold as often as they say; chains that do not mix decide none."""
    worst, place = int(np.argmin(found.p_values)), int(np.argmin(np.abs(found.levels - _LEVEL)))
    measured = float(found.coverage[worst, place])
    count = round(measured * len(found.ranks))
    low, high = wilson(count, len(found.ranks), confidence=1 - _SIGNIFICANCE)
    verdict = REPRODUCED if found.holds else REFUTED
    verdict = UNDECIDED if found.verdict.startswith("no verdict") else verdict
    what = f"{name}: 90 % intervals of {found.names[worst]} cover"
    level = float(found.levels[place])
    return Claim(what, level, measured, float(low), float(high), verdict, found.verdict)


def _priors(run: _Runner) -> tuple[dict[str, Calibration], list[Claim]]:
    """Draw from the posteriors of a ReLU network, a flow and the decoder of a VAE."""
    study, key = run.study, run.settings.key
    found = {}
    relu = generators.relu(jax.random.fold_in(key, 2), (10, 100, 200))
    for noise_std, step in ((0.3, 0.03), (0.1, 0.004)):
        family = generative(generator=relu, num_measurements=50, noise_std=noise_std)
        sampler = langevin(step, noise_std)
        found[f"ReLU, σ = {noise_std:g}, langevin"] = run.chains(family, sampler, study.num_chains)
    family = generative(generator=_flow(study, key), noise_std=0.2)
    found["flow, langevin"] = run.chains(family, langevin(0.02, 0.2), study.num_chains)
    rival = run(family, laplace(0.2), study.num_laplace)
    decoder = trained.pretrained("mnist")
    family = generative(generator=decoder, num_measurements=100, noise_std=0.1)
    found["VAE, laplace"] = run(family, laplace(0.1), study.num_chains, block_size=5)
    plain, steps = langevin(5e-4, 0.1), study.decoder_steps
    found["VAE, langevin"] = run.chains(family, plain, study.num_decoder, steps, block_size=5)
    with warnings.catch_warnings():  # the solve is over before the metric is factorized
        warnings.filterwarnings("ignore", message=".*batched LAPACK calls")
        round_one = preconditioned(langevin(0.3, 0.1))
        found["VAE, preconditioned"] = run.chains(
            family, round_one, study.num_chains, steps, block_size=5, start=_found
        )
    p_value = rival.p_value
    what = "flow, laplace, an approximation: p of the rank test"
    claims = [lies_below(what, p_value, p_value, p_value, _SIGNIFICANCE, rival.verdict)]
    for name, each in found.items():
        claims.append(_claim(name, each))
        mixed = int(np.sum(each.status == Status.SAMPLED))
        if each.verdict.startswith("no verdict") and mixed >= 5 * study.num_bins:
            claims.append(_claim(f"{name}, the {mixed} that mix", each.where_mixed))
    return found | {"flow, laplace": rival}, claims


def _found(problem: Problem, u0: Array) -> Array:
    """Return the maximum of the posterior that a search from a start of the decoder finds."""
    solver = levenberg_marquardt(latent_penalty=0.01)
    return solve(solver, problem, u0, tol=1e-4, max_steps=100).u


def _flow(study: CalibrationStudy, key: Array) -> Any:
    """Return a flow trained on two half circles."""
    turn_key, noise_key = jax.random.split(jax.random.fold_in(key, 3))
    turn = np.pi * jax.random.uniform(turn_key, (4000,))
    side = jnp.where(jnp.arange(4000) % 2 == 0, 1.0, -1.0)
    circle = jnp.stack([side * jnp.cos(turn) + 0.5 - side / 2, side * (jnp.sin(turn) - 0.25)], 1)
    points = circle + 0.1 * jax.random.normal(noise_key, circle.shape)
    model = generators.flow(key, 2, num_layers=6, hidden=(32, 32), unit="softplus")
    return trained.fit(key, model, np.asarray(points), num_steps=study.flow_steps).model


def _digits(study: CalibrationStudy, settings: Settings) -> tuple[list[dict[str, Any]], list[Any]]:
    """Put intervals around digits: of the posterior, conformal, and these with its spread."""
    x = jnp.asarray(held_back(data.mnist()[0], study.num_held_back)[0])
    key, noise_std = jax.random.fold_in(settings.key, 4), 0.03
    few, many = (
        operators.gaussian(jax.random.fold_in(key, m), m, x.shape[1:])
        for m in study.num_measurements
    )
    mean, spread = _posterior(few, trained.pretrained("mnist"), x, noise_std, key)
    matrix = many.todense().reshape(study.num_measurements[1], -1)
    y = jax.vmap(many)(x)
    y = y + noise_std * jax.random.normal(jax.random.fold_in(key, 1), y.shape)
    plain = _lasso(matrix, jnp.eye(matrix.shape[1]), y, 0.01).reshape(x.shape)
    half = 1.645 * spread
    inside = np.asarray(jnp.mean((x >= mean - half) & (x <= mean + half)))
    rows = [_row("VAE, posterior", "pixel", [float(inside)], [float(2 * jnp.mean(half))])]
    scales = spread + _FLOOR
    for name, estimate, scale in (
        ("VAE", mean, None), ("VAE, scaled", mean, scales), (PIXELS, plain, None),
    ):  # fmt: skip
        for per in ("entry", "signal"):
            rows.append(_split(study, key, x, estimate, scale, name, per))
    claims = [
        equals(f"{row['method']}, {row['per']}: conformal 90 % intervals cover", row["coverage"],
               _LEVEL, 0.015 / _LEVEL)
        for row in rows[1:-1]
    ]  # fmt: skip
    # where the Lasso misses a pixel of 1 its error is just 1: equal errors widen intervals
    share = rows[-1]["coverage"]
    what = f"{PIXELS}, signal: conformal 90 % intervals cover at least"
    claims.append(lies_above(what, share, share, share, _LEVEL - 0.015, "errors may be equal"))
    # of another distribution than the prior's: what calibrated samplers do not see
    share = rows[0]["coverage"]
    claims.append(
        compare_at_most("VAE, posterior: 90 % intervals of held-out digits cover less", share, 0.85,
                        low=share, high=share)
    )  # fmt: skip
    return rows, claims


def _posterior(
    operator: Any, prior: Any, x: Array, noise_std: float, key: Array
) -> tuple[Array, Array]:
    """Return mean and standard deviation of every pixel, by Laplace's approximation."""
    y = jax.vmap(operator)(x)
    y = y + noise_std * jax.random.normal(jax.random.fold_in(key, 0), y.shape)

    @jax.jit
    def all_of(operator: Any, prior: Any, y: Array) -> tuple[Array, Array]:
        def one(y: Array) -> tuple[Array, Array]:
            start = jnp.zeros((1, *prior.in_shape), y.dtype)
            draws = sample(
                laplace(noise_std), Problem(operator, y, prior), start, key=key, num_steps=40
            )
            return jnp.mean(draws.x[0], 0), jnp.std(draws.x[0], 0)

        return lax.map(one, y)

    return all_of(operator, prior, y)


def _split(
    study: CalibrationStudy, key: Array, x: Array, estimate: Array, scale: Any, name: str, per: str
) -> dict[str, Any]:
    """Return the coverage over random halves: one half is known, the other new."""
    shares, widths = [], []
    for split in range(study.num_splits):
        order = np.random.default_rng(split).permutation(len(x))
        known, new = order[: len(x) // 2], order[len(x) // 2 :]
        s_known, s_new = (None, None) if scale is None else (scale[known], scale[new])
        found = conformal(estimate[known], x[known], level=_LEVEL, scales=s_known, per=per)
        shares.append(float(jnp.mean(found.covers(estimate[new], x[new], s_new))))
        low, high = found(estimate[new], s_new)
        widths.append(float(jnp.mean(jnp.clip(high, 0, 1) - jnp.clip(low, 0, 1))))
    return _row(name, "pixel" if per == "entry" else per, shares, widths)


def _row(method: str, per: str, shares: list[float], widths: list[float]) -> dict[str, Any]:
    return {
        "method": method, "per": per, "coverage": float(np.mean(shares)),
        "of_one_split": float(np.std(shares)), "width": float(np.mean(widths)),
    }  # fmt: skip


def _rows_of(found: dict[str, Calibration]) -> list[dict[str, Any]]:
    rows = []
    for name, each in found.items():
        place = int(np.argmin(np.abs(each.levels - _LEVEL)))
        for index, quantity in enumerate(each.names):
            rows.append({
                "method": name, "per": quantity, "coverage": each.coverage[index, place],
                "low": each.low[index, place], "high": each.high[index, place],
                "p_value": each.p_values[index], "problems": len(each.ranks),
                "worst_rhat": each.worst_rhat, "median_rhat": float(np.median(each.rhat)),
                "statuses": each.statuses, "verdict": each.verdict,
            })  # fmt: skip
    return rows


def _calibration(study: CalibrationStudy, settings: Settings) -> Outcome:
    run = _Runner(study, settings)
    linear, claims = _linear(run)
    others, more = _priors(run)
    found = linear | others
    digits, of_digits = _digits(study, settings)
    rows = _rows_of(found)
    blank = dict.fromkeys(rows[0], "") | {"of_one_split": "", "width": ""}
    rows = [blank | row for row in (*rows, *digits)]
    return Outcome([*claims, *more, *of_digits], rows, partial(_draw, found, digits))


def _draw(found: dict[str, Calibration], digits: list[dict[str, Any]], path: Path) -> str:
    shown = [name for name in found if name.endswith(("exact", "0.8", "0.3, langevin", "laplace"))]
    panels = [calibration_panels(found[name], name)[0] for name in shown]
    places = np.arange(1, len(digits) + 1)
    lines = [
        Line(places, [row["coverage"] for row in digits], "coverage", marker="o", style=""),
        Line(places, [row["width"] for row in digits], "mean width", marker="o", style=""),
    ]
    names = ", ".join(f"{i}: {row['method']} ({row['per']})" for i, row in enumerate(digits, 1))
    levels = {"promised": _LEVEL}
    panels.append(Panel(f"Digits. {names}", "intervals", "", lines, levels=levels,
                        ylim=(0, 1.05), xticks="integer"))  # fmt: skip
    return draw(path, panels, size=(4.4, 3.4), num_columns=3)


ENTRIES = (
    Reproduction(
        name="calibration",
        title="posteriors of four priors by ranks of the truth; conformal intervals on digits",
        source="Talts, Betancourt, Simpson, Vehtari, Gelman (2018); Lei, G'Sell, Rinaldo, "
        "Tibshirani, Wasserman (2018)",
        run=partial(_calibration, CalibrationStudy()),
        cost="6 minutes",
    ),
)
