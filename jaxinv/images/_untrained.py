"""The networks that ``simulate`` offers as priors by name: untrained, fitted to y alone."""

from __future__ import annotations

import importlib.util
import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import denoisers, generators, operators
from jaxinv._core import Status, checks
from jaxinv.generators import UntrainedPrior
from jaxinv.images._measured import Found, Noise, measure, minimum_norm
from jaxinv.images._measuring import Measuring
from jaxinv.images._path import Progress
from jaxinv.operators._mask import Identity
from jaxinv.operators._pixels import Channelwise
from jaxinv.problems import Problem
from jaxinv.untrained import FitProgress, fit, total_variation

if TYPE_CHECKING:
    import optax


NETWORKS = ("deep-decoder", "dip", "convdecoder", "dcgan", "coordinate")

_WHERE = "simulate"
_HEADROOM = 1.5  # of the range of a scan above the largest magnitude of A* y
_SEVERITY = (Status.CONVERGED, Status.STOPPED, Status.MAX_STEPS, Status.NONFINITE)
_LOOK_EVERY = 50
_MOST_STEPS = 3000
_DCGAN_VARIATION = 0.025  # published 0.05, where the misfit has no factor 1/2
_FINEST = 32  # pixels to a cycle of a coordinate network's random frequencies: 8 cycles in 256


class Recipe(NamedTuple):
    """How a network is fitted: the optimizer's rate, and noise on the network's input."""

    rate: float
    input_noise: float


RECIPES = {
    "deep-decoder": Recipe(0.01, 0.0),
    "dip": Recipe(0.01, 1 / 30),
    "convdecoder": Recipe(0.008, 0.0),
    "dcgan": Recipe(0.001, 0.0),
    "coordinate": Recipe(0.001, 0.0),
}


class Options(NamedTuple):
    """What only networks take; None where it was not given."""

    num_seeds: int | None
    stop: Any
    num_steps: int | None
    num_channels: int | None


class Plan(NamedTuple):
    """The options of a network, checked and with defaults; ``stop`` is "auto" or a number."""

    num_seeds: int
    stop: Any
    num_steps: int
    num_channels: int | None


class Units(NamedTuple):
    """The image is ``offset + gain * output`` of a network."""

    offset: Array
    gain: Array


def refuse(prior: str, options: Options) -> None:
    """Refuse what only networks take."""
    for name, value in options._asdict().items():
        if value is not None:
            hint = f"It is for the networks: {', '.join(NETWORKS)}."
            checks.fail(_WHERE, name, f"be left out for the prior {prior}", repr(value), hint)


def make_plan(prior: str, options: Options) -> Plan:
    """Check the options of a network and fill in defaults."""
    num_seeds, stop, num_steps, num_channels = options
    stop = "auto" if stop is None else stop
    if isinstance(stop, str):
        if stop != "auto":
            checks.fail(_WHERE, "stop", "be 'auto' or a number of steps", repr(stop))
        num_steps = _MOST_STEPS if num_steps is None else num_steps
        num_steps = checks.count(_WHERE, "num_steps", num_steps)
    else:
        stop = checks.count(_WHERE, "stop", stop)
        if num_steps is not None:
            hint = "A number to stop at is the number of steps."
            checks.fail(_WHERE, "num_steps", f"be left out for stop={stop}", num_steps, hint)
        num_steps = stop
    if num_channels is not None and prior == "dcgan":
        hint = "Its layers are those of the published network."
        checks.fail(_WHERE, "num_channels", "be left out for the prior dcgan", num_channels, hint)
    if num_channels is not None:
        num_channels = checks.count(_WHERE, "num_channels", num_channels)
    num_seeds = 1 if num_seeds is None else checks.count(_WHERE, "num_seeds", num_seeds)
    return Plan(num_seeds, stop, num_steps, num_channels)


def restore(
    truth: np.ndarray,
    measuring: Measuring,
    prior: str,
    noise: Noise,
    plan: Plan,
    keys: tuple[Array, Array],
    report: Progress,
) -> Found:
    """Measure the image, all channels at once, and fit a network to the measurements."""
    fit_key, noise_key = keys
    operator = Channelwise(measuring.operator, truth.shape)
    problem, noise_norm = measure(jnp.asarray(truth), operator, noise, noise_key)
    baseline = problem.y if measuring.shows_image else minimum_norm(operator, problem.y)
    network = make_network(prior, truth.shape, plan.num_channels)
    scaled, units = _scaled(problem, is_scan=measuring.is_scan, signed=prior == "dcgan")
    report("compiling", 0.0)
    found = fit(
        _seed_keys(fit_key, plan.num_seeds),
        network,
        scaled,
        optimizer=_optimizer(prior),
        num_steps=plan.num_steps,
        stop="auto" if plan.stop == "auto" else None,
        penalty=_penalty(prior),
        input_noise=RECIPES[prior].input_noise,
        look_every=_look_every(plan.num_steps),
        progress=partial(_tell, report),
    )
    is_noisy = float(noise_norm) > 0
    x = found.x if plan.num_seeds > 1 else found.x[None]
    seeds = _images(problem, x, units, consistent=not is_noisy)
    rivals = ()
    if is_noisy and isinstance(measuring.operator, Identity):
        rivals = _rivals(problem.y, float(noise_norm) / math.sqrt(truth.size))
    status = [Status(code) for code in np.ravel(np.asarray(found.status)).tolist()]
    num_steps = np.ravel(np.asarray(found.num_steps)).tolist()
    count = f"{network.num_parameters} parameters for {truth.size} numbers"
    return Found(
        estimate=np.asarray(jnp.mean(seeds, axis=0)),
        baseline=np.asarray(baseline, np.float32),
        num_steps=max(num_steps),
        status=max(status, key=_SEVERITY.index),
        settings={
            "prior_detail": f"{type(network).__name__}, {count}",
            "stop": plan.stop,
            "most_steps": plan.num_steps,
            "seed_steps": num_steps,
            "seed_status": [code.name for code in status],
        },
        seeds=seeds,
        rivals=rivals,
    )


def make_network(
    name: str, shape: tuple[int, ...], num_channels: int | None, **options: Any
) -> UntrainedPrior:
    """Return the named network for images of one shape; the output of a real one is bounded.

    The options are ``channels_first`` and ``dtype``, as those of the constructors.
    """
    size: dict[str, Any] = {} if num_channels is None else {"num_channels": num_channels}
    size |= options
    sides = shape[1:] if options.get("channels_first") else shape[:2]
    num_layers = math.ceil(math.log2(min(sides) / 4))  # from about 4 pixels a side
    if name == "deep-decoder":
        size = {"num_channels": 64} | size
        return generators.deep_decoder(shape, num_layers=min(num_layers, 6), **size)
    if name == "dip":
        return generators.unet(shape, **size)
    if name == "convdecoder":
        real = not jnp.issubdtype(options.get("dtype", jnp.float32), jnp.complexfloating)
        return generators.convdecoder(shape, num_layers=min(num_layers, 7), squash=real, **size)
    if name == "coordinate":
        return generators.coordinate(shape, bandwidth=min(sides) / _FINEST, **size)
    published = "retino" if len(shape) == 3 else "xray"
    return generators.dcgan(published, shape, **options)


@lru_cache
def _optimizer(prior: str) -> optax.GradientTransformation:
    """Return the published update rule; one object each, so that it traces once."""
    import optax

    rate = RECIPES[prior].rate
    if prior == "dcgan":
        return optax.rmsprop(
            rate, decay=0.99, eps=1e-8, eps_in_sqrt=False, momentum=0.9, initial_scale=0.0
        )
    return optax.adam(rate)


def _penalty(prior: str) -> Any:
    """Return the published total variation penalty of the DCGAN, whose filters leave a grid."""
    return total_variation(_DCGAN_VARIATION) if prior == "dcgan" else None


@partial(jax.jit, static_argnames=("is_scan", "signed"))
def _scaled(problem: Problem, *, is_scan: bool, signed: bool) -> tuple[Problem, Units]:
    """Return the problem whose unknown is a network's output, and how the image follows.

    Photos lie in [0, 1]; the range of a scan is known from its measurements alone. Networks end
    in [0, 1], or in [-1, 1] where ``signed``.
    """
    operator, y = problem.operator, problem.y
    gain = jnp.ones((), jnp.float32)
    if is_scan:
        gain = _HEADROOM / operators.measured_scale(operator, y)
    offset = jnp.zeros((), jnp.float32)
    if signed:
        offset = gain = gain / 2
        y = y - operator(jnp.full(operator.in_shape, offset))
    return problem._replace(y=y / gain), Units(offset, gain)


@partial(jax.jit, static_argnames="consistent")
def _images(problem: Problem, x: Array, units: Units, *, consistent: bool) -> Array:
    """Return the estimates in [0, 1]; without noise they agree with the measurements."""
    x = units.offset + units.gain * x
    if consistent:
        x = jax.vmap(partial(operators.data_consistency, problem.operator, problem.y))(x)
    return jnp.clip(x, 0, 1).astype(jnp.float32)


def _seed_keys(key: Array, num_seeds: int) -> Array:
    """Return one key, or a vector; a seed's key does not depend on how many there are."""
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(num_seeds))
    return keys if num_seeds > 1 else keys[0]


def _look_every(num_steps: int) -> int:
    """Return a length of chunks that divides the steps: another length is another compilation."""
    near = range(_LOOK_EVERY, _LOOK_EVERY // 2, -1)
    return next((length for length in near if num_steps % length == 0), _LOOK_EVERY)


def _tell(report: Progress, at: FitProgress) -> None:
    running = f", {at.num_running} fits" if at.num_running > 1 else ""
    text = f"step {at.step} of {at.num_steps}{running}, misfit {at.residual:.3g}"
    report(text, at.step / at.num_steps)


def _rivals(y: Array, noise_std: float) -> tuple[tuple[str, np.ndarray], ...]:
    """Denoise by two classical methods, which are told the noise level."""
    methods: dict[str, Any] = {"total variation": denoisers.total_variation()}
    if importlib.util.find_spec("skimage") is not None:
        methods["non-local means"] = denoisers.non_local_means()
    found = []
    for name, denoise in methods.items():
        image = _denoised(denoise, y, jnp.asarray(noise_std, y.dtype))
        found.append((name, np.asarray(image, np.float32)))
    return tuple(found)


@jax.jit
def _denoised(denoise: Any, y: Array, noise_std: Array) -> Array:
    def one(channel: Array) -> Array:
        return denoise(channel, noise_std)

    return jnp.clip(one(y) if y.ndim == 2 else jax.vmap(one, -1, -1)(y), 0, 1)
