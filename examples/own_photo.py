"""Your own measurement of a photo: which prior, without the truth
===============================================================

``ji.reconstruct`` takes the measurements and the operator. It scores its candidates by measurements
that it leaves out, says which one it took, and where its folds disagree. Here two pixels in five
are known, with noise.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import jaxinv as ji

x = np.asarray(ji.data.image("camera", size=48))
A = ji.operators.mask(ji.operators.random_mask(jax.random.key(0), x.shape, 0.4))
y = A(x) + 0.02 * A(jax.random.normal(jax.random.key(1), x.shape))

found = ji.reconstruct(y, A, prior="tv", noise_std=0.02, truth=x)  # the truth: for scores only
print(f"{found.chosen}: {found.reason}")
for name, score in found.scores.items():
    print(f"{name:12s} {score:.4g}")

shown = {"measured": y, "found": found.x, "where it is unsure": found.spread}
fig, axes = plt.subplots(1, 3, figsize=(6.6, 2.6))
for ax, (name, picture) in zip(axes, shown.items(), strict=True):
    ax.imshow(picture, cmap="gray")
    ax.set_title(name, fontsize=9)
    ax.axis("off")
fig.tight_layout()
plt.show()

assert found.scores["psnr"] > found.scores["input_psnr"] + 5
