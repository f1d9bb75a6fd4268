"""Operators: their algebra, sampling masks, and bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji

O = ji.operators
KEY = jax.random.key(3)
EPS = np.finfo(jnp.result_type(float)).eps
RANDOM = np.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape).astype(jnp.result_type(float))


def assert_close(actual, expected, factor=64):
    size = max(1.0, float(np.max(np.abs(expected))))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=factor * EPS * size)


# ----------------------------------------------------------------------------------- algebra


def test_algebra_equals_matrices():
    a, b, c = normal(4, 3), normal(4, 3), normal(3, 5)
    A, B, C = O.dense(a), O.dense(b), O.dense(c)
    pairs = [
        (A + B, a + b),
        (A - B, a - b),
        (-A, -a),
        (2 * A, 2 * a),
        (A * 2, 2 * a),
        (A / 4, a / 4),
        ((1 + 2j) * A, (1 + 2j) * a),
        (np.float64(0.5) * A, 0.5 * a),
        (np.array(0.5) * A, 0.5 * a),
        (jnp.asarray(0.5) * A, 0.5 * a),
        (True * A, a),
        (A @ C, a @ c),
        ((A + 3j * B) @ C, (a + 3j * b) @ c),
        ((A @ C).H, (a @ c).T),
        (((2j * A) @ C).T, (2j * a @ c).T),
        (((2j * A) @ C).H, (-2j * a @ c).T),
        (A.H @ A, a.T @ a),
    ]
    for op, matrix in pairs:
        assert_close(op.todense(), matrix)
        assert_close(op.norm(tol=1e-5, max_steps=5000), np.linalg.norm(matrix, 2), 3e-4 / EPS)
    assert A.H.H is A
    assert A.T.T is A
    assert isinstance(A @ c[:, 0], jax.Array)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
def test_a_scalar_never_widens(dtype):
    if dtype == "float64" and EPS > 1e-10:
        pytest.skip("needs JAX_ENABLE_X64=1")
    x = jnp.ones(3, dtype)
    A = O.identity(3)
    for factor in (2, 2.5, np.float64(2.5), np.float32(2.5), jnp.asarray(2.5), np.int64(2)):
        scaled = factor * A
        for result in (scaled(x), scaled.adjoint(x), scaled.gram(x), (-A)(x), (A + scaled)(x)):
            assert result.dtype == jnp.dtype(dtype)
    wide = (2j * A)(x)
    assert wide.dtype == jnp.result_type(dtype, jnp.complex64) if dtype != "float64" else True


@pytest.mark.parametrize(
    "name", ["subsampled_fourier", "dct", "convolution", "wavelet", "hadamard"]
)
def test_half_precision_works(name):
    x = jnp.asarray(normal(8), jnp.float16)
    A = {
        "subsampled_fourier": lambda: O.subsampled_fourier(np.ones(8, bool)),
        "dct": lambda: O.dct(8),
        "convolution": lambda: O.convolution(jnp.ones(3, jnp.float16), 8),
        "wavelet": lambda: O.wavelet(8, "haar", 2),
        "hadamard": lambda: O.subsampled_hadamard(KEY, 8, 8),
    }[name]()
    y = A(x)
    assert y.dtype == (jnp.complex64 if name == "subsampled_fourier" else jnp.float16)
    reference = A(x.astype(jnp.float32))
    np.testing.assert_allclose(y, reference, rtol=0, atol=2e-2)


def test_scalars_may_be_traced_and_batched():
    a, factors, x = normal(4, 3), normal(5), normal(3)
    A = O.dense(a)
    batched = jax.jit(jax.vmap(lambda c: (c * A)(x)))(factors)
    assert_close(batched, factors[:, None] * (a @ x))
    slope = jax.grad(lambda c: jnp.sum((c * A)(x)))(2.0)
    assert_close(slope, np.sum(a @ x))


def test_a_composed_operator_is_traced_once():
    count = []

    @jax.jit
    def product(op, x):
        count.append(1)
        return op(x)

    x = normal(4)
    for index in range(3):
        key = jax.random.fold_in(KEY, index)
        A = 0.5 * O.gaussian(key, 3, 4) @ O.mask(O.random_mask(key, 4, 0.5)) @ O.dct(4)
        product(A, x)
    assert len(count) == 1


def test_norm_of_the_zero_operator_is_zero():
    assert O.dense(np.zeros((3, 4))).norm() == 0
    assert O.mask(np.zeros(3, bool)).norm() == 0


def test_shapes_that_do_not_fit_are_named():
    A, B = O.dense(normal(4, 3)), O.dense(normal(4, 5))
    with pytest.raises(ValueError, match=r"A @ B: B must .*\(3,\).* got \(4,\)"):
        A @ B
    with pytest.raises(ValueError, match=r"A \+ B: B must .*\(3,\) of A, got \(5,\)"):
        A + B
    with pytest.raises(ValueError, match=r"x must have shape \(3,\), got shape \(4,\)"):
        A @ normal(4)
    for wrong in (normal(3), "2", None, A, [1.0, 2.0]):
        with pytest.raises(TypeError, match=r"c \* A: c must be a scalar"):
            wrong * A
    for y in (normal(4), jnp.asarray(normal(4))):
        with pytest.raises(TypeError, match=r"A\.T @ y"):
            y @ A
    for other in (1, normal(3), jnp.ones(3)):
        for attempt in (lambda o=other: A + o, lambda o=other: o + A, lambda o=other: A - o):
            with pytest.raises(TypeError):
                attempt()


# ---------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("draw", [O.random_mask, O.variable_density_mask])
def test_masks_keep_the_share_asked_for(draw):
    for shape, ratio, count in [((6, 6), 0.3, 11), (7, 1.0, 7), (7, 0.001, 1)]:
        mask = draw(KEY, shape, ratio)
        assert mask.dtype == bool
        assert mask.sum() == count
        assert mask.shape == (shape if isinstance(shape, tuple) else (shape,))
    batch = jax.vmap(lambda key: draw(key, (6, 6), 0.5))(jax.random.split(KEY, 3))
    assert np.all(batch.sum((1, 2)) == 18)
    assert not np.array_equal(batch[0], batch[1])


def test_random_mask_is_uniform():
    masks = jax.vmap(lambda key: O.random_mask(key, 10, 0.3))(jax.random.split(KEY, 2000))
    assert np.all(np.abs(masks.mean(0) - 0.3) < 4 * np.sqrt(0.21 / 2000))


def test_variable_density_mask_favors_low_frequencies():
    masks = jax.vmap(lambda key: O.variable_density_mask(key, (16, 16), 0.3))(
        jax.random.split(KEY, 300)
    )
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(16), np.fft.fftfreq(16), indexing="ij"))
    share = np.asarray(masks).mean(0)
    assert np.all(share[radius <= 0.1 * radius.max()] == 1)
    rings = [share[(radius >= low) & (radius < low + 0.1)].mean() for low in (0.1, 0.2, 0.3, 0.4)]
    assert np.all(np.diff(rings) < 0)
    uniform = O.variable_density_mask(KEY, 2000, 0.5, decay=0, center=0)
    half = np.asarray(uniform)[np.abs(np.fft.fftfreq(2000)) < 0.25].sum()
    assert abs(half - 500) < 4 * np.sqrt(250)


def test_variable_density_mask_draws_lines():
    mask = np.asarray(O.variable_density_mask(KEY, (32, 8), 0.25, lines=True))
    assert np.all(mask == mask[:, :1])
    assert mask[:, 0].sum() == 8
    assert mask[0, 0]


# ---------------------------------------------------------------------------------- bad input


BAD = [
    (lambda: O.dense(np.ones(3)), ValueError, r"dense: matrix must have shape \(m, n\).*mask"),
    (lambda: O.dense([[np.nan]]), ValueError, "dense: matrix must be finite"),
    (lambda: O.gaussian(KEY, 10**6, 10**6), ValueError, "3725.3 GiB.*subsampled_hadamard"),
    (lambda: O.gaussian(KEY, 0, 3), ValueError, "gaussian: m must be >= 1"),
    (lambda: O.gaussian(KEY, 2.5, 3), TypeError, "gaussian: m must be an integer"),
    (lambda: O.gaussian(KEY, 2, 3, dtype=int), ValueError, "gaussian: dtype must be a floating"),
    (lambda: O.gaussian(KEY, 2, 3, dtype="no"), TypeError, "gaussian: dtype must be a floating"),
    (lambda: O.gaussian(3, 2, 3), TypeError, "gaussian: key must be a JAX PRNG key"),
    (lambda: O.dct((2**20,)).todense(), ValueError, "todense: the matrix must be at most"),
    (lambda: O.identity((3, 0)), ValueError, r"identity: shape\[1\] must be >= 1"),
    (lambda: O.identity(()), ValueError, "identity: shape must have at least one dimension"),
    (lambda: O.identity("a"), TypeError, "identity: shape must be an int"),
    (lambda: O.mask([1.0, np.inf]), ValueError, "mask: mask must be finite"),
    (lambda: O.mask(jax.random.split(KEY)), TypeError, "mask: mask must be an array of numbers"),
    (lambda: O.mask("abc"), TypeError, "mask: mask must be an array of numbers"),
    (lambda: O.mask(1.0), ValueError, "mask: mask must have at least one dimension"),
    (lambda: O.mask(np.zeros((0, 2))), ValueError, "mask: mask must have at least one dimension"),
    (lambda: O.subsampled_fourier([np.nan]), ValueError, "subsampled_fourier: mask must be finite"),
    (
        lambda: O.subsampled_fourier([True], real=True)(np.ones(1, complex)),
        ValueError,
        "x must be real",
    ),
    (lambda: O.subsampled_hadamard(KEY, 9, (2, 4)), ValueError, "m must be at most n = 8, got 9"),
    (lambda: O.subsampled_hadamard(KEY, 0, 8), ValueError, "m must be >= 1"),
    (lambda: O.subsampled_hadamard(KEY, 1, 0), ValueError, r"n\[0\] must be >= 1"),
    (lambda: O.subsampled_hadamard("key", 1, 8), TypeError, "key must be a JAX PRNG key"),
    (lambda: O.dct(-1), ValueError, r"dct: shape\[0\] must be >= 1"),
    (lambda: O.convolution(np.ones((2, 2)), 5), ValueError, r"kernel must have 1 axis.*\(2, 2\)"),
    (lambda: O.convolution(np.ones(6), 5), ValueError, r"kernel must have .*\(5,\), got .*\(6,\)"),
    (lambda: O.convolution([np.nan], 5), ValueError, "convolution: kernel must be finite"),
    (lambda: O.downsample(2, 5), ValueError, r"divisible by the factor \(2,\), got \(5,\).*\(4,\)"),
    (lambda: O.downsample(0, 4), ValueError, r"factor\[0\] must be >= 1"),
    (lambda: O.downsample((2, 2), 4), ValueError, "factor must have 1 entries"),
    (lambda: O.downsample(1.5, 4), TypeError, "factor must be an int"),
    (lambda: O.wavelet(12, "haar", 3), ValueError, r"2\*\*levels = 8, got \(12,\).*\(16,\)"),
    (lambda: O.wavelet(16, "db44", 1), ValueError, "be haar, db1..db38.*Did you mean 'db4'"),
    (lambda: O.wavelet(16, "bior1.7", 1), ValueError, "be haar, db1..db38.*bior or rbio"),
    (lambda: O.wavelet(16, "db2", 0), ValueError, "levels must be >= 1"),
    (lambda: O.from_function(3, 4), TypeError, "fn must be a function"),
    (lambda: O.from_function(jnp.cumsum, 4, int), ValueError, "dtype must be a floating"),
    (lambda: O.magnitude(np.ones((2, 2))), TypeError, "operator must be a linear operator.*dense"),
    (lambda: O.sign(O.identity(3), np.ones(2)), ValueError, r"dither must have shape \(3,\)"),
    (lambda: O.sign(O.identity(1), [np.nan]), ValueError, "dither must be finite"),
    (lambda: O.single_index(O.identity(3), 2), TypeError, "link must be a function"),
    (
        lambda: O.single_index(O.identity(3), jnp.sum),
        ValueError,
        r"keep the shape \(3,\), got \(\)",
    ),
    (lambda: O.random_mask(KEY, 4, 0), ValueError, r"ratio must be in \(0, 1\]"),
    (lambda: O.random_mask(KEY, 4, 1.5), ValueError, r"ratio must be in \(0, 1\]"),
    (lambda: O.random_mask(KEY, 4, np.nan), ValueError, r"ratio must be in \(0, 1\]"),
    (lambda: O.variable_density_mask(KEY, 4, -1), ValueError, r"ratio must be in \(0, 1\]"),
    (
        lambda: O.variable_density_mask(KEY, 4, 0.5, decay=-1),
        ValueError,
        "decay must be finite and >= 0",
    ),
    (lambda: O.variable_density_mask(KEY, 4, 0.5, lines=True), ValueError, "at least two axes"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD)
def test_bad_input_is_refused_in_one_line(call, kind, message):
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_both_styles_of_key_draw_the_same():
    old = jax.random.PRNGKey(3)
    for draw in (
        lambda key: O.gaussian(key, 3, 4).matrix,
        lambda key: O.subsampled_hadamard(key, 3, 4).rows,
        lambda key: O.random_mask(key, 9, 0.5),
        lambda key: O.variable_density_mask(key, 9, 0.5),
    ):
        np.testing.assert_array_equal(draw(old), draw(KEY))
