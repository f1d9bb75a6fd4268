"""What can be certified about a generator at one latent, and its Lipschitz constant."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Num

from jaxinv._core import checks, numerics
from jaxinv.generators import Generator
from jaxinv.generators._relu import Relu
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.problems._problem import has_squares, jacobian
from jaxinv.theory.generative._search import SAMPLING, largest, latent_of, sampling


class LocalCertificate(NamedTuple):
    """What holds on the linear piece around a latent.

    Attributes:
        radius: of the largest ball around u on which G is linear: the loss is quadratic there.
        strong_convexity: μ, the smallest eigenvalue of its Hessian.
        smoothness: L, the largest one: gradient descent with steps 1/L contracts by 1 - μ/L.
        condition_number: L/μ, infinite where μ = 0.
        distance: ‖u - û‖ to the minimum û of the quadratic; infinite where μ = 0.
        holds: whether û lies inside the ball: it is then a strict local minimum of the loss, and
            the only critical point of the ball.
    """

    radius: Float[Array, ""]
    strong_convexity: Float[Array, ""]
    smoothness: Float[Array, ""]
    condition_number: Float[Array, ""]
    distance: Float[Array, ""]
    holds: Bool[Array, ""]


class LipschitzBounds(NamedTuple):
    """Bounds of the Lipschitz constant L of a generator: ``lower`` <= L <= ``upper``.

    Attributes:
        lower: the largest ‖Λ_z‖ found.
        upper: the product of the layers' spectral norms; infinite for what is no ReLU network.
        witness: the z of ``lower``.
    """

    lower: Float[Array, ""]
    upper: Float[Array, ""]
    witness: Array


def local_certificate(problem: Problem, u: Num[ArrayLike, "k"]) -> LocalCertificate:
    r"""Certify the landscape of ½‖A G(u) - y‖² around one latent of a ReLU network.

    .. math:: r = \min_{i, j} \frac{|\langle w_{ij}, G_{i-1}(u) \rangle|}
              {\|(W_i \Lambda_{i-1,u})_j\|}, \qquad
              \nabla^2 f = \Lambda_u^T A^T A \Lambda_u \ \text{ on } \|v - u\| < r

    At a solution it says how far the basin of one linear piece reaches, how fast gradient
    descent is inside, and that no other critical point lies there. It needs no enumeration and
    holds for any k; beyond the ball it says nothing.

    Args:
        problem: with a linear operator, a ``generators.relu`` prior and the misfit of squares.
        u: the latent, shape (k,).

    Returns:
        ``LocalCertificate``; also under ``jit`` and ``vmap``.

    Raises:
        TypeError: another prior or operator.
        ValueError: another misfit, a latent of another shape.

    Cost: Λ_u, A on its k columns, singular values of m × k.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(5, 50, 100), num_measurements=40)
        >>> problem = family.sample(jax.random.key(0))
        >>> found = local_certificate(problem, problem.truth.u)
        >>> bool(found.holds), float(found.condition_number) > 1
        (True, True)

    Source: Cocola (2022), Section 4.1: Λ_x is constant near almost every x.
    """
    where = "local_certificate"
    prior = network_of(where, problem)
    if not isinstance(problem.operator, LinearOperator):
        checks.fail_type(where, "problem.operator", "be linear", problem.operator)
    u = checks.array(where, "u", u)
    checks.shape_is(where, "u", u, prior.in_shape, "Use jax.vmap for a batch of latents.")
    checks.finite(where, "u", u)
    if jnp.iscomplexobj(u):
        checks.fail(where, "u", "be real", u)
    return _certified(problem, u)


def network_of(where: str, problem: Any) -> Relu:
    """Return the ReLU network that is a problem's prior; its misfit has to be that of squares."""
    prior = getattr(problem, "prior", None)
    if not isinstance(problem, Problem) or not isinstance(prior, Relu):
        got = prior if isinstance(problem, Problem) else problem
        hint = "Make one with generators.relu."
        checks.fail_type(where, "problem.prior", "be a ReLU network without biases", got, hint)
    if not has_squares(problem):
        checks.fail(where, "problem.misfit", "be that of squares", problem.misfit)
    return prior


@jax.jit
def _certified(problem: Problem, u: Array) -> LocalCertificate:
    matrix = jacobian(problem, u)
    residual = problem.residual(u)
    if jnp.iscomplexobj(matrix):
        matrix = jnp.concatenate([jnp.real(matrix), jnp.imag(matrix)])
        residual = jnp.concatenate([jnp.real(residual), jnp.imag(residual)])
    left, sizes, _ = jnp.linalg.svd(matrix, full_matrices=False)
    largest_size = sizes[0]
    least = sizes[-1] if len(matrix) >= len(u) else jnp.zeros_like(largest_size)
    # what rounding leaves of a singular value that is 0 is no curvature
    cut = max(matrix.shape) * jnp.finfo(sizes.dtype).eps
    least = jnp.where(least > cut * largest_size, least, 0)
    convex = least > 0
    steps = numerics.matmul(left.T, residual) / jnp.where(sizes > 0, sizes, 1)
    distance = jnp.where(convex, numerics.safe_norm(steps), jnp.inf)
    ratio = jnp.where(convex, largest_size / jnp.where(convex, least, 1), jnp.inf)
    radius = _radius(problem.prior, u)
    return LocalCertificate(
        radius, least**2, largest_size**2, ratio**2, distance, convex & (distance < radius)
    )


def _radius(generator: Relu, u: Array) -> Array:
    """Return the distance to the first kink of any unit whose input changes with u."""
    radius = jnp.asarray(jnp.inf, u.dtype)
    signal, columns = u, jnp.eye(len(u), dtype=u.dtype)
    for weight in generator.params:
        height = numerics.matmul(weight, signal, generator.precision)
        columns = numerics.matmul(weight, columns, generator.precision)
        slopes = numerics.safe_norm(columns, axis=1)[:, 0]
        distances = jnp.abs(height) / jnp.where(slopes > 0, slopes, 1)
        radius = jnp.minimum(radius, jnp.min(jnp.where(slopes > 0, distances, jnp.inf)))
        active = height > 0
        signal = jnp.where(active, height, 0)
        columns = jnp.where(active[:, None], columns, 0)
    return radius


def lipschitz_bounds(
    generator: Generator, method: str = "search", *, key: Any = None, num_samples: int = 500
) -> LipschitzBounds:
    r"""Return a lower and an upper bound of the Lipschitz constant of a generator.

    .. math:: \max_z \|\Lambda_z\|_2 \;\le\; L \;\le\; \prod_i \|W_i\|_2

    The gap grows with depth: the product takes all units for active, and the worst directions
    of all layers for one. ``sufficient_measurements`` asks for L.

    Args:
        generator: G; the upper bound is that of a ``generators.relu``.
        method: ``"search"``, ascent on ‖Λ_z‖ from the best random z, or ``"sampled"``.
        key: JAX PRNG key; None for ``jax.random.key(0)``.
        num_samples: random z ~ N(0, I), >= 1.

    Returns:
        ``LipschitzBounds(lower, upper, witness)``; also under ``vmap``.

    Raises:
        TypeError: a generator of unknown latent shape.

    Cost: a Jacobian a sample, 100 000 for the ascent; the singular values of all layers.

    Example:
        >>> import jax, jaxinv as ji
        >>> found = lipschitz_bounds(ji.generators.relu(jax.random.key(0), (2, 20, 40)), "sampled")
        >>> 0 < float(found.lower) < float(found.upper)
        True

    Source: Bora, Jalal, Price, Dimakis (2017), Section 3.
    """
    where = "lipschitz_bounds"
    checks.choice(where, "method", method, SAMPLING)
    key, num_samples = sampling(where, key, num_samples)
    shape, dtype = latent_of(where, generator)
    value, z = largest(_gain, generator, key, (1, *shape), dtype, num_samples, method)
    upper = jnp.asarray(jnp.inf, dtype)
    if isinstance(generator, Relu):
        upper = jnp.ones((), dtype)
        for weight in generator.params:
            upper = upper * jnp.linalg.norm(weight, 2)
    return LipschitzBounds(value, upper, z[0])


def _gain(generator: Any, z: Array) -> Array:
    matrix = generator.jacobian(z[0]).reshape(-1, z[0].size)
    largest_entry = numerics.largest(matrix)
    matrix = numerics.safe_divide(matrix, largest_entry)
    values = jnp.linalg.eigvalsh(numerics.matmul(matrix.T, matrix))
    return largest_entry * numerics.safe_sqrt(jnp.maximum(values[-1], 0))
