"""Own denoisers, functions and Flax networks of both kinds, in solvers and in networks."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.tree_util import Partial

import jaxinv as ji

KEY = jax.random.key(0)
SHAPE = (8, 8)


class Linen(nn.Module):
    @nn.compact
    def __call__(self, v):
        h = nn.relu(nn.Conv(4, (3, 3), dtype=v.dtype)(v))
        return v - nn.Conv(1, (3, 3), dtype=v.dtype)(h)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Conv(1, 4, (3, 3), rngs=rngs)
        self.second = nnx.Conv(4, 1, (3, 3), rngs=rngs)

    def __call__(self, v):
        return v - self.second(jax.nn.relu(self.first(v)))


def linen():
    return ji.prox.denoiser(Linen(), Linen().init(KEY, jnp.zeros((*SHAPE, 1))), shape=(*SHAPE, 1))


def from_nnx():
    return ji.prox.denoiser(Nnx(nnx.Rngs(0)), shape=(*SHAPE, 1))


def masks(key):
    return ji.operators.mask(ji.operators.random_mask(key, SHAPE, 0.5))


def family():
    photo = ji.data.image("camera", size=(32, 32)).astype(jnp.float32)
    return ji.problems.images(photo, masks, noise_std=0.05)


@pytest.mark.parametrize(("make", "shared"), [(linen, ()), (from_nnx, ("prox",))])
def test_a_flax_denoiser_is_trained_over_masks_that_vary(make, shared):
    prox = make()
    layers = ji.Layers.repeat(
        ji.solvers.ista(1.0, prox=prox), 3, shared=shared, trainable=("prox", "step_size")
    )
    drawn = family()
    sizes = {"num_steps": 20, "batch_size": 8, "validation_size": 16, "validate_every": 20}
    found = ji.unfolded.fit(KEY, layers, drawn, loss="mse", **sizes)
    assert found.history.validation[1] < 0.8 * found.history.validation[0]
    before, after = (jax.tree.leaves(each.solver.prox) for each in (layers, found.layers))
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))
    assert after[0].shape[0] == (before[0].shape[0] if shared else 3)
    problems = drawn.batch(jax.random.split(KEY, 4))
    assert np.ptp(np.asarray(problems.operator.mask, int), axis=0).any()  # the masks differ
    run = jax.jit(jax.vmap(ji.unfold, in_axes=(None, drawn.axes)))
    assert run(found.layers, problems).shape == (4, *SHAPE)


def test_steps_are_those_of_plug_and_play():
    prox = linen()
    problem = family().sample(KEY)
    state, _ = ji.trace(ji.solvers.ista(0.7, prox=prox), problem, jnp.zeros(SHAPE), 2)
    u, A = jnp.zeros(SHAPE), problem.operator
    net, params = Linen(), prox.denoise.params
    for _ in range(2):
        v = u - 0.7 * A.adjoint(A(u) - problem.y)
        u = net.apply(params, v[..., None])[..., 0]
    np.testing.assert_allclose(state.u, u, rtol=2e-4, atol=2e-5)


def shrink(scale, v, noise_std):
    return v / (1 + scale * noise_std)


def test_a_function_may_take_the_noise():
    prox = ji.prox.denoiser(Partial(shrink, jnp.float32(2.0)), noise_std=0.5)
    np.testing.assert_allclose(prox(jnp.ones(3)), 0.5 * jnp.ones(3))
    plain = ji.prox.denoiser(jnp.tanh)
    np.testing.assert_allclose(plain(jnp.ones(3), 9.0), jnp.tanh(jnp.ones(3)), rtol=1e-6)
    assert float(plain.value(jnp.ones(3))) == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ji.prox.denoiser(3), "denoise must be a function denoise"),
        (lambda: ji.prox.denoiser(Linen()), "params must be the variables of the linen module"),
        (lambda: ji.prox.denoiser(jnp.tanh, {"a": 1}), "params must be None unless .*Partial"),
        (lambda: ji.prox.denoiser(from_nnx().denoise, noise_std=1), "noise_std must be None"),
        (lambda: ji.prox.denoiser(jnp.sum)(jnp.ones(3)), r"return the shape \(3,\).*shape=\(h"),
        (lambda: linen()(jnp.ones(3)), r"v must have the size of the shape \(8, 8, 1\)"),
    ],
)
def test_what_cannot_be_a_denoiser_is_refused_in_one_line(call, words):
    with pytest.raises((ValueError, TypeError), match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
