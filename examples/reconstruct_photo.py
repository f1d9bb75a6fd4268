"""Reconstruct a photo from a quarter of the measurements, by library calls.

Run: python examples/reconstruct_photo.py
"""

import jax
import jax.numpy as jnp

import jaxinv as ji
from jaxinv import data, operators, problems
from jaxinv.images import simulate


def one_call(size: int) -> float:
    """Let the library choose the prior's details, the penalty and the stop."""
    found = simulate("camera", size=size, operator="hadamard", ratio=0.25, prior="wavelet")
    print(f"without a prior  {found.baseline_psnr:5.2f} dB")
    print(f"reconstruct      {found.psnr:5.2f} dB in {found.seconds:.1f} s")
    return found.psnr


def by_hand(size: int) -> float:
    """Make the same choices yourself: operator, prior, noise, penalty, solver, stop."""
    image = jnp.asarray(data.image("camera", size=size))
    shape = image.shape
    key = jax.random.key(0)
    measure = operators.subsampled_hadamard(key, image.size // 4, shape)
    synthesize = operators.wavelet(shape, "sym4", 3).H
    family = problems.images(image, measure, prior=synthesize, snr_db=40.0)
    problem = family.sample(jax.random.key(1))
    # the averages, in the top left corner, are not sparse: leave them free
    penalty = jnp.full(shape, 0.05).at[: shape[0] // 8, : shape[1] // 8].set(0)
    solver = ji.solvers.fista(penalty=penalty)
    solution = ji.solve(solver, problem, family.initial(key), tol=1e-4, max_steps=1000)
    found = float(ji.metrics.psnr(solution.x, problem.truth.x))
    print(f"by hand          {found:5.2f} dB, {ji.describe(solution.status).split(':')[0]}")
    return found


def many_noises(size: int, num_trials: int = 5) -> jax.Array:
    """Repeat with fresh noise: the image and the operator are shared, not copied."""
    image = jnp.asarray(data.image("camera", size=size))
    shape = image.shape
    measure = operators.convolution(jnp.full((5, 5), 1 / 25), shape)
    family = problems.images(image, measure, snr_db=30.0)
    batch = family.batch(jax.random.split(jax.random.key(2), num_trials))
    solver = ji.solvers.fista(prox=ji.prox.tv(1e-3, num_steps=10))

    def decode(problem: ji.Problem) -> jax.Array:
        solution = ji.solve(
            solver, problem, family.initial(jax.random.key(0)), tol=1e-4, max_steps=100
        )
        return ji.metrics.psnr(solution.x, problem.truth.x)

    scores = jax.jit(jax.vmap(decode, in_axes=(family.axes,)))(batch)
    print(
        f"deblurring       {scores.mean():5.2f} dB, +- {scores.std():.2f} over {num_trials} noises"
    )
    return scores


def main(size: int = 256) -> tuple[float, float, jax.Array]:
    """Run the three parts on the image shrunk to ``size`` pixels."""
    return one_call(size), by_hand(size), many_noises(size)


if __name__ == "__main__":
    main()
