"""Two modes of unequal weight, known from a grid: chains alone, annealed and tempered ones."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import normal

import jaxinv as ji

KEY = jax.random.key(0)
DTYPE = jnp.result_type(float)
NOISE_STD = 0.1
langevin = ji.samplers.langevin


def problem():
    """|u − 0.4| = 1 up to noise: modes at 1.4 and −0.6, which the prior N(0, 1) tells apart."""
    prior = ji.generators.from_function(jnp.add, jnp.asarray(-0.4, DTYPE), in_shape=1)
    operator = ji.operators.magnitude(ji.operators.identity(1))
    return ji.Problem(operator, jnp.ones(1, DTYPE), prior)


@functools.cache
def weight_above():
    """The share of the posterior above 0.4, by a grid."""
    u = np.linspace(-4, 4, 160_001)
    density = np.exp(-0.5 * ((np.abs(u - 0.4) - 1) / NOISE_STD) ** 2 - 0.5 * u**2)
    return density[u > 0.4].sum() / density.sum()


def run(sampler, starts, **options):
    starts = jnp.asarray(starts, DTYPE)[:, None]
    return ji.sample(sampler, problem(), starts, key=KEY, **options)


def above(draws):
    return float(jnp.mean(draws.u > 0.4))


def statuses(draws):
    return {ji.Status(code) for code in np.asarray(draws.status).tolist()}


BOTH = np.tile([1.4, -0.6], 4)


def test_a_chain_alone_stays_where_it_began_and_r_hat_shows_it():
    assert 0.2 < weight_above() < 0.4
    draws = run(langevin(0.01, NOISE_STD), BOTH, num_steps=2000)
    assert above(draws) == 0.5  # of the starts, not of the posterior
    assert float(draws.rhat[0]) > 1.5
    assert statuses(draws) == {ji.Status.UNMIXED}
    with pytest.raises(ValueError, match=r"summary: draws must be .* got UNMIXED for 8 of 8"):
        ji.samplers.summary(draws)


@pytest.mark.parametrize(
    "sampler",
    [langevin(0.01, NOISE_STD), ji.samplers.hmc(0.07, NOISE_STD, 3)],
    ids=["langevin", "hmc"],
)
def test_replicas_visit_both_modes_in_their_shares(sampler):
    tempered = ji.samplers.tempered(sampler, np.geomspace(1, 100, 5))
    draws = run(tempered, BOTH, num_steps=3000, burn_in=200)
    assert statuses(draws) == {ji.Status.SAMPLED}
    expected, size = weight_above(), float(draws.ess[0])
    assert size > 1000
    assert abs(above(draws) - expected) < 4 * np.sqrt(expected * (1 - expected) / size)
    swapped = np.asarray(draws.info.events["swapped"])
    assert swapped.shape == (8, 2800, 4)
    assert np.all(swapped.mean((0, 1)) > 0.2)
    assert float(draws.accepted.min()) > 0.4
    inside = np.asarray(draws.u, float)
    spread = np.std(inside[inside > 0.4])
    assert abs(spread / np.sqrt(1 / (1 + 1 / NOISE_STD**2)) - 1) < 0.1  # of one mode, a Gaussian


def test_annealed_chains_leave_their_start_and_draws_before_the_last_level_say_so():
    sampler = ji.samplers.annealed_langevin(
        0.01, NOISE_STD, first_noise_std=2.0, num_levels=8, steps_per_level=50
    )
    draws = run(sampler, np.full(256, 1.4), num_steps=420, burn_in=350)
    assert abs(above(draws) - weight_above()) < 0.1  # all began above, and levels fall in time
    assert statuses(draws) == {ji.Status.UNMIXED}  # each stays in its mode from now on
    assert np.all(np.asarray(draws.info.events["annealing"]) == 0)
    alone = run(langevin(0.01, NOISE_STD), np.full(256, 1.4), num_steps=420, burn_in=350)
    assert above(alone) == 1
    early = run(sampler, np.full(256, 1.4), num_steps=420, burn_in=349)
    assert statuses(early) == {ji.Status.ANNEALING}
    with pytest.raises(RuntimeError, match="ANNEALING"):
        ji.raise_if_failed(early)


def test_a_flow_is_sampled_in_the_signal_as_importance_weights_say():
    """The weights need the map of the flow only, the chains its density by the inverse."""
    flow = ji.generators.flow(KEY, 2, num_layers=3, hidden=(6,), dtype=DTYPE)
    leaves, structure = jax.tree.flatten(flow.params)
    keys = jax.random.split(KEY, len(leaves))
    bent = [leaf + 0.4 * normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)]
    flow = ji.generators.Flow(
        jax.tree.unflatten(structure, bent), flow.masks, flow.signal_shape, flow.num_layers,
        flow.hidden, flow.unit, flow.noise_std, flow.dtype,
    )  # fmt: skip
    A = ji.operators.dense(jnp.asarray([[1.0, -0.5]], DTYPE))
    posed = ji.Problem(A, jnp.asarray([0.7], DTYPE), flow.on_signals())
    x = np.asarray(jax.vmap(flow)(normal(jax.random.key(1), (200_000, 2))), float)
    weights = np.exp(-0.5 * ((x @ [1.0, -0.5] - 0.7) / 0.4) ** 2)
    weights /= weights.sum()
    mean = weights @ x
    cov = (x - mean).T @ ((x - mean) * weights[:, None])
    sampler = ji.samplers.annealed_langevin(
        0.1, 0.4, first_noise_std=2.0, num_levels=3, steps_per_level=30, largest_step=0.2
    )
    starts = jax.vmap(flow)(normal(jax.random.key(2), (8, 2)))
    draws = ji.sample(sampler, posed, starts, key=KEY, num_steps=12_090, burn_in=90, thin=4)
    found = np.asarray(draws.u, float).reshape(-1, 2)
    assert np.all(np.abs(found.mean(0) - mean) < 0.05 * np.sqrt(np.diag(cov)))
    assert np.linalg.norm(np.cov(found.T) - cov) < 0.06 * np.linalg.norm(cov)
    assert statuses(draws) == {ji.Status.SAMPLED}
