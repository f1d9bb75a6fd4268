"""Approximate message passing with any denoiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.tree_util import Partial

from jaxinv import denoisers
from jaxinv._core import checks, numerics, pytree, replace, static, units
from jaxinv._core.checks import as_function
from jaxinv._core.units import Scale
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._factor import constant_norm_squared
from jaxinv.solvers._linear import linear_problem
from jaxinv.solvers._linearized import gradient_scale
from jaxinv.solvers._message_passing import kept_share, noise_level

_PROBES = 4  # products that estimate the mean column norm
_NUDGE = 1e-3  # of the largest entry: the step of the divergence's difference quotient


class DampState(NamedTuple):
    """State of ``damp``: the corrected residual of the last step, and its factor in the next."""

    u: Array
    residual: Array
    onsager: Array


class _Model(NamedTuple):
    """What is computed once: m in real numbers, c, ‖A*y‖ and the probe."""

    num_measurements: Array
    gain: Array
    scale: Array
    probe: Array


@pytree
class Damp(Solver):
    """See ``damp``; ``model`` is filled in by ``prepare``."""

    denoiser: Any
    damping: Any
    num_measurements: Any
    scaling: str = static(default="columns")
    seed: int = static(default=0)
    model: _Model | None = None

    scalars = ("damping", "num_measurements")
    units = units.table(u=units.UNKNOWN, residual=units.DATA, model=None)

    def check_problem(self, where: str, problem: Problem, u0: Array) -> None:
        linear_problem("damp", problem, u0)

    def to_units(self, scale: Scale) -> Damp:
        divided: Any = super().to_units(scale)
        return replace(divided, denoiser=Partial(_in_units, self.denoiser, scale))

    def init(self, problem: Problem, u0: Array) -> DampState:
        model, y = linear_problem("damp", problem, u0)
        residual = y - model(u0)
        return DampState(u0, residual, jnp.zeros((), numerics.real_dtype(u0.dtype)))

    def _prepared(self, problem: Problem, u: Array) -> _Model:
        """Measure the operator with random signals."""
        if self.model is not None:
            return self.model
        model, _ = linear_problem("damp", problem, u)
        keys = jax.random.split(jax.random.key(self.seed), _PROBES + 1)
        real = numerics.real_dtype(u.dtype)

        def product(key: Array) -> tuple[Array, Array, Array]:
            signal = jax.random.normal(key, u.shape, u.dtype)
            image = model(signal)
            size = numerics.sum_squares(image), numerics.sum_squares(signal)
            return *size, _real_numbers(image)

        energies, sizes, counts = lax.map(product, keys[1:])
        gain = numerics.safe_divide(jnp.sum(energies), jnp.sum(sizes), default=1.0)
        if self.scaling == "norm":
            gain = constant_norm_squared(model)
        given = self.num_measurements
        count = jnp.maximum(counts[0], 1) if given is None else jnp.asarray(given)
        return _Model(
            num_measurements=count.astype(real),
            gain=gain.astype(real),
            scale=gradient_scale(problem, u),
            probe=_unit_parts(keys[0], u),
        )

    def prepare(self, problem: Problem) -> Damp:
        model = problem.operator if problem.prior is None else problem.prior
        u = jax.ShapeDtypeStruct(model.in_shape, _unknown_dtype(problem))
        return replace(self, model=self._prepared(problem, jnp.zeros(u.shape, u.dtype)))

    def step(self, problem: Problem, state: DampState) -> tuple[DampState, Info]:
        held = self._prepared(problem, state.u)
        model, y = linear_problem("damp", problem, state.u)
        real = state.onsager.dtype
        keep = jnp.asarray(self.damping).astype(real)
        plain = y - model(state.u)
        corrected = plain + state.onsager * state.residual
        residual = keep * state.residual + (1 - keep) * corrected
        gain = held.gain.astype(real)
        noise_std = _noise_std(residual, held.num_measurements, gain)
        pseudo_data = (state.u + model.adjoint(residual) / gain).astype(state.u.dtype)
        estimate = self._denoise(pseudo_data, noise_std)
        divergence = self._divergence(pseudo_data, estimate, noise_std, held.probe)
        change = estimate - state.u
        error = gain * numerics.safe_norm(change) / held.scale
        onsager = divergence / held.num_measurements.astype(real)
        info = Info(0.5 * numerics.sum_squares(plain), error)
        return DampState(state.u + (1 - keep) * change, residual, onsager), info

    def _denoise(self, v: Array, noise_std: Array) -> Array:
        if jnp.iscomplexobj(v):
            parts = [self.denoiser(part, noise_std) for part in (jnp.real(v), jnp.imag(v))]
            return lax.complex(*parts)
        estimate = self.denoiser(v, noise_std)
        if jnp.shape(estimate) != v.shape:
            checks.fail("damp", "denoiser", f"return the shape {v.shape} of its image", estimate)
        return estimate.astype(v.dtype)

    def _divergence(self, v: Array, estimate: Array, noise_std: Array, probe: Array) -> Array:
        """Return Σ ∂D_i/∂v_i over real numbers, from one random direction."""
        size = _NUDGE * jnp.max(numerics.magnitude(v))
        size = jnp.where(size > 0, size, 1)
        moved = self._denoise(v + size * probe, noise_std)
        return jnp.real(numerics.inner(probe, moved - estimate)) / size


def _in_units(denoiser: Any, scale: Scale, v: Array, noise_std: Array) -> Array:
    """Call a denoiser with what the caller would have given it."""
    estimate = denoiser(*units.from_units((v, noise_std), units.UNKNOWN, scale))
    return units.to_units(estimate, units.UNKNOWN, scale)


def _noise_std(residual: Array, num_measurements: Array, gain: Array) -> Array:
    """Return the deviation of each real number of the pseudo-data."""
    parts = jnp.stack([jnp.real(residual), jnp.imag(residual)])
    return noise_level(parts, num_measurements) / numerics.safe_sqrt(gain)


def _real_numbers(image: Array) -> Array:
    """Count the real numbers that were measured: the others are exactly 0."""
    count = jnp.sum(jnp.real(image) != 0)
    return count + jnp.sum(jnp.imag(image) != 0) if jnp.iscomplexobj(image) else count


def _unit_parts(key: Array, u: Array) -> Array:
    """Return noise whose real and imaginary parts each have variance 1."""
    noise = jax.random.normal(key, u.shape, u.dtype)
    return noise * jnp.sqrt(2).astype(noise.real.dtype) if jnp.iscomplexobj(u) else noise


def _unknown_dtype(problem: Problem) -> Any:
    """Return the type of the unknown that the measurements suggest: that of A* y."""
    model = problem.operator if problem.prior is None else problem.operator @ problem.prior
    return jax.eval_shape(model.adjoint, problem.y).dtype


def damp(
    denoiser: Callable[[Array, Array], Array] | None = None,
    *,
    damping: Any = 0.0,
    num_measurements: Any = None,
    scaling: str = "columns",
    seed: int = 0,
) -> Damp:
    r"""Denoising-based approximate message passing (D-AMP): recover images by any denoiser.

    .. math::
        z_t &= y - A x_t + \tfrac1m z_{t-1}\, \mathrm{div} D_{\sigma_{t-1}}(v_{t-1}), \qquad
        \sigma_t = \|z_t\| / \sqrt{c m}, \\
        v_t &= x_t + A^* z_t / c, \qquad x_{t+1} = D_{\sigma_t}(v_t)

    For a large A with independent entries v_t is the image in white noise of deviation σ_t, so a
    good denoiser makes a good reconstruction, in ten to thirty steps. For other operators, such
    as ``mri``, it diverges unless ``scaling="norm"``; with very few measurements it may
    too, and the status says so. The divergence is estimated by one random direction b,

    .. math:: \mathrm{div} D(v) \approx b^T (D(v + \epsilon b) - D(v)) / \epsilon, \qquad
        \epsilon = \|v\|_\infty / 1000

    Args:
        denoiser: ``denoiser(x_noisy, noise_std) -> x`` for real images: one of
            ``jaxinv.denoisers``, a module-level function of JAX arrays, or a
            ``jax.tree_util.Partial`` of one (a trained network with its weights). A function
            on the host runs through ``jax.pure_callback``. None: ``denoisers.non_local_means()``.
        damping: share in [0, 1) of the last estimate and residual that is kept.
        num_measurements: m, the number of real numbers measured, where it is not what a random
            signal shows to be nonzero in A x (a complex entry counts twice).
        scaling: what c is. columns: the mean of ‖a_i‖², as in the theory, whatever the scale of
            A. norm: ‖A‖², the step of a gradient method, for operators that measure some
            coefficients fully and others not at all (Fourier masks, pixel masks).
        seed: of b, the same at every step, so that a fixed point can be reached.

    Returns:
        A solver. ``info.loss`` is ½‖A x_t − y‖²; ``info.error`` is c ‖D(v_t) − x_t‖ / ‖A*y‖.
        With a rough denoiser it need not fall below 1e-2: cap the steps.

    Raises:
        TypeError: a denoiser that cannot be called.
        ValueError: a model that is not linear, damping outside [0, 1), another scaling.

    Cost: A and A* once and two denoisings a step (four for complex images); four products with A
        at the start.

    Notes: the theory has columns of norm 1; here c is estimated from random signals. The parts
        of a complex image are denoised one by one, each with its own share of the noise.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> x = jnp.zeros((24, 24)).at[6:18, 8:16].set(1.0)
        >>> A = ji.operators.subsampled_hadamard(jax.random.key(0), 200, (24, 24))
        >>> problem = ji.Problem(A, A @ x)
        >>> solver = damp(ji.denoisers.total_variation())
        >>> sol = ji.solve(solver, problem, jnp.zeros((24, 24)), max_steps=30)
        >>> float(ji.metrics.psnr(sol.x, x)) > 30
        True

    Source: Metzler, Maleki, Baraniuk (2016), algorithm D-AMP and section V.B; the divergence:
        Ramani, Blu, Unser (2008).
    """
    where = "damp"
    denoiser = denoisers.non_local_means() if denoiser is None else denoiser
    denoiser = as_function(where, "denoiser", denoiser, "denoiser(x_noisy, noise_std)")
    if num_measurements is not None:
        num_measurements = checks.positive(where, "num_measurements", num_measurements)
    seed = checks.count(where, "seed", seed, minimum=0)
    checks.choice(where, "scaling", scaling, ("columns", "norm"))
    return Damp(denoiser, kept_share(where, damping), num_measurements, scaling, seed)
