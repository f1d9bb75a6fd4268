"""One optimizer step of untrained networks against PyTorch; 16 images at once; closed forms.

Deep decoder (k = 128, 256 x 256), U-net and DCGAN start from the same parameters in both, and the
losses of the first steps must agree. A step is ½‖G(θ) − y‖², its gradient and Adam; the steps of
a call are one compiled loop, as the 50 of a call of ``untrained.fit`` are. PyTorch runs eager,
with fused Adam and compiled, in both memory formats, with one thread and with all; the ratio is to
the best. The GEMM rate counts the matrix products that a step of jaxinv holds, resizing included;
the bandwidth counts writing and reading each layer's output once, forward and backward.
"""

from __future__ import annotations

import argparse
import math
from functools import partial
from typing import Any

import _machine
import _roofline
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxinv as ji

RATE = 1e-3
CHECKED_STEPS = 2  # the first step of Adam is a sign, which magnifies rounding from then on
TOLERANCE = 1e-3  # of the losses of those steps, float32 on both sides


def main() -> None:
    parser = _machine.parser(__doc__)
    names = ("deep_decoder", "unet", "dcgan", "batch", "closed_form")
    parser.add_argument("--only", choices=names, nargs="+", default=names, help="parts to run")
    parser.add_argument("--rounds", type=int, help="repetitions, for a loaded machine")
    compiled = "torch.compile too (minutes; default: unless --quick)"
    parser.add_argument("--compiled", action=argparse.BooleanOptionalAction, help=compiled)
    options = parser.parse_args()
    options.compiled = not options.quick if options.compiled is None else options.compiled
    rounds = options.rounds or (2 if options.quick else 7)
    limits = _machine.limits()
    print(
        f"limits: {limits['gemm_flops'] / 1e9:.0f} GFLOP/s, "
        f"{limits['streaming_bytes_per_s'] / 1e9:.1f} GB/s (one core)"
    )
    results: dict[str, Any] = {"limits": limits, "steps": {}}
    for name, (prior, num_steps) in networks(options.quick).items():
        if name in options.only:
            results["steps"][name] = compare(
                name, prior, num_steps, rounds, limits, options.compiled
            )
    if "batch" in options.only:
        results["batch"] = batch(options.quick, rounds)
    if "closed_form" in options.only:
        with jax.enable_x64(True):
            results["closed_form"] = closed_form(options.quick, rounds)
    _machine.write(options.out, "untrained", results)


def networks(quick: bool) -> dict[str, tuple[Any, int]]:
    """Return each network with the number of steps that are timed in one go."""
    make = ji.generators
    if quick:
        return {
            "deep_decoder": (make.deep_decoder((64, 64), 32, 3), 10),
            "unet": (make.unet((32, 32, 3), 16, 3), 10),
            "dcgan": (make.dcgan("retino", (32, 32, 3)), 10),
        }
    return {
        "deep_decoder": (make.deep_decoder((256, 256), 128), 4),
        "unet": (make.unet((256, 256, 3)), 2),
        "dcgan": (make.dcgan("retino"), 10),
    }


def compare(
    name: str,
    prior: Any,
    num_steps: int,
    rounds: int,
    limits: dict[str, float],
    compiled: bool,
) -> dict[str, Any]:
    """Take steps with both, check that the losses agree, and time them in turn."""
    y = picture(prior.out_shape)
    works = {"jaxinv": trainer(prior, y)}
    works |= {f"torch {way}": run for way, run in peers(name, prior, y, compiled).items()}
    works, losses = checked(works, num_steps)
    times = _machine.interleaved(
        {key: partial(run, num_steps) for key, run in works.items()}, rounds
    )
    seconds = {key: float(np.median(t.wall)) / num_steps for key, t in times.items()}
    processor = {key: float(np.median(t.cpu)) / num_steps for key, t in times.items()}
    rivals = [key for key in works if key != "jaxinv"]
    ratios = {key: _machine.ratio(times[key].wall, times["jaxinv"].wall) for key in rivals}
    best = min(ratios, key=lambda key: ratios[key], default=None)
    used = shares(prior, y, seconds["jaxinv"], limits)
    print(f"{name} {prior.out_shape}, {prior.num_parameters} parameters: ", end="")
    print(f"{1e3 * seconds['jaxinv']:.1f} ms a step ({1e3 * processor['jaxinv']:.1f} CPU)", end="")
    print("".join(f", {100 * share:.0f} % of the {key}" for key, share in used.items()), end="")
    if best:
        print(f"; {ratios[best]:.2f} times faster than {best}", end="")
        print(f" ({1e3 * seconds[best]:.1f} ms, {1e3 * processor[best]:.1f} CPU)", end="")
    print("" if best else "; no PyTorch here")
    milliseconds = {key: 1e3 * value for key, value in seconds.items()}
    _machine.ranking(milliseconds)
    return {
        "shape": prior.out_shape,
        "num_parameters": prior.num_parameters,
        "milliseconds_per_step": milliseconds,
        "cpu_milliseconds_per_step": {key: 1e3 * value for key, value in processor.items()},
        "times_faster_than": ratios,
        "cpu_ratio": {key: processor[key] / processor["jaxinv"] for key in rivals},
        "share_of_limit": used,
        "losses": losses,
    }


@partial(jax.jit, static_argnums=0)
def picture(shape: tuple[int, ...]) -> jax.Array:
    """Return a smooth image in [0, 1] with some noise on it."""
    rows, columns = jnp.meshgrid(*(jnp.linspace(0, 3, side) for side in shape[:2]), indexing="ij")
    image = (0.5 + 0.4 * jnp.sin(rows * columns)).reshape(*shape[:2], *[1] * (len(shape) - 2))
    return jnp.clip(image + 0.05 * jax.random.normal(jax.random.key(1), shape), 0, 1)


def trainer(prior: Any, y: jax.Array) -> Any:
    """Return ``run(num_steps) -> losses``, which goes on from where it was."""
    optimizer = optax.adam(RATE)
    problem = ji.Problem(ji.operators.identity(prior.out_shape), y, prior)

    @partial(jax.jit, static_argnums=2, donate_argnums=1)
    def steps(problem: ji.Problem, state: Any, num_steps: int) -> Any:
        def step(state: Any, _: None) -> tuple[Any, jax.Array]:
            params, moments = state
            loss, gradient = jax.value_and_grad(problem.loss)(params)
            update, moments = optimizer.update(gradient, moments, params)
            return (optax.apply_updates(params, update), moments), loss

        return jax.lax.scan(step, state, None, length=num_steps)

    params = jax.tree.map(jnp.copy, prior.params)  # the steps overwrite them
    state = (params, optimizer.init(params))

    def run(num_steps: int) -> list[float]:
        nonlocal state
        state, losses = steps(problem, state, num_steps)
        return losses.tolist()

    return run


def peers(name: str, prior: Any, y: jax.Array, compiled: bool) -> dict[str, Any]:
    """Return the PyTorch trainers, none where PyTorch is not installed."""
    try:
        import _torch_untrained as peer
    except ImportError:
        print("PyTorch is not installed: jaxinv alone is timed")
        return {}

    def make() -> Any:
        if name == "deep_decoder":
            return peer.deep_decoder(prior.params, prior.sizes, prior.input_size)
        if name == "unet":
            return peer.unet(prior.params)
        stages = ((1, 0), *((stage.stride, stage.padding) for stage in prior.stages))
        return peer.dcgan(prior.params, stages)

    z = prior.z[None, None] if prior.z.ndim == 1 else prior.z
    image = y if y.ndim == 3 else y[..., None]
    return peer.trainers(make, z, image, RATE, compiled=compiled)


def checked(works: dict[str, Any], num_steps: int) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Take the first steps, drop what this machine cannot run, and require equal losses."""
    losses = {}
    for name, run in list(works.items()):
        try:
            calls = [run(num_steps) for _ in range(math.ceil(CHECKED_STEPS / num_steps))]
            losses[name] = [loss for call in calls for loss in call][:CHECKED_STEPS]
        except Exception as error:
            if name == "jaxinv":
                raise
            print(f"{name} does not run here: {str(error).splitlines()[0][:90]}")
            del works[name]
    for name, values in losses.items():
        if not np.allclose(values, losses["jaxinv"], rtol=TOLERANCE):
            raise SystemExit(f"{name} trains another network: {values}, {losses['jaxinv']}")
    return works, losses


def shares(prior: Any, y: jax.Array, seconds: float, limits: dict[str, float]) -> dict[str, float]:
    """Return which parts of the machine's limits a step of so many seconds uses."""

    def loss(params: Any) -> jax.Array:
        return 0.5 * jnp.sum(jnp.square(prior(params) - y))

    work = _roofline.work_of(jax.value_and_grad(loss), prior.params)
    used = {"GEMM rate": work.operations / seconds / limits["gemm_flops"]}
    if hasattr(prior, "sizes"):  # a decoder is limited by memory: k numbers a pixel of each layer
        numbers = prior.num_channels * sum(math.prod(size) for size in prior.sizes)
        used["bandwidth"] = 4 * 4 * numbers / seconds / limits["streaming_bytes_per_s"]
    return used


def batch(quick: bool, rounds: int) -> list[dict[str, Any]]:
    """Fit many small images at once, and one after another; by side, channels and layers."""
    if quick:
        return [_batch(4, 20, 16, 8, 2, rounds)]
    return [_batch(16, 100, *sizes, rounds) for sizes in ((16, 16, 2), (28, 32, 3), (32, 32, 3))]


def _batch(
    num_images: int, num_steps: int, side: int, k: int, num_layers: int, rounds: int
) -> dict[str, Any]:
    keys = jax.random.split(jax.random.key(0), num_images)
    prior = ji.generators.deep_decoder((side, side), k, num_layers)
    clean = picture((side, side))
    y = clean + 0.05 * jax.random.normal(jax.random.key(2), (num_images, side, side))
    operator = ji.operators.identity((side, side))
    fit = partial(ji.untrained.fit, num_steps=num_steps, stop=None)
    axes = ji.Problem(None, 0, None, None)

    def at_once() -> Any:
        found = fit(keys, prior, ji.Problem(operator, y), axes=axes)
        return jax.block_until_ready(found.x)

    def one_by_one() -> Any:
        found = [
            fit(key, prior, ji.Problem(operator, image)).x
            for key, image in zip(keys, y, strict=True)
        ]
        return jax.block_until_ready(jnp.stack(found))

    difference = float(jnp.max(jnp.abs(at_once() - one_by_one())))
    times = _machine.interleaved({"at once": at_once, "one by one": one_by_one}, rounds)
    ratio = _machine.ratio(times["one by one"].wall, times["at once"].wall)
    rates = {name: num_images * num_steps / float(np.median(t.wall)) for name, t in times.items()}
    processor = {name: float(np.median(t.cpu)) for name, t in times.items()}
    print(
        f"{num_images} images {side} x {side}, k = {k}: {rates['at once']:.0f} steps a second",
        end="",
    )
    print(f" at once, {rates['one by one']:.0f} one by one: {ratio:.2f} times", end="")
    print(f" (CPU {processor['at once']:.2f} and {processor['one by one']:.2f} s)", end="")
    print(f"; images differ by at most {difference:.1e}")
    return {
        "num_images": num_images,
        "side": side,
        "num_channels": k,
        "steps_per_second": rates,
        "throughput_ratio": ratio,
        "cpu_seconds": processor,
        "largest_difference": difference,
    }


def closed_form(quick: bool, rounds: int) -> dict[str, Any]:
    """Reach step t of the linearized two-layer network at once, and by iterating, in float64.

    Iterated are the signal (two products with m x n matrices a step, the cheapest way there is)
    and the parameters of the tangent, for fewer steps, scaled to t.
    """
    n, m, k, num_steps, walked = (64, 16, 32, 500, 20) if quick else (256, 64, 2048, 20_000, 50)
    distance = jnp.minimum(jnp.arange(n), n - jnp.arange(n))
    kernel = jnp.exp(-((distance / (0.01 * n)) ** 2))
    kernel = kernel / jnp.linalg.norm(kernel)
    matrix = jax.random.normal(jax.random.key(0), (m, n)) / math.sqrt(m)
    operator = ji.operators.dense(matrix)
    y = operator(jnp.sin(2 * jnp.pi * jnp.arange(n) / n))
    prior = ji.generators.two_layer(kernel, k)
    start = prior(prior.params)
    covariance = ji.ntk.empirical_kernel(prior)
    step_size = 1 / jnp.linalg.norm(matrix @ covariance @ matrix.T, 2)

    def at(steps: int) -> jax.Array:
        found = ji.ntk.linearized_signal(covariance, operator, y, step_size, steps, start=start)
        return found.block_until_ready()

    @partial(jax.jit, static_argnums=3)
    def iterated(covariance: jax.Array, matrix: jax.Array, x: jax.Array, steps: int) -> jax.Array:
        pull = step_size * covariance @ matrix.T  # formed once
        return jax.lax.fori_loop(0, steps, lambda _, x: x - pull @ (matrix @ x - y), x)

    @partial(jax.jit, static_argnums=1)
    def descended(problem: ji.Problem, steps: int) -> jax.Array:
        def step(_: Any, params: Any) -> Any:
            return params - step_size * jax.grad(problem.loss)(params)

        return problem.prior(jax.lax.fori_loop(0, steps, step, problem.prior.params))

    problem = ji.Problem(operator, y, ji.ntk.linearize(prior))
    works = {
        "closed form": lambda: at(num_steps),
        "iterated signal": lambda: iterated(
            covariance, matrix, start, num_steps
        ).block_until_ready(),
        "iterated parameters": lambda: descended(problem, walked).block_until_ready(),
    }
    ends = {name: work() for name, work in works.items()}
    errors = {
        "iterated signal": relative(ends["iterated signal"], ends["closed form"]),
        "iterated parameters": relative(ends["iterated parameters"], at(walked)),
    }
    if max(errors.values()) > 1e-6:
        raise SystemExit(f"the closed form misses the iterates: {errors}")
    times = _machine.interleaved(works, rounds)
    factors = {"iterated signal": 1.0, "iterated parameters": num_steps / walked}
    ratios = {
        name: factor * _machine.ratio(times[name].wall, times["closed form"].wall)
        for name, factor in factors.items()
    }
    seconds = {name: float(np.median(t.wall)) * factors.get(name, 1.0) for name, t in times.items()}
    print(
        f"n = {n}, m = {m}, k = {k}, {num_steps} steps: {1e3 * seconds['closed form']:.1f} ms",
        end="",
    )
    for name, ratio in ratios.items():
        print(f"; {name} {seconds[name]:.2f} s, {ratio:.0f} times, to {errors[name]:.0e}", end="")
    print(f" (parameters for {walked} steps, scaled)")
    return {"seconds": seconds, "times_faster_than": ratios, "relative_errors": errors}


def relative(x: jax.Array, reference: jax.Array) -> float:
    """Return ‖x − reference‖ / ‖reference‖."""
    return float(jnp.linalg.norm(x - reference) / jnp.linalg.norm(reference))


if __name__ == "__main__":
    main()
