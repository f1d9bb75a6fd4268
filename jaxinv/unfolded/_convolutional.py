"""Analytic weights of a convolutional dictionary."""

from __future__ import annotations

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks

_WHERE = "convolutional_analytic_weights"


def convolutional_analytic_weights(kernels: Any, *, noise: Any = 0.0) -> Array:
    r"""Return the kernels of least interference for the dictionary x ↦ Σ_m d_m * x_m.

    Use these where ``analytic_weights`` would need the matrix of a whole image: the result
    does not depend on the size of the image. Among kernels of the same support,

    .. math:: \min_w \sum_{i,j} \|w_i \star d_j\|_2^2 \ \text{ s.t. } \langle w_m, d_m \rangle = 1

    where ⋆ is correlation over all shifts. Each w_m enters by the quadratic form of one block
    Toeplitz matrix T, whose entries are the summed autocorrelation of the d_j, so

    .. math:: w_m = \frac{T^{-1} d_m}{d_m^T T^{-1} d_m}, \qquad
              T_{pq} = r_{p - q} + \rho \delta_{pq}, \quad
              r = F^{-1} \sum_j |F d_j|^2

    with F the FFT of size 2 D - 1 along each axis of D, which leaves no wraparound.

    Args:
        kernels: d, shape (M, *window), such as (M, D) or (M, D, D); none of them zero.
        noise: ρ >= 0, as in ``analytic_weights``.

    Returns:
        w, of the shape and type of ``kernels``, with ⟨w_m, d_m⟩ = 1. A layer adds the
        correlation of the residual with w_m to x_m.

    Raises:
        ValueError: fewer than two dimensions, not finite, a zero kernel (named), ρ < 0, or T
            singular to double precision (kernels that all miss the same frequencies).

    Cost: one solve with T, whose side is the number of entries of the window, q: O(q³) time and
    8 q² bytes. Concrete kernels are handled on the host in float64, traced ones with JAX.

    Notes: the published solver descends on the spectra of w and crops in each step; the crop
    couples the frequencies, which is why it finds no closed form. There is one in the domain of
    the window.

    Example:
        >>> import jax.numpy as jnp
        >>> w = convolutional_analytic_weights(jnp.array([[1.0, 1.0], [1.0, -1.0]]))
        >>> w
        Array([[ 0.5,  0.5],
               [ 0.5, -0.5]], dtype=float32)

    Source: Liu, Chen, Wang, Yin (2019): Theorem 3 reduces the problem to this periodic size and
    Algorithm 2 solves it by projected gradients; the closed form follows from its Lagrange
    conditions.
    """
    noise = checks.nonnegative(_WHERE, "noise", noise, single=True)
    given = checks.array(_WHERE, "kernels", kernels)
    if given.ndim < 2 or given.size == 0:
        checks.fail(_WHERE, "kernels", "have shape (M, *window)", given)
    if not checks.is_concrete((kernels, noise)):
        return _solve(jnp, given, noise).astype(given.dtype)
    exact = np.asarray(kernels, complex if np.iscomplexobj(kernels) else float)
    checks.finite(_WHERE, "kernels", exact)
    zero = np.flatnonzero(~np.any(exact, axis=tuple(range(1, exact.ndim))))
    if zero.size:
        checks.fail(_WHERE, "kernels", "not be zero", f"zero kernel {zero[0]}")
    return jnp.asarray(_solve(np, exact, float(noise)), given.dtype)


def _solve(xp: Any, kernels: Any, noise: Any) -> Any:
    flat = kernels.reshape(kernels.shape[0], -1)
    spread = _autocorrelation_matrix(xp, kernels) + noise * xp.eye(flat.shape[1])
    if xp is np:
        values = np.linalg.eigvalsh(spread)
        if values[0] <= flat.shape[1] * np.finfo(float).eps * values[-1]:
            got = f"smallest over largest eigenvalue {values[0] / values[-1]:.2g}"
            hint = "Give noise > 0."
            checks.fail(_WHERE, "kernels", "cover all frequencies together", got, hint)
    solved = xp.linalg.solve(spread, flat.T).T
    scale = xp.real(xp.sum(xp.conj(flat) * solved, axis=1, keepdims=True))
    return (solved / scale).reshape(kernels.shape)


def _autocorrelation_matrix(xp: Any, kernels: Any) -> Any:
    """Return T of shape (q, q), q the number of entries of the window."""
    window = kernels.shape[1:]
    axes = tuple(range(1, kernels.ndim))
    spectra = xp.fft.fftn(kernels, s=tuple(2 * size - 1 for size in window), axes=axes)
    correlation = xp.fft.ifftn(xp.sum(xp.abs(spectra) ** 2, axis=0))
    if not xp.iscomplexobj(kernels):
        correlation = xp.real(correlation)
    places = np.array(list(itertools.product(*(range(size) for size in window))))
    shifts = places[:, None, :] - places[None, :, :]  # negative ones index from the end
    return correlation[tuple(np.moveaxis(shifts, -1, 0))]
