"""What ``untrained.fit`` refuses, and how it says so."""

import jax
import jax.numpy as jnp
import pytest
from untrained_toys import DTYPE, KEY, decoder, denoising, line

import jaxinv as ji
from jaxinv._core.memory import require_memory

BAD = [
    ({"num_steps": 0}, "num_steps"),
    ({"stop": "held_out"}, "stop must be 'auto'.* untrained.held_out()"),
    ({"axes": ji.Problem(None, 0)}, "key must be a vector of keys, where axes is given"),
    ({"regularizer": lambda params: params["w"]}, "regularizer must accept .* exception"),
    ({"average": 1.0}, "average must be below 1"),
    ({"spike": 0.5}, "spike"),
    ({"input_noise": -1.0}, "input_noise"),
    ({"tol": -1.0}, "tol"),
    ({"num_steps": 100, "stop": ji.untrained.windowed_variance(100, 50)}, "at least 150"),
    ({"look_every": 0}, "look_every"),
]


@pytest.mark.parametrize(("options", "words"), BAD)
def test_bad_values_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ji.untrained.fit(KEY, decoder(), denoising(), **options)


def test_bad_problems_and_priors_are_refused():
    fit, problem = ji.untrained.fit, denoising()
    with pytest.raises(TypeError, match="prior must be an untrained prior"):
        fit(KEY, ji.generators.relu(KEY, (2, 4)), problem)
    with pytest.raises(ValueError, match=r"prior must make signals of shape \(8,\)"):
        fit(KEY, decoder(), ji.Problem(ji.operators.identity((8,)), jnp.zeros(8)))
    with pytest.raises(ValueError, match=r"problem\.y"):
        fit(KEY, decoder(), problem._replace(y=jnp.zeros((8, 8))))
    with pytest.raises(ValueError, match=r"problem\.y must be finite"):
        fit(KEY, decoder(), problem._replace(y=problem.y.at[0].set(jnp.nan)))
    with pytest.raises(ValueError, match=r"problem\.y must have an entry other than 0"):
        fit(KEY, decoder(), problem._replace(y=0 * problem.y))
    with pytest.raises(ValueError, match="compute_dtype must be a real floating type"):
        fit(KEY, decoder(), problem, compute_dtype=jnp.complex64)
    with pytest.raises(ValueError, match=r"problem\.y must be real"):
        fit(KEY, decoder(), problem._replace(y=problem.y + 0j))
    with pytest.raises(TypeError, match="stop must be"):
        fit(KEY, decoder(), problem, stop=0.5)
    with pytest.raises(TypeError, match="must be an optax transformation"):
        fit(KEY, decoder(), problem, optimizer=0.1)
    with pytest.raises(TypeError, match="penalty must be a function"):
        fit(KEY, decoder(), problem, penalty=3)
    with pytest.raises((TypeError, ValueError), match="key"):
        fit(0, decoder(), problem)
    with pytest.raises(ValueError, match="penalty must return a real scalar"):
        fit(KEY, decoder(), problem, penalty=lambda x: 1j * jnp.sum(x))
    with pytest.raises(ValueError, match=r"must have shape \(coils, h, w\).*Leave first_axis out"):
        ji.untrained.total_variation(1.0, first_axis=1)(jnp.ones((3, 3)))
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), decoder().params)
    with pytest.raises(ValueError, match=r"params must be of float32 or wider.*compute_dtype="):
        fit(KEY, decoder(), problem, params=half)
    matrix = ji.operators.gaussian(KEY, 10, 12, dtype=DTYPE)
    with pytest.raises(ValueError, match="operator must be the identity, as stop=sure needs"):
        fit(KEY, line(), ji.Problem(matrix, jnp.ones(10, DTYPE)), stop=ji.untrained.sure(0.1))


def test_more_parameters_than_memory_are_refused_with_their_number():
    keys = jax.random.split(KEY, 1)
    with pytest.raises(ValueError, match=r"100000000000000 parameters.* GiB"):
        require_memory("fit", 10**14, 4, num_fits=len(keys))
    with pytest.raises(ValueError, match=r"4000\d+ parameters.* GiB"):
        ji.generators.deep_decoder((16, 16), 10**7, 3)


def test_axes_are_checked_against_keys_and_problem():
    keys = jax.random.split(KEY, 2)
    problem = denoising()
    several = problem._replace(y=jnp.stack([problem.y] * 3))
    cases = [
        (several, ji.Problem(None, 0), r"problem\.y must have a first axis of 2, one for each key"),
        (several, 0, "axes must be a Problem of 0 and None, got 0"),
        (several, ji.Problem(None, 1), "axes must be a Problem of 0 and None"),
        (several, None, r"problem\.y must have shape .* give keys, and axes"),
    ]
    for given, axes, words in cases:
        with pytest.raises(ValueError, match=words):
            ji.untrained.fit(keys, decoder(), given, axes=axes)
