"""What ``untrained.fit`` refuses, and how it says so."""

import jax
import jax.numpy as jnp
import pytest
from untrained_toys import KEY, decoder, denoising

import jaxinv as ji
from jaxinv._core.memory import require_memory


def test_a_first_axis_of_a_gray_image_is_refused():
    with pytest.raises(ValueError, match=r"must have shape \(coils, h, w\).*Leave first_axis out"):
        ji.untrained.total_variation(1.0, first_axis=1)(jnp.ones((3, 3)))


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
