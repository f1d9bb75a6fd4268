"""A prior from your own folder of images
======================================

Ten lines from a folder to a prior, and an image that training has not seen back from 24 numbers.
Here the folder holds digits of 8 x 8 pixels; put the path of yours in its place, with a size.
"""

import tempfile

import jax
import matplotlib.pyplot as plt

import jaxinv as ji

folder = tempfile.mkdtemp()
for index, image in enumerate(ji.data.digits()[0][:800]):
    ji.data.save_image(f"{folder}/{index:04}.png", image)

images = ji.data.folder(folder, (8, 8))
train, x = images[:-1], images[-1]
model = ji.generators.vae(jax.random.key(0), x.shape, 10, divergence_weight=0.1)
G = ji.trained.fit(jax.random.key(1), model, train, num_steps=500).model

A = ji.operators.gaussian(jax.random.key(2), 24, x.shape)
solver = ji.solvers.levenberg_marquardt(num_restarts=4, latent_penalty=0.03)
starts = jax.random.normal(jax.random.key(3), (4, 10))
found = ji.solve(solver, ji.Problem(A, A(x), G), starts, max_steps=50)
error = float(ji.metrics.relative_error(found.x, x))
print(f"relative error {error:.3f} from {A.out_shape[0]} measurements of {x.size} pixels")

fig, axes = plt.subplots(1, 2, figsize=(4, 2.2))
for ax, (name, picture) in zip(axes, {"image": x, "found": found.x}.items(), strict=True):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(name, fontsize=9)
    ax.axis("off")
plt.show()

assert error < 0.7
