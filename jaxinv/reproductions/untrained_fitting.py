"""Fits of untrained networks: compressed sensing to convergence, and images against noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from jaxinv.reproductions._untrained import (
    OracleCurve,
    at_least,
    at_most,
    decibels,
    first_below,
    mean_error,
    within_factor,
)
from jaxinv.viz._untrained import Curves, Picture, plot_row

_PHOTO, _TEXTURE = "chelsea", "grass"
_LOSS = 0.5  # dB that running on may cost against the best iterate
_CONVERGED = 1e-3  # relative residual at which a fit ends
_NOTEBOOK = 1.74e-3  # the one that the notebook's 100 000 steps reach on its photo
_FITTED = 0.01  # mean squared error at which a target counts as fitted


class SensingStudy(NamedTuple):
    """Size of the study of Figure 1: side, channels, layers, steps, Adam's first rate, residual.

    The published rate is constant, and 100 000 steps leave a residual of about .002; here the
    rate falls to 0 along a cosine, which converges in fewer.
    """

    size: int = 64
    num_channels: int = 128
    num_layers: int = 4
    num_steps: int = 20_000
    learning_rate: float = 0.005
    look_every: int = 100
    residual: float = _CONVERGED


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


# ------------------------------------------------------------------------------------- Figure 1


def _gaussian(key: Any, shape: tuple[int, int]) -> Any:
    return operators.gaussian(key, shape[0] * shape[1] // 4, shape)


def _third(key: Any, shape: tuple[int, int]) -> Any:
    return operators.mask(jax.random.randint(key, shape, 0, 3) < 1)


class _Run(NamedTuple):
    """Curves of one image over seeds: oracle PSNR and relative residual by look, last estimate."""

    steps: np.ndarray
    psnr: np.ndarray
    residual: np.ndarray
    estimate: np.ndarray
    truth: np.ndarray


def _sensing(
    make: Callable[[Any, tuple[int, int]], Any], study: SensingStudy, settings: Settings
) -> Outcome:
    """Fit a photo and a texture to convergence; the oracle only watches."""
    import optax

    operator_key, fit_key = jax.random.split(settings.key)
    shape = (study.size, study.size)
    operator = make(operator_key, shape)
    keys = jax.random.split(fit_key, trials(settings, 4))
    counter = Counter(settings, 2)
    rate = optax.cosine_decay_schedule(study.learning_rate, study.num_steps)
    adam = optax.adam(rate)  # one object for both images, which traces once
    runs = {
        name: _converge(study, operator, name, keys, adam, counter) for name in (_PHOTO, _TEXTURE)
    }
    claims, rows = [], []
    for name, run in runs.items():
        loss = run.psnr.max(axis=1) - run.psnr[:, -1]
        what = f"{name}: dB lost at the end against the best iterate (oracle)"
        claims.append(at_most(what, loss, _LOSS, certain=False))
        what = f"{name}: relative residual at the end"
        claims.append(at_most(what, run.residual[:, -1], study.residual, certain=False))
        rows += _sensing_rows(name, run)
    lead = runs[_PHOTO].psnr[:, -1] - runs[_TEXTURE].psnr[:, -1]
    claims.append(at_least(f"dB by which {_PHOTO} is better than {_TEXTURE}", lead, 0.0))
    return Outcome(claims, rows, partial(_draw_sensing, runs, _title(study, operator)))


def _converge(
    study: SensingStudy, operator: Any, name: str, keys: Any, adam: Any, counter: Counter
) -> _Run:
    x = jnp.asarray(data.image(name, size=(study.size, study.size), gray=True))
    prior = deep_decoder(x.shape, study.num_channels, study.num_layers, extra_layer="none")

    def report(progress: Any) -> None:
        counter.share(name, progress.step / progress.num_steps)

    found = untrained.fit(
        keys, prior, Problem(operator, operator(x)), optimizer=adam,
        num_steps=study.num_steps, stop=OracleCurve(truth=x), tol=_CONVERGED,
        look_every=study.look_every, progress=report,
    )  # fmt: skip
    counter.next(name)
    history = jax.tree.map(np.asarray, found.history)
    return _Run(
        history.look_steps, decibels(history.score), history.residual, np.asarray(found.x[0]),
        np.asarray(x),
    )  # fmt: skip


def _sensing_rows(name: str, run: _Run) -> list[dict[str, Any]]:
    return [
        {
            "image": name,
            "step": int(step),
            "relative_residual": float(run.residual[:, index].mean()),
            "psnr_oracle": float(run.psnr[:, index].mean()),
            "standard_error": mean_error(run.psnr[:, index]),
        }
        for index, step in enumerate(run.steps)
    ]


def _title(study: SensingStudy, operator: Any) -> str:
    measured = "a third of the pixels" if operator.out_shape == operator.in_shape else "m = n/4"
    decoder = f"deep decoder, k = {study.num_channels}, d = {study.num_layers}"
    return f"{study.size} x {study.size} images from {measured}: {decoder}"


def _draw_sensing(runs: Mapping[str, _Run], title: str, path: Path) -> str:
    residual = {name: (run.steps, run.residual.mean(axis=0)) for name, run in runs.items()}
    psnr = {name: (run.steps, run.psnr.mean(axis=0)) for name, run in runs.items()}
    panels: list[Any] = [
        Curves(
            "measurements", "step", "‖A x − y‖ / ‖y‖", residual,
            levels={"converged": _CONVERGED}, xscale="log", yscale="log",
        ),
        Curves("image (seen by the oracle only)", "step", "PSNR (dB)", psnr, xscale="log"),
    ]  # fmt: skip
    for name, run in runs.items():
        panels.append(Picture(name, run.truth))
        panels.append(Picture(f"estimate, {run.psnr[0, -1]:.1f} dB", run.estimate))
    return plot_row(path, panels, title=title, num_columns=3)


# --------------------------------------------------------------------------- images against noise


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
            Curves(
                f"{kind} kernels",
                "step",
                "mean squared error",
                lines,
                levels={"fitted": _FITTED},
                xscale="log",
                yscale="log",
            )
        )
    return plot_row(path, panels, title="an image and uniform noise, each fitted by itself")


_PAPER = "Heckel, Soltanolkotabi (2020), compressive sensing with un-trained networks"

ENTRIES = (
    Reproduction(
        name="untrained-compressive",
        title="run to convergence, a decoder recovers a photo from n/4 Gaussian measurements",
        source=f"{_PAPER}, figure 1 as its caption says; 64 x 64 pixels for 256, 20 000 steps",
        run=partial(_sensing, _gaussian, SensingStudy()),
        cost="15 minutes",
    ),
    Reproduction(
        name="untrained-inpainting",
        title="run to convergence, a decoder fills in a photo from a third of its pixels",
        source=f"{_PAPER}, figure 1 as its notebook computed it; 64 x 64 pixels, 20 000 steps",
        run=partial(_sensing, _third, SensingStudy(residual=_NOTEBOOK)),
        cost="10 minutes",
    ),
    Reproduction(
        name="untrained-fit-time",
        title="fixed kernels fit an image long before noise, learned kernels do not",
        source="Heckel, Soltanolkotabi (2020), denoising and regularization, figures 4, 8 and 12; "
        "64 x 64 pixels for 256, 5000 steps for 100 000",
        run=partial(_fit_time, FitTimeStudy()),
        cost="5 minutes",
    ),
)
