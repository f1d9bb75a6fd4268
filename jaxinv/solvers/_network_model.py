"""A network and its measurements as linear maps of gain 1, decomposed once for all messages."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics
from jaxinv.generators._piecewise_linear import Layered
from jaxinv.generators._relu import Relu
from jaxinv.operators import LinearOperator
from jaxinv.operators._dense import Dense
from jaxinv.operators._nonlinear import Magnitude, Sign
from jaxinv.problems import Problem
from jaxinv.solvers._factor import singular_factor
from jaxinv.solvers._linearized import is_gaussian
from jaxinv.solvers._network_messages import Stage, mean_of
from jaxinv.solvers._proximal import given_operator, held_matrix


class Prepared(NamedTuple):
    """What is computed once: the linear maps, the units of what they return, the data.

    Attributes:
        stages: the layers, then A.
        scales: of the latent, of every layer, and of A G(z).
        target: y in units of the last scale, or the signs.
        dither: of signs, in units of the last scale.
        used: which measurements are in use; None for all.
    """

    stages: tuple[Stage, ...]
    scales: tuple[Array, ...]
    target: Array
    dither: Array | None
    used: Array | None


def layers_of(prior: Any) -> tuple[LinearOperator, ...]:
    """Return the linear map of every layer."""
    if isinstance(prior, Relu):
        return tuple(Dense(weight, prior.precision) for weight in prior.params)
    return prior.layers


def slope_of(prior: Any) -> float:
    """Return α of the units max(t, 0) + α min(t, 0)."""
    return getattr(prior, "negative_slope", 0.0)


def linear_of(operator: Any) -> LinearOperator:
    """Return A of A x, |A x| or sign(A x + τ), in units of the problem."""
    if isinstance(operator, LinearOperator):
        return operator
    factor = getattr(operator, "factor", None)
    if factor is None or output_of(operator) == "signs":
        return operator.linear
    return factor * operator.linear


def output_of(operator: Any) -> str:
    """Return what is measured: values, magnitudes or signs; or nothing that is known here."""
    held = getattr(operator, "operator", operator) if hasattr(operator, "factor") else operator
    if isinstance(operator, LinearOperator):
        return "values"
    return {Magnitude: "magnitudes", Sign: "signs"}.get(type(held), "")


def require_network(where: str, problem: Problem, noise_std: Any, latent_std: Any) -> None:
    """Refuse a problem that is no network of dense layers, measured as is known here."""
    prior, operator = problem.prior, given_operator(problem)
    if not isinstance(prior, Relu | Layered):
        hint = "For other priors use levenberg_marquardt; without one vamp or fista."
        checks.fail_type(where, "problem.prior", "be a network of layers", prior, hint)
    if not is_gaussian(prior):
        hint = "Use levenberg_marquardt(latent_penalty=)."
        checks.fail_type(where, "problem.prior", "have a latent N(0, I)", prior, hint)
    output = output_of(operator)
    if not output:
        hint = "For other measurements use levenberg_marquardt."
        expected = "be linear, operators.magnitude or operators.sign"
        checks.fail_type(where, "problem.operator", expected, operator, hint)
    linear = linear_of(operator)
    shapes = (linear.in_shape, linear.out_shape)
    if any(len(shape) != 1 for shape in shapes):
        got = f"one from {shapes[0]} to {shapes[1]}"
        checks.fail(where, "problem.operator", "map a vector to a vector", got)
    if jnp.issubdtype(linear.out_dtype, jnp.complexfloating):
        hint = "Use levenberg_marquardt for complex measurements."
        checks.fail(where, "problem.operator", "be real", "one with complex values", hint)
    if output == "signs":
        for name, value in (("noise_std", noise_std), ("latent_std", latent_std)):
            if value is None:
                hint = "Signs do not tell it; for exact signs noise_std=0."
                checks.fail(where, name, "be given where signs are measured", None, hint)


def prepared(problem: Problem, latent_std: Any) -> Prepared:
    """Return the maps of a problem; the scale of the latent is that of y where none is given."""
    prior, operator = problem.prior, problem.operator
    dtype = jnp.promote_types(problem.y.dtype, jnp.float32)
    models = [_single(model) for model in (*layers_of(prior), linear_of(operator))]
    biases = [bias.astype(dtype) for bias in getattr(prior, "biases", ())]
    factors = [singular_factor(model) for model in models]
    counts = [_in_use(model) for model in models]
    # of N(0, 1) a unit keeps this second moment, which the next gain makes good for
    share = jnp.sqrt(jnp.asarray(0.5 * (1 + slope_of(prior) ** 2), dtype))
    gains: list[Array] = []
    for index, (factor, (rows, _)) in enumerate(zip(factors, counts, strict=True)):
        gain = jnp.sqrt(jnp.sum(jnp.asarray(factor.values)) / rows.astype(dtype))
        gains.append(jnp.where(gain > 0, gain, 1) * (share if index else 1))
    scale = jnp.asarray(1.0 if latent_std is None else latent_std).astype(dtype)
    y, used = problem.y.astype(dtype), _rows(models[-1])
    signs = output_of(operator) == "signs"
    if latent_std is None and not biases:
        total = jnp.prod(jnp.stack(gains))
        order = numerics.order(y)
        size = order * numerics.safe_sqrt(mean_of(jnp.square(y / order), used)) / total
        scale = jnp.where(size > 0, size, 1)
    scales = [scale]
    for gain in gains:
        scales.append(scales[-1] * gain)
    stages = []
    for index, (model, factor, gain) in enumerate(zip(models, factors, gains, strict=True)):
        bias = biases[index] / scales[index + 1] if index < len(biases) else None
        rows, columns = (count.astype(dtype) for count in counts[index])
        stages.append(Stage((1 / gain) * model, _divided(factor, gain), rows, columns, bias))
    dither = None
    if signs and operator.dither is not None:
        dither = operator.dither.astype(dtype) / scales[-1]
    target = y if signs else jnp.where(jnp.any(y != 0), y / scales[-1], 0)
    return Prepared(tuple(stages), tuple(scales), target, dither, used)


def _divided(factor: Any, gain: Array) -> Any:
    square = jnp.square(gain)
    cutoff = jnp.zeros((), square.dtype)  # the shifts here are positive
    values = factor.values / square
    return factor._replace(norm_squared=factor.norm_squared / square, values=values, cutoff=cutoff)


def _single(model: LinearOperator) -> LinearOperator:
    """Return a model with half precision made single."""

    def one(leaf: Any) -> Any:
        inexact = jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
        return numerics.at_least_single(jnp.asarray(leaf)) if inexact else leaf

    return jax.tree.map(one, model)


def _rows(model: LinearOperator) -> Array | None:
    """Return which rows of a matrix are not zero; None for other operators."""
    matrix = held_matrix(model)
    return None if matrix is None else jnp.any(matrix != 0, axis=1)


def _in_use(model: LinearOperator) -> tuple[Array, Array]:
    """Return how many rows and columns are not zero, at least 1."""
    matrix = held_matrix(model)
    if matrix is None:
        return jnp.asarray(model.out_shape[0]), jnp.asarray(model.in_shape[0])
    rows, columns = (jnp.sum(jnp.any(matrix != 0, axis=axis)) for axis in (1, 0))
    return jnp.maximum(rows, 1), jnp.maximum(columns, 1)
