"""The closed forms of the analytic weights against projected gradients and brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.unfolded import analytic_weights, convolutional_analytic_weights

X64 = bool(jax.config.read("jax_enable_x64"))
EPS = float(jnp.finfo(jnp.result_type(float)).eps)


def gaussian(m, n, seed=0, unit=True, complex_=False):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((m, n)) / np.sqrt(m)
    if complex_:
        matrix = matrix + 1j * rng.standard_normal((m, n)) / np.sqrt(m)
    return matrix / np.linalg.norm(matrix, axis=0) if unit else matrix


def interference(W, A):
    """Return ‖WᵀA‖² off the diagonal, and the largest entry there."""
    products = np.asarray(W).conj().T @ A
    off = products - np.diag(np.diag(products))
    return float(np.sum(np.abs(off) ** 2)), float(np.max(np.abs(off)))


def unit_error(W, A):
    return float(np.max(np.abs(np.sum(np.asarray(W).conj() * A, axis=0) - 1)))


def projected_gradient(A, num_steps=4000):
    """The published loop: descend on ‖WᵀA - I‖², project on w_i* a_i = 1; unit columns."""
    W, rate = A.copy(), 0.9 / np.linalg.norm(A, 2) ** 2
    identity = np.eye(A.shape[1])
    for _ in range(num_steps):
        W = W - rate * A @ (A.conj().T @ W - identity)
        W = W + A * (1 - np.sum(W.conj() * A, axis=0)).conj()
    return W


@pytest.mark.parametrize("complex_", [False, True])
def test_plain_weights_equal_the_projected_gradient_loop(complex_):
    A = gaussian(10, 20, complex_=complex_)
    W = analytic_weights(A)
    np.testing.assert_allclose(W, projected_gradient(A), atol=1e-9 if X64 else 3e-6)
    assert unit_error(W, A) < 50 * EPS


@pytest.mark.slow
def test_numbers_of_the_published_size():
    """Liu et al.: 1001.7 becomes 502.05, and 504.1 symmetric; one draw scatters by about 1."""
    A = gaussian(250, 500)
    W, S = analytic_weights(A), analytic_weights(A, symmetric=True)
    assert abs(interference(A, A)[0] - 1001.7) < 8
    assert abs(interference(W, A)[0] - 502.05) < 1.5
    assert abs(interference(S, A)[0] - 504.1) < 2
    assert 0.19 < interference(W, A)[1] < 0.225 < 0.25 < interference(A, A)[1]
    assert unit_error(W, A) < 100 * EPS
    assert unit_error(S, A) < 100 * EPS


def test_no_feasible_change_of_the_plain_weights_lowers_the_interference():
    A = gaussian(6, 9, unit=False)
    W = np.asarray(analytic_weights(A))
    rng = np.random.default_rng(1)
    for _ in range(50):
        change = rng.standard_normal(A.shape)
        change -= A * np.sum(A * change, axis=0) / np.sum(A * A, axis=0)
        for size in (1e-2, -1e-2):
            assert interference(W + size * change, A)[0] > interference(W, A)[0]


def symmetric_reference(A, noise=0.0):
    """Minimize over M as a vector, with the unit diagonal as linear equations."""
    m = A.shape[0]
    rows, columns = np.triu_indices(m)
    basis = np.zeros((len(rows), m, m))
    basis[np.arange(len(rows)), rows, columns] = 1
    basis[np.arange(len(rows)), columns, rows] = 1
    wide = np.hstack([A, np.sqrt(noise) * np.eye(m)])
    images = np.stack([(wide.T @ B @ wide).ravel() for B in basis], 1)
    units = np.stack([np.einsum("ij,ik,kj->j", A, B, A) for B in basis], 1)
    system = np.block([[images.T @ images, units.T], [units, np.zeros((A.shape[1],) * 2)]])
    right = np.concatenate([np.zeros(len(rows)), np.ones(A.shape[1])])
    found = np.linalg.lstsq(system, right, rcond=None)[0][: len(rows)]
    return np.tensordot(found, basis, 1) @ A


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_symmetric_weights_equal_the_quadratic_program(noise):
    A = gaussian(8, 12, seed=4) * np.linspace(0.8, 1.2, 12)
    W = analytic_weights(A, symmetric=True, noise=noise)
    np.testing.assert_allclose(W, symmetric_reference(A, noise), atol=1e-9 if X64 else 1e-5)
    products = np.asarray(W, float).T @ A
    np.testing.assert_allclose(products, products.T, atol=100 * EPS)
    assert unit_error(W, A) < 100 * EPS


def test_complex_symmetric_weights():
    A = gaussian(8, 14, complex_=True)
    W = analytic_weights(A, symmetric=True)
    products = np.asarray(W).conj().T @ A
    np.testing.assert_allclose(products, products.conj().T, atol=100 * EPS)
    assert np.linalg.eigvalsh(products)[0] > -100 * EPS
    assert unit_error(W, A) < 50 * EPS
    assert interference(analytic_weights(A), A)[0] < interference(W, A)[0] < interference(A, A)[0]


def test_indefinite_symmetric_solution_is_projected():
    """With scaled rows the equality solution has M of both signs; M >= 0 costs interference."""
    rng = np.random.default_rng(3)
    seen = 0
    for _ in range(40):
        A = rng.standard_normal((3, 5)) * np.array([[1.0], [0.1], [0.02]])
        A /= np.linalg.norm(A, axis=0)
        free = symmetric_reference(A)
        if np.linalg.eigvalsh(free @ np.linalg.pinv(A))[0] > -1e-2:
            continue
        seen += 1
        W = np.asarray(analytic_weights(A, symmetric=True), float)
        products = W.T @ A
        values = np.linalg.eigvalsh((products + products.T) / 2)
        assert values[0] > -1e-6 * values[-1]
        assert unit_error(W, A) < 1e-5
        assert interference(free, A)[0] < interference(W, A)[0] <= interference(A, A)[0] + 1e-4
        # M = N + t (I - N) is feasible for t small: the objective must not fall along it
        blend = 0.999 * W + 0.001 * A
        assert interference(blend, A)[0] > interference(W, A)[0] * (1 - 1e-5)
    assert seen >= 3


def test_hardly_feasible_symmetric_weights_stay_feasible():
    """n near m(m+1)/2 with unit columns: M = I is about the only one, and the last resort."""
    rng = np.random.default_rng(0)
    for _ in range(15):
        A = rng.standard_normal((5, 14)) * 10.0 ** rng.uniform(-2, 0, (5, 1))
        A /= np.linalg.norm(A, axis=0)
        W = np.asarray(analytic_weights(A, symmetric=True), float)
        values = np.linalg.eigvalsh((W.T @ A + A.T @ W) / 2)
        assert values[0] > -1e-5 * values[-1]
        assert unit_error(W, A) < 1e-4


def test_noise_trades_interference_for_a_lower_gain():
    A = gaussian(30, 60)
    for symmetric in (False, True):
        found = [analytic_weights(A, symmetric=symmetric, noise=rho) for rho in (0.0, 0.3, 3.0)]
        spread = [interference(W, A)[0] for W in found]
        gain = [float(np.sum(np.asarray(W) ** 2)) for W in found]
        assert spread == sorted(spread)
        assert gain == sorted(gain, reverse=True)
        assert max(unit_error(W, A) for W in found) < 100 * EPS
    far = analytic_weights(A, noise=1e8)
    np.testing.assert_allclose(far, A, atol=1e-5)  # unit columns: the matched filter


def test_float32_input_is_as_exact_as_its_type_allows():
    A = gaussian(40, 80).astype(np.float32)
    exact = np.linalg.solve(A.astype(float) @ A.T.astype(float), A.astype(float))
    exact /= np.sum(exact * A, axis=0)
    W = np.asarray(analytic_weights(A))
    assert W.dtype == np.float32
    np.testing.assert_allclose(W, exact, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("symmetric", [False, True])
def test_traced_batched_and_operator_input(symmetric):
    matrices = jnp.asarray(np.stack([gaussian(8, 12, seed) for seed in range(3)]))
    batch = jax.vmap(lambda A: analytic_weights(A, symmetric=symmetric))(matrices)
    for A, W in zip(matrices, batch, strict=True):
        alone = analytic_weights(A, symmetric=symmetric)
        np.testing.assert_allclose(W, alone, atol=1e-10 if X64 else 1e-4)
        wrapped = analytic_weights(ji.operators.dense(A), symmetric=symmetric)
        np.testing.assert_array_equal(wrapped, analytic_weights(A, symmetric=symmetric))
    slope = jax.grad(lambda A: jnp.sum(analytic_weights(A, symmetric=symmetric)))(matrices[0])
    assert bool(jnp.all(jnp.isfinite(slope)))


def test_bad_dependent_rows_are_refused_without_noise():
    A = gaussian(4, 8)
    dependent = A.copy()
    dependent[3] = dependent[0] + dependent[1]
    with pytest.raises(ValueError, match="independent rows"):
        analytic_weights(dependent)
    assert unit_error(analytic_weights(dependent, noise=0.1), dependent) < 100 * EPS
    assert unit_error(analytic_weights(A.T, noise=0.1), A.T) < 100 * EPS


def circulant_dictionary(kernels, size):
    """Return the (size^2, M size^2) matrix of x ↦ Σ d_m * x_m on a torus."""
    columns = []
    for kernel in kernels:
        padded = np.zeros((size, size))
        padded[: kernel.shape[0], : kernel.shape[1]] = kernel
        for shift in np.ndindex(size, size):
            columns.append(np.roll(padded, shift, (0, 1)).ravel())
    return np.stack(columns, 1)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_convolutional_weights_equal_brute_force_on_a_torus(noise):
    rng = np.random.default_rng(0)
    kernels = rng.standard_normal((3, 3, 2))
    w = np.asarray(convolutional_analytic_weights(kernels, noise=noise), float)
    size = 6  # at least 2 D - 1, so that nothing wraps around
    A = circulant_dictionary(kernels, size)
    form = A @ A.T + noise * np.eye(size * size)
    support = np.zeros((size, size), bool)
    support[:3, :2] = True
    inside = np.flatnonzero(support.ravel())
    for kernel, found in zip(kernels, w, strict=True):
        d = kernel.ravel()
        solved = np.linalg.solve(form[np.ix_(inside, inside)], d)
        expected = solved / (d @ solved)
        np.testing.assert_allclose(found.ravel(), expected, atol=1e-10 if X64 else 1e-5)


def spectral_gradient(kernels, num_steps):
    """The published loop: descend on the spectra at size 2 D - 1, crop, project."""
    window = kernels.shape[1:]
    size = tuple(2 * s - 1 for s in window)
    spectra = np.fft.fftn(kernels, s=size, axes=(1, 2))
    power = np.sum(np.abs(spectra) ** 2, axis=0)
    w = kernels / np.sum(kernels**2, axis=(1, 2), keepdims=True)
    norms = np.sum(kernels**2, axis=(1, 2))
    for _ in range(num_steps):
        gradient = np.fft.ifftn(power * np.fft.fftn(w, s=size, axes=(1, 2)), axes=(1, 2)).real
        w = w - 0.9 / power.max() * gradient[:, : window[0], : window[1]]
        missing = (1 - np.sum(w * kernels, axis=(1, 2))) / norms
        w = w + missing[:, None, None] * kernels
    return w


def test_convolutional_weights_equal_the_published_loop():
    kernels = np.random.default_rng(1).standard_normal((4, 3, 3))
    w = convolutional_analytic_weights(kernels)
    np.testing.assert_allclose(w, spectral_gradient(kernels, 4000), atol=1e-8 if X64 else 1e-5)


def test_convolutional_weights_with_the_whole_torus_as_window_are_the_plain_ones():
    """In one dimension with windows of one entry, kernels are numbers: w = 1/d."""
    found = convolutional_analytic_weights(np.array([[2.0], [-0.5]]))
    np.testing.assert_allclose(found, [[0.5], [-2.0]], rtol=1e-6)


def test_convolutional_weights_traced_complex_and_refusals():
    rng = np.random.default_rng(2)
    kernels = rng.standard_normal((3, 4)) + 1j * rng.standard_normal((3, 4))
    w = np.asarray(convolutional_analytic_weights(kernels))
    np.testing.assert_allclose(np.sum(w.conj() * kernels, axis=1), 1, atol=100 * EPS)
    traced = jax.jit(convolutional_analytic_weights)(jnp.asarray(kernels))
    np.testing.assert_allclose(traced, w, atol=1e-10 if X64 else 1e-4)
    form = np.zeros((4, 4), complex)
    for d in kernels:
        shifted = np.lib.stride_tricks.sliding_window_view(np.pad(d, 3), 4)
        form += shifted.T @ shifted.conj()
    solved = np.linalg.solve(form, kernels[0])
    expected = solved / np.vdot(kernels[0], solved).real
    np.testing.assert_allclose(w[0], expected, atol=1e-10 if X64 else 1e-4)
    smooth = np.cos(np.linspace(-np.pi / 2, np.pi / 2, 42)[1:-1])[None] ** 40
    with pytest.raises(ValueError, match="cover all frequencies"):
        convolutional_analytic_weights(smooth)
