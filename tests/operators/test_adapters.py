"""Operators of SciPy, PyLops, JAX and lineax beside their own products."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg
from jax.experimental import sparse

import jaxinv as ji

O = ji.operators
KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)


def some(m, n):
    found = scipy.sparse.random_array((m, n), density=0.3, rng=RANDOM)
    return found.astype(np.float32)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "bcoo", "bcsr"])
def test_sparse_matrices_of_every_format(kind):
    matrix = some(5, 12)
    given = matrix.asformat(kind) if kind in ("csr", "csc", "coo", "lil") else None
    if given is None:
        given = getattr(sparse, kind.upper()).fromdense(matrix.toarray())
    A = O.from_sparse(given, in_shape=(3, 4), out_shape=(5, 1))
    x = RANDOM.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(A(x)[:, 0], matrix @ x.ravel(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(A.todense(), matrix.toarray(), rtol=1e-6)
    assert O.dot_test(A, KEY) < 1e-6


def test_sparse_entries_add_up_and_can_be_learned():
    A = O.from_sparse(scipy.sparse.coo_array(([1.0, 2.0, 4], ([0, 0, 1], [1, 1, 0])), shape=(2, 2)))
    np.testing.assert_array_equal(A.todense(), [[0, 3], [4, 0]])
    padded = sparse.BCOO.fromdense(np.diag([1.0, 2.0]), nse=3)  # one place more than entries
    np.testing.assert_array_equal(O.from_sparse(padded).todense(), np.diag([1.0, 2.0]))
    x = jnp.array([1.0, 2.0])
    slope = jax.grad(lambda A: jnp.sum(A(x)), allow_int=True)(A)
    np.testing.assert_array_equal(slope.entries, [2, 1])


def test_sparse_refuses_by_name():
    bad = some(3, 4)
    bad.data[0] = np.nan
    with pytest.raises(ValueError, match="from_sparse: matrix must be finite, got 1 NaN"):
        O.from_sparse(bad)
    with pytest.raises(TypeError, match=r"from_sparse: matrix .*operators\.dense"):
        O.from_sparse(np.eye(3))
    with pytest.raises(ValueError, match="in_shape must have 4 entries"):
        O.from_sparse(some(3, 4), in_shape=(3, 3))
    with pytest.raises(TypeError, match=r"operators\.from_sparse"):
        O.dense(some(3, 4))
    with pytest.raises(TypeError, match=r"operators\.from_linear_operator"):
        O.dense(scipy.sparse.linalg.aslinearoperator(np.eye(3)))


def test_host_operators_solve_batch_and_differentiate():
    matrix = RANDOM.normal(size=(6, 4)).astype(np.float32)
    A, B = O.from_linear_operator(scipy.sparse.linalg.aslinearoperator(matrix)), O.dense(matrix)
    assert "host callback" in repr(A)
    x, y = (RANDOM.normal(size=(3, n)).astype(np.float32) for n in (4, 6))
    np.testing.assert_allclose(jax.vmap(A)(x), jax.vmap(B)(x), rtol=1e-5, atol=1e-6)

    def loss(op, x):
        return jnp.sum((op(x) - y[0]) ** 2)

    slopes = [jax.jit(jax.grad(loss, argnums=1))(op, x[0]) for op in (A, B)]
    np.testing.assert_allclose(*slopes, rtol=1e-4)
    found = [
        ji.solve(ji.solvers.fista(penalty=0.1), ji.Problem(op, y[0]), x[0] * 0).x for op in (A, B)
    ]
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-4)


def test_host_operators_may_be_complex_or_make_real_signals_complex():
    wave = scipy.sparse.linalg.aslinearoperator(RANDOM.normal(size=(3, 4)) * (1 + 2j))
    spectrum = scipy.sparse.linalg.LinearOperator(
        (4, 6),
        matvec=lambda x: np.fft.rfft(x.ravel()),
        rmatvec=lambda y: 6 * np.fft.irfft(y.ravel() * [1, 0.5, 0.5, 1], 6),
        dtype=np.float64,
    )
    for given in (wave, spectrum):
        A = O.from_linear_operator(given)
        assert jnp.iscomplexobj(A(np.ones(A.in_shape, np.float32)))
        assert O.dot_test(A, KEY) < 1e-5
    assert O.from_linear_operator(spectrum).adjoint(np.ones(4) * 1j).dtype == jnp.result_type(float)


def test_host_operators_of_pylops_keep_their_shapes():
    pylops = pytest.importorskip("pylops")
    gradient = pylops.Gradient((4, 5), kind="forward", dtype="float32")
    A = O.from_linear_operator(gradient)
    x = RANDOM.normal(size=(4, 5)).astype(np.float32)
    assert (A.in_shape, A.out_shape) == ((4, 5), (2, 4, 5))
    np.testing.assert_allclose(A(x), O.finite_difference((4, 5))(x), atol=1e-6)
    assert O.dot_test(A, KEY) < 1e-5


def test_host_operators_refuse_by_name():
    linear = scipy.sparse.linalg.LinearOperator
    with pytest.raises(TypeError, match="from_linear_operator: operator must be a LinearOperator"):
        O.from_linear_operator(np.eye(3))
    with pytest.raises(ValueError, match=r"operator\.rmatvec must accept 2 numbers"):
        O.from_linear_operator(linear((2, 2), matvec=np.flip, dtype=float))
    with pytest.raises(ValueError, match=r"operator\.matvec must be linear"):
        O.from_linear_operator(linear((2, 2), matvec=lambda x: x + 1, rmatvec=np.flip, dtype=float))


def test_a_trial_with_a_host_operator_has_no_store_without_a_version(tmp_path):
    A = O.from_linear_operator(scipy.sparse.linalg.aslinearoperator(np.eye(3, dtype=np.float32)))

    def trial(key):
        return {"size": jnp.sum(A(jax.random.normal(key, (3,))) ** 2)}

    with pytest.raises(ValueError, match="callback"):
        ji.sweep(trial, {}, key=KEY, num_trials=2, store=tmp_path / "store.db")


def test_lineax_operators_keep_their_arrays():
    lineax = pytest.importorskip("lineax")
    matrix = RANDOM.normal(size=(3, 4)).astype(np.float32)
    held = lineax.MatrixLinearOperator(jnp.asarray(matrix))
    A = O.from_lineax(held)
    assert [leaf.shape for leaf in jax.tree.leaves(A)] == [(3, 4)]
    np.testing.assert_allclose(A.todense(), matrix, rtol=1e-6)
    np.testing.assert_allclose(A.H.todense(), matrix.T, rtol=1e-6)
    diagonal = O.from_lineax(lineax.DiagonalLinearOperator(jnp.arange(4.0)) * 2.0)
    np.testing.assert_allclose(jax.jit(lambda A, x: A(x))(diagonal, np.ones(4)), 2 * np.arange(4.0))
    with pytest.raises(TypeError, match="from_lineax: operator must be an operator of lineax"):
        O.from_lineax(matrix)
