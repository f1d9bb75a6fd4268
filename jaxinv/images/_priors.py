"""What may be given as a prior, and the candidates that follow from it."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv import denoisers
from jaxinv._core import checks
from jaxinv.generators import Generator
from jaxinv.images._learned import fitted, network_of, searched
from jaxinv.images._measurement import Measurement
from jaxinv.images._shrinking import PRIORS
from jaxinv.images._smooth import smooth
from jaxinv.images._stages import Stage, penalized, plugged, with_prox
from jaxinv.images._untrained import NETWORKS
from jaxinv.operators import Operator
from jaxinv.prox import Prox

NAMES = ("auto", "tv", "wavelet", "smooth", "dct", "nlm", *NETWORKS)


class Method(NamedTuple):
    """A candidate: its name, whether it must beat the classical ones, and how it is run.

    ``is_even`` is said of tv and smooth, which what was left out tells apart.
    """

    name: str
    is_network: bool
    stages: Callable[..., Iterator[Stage]]
    is_even: bool = False


class Options(NamedTuple):
    """What only networks take."""

    num_starts: int
    num_steps: int | None


def check_prior(where: str, prior: Any) -> tuple[Any, ...]:
    """Return the priors that are asked for, each of a kind that is known."""
    several = isinstance(prior, tuple | list)
    priors = tuple(prior) if several else (prior,)
    if not priors:
        checks.fail(where, "prior", "name a prior", "none")
    for one in priors:
        if isinstance(one, str):
            checks.choice(where, "prior", one, NAMES[1:] if several else NAMES)
        elif isinstance(one, Generator):
            if one.in_shape is None:
                hint = "Give generators.from_function its in_shape."
                checks.fail(where, "prior", "know the shape of its latent", "None", hint)
        elif isinstance(one, Operator) or not (
            isinstance(one, Prox) or _is_untrained(one) or callable(one)
        ):
            expected = "be a name, a Prox, a denoiser(x_noisy, noise_std) or a generator"
            checks.fail_type(where, "prior", expected, one, f"Names are {', '.join(NAMES)}.")
        if one == "nlm" and not _has_skimage():
            hint = "Install scikit-image, or use tv."
            checks.fail(where, "prior", "be one whose packages are installed", "'nlm'", hint)
    return priors


def candidates(
    priors: tuple[Any, ...], measured: Measurement, options: Options, key: Array, fallback: bool
) -> list[Method]:
    """Return the methods to compare; networks are joined by the classical ones."""
    classical = ["tv", "wavelet"]
    if not measured.denoises:
        classical.append("smooth")
    elif _has_skimage():
        classical.append("nlm")
    if priors == ("auto",):
        priors = tuple(classical)
    elif fallback and any(_is_learned(prior) for prior in priors):
        priors = (*[name for name in classical if name not in priors], *priors)
    keys = jax.random.split(key, len(priors))
    return [
        method
        for prior, one in zip(priors, keys, strict=True)
        for method in _methods(prior, measured, options, one, fallback)
    ]


def _methods(
    prior: Any, measured: Measurement, options: Options, key: Array, fallback: bool
) -> list[Method]:
    if isinstance(prior, str) and prior in PRIORS:
        stages = partial(penalized, name=prior, key=key)
        return [Method(prior, False, stages, is_even=prior == "tv")]
    if isinstance(prior, str) and prior == "smooth":
        return [Method(prior, False, smooth, is_even=True)]
    if prior == "nlm":
        denoise = denoisers.non_local_means(1.0)
        return [Method("nlm", False, partial(plugged, denoiser=denoise, name="nlm"))]
    if isinstance(prior, Prox):
        stages = partial(with_prox, prox=prior, num_steps=options.num_steps)
        return [Method(_name(prior), False, stages)]
    if isinstance(prior, Generator):
        latent: Any = prior.in_shape  # check_prior has seen it
        made = jax.eval_shape(prior, jax.ShapeDtypeStruct(tuple(latent), jnp.float32))
        if math.prod(made.shape) != math.prod(measured.shape):
            _refuse_shape(measured, made.shape)
        stages = partial(searched, generator=prior, **options._asdict(), key=key)
        return [Method(_name(prior), True, stages)]
    if not _is_learned(prior):
        name = _name(prior)
        return [Method(name, False, partial(plugged, denoiser=prior, name=name))]
    name = prior if isinstance(prior, str) else _name(prior)
    network = network_of(prior, measured) if isinstance(prior, str) else prior
    if tuple(network.out_shape) != measured.shape:
        _refuse_shape(measured, network.out_shape)
    stages = partial(fitted, network=network, name=name, **options._asdict(), key=key)
    alone = Method(name, True, stages)
    return (
        [alone, Method(f"{name} + tv", True, partial(stages, variation=True))]
        if fallback
        else [alone]
    )


def _refuse_shape(measured: Measurement, got: Any) -> None:
    expected = f"make images of shape {measured.shape}, as the operator takes"
    checks.fail("reconstruct", "prior", expected, f"{tuple(got)}")


def _name(prior: Any) -> str:
    return getattr(prior, "__name__", type(prior).__name__)


def _is_untrained(prior: Any) -> bool:
    return hasattr(prior, "draw") and hasattr(prior, "num_parameters")


def _is_learned(prior: Any) -> bool:
    if isinstance(prior, str):
        return prior in NETWORKS
    return isinstance(prior, Generator) or _is_untrained(prior)


def _has_skimage() -> bool:
    return importlib.util.find_spec("skimage") is not None
