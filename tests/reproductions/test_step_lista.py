"""The reproduction of trained step sizes, at toy size; at full size in test_reproductions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.reproductions import REPRODUCTIONS, Settings, step_lista, write
from jaxinv.reproductions import _step_lista as parts
from jaxinv.reproductions.claims import REFUTED, REPRODUCED

STUDY = parts.Study((8, 16), (2,), num_problems=40, steps=4, batch_size=8, num_descent=30)


@pytest.fixture(scope="module")
def family():
    return parts.draw_family(jax.random.key(0), STUDY.shape)


def test_problems_are_scaled_to_a_largest_penalty_of_one(family):
    problems = family.batch(jax.random.split(jax.random.key(2), 5))
    pulls = np.abs(np.asarray(problems.y) @ np.asarray(family.operator.matrix))
    np.testing.assert_allclose(pulls.max(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(family.operator.matrix, axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("name", [parts.STEP_LISTA, parts.LISTA])
def test_untrained_networks_are_ista(family, name):
    y = np.asarray(family.sample(jax.random.key(3)).y, float)
    D = np.asarray(family.operator.matrix, float)
    z, step = np.zeros(16), 1 / np.linalg.norm(D, 2) ** 2
    for _ in range(3):
        v = z - step * D.T @ (D @ z - y)
        z = np.sign(v) * np.maximum(np.abs(v) - 0.3 * step, 0)
    layers = parts._network(name, family, 3, 0.3)
    found = ji.unfold(layers, family.sample(jax.random.key(3)))
    np.testing.assert_allclose(found, z, atol=1e-6)


def test_values_are_those_of_the_library(family):
    problems = family.batch(jax.random.split(jax.random.key(2), 4))
    u = 0.1 * jax.random.normal(jax.random.key(4), (4, 16), jnp.float32)
    values, gaps = parts._values(u, problems, 0.2)
    for each, y, value, gap in zip(u, problems.y, values, gaps, strict=True):
        problem = ji.Problem(family.operator, y)
        loss = float(problem.loss(each) + 0.2 * jnp.sum(jnp.abs(each)))
        np.testing.assert_allclose(value, loss, rtol=1e-5)
        expected = ji.solvers.duality_gap(problem, each, 0.2).absolute
        np.testing.assert_allclose(gap, expected, rtol=1e-4)


def test_descent_never_raises_the_objective(family):
    problems = family.batch(jax.random.split(jax.random.key(5), 20))
    layers = parts._network(parts.STEP_LISTA, family, 3, 0.2)

    def value(layers):
        return parts._values(parts._outputs(layers, problems), problems, 0.2)[0].mean()

    few, more = (parts._descend(layers, problems, jnp.float32(0.2), n) for n in (5, 40))
    assert value(more) < value(few) < value(layers)


@pytest.mark.slow
def test_small_run(tmp_path):
    pytest.importorskip("matplotlib")
    reports = []
    outcome = step_lista._run(STUDY, Settings(jax.random.key(1), 30, reports.append))
    assert reports[-1].num_done == reports[-1].num_trials
    gaps = [claim.measured for claim in outcome.claims if "gap" in claim.what]
    assert max(gaps) < 1e-6  # in double precision, from float32 solutions
    assert len(outcome.claims) == 3 + 2 * (1 + 1 + 2)
    ratios = [claim for claim in outcome.claims if "over ISTA" in claim.what]
    assert all(claim.low < claim.measured < claim.high for claim in ratios)
    rows = [row for row in outcome.rows if row["excess"] is not None]
    assert {row["network"] for row in rows} == {*parts.TRAINED, "ISTA", "FISTA"}
    assert all(row["excess"] > 0 for row in rows)
    # the first two steps of FISTA have no momentum
    by_name = {row["network"]: row["excess"] for row in rows if row["penalty"] == 0.1}
    np.testing.assert_allclose(by_name["ISTA"], by_name["FISTA"], rtol=1e-4)
    assert sum(row["step"] is not None for row in outcome.rows) == 2 * 2 + parts.STEP_LAYERS
    assert set(write(tmp_path, REPRODUCTIONS["step-lista"], outcome, 0.0)) == {"json", "csv", "png"}


def test_trained_steps_are_held_against_other_networks():
    excess = {
        parts.STEP_LISTA: {2: np.linspace(1, 2, 50)},
        parts.LISTA: {2: np.linspace(2, 3, 50)},
    }
    case = parts.Case(excess, 1.0, 0.0, {})
    assert step_lista._below(0.8, case, parts.LISTA, 2).verdict == REPRODUCED
    assert step_lista._below(0.1, case, parts.LISTA, 2, holds=False).verdict == REFUTED
