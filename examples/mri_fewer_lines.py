"""An MR image from a quarter of the lines of k-space
==================================================

No training data: total variation and an untrained network see one measurement each. What was
measured is put back into what the network makes.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

x = jnp.asarray(ji.data.image("mri_head", size=48))
mask = ji.operators.fourier_lines(jax.random.key(0), x.shape, 4.0, 0.08, kind="bernoulli")
A = ji.operators.mri(mask, real=True)
y = A(x)
print(f"measured {int(mask[0].sum())} of {mask.shape[1]} lines of k-space")

# the network makes images in [0, 1]: bring the measurements there, by themselves alone
scale = ji.operators.measured_scale(A, y)
prior = ji.generators.deep_decoder(x.shape, num_channels=24, num_layers=2)
smooth = ji.untrained.total_variation(3e-4)
found = ji.untrained.fit(
    jax.random.key(1), prior, ji.Problem(A, scale * y), num_steps=300, stop=None, penalty=smooth
)
images = {
    "zero-filled": A.adjoint(y),
    "total variation": jnp.asarray(ji.images.baseline(A, y, "tv").image),
    "deep decoder": ji.operators.data_consistency(A, y, found.x / scale),
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

assert scores["total variation"] > scores["zero-filled"]
assert scores["deep decoder"] > scores["zero-filled"]
