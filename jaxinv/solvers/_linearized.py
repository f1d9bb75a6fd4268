"""The model linearized at a point, and trees of unknowns as one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from jaxinv._core import checks, numerics, pytree, static
from jaxinv._core.units import Unit
from jaxinv.generators import Generator
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.problems._problem import has_squares, prior_energy

LATENT_PENALTY = Unit(-2, 2)  # of λ in loss + λ E, for an energy that is a square of the unknown


def latent_weight(where: str, latent_penalty: Any) -> Any:
    """Return λ >= 0 of a prior's energy; None where it is 0."""
    weight = checks.nonnegative(where, "latent_penalty", latent_penalty)
    return None if checks.is_concrete(weight) and np.all(np.asarray(weight) == 0) else weight


def linear_model(problem: Problem) -> LinearOperator | None:
    """Return ``predict`` as one linear operator, or None where it is not known to be linear."""
    operator, prior = problem.operator, problem.prior
    if not isinstance(operator, LinearOperator):
        return None
    if prior is None:
        return operator
    return operator @ prior if isinstance(prior, LinearOperator) else None


def squared_norm(problem: Problem, u: Array, *, tol: float | int, max_steps: int) -> Array:
    """Return λ_max(JᴴJ) at ``u``, from below, by power iteration."""
    _, pushforward = jax.linearize(problem.predict, u)
    pullback = jax.linear_transpose(pushforward, u)

    def gram(v: Array) -> Array:
        return jnp.conj(pullback(jnp.conj(pushforward(v)))[0])

    start = jax.random.normal(jax.random.key(0), u.shape, u.dtype)
    return numerics.power_iteration(gram, start, tol=tol, max_steps=max_steps).value


def gradient_scale(problem: Problem, u: Any) -> Array:
    """Return ‖Jᴴy‖ at ``u``: the gradient that the measurements alone make; 1 where that is 0.

    A gradient divided by it is dimensionless, and does not depend on any step size. Where y is 0
    the prediction at ``u`` takes its place.
    """
    prediction, pullback = jax.vjp(problem.predict, u)
    if not has_squares(problem):
        typical = problem.misfit.typical_gradient(prediction, problem.y)
        size = tree_norm(pullback(cotangent(typical, prediction))[0])
        return jnp.where(size > 0, size, 1)
    held = jnp.where(jnp.any(problem.y != 0), problem.y, prediction)
    (gradient,) = pullback(cotangent(held, prediction))
    size = tree_norm(gradient)
    return jnp.where(size > 0, size, 1)


def data_size(problem: Problem, u: Any) -> Array:
    """Return ‖y‖; where y is 0 the norm of the prediction at ``u``, and 1 where that is 0 too."""
    if not has_squares(problem):
        return problem.misfit.size(problem.predict(u), problem.y)
    held = jnp.where(jnp.any(problem.y != 0), problem.y, problem.predict(u))
    size = numerics.safe_norm(held)
    return jnp.where(size > 0, size, 1)


def probe(y: Array) -> Array:
    """Return fixed numbers of order 1 that look random, from what is quick to compile."""
    index = jnp.arange(y.size, dtype=numerics.real_dtype(y.dtype)).reshape(y.shape)
    return jnp.sin(1 + 0.7 * index * index).astype(y.dtype)


def is_flat(problem: Problem, u: Any) -> Array:
    """Whether the measurements, which are not met, do not depend on the unknown at ``u``.

    Every gradient is 0 there, whatever the misfit: of an operator that keeps signs only, or of a
    network all of whose units are off. A linear model is never called flat.
    """
    if linear_model(problem) is not None:
        return jnp.zeros((), bool)
    prediction, pullback = jax.vjp(problem.predict, u)
    weights = probe(problem.y if has_squares(problem) else prediction)
    pulled = jax.tree.leaves(pullback(cotangent(weights, prediction))[0])
    still = jnp.all(jnp.stack([jnp.all(leaf == 0) for leaf in pulled]))
    if not has_squares(problem):
        return still & jnp.any(problem.misfit.gradient(prediction, problem.y) != 0)
    return still & jnp.any(prediction != problem.y)


def tree_norm(tree: Any) -> Array:
    """Return the ℓ2 norm of all entries of a pytree, with derivative 0 at 0."""
    sizes = [numerics.safe_norm(leaf) for leaf in jax.tree.leaves(tree)]
    return sizes[0] if len(sizes) == 1 else numerics.safe_norm(jnp.stack(sizes))


def cotangent(residual: Array, prediction: Array) -> Array:
    """Return what a pullback of ``prediction`` takes for the gradient of ½‖residual‖².

    Measurements of another kind or width than the model's are cast to its own.
    """
    if not jnp.iscomplexobj(prediction):
        residual = jnp.real(residual)
    return jnp.conj(residual).astype(prediction.dtype)


@pytree
class _OfTree:
    """The prior, for the vector that a tree is ravelled into; it lives within one step."""

    prior: Any
    unravel: Callable[[Array], Any] = static()

    def __call__(self, v: Array) -> Any:
        u = self.unravel(v)
        return u if self.prior is None else self.prior(u)

    def energy(self, v: Array) -> Array:
        """Return the energy of the tree."""
        return prior_energy(self.prior, self.unravel(v))

    def reflections(self, v: Array) -> tuple[Array, ...]:
        """Return the reflections of the tree, ravelled."""
        return tuple(ravel_pytree(u)[0] for u in reflections(self.prior, self.unravel(v)))


def is_gaussian(prior: Any) -> bool:
    """Whether the energy is ½‖u‖²."""
    if isinstance(prior, _OfTree):
        return is_gaussian(prior.prior)
    plain = getattr(type(prior), "energy", Generator.energy) is Generator.energy
    return plain and getattr(prior, "density", None) is None


def reflections(prior: Any, u: Any) -> tuple[Any, ...]:
    """Return where the landscape may have a lower twin of ``u``: u and −u, or as the prior says."""
    if hasattr(prior, "reflections"):
        return prior.reflections(u)
    return u, jax.tree.map(jnp.negative, u)


def best_reflection(objective: Callable[[Array], Array], problem: Problem, u: Array) -> Array:
    """Return the reflection of a vector with the lowest objective."""
    points = reflections(problem.prior, u)
    losses = jax.vmap(objective)(jnp.stack(points))
    best, least = points[0], losses[0]
    for point, loss in zip(points[1:], losses[1:], strict=True):
        best = jnp.where(loss < least, point, best)
        least = jnp.minimum(loss, least)
    return best


def raveled(problem: Problem, u: Any) -> tuple[Problem, Array, Callable[[Array], Any]]:
    """Return the problem for one vector in place of the tree ``u``, that vector, and the way back.

    One array stays as it is, whatever its shape.
    """
    if isinstance(u, jax.Array):
        return problem, u, lambda v: v
    vector, unravel = ravel_pytree(u)
    return problem._replace(prior=_OfTree(problem.prior, unravel)), vector, unravel
