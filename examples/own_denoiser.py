"""Your own denoiser: a Flax network trained through the steps of a solver
=======================================================================

``prox.denoiser`` puts a Flax module, linen or nnx, where a solver calls a proximal operator. Here
it is trained over masks that vary from image to image.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxinv as ji

SIZE = 16


class Denoiser(nn.Module):
    """A small residual network of yours."""

    @nn.compact
    def __call__(self, v):
        """Return the image without what the network takes for noise."""
        return v + nn.Conv(1, (3, 3))(nn.relu(nn.Conv(8, (3, 3))(v)))


def masks(key):
    """Draw a mask: every problem has its own."""
    return ji.operators.mask(ji.operators.random_mask(key, (SIZE, SIZE), 0.5))


def crops(*names):
    """Return problems of crops of photos."""
    photos = [ji.data.image(name, gray=True) for name in names]
    return ji.problems.images(photos, masks, noise_std=0.05)


family, held_out, unseen = crops("coins", "brick"), crops("moon"), crops("camera")

# %%
# One network for all three steps; without ``shared`` each step would have its own.
net, shape = Denoiser(), (SIZE, SIZE, 1)
prox = ji.prox.denoiser(net, net.init(jax.random.key(0), jnp.zeros(shape)), shape=shape)
layers = ji.Layers.repeat(ji.solvers.ista(1.0, prox=prox), 3, shared=("prox",))
options = {"num_steps": 100, "validate_every": 25, "batch_size": 8, "validation_size": 32}
options["optimizer"] = optax.adam(5e-3)
trained = ji.unfolded.fit(jax.random.key(1), layers, family, validation=held_out, **options)

# %%
# Scored on crops of a photo that training and the choice of the best step never met.
problems = unseen.batch(jax.random.split(jax.random.key(2), 16))
found = jax.vmap(ji.unfold, in_axes=(None, unseen.axes))(trained.layers, problems)
psnr = jax.vmap(ji.metrics.psnr)
before, after = (float(np.mean(psnr(x, problems.truth.x))) for x in (problems.y, found))
print(f"PSNR: measured {before:.1f} dB, with the network {after:.1f} dB")

fig, axes = plt.subplots(1, 3, figsize=(6, 2.3))
for ax, name, x in zip(
    axes, ("measured", "network", "truth"), (problems.y, found, problems.truth.x), strict=True
):
    ax.imshow(x[0], cmap="gray", vmin=0, vmax=1)
    ax.set_title(name, fontsize=9)
    ax.axis("off")
fig.tight_layout()
plt.show()

assert after > before + 3
