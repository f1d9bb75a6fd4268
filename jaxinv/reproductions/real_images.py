"""Networks on patches of real images: compressed sensing of blocks, and sparse coding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import data, operators, unfolded
from jaxinv._core import numerics
from jaxinv.metrics import psnr
from jaxinv.operators import dct_dictionary, join_blocks, split_blocks
from jaxinv.problems import PatchFamily, PatchMeasurement, patches
from jaxinv.reproductions._registry import (
    Claim,
    Outcome,
    Reproduction,
    Settings,
    above,
    trials,
)
from jaxinv.reproductions._unfolded import Counter
from jaxinv.solvers import fista, ista, trace, unfold
from jaxinv.viz._images import plot_bars, plot_panels

TRAINING = ("astronaut", "brick", "chelsea", "china", "coffee", "coins", "flower", "grass", "moon")
_TEST = "camera"
_RESAMPLES = 1000
_PENALTIES = tuple(np.geomspace(0.05, 20.0, 9).tolist())
_CLASSICAL = ("ISTA", "FISTA")
_MINIMIZE = 1000  # steps of FISTA after which the objective is called minimal
_RIDGE = 1e-4  # of the linear estimate, in units of the codes' mean variance


class BlockStudy(NamedTuple):
    """The size of a study of blocks: sides, layers, steps, sampling ratios, training images."""

    block: int = 16
    num_layers: int = 10
    num_steps: int = 500
    ratios: tuple[float, ...] = (0.25, 0.5)
    num_tuning: int = 1024
    size: int | None = None  # of the images; None: 512 for training, all of the test image
    training: tuple[str, ...] = TRAINING


class CodingStudy(NamedTuple):
    """The size of a study of sparse coding."""

    num_layers: int = 10
    num_steps: int = 500
    penalties: tuple[float, ...] = (0.1, 0.5)  # shares of the smallest that leaves nothing
    num_test: int = 500
    size: int | None = None
    training: tuple[str, ...] = TRAINING


# ---------------------------------------------------------------- compressed sensing of blocks


def _sensing(study: BlockStudy, settings: Settings) -> Outcome:
    image = data.image(_TEST, size=study.size)
    counter = Counter(settings, 2 * len(study.ratios))
    claims, rows, shown = [], [], {}
    for ratio in study.ratios:
        errors, images = _sensed(study, settings, image, ratio, counter)
        scores = {name: float(psnr(jnp.asarray(found), image)) for name, found in images.items()}
        rows += [{"ratio": ratio, "method": name, "psnr": value} for name, value in scores.items()]
        count = min(trials(settings, len(errors["ISTA"])), len(errors["ISTA"]))
        classical = [name for name in errors if name.split(",")[0] in _CLASSICAL]
        claims += _gains(f"ratio {ratio:g}", errors, classical, count, "PSNR")
        if ratio == study.ratios[0]:
            shown = {f"{name}: {scores[name]:.2f} dB": images[name] for name in _SHOWN}
    title = f"{_TEST}, {study.block} x {study.block} blocks, ratio {study.ratios[0]:g}"
    panels = {"truth": image, **shown}
    draw = partial(_draw, panels, f"{title}, {study.num_layers} layers or steps")
    return Outcome(claims, rows, draw)


_NETWORKS = ("LISTA-CPSS", "LISTA")
_SHOWN = ("ISTA", "FISTA, weighted", "linear", "LISTA-CPSS", "LISTA")


def _sensed(
    study: BlockStudy, settings: Settings, image: np.ndarray, ratio: float, counter: Counter
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return each method's squared error by block, and its image."""
    operator_key, tuning_key, train_key = jax.random.split(settings.key, 3)
    family = _block_family(study, operator_key, ratio)
    drawn = family.batch(jax.random.split(tuning_key, study.num_tuning))
    blocks = split_blocks(image, study.block)
    axes = PatchMeasurement(family.axes, 0, 0)  # pyright: ignore[reportArgumentType]
    measured = jax.jit(jax.vmap(family.measure, out_axes=axes))(blocks)
    codes = {
        name: _steps(solver, study.num_layers, family, measured.problem)
        for name, solver in _tuned(study.num_layers, family, drawn).items()
    }
    codes["linear"] = _linear(family, drawn, measured.problem.y)
    for name, layers in _block_networks(family, study.num_layers).items():

        def report(progress: Any, name: str = name) -> None:
            counter.share(name, progress.step / progress.num_steps)

        fit = unfolded.fit(train_key, layers, family, num_steps=study.num_steps, progress=report)
        run = jax.vmap(unfold, in_axes=(None, family.axes))
        codes[name] = run(fit.layers, measured.problem)
        counter.next(name)
    errors, images = {}, {}
    for name, u in codes.items():
        restored = jnp.clip(jax.vmap(family.restore)(u, measured.mean, measured.scale), 0, 1)
        errors[name] = np.asarray(jnp.sum(jnp.square(restored - blocks), axis=(1, 2)), float)
        images[name] = np.asarray(join_blocks(restored, image.shape))
    return errors, images


def _block_family(study: BlockStudy, key: Any, ratio: float) -> PatchFamily:
    """Return the family of training blocks; one measurement of each is its mean."""
    images = _training_images(study.training, study.size)
    pixels = study.block**2
    operator = operators.gaussian(key, round(ratio * pixels) - 1, pixels)
    matrix = dct_dictionary(study.block).matrix
    # atoms scaled so that A = Φ D has columns of norm 1, which networks assume
    norms = jnp.linalg.norm(jax.vmap(operator, in_axes=1, out_axes=1)(matrix), axis=0)
    return patches(images, study.block, operator, matrix / norms)


def _training_images(names: Sequence[str], size: int | None) -> list[np.ndarray]:
    return [data.image(name, gray=True, size=512 if size is None else size) for name in names]


def _block_networks(family: PatchFamily, num_layers: int) -> dict[str, Any]:
    operator = family.operator
    return {
        "LISTA-CPSS": unfolded.lista_cpss(operator, num_layers, initial_weights="adjoint"),
        "LISTA": unfolded.lista(operator, num_layers),
    }


def _steps(solver: Any, num_steps: int, family: PatchFamily, problems: Any) -> Array:
    """Return the codes after a number of steps of a solver."""
    start = jnp.zeros(family.operator.in_shape, problems.y.dtype)

    def run(problem: Any) -> Array:
        return trace(solver, problem, start, num_steps)[0].u

    return jax.jit(jax.vmap(run, in_axes=(family.axes,)))(problems)


def _tuned(num_steps: int, family: PatchFamily, drawn: Any) -> dict[str, Any]:
    """Return ISTA and FISTA with the penalty that is best on patches of the training images.

    The weighted ones penalize an entry by the inverse of its standard deviation there.
    """
    deviation = jnp.sqrt(jnp.mean(jnp.square(drawn.truth.u), axis=0))
    weights = jnp.median(deviation) / deviation
    found = {}
    for name, make in (("ISTA", ista), ("FISTA", fista)):
        for suffix, weight in (("", 1.0), (", weighted", weights)):
            solvers = [make(penalty=value * weight) for value in _PENALTIES]
            errors = [
                numerics.sum_squares(_steps(solver, num_steps, family, drawn) - drawn.truth.u)
                for solver in solvers
            ]
            found[name + suffix] = solvers[int(np.argmin(np.asarray(errors)))]
    return found


def _linear(family: PatchFamily, drawn: Any, y: Array) -> Array:
    """Return the best linear estimate for the covariance of the training patches."""
    codes = np.asarray(drawn.truth.u, float)
    matrix = np.asarray(family.operator.todense(), float)
    covariance = codes.T @ codes / len(codes)
    joint = matrix @ covariance
    gram = joint @ matrix.T
    gram += _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return jnp.asarray(np.asarray(y, float) @ np.linalg.solve(gram, joint), y.dtype)


# -------------------------------------------------------------------------------- sparse coding


def _coding(study: CodingStudy, settings: Settings) -> Outcome:
    counter = Counter(settings, 4 * len(study.penalties))
    count = trials(settings, study.num_test)
    claims, rows = [], []
    for name, make in (("camera", _photo_families), ("digits", _digit_families)):
        train, test = make(study)
        for penalty in study.penalties:
            excess = _coded(study, settings, train, test, penalty, count, counter)
            where = f"{name}, penalty {penalty:g}"
            # published are gains over ISTA; FISTA, which trains nothing, is shown beside
            claims += _gains(where, excess, ("ISTA",), count, "excess of the objective")
            rows += [
                {"images": name, "penalty": penalty, "method": method, "excess": float(each.mean())}
                for method, each in excess.items()
            ]
    title = f"Lasso objective above its minimum, {study.num_layers} layers or steps"
    return Outcome(claims, rows, partial(_draw_coding, rows, title))


def _photo_families(study: CodingStudy) -> tuple[PatchFamily, PatchFamily]:
    dictionary = dct_dictionary(8, 11)
    test = [data.image(_TEST, size=study.size)]
    return tuple(  # pyright: ignore[reportReturnType]
        patches(images, 8, None, dictionary, normalize="patch")
        for images in (_training_images(study.training, study.size), test)
    )


def _digit_families(study: CodingStudy) -> tuple[PatchFamily, PatchFamily]:
    """Return digits coded in other digits: atoms, training and test have none in common."""
    images = data.digits()[0]
    atoms = images[:100].reshape(100, -1).T
    atoms = atoms - atoms.mean(axis=0)
    atoms = atoms / np.linalg.norm(atoms, axis=0)
    return tuple(  # pyright: ignore[reportReturnType]
        patches(part, 8, None, atoms, normalize="patch")
        for part in (images[100:1200], images[1200:])
    )


def _coded(
    study: CodingStudy,
    settings: Settings,
    train: PatchFamily,
    test: PatchFamily,
    penalty: float,
    count: int,
    counter: Counter,
) -> dict[str, np.ndarray]:
    """Return by how much each method's objective is above the minimum, patch by patch."""
    train_key, test_key = jax.random.split(settings.key)
    problems = test.batch(jax.random.split(test_key, count))
    codes = {
        "ISTA": _steps(ista(penalty=penalty), study.num_layers, test, problems),
        "FISTA": _steps(fista(penalty=penalty), study.num_layers, test, problems),
    }
    loss = partial(lasso_objective, penalty)
    networks = {
        "Step-LISTA": unfolded.step_lista(train.operator, study.num_layers, penalty),
        "LISTA": unfolded.lista(train.operator, study.num_layers),
    }
    for name, layers in networks.items():
        fit = unfolded.fit(train_key, layers, train, num_steps=study.num_steps, loss=loss)
        codes[name] = jax.vmap(unfold, in_axes=(None, test.axes))(fit.layers, problems)
        counter.next(name)
    objective = jax.vmap(loss, in_axes=(0, test.axes))
    values = {name: np.asarray(objective(u, problems), float) for name, u in codes.items()}
    best = _steps(fista(penalty=penalty), _MINIMIZE, test, problems)
    floor = np.asarray(objective(best, problems), float)
    return {name: np.maximum(value - floor, 0) for name, value in values.items()}


def lasso_objective(penalty: Any, u: Array, problem: Any) -> Array:
    """Return ½‖A u − y‖² + λ‖u‖₁, what networks are trained on without any truth."""
    return problem.loss(u) + penalty * jnp.sum(jnp.abs(u))


# ------------------------------------------------------------------------------------ comparison


def _gains(
    where: str,
    errors: Mapping[str, np.ndarray],
    rivals: Sequence[str],
    count: int,
    measure: str,
) -> list[Claim]:
    """Claim for each network that it beats the rivals, over blocks or patches."""
    claims = []
    for name in errors:
        if name.split(",")[0] in _CLASSICAL or name == "linear":
            continue
        for rival in rivals:
            gain, low, high = _gain(errors[rival][:count], errors[name][:count])
            what = f"{where}: gain of {name} over {rival}, {measure} (dB)"
            rule = "99 % bootstrap interval over test patches above 0"
            claims.append(Claim(what, 0.0, gain, low, high, above(low, high, 0.0), rule))
    return claims


def _gain(theirs: np.ndarray, ours: np.ndarray) -> tuple[float, float, float]:
    """Return 10 log₁₀ Σ theirs / Σ ours, and its 99 % bootstrap interval."""

    def ratio(chosen: Any) -> float:
        return float(10 * np.log10(theirs[chosen].sum() / ours[chosen].sum()))

    generator = np.random.default_rng(0)
    size = ours.size
    values = [ratio(generator.integers(size, size=size)) for _ in range(_RESAMPLES)]
    low, high = np.quantile(values, (0.005, 0.995))
    return ratio(slice(None)), float(low), float(high)


def _draw(panels: Mapping[str, np.ndarray], title: str, path: Path) -> str:
    return plot_panels(path, panels, title=title)


def _draw_coding(rows: Sequence[Mapping[str, Any]], title: str, path: Path) -> str:
    groups: dict[str, dict[str, float]] = {}
    for row in rows:
        group = f"{row['images']}, λ = {row['penalty']:g} λ_max"
        groups.setdefault(group, {})[row["method"]] = row["excess"]
    return plot_bars(path, groups, title=title, ylabel="mean F(u) − min F")


ENTRIES = (
    Reproduction(
        name="block-compressed-sensing",
        title="networks trained on blocks of photos against ISTA and FISTA at equal layers",
        source="Chen, Liu, Wang, Yin (2018), section 4.3: their ordering, on other images",
        run=partial(_sensing, BlockStudy()),
        cost="2 minutes",
    ),
    Reproduction(
        name="patch-sparse-coding",
        title="networks that minimize the Lasso for patches against ISTA and FISTA",
        source="Gregor, LeCun (2010); Ablin, Moreau, Massias, Gramfort (2019), section 5",
        run=partial(_coding, CodingStudy()),
        cost="90 seconds",
    ),
)
