"""Layers of untrained networks against loops, stencils, SciPy and ``jax.image``."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from jaxinv.generators import _correlation, _layers, _resampling, unet

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
TOL = 1e-12 if X64 else 1e-5


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(DTYPE)


def run(layer, *arrays, **options):
    """Call a layer as one compiled program."""
    return jax.jit(partial(layer, **options))(*arrays)


def exact(x):
    return np.asarray(x, np.float64)


def test_channel_norm_is_written_with_mean_and_variance():
    x, scale, offset = 3 + draw(0, 5, 7, 4), draw(1, 4), draw(2, 4)
    flat = exact(x).reshape(-1, 4)
    expected = (exact(x) - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    expected = expected * exact(scale) + exact(offset)
    got = run(_layers.channel_norm, x, scale, offset)
    np.testing.assert_allclose(got, expected, atol=10 * TOL)


def test_channel_norm_keeps_its_digits_far_from_zero():
    x = 300 + draw(0, 40, 40, 2)
    flat = exact(x).reshape(-1, 2)
    expected = (exact(x) - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    got = run(_layers.channel_norm, x, np.ones(2, DTYPE), np.zeros(2, DTYPE))
    np.testing.assert_allclose(got, expected, atol=1e-3 if not X64 else 1e-10)


def test_folded_channel_norm_is_the_channel_norm():
    x, scale, offset = draw(0, 17, 9, 4), jnp.asarray(draw(1, 4)), jnp.asarray(draw(2, 4))
    x[0, 0] += 200  # one row far from the rest
    x += 5

    def both(x):
        gain, shift = _layers.normalizer(jnp.moveaxis(x, -1, 0), scale, offset)
        return gain * x + shift, _layers.channel_norm(x, scale, offset)

    got, expected = run(both, x)
    np.testing.assert_allclose(got, expected, atol=10 * TOL)


def test_relu_has_its_derivative_in_both_modes():
    def value_and_derivatives(x):
        return _layers.relu(x), jax.jacfwd(_layers.relu)(x), jax.jacrev(_layers.relu)(x)

    value, forward, reverse = run(value_and_derivatives, np.asarray([-2.0, 0.0, 3.0], DTYPE))
    np.testing.assert_array_equal(value, [0, 0, 3])
    np.testing.assert_array_equal(forward, np.diag([0, 0, 1]))
    np.testing.assert_array_equal(reverse, np.diag([0, 0, 1]))


def test_doubling_planes_by_sums_is_the_matrix_product():
    x = draw(0, 2, 5, 4)
    expected = run(jax.image.resize, x, shape=(2, 10, 8), method="bilinear")
    got = run(_layers.resample, x, size=(10, 8), method="bilinear", first=1)
    np.testing.assert_allclose(got, expected, atol=TOL)


@pytest.mark.parametrize("sizes", [(8, 16), (16, 28), (7, 13), (1, 3), (9, 9)])
def test_bilinear_matrix_is_the_interpolation_of_jax_image(sizes):
    source, target = sizes
    x = draw(0, source)
    got = _resampling.resampling_matrix(source, target, "bilinear") @ exact(x)
    expected = run(jax.image.resize, x, shape=(target,), method="bilinear")
    np.testing.assert_allclose(got, expected, atol=TOL)


def test_doubling_weighs_three_to_one_and_repeats_the_border():
    matrix = _resampling.resampling_matrix(3, 6, "bilinear")
    expected = [[4, 0, 0], [3, 1, 0], [1, 3, 0], [0, 3, 1], [0, 1, 3], [0, 0, 4]]
    np.testing.assert_array_equal(4 * matrix, expected)
    taps = _resampling.resampling_matrix(3, 6, (0.25, 0.75, 0.75, 0.25))
    np.testing.assert_array_equal(taps, matrix)


def test_nearest_repeats_pixels():
    x = draw(0, 3, 2, 2)
    got = run(_layers.resample, x, size=(6, 6), method="nearest")
    np.testing.assert_array_equal(got, np.repeat(np.repeat(exact(x), 2, 0), 3, 1))


def test_fixed_kernel_of_full_size_is_the_published_padding_and_correlation():
    taps = np.array([1, 3, 3, 1]) / 4
    x = exact(draw(0, 6, 5))
    padded = np.pad(np.pad(x, ((1, 0), (1, 0)), mode="reflect"), 1)
    expected = signal.correlate2d(padded, np.outer(taps, taps), mode="valid")
    got = run(_layers.resample, x.astype(DTYPE)[..., None], size=(6, 5), method=tuple(taps))
    np.testing.assert_allclose(got[..., 0], expected, atol=10 * TOL)


@pytest.mark.parametrize(
    ("side", "stride", "padding"),
    [(3, 1, "zero"), (3, 2, "reflect"), (5, 2, "reflect"), (4, 3, "zero")],
)
def test_convolution_is_scipys_correlation(side, stride, padding):
    x, weight = draw(0, 7, 6, 2), draw(1, side, side, 2, 3)
    around = (((side - 1) // 2, side // 2),) * 2
    mode = {"zero": "constant", "reflect": "reflect"}[padding]
    planes = [np.pad(exact(x)[..., c], around, mode=mode) for c in range(2)]
    expected = [
        sum(signal.correlate2d(planes[c], exact(weight)[:, :, c, d], "valid") for c in range(2))
        for d in range(3)
    ]
    expected = np.stack(expected, -1)[::stride, ::stride]
    got = run(_layers.convolve, x, weight, stride=stride, padding=padding)
    np.testing.assert_allclose(got, expected, atol=30 * TOL)


def _lax(x, weight, around):
    names = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x[None], weight, (1, 1), around, dimension_numbers=names, precision="highest"
    )[0]


@pytest.mark.parametrize(
    ("rows", "around", "channels"),
    [
        (7, ((1, 1), (0, 2)), (2, 3)),
        (20, ((0, 0), (0, 0)), (2, 3)),  # a row more, and two strips of unequal size
        (6, ((1, 1), (2, 1)), (4, 1)),  # few outputs
        (6, ((1, 0), (2, 1)), (4, 1)),  # few, of a size that does not take the images
        (6, ((2, 0), (0, 3)), (1, 4)),
    ],
)
def test_correlation_and_its_derivatives_are_those_of_lax(rows, around, channels, monkeypatch):
    monkeypatch.setattr(_correlation, "_PIXELS", 30)
    x, weight = draw(0, 3, rows, 5, channels[0]), draw(1, 3, 3, 4, *channels)
    slopes = draw(2, *x.shape[1:]), draw(3, *weight.shape[1:])

    def everything(correlate):
        def loss(x, weight):
            return jnp.sum(jnp.sin(correlate(x, weight, around)))

        gradient = jax.grad(loss, (0, 1))
        single = x[0], weight[0]
        return (
            jax.jvp(partial(correlate, around=around), single, slopes),
            gradient(*single),
            jax.jvp(gradient, single, slopes)[1],  # the Hessian along a direction
            jax.grad(lambda w: jnp.sum(jax.grad(loss)(single[0], w) ** 2))(single[1]),
            jax.vmap(gradient, in_axes=(0, None))(x, weight[0]),
            jax.vmap(gradient, in_axes=(None, 0))(x[0], weight),
            jax.vmap(gradient)(x, weight),
            jax.grad(lambda w: jnp.sum(jax.vmap(loss)(x, w)))(weight),
            jax.vmap(
                lambda x: jax.vmap(lambda w: correlate(x, w, around), -1)(
                    jnp.moveaxis(jnp.asarray(weight), 0, -1)
                ),
                1,
            )(jnp.moveaxis(jnp.asarray(x), 0, 1)),
            jax.lax.scan(lambda c, w: (c, gradient(x[0], w)), 0, weight)[1],
        )

    def ours(x, weight, around):
        return _correlation.correlate(x, weight, around)

    got, wanted = (jax.jit(partial(everything, f))() for f in (ours, _lax))
    for mine, theirs in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        scale = float(jnp.max(jnp.abs(theirs)))
        np.testing.assert_allclose(mine, theirs, atol=10 * TOL * scale)


def test_correlation_is_the_same_outside_of_jit_and_on_other_platforms():
    x, weight = draw(0, 2, 5, 6, 2), draw(1, 2, 3, 3, 2, 3)
    around = ((1, 1), (1, 1))
    eager = jax.vmap(lambda x, w: _correlation.correlate(x, w, around))(x, weight)
    elsewhere = _correlation._everywhere(x[:, None], weight, padding=around)[:, 0]
    np.testing.assert_allclose(elsewhere, eager, atol=10 * TOL)
    np.testing.assert_allclose(eager[1], _lax(x[1], weight[1], around), atol=10 * TOL)
    mixed = _correlation.correlate(x[0].astype(np.float16), weight[0], around)
    assert mixed.dtype == weight.dtype


def test_gradients_of_networks_a_trial_lower_for_gpus_to_their_own_convolutions():
    prior = unet((8, 8, 3), 4, 1)

    def loss(params):
        return jnp.sum(prior(params) ** 2)

    many = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), prior.params)
    traced = jax.jit(jax.vmap(jax.grad(loss))).trace(many)
    texts = {p: traced.lower(lowering_platforms=(p,)).as_text() for p in ("cuda", "cpu")}
    assert "stablehlo.while" in texts["cpu"]  # kernels one after another
    assert "stablehlo.while" not in texts["cuda"]
    assert "feature_group_count = 2" in texts["cuda"]  # a group for each network
    assert "custom_call" not in texts["cuda"]


@pytest.mark.parametrize(
    ("size", "side", "stride", "padding"),
    [
        ((1, 1, 2), 4, 1, 0),
        ((2, 3, 2), 4, 1, 0),
        ((2, 3, 8), 4, 1, 0),
        ((3, 2, 2), 3, 1, 1),
        ((3, 2, 2), 6, 2, 2),
        ((3, 4, 2), 4, 2, 1),
        ((3, 4, 2), 2, 2, 0),
    ],
)
def test_transposed_convolution_is_the_sum_over_inputs(size, side, stride, padding):
    x, weight = draw(0, *size), draw(1, side, side, size[-1], 3)
    size = size[:-1]
    full = np.zeros([stride * (n - 1) + side for n in size] + [3])
    for i, j in np.ndindex(*size):
        rows, columns = slice(stride * i, stride * i + side), slice(stride * j, stride * j + side)
        full[rows, columns] += np.einsum("c,hwcd->hwd", exact(x)[i, j], exact(weight))
    height, width = full.shape[:2]
    expected = full[padding : height - padding, padding : width - padding]
    got = run(_layers.transposed_convolve, x, weight, stride=stride, padding=padding)
    np.testing.assert_allclose(got, expected, atol=10 * TOL)


def test_a_single_pixel_is_padded_by_repetition():
    x = np.ones((1, 2, 1), DTYPE)
    got = run(_layers.pad, x, rows=(1, 1), columns=(1, 1), mode="reflect")
    np.testing.assert_array_equal(got, np.ones((3, 4, 1)))


def test_sizes_grow_by_equal_factors_rounded_up():
    sizes = _resampling.growing_sizes((256,), (16,), 5)
    assert sizes == ((28,), (49,), (85,), (148,), (256,))
    assert _resampling.growing_sizes((640, 368), (16, 16), 10)[-3:] == (
        (307, 197),
        (443, 269),
        (640, 368),
    )
    assert _resampling.doubling_sizes((17,), 3) == ((3,), (5,), (9,), (17,))
