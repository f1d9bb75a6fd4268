"""Sparse coding of patches of photographs and digits, by unfolded networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import data, unfolded
from jaxinv.operators import dct_dictionary
from jaxinv.problems import PatchFamily, patches
from jaxinv.reproductions._photographs import (
    TEST_IMAGE,
    TRAINING,
    gain_claims,
    solver_steps,
    training_images,
)
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.solvers import fista, ista, unfold
from jaxinv.viz._panels import Bars, draw

_MINIMIZE = 1000  # steps of FISTA after which the objective is called minimal


class CodingStudy(NamedTuple):
    """The size of a study of sparse coding."""

    num_layers: int = 10
    num_steps: int = 500
    penalties: tuple[float, ...] = (0.1, 0.5)  # shares of the smallest that leaves nothing
    num_test: int = 500
    size: int | None = None
    training: tuple[str, ...] = TRAINING


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
            claims += gain_claims(where, excess, ("ISTA",), count, "excess of the objective")
            rows += [
                {"images": name, "penalty": penalty, "method": method, "excess": float(each.mean())}
                for method, each in excess.items()
            ]
    title = f"Lasso objective above its minimum, {study.num_layers} layers or steps"
    return Outcome(claims, rows, partial(_draw_coding, rows, title))


def _photo_families(study: CodingStudy) -> tuple[PatchFamily, PatchFamily]:
    dictionary = dct_dictionary(8, 11)
    test = [data.image(TEST_IMAGE, size=study.size)]
    return tuple(  # pyright: ignore[reportReturnType]
        patches(images, 8, None, dictionary, normalize="patch")
        for images in (training_images(study.training, study.size), test)
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
        "ISTA": solver_steps(ista(penalty=penalty), study.num_layers, test, problems),
        "FISTA": solver_steps(fista(penalty=penalty), study.num_layers, test, problems),
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
    best = solver_steps(fista(penalty=penalty), _MINIMIZE, test, problems)
    floor = np.asarray(objective(best, problems), float)
    return {name: np.maximum(value - floor, 0) for name, value in values.items()}


def lasso_objective(penalty: Any, u: Array, problem: Any) -> Array:
    """Return ½‖A u − y‖² + λ‖u‖₁, what networks are trained on without any truth."""
    return problem.loss(u) + penalty * jnp.sum(jnp.abs(u))


def _draw_coding(rows: Sequence[Mapping[str, Any]], title: str, path: Path) -> str:
    groups: dict[str, dict[str, float]] = {}
    for row in rows:
        group = f"{row['images']}, λ = {row['penalty']:g} λ_max"
        groups.setdefault(group, {})[row["method"]] = row["excess"]
    bars = Bars(title, "mean F(u) − min F", groups)
    return draw(path, [bars], size=(1.9 * len(groups) + 1.5, 4.0))


ENTRIES = (
    Reproduction(
        name="patch-sparse-coding",
        title="networks that minimize the Lasso for patches against ISTA and FISTA",
        source="Gregor, LeCun (2010); Ablin, Moreau, Massias, Gramfort (2019), section 5",
        run=partial(_coding, CodingStudy()),
        cost="90 seconds",
    ),
)
