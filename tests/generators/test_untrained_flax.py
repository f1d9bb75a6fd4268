"""Networks of other makers as untrained priors: states, fresh starts, noise on the input."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxinv as ji

KEY = jax.random.key(0)
OPTIONS = {"num_steps": 6, "look_every": 3, "stop": None}
SHAPE = (4, 4)
PROBLEM = ji.Problem(ji.operators.identity(SHAPE), jnp.linspace(0, 1, 16).reshape(SHAPE))


class Net(nn.Module):
    """A small decoder as one finds them: images with a batch axis, normalization, dropout."""

    @nn.compact
    def __call__(self, x, train):
        x = nn.Conv(4, (1, 1))(x)
        x = nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)
        x = nn.Dropout(0.2, deterministic=not train)(nn.relu(x))
        count = self.variable("counts", "calls", lambda: jnp.zeros((), jnp.int32))
        if train:
            count.value += 1
        return nn.Conv(1, (1, 1))(x)


class Other(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(3, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs, momentum=0.5)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.last = nnx.Linear(8, 4, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(nnx.relu(self.norm(self.first(x)))))


@functools.cache
def linen_prior():
    z = jax.random.normal(KEY, (1, *SHAPE, 3))
    variables = Net().init(KEY, z, train=False)
    return ji.generators.from_flax(Net(), variables, out_shape=SHAPE).untrained(z)


@functools.cache
def nnx_prior():
    G = ji.generators.from_flax(Other(nnx.Rngs(0)))
    return G.untrained(jax.random.normal(KEY, (4, 3)), init=lambda key: Other(nnx.Rngs(key)))


@pytest.mark.parametrize("make", [linen_prior, nnx_prior])
def test_states_are_carried_and_read_afterwards(make):
    prior, keys = make(), jax.random.split(KEY, 2)
    found = ji.untrained.fit(keys, prior, PROBLEM, input_noise=0.01, **OPTIONS)
    _, before = prior.split(prior.params)
    _, after = prior.split(jax.tree.map(lambda leaf: leaf[0], found.params))
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert np.abs(old - new).max() > 0
        assert old.dtype == new.dtype
    starts = jax.vmap(prior.init)(keys)  # each key has its own start
    assert max(np.abs(np.diff(leaf, axis=0)).max() for leaf in jax.tree.leaves(starts)) > 0
    params = jax.tree.map(lambda leaf: leaf[0], found.params)
    np.testing.assert_array_equal(prior(params), prior(params))  # no dropout after the fit
    slope = jax.grad(lambda params: jnp.sum(prior(params)), allow_int=True)(params)
    trained, carried = prior.split(slope)
    assert all(np.all(leaf == np.zeros((), leaf.dtype)) for leaf in jax.tree.leaves(carried))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(trained))


def test_the_running_averages_are_those_of_flax():
    """Steps of length 0: only the states move, as the module's own apply moves them."""
    import optax

    prior = linen_prior()
    found = ji.untrained.fit(
        KEY, prior, PROBLEM, optimizer=optax.sgd(0.0), params=prior.params, **OPTIONS
    )
    variables = prior.params
    for _ in range(6):
        _, state = Net().apply(
            variables, prior.z, train=True, mutable=["batch_stats", "counts"],
            rngs={"dropout": KEY},
        )  # fmt: skip
        variables = {**variables, **state}
    ours, theirs = found.params["batch_stats"], variables["batch_stats"]
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), ours, theirs)
    assert found.params["counts"]["calls"] == 6


def test_several_keys_need_a_start_for_each():
    G = ji.generators.from_flax(Other(nnx.Rngs(0)))
    keys, z = jax.random.split(KEY, 2), jnp.ones((4, 3))
    with pytest.raises(ValueError, match=r"key must be one key: .*untrained\(z, init="):
        ji.untrained.fit(keys, G.untrained(z), PROBLEM, **OPTIONS)
    with pytest.raises(ValueError, match="init must make the generator's shapes"):
        G.untrained(z, init=lambda key: {"w": jnp.ones(3)}).init(KEY)
    with pytest.raises(TypeError, match="init must be a function"):
        G.untrained(z, init=3)
    params = {"w": jnp.ones(3)}
    prior = ji.generators.from_function(weighted, params).untrained(None)
    problem = ji.Problem(ji.operators.identity(3), jnp.ones(3))
    with pytest.raises(ValueError, match="input_noise must be 0: this prior has no input"):
        ji.untrained.fit(KEY, prior, problem, input_noise=0.1, **OPTIONS)


def weighted(params, z):
    return params["w"] * 2


def test_a_relu_network_starts_afresh_as_large_as_it_was():
    G = ji.generators.relu(KEY, (20, 300, 50), weight_scale=3.0)
    prior = G.untrained(jnp.ones(20))
    first, second = prior.init(KEY), prior.init(jax.random.key(1))
    for own, a, b in zip(G.params, first, second, strict=True):
        assert np.abs(a - b).max() > 0
        np.testing.assert_allclose(np.std(a), np.std(own), rtol=0.05)
