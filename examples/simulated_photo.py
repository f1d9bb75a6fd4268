"""A photo from a quarter of its measurements, and the same choices by hand
========================================================================

``images.simulate`` measures an image, reconstructs it and scores the result. By hand: an operator,
a prior, the noise, a penalty, a solver; then fresh noises in one program.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

import jaxinv as ji

SIZE = 48
found = ji.images.simulate("camera", size=SIZE, operator="hadamard", ratio=0.25, prior="wavelet")
print(f"without a prior {found.baseline_psnr:5.2f} dB, one call {found.psnr:5.2f} dB")

# %%
# By hand:
image = jnp.asarray(ji.data.image("camera", size=SIZE))
A = ji.operators.subsampled_hadamard(jax.random.key(0), image.size // 4, image.shape)
synthesize = ji.operators.wavelet(image.shape, "sym4", 2).H
family = ji.problems.images(image, A, prior=synthesize, snr_db=40.0)
# the averages, in the top left corner, are not sparse: leave them free
penalty = jnp.full(image.shape, 0.02).at[: SIZE // 4, : SIZE // 4].set(0)
solver = ji.solvers.fista(penalty=penalty)


def decode(problem):
    start = family.initial(jax.random.key(0))
    return ji.solve(solver, problem, start, tol=1e-4, max_steps=300).x


batch = family.batch(jax.random.split(jax.random.key(2), 4))
signals = jax.jit(jax.vmap(decode, in_axes=(family.axes,)))(batch)
scores = jax.vmap(ji.metrics.psnr, (0, None))(signals, image)
print(f"by hand {scores.mean():5.2f} dB, ± {scores.std():.2f} over 4 noises")

shown = {"truth": image, "one call": found.estimate, "by hand": signals[0]}
fig, axes = plt.subplots(1, 3, figsize=(6.6, 2.6))
for ax, (name, picture) in zip(axes, shown.items(), strict=True):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(name, fontsize=9)
    ax.axis("off")
fig.tight_layout()
plt.show()

assert found.psnr > found.baseline_psnr + 5
assert float(scores.min()) > found.baseline_psnr + 3
