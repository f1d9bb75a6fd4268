"""Blocks of photographs from few measurements, by unfolded networks."""

from __future__ import annotations

from collections.abc import Mapping
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
from jaxinv.reproductions._photographs import (
    CLASSICAL,
    TEST_IMAGE,
    TRAINING,
    gain_claims,
    solver_steps,
    training_images,
)
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.solvers import fista, ista, unfold
from jaxinv.viz._panels import Picture, draw

_PENALTIES = tuple(np.geomspace(0.05, 20.0, 9).tolist())


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


def _sensing(study: BlockStudy, settings: Settings) -> Outcome:
    image = data.image(TEST_IMAGE, size=study.size)
    counter = Counter(settings, 2 * len(study.ratios))
    claims, rows, shown = [], [], {}
    for ratio in study.ratios:
        errors, images = _sensed(study, settings, image, ratio, counter)
        scores = {name: float(psnr(jnp.asarray(found), image)) for name, found in images.items()}
        rows += [{"ratio": ratio, "method": name, "psnr": value} for name, value in scores.items()]
        count = min(trials(settings, len(errors["ISTA"])), len(errors["ISTA"]))
        classical = [name for name in errors if name.split(",")[0] in CLASSICAL]
        claims += gain_claims(f"ratio {ratio:g}", errors, classical, count, "PSNR")
        if ratio == study.ratios[0]:
            shown = {f"{name}: {scores[name]:.2f} dB": images[name] for name in _SHOWN}
    title = f"{TEST_IMAGE}, {study.block} x {study.block} blocks, ratio {study.ratios[0]:g}"
    panels = {"truth": image, **shown}
    draw = partial(_draw, panels, f"{title}, {study.num_layers} layers or steps")
    return Outcome(claims, rows, draw)


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
        name: solver_steps(solver, study.num_layers, family, measured.problem)
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
    images = training_images(study.training, study.size)
    pixels = study.block**2
    operator = operators.gaussian(key, round(ratio * pixels) - 1, pixels)
    matrix = dct_dictionary(study.block).matrix
    # atoms scaled so that A = Φ D has columns of norm 1, which networks assume
    norms = jnp.linalg.norm(jax.vmap(operator, in_axes=1, out_axes=1)(matrix), axis=0)
    return patches(images, study.block, operator, matrix / norms)


def _block_networks(family: PatchFamily, num_layers: int) -> dict[str, Any]:
    operator = family.operator
    return {
        "LISTA-CPSS": unfolded.lista_cpss(operator, num_layers, initial_weights="adjoint"),
        "LISTA": unfolded.lista(operator, num_layers),
    }


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
                numerics.sum_squares(solver_steps(solver, num_steps, family, drawn) - drawn.truth.u)
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


def _draw(panels: Mapping[str, np.ndarray], title: str, path: Path) -> str:
    pictures = [Picture(name, pixels) for name, pixels in panels.items()]
    return draw(path, pictures, size=(3.4, 3.7), num_columns=3, title=title)


ENTRIES = (
    Reproduction(
        name="block-compressed-sensing",
        title="networks trained on blocks of photos against ISTA and FISTA at equal layers",
        source="Chen, Liu, Wang, Yin (2018), section 4.3: their ordering, on other images",
        run=partial(_sensing, BlockStudy()),
        cost="2 minutes",
    ),
)
