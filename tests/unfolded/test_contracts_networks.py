"""What every network promises; a row in ``fuzz_cases_theory.UNFOLDED`` is enough."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import floats
from fuzz_cases_theory import UNFOLDED
from fuzz_values import unit_matrix

import jaxinv as ji

ROWS = [row for row in UNFOLDED if "num_layers" in row.arguments()]
EPS = float(jnp.finfo(floats()).eps)
M, N = 20, 40  # in fewer entries the first thresholds of some are above all that is seen

pytestmark = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@functools.cache
def drawn():
    """An operator, a family that shares it, and two problems."""
    A = ji.operators.dense(unit_matrix(M, N))
    family = ji.problems.sparse(M, N, num_nonzeros=3, operator=A, dtype=floats())
    return A, family, family.batch(jax.random.split(jax.random.key(0), 2))


@functools.cache
def made(name):
    row = next(row for row in ROWS if row.name == name)
    return row.call(**(row.arguments() | {"operator": drawn()[0], "num_layers": 4}))


def test_a_batch_is_a_loop_and_the_last_layer_is_the_output(row):
    layers, (A, family, problems) = made(row.name), drawn()
    batch = jax.vmap(ji.unfold, in_axes=(None, family.axes))(layers, problems)
    for index in range(2):
        every = ji.unfold(layers, ji.Problem(A, problems.y[index]), all_layers=True)
        assert every.shape == (4, N)
        assert every.dtype == floats()
        size = float(jnp.max(jnp.abs(every[-1])))
        np.testing.assert_allclose(batch[index], every[-1], atol=1e3 * EPS * size)
    assert np.any(batch != 0)


def test_it_has_finite_gradients_also_where_nothing_was_measured(row):
    trainable, frozen = made(row.name).partition()
    A, _, problems = drawn()

    @jax.jit
    @jax.grad
    def gradient(trainable, y):
        u = ji.unfold(frozen.merge(trainable), ji.Problem(A, y))
        return jnp.sum(jnp.square(u - 1))

    found = gradient(trainable, problems.y[0])
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(found))
    for leaf in jax.tree.leaves((found, gradient(trainable, jnp.zeros_like(problems.y[0])))):
        assert np.all(np.isfinite(leaf))


def test_a_file_keeps_it(row, tmp_path):
    layers = made(row.name)
    path = ji.unfolded.save(tmp_path / "network.npz", layers)
    copy = ji.unfolded.load(path, operator=drawn()[0])
    assert jax.tree.structure(copy) == jax.tree.structure(layers)
    jax.tree.map(np.testing.assert_array_equal, copy, layers)


def test_it_is_for_its_operator_and_names_what_is_wrong(row):
    A, _, problems = drawn()
    other = ji.Problem(ji.operators.dense(A.matrix[:, ::-1]), problems.y[0])
    with pytest.raises(ValueError, match="must be made for the problem's operator"):
        ji.unfold(made(row.name), other)
    for name, value in (("num_layers", 0), ("operator", np.full((M, N), np.nan))):
        with pytest.raises(ValueError, match=f"^{row.call.__name__}: {name} must") as caught:
            row.call(**(row.arguments() | {name: value}))
        assert "\n" not in str(caught.value)
