"""What the studies of the theory of untrained networks share."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxinv import ntk
from jaxinv.reproductions._untrained import gaussian_kernel, triangle
from jaxinv.reproductions.claims import Claim, at_most

TAIL = (20, 100)  # frequencies of the straight line, beyond the main lobe


def published_kernels(size: int) -> dict[str, np.ndarray]:
    return {f"triangle, p = {p}": triangle(size, p) for p in (1, 10, 30)} | {
        f"Gaussian, s = {s:g}": gaussian_kernel(size, s) for s in (0.005, 0.01, 0.05)
    }


def spectra(size: int) -> dict[str, np.ndarray]:
    """Return σ at frequencies 0 to size / 2 of every kernel."""
    return {
        name: np.asarray(ntk.spectrum(jnp.asarray(taps, jnp.float32)), float)[: size // 2 + 1]
        for name, taps in published_kernels(size).items()
    }


def line_misfits(sigma: np.ndarray) -> tuple[float, float]:
    """Return 1 − R² of log σ over log f (a power law) and over f (geometric decay)."""
    frequency = np.arange(TAIL[0], TAIL[1] + 1, dtype=float)
    logs = np.log(sigma[TAIL[0] : TAIL[1] + 1])
    found = []
    for places in (np.log(frequency), frequency):
        line = np.polynomial.Polynomial.fit(places, logs, 1)
        found.append(float(np.var(logs - line(places)) / np.var(logs)))
    return found[0], found[1]


def power_law_claims() -> list[Claim]:
    """Compare the decay of σ with the geometric one of the text; the plot itself is log-log."""
    claims = []
    for width in (10, 30):
        straight, geometric = line_misfits(spectra(300)[f"triangle, p = {width}"])
        what = f"misfit of geometric decay over that of a power law, triangle, p = {width}"
        claims.append(at_most(what, geometric / straight, 1.0))
    return claims


PAPER = "Heckel, Soltanolkotabi (2020), compressive sensing with un-trained networks"
