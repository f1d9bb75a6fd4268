"""R-hat and effective sample size against ``arviz``: its numbers, and itself where installed."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxinv.samplers import effective_sample_size, rhat


def autoregressive(rng, correlation, chains, draws):
    noise, x = rng.normal(size=(chains, draws)), np.zeros((chains, draws))
    for t in range(1, draws):
        x[:, t] = correlation * x[:, t - 1] + noise[:, t]
    return x


CHAINS = {
    "independent": lambda rng: rng.normal(size=(4, 200)),
    "correlated": lambda rng: autoregressive(rng, 0.8, 4, 301),
    "alternating": lambda rng: autoregressive(rng, -0.6, 3, 150),
    "apart": lambda rng: rng.normal(size=(4, 100)) + np.arange(4)[:, None],
    "wide": lambda rng: rng.standard_cauchy(size=(4, 100)) * np.array([1, 1, 1, 5.0])[:, None],
    "ties": lambda rng: np.round(rng.normal(size=(4, 100))),
}
# arviz 0.23.4: rhat(x, method="rank"), ess(x, method="bulk")
ARVIZ = {
    "independent": (1.001352422824363, 763.8583735943981),
    "correlated": (1.0313992985134704, 131.9249931880382),
    "alternating": (1.001940668975166, 1193.9456311889045),
    "apart": (1.634231761338929, 7.079249882502158),
    "wide": (1.1371065922363617, 331.3705783306995),
    "ties": (1.0041686737735873, 394.3316377049585),
}


def chains(name):
    return CHAINS[name](np.random.default_rng(7))


@pytest.mark.parametrize("name", ["independent", "apart"])
def test_the_numbers_are_those_of_arviz(name):
    draws = chains(name)
    # the folded draws around the median tie in one precision and not in another
    np.testing.assert_allclose(rhat(draws), ARVIZ[name][0], atol=2e-4)
    np.testing.assert_allclose(effective_sample_size(draws), ARVIZ[name][1], rtol=1e-5)


@pytest.mark.parametrize("name", CHAINS)
def test_the_numbers_of_arviz_are_those_of_today(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its own successor
        arviz = pytest.importorskip("arviz", reason="heavy: its numbers stand in this file")
    draws = chains(name)
    found = (arviz.rhat(draws, method="rank"), arviz.ess(draws, method="bulk"))
    np.testing.assert_allclose(found, ARVIZ[name], rtol=1e-9)


def test_numbers_do_not_depend_on_the_scale_of_the_draws():
    draws = jnp.asarray(chains("correlated"))
    for factor in (1e-20, 1e20):
        np.testing.assert_array_equal(rhat(factor * draws), rhat(draws))
        np.testing.assert_array_equal(
            effective_sample_size(factor * draws), effective_sample_size(draws)
        )


def test_draws_that_say_nothing_say_so():
    assert float(rhat(np.ones((3, 20)))) == np.inf
    assert float(effective_sample_size(np.ones((3, 20)))) == 0
    stuck = np.tile(np.arange(3.0)[:, None], (1, 20))  # each chain at a place of its own
    assert float(rhat(stuck)) > 1e6
    broken = np.where(np.arange(20) == 3, np.nan, chains("independent")[:, :20])
    assert np.isnan(rhat(broken))
    assert np.isnan(effective_sample_size(broken))
    coin = np.random.default_rng(1).choice([-1.0, 1.0], (4, 100))
    assert float(rhat(coin)) < 1.05


@pytest.mark.parametrize("measure", [rhat, effective_sample_size])
def test_shapes_alone_do(measure):
    assert jax.eval_shape(measure, jnp.ones((2, 9))).shape == ()
