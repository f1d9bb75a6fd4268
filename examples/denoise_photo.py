"""Denoise a photo with no training data: fit a deep decoder to the noisy photo itself.

Run: python examples/denoise_photo.py
"""

import time

import jax
import jax.numpy as jnp

import jaxinv as ji


def main(size=256, num_channels=64, num_layers=4, num_steps=1000, patience=200, noise_std=25 / 255):
    """Return the PSNR of the noisy photo, of the network, and of two classical denoisers."""
    x = jnp.asarray(ji.data.image("camera", size=size))
    y = x + noise_std * jax.random.normal(jax.random.key(0), x.shape)

    prior = ji.generators.deep_decoder(x.shape, num_channels, num_layers)
    problem = ji.Problem(ji.operators.identity(x.shape), y)
    # one pixel in twenty is not fitted, and tells when to stop
    rule = ji.untrained.held_out(0.05, patience)
    start = time.perf_counter()
    found = ji.untrained.fit(jax.random.key(1), prior, problem, num_steps=num_steps, stop=rule)
    seconds = time.perf_counter() - start

    scores = {
        "noisy": y,
        "deep decoder": found.x,
        "total variation": ji.denoisers.total_variation()(y, noise_std),
        "non-local means": ji.denoisers.non_local_means()(y, noise_std),
    }
    scores = {name: float(ji.metrics.psnr(image, x)) for name, image in scores.items()}
    status = ji.describe(found.status).split(":")[0]
    print(f"{prior.num_parameters} parameters for {x.size} pixels, {seconds:.0f} s, {status}")
    print(f"kept step {int(found.history.best_step)} of {int(found.num_steps)}")
    for name, score in scores.items():
        print(f"{name:16s} {score:5.2f} dB")
    return scores


if __name__ == "__main__":
    main()
