"""Calibration: exact draws pass; narrow, wide, shifted, stuck and broken ones do not."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

import jaxinv as ji
from jaxinv._core import pytree
from jaxinv.samplers import Sampler, SamplerInfo
from jaxinv.sweeps._ranks import judged

KEY = jax.random.key(0)
NOISE = 0.5
G = ji.generators.from_function(jnp.multiply, jnp.array([1.0, 2.0]), in_shape=2)
FAMILY = ji.problems.generative(generator=G, noise_std=NOISE)
SIZES: dict[str, Any] = {
    "key": KEY, "num_trials": 400, "num_steps": 100, "num_draws": 99, "num_bins": 20,
    "block_size": 100,
}  # fmt: skip


class State(NamedTuple):
    u: Any
    key: Any


@pytree
class Closed(Sampler):
    """Draws of the posterior of ``FAMILY`` by its closed form, with an error of choice."""

    scale: Any = 1.0
    shift: Any = 0.0
    moves: Any = 1.0
    bad: Any = np.inf

    def log_density(self, problem, u):
        return problem.log_density(u, NOISE)

    def init(self, problem, u0, key):
        return State(u0, key)

    def step(self, problem, state):
        key, draw_key = jax.random.split(state.key)
        precision = 1 + jnp.square(problem.prior.params) / NOISE**2
        mean = problem.prior.params * problem.y / NOISE**2 / precision
        noise = jax.random.normal(draw_key, (2,))
        u = mean + (self.shift + self.scale * noise) / jnp.sqrt(precision)
        u = jnp.where(self.moves > 0, u, state.u + 1e-3 * noise)
        u = jnp.where(problem.y[0] < self.bad, u, jnp.nan)
        return State(u, key), SamplerInfo(jnp.zeros(()), jnp.ones(()))


def run(**changes):
    return ji.sweeps.calibration(FAMILY, Closed(**changes), **SIZES)


def test_draws_of_the_posterior_are_calibrated():
    found = run()
    assert found.holds
    assert found.verdict.startswith("calibrated as far as 400 problems tell")
    assert found.names == ("u[0]", "u[1]", "loss")
    assert found.ranks.shape == (400, 3)
    assert found.ranks.min() >= 0
    assert found.ranks.max() <= 99
    assert np.all(found.low[:, 2] < 0.9)
    assert np.all(found.high[:, 2] > 0.9)
    assert found.statuses["SAMPLED"] >= 0.99
    assert found.worst_rhat == found.rhat.max() < 1.06


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scale": 0.7}, "draws too narrow in u"),
        ({"scale": 1.4}, "draws too wide in u"),
        ({"shift": 0.5}, "draws too high in u"),
        ({"shift": -0.5}, "draws too low in u"),
    ],
)
def test_wrong_draws_are_refused_by_name(changes, words):
    found = run(**changes)
    assert not found.holds
    assert words in found.verdict
    assert found.statuses["SAMPLED"] >= 0.99  # nothing that the chains say of themselves


def test_chains_that_do_not_mix_have_no_verdict():
    found = run(moves=0.0)
    assert not found.holds
    assert found.verdict.startswith("no verdict: the chains did not mix in 100 %")
    assert found.statuses == {"UNMIXED": 1.0}
    assert found.worst_rhat > 2


def test_broken_chains_count_and_are_not_left_out():
    found = run(bad=1.5)  # for measurements above it there is no number
    assert not found.holds
    assert 0.05 < found.statuses["NONFINITE"] < 0.15
    assert "NONFINITE" in found.verdict


def test_a_langevin_chain_with_the_noise_of_the_family_passes_and_another_does_not():
    sizes: dict[str, Any] = SIZES | {"num_steps": 1100, "thin": 10, "num_trials": 200}
    right, wrong = (
        ji.sweeps.calibration(FAMILY, ji.samplers.langevin(0.05, std), burn_in=100, **sizes)
        for std in (NOISE, 0.7 * NOISE)
    )
    assert right.holds
    assert not wrong.holds
    assert "not calibrated" in wrong.verdict


def test_chains_begin_where_a_function_without_the_truth_puts_them():
    def start(problem, u0):
        assert problem.truth is None
        return jnp.full(2, 7.0) + 0 * u0

    found = ji.sweeps.calibration(FAMILY, Closed(moves=0.0), start=start, **SIZES)
    assert np.all(found.ranks[:, :2] == 0)  # all draws are near 7


def test_quantities_of_ones_own_keep_their_order_and_ties_are_drawn():
    def still(problem, u):
        assert problem.truth is None
        return 0.0

    named = {
        "z": lambda problem, u: u[1],
        "still": still,
        "a": lambda problem, u: jnp.ones(40) * u[0],
    }
    found = ji.sweeps.calibration(FAMILY, Closed(), quantities=named, **SIZES)
    assert found.names[:3] == ("z", "still", "a[0]")
    assert len(found.names) == 2 + 16
    assert found.p_values[1] > 1e-3  # equal values: any place among them is as likely
    plain = run()
    np.testing.assert_array_equal(found.ranks[:, 0], plain.ranks[:, 1])
    np.testing.assert_array_equal(found.ranks[:, 5], plain.ranks[:, 0])


def test_ranks_are_summarized_as_scipy_and_a_count_do():
    ranks = np.random.default_rng(0).integers(0, 100, (1000, 2)) ** 2 // 99
    chains = (np.ones(1000), np.full(1000, 400.0), np.full(1000, int(ji.Status.SAMPLED)))
    found = judged(("a", "b"), ranks, 99, 10, (0.5, 0.9, 0.95), chains)
    counts = [np.sum(ranks[:, 0] // 10 == b) for b in range(10)]
    np.testing.assert_array_equal(found.histogram[0], counts)
    assert found.p_values[0] == pytest.approx(chisquare(counts).pvalue, rel=1e-6)
    np.testing.assert_allclose(found.levels, (0.5, 0.9, 0.96))  # what 100 ranks can say
    inside = np.mean((ranks >= 5) & (ranks <= 94), 0)
    np.testing.assert_allclose(found.coverage[:, 1], inside)
    uniform = np.tile(np.arange(100), 10)[:, None]
    assert judged(("a",), uniform, 99, 10, (0.5, 0.9), chains).coverage.tolist() == [[0.5, 0.9]]


class NoTruth(ji.problems.Family):
    def sample(self, key):
        return FAMILY.sample(key)._replace(truth=None)


REFUSED = [
    ({"family": ji.problems.generative(generator=G)}, "family must have noise_std > 0"),
    ({"family": ji.problems.generative(generator=G, noise_norm=1.0)}, "of a noise_std"),
    (
        {"family": ji.problems.generative((2, 9), 4, noise_std=0.1)},
        r"draw its latent from the prior N\(0, I\)",
    ),
    ({"family": NoTruth()}, "draw problems whose truth is known, got truth None"),
    ({"family": FAMILY.sample(KEY)}, "family must be a family of problems"),
    ({"sampler": ji.solvers.levenberg_marquardt()}, "sampler must be a sampler"),
    ({"num_trials": 99}, "num_trials must be at least 100, 5 for each bin"),
    ({"num_steps": 98}, "num_steps must leave 396 draws of all chains"),
    ({"num_draws": 9}, "num_draws must be a multiple of num_bins = 20, less 1"),
    ({"num_draws": 100}, "num_draws must be a multiple"),
    ({"quantities": "z"}, "quantities must be one of u, x, loss"),
    ({"quantities": {"f": 3}}, r"quantities\['f'\] must be a function"),
    ({"quantities": {"f": lambda p, u: 1j * u}}, "must return real numbers"),
    ({"start": 3}, r"start must be a function start\(problem, u0\)"),
    ({"key": 3}, "key must be a JAX PRNG key"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_bad_input_is_refused_in_one_line(changes, words):
    given = {"family": FAMILY, "sampler": Closed(), **SIZES, **changes}
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        ji.sweeps.calibration(**given)
    assert len(str(caught.value).splitlines()) == 1


def test_its_figure_is_drawn(tmp_path):
    assert ji.viz.plot_calibration(tmp_path / "ranks.png", run(), title="closed form")


def test_a_figure_of_another_thing_is_refused(tmp_path):
    bad: Any = None
    with pytest.raises(TypeError, match="calibration must be a Calibration"):
        ji.viz.plot_calibration(tmp_path / "ranks.png", bad)
