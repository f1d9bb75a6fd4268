"""Random ReLU networks against NumPy, and the adapters of other people's networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
KEY = jax.random.key(0)
WIDTHS = (4, 30, 20)


def network(**options):
    return ji.generators.relu(KEY, WIDTHS, dtype=DTYPE, **options)


def latent(seed=1):
    return jax.random.normal(jax.random.key(seed), WIDTHS[:1], DTYPE)


def test_relu_is_the_network_written_in_numpy():
    G, z = network(), latent()
    layer = np.asarray(z, np.float64)
    patterns = []
    for weight in G.params:
        layer = np.asarray(weight, np.float64) @ layer
        patterns.append(layer > 0)
        layer = np.maximum(layer, 0)
    np.testing.assert_allclose(G(z), layer, atol=20 * EPS)
    for got, expected in zip(G.activation_pattern(z), patterns, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert (G.in_shape, G.out_shape) == ((4,), (20,))


def test_the_latent_jacobian_reproduces_the_signal():
    G, z = network(), latent()
    np.testing.assert_allclose(G.jacobian(z) @ z, G(z), atol=20 * EPS)


def test_both_weight_scalings_are_equal_up_to_a_factor():
    z = latent()
    np.testing.assert_allclose(
        network(weight_scale=2.0)(z), 2 ** (2 / 2) * network(weight_scale=1.0)(z), rtol=20 * EPS
    )


def test_weights_have_their_variance():
    G = ji.generators.relu(KEY, (50, 80, 60), weight_scale=2.0, dtype=DTYPE)
    for weight, rows in zip(G.params, (80, 60), strict=True):
        squares = np.asarray(weight, np.float64) ** 2 * rows / 2
        assert abs(np.mean(squares) - 1) < 4 * np.std(squares) / np.sqrt(squares.size)


def test_norms_are_kept_in_he_scaling():
    latents = jax.random.normal(jax.random.key(2), (200, 5), DTYPE)
    keys = jax.random.split(KEY, 200)

    def ratio(key, z):
        G = ji.generators.relu(key, (5, 60, 60), dtype=DTYPE)
        return jnp.sum(G(z) ** 2) / jnp.sum(z**2)

    ratios = np.asarray(jax.jit(jax.vmap(ratio))(keys, latents), np.float64)
    assert abs(np.mean(ratios) - 1) < 4 * np.std(ratios) / np.sqrt(200)


def test_the_jacobian_takes_the_inactive_side_of_a_kink():
    G = network()
    np.testing.assert_array_equal(G.jacobian(jnp.zeros(4, DTYPE)), 0)
    gradient = jax.grad(lambda z: jnp.sum(G(z)))(jnp.zeros(4, DTYPE))
    np.testing.assert_array_equal(gradient, 0)


def double(params, z):
    return params * z


def test_from_function_without_a_shape_takes_any_latent():
    g = ji.generators.from_function(double, jnp.asarray(2.0))
    assert g.in_shape is None
    np.testing.assert_array_equal(g(jnp.ones((2, 3))), 2 * np.ones((2, 3)))


def test_linen_equals_the_modules_own_apply():
    module = linen.Dense(4)
    variables = module.init(KEY, jnp.ones(3))
    g = ji.generators.from_flax(module, variables)
    z = jnp.arange(3.0)
    np.testing.assert_array_equal(g(z), module.apply(variables, z))
    doubled = jax.tree.map(lambda leaf: 2 * leaf, g)
    np.testing.assert_allclose(doubled(z), 2 * g(z), rtol=1e-6)


class Net(nnx.Module):
    """Two layers; state that is not a parameter rides along."""

    def __init__(self, rngs):
        self.first = nnx.Linear(3, 6, rngs=rngs)
        self.second = nnx.Linear(6, 4, rngs=rngs)
        self.offset = nnx.BatchStat(jnp.ones(4))

    def __call__(self, z):
        return self.second(jnp.tanh(self.first(z))) + self.offset[...]


def test_nnx_equals_the_modules_own_call():
    module = Net(nnx.Rngs(0))
    g = ji.generators.from_flax(module)
    z = jnp.arange(3.0)
    np.testing.assert_allclose(g(z), module(z), atol=1e-6)
    paths = [
        jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(g.params)
    ]
    assert any("offset" in path for path in paths)
    trained, carried = g.split(g.params)
    assert len(jax.tree.leaves(trained)) == 4
    np.testing.assert_array_equal(jax.tree.leaves(carried)[0], 1)
    other = nnx.state(Net(nnx.Rngs(1)), nnx.Param)
    np.testing.assert_allclose(
        ji.generators.from_flax(module, other)(z), Net(nnx.Rngs(1))(z), atol=1e-6
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ji.generators.relu(KEY, (4,)), "widths must be"),
        (lambda: ji.generators.relu(KEY, (4, 0)), r"widths\[1\] must be >= 1"),
        (lambda: ji.generators.relu(KEY, (4, 5), weight_scale=0), "weight_scale"),
        (lambda: ji.generators.relu(KEY, (4, 5), precision="best"), "precision must be one of"),
        (lambda: ji.generators.relu(KEY, (4, 5), dtype=int), "dtype must be"),
        (lambda: ji.generators.from_flax(linen.Dense(4)), "params must be the variables"),
    ],
)
def test_bad_values_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: ji.generators.relu(0, (4, 5)),
        lambda: ji.generators.relu(KEY, (4, 5.0)),
        lambda: ji.generators.from_function(3, None),
        lambda: ji.generators.from_flax(double),
    ],
)
def test_bad_types_are_refused(call):
    with pytest.raises(TypeError):
        call()
