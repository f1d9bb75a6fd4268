"""Checks that several functions of the theory share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics
from jaxinv.generators import UntrainedPrior
from jaxinv.generators._two_layer import TwoLayer
from jaxinv.generators._two_layer_decoder import TwoLayerDecoder
from jaxinv.operators import LinearOperator
from jaxinv.operators._require import fail_function
from jaxinv.problems import Problem


def real_arrays(where: str, **values: Any) -> list[Array]:
    """Return real finite arrays of one type, of at least 32 bits."""
    given = [checks.array(where, name, value) for name, value in values.items()]
    for name, value in zip(values, given, strict=True):
        checks.finite(where, name, value)
        if jnp.iscomplexobj(value):
            checks.fail(where, name, "be real", value)
    dtype = jnp.result_type(jnp.float32, *given)
    return [value.astype(dtype) for value in given]


def descent_start(where: str, problem: Any, params: Any) -> tuple[Problem, Any]:
    """Return the problem, and the parameters as finite floating arrays that fit it."""
    if not isinstance(problem, Problem) or problem.prior is None:
        checks.fail_type(where, "problem", "be a jaxinv.Problem with a prior", problem)
    params = checks.arrays(where, "params", params)
    checks.finite(where, "params", params)
    params = jax.tree.map(
        lambda leaf: leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32)), params
    )
    problem = problem._replace(truth=None)
    try:
        predicted = jax.eval_shape(problem.predict, params)
    except (TypeError, ValueError) as error:
        fail_function(where, "problem", "params of these shapes", error)
    checks.shape_is(where, "problem.y", problem.y, predicted.shape)
    return problem, params


def real_signal(
    where: str, argument: str, value: Any, shape: tuple[int, ...], *, nonzero: bool = False
) -> Array:
    """Return a finite real array of that shape."""
    signal = checks.array(where, argument, value)
    checks.shape_is(where, argument, signal, shape)
    checks.finite(where, argument, signal)
    if jnp.iscomplexobj(signal):
        checks.fail(where, argument, "be real", signal)
    if nonzero and checks.is_concrete(signal) and not bool(jnp.any(signal != 0)):
        checks.fail(where, argument, "not be zero", "all zeros")
    return signal


def require_norm(where: str, argument: str, kernel: Array) -> None:
    """Require a kernel with a norm whose square is a number > 0 of its type."""
    energy = numerics.sum_squares(kernel)
    if checks.is_concrete(energy) and not 0 < float(energy) < float("inf"):
        expected = "have a norm whose square is > 0 and finite"
        checks.fail(where, argument, expected, f"a square of {float(energy)}")


def two_layer_problem(where: str, problem: Any) -> tuple[TwoLayer, LinearOperator]:
    """Return the prior and the operator of a problem with a two-layer network."""
    if not isinstance(problem, Problem):
        checks.fail_type(where, "problem", "be a jaxinv.Problem", problem)
    prior, operator = problem.prior, problem.operator
    if not isinstance(prior, TwoLayer):
        hint = "Make one with generators.two_layer."
        checks.fail_type(where, "problem.prior", "be a two-layer network", prior, hint)
    if not isinstance(operator, LinearOperator):
        checks.fail_type(where, "problem.operator", "be a linear operator", operator)
    if prior.kernel.shape != prior.shape:
        checks.fail(where, "problem.prior", "be one network", "a batch", "Use jax.vmap.")
    checks.finite(where, "problem", problem._replace(truth=None))
    require_norm(where, "problem.prior.kernel", prior.kernel)
    return prior, operator


def require_decoder(where: str, decoder: Any) -> None:
    """Require one two-layer decoder."""
    if not isinstance(decoder, TwoLayerDecoder):
        hint = "Make one with generators.two_layer_decoder."
        checks.fail_type(where, "decoder", "be a two-layer decoder", decoder, hint)
    if decoder.upsampling.ndim != 2:
        checks.fail(where, "decoder", "be one decoder", "a batch", "Use jax.vmap.")


def require_prior(where: str, prior: Any) -> None:
    """Require an untrained prior with parameters that descent can start from."""
    if not isinstance(prior, UntrainedPrior):
        hint = "Such as generators.two_layer_decoder(size, num_channels)."
        checks.fail_type(where, "prior", "be an untrained prior", prior, hint)
    checks.finite(where, "prior", prior.params)
    leaves = jax.tree.leaves(prior.params)
    if checks.is_concrete(leaves) and not any(bool(jnp.any(leaf != 0)) for leaf in leaves):
        checks.fail(where, "prior", "have parameters that are not all zero", "zeros")
