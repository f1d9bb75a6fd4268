"""What the tangent kernels refuse, and how they say so."""

import jax
import jax.numpy as jnp
import pytest

import jaxinv as ji

KEY = jax.random.key(0)


def test_parameters_of_another_two_layer_network_are_refused():
    generator = ji.generators.two_layer(jnp.asarray([3.0, 1, 0, 0, 0]), 4)
    cases = (
        (generator.params * jnp.nan, "params must be finite"),
        (generator.params[:1], "params must hold shape"),
        (generator.params.T, "params must hold shape"),
        (generator.params + 0j, "params must be real"),
    )
    for params, words in cases:
        with pytest.raises(ValueError, match=words):
            ji.ntk.empirical_kernel(generator, params)


def test_parameters_of_deep_networks_are_looked_at():
    prior = ji.generators.deep_decoder((16, 16), 4, 1)
    broken = jax.tree.map(lambda leaf: leaf * jnp.nan, prior.params)
    for function in (ji.ntk.empirical_kernel, ji.ntk.jacobian, ji.ntk.linearize):
        with pytest.raises(ValueError, match="params must be finite"):
            function(prior, broken)
    with pytest.raises(ValueError, match="trajectory must have a leading axis of points"):
        ji.ntk.jacobian_singular_values(prior, prior.params)


def test_what_the_eye_can_see_is_refused():
    eye = jnp.eye(3)
    for call, words in (
        (lambda: ji.ntk.spectrum(jnp.zeros(4)), "zero"),
        (lambda: ji.ntk.spectrum(jnp.ones((2, 2, 2))), "shape"),
        (lambda: ji.ntk.linearized_descent(eye, jnp.ones(2), 0.1, 1), "residual"),
        (lambda: ji.ntk.linearized_descent(eye.at[0, 1].set(1), jnp.ones(3), 0.1, 1), "transpose"),
        (lambda: ji.ntk.linearized_descent(-eye, jnp.ones(3), 0.1, 1), "positive semidefinite"),
        (lambda: ji.ntk.linearized_descent(eye, jnp.ones(3), 0.0, 1), "step_size"),
        (lambda: ji.ntk.linearized_descent(eye, jnp.ones(3), 0.1, [-1]), "num_steps"),
        (lambda: ji.ntk.linearized_descent(eye, jnp.ones(3), 0.1, 1.5), "num_steps"),
        (lambda: ji.ntk.linearized_descent(eye, jnp.ones(3), 2.0, jnp.inf), "below 2"),
        (lambda: ji.ntk.linearized_denoising(jnp.ones(4), jnp.ones(3), 0.1, 1), "y must"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(TypeError, match="params"):
        ji.ntk.linearize(jnp.square)
    with pytest.raises(TypeError, match="operator"):
        ji.ntk.linearized_signal(eye, eye, jnp.ones(3), 0.1, 1)
