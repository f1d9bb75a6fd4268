"""How fast untrained networks fit an image and noise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import data, operators, untrained
from jaxinv.generators import convdecoder, deep_decoder, unet
from jaxinv.problems import Problem
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained import first_below
from jaxinv.reproductions.claims import at_least, at_most, within_factor
from jaxinv.viz._panels import Panel, draw, named

_FITTED = 0.01  # mean squared error at which a target counts as fitted


class FitTimeStudy(NamedTuple):
    """Size of the study of images against noise.

    Attributes:
        size: side of image and noise.
        fixed, learned: channels of the networks with fixed and with learned kernels.
        num_layers: layers of all.
        num_steps: steps by kind of network; ``num_image_steps`` for images.
        jacobian_size: side at which ‖Jᵀ x‖ is measured, the published one by default.
        scales: of the U-net there; 0 leaves it out.
    """

    size: int = 64
    fixed: tuple[int, ...] = (32, 64, 128)
    learned: tuple[int, ...] = (16, 32)
    num_layers: int = 4
    num_steps: int = 5000
    num_image_steps: int = 1000
    num_learned_steps: int = 1000
    jacobian_size: int = 256
    scales: int = 5


def _fit_time(study: FitTimeStudy, settings: Settings) -> Outcome:
    num_fits = 2 * (len(study.fixed) + len(study.learned))
    counter = Counter(settings, num_fits + (2 if study.scales else 1))
    keys = jax.random.split(settings.key, trials(settings, 2))
    image = jnp.asarray(data.image("shepp_logan", size=(study.size, study.size)))
    targets = {"image": image, "noise": jax.random.uniform(settings.key, image.shape)}
    curves, rows = {}, []
    for text, prior, num_steps in _networks(study):
        for target, y in targets.items():
            count = min(num_steps, study.num_image_steps) if target == "image" else num_steps
            curves[text, target] = _fitted(prior, y, keys, count)
            counter.next(text)
            rows += _time_rows(text, target, curves[text, target])
    claims = []
    for text, _, _ in _networks(study):
        taken = {
            target: [first_below(curve, _FITTED) for curve in curves[text, target]]
            for target in targets
        }
        ratio = np.array(taken["noise"]) / np.array(taken["image"])
        if text.startswith("fixed"):
            what = f"{text}: steps to fit the image to {_FITTED:g}"
            claims.append(at_most(what, taken["image"], 200, certain=False))
            what = f"{text}: steps for noise over steps for the image, or more"
            claims.append(at_least(what, ratio, 10.0, certain=False))
        else:
            what = f"{text}: steps for noise over steps for the image"
            claims.append(at_most(what, ratio, 10.0, certain=False))
    claims += _jacobian_claims(study, keys, counter)
    return Outcome(claims, rows, partial(_draw_times, curves))


def _networks(study: FitTimeStudy) -> list[tuple[str, Any, int]]:
    shape = (study.size, study.size)
    fixed = [
        (f"fixed kernels, k = {k}", deep_decoder(shape, k, study.num_layers), study.num_steps)
        for k in study.fixed
    ]
    learned = [
        (
            f"learned kernels, k = {k}",
            convdecoder(shape, k, study.num_layers, squash=True),
            study.num_learned_steps,
        )
        for k in study.learned
    ]
    return fixed + learned


def _fitted(prior: Any, y: Any, keys: Any, num_steps: int) -> np.ndarray:
    """Return the mean squared error at every step of the published descent, by seed."""
    import optax

    # published: momentum .9 and rate .1 on the mean of squares; here the loss is half their sum
    optimizer = optax.sgd(0.1 * 2 / y.size, 0.9)
    problem = Problem(operators.identity(y.shape), y)
    found = untrained.fit(
        keys, prior, problem, optimizer=optimizer, num_steps=num_steps, stop=None, tol=0.0,
        spike=float("inf"),
    )  # fmt: skip
    return 2 * np.asarray(found.history.loss) / y.size


def _time_rows(network: str, target: str, curves: np.ndarray) -> list[dict[str, Any]]:
    count = curves.shape[1]
    steps = np.unique(np.round(np.geomspace(1, count, 40)).astype(int))
    return [
        {
            "network": network,
            "target": target,
            "step": int(step),
            "squared_error": float(curves[:, step - 1].mean()),
        }
        for step in steps
    ]


def _jacobian_claims(study: FitTimeStudy, keys: Any, counter: Counter) -> list[Any]:
    """Compare ‖Jᵀ x‖ of an image with that of noise of the same norm, at random starts."""
    side = study.jacobian_size
    image = jnp.asarray(data.image("shepp_logan", size=(side, side)))
    networks: dict[str, tuple[Any, float]] = {"deep decoder": (deep_decoder((side, side)), 14.6)}
    if study.scales:
        networks["U-net"] = (unet((side, side), num_scales=study.scales), 3.6)
    claims = []
    for name, (prior, published) in networks.items():
        ratios = [float(_pulled_ratio(prior, image, key)) for key in keys]
        what = f"{name}: ‖Jᵀ image‖ over ‖Jᵀ noise‖ at the start"
        claims.append(within_factor(what, ratios, published, 2.0))
        counter.next(name)
    return claims


@jax.jit
def _pulled_ratio(prior: Any, image: Any, key: Any) -> Any:
    draw_key, noise_key = jax.random.split(key)
    drawn = prior.draw(draw_key)
    noise = jax.random.normal(noise_key, image.shape, image.dtype)
    noise = noise * jnp.linalg.norm(image) / jnp.linalg.norm(noise)
    _, pull = jax.vjp(drawn, drawn.params)

    def size(x: Any) -> Any:
        return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(pull(x)[0])))

    return size(image) / size(noise)


def _draw_times(curves: Mapping[tuple[str, str], np.ndarray], path: Path) -> str:
    panels = []
    for kind in ("fixed", "learned"):
        lines = {
            f"{target}, {text.split(', ')[1]}": (np.arange(1, c.shape[1] + 1), c.mean(axis=0))
            for (text, target), c in curves.items()
            if text.startswith(kind)
        }
        panels.append(
            Panel(
                f"{kind} kernels",
                "step",
                "mean squared error",
                named(lines),
                levels={"fitted": _FITTED},
                xscale="log",
                yscale="log",
            )
        )
    return draw(path, panels, title="an image and uniform noise, each fitted by itself")


ENTRIES = (
    Reproduction(
        name="untrained-fit-time",
        title="fixed kernels fit an image long before noise, learned kernels do not",
        source="Heckel, Soltanolkotabi (2020), denoising and regularization, figures 4, 8 and 12; "
        "64 x 64 pixels for 256, 5000 steps for 100 000",
        run=partial(_fit_time, FitTimeStudy()),
        cost="5 minutes",
    ),
)
