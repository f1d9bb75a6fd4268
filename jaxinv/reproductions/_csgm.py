"""Compressed sensing with a trained VAE: what the studies on digits and faces share."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv import generators, operators, trained
from jaxinv.data import shifted
from jaxinv.data._sets import held_back
from jaxinv.problems import Problem
from jaxinv.reproductions._models import row_of_mean
from jaxinv.reproductions._registry import Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.solvers import alternating, fista, intermediate_layers, levenberg_marquardt, solve
from jaxinv.viz._panels import Line, Panel, Picture, draw

SOURCE = "Bora, Jalal, Price, Dimakis (2017)"
TUNED, PUBLISHED, PLAIN = "VAE, tuned", "VAE, λ = 0.1", "VAE, λ = 0"
PIXELS, DCT, WAVELET = "Lasso, pixels", "Lasso, DCT", "Lasso, wavelet"
FLOOR = "nearest of the range"
_NOISE_NORM = 0.1  # published
_NONE = 1e-7  # of λ = 0 in the same program
_LATENT_PENALTIES = (_NONE, 0.01, 0.03, 0.1)
_SHARES = (0.003, 0.01, 0.03, 0.1, 0.3)  # of the penalty that leaves nothing
_LASSO_STEPS = 400

Scores = dict[tuple[Any, str], np.ndarray]  # by measurements and method; (seeds, signals)


class CsgmStudy(NamedTuple):
    """Size of a study.

    Attributes:
        measurements: m.
        repeated: those of them at which every training seed is scored, not the first alone.
        hidden, latent_size, num_steps: of the VAE and of its training.
        divergence_weight: β of its training.
        num_seeds: trainings.
        num_held_back: signals kept from training, to test on.
        num_signals, num_tuning: test signals scored, and training signals that tune penalties.
        num_restarts, max_steps: of the search.
        wavelet: its name and levels, or None where the sides do not divide.
        shifts: train on shifted copies, too.
    """

    measurements: tuple[int, ...]
    repeated: tuple[int, ...]
    hidden: tuple[int, ...]
    latent_size: int = 20
    num_steps: int = 6000
    divergence_weight: float = 0.1
    num_seeds: int = 3
    num_held_back: int = 500
    num_signals: int = 50
    num_tuning: int = 10
    num_restarts: int = 4
    max_steps: int = 50
    wavelet: tuple[str, int] | None = ("db2", 2)
    shifts: bool = True


class Found(NamedTuple):
    """What a study found: errors, trained priors, test signals, some reconstructions."""

    scores: Scores
    priors: list[Any]
    signals: Array
    shown: dict[str, Array]


def run(study: CsgmStudy, images: np.ndarray, settings: Settings) -> Found:
    """Train the priors, tune all methods on training signals, and score them on others."""
    count = trials(settings, study.num_signals)
    counter = Counter(settings, study.num_seeds + len(study.measurements) + 1)
    test, train = held_back(images, study.num_held_back)
    # the sizes and weights of the studies were chosen by errors on the first ones
    x, tuning = jnp.asarray(test[-count:]), jnp.asarray(train[: study.num_tuning])
    priors = []
    for seed in range(study.num_seeds):
        share = partial(_share, counter, f"training {seed}")
        priors.append(trained_vae(study, train, jax.random.fold_in(settings.key, seed), share))
        counter.next(f"training {seed}")
    scores: Scores = {}
    shown: dict[str, Array] = {}
    both = jnp.concatenate([x, tuning])  # one program for both; the last of them tune
    for m in study.measurements:
        key = jax.random.fold_in(settings.key, 1000 + m)
        operator = operators.gaussian(key, m, x.shape[1:])
        y = _measured(operator, both, jax.random.fold_in(key, 1))
        solve_with = partial(search, study, operator, key)
        found = {penalty: solve_with(priors[0], y, penalty) for penalty in _LATENT_PENALTIES}
        errors = {penalty: mean_squares(images, both) for penalty, images in found.items()}
        best = min(_LATENT_PENALTIES, key=lambda penalty: errors[penalty][count:].mean())
        others = priors[1:] if m in study.repeated else []
        repeated = [mean_squares(solve_with(prior, y, best), both) for prior in others]
        scores[m, TUNED] = np.stack([errors[best], *repeated])[:, :count]
        scores[m, PUBLISHED], scores[m, PLAIN] = (errors[p][None, :count] for p in (0.1, _NONE))
        shown |= {f"VAE, m = {m}": found[best][:2]}
        matrix = operator.todense().reshape(m, -1)
        for name, basis in _bases(study, x.shape[1:]).items():
            tried = [mean_squares(_lasso(matrix @ basis.T, basis, y, s), both) for s in _SHARES]
            scores[m, name] = min(tried, key=lambda each: each[count:].mean())[None, :count]
        counter.next(f"m = {m}")
    floor = [trained.diagnose(settings.key, prior, x, num_samples=10) for prior in priors]
    scores[x[0].size, FLOOR] = np.stack([np.asarray(each.projection_error) for each in floor])
    return Found(scores, priors, x, shown)


def _share(counter: Counter, name: str, report: Any) -> None:
    counter.share(name, report.step / report.num_steps)


def trained_vae(study: CsgmStudy, train: np.ndarray, key: Array, progress: Any = None) -> Any:
    """Return the VAE of a study, trained with one key."""
    model = generators.vae(
        jax.random.fold_in(key, 0), train.shape[1:], study.latent_size,
        hidden=study.hidden, divergence_weight=study.divergence_weight,
    )  # fmt: skip
    signals = shifted(train) if study.shifts else train
    fit = trained.fit(
        jax.random.fold_in(key, 1), model, signals, num_steps=study.num_steps, held_out=0.05,
        patience=None, progress=progress,
    )  # fmt: skip
    return fit.model


def _measured(operator: Any, x: Array, key: Array) -> Array:
    """Return measurements with noise of the published norm, 0.1 on average."""
    y = jax.vmap(operator)(x)
    noise = jax.random.normal(key, y.shape, y.dtype)
    return y + _NOISE_NORM / np.sqrt(y.shape[1]) * noise


def search(study: Any, operator: Any, key: Array, prior: Any, y: Array, penalty: float) -> Array:
    """Return the signals of the latents that a penalized search from several starts finds."""
    solver = levenberg_marquardt(num_restarts=study.num_restarts, latent_penalty=penalty)
    shape = (len(y), study.num_restarts, study.latent_size)
    starts = jax.random.normal(jax.random.fold_in(key, 2), shape, y.dtype)
    return _solved(solver, Problem(operator, y, prior), starts, study.max_steps).x


@partial(jax.jit, static_argnums=3)
def _solved(solver: Any, problems: Problem, starts: Any, max_steps: int) -> Any:
    def one(pair: Any) -> Any:
        y, start = pair
        return solve(solver, problems._replace(y=y), start, tol=1e-3, max_steps=max_steps)

    return lax.map(one, (problems.y, starts))


def _bases(study: CsgmStudy, shape: tuple[int, ...]) -> dict[str, Array]:
    """Return the matrices whose rows are orthonormal bases."""
    size = int(np.prod(shape))
    found = {PIXELS: jnp.eye(size)}
    transforms: dict[str, Any] = {DCT: operators.dct(shape)}
    if study.wavelet is not None:
        transforms[WAVELET] = operators.wavelet(shape, *study.wavelet)
    for name, transform in transforms.items():
        columns = jax.vmap(transform)(jnp.eye(size).reshape(size, *shape))
        found[name] = columns.reshape(size, size).T
    return found


@jax.jit
def _lasso(matrix: Array, basis: Array, y: Array, share: Any) -> Array:
    def one(each: Array) -> Array:
        penalty = share * jnp.max(jnp.abs(matrix.T @ each))
        problem = Problem(operators.dense(matrix), each)
        start = jnp.zeros(matrix.shape[1], each.dtype)
        solver = fista(penalty=penalty)
        found = solve(solver, problem, start, tol=1e-4, max_steps=_LASSO_STEPS)
        return jnp.clip(basis.T @ found.x, 0, 1)

    return jax.vmap(one)(y)


def mean_squares(found: Any, x: Any) -> np.ndarray:
    """Return mean squared errors per entry, one a signal; signals of a Lasso are flat."""
    gap = np.asarray(found).reshape(len(x), -1) - np.asarray(x).reshape(len(x), -1)
    return np.mean(gap**2, 1)


def off_distribution(
    study: CsgmStudy, prior: Any, x: Array, key: Array, num_measurements: int
) -> dict[str, np.ndarray]:
    """Return errors on signals unlike those of training: CSGM, Sparse-Gen and layers."""
    operator = operators.gaussian(key, num_measurements, x.shape[1:])
    y = _measured(operator, x, jax.random.fold_in(key, 1))
    latent = levenberg_marquardt(latent_penalty=0.03)
    shape = (len(x), study.latent_size)
    starts = jax.random.normal(jax.random.fold_in(key, 2), shape, y.dtype)
    start = _solved(latent, Problem(operator, y, prior), starts, study.max_steps)
    pair = alternating([latent, fista(penalty=0.01)])
    near = Problem(operator, y, generators.plus_sparse(prior))
    sparse = _solved(pair, near, (start.u, jnp.zeros_like(x)), 200)
    layers = intermediate_layers(latent, [20.0])
    inner = _solved(layers, Problem(operator, y, prior), start.u, 200)
    named = zip(("CSGM", "Sparse-Gen", "ILO"), (start.x, sparse.x, inner.x), strict=True)
    return {name: mean_squares(np.clip(np.asarray(found), 0, 1), x) for name, found in named}


def rows_of(found: Found) -> list[dict[str, Any]]:
    """Return one row a method and number of measurements; the error is over seeds and signals."""
    return [
        row_of_mean(errors.mean(0), measurements=m, method=name, seeds=len(errors))
        for (m, name), errors in found.scores.items()
    ]


def draw_study(rows: list[dict[str, Any]], found: Found, path: Path) -> str:
    """Draw the errors against m, and the first test signal beside what was found of it."""
    lines = []
    for name in dict.fromkeys(row["method"] for row in rows):
        chosen = [row for row in rows if row["method"] == name]
        bars = [2 * row["standard_error"] for row in chosen]
        places = [row["measurements"] for row in chosen]
        lines.append(Line(places, [row["mean"] for row in chosen], name, marker="o", errors=bars))
    ticks = sorted({row["measurements"] for row in rows})
    panels: list[Any] = [
        Panel("mean ± 2 se", "measurements m", "squared error per pixel", lines,
              xscale="log", yscale="log", xticks=ticks[::2]),
        Picture("truth", np.asarray(found.signals[0])),
    ]  # fmt: skip
    few = [(name, images) for name, images in found.shown.items()][1:5:2]
    panels += [Picture(name, np.asarray(images[0])) for name, images in few]
    return draw(path, panels, num_columns=2)
