"""Functions of the user's: what is bound to them stays arrays, wherever one is taken."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial

import jaxinv as ji
from jaxinv._core.checks import as_function
from jaxinv.sweeps._program import _split

V = jnp.array([0.5, -1.0, 2.0])
SGD = optax.sgd(0.1)


def scaled(a, v):
    return a * v


def scaled_by(a, v, size):
    return a * v * size


def energy(a, u):
    return a * jnp.sum(u**2)


def drawn(a, key):
    return {"value": a * jax.random.uniform(key)}


def apply_trial(trial):
    leaves, tree = trial
    return jax.tree.unflatten(tree, leaves)(jax.random.key(0))["value"]


# what takes a function: how it is made of one with a bound number, and a value that depends on it
TAKERS = {
    "prox.from_function": (lambda f: ji.prox.from_function(f), scaled_by, lambda p: p(V, 2.0)),
    "its value": (
        lambda f: ji.prox.from_function(scaled_by, f),
        energy,
        lambda p: p.value(V),
    ),
    "shrinkage.from_function": (ji.shrinkage.from_function, scaled_by, lambda s: s(V, 2.0)),
    "generators.from_function": (
        lambda f: ji.generators.from_function(f, jnp.asarray(2.0)),
        scaled_by,
        lambda g: g(V),
    ),
    "operators.from_function": (lambda f: ji.operators.from_function(f, 3), scaled, lambda A: A(V)),
    "operators.single_index": (
        lambda f: ji.operators.single_index(ji.operators.identity(3), f),
        scaled,
        lambda A: A(V),
    ),
    "ntk.linearize": (lambda f: ji.ntk.linearize(f, V), scaled, lambda t: t(2 * V)),
    "gradient": (
        lambda f: ji.solvers.gradient(SGD, f),
        energy,
        lambda s: s.objective(ji.Problem(ji.operators.identity(3), V), V),
    ),
    "damp": (ji.solvers.damp, scaled_by, lambda s: s.denoiser(V, 2.0)),
    "sweep": (lambda f: _split("sweep", f), drawn, apply_trial),
}


@pytest.mark.parametrize("name", TAKERS)
def test_bound_numbers_are_leaves_and_batch_through_the_constructor(name):
    make, function, value = TAKERS[name]
    made = make(Partial(function, jnp.asarray(3.0)))
    assert any(leaf is not None and np.all(leaf == 3.0) for leaf in jax.tree.leaves(made))
    several = jnp.array([3.0, 5.0])
    # a constructor under vmap, whose result leaves it: no tracer may be hidden in it
    batch = jax.vmap(lambda a: value(make(Partial(function, a))))(several)
    np.testing.assert_allclose(batch[0], value(made), rtol=1e-6)
    assert np.all(batch[0] != batch[1])
    if name != "sweep":  # its trial is taken apart on the host
        escaped = jax.vmap(lambda a: make(Partial(function, a)))(several)
        assert all(not isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(escaped))
        np.testing.assert_allclose(jax.vmap(value)(escaped), batch, rtol=1e-6)
    slope = jax.grad(lambda a: jnp.sum(value(make(Partial(function, a)))))(3.0)
    np.testing.assert_allclose(slope, (jnp.sum(batch[1]) - jnp.sum(batch[0])) / 2, rtol=1e-5)


def test_a_partial_of_a_partial_is_one():
    inner = Partial(scaled_by, jnp.asarray(3.0))
    made = as_function("f", "fn", Partial(Partial(inner, V), size=2.0), "fn()")
    assert len(jax.tree.leaves(made)) == 3
    np.testing.assert_array_equal(made(), 6 * V)


def test_plain_functions_are_structure_and_trees_that_can_be_called_stay():
    made = as_function("f", "fn", scaled, "fn(a, v)")
    assert jax.tree.leaves(made) == []
    assert jax.tree.structure(made) == jax.tree.structure(as_function("f", "fn", scaled, ""))
    denoiser = ji.denoisers.total_variation()
    assert as_function("f", "fn", denoiser, "fn(x, s)") is denoiser


def test_what_is_no_function_or_binds_no_numbers_is_refused():
    with pytest.raises(TypeError, match=r"f: fn must be a function fn\(x\), got int 3"):
        as_function("f", "fn", 3, "fn(x)")
    with pytest.raises(TypeError, match="f: what is bound to fn must be numbers, got str 'same'"):
        as_function("f", "fn", Partial(scaled, "same"), "fn(x)")
