"""A training step of the VAE 784-500-500-20-500-500-784 against PyTorch on the same signals.

Both draw a batch of 100, one sample of the latents each, and take a step of Adam from the same
weights; the losses after the first steps must agree. PyTorch runs eager with fused Adam, and
compiled where it can be; the ratio is to the better one. Seconds of the processor stand beside
those of the clock, for machines that do other work too.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import _machine
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxinv as ji
from jaxinv.trained import _steps

BATCH = 100


def main() -> None:
    options = _machine.parser(__doc__).parse_args()
    width, num_steps, rounds = (50, 5, 2) if options.quick else (500, 20, 7)
    model = ji.generators.vae(jax.random.key(0), (28, 28), 20, hidden=(width, width), warmup=0.0)
    x = jnp.asarray(np.random.default_rng(0).random((4500, 784), np.float32))
    works: dict[str, Any] = {"jaxinv": trainer(model, x, num_steps)}
    works |= {f"torch {name}": run for name, run in peers(model, x).items()}
    losses = {name: run(num_steps) for name, run in works.items()}
    first = losses["jaxinv"]
    assert all(abs(loss - first) < 0.05 * first for loss in losses.values()), losses
    times = _machine.interleaved({n: partial(r, num_steps) for n, r in works.items()}, rounds)
    found = {}
    for name, run in works.items():
        start = time.process_time()
        run(num_steps)
        found[name] = {
            "milliseconds": 1e3 * float(np.median(times[name].wall)) / num_steps,
            "processor_milliseconds": 1e3 * (time.process_time() - start) / num_steps,
        }
        print(name, {key: round(value, 2) for key, value in found[name].items()})
    ratios = {
        name: _machine.ratio(times[name].wall, times["jaxinv"].wall)
        for name in works
        if name != "jaxinv"
    }
    print("times faster:", {name: round(value, 2) for name, value in ratios.items()})
    _machine.write(options.out, "vae_training", {"results": found, "times_faster_than": ratios})


def trainer(model: Any, x: Any, num_steps: int) -> Any:
    """Return a function that takes some steps in one program, as ``trained.fit`` does."""
    optimizer = optax.adam(1e-3)
    setting = _steps.Setting((optimizer,), BATCH, 10_000, num_steps)
    key = jax.random.key(1)
    held: list[Any] = [_steps.begin(setting, model, x[:1], key)[0]]

    def steps(count: int) -> float:
        held[0], (losses, _) = _steps.advance(
            setting._replace(chunk=count), model, x, x[:1], (key, key), held[0]
        )
        return float(losses[-1])

    return steps


def peers(model: Any, x: Any) -> dict[str, Any]:
    """Return the ways of PyTorch that this machine can run."""
    try:
        import _torch_vae
    except ImportError:
        return {}
    found = {}
    for name, compiled in (("eager", False), ("compiled", True)):
        run = _torch_vae.trainer(model.params, x, BATCH, compiled=compiled)
        try:
            run(1)
        except Exception as error:
            print(f"torch {name}: {type(error).__name__}, left out")
            continue
        found[name] = _torch_vae.trainer(model.params, x, BATCH, compiled=compiled)
    return found


if __name__ == "__main__":
    main()
