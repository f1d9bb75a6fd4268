"""Denoise a photo with no training data
=====================================

A deep decoder has fewer parameters than the photo has pixels: fitted to the noisy photo, it takes
up the photo before the noise. One pixel in twenty is left out of the fit, and tells when to stop.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

NOISE_STD = 25 / 255
x = jnp.asarray(ji.data.image("camera", size=48))
y = x + NOISE_STD * jax.random.normal(jax.random.key(0), x.shape)

prior = ji.generators.deep_decoder(x.shape, num_channels=24, num_layers=2)
problem = ji.Problem(ji.operators.identity(x.shape), y)
rule = ji.untrained.held_out(0.05, patience=100)
found = ji.untrained.fit(jax.random.key(1), prior, problem, num_steps=500, stop=rule)
print(f"{prior.num_parameters} parameters for {x.size} pixels")
print(f"kept step {int(found.history.best_step)} of {int(found.num_steps)}")

images = {
    "noisy": y,
    "deep decoder": found.x,
    "total variation": ji.denoisers.total_variation()(y, NOISE_STD),
}
scores = {name: float(ji.metrics.psnr(image, x)) for name, image in images.items()}
fig, axes = plt.subplots(1, 3, figsize=(6.6, 2.6))
for ax, (name, image) in zip(axes, images.items(), strict=True):
    print(f"{name:16s} {scores[name]:5.2f} dB")
    ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{name}, {scores[name]:.1f} dB", fontsize=9)
    ax.axis("off")
fig.tight_layout()
plt.show()

assert scores["deep decoder"] > scores["noisy"] + 2
