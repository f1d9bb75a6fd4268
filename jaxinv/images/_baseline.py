"""Classical reconstructions of one image, to compare a network with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv import operators
from jaxinv._core import Status, checks, numerics, replace
from jaxinv.images._measured import in_units, unknown_dtype
from jaxinv.images._path import MARGIN, STEPS, follow, signal_of, silent
from jaxinv.images._shrinking import CycleSpin, Shrinking, make_prior
from jaxinv.operators import LinearOperator
from jaxinv.operators._mri import MRI
from jaxinv.operators._window import Window
from jaxinv.problems import Problem
from jaxinv.solvers import damp, fista, solve

METHODS = ("lasso_dct", "lasso_wavelet", "tv", "damp")

_WHERE = "baseline"
_SMALLEST_SIDE = 16
_DAMP_STEPS = 30
_DAMP_TOL = 1e-3


class Baseline(NamedTuple):
    """What ``baseline`` returns.

    Attributes:
        image: the reconstruction, (h, w), complex where A* y is; (coils, h, w) for one image
            per coil.
        penalty: λ of the last step of the path, in units of the measurements (the largest of
            the coils); 0 for damp.
        misfit: ‖A x − y‖ / ‖y‖ of the image.
        num_steps: solver steps, summed over coils.
        status: a ``Status`` code: CONVERGED where the path, or D-AMP, ended where it should,
            MAX_STEPS, or NONFINITE.
    """

    image: np.ndarray
    penalty: float
    misfit: float
    num_steps: int
    status: int


class _Found(NamedTuple):
    image: np.ndarray
    penalty: float
    num_steps: int
    status: int


def baseline(
    operator: LinearOperator,
    y: Any,
    method: str,
    *,
    shape: Any = None,
    noise_norm: Any = 0.0,
    denoiser: Callable[[Array, Array], Array] | None = None,
) -> Baseline:
    r"""Reconstruct an image from its measurements by a method without a network.

    .. math:: \hat x = \arg\min_x \tfrac12 \|A x - y\|^2 + \lambda R(x), \qquad
        R(x) = \|W x\|_1 \text{ or } \mathrm{TV}(x)

    lasso_dct (W the cosine transform of the whole image), lasso_wavelet (sym4 wavelets) and tv
    follow a path of falling λ with ``solvers.fista``, each stage started at the last estimate;
    averages are not penalized. λ is chosen from the measurements alone: the path stops as
    soon as ‖A x − y‖ <= ``noise_norm`` (discrepancy principle), without noise at a threshold of
    about 0.001 of the image's range. damp is ``solvers.damp``, run with both of its scalings; the
    estimate that fits the measurements better is kept (where both fit them to the noise, that
    of the theory).

    Args:
        operator: A, linear; of images (h, w), of flat ones (``shape`` tells), or
            ``multicoil_mri`` without maps: each coil is then reconstructed by itself.
        y: measurements, of ``operator.out_shape``.
        method: lasso_dct, lasso_wavelet, tv or damp.
        shape: (h, w), at least 16 each; default that of the operator.
        noise_norm: ‖η‖ >= 0, the size of the noise in y, σ √m.
        denoiser: for damp: ``denoiser(x_noisy, noise_std) -> x``; default
            ``denoisers.non_local_means()``.

    Returns:
        A ``Baseline``. The image is complex for complex A* y; ``operators.mri(mask, real=True)``
        reconstructs real ones.

    Raises:
        TypeError: an operator that is not linear.
        ValueError: an unknown method, shapes that do not fit, NaN, y that is zero, a
            denoiser for another method.

    Cost: up to 300 products with A and A*; damp: up to 60, and up to 120 denoisings.

    Notes: units do not matter: y is divided by an estimate of the image's range, from ‖y‖ and
        the mean gain of A on random images.

    Example:
        >>> import jax, jaxinv as ji
        >>> from jaxinv import data
        >>> x = data.image("camera", size=(32, 32))
        >>> A = ji.operators.subsampled_hadamard(jax.random.key(0), 512, (32, 32))
        >>> found = baseline(A, A @ x, "tv")
        >>> found.image.shape, float(ji.metrics.psnr(found.image, x)) > 25
        ((32, 32), True)

    Source: the baselines of Van Veen et al. (2018), section 5; discrepancy principle: Morozov
        (1966); D-AMP: Metzler, Maleki, Baraniuk (2016).
    """
    operator, y, shape = _arguments(operator, y, method, shape)
    if denoiser is not None and method != "damp":
        checks.fail(_WHERE, "denoiser", "be left out for this method", method)
    noise_norm = float(checks.nonnegative(_WHERE, "noise_norm", noise_norm))
    if isinstance(operator, MRI) and operator.num_coils is not None:
        single = operators.mri(operator.mask)
        share = noise_norm / math.sqrt(len(y))
        found = [_one(single, part, method, shape, share, denoiser) for part in y]
        image = np.stack([part.image for part in found])
    else:
        found = [_one(operator, y, method, shape, noise_norm, denoiser)]
        image = found[0].image
    misfit = _misfit(operator, y, image.reshape(operator.in_shape)) / _size(y)
    return Baseline(
        image=image,
        penalty=max(part.penalty for part in found),
        misfit=float(misfit),
        num_steps=sum(part.num_steps for part in found),
        status=max(part.status for part in found),
    )


def _one(
    operator: LinearOperator,
    y: Array,
    method: str,
    shape: tuple[int, int],
    noise_norm: float,
    denoiser: Any,
) -> _Found:
    """Reconstruct one image in units of its range, by an operator of ordinary gain."""
    y, scale, gain = in_units(operator, y)
    dtype, noise_norm = unknown_dtype(operator, y), noise_norm / float(scale)
    gain = float(gain)
    if gain != 1:
        operator, y, noise_norm = (1 / gain) * operator, y / gain, noise_norm / gain
    if method == "damp":
        return _damp(operator, y, shape, noise_norm, denoiser, scale, dtype)
    shrinking = _shrinking(method, shape)
    window = Window(shrinking.canvas, shape, operator.in_shape)
    problem = Problem(operator, y, window)
    solver, state = _start(problem, shrinking.prox, jnp.zeros(shrinking.canvas, dtype))
    end = follow(solver, problem, state, noise_norm, silent)
    image = np.asarray(signal_of(problem, end.unknown)).reshape(shape) * np.asarray(scale)
    # λ ‖x‖ and ‖A x − y‖² are in one unit
    penalty = end.threshold / float(solver.step_size) * float(scale) * gain**2
    return _Found(image, penalty, STEPS * end.num_stages, int(end.status))


def _shrinking(method: str, shape: tuple[int, int]) -> Shrinking:
    """Return the penalty of a method, on a fixed grid: the Lasso itself."""
    key = jax.random.key(0)
    if method == "tv":
        return make_prior("tv", shape, key)
    if method == "lasso_wavelet":
        found = make_prior("wavelet", shape, key)
        return found._replace(prox=replace(found.prox, period=1))
    weights = np.ones(shape, np.float32)
    weights[0, 0] = 0
    shrink = CycleSpin(0.0, operators.dct(shape), jnp.asarray(weights), key, 1)
    return Shrinking(shrink, shape, "cosine transform")


@jax.jit
def _start(problem: Problem, prox: Any, u0: Array) -> tuple[Any, Any]:
    step_size = 1 / (MARGIN * jnp.square(problem.operator.norm()))
    solver = fista(step_size, prox=prox)
    return solver, solver.init(problem, u0)


def _damp(
    operator: LinearOperator,
    y: Array,
    shape: tuple[int, int],
    noise_norm: float,
    denoiser: Any,
    scale: Array,
    dtype: Any,
) -> _Found:
    """Run both scalings; keep the better fit, the theory's where both fit to the noise."""
    problem = Problem(operator, y, Window(shape, shape, operator.in_shape))
    best, least, num_steps = None, math.inf, 0
    for scaling in ("columns", "norm"):
        solver = damp(denoiser, scaling=scaling)
        found = solve(
            solver, problem, jnp.zeros(shape, dtype), tol=_DAMP_TOL, max_steps=_DAMP_STEPS
        )
        num_steps += int(found.num_steps)
        misfit = max(float(_misfit(operator, y, found.x)), noise_norm)
        if best is None or misfit < least:
            best, least = found, misfit if math.isfinite(misfit) else math.inf
    assert best is not None
    status = best.status if math.isfinite(least) else Status.NONFINITE
    return _Found(np.asarray(best.u) * np.asarray(scale), 0.0, num_steps, int(status))


@jax.jit
def _misfit(operator: LinearOperator, y: Array, x: Array) -> Array:
    return numerics.safe_norm(operator(x) - y)


_size = jax.jit(numerics.safe_norm)


def _arguments(
    operator: Any, y: Any, method: Any, shape: Any
) -> tuple[LinearOperator, Array, tuple[int, int]]:
    checks.choice(_WHERE, "method", method, METHODS)
    if not isinstance(operator, LinearOperator):
        checks.fail_type(_WHERE, "operator", "be a linear operator", operator)
    y = checks.array(_WHERE, "y", y)
    checks.shape_is(_WHERE, "y", y, operator.out_shape, "That is what the operator returns.")
    checks.finite(_WHERE, "y", y, "Remove or replace the broken measurements.")
    if not float(_size(y)) > 0:
        checks.fail(_WHERE, "y", "not be zero", "all zeros")
    coils = isinstance(operator, MRI) and operator.num_coils is not None
    seen = operator.in_shape[1:] if coils else operator.in_shape
    shape = seen if shape is None else checks.shape(_WHERE, "shape", shape)
    if len(shape) != 2 or math.prod(shape) != math.prod(seen):
        expected = f"be (height, width) of an image with {math.prod(seen)} pixels"
        checks.fail(_WHERE, "shape", expected, f"{shape}", "Pass shape=(h, w) for flat images.")
    if min(shape) < _SMALLEST_SIDE:
        checks.fail(_WHERE, "shape", f"be at least {_SMALLEST_SIDE} a side", f"{shape}")
    return operator, y, shape
