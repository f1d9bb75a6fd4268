"""HyperLISTA's finish by conjugate gradients: where it ends, when it switches, what it survives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
EPS = float(jnp.finfo(DTYPE).eps)
M, N = 30, 60


@functools.cache
def drawn(snr_db=None):
    A = ji.problems.sparse(M, N, dtype=DTYPE).sample(jax.random.key(0)).operator
    family = ji.problems.sparse(M, N, num_nonzeros=3, snr_db=snr_db, operator=A, dtype=DTYPE)
    problem = family.sample(jax.random.key(1))
    return A, family, problem


def solver(finish, num_layers=30):
    A = drawn()[0]
    return ji.unfolded.hyperlista(A, num_layers, (0.12, 0.03, 0.3), finish=finish)


@jax.jit
def one_step(own, problem, state):
    return own.step(problem, state)[0]


def states(layers, problem, start=None):
    """Return the state before every layer, stacked."""
    own, found = layers.layer(0), []
    state = own.init(problem, jnp.zeros(N, DTYPE)) if start is None else start
    for _ in range(layers.num_layers):
        found.append(state)
        state = one_step(own, problem, state)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *found, state)


def conjugate_gradients(matrix, weights, y, x, num_steps):
    """Solve (WᵀA)_SS x_S = (Wᵀy)_S from x, by the textbook."""
    support = x != 0
    B, x = (weights.T @ matrix)[np.ix_(support, support)], x[support]
    r = (weights.T @ y)[support] - B @ x
    p = r
    for _ in range(num_steps):
        step = (r @ r) / (p @ B @ p)
        x, following = x + step * p, r - step * B @ p
        p = following + (following @ following) / (r @ r) * p
        r = following
    return x


@pytest.mark.parametrize("snr_db", [None, 25])
def test_the_switch_and_its_steps_are_conjugate_gradients(snr_db):
    A, _, problem = drawn(snr_db)
    found = states(solver(finish=2), problem)
    first = int(np.argmax(found.finishing))
    assert 3 <= first <= 28  # two steps are left
    supports = found.u != 0  # two layers with an unchanged support came before
    assert (supports[first - 2 : first + 1] == supports[first]).all()
    stays = found.finishing[first:]
    num_steps = 2 if stays.all() else min(2, int(np.argmin(stays)) - 1)
    matrix, y = np.asarray(A.matrix, float), np.asarray(problem.y, float)
    weights = np.asarray(ji.unfolded.analytic_weights(A.matrix, symmetric=True), float)
    expected = conjugate_gradients(matrix, weights, y, np.asarray(found.u[first], float), num_steps)
    got = found.u[first + num_steps]
    np.testing.assert_allclose(got[got != 0], expected, atol=300 * EPS)


def test_conjugate_gradients_end_after_as_many_steps_as_the_support_has_entries():
    _, family, _ = drawn()
    num_seen = 0
    for key in jax.random.split(jax.random.key(4), 8):
        problem = family.sample(key)
        found = states(solver(finish=1), problem)
        first = int(np.argmax(found.finishing))
        x = np.asarray(problem.truth.x)
        error = np.linalg.norm(found.u - x, axis=1) / np.linalg.norm(x)
        size = np.count_nonzero(found.u[first])
        complete = (found.u[first] != 0)[x != 0].all()
        stays = found.finishing[first : first + size].all()
        if not (complete and stays) or first + size >= len(error) or error[first] < 1e-3:
            continue
        num_seen += 1
        assert error[first + size] < 100 * EPS
    assert num_seen >= 2


def test_a_wrong_support_is_left_and_the_signal_still_found():
    A, _, problem = drawn()
    layers = solver(finish=1)
    start = layers.layer(0).init(problem, jnp.zeros(N, DTYPE))
    wrong = np.zeros(N)
    wrong[np.flatnonzero(np.asarray(problem.truth.x) == 0)[:3]] = 1.0
    u = jnp.asarray(wrong, DTYPE)
    direction, error = layers.layer(0).products(problem.y - A(u))
    start = start._replace(
        u=u,
        previous=u,
        finishing=jnp.asarray(True),
        residual=problem.y - A(u),
        direction=direction,
        error=error,
        search=jnp.where(u != 0, direction, 0),
    )
    found = states(layers, problem, start)
    assert not found.finishing[1:4].all()
    np.testing.assert_allclose(found.u[-1], problem.truth.x, atol=1e-4)


def test_what_is_carried_is_what_it_says():
    A, _, problem = drawn(25)
    found = states(solver(finish=1), problem)
    for index in np.flatnonzero(found.finishing):
        residual = np.asarray(problem.y - A(jnp.asarray(found.u[index])))
        np.testing.assert_allclose(found.residual[index], residual, atol=300 * EPS)
        direction, error = solver(1).layer(0).products(jnp.asarray(residual))
        np.testing.assert_allclose(found.direction[index], direction, atol=1000 * EPS)
        np.testing.assert_allclose(found.error[index], error, atol=1000 * EPS)


def test_each_sample_of_a_batch_switches_by_itself():
    _, family, _ = drawn()
    problems = family.batch(jax.random.split(jax.random.key(2), 6))
    layers = solver(finish=2, num_layers=14)
    together = jax.vmap(ji.unfold, in_axes=(None, family.axes))(layers, problems)
    for index in range(6):
        one = ji.Problem(problems.operator, problems.y[index])
        np.testing.assert_allclose(together[index], ji.unfold(layers, one), atol=1e4 * EPS)


def test_it_is_equivariant_and_survives_a_signal_of_zeros():
    _, _, problem = drawn()
    layers = solver(finish=2)
    expected = np.asarray(ji.unfold(layers, problem))
    got = ji.unfold(layers, problem._replace(y=2.0**12 * problem.y))
    np.testing.assert_array_equal(np.asarray(got) / 2.0**12, expected)
    zero = ji.unfold(layers, problem._replace(y=0 * problem.y))
    np.testing.assert_array_equal(zero, 0)


def test_a_finish_needs_symmetric_weights():
    A = drawn()[0]
    with pytest.raises(ValueError, match="finish must be 0 without symmetric weights"):
        ji.unfolded.hyperlista(A, 3, symmetric=False, finish=1)
    with pytest.raises(ValueError, match="finish"):
        ji.unfolded.hyperlista(A, 3, finish=-1)


def test_it_is_saved_and_tuned_like_any_network(tmp_path):
    _, family, problem = drawn()
    layers = solver(finish=2, num_layers=6)
    copy = ji.unfolded.load(ji.unfolded.save(tmp_path / "net", layers))
    assert copy.solver.num_stable == 2
    np.testing.assert_array_equal(ji.unfold(copy, problem), ji.unfold(layers, problem))
    sizes = {"num_problems": 16, "num_fresh": 32, "num_candidates": 8, "num_rounds": 2}
    tuned = ji.unfolded.tune(jax.random.key(3), layers, family, **sizes)
    assert tuned.layers.solver.num_stable == 2
    assert np.isfinite(tuned.values).all()
