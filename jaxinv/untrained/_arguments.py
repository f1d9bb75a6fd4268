"""What ``fit`` takes: its arguments, looked at before anything is compiled."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxinv._core import checks
from jaxinv._core.checks import as_function
from jaxinv.operators._require import fail_function
from jaxinv.problems import Problem
from jaxinv.problems._problem import has_squares, misfit_name
from jaxinv.solvers._checked import check_problem
from jaxinv.untrained._stopping import StoppingRule, Unstopped, held_out

_WHERE = "fit"
_AUTO_PATIENCE = 500


def key(key: Any) -> Array:
    """Return a key, or a vector of keys."""
    is_older = isinstance(key, jax.Array) and key.dtype == jnp.uint32 and key.ndim == 2
    if is_older and key.shape[0] and key.shape[1] in (2, 4):
        return jax.random.wrap_key_data(key)
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim:
        if key.ndim > 1 or key.size == 0:
            checks.fail(_WHERE, "key", "be one key or a vector of keys", key)
        return key
    return checks.key(_WHERE, key)


def problem(prior: Any, problem: Any, axes: Any, num_fits: int) -> tuple[Problem, Problem]:
    """Return the problem without its truth, and one of its batch, if the prior fits it."""
    if not hasattr(prior, "draw") or not hasattr(prior, "num_parameters"):
        hint = "Such as generators.deep_decoder(shape), or generator.untrained(z)."
        checks.fail_type(_WHERE, "prior", "be an untrained prior", prior, hint)
    problem = check_problem(_WHERE, problem, "any")._replace(prior=None, truth=None)
    single = problem if axes is None else _first(problem, axes, num_fits)
    expected = getattr(single.operator, "in_shape", None)
    if expected is not None and tuple(expected) != tuple(prior.out_shape):
        hint = "Both must have the shape of the image: gaussian(key, m, (h, w)) measures images."
        checks.fail(_WHERE, "prior", f"make signals of shape {expected}", prior.out_shape, hint)
    x = jax.eval_shape(prior, prior.params)
    predicted = jax.eval_shape(lambda operator, x: operator(x), single.operator, x)
    hint = "" if axes is not None else "For several problems give keys, and axes=family.axes."
    checks.shape_is(_WHERE, "problem.y", single.y, predicted.shape, hint)
    if checks.is_concrete(problem.y) and not np.any(np.asarray(problem.y)):
        hint = "An empty mask measures nothing."
        checks.fail(_WHERE, "problem.y", "have an entry other than 0", "all zeros", hint)
    if jnp.iscomplexobj(single.y) and not jnp.issubdtype(predicted.dtype, jnp.complexfloating):
        hint = "Build the prior with dtype=jnp.complex64, or take jnp.real(y)."
        checks.fail(_WHERE, "problem.y", "be real, as what the operator returns", single.y, hint)
    return problem, single


def _first(problem: Problem, axes: Any, num_fits: int) -> Problem:
    """Return one problem of a batch, after looking whether there is one for each key."""
    named = isinstance(axes, Problem)
    if not named or any(axis is not None and axis != 0 for axis in (axes.operator, axes.y)):
        hint = "As Problem(None, 0): other measurements, one operator."
        checks.fail(_WHERE, "axes", "be a Problem of 0 and None", axes, hint)

    def one(name: str, axis: Any, value: Any) -> Any:
        for leaf in () if axis is None else jax.tree.leaves(value):
            if jnp.shape(leaf)[:1] != (num_fits,):
                expected = f"have a first axis of {num_fits}, one for each key"
                checks.fail(_WHERE, f"problem.{name}", expected, leaf)
        return value if axis is None else jax.tree.map(lambda part: part[0], value)

    single = Problem(one("operator", axes.operator, problem.operator), one("y", axes.y, problem.y))
    return single._replace(misfit=one("misfit", axes.misfit, problem.misfit))


def rule(num_steps: Any, stop: Any, done: int) -> tuple[int, StoppingRule]:
    """Return the number of steps to take and the rule, which may count those done before."""
    num_steps = checks.count(_WHERE, "num_steps", num_steps)
    if isinstance(stop, StoppingRule):
        return num_steps, stop
    if stop is None:
        return num_steps, Unstopped()
    if isinstance(stop, str):
        if stop != "auto":
            hint = "Other rules are objects, such as untrained.held_out()."
            checks.fail(_WHERE, "stop", "be 'auto', a rule, an int or None", repr(stop), hint)
        return num_steps, held_out(patience=min(_AUTO_PATIENCE, done + num_steps))
    if checks.is_integer(stop):
        return checks.count(_WHERE, "stop", stop), Unstopped()
    hint = "Such as untrained.windowed_variance(), or None for no rule."
    return checks.fail_type(_WHERE, "stop", "be 'auto', a rule, an int or None", stop, hint)


def rule_of_misfit(problem: Problem, rule: StoppingRule) -> None:
    """Refuse a rule that watches squares, where they are not what is made small."""
    if not (has_squares(problem) or isinstance(rule, Unstopped)):
        got = f"a rule that watches squares, with {misfit_name(problem)}"
        checks.fail(_WHERE, "stop", "be None or a number of steps", got)


def spike(spike: Any) -> Any:
    """Return the factor of a spike; infinity for none."""
    if isinstance(spike, float) and spike == float("inf"):
        return spike
    return checks.scalar(_WHERE, "spike", spike, low=1.0, single=True)


def params(prior: Any, params: Any) -> Any:
    """Return the parameters of a start, which must look like the prior's own."""
    own = prior.params if params is None else params
    for leaf in jax.tree.leaves(own):
        short = jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype.itemsize < 4
        if short:
            hint = "Updates would be rounded away; compute_dtype= evaluates in half precision."
            checks.fail(_WHERE, "params", "be of float32 or wider", leaf, hint)
    if params is None:
        return None
    params = checks.arrays(_WHERE, "params", params)
    checks.finite(_WHERE, "params", params)
    trees = (params, prior.params)
    structures = [jax.tree.structure(tree) for tree in trees]
    shapes = [jax.tree.map(jnp.shape, jax.tree.leaves(tree)) for tree in trees]
    if structures[0] != structures[1] or shapes[0] != shapes[1]:
        checks.fail(_WHERE, "params", f"have the prior's shapes {shapes[1]}"[:200], params)
    return params


def starts(prior: Any, params: Any, axes: Any, num_fits: int) -> None:
    """Refuse several fits of one measurement that would all be the same."""
    if num_fits > 1 and params is None and axes is None and not getattr(prior, "can_redraw", True):
        hint = "Say how to draw parameters: generator.untrained(z, init=function_of_a_key)."
        expected = "be one key: all fits would start at the generator's own parameters"
        checks.fail(_WHERE, "key", expected, f"{num_fits} keys", hint)


def scalars(prior: Any, penalty: Any, regularizer: Any) -> None:
    """Require that P and R take what they are given, and return a real scalar."""
    x = jax.eval_shape(prior, prior.params)
    functions = (("penalty", penalty, x), ("regularizer", regularizer, prior.params))
    for name, function, taken in functions:
        if function is None:
            continue
        try:
            value = jax.eval_shape(lambda function, taken: function(taken), function, taken)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            fail_function(_WHERE, name, "what the network makes", error)
        if getattr(value, "shape", None) != () or jnp.iscomplexobj(value):
            checks.fail(_WHERE, name, "return a real scalar", f"{value}")


def functions(**given: Any) -> tuple[Any, ...]:
    """Return functions as pytrees; None where there is none."""
    return tuple(
        None if value is None else as_function(_WHERE, name, value, f"{name}(...), or None")
        for name, value in given.items()
    )
