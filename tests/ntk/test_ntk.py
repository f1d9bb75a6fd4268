"""Tangent kernels and linearized dynamics against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import jaxinv as ji

X64 = jax.config.jax_enable_x64
DTYPE = np.float64 if X64 else np.float32
TIGHT = 1e-10 if X64 else 2e-5
KEY = jax.random.key(0)


def triangle(n, width):
    u = np.maximum(width - np.abs(np.arange(n) - n // 2), 0.0)
    return u / np.linalg.norm(u)


def rows_of(u):
    """Return the matrix U of the circular convolution with u, 1-D or 2-D, by shifting."""
    places = np.indices(u.shape).reshape(u.ndim, -1).T
    axes = tuple(range(u.ndim))
    return np.stack([np.roll(u, tuple(p), axes).ravel() for p in places], axis=1)


def brute_kernel(u):
    """Return E[J Jᵀ] entry by entry, from the angle between two rows."""
    U = rows_of(u)
    unit = U / np.linalg.norm(U, axis=1, keepdims=True)
    # the angle from the chord: exact for equal rows, where arccos is not
    chords = np.linalg.norm(unit[:, None] - unit[None], axis=-1)
    angle = 2 * np.arcsin(np.clip(chords / 2, 0, 1))
    return (U @ U.T) * (1 - angle / np.pi) / 2


def spiky(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# --- basis and spectrum ---------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_the_basis_is_orthonormal_and_ordered_as_printed(n):
    W = np.asarray(ji.ntk.trigonometric_basis(n))
    np.testing.assert_allclose(W.T @ W, np.eye(n), atol=TIGHT)
    for i in range(n):
        size = np.abs(np.fft.fft(W[:, i]))
        assert set(np.flatnonzero(size > 1e-3 * size.max())) == {i, (n - i) % n}
    if n == 30:
        j = np.arange(30)
        root = np.sqrt(2 / 30)
        np.testing.assert_allclose(W[:, 4], root * np.cos(2 * np.pi * 4 * j / 30), atol=TIGHT)
        np.testing.assert_allclose(W[:, 26], root * np.sin(2 * np.pi * 26 * j / 30), atol=TIGHT)
        np.testing.assert_allclose(W[:, 15], (-1.0) ** j / np.sqrt(30), atol=TIGHT)
    order = ji.ntk.frequency_order(n)
    frequencies = np.minimum(order, n - order)
    assert sorted(order) == list(range(n))
    assert np.all(np.diff(frequencies) >= 0)


@pytest.mark.parametrize(
    "u", [triangle(24, 5), spiky(15), spiky((4, 5)), np.eye(1, 9)[0]], ids=["tri", "odd", "2d", "1"]
)
def test_expected_kernel_and_spectrum_equal_brute_force(u):
    expected = brute_kernel(u)
    found = np.asarray(ji.ntk.expected_kernel(jnp.asarray(u, DTYPE)))
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=TIGHT * scale)
    sigma = np.asarray(ji.ntk.spectrum(jnp.asarray(u, DTYPE)))
    np.testing.assert_allclose(
        np.sort((sigma**2).ravel()), np.linalg.eigvalsh(expected), atol=TIGHT * scale
    )
    operator = ji.ntk.expected_operator(jnp.asarray(u, DTYPE))
    np.testing.assert_allclose(operator.todense(), expected, atol=10 * TIGHT * scale)
    if u.ndim == 1:  # entry i belongs to column i of the basis
        W = np.asarray(ji.ntk.trigonometric_basis(u.size))
        np.testing.assert_allclose((W * sigma**2) @ W.T, expected, atol=10 * TIGHT * scale)


@pytest.mark.parametrize("shape", [(37,), (8, 8)])
def test_the_diagonal_of_the_expected_kernel_is_exact(shape):
    """A rounding of the autocorrelation at lag 0 would cost half of the digits."""
    kernels = np.random.default_rng(1).normal(size=(100, *shape))
    kernels[0] = 1.0  # every lag is the largest
    column = jax.vmap(lambda u: ji.ntk.expected_kernel(u)[0])(jnp.asarray(kernels, DTYPE))
    half = 0.5 * np.sum(kernels.reshape(100, -1) ** 2, axis=1)
    np.testing.assert_allclose(column[:, 0], half, rtol=TIGHT)
    np.testing.assert_allclose(column[0], half[0], rtol=TIGHT)


def test_spectrum_has_the_published_values():
    # σ at frequencies 0, 5, 10, 20, 50, 100, 150 for n = 300 and a triangle of width 10
    sigma = np.asarray(ji.ntk.spectrum(jnp.asarray(triangle(300, 10), DTYPE)))
    published = [2.423, 2.253, 1.812, 0.838, 0.257, 0.141, 0.121]
    np.testing.assert_allclose(sigma[[0, 5, 10, 20, 50, 100, 150]], published, atol=6e-4)
    assert abs(sigma.max() ** 2 / 3 - 1.957451) < 2e-5  # printed divided by 3
    # a power law: halving the frequency doubles σ, where geometric decay would square it
    far = np.asarray(ji.ntk.spectrum(jnp.asarray(triangle(4096, 10), DTYPE)))
    assert 1.7 < far[300] / far[600] < 2.6


# --- empirical kernels ----------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(12,), (4, 5)])
def test_empirical_kernel_of_two_layers_equals_its_jacobian(shape):
    prior = ji.generators.two_layer(jnp.asarray(spiky(shape), DTYPE), 6, key=KEY)
    rows = np.asarray(ji.ntk.jacobian(prior))
    U, C = rows_of(spiky(shape)), np.asarray(prior.params).reshape(-1, 6)
    active, v = (U @ C > 0), np.asarray(prior.weights)
    by_hand = np.stack([active[:, [k]] * U * v[k] for k in range(6)], axis=-1).reshape(len(U), -1)
    np.testing.assert_allclose(rows, by_hand, atol=TIGHT)
    kernel = ji.ntk.empirical_kernel(prior, prior.params)
    np.testing.assert_allclose(kernel, by_hand @ by_hand.T, atol=20 * TIGHT)
    generic = ji.ntk.empirical_kernel(prior.__call__, prior.params, chunk_size=5)
    np.testing.assert_allclose(generic, kernel, atol=20 * TIGHT)


def test_empirical_kernel_varies_around_the_expected_one_as_it_must():
    # S_i S_j is a coin of probability p_ij, averaged over k channels
    u, width = triangle(20, 4), 128
    U = rows_of(u)
    expected, gram = brute_kernel(u), U @ U.T
    share = np.divide(expected, gram, out=np.zeros_like(gram), where=gram > 1e-9)
    variance = np.sum(gram**2 * share * (1 - share)) / width
    prior = ji.generators.two_layer(jnp.asarray(u, DTYPE), width, key=KEY)
    starts = jax.vmap(prior.init)(jax.random.split(KEY, 60))
    kernels = np.asarray(jax.vmap(lambda C: ji.ntk.empirical_kernel(prior, C))(starts))
    squares = np.sum((kernels - expected) ** 2, axis=(1, 2))
    assert abs(squares.mean() - variance) < 4 * squares.std() / np.sqrt(60)
    error = kernels.mean(0) - expected
    assert np.sum(error**2) < 3 * variance / 60


def test_empirical_kernel_of_complex_outputs_and_of_trees():
    def prior(tree):
        return jax.lax.complex(tree["a"] ** 2, jnp.cumsum(tree["b"] * tree["a"]))

    tree = {"a": jnp.arange(1.0, 4.0), "b": jnp.array([0.5, -1.0, 2.0])}
    rows = np.asarray(ji.ntk.jacobian(prior, tree))
    real = np.concatenate([np.diag(2 * np.arange(1.0, 4.0)), np.zeros((3, 3))], axis=1)
    lower = np.tril(np.ones((3, 3)))
    imag = np.concatenate([lower * [0.5, -1.0, 2.0], lower * [1.0, 2.0, 3.0]], axis=1)
    np.testing.assert_allclose(rows, np.concatenate([real, imag]), atol=1e-6)
    np.testing.assert_allclose(ji.ntk.empirical_kernel(prior, tree), rows @ rows.T, rtol=1e-5)


def test_jacobian_singular_values_along_a_run():
    prior = ji.generators.two_layer(jnp.asarray(triangle(10, 3), DTYPE), 4, key=KEY)
    points = jnp.stack([prior.params, -2 * prior.params])
    true = ji.ntk.jacobian_singular_values(prior, points)
    summed = ji.ntk.jacobian_singular_values(prior, points, accumulate=True)
    extra = jnp.ones_like(points)
    shifted = ji.ntk.jacobian_singular_values(prior, points, accumulate=True, leftover=extra)
    for i, params in enumerate(points):
        J = np.asarray(ji.ntk.jacobian(prior, params))
        for found, matrix in (
            (true, J),
            (summed, np.cumsum(J, axis=0)),
            (shifted, np.cumsum(J, axis=0) + 1),
        ):
            np.testing.assert_allclose(found[i], scipy.linalg.svdvals(matrix), atol=1e-5)
    assert summed[0, 0] > 2 * true[0, 0]


# --- linearize ------------------------------------------------------------------------------


def test_linearized_prior_is_the_tangent_and_a_prior():
    prior = ji.generators.two_layer(jnp.asarray(triangle(12, 3), DTYPE), 6, key=KEY)
    tangent = ji.ntk.linearize(prior)
    J = np.asarray(ji.ntk.jacobian(prior))
    step = jax.random.normal(jax.random.key(1), prior.params.shape, DTYPE)
    x = jnp.asarray(spiky(12), DTYPE)
    flat = np.asarray(step).ravel()
    np.testing.assert_allclose(tangent.jvp(step), J @ flat, atol=1e-5)
    np.testing.assert_allclose(np.ravel(tangent.vjp(x)), J.T @ x, atol=1e-5)
    np.testing.assert_allclose(tangent.kernel_product(x), J @ J.T @ x, atol=1e-5)
    moved = tangent(prior.params + step)
    np.testing.assert_allclose(moved, tangent.value + J @ flat, atol=1e-5)

    # as a prior, descent of the general solver is the closed form
    import optax

    problem = ji.Problem(ji.operators.identity((12,)), x, tangent)
    solver = ji.solvers.gradient(optax.sgd(0.2))
    state, _ = ji.trace(solver, problem, tangent.params, 30)
    expected = ji.ntk.linearized_descent(J @ J.T, tangent.value - x, 0.2, 30)
    np.testing.assert_allclose(tangent(state.u) - x, expected, atol=2e-5)
    distance = ji.ntk.linearized_distance(J @ J.T, tangent.value - x, 0.2, 30)
    np.testing.assert_allclose(jnp.linalg.norm(state.u - tangent.params), distance, rtol=1e-4)
    batch = jax.vmap(lambda key: tangent.draw(key).value)(jax.random.split(KEY, 3))
    assert batch.shape == (3, 12)


def test_lanczos_spectrum_of_a_model():
    matrix = jnp.asarray(spiky((14, 40)), DTYPE)
    tangent = ji.ntk.linearize(jax.tree_util.Partial(jnp.dot, matrix), jnp.zeros(40, DTYPE))
    exact = scipy.linalg.svdvals(np.asarray(matrix)) ** 2
    full = ji.ntk.lanczos_spectrum(tangent, 14)
    np.testing.assert_allclose(full.values, exact, atol=3e-5 * exact[0])
    part = ji.ntk.lanczos_spectrum(tangent, 7)
    np.testing.assert_allclose(jnp.sum(part.weights), 1, rtol=1e-5)
    for value, error in zip(part.values, part.error, strict=True):
        assert np.min(np.abs(exact - value)) <= error + 1e-5 * exact[0]
    assert part.error[0] < 0.1 * exact[0]
    # the mean over starts of the quadrature of a smooth function is its mean over the spectrum
    keys = jax.random.split(jax.random.key(3), 100)
    found = jax.vmap(lambda key: ji.ntk.lanczos_spectrum(tangent, 7, key=key))(keys)
    trials = np.sum(np.asarray(found.weights * jnp.exp(-found.values / exact[0])), axis=1)
    error = 4 * trials.std() / 10
    assert abs(trials.mean() - np.exp(-exact / exact[0]).mean()) < error < 0.1


# --- descent --------------------------------------------------------------------------------


def psd(m, rank, seed=0):
    B = spiky((m, rank), seed)
    return B @ B.T / m


def test_closed_form_equals_two_thousand_steps():
    K, r0 = psd(9, 6), spiky(9, 1)
    for step in (0.3 / np.linalg.norm(K, 2), 1.7 / np.linalg.norm(K, 2)):
        path, r = [r0], r0
        for _ in range(2000):
            r = r - step * (K @ r)
            path.append(r)
        times = jnp.array([[0, 1, 2], [7, 100, 2000]])
        found = ji.ntk.linearized_descent(jnp.asarray(K, DTYPE), r0, step, times)
        assert found.shape == (2, 3, 9)
        tol = 1e-6 if X64 else 2e-5
        np.testing.assert_allclose(found, np.asarray(path)[np.asarray(times)], atol=tol)
        # at infinity what K cannot reach is left
        limit = ji.ntk.linearized_descent(jnp.asarray(K, DTYPE), r0, step, jnp.inf)
        kept = r0 - K @ np.linalg.pinv(K, rcond=1e-9) @ r0
        np.testing.assert_allclose(limit, kept, atol=tol)


def test_descent_under_vmap_jit_and_grad():
    K, r0 = jnp.asarray(psd(5, 5), DTYPE), jnp.asarray(spiky((4, 5)), DTYPE)
    times = jnp.array([0.0, 3.0, jnp.inf])
    found = jax.jit(jax.vmap(ji.ntk.linearized_descent, in_axes=(None, 0, None, None)))(
        K, r0, 0.1, times
    )
    for i in range(4):
        one = ji.ntk.linearized_descent(K, r0[i], 0.1, times)
        np.testing.assert_allclose(found[i], one, atol=1e-5)
    counts = jax.vmap(lambda t: ji.ntk.linearized_descent(K, r0[0], 0.1, t))(times)
    np.testing.assert_allclose(counts, found[0], atol=1e-5)

    def size(step):
        return jnp.sum(ji.ntk.linearized_descent(K, r0[0], step, 3.0) ** 2)

    slope = (size(0.1 + 1e-3) - size(0.1 - 1e-3)) / 2e-3
    np.testing.assert_allclose(jax.grad(size)(0.1), slope, rtol=2e-2)


def test_small_rates_keep_their_digits():
    # 1 - (1 - 1e-6)^10 in float32: 1.0e-5, where 1 - 1e-6 alone has lost the digits
    share = ji.ntk.descent_filter(jnp.array([1.0, 0.0]), 2e-6, 10)
    np.testing.assert_allclose(share, -np.expm1(10 * np.log1p(-1e-6)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(12,), (4, 6)])
def test_denoising_filter_equals_descent_with_the_dense_kernel(shape):
    u, y = jnp.asarray(spiky(shape), DTYPE), jnp.asarray(spiky(shape, 1), DTYPE)
    start = jnp.asarray(spiky(shape, 2), DTYPE)
    K = ji.ntk.expected_kernel(u)
    step = float(0.5 / jnp.linalg.norm(K, 2))
    times = jnp.array([0, 5, jnp.inf])
    found = ji.ntk.linearized_denoising(u, y, step, times, start=start)
    residual = ji.ntk.linearized_descent(K, (start - y).ravel(), step, times)
    np.testing.assert_allclose(found.reshape(3, -1), residual + y.ravel(), atol=1e-4)


# --- signals of measurements ----------------------------------------------------------------


def iterated(S, A, y, x0, step, num_steps):
    """Run x <- x - step Σ Re(A* (A x - y)), for real signals, or without Re."""
    x = x0
    for _ in range(num_steps):
        gradient = A.conj().T @ (A @ x - y)
        x = x - step * S @ (gradient if np.iscomplexobj(x0) else gradient.real)
    return x


@pytest.mark.parametrize("kind", ["gaussian", "fourier", "fourier-real"])
def test_linearized_signal_equals_iterations(kind):
    n = 10
    S = np.asarray(ji.ntk.expected_kernel(jnp.asarray(triangle(n, 4), DTYPE)))
    mask = jnp.asarray(np.arange(n) % 3 == 0)
    if kind == "gaussian":
        operator = ji.operators.gaussian(jax.random.key(5), 4, n, dtype=DTYPE)
    else:
        operator = ji.operators.subsampled_fourier(mask, real=kind == "fourier-real")
    is_complex = kind == "fourier"
    A = np.asarray(operator.todense())
    y = A @ (spiky(n, 3) + 1j * is_complex * spiky(n, 4))
    y = y if kind != "gaussian" else y.real
    x0 = spiky(n, 5).astype(DTYPE)
    x0 = x0 + DTYPE(1) * 1j if is_complex else x0
    step = 0.7 / np.linalg.norm(A @ S @ A.conj().T, 2)
    times = jnp.array([0, 1, 40, jnp.inf])
    found = ji.ntk.linearized_signal(S, operator, y, step, times, start=x0)
    assert jnp.iscomplexobj(found) == is_complex
    for i, count in enumerate((0, 1, 40, 3000)):
        expected = iterated(S, A, y, x0, step, count)
        np.testing.assert_allclose(found[i], expected, atol=2e-3 if count == 3000 else 2e-5)
    krylov = ji.ntk.linearized_signal(S, operator, y, step, times, start=x0, num_products=20)
    np.testing.assert_allclose(krylov, found, atol=1e-3)
    tol = 1e-10 if X64 else 1e-6
    limit = ji.ntk.linearized_limit(S, operator, y, start=x0, tol=tol)
    np.testing.assert_allclose(limit, found[-1], atol=1e-3)


def test_a_fourier_mask_gives_the_zero_filled_image():
    shape = (6, 8)
    mask = jax.random.bernoulli(jax.random.key(2), 0.4, shape)
    u = jnp.asarray(spiky(shape), DTYPE)
    image = spiky(shape, 1) + 1j * spiky(shape, 2)
    tol = 1e-10 if X64 else 1e-4
    operator = ji.operators.subsampled_fourier(mask)
    y = operator(jnp.asarray(image))
    zero_filled = np.fft.ifft2(np.where(mask, np.fft.fft2(image), 0))
    limit = ji.ntk.linearized_signal(ji.ntk.expected_kernel(u), operator, y, 1e-2, jnp.inf)
    np.testing.assert_allclose(limit, zero_filled, atol=tol)
    fast = ji.ntk.linearized_limit(ji.ntk.expected_operator(u), operator, y)
    np.testing.assert_allclose(fast, zero_filled, atol=tol)
    # a real image needs a symmetric mask; without symmetry conjugates are filled in too
    real = ji.operators.subsampled_fourier(mask, real=True)
    seen = np.asarray(mask) | np.roll(np.asarray(mask)[::-1, ::-1], (1, 1), (0, 1))
    expected = np.fft.ifft2(np.where(seen, np.fft.fft2(image.real), 0)).real
    found = ji.ntk.linearized_signal(
        ji.ntk.expected_kernel(u), real, real(jnp.asarray(image.real)), 1e-2, jnp.inf
    )
    np.testing.assert_allclose(found, expected, atol=tol)


@pytest.mark.parametrize("shape", [(7,), (4, 4)])
def test_the_derivative_of_the_spectrum_is_that_of_its_differences(shape):
    u, direction = (jnp.asarray(spiky(shape, seed), DTYPE) for seed in (0, 1))
    weights = jnp.asarray(spiky(shape, 2), DTYPE)

    def score(t):
        return jnp.sum(weights * ji.ntk.spectrum(u + t * direction))

    step = 1e-5 if X64 else 1e-2
    expected = (score(step) - score(-step)) / (2 * step)
    np.testing.assert_allclose(jax.grad(score)(0.0), expected, rtol=1e-6 if X64 else 2e-2)
