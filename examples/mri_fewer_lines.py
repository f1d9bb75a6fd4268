"""Reconstruct an MR image from a quarter of the lines of k-space, with no training data.

Run: python examples/mri_fewer_lines.py
"""

import jax
import jax.numpy as jnp

import jaxinv as ji


def main(size=None, num_channels=64, num_layers=4, num_steps=2000, acceleration=4.0):
    """Return PSNRs: what the lines show by themselves, total variation, and the network."""
    x = jnp.asarray(ji.data.image("mri_head", size=size))
    mask = ji.operators.fourier_lines(
        jax.random.key(0), x.shape, acceleration, 0.08, kind="bernoulli"
    )
    A = ji.operators.mri(mask, real=True)
    y = A(x)
    print(f"measured {int(mask[0].sum())} of {mask.shape[1]} lines of k-space")

    # the network makes images in [0, 1]: bring the measurements there, by themselves alone
    scale = ji.operators.measured_scale(A, y)
    prior = ji.generators.deep_decoder(x.shape, num_channels, num_layers)
    problem = ji.Problem(A, scale * y)
    smooth = ji.untrained.total_variation(3e-4)
    found = ji.untrained.fit(
        jax.random.key(1), prior, problem, num_steps=num_steps, stop=None, penalty=smooth
    )
    # what was measured is known: put it back
    network = ji.operators.data_consistency(A, y, found.x / scale)

    images = {
        "zero-filled": A.adjoint(y),
        "total variation": jnp.asarray(ji.images.baseline(A, y, "tv").image),
        "deep decoder": network,
    }
    scores = {name: float(ji.metrics.psnr(image, x)) for name, image in images.items()}
    for name, score in scores.items():
        print(f"{name:16s} {score:5.2f} dB")
    return scores


if __name__ == "__main__":
    main()
