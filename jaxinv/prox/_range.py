"""Projection onto the range of a generator, by a few steps of a solver on its latent."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.generators import Generator
from jaxinv.prox._base import Prox


@pytree
class RangeOf(Prox):
    """See ``range_of``; the memory is the latent."""

    generator: Any
    solver: Any
    latent: Any
    num_steps: int = static(default=5)

    def value(self, w: Any) -> Array:
        w = checks.array("range_of", "w", w)
        return jnp.zeros((), numerics.real_dtype(w.dtype))

    def check(self, where: str, problem: Any, u0: Any) -> None:
        if isinstance(problem.prior, Generator):
            hint = "The unknown is the signal there."
            checks.fail(where, "problem.prior", "be None with prox.range_of", problem.prior, hint)
        shape = self._signal.shape
        if jnp.shape(u0) != shape:
            expected = f"have the shape {shape} of the signals of the generator of prox.range_of"
            checks.fail(where, "u0", expected, u0)

    @property
    def _signal(self) -> Any:
        return jax.eval_shape(self.generator, self.solver.one_start(self.latent))

    def start(self, v: Array) -> Any:
        dtype = jnp.result_type(v, self._signal)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf).astype(dtype), self.latent)

    def warm(self, v: Array, step_size: Any, memory: Any) -> tuple[Array, Any]:
        x, latent = self.solver.project(self.generator, v, memory, self.num_steps)
        return x.astype(v.dtype), latent


def range_of(
    generator: Generator, solver: Any, latent: Any = None, *, num_steps: int = 5
) -> RangeOf:
    r"""Project onto the range of a generator: the prox of "x is some G(z)".

    .. math:: \mathrm{prox}(v) \approx G(\hat z), \qquad
        \hat z = \arg\min_z \tfrac12 \|G(z) - v\|^2

    With it ``ista`` is projected gradient descent over the range of G, ``fista`` its accelerated
    form, and ``admm`` the alternating directions of Latorre et al.: the unknown is the signal,
    so the problem has no prior. The projection is not convex, and is as good as its solver: each
    call takes a few steps from the latent of the last one, which ``solution.state.memory`` holds
    at the end.

    Args:
        generator: G.
        solver: any solver of squares, such as ``solvers.levenberg_marquardt()``; with restarts
            each of them goes on by itself.
        latent: the start z_0 of the first projection, such as ``family.initial(key)`` (and
            ``family.initial(key, num_restarts)`` for restarts). None: fixed N(0, 1) numbers.
        num_steps: steps of the solver a call, >= 1.

    Returns:
        A ``Prox`` of value 0; the step size plays no part.

    Raises:
        TypeError: no generator, no solver.
        ValueError: no latent where the generator does not know its shape; num_steps below 1.

    Cost: ``num_steps`` steps of the solver on G alone, A apart.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.generative(widths=(5, 50, 100), num_measurements=40)
        >>> key = jax.random.key(0)
        >>> problem, z0 = family.sample(key), family.initial(key)
        >>> lm = ji.solvers.levenberg_marquardt()
        >>> descent = ji.solvers.ista(prox=range_of(problem.prior, lm, z0))
        >>> sol = ji.solve(descent, problem._replace(prior=None), problem.prior(z0))
        >>> float(ji.metrics.relative_error(sol.x, problem.truth.x)) < 1e-4
        True

    Source: Shah, Hegde (2018), algorithm 1; Latorre, Eftekhari, Cevher (2019), algorithm 1.
    """
    where = "range_of"
    if not isinstance(generator, Generator):
        hint = "Wrap a function of (params, z) by generators.from_function."
        checks.fail_type(where, "generator", "be a generator", generator, hint)
    if not callable(getattr(solver, "project", None)):
        hint = "For example solvers.levenberg_marquardt()."
        checks.fail_type(where, "solver", "be a solver", solver, hint)
    if latent is None:
        latent = _fixed_start(where, generator)
    latent = checks.arrays(where, "latent", latent)
    checks.finite(where, "latent", latent)
    one = solver.one_start(latent)
    if generator.unknown_like is not None:
        checks.tree_is(where, "latent", one, generator.unknown_like, "That is what G takes.")
    if (
        generator.zero_is_fixed
        and checks.is_concrete(one)
        and not any(map(np.any, jax.tree.leaves(one)))
    ):
        hint = "Zero is a fixed point of a ReLU network; use family.initial(key)."
        checks.fail(where, "latent", "not be zero", "all zeros", hint)
    return RangeOf(generator, solver, latent, checks.count(where, "num_steps", num_steps))


def _fixed_start(where: str, generator: Generator) -> Any:
    """Return numbers N(0, 1) that do not change from call to call."""
    like = generator.unknown_like
    if like is None:
        hint = "Give a start, such as family.initial(key)."
        checks.fail(where, "latent", "be given: the generator knows no shape", "None", hint)
    leaves, structure = jax.tree.flatten(like)
    keys = jax.random.split(jax.random.key(0), len(leaves))
    drawn = [jax.random.normal(k, s.shape, s.dtype) for k, s in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)
