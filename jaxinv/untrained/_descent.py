"""One step of a fit: the loss, its gradient, and the update of an optax transformation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import numerics, pytree, static
from jaxinv._core.units import Scale
from jaxinv.problems import Problem

if TYPE_CHECKING:
    import optax


_SMALLEST, _LARGEST = 2.0**-7, 2.0**30  # of max |y|, without other units
_MOST = 60  # bits that a loss with penalties may be scaled by, so that these stay finite


class Descent(NamedTuple):
    """Where one descent is.

    ``carried`` is what layers remember, such as the running averages of batch normalization.
    """

    params: Any
    carried: Any
    optimizer: Any


@pytree
class Objective:
    """What is made small, all but the problem, and by which updates."""

    penalty: Callable[[Array], Any] | None
    regularizer: Callable[[Any], Any] | None
    transform: optax.GradientTransformationExtraArgs = static()


@pytree
class Cast:
    """A prior evaluated in another floating type; its parameters and signals keep theirs."""

    prior: Any
    dtype: Any = static()

    @property
    def in_shape(self) -> None:
        """The unknown is a tree of parameters."""
        return None

    def __call__(self, params: Any) -> Array:
        """Return the signal, in the type of the parameters."""
        return self._raised(params, self._lowered()(self._short(params)))

    def split(self, params: Any) -> tuple[Any, Any]:
        """See ``split``."""
        return split(self.prior, params)

    def join(self, params: Any, carried: Any) -> Any:
        """See ``join``."""
        return join(self.prior, params, carried)

    def train(self, params: Any, carried: Any, key: Array) -> tuple[Array, Any]:
        """See ``trained_signal``; what layers remember keeps its digits."""
        x, carried = trained_signal(self._lowered(), self._short(params), carried, key)
        return self._raised(params, x), carried

    def _short(self, params: Any) -> Any:
        def short(leaf: Any) -> Any:
            floating = jnp.issubdtype(leaf.dtype, jnp.floating)
            return leaf.astype(self.dtype) if floating else leaf

        return jax.tree.map(short, params)

    def _raised(self, params: Any, x: Array) -> Array:
        own = jax.tree.leaves(params)[0].dtype
        return x.astype(jnp.result_type(own, jnp.complex64) if jnp.iscomplexobj(x) else own)

    def _lowered(self) -> Any:
        keeps = getattr(self.prior, "keeps_input_type", False)
        if keeps or getattr(self.prior, "z", None) is None:
            return self.prior
        return self.prior.with_input(self._short(self.prior.z))


@pytree
class Rescaled:
    """An operator whose measurements are in another unit, a power of two."""

    operator: Any
    unit: Array

    @property
    def in_shape(self) -> Any:
        """Shape of ``x``."""
        return getattr(self.operator, "in_shape", None)

    def __call__(self, x: Array) -> Array:
        """Return the measurements in this unit."""
        return in_unit(self.operator(x), self.unit)


def in_unit(y: Array, unit: Array) -> Array:
    """Return ``y`` times a real number, in the type of ``y``."""
    return y * unit.astype(jnp.finfo(y.dtype).dtype)


def unit_of(y: Array, has_penalties: bool) -> Array:
    """Return the power of two that brings max |y| near 1 where squares would be lost, else 1.

    Of measurements in such units the squares vanish or overflow, or an optimizer's ε is no
    longer small beside the gradient. Powers of two are exact: only exponents change.
    """
    size = numerics.order(y)
    bits = jnp.finfo(size.dtype).maxexp - 2
    bits = min(bits, _MOST) if has_penalties else bits
    unit = jnp.clip(1 / size, 2.0**-bits, 2.0**bits)
    return jnp.where((size >= _SMALLEST) & (size < _LARGEST), 1, unit)


def measured_in(problem: Problem, unit: Array) -> Problem:
    """Return the problem with its measurements in this unit."""
    misfit = problem.misfit
    if misfit is not None:
        misfit = misfit.to_units(Scale(jnp.ones_like(unit), 1 / unit))
    operator, y = Rescaled(problem.operator, unit), in_unit(problem.y, unit)
    return problem._replace(operator=operator, y=y, prior=None, misfit=misfit)


def split(prior: Any, params: Any) -> tuple[Any, Any]:
    """Return what descent trains, and what layers carry from step to step."""
    return prior.split(params) if hasattr(prior, "split") else (params, ())


def join(prior: Any, params: Any, carried: Any) -> Any:
    """Return the whole tree of parameters that ``split`` took apart."""
    return prior.join(params, carried) if hasattr(prior, "join") else params


def trained_signal(prior: Any, params: Any, carried: Any, key: Array) -> tuple[Array, Any]:
    """Return the signal as during training, and what the layers remember then."""
    if hasattr(prior, "train"):
        return prior.train(params, carried, key)
    return prior(params), carried


def begin(objective: Objective, prior: Any, params: Any) -> Descent:
    """Return the state before the first step."""
    params, carried = split(prior, params)
    return Descent(params, carried, objective.transform.init(params))


def step(
    objective: Objective, prior: Any, problem: Problem, state: Descent, key: Array, unit: Array
) -> tuple[Descent, Array, Array]:
    """Take a step; return also the loss and the signal where it started."""

    def value_and_parts(params: Any) -> tuple[Array, tuple[Array, Any]]:
        x, carried = trained_signal(prior, params, state.carried, key)
        loss = problem.loss(x)
        extras = []
        if objective.penalty is not None:
            extras.append(objective.penalty(x))
        if objective.regularizer is not None:
            extras.append(objective.regularizer(join(prior, params, state.carried)))
        for extra in extras:
            loss = loss + unit * (unit * jnp.asarray(extra).astype(loss.dtype))
        return loss, (x, carried)

    def value(params: Any) -> Array:
        return value_and_parts(params)[0]

    (loss, (x, carried)), gradient = jax.value_and_grad(value_and_parts, has_aux=True)(state.params)
    gradient = jax.tree.map(jnp.conj, gradient)  # of steepest ascent, as optax expects it
    gradient, before = jax.tree.map(_smooth, (gradient, state.optimizer))
    updates, optimizer = objective.transform.update(
        gradient, before, state.params, value=loss, grad=gradient, value_fn=value
    )
    params = jax.tree.map(lambda a, b: (a + b).astype(a.dtype), state.params, updates)
    optimizer = jax.tree.map(_in_type_of, state.optimizer, optimizer)
    carried = jax.tree.map(_in_type_of, state.carried, carried)
    return Descent(params, carried, optimizer), loss, x


def _in_type_of(old: Array, new: Array) -> Array:
    """Return ``new`` in the type of ``old``: a transformation may widen its own state."""
    return new if new.dtype == old.dtype else new.astype(old.dtype)


def _smooth(value: Any) -> Any:
    """Return a number of the optimizer; without slope where that is infinite times zero.

    Adam divides by the root of an average of squares, whose slope at 0 is infinite. It is 0 for
    weights whose gradient has always been 0, as behind a rectifier that never was active.
    """
    return _guarded(value) if jnp.issubdtype(jnp.result_type(value), jnp.inexact) else value


@jax.custom_vjp
def _guarded(value: Array) -> Array:
    return value


def _guarded_forward(value: Array) -> tuple[Array, Array]:
    return value, jnp.square(value) == 0


def _guarded_backward(vanished: Array, slope: Array) -> tuple[Array]:
    return (jnp.where(vanished & jnp.isnan(slope), 0, slope),)


_guarded.defvjp(_guarded_forward, _guarded_backward)
