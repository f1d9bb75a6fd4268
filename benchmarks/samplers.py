"""Independent draws per second of every sampler, on one digit behind the decoder for MNIST.

50 Gaussian measurements, noise 0.5, 20 latents, 8 chains from points that fit the measurements.
The peer is ``blackjax`` called directly: its NUTS with its own loop, from the same starts. The
least effective sample size of the 20 latents, after a burn-in, over the processor's seconds of
all steps of a second call; compilation is left out.
"""

from __future__ import annotations

import time
from typing import Any

import _machine
import blackjax
import jax
import jax.numpy as jnp

import jaxinv as ji

NOISE_STD = 0.5
S = ji.samplers


def posed(num_chains: int) -> tuple[Any, Any]:
    """Return the problem, and starts by Levenberg-Marquardt."""
    key = jax.random.key(3)
    decoder = ji.trained.pretrained("mnist")
    family = ji.problems.generative(generator=decoder, num_measurements=50, noise_std=NOISE_STD)
    problem = family.sample(key)
    solver = ji.solvers.levenberg_marquardt(latent_penalty=NOISE_STD**2)
    find = jax.jit(jax.vmap(lambda u: ji.solve(solver, problem, u, max_steps=30).u))
    return problem, find(family.initial(key, num_chains))


def samplers(problem: Any, start: Any) -> dict[str, tuple[Any, int]]:
    """Return names to samplers and their steps; steps of the library's own choice where tuned."""
    tuned = S.tune(S.nuts(0.1, NOISE_STD), problem, start, key=jax.random.key(1), num_steps=300)
    langevin = S.langevin(0.015, NOISE_STD)
    return {
        "langevin(0.015)": (langevin, 4000),
        "preconditioned(langevin(0.2))": (S.preconditioned(S.langevin(0.2, NOISE_STD)), 4000),
        "hmc(0.1, 16 steps)": (S.hmc(0.1, NOISE_STD, 16), 400),
        "preconditioned(hmc(0.3, 8 steps))": (S.preconditioned(S.hmc(0.3, NOISE_STD, 8)), 600),
        "nuts, tuned": (tuned, 200),
        "preconditioned(nuts(0.4))": (S.preconditioned(S.nuts(0.4, NOISE_STD)), 300),
        "tempered(langevin, 1 3 9)": (S.tempered(langevin, [1.0, 3.0, 9.0]), 400),
        "laplace(adjust=True)": (S.laplace(NOISE_STD, adjust=True), 4000),
    }


def measured(sampler: Any, problem: Any, starts: Any, num_steps: int) -> tuple[Any, float]:
    """Return draws, and the seconds of a second call."""
    options = {"num_steps": num_steps + num_steps // 5, "burn_in": num_steps // 5}
    jax.block_until_ready(ji.sample(sampler, problem, starts, key=jax.random.key(0), **options).u)
    begin = time.process_time()
    draws = ji.sample(sampler, problem, starts, key=jax.random.key(2), **options)
    jax.block_until_ready(draws.u)
    return draws, time.process_time() - begin


def peer(tuned: Any, problem: Any, starts: Any, num_steps: int) -> float:
    """Return the draws per second of blackjax's own loop with the tuned NUTS."""

    @jax.jit
    def run(problem: Any, starts: Any, keys: Any) -> Any:
        def density(u: Any) -> Any:
            return problem.log_density(u, NOISE_STD)

        kernel = blackjax.nuts(density, **tuned.parameters, **dict(tuned.settings))

        def chain(start: Any, key: Any) -> Any:
            def step(state: Any, key: Any) -> tuple[Any, Any]:
                state, _ = kernel.step(key, state)
                return state, state.position

            burn, keep = num_steps // 5, num_steps
            states = jax.lax.scan(step, kernel.init(start), jax.random.split(key, burn + keep))
            return states[1][burn:]

        return jax.vmap(chain)(starts, keys)

    keys = jax.random.split(jax.random.key(2), len(starts))
    jax.block_until_ready(run(problem, starts, keys))
    begin = time.process_time()
    draws = jax.block_until_ready(run(problem, starts, keys))
    seconds = time.process_time() - begin
    ess = jax.vmap(S.effective_sample_size, in_axes=-1)(draws)
    return float(jnp.min(ess)) / seconds


def main() -> None:
    """Print a row for each sampler, and the ratio to the peer."""
    options = _machine.parser(__doc__).parse_args()
    scale = 0.1 if options.quick else 1.0
    problem, starts = posed(8)
    problem = problem._replace(truth=None)
    chosen = samplers(problem, starts[0])
    print(f"{'sampler':36s} accepted  R-hat    ESS  seconds  ESS/s", flush=True)
    rows = {}
    for name, (sampler, num_steps) in chosen.items():
        draws, seconds = measured(sampler, problem, starts, max(20, int(num_steps * scale)))
        ess = float(draws.ess.min())
        found = {
            "accepted": float(draws.accepted.mean()), "rhat": float(draws.rhat.max()),
            "ess": ess, "seconds": seconds, "ess_per_second": ess / seconds,
        }  # fmt: skip
        shown = "{accepted:8.2f} {rhat:6.3f} {ess:6.0f} {seconds:8.2f} {ess_per_second:6.0f}"
        print(f"{name:36s} {shown.format(**found)}", flush=True)
        rows[name] = found
    sampler, num_steps = chosen["nuts, tuned"]
    other = peer(sampler, problem, starts, max(20, int(num_steps * scale)))
    ratio = rows["nuts, tuned"]["ess_per_second"] / other
    print(f"NUTS here over blackjax's own loop: {ratio:.2f} (ESS/s)")
    _machine.write(options.out, "samplers", {"rows": rows, "ratio_to_blackjax": ratio})


if __name__ == "__main__":
    main()
