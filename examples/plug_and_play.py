"""Plug and play: a denoiser as the prior
======================================

Where a solver asks for the proximal operator of a penalty, any denoiser may stand. Here total
variation denoises inside FISTA, and inside D-AMP, which also knows the noise of each step.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
from jax.tree_util import Partial

import jaxinv as ji

x = jnp.asarray(ji.data.image("camera", size=32))
A = ji.operators.subsampled_hadamard(jax.random.key(0), 400, x.shape)
y = A(x)
problem = ji.Problem(A, y)
denoise = ji.denoisers.total_variation()


def step(denoiser, v, step_size):
    """Denoise v; a plug-and-play prior has no value, only this map."""
    return denoiser(v, 0.02)


solvers = {
    "plug and play": ji.solvers.fista(prox=ji.prox.from_function(Partial(step, denoise))),
    "D-AMP": ji.solvers.damp(denoise),
}
images = {"adjoint": A.H(y)}
for name, solver in solvers.items():
    images[name] = ji.solve(solver, problem, jnp.zeros(x.shape), max_steps=40).x
scores = {name: float(ji.metrics.psnr(image, x)) for name, image in images.items()}
fig, axes = plt.subplots(1, 3, figsize=(6.6, 2.6))
for ax, (name, image) in zip(axes, images.items(), strict=True):
    print(f"{name:14s} {scores[name]:5.2f} dB from {y.size} of {x.size} numbers")
    ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{name}, {scores[name]:.1f} dB", fontsize=9)
    ax.axis("off")
fig.tight_layout()
plt.show()

assert scores["plug and play"] > scores["adjoint"] + 3
assert scores["D-AMP"] > scores["adjoint"] + 3
