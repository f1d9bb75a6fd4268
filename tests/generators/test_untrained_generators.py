"""Untrained networks: published sizes, starts, and forward passes written in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

import jaxinv as ji
from jaxinv.generators._two_layer import TwoLayer
from jaxinv.problems import Problem

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
TOL = 1e-10 if X64 else 1e-4
KEY = jax.random.key(3)
generators = ji.generators


def exact(x):
    return np.asarray(x, np.float64)


def norm(x, layer):
    flat = x.reshape(-1, x.shape[-1])
    standard = (x - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
    return standard * exact(layer["scale"]) + exact(layer["offset"])


def moved(params):
    """Parameters away from their start, where scales are one and offsets zero."""
    rng = np.random.default_rng(7)

    def move(leaf):
        return jnp.asarray(exact(leaf) + 0.1 * rng.normal(size=leaf.shape), leaf.dtype)

    return jax.tree.map(move, params)


@jax.jit
def evaluate(network, unknown):
    return network(unknown)


@jax.jit
def image_of(prior, key):
    drawn = prior.draw(key)
    return drawn(drawn.params)


resize = jax.jit(jax.image.resize, static_argnums=(1, 2))


def count(build):
    return jax.eval_shape(build).num_parameters


PUBLISHED = {
    "deep decoder k 64": (25_536, lambda: generators.deep_decoder((512, 512, 3), 64, 5)),
    "deep decoder k 128": (100_224, lambda: generators.deep_decoder((512, 512, 3), 128, 5)),
    "deep decoder k 256": (397_312, lambda: generators.deep_decoder((512, 512, 4), 256, 5)),
    "deep decoder k 384": (889_728, lambda: generators.deep_decoder((512, 512), 384, 5)),
    "compressive sensing": (
        330_496,
        lambda: generators.deep_decoder((256, 256), 256, 5, input_size=16, extra_layer="none"),
    ),
    "deep decoder MRI": (
        1_641_984,
        lambda: generators.deep_decoder(
            (15, 640, 368),
            384,
            10,
            input_size=16,
            squash=False,
            channels_first=True,
            dtype=jnp.complex64,
        ),
    ),
    "deep image prior": (2_217_831, lambda: generators.unet((512, 512, 3))),
    "xray": (804_608, lambda: generators.dcgan("xray")),
    "mnist": (2_730_432, lambda: generators.dcgan("mnist")),
    "retino": (626_304, lambda: generators.dcgan((128, 128, 3))),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_counts_are_the_published_ones(name):
    expected, build = PUBLISHED[name]
    assert count(build) == expected


@pytest.mark.parametrize("kernel_shape", [(3,), (9,), (2, 3)])
def test_two_layer_is_the_circulant_product(kernel_shape):
    shape = (9,) if len(kernel_shape) == 1 else (4, 6)
    kernel = np.random.default_rng(3).normal(size=kernel_shape).astype(DTYPE)
    prior = generators.two_layer(kernel, 6, key=KEY, scale=0.5, shape=shape)
    u = np.zeros(shape)
    u[tuple(slice(side) for side in kernel_shape)] = exact(kernel)
    columns = [np.roll(u, index, range(len(shape))).ravel() for index in np.ndindex(*shape)]
    U, C = np.stack(columns, 1), exact(prior.params).reshape(-1, 6)
    if len(shape) == 1:
        np.testing.assert_array_equal(U, linalg.circulant(u))
    v = np.repeat([1, -1], 3) / np.sqrt(6)
    expected = np.maximum(U @ C, 0) @ v
    np.testing.assert_allclose(evaluate(prior, prior.params).ravel(), expected, atol=TOL)
    np.testing.assert_allclose(prior.weights, v, atol=TOL)
    before = jax.jit(TwoLayer.preactivations)(prior, prior.params)
    np.testing.assert_allclose(before.reshape(-1, 6), U @ C, atol=TOL)


def test_two_layer_starts_at_its_scale():
    prior = generators.two_layer(np.ones(64, DTYPE), 200, key=KEY, scale=0.3)
    squares = exact(prior.params).ravel() ** 2 / 0.3**2
    assert abs(squares.mean() - 1) < 4 * squares.std() / np.sqrt(squares.size)


def test_two_layer_decoder_is_equation_32():
    prior = generators.two_layer_decoder(10, 6, key=KEY, dtype=DTYPE, upsampling=(0.5, 1, 0.5))
    params = moved(prior.params)
    U0 = np.zeros((10, 5))
    for j in range(5):
        U0[2 * j, j] = 1
        U0[2 * j + 1, j] = 0.5
        U0[2 * j + 1, min(j + 1, 4)] += 0.5
    expected = np.maximum(U0 @ exact(prior.z) @ exact(params["W0"]), 0) @ exact(params["w1"])
    np.testing.assert_allclose(evaluate(prior, params), expected, atol=TOL)
    assert prior.num_parameters == 6 * 6 + 6
    matrix = np.random.default_rng(3).normal(size=(10, 3))
    other = generators.two_layer_decoder(10, 6, upsampling=matrix, dtype=DTYPE)
    assert other.z.shape == (3, 6)


@pytest.mark.parametrize("norm_first", [False, True])
def test_deep_decoder_upsamples_normalizes_and_mixes(norm_first):
    prior = generators.deep_decoder(
        (9, 12, 2), 5, 2, key=KEY, norm_first=norm_first, dtype=DTYPE, input_size=(3, 4)
    )
    params, x = moved(prior.params), exact(prior.z)
    for layer, size in zip(params[:-1], prior.sizes, strict=True):
        # The published order: the product comes first, at low resolution.
        x = exact(resize(x @ exact(layer["weight"]), (*size, 5), "bilinear"))
        x = np.maximum(norm(x, layer), 0) if norm_first else norm(np.maximum(x, 0), layer)
    expected = 1 / (1 + np.exp(-x @ exact(params[-1]["weight"])))
    np.testing.assert_allclose(evaluate(prior, params), expected, atol=TOL)
    assert prior.sizes == ((6, 7), (9, 12), (9, 12))


def test_nearest_upsampling_of_constants_and_fixed_kernels_agree_with_bilinear():
    options = {"key": KEY, "dtype": DTYPE, "extra_layer": "first"}
    taps = generators.deep_decoder((16, 32), 4, 1, upsampling=(0.25, 0.75, 0.75, 0.25), **options)
    linear = generators.deep_decoder((16, 32), 4, 1, **options)
    np.testing.assert_allclose(
        evaluate(taps, taps.params), evaluate(linear, linear.params), atol=TOL
    )
    nearest = generators.deep_decoder((16, 32), 4, 1, upsampling="nearest", **options)
    image = evaluate(nearest, nearest.params)
    np.testing.assert_array_equal(image[::2, ::2], image[1::2, 1::2])
    assert linear.sizes == ((8, 16), (16, 32))


def test_a_complex_image_has_real_and_imaginary_channels():
    options = {"input_size": 4, "key": KEY, "squash": False}
    dtype = jnp.complex128 if X64 else jnp.complex64
    wide = generators.deep_decoder((8, 8, 4), 3, 1, dtype=DTYPE, **options)
    coils = generators.deep_decoder((2, 8, 8), 3, 1, dtype=dtype, channels_first=True, **options)
    image = evaluate(wide, wide.params)
    expected = np.moveaxis(exact(image)[..., :2] + 1j * exact(image)[..., 2:], -1, 0)
    np.testing.assert_allclose(evaluate(coils, wide.params), expected, atol=TOL)


def test_convdecoder_convolves_after_upsampling():
    prior = generators.convdecoder((6, 8), 3, 1, key=KEY, dtype=DTYPE)
    params, x = moved(prior.params), exact(prior.z)
    assert prior.sizes == ((6, 8), (6, 8))
    assert x.shape == (4, 4, 3)
    rows = [0, 0, 1, 2, 2, 3]  # floor(4 i / 6)
    x = np.repeat(x[rows], 2, 1)
    for layer in params[:-1]:
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))
        x = norm(
            np.maximum(np.einsum("hwcij,ijcd->hwd", windows, exact(layer["weight"])), 0), layer
        )
    np.testing.assert_allclose(
        evaluate(prior, params), (x @ exact(params[-1]["weight"])[0, 0])[..., 0], atol=TOL
    )


def test_coordinate_network_sees_cosines_and_sines_of_position():
    prior = generators.coordinate((5, 4), 7, 2, num_features=3, key=KEY, dtype=DTYPE)
    params = moved(prior.params)
    v = np.stack(np.meshgrid(np.arange(5) / 5, np.arange(4) / 4, indexing="ij"), -1)
    angle = 2 * np.pi * v @ exact(prior.z).T
    x = np.concatenate([np.cos(angle), np.sin(angle)], -1)
    first, second = ({name: exact(leaf) for name, leaf in layer.items()} for layer in params)
    x = np.maximum(x @ first["weight"] + first["bias"], 0) @ second["weight"] + second["bias"]
    np.testing.assert_allclose(evaluate(prior, params), 1 / (1 + np.exp(-x[..., 0])), atol=10 * TOL)


SMALL = {
    "two_layer": lambda **o: generators.two_layer(np.ones(3, np.float32), 4, shape=(16,), **o),
    "two_layer_decoder": lambda **o: generators.two_layer_decoder(17, 4, **o),
    "deep_decoder": lambda **o: generators.deep_decoder((16, 21), 6, 1, **o),
    "unet": lambda **o: generators.unet((16, 21, 2), 4, 2, input_channels=3, **o),
    "convdecoder": lambda **o: generators.convdecoder((16, 21), 4, 1, **o),
    "mnist": lambda **o: generators.dcgan("mnist", (16, 21), **o),
    "xray": lambda **o: generators.dcgan("xray", (16, 21, 3), **o),
    "coordinate": lambda **o: generators.coordinate((16, 21), 6, 3, num_features=4, **o),
}


@jax.jit
def image_and_gradient(prior):
    problem = Problem(ji.operators.identity(prior.out_shape), jnp.ones(prior.out_shape), prior)
    return prior(prior.params), jax.grad(problem.loss)(prior.params)


@pytest.mark.parametrize("name", SMALL)
def test_every_network_fits_into_a_problem(name):
    prior = SMALL[name](key=KEY)
    x, gradient = image_and_gradient(prior)
    assert x.shape == prior.out_shape
    assert prior.in_shape is None
    assert np.std(x) > 1e-3  # not a constant image
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(gradient)]
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    assert max(np.abs(leaf).max() for leaf in leaves) > 0
    assert prior.num_parameters == sum(leaf.size for leaf in jax.tree.leaves(prior.params))


@pytest.mark.parametrize("name", ["two_layer", "deep_decoder"])
def test_forward_and_reverse_derivatives_agree(name):
    prior = SMALL[name](key=KEY)
    x, gradient = image_and_gradient(prior)
    direction = moved(jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), prior.params))
    tangent = jax.jit(lambda p, d: jax.jvp(p.plain(), (p.params,), (d,))[1])(prior, direction)
    leaves = zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    slope = sum(np.vdot(exact(a), exact(b)) for a, b in leaves)
    residual, tangent = exact(x) - 1, exact(tangent)
    size = np.linalg.norm(residual) * np.linalg.norm(tangent)
    assert abs(slope - np.vdot(residual, tangent)) < 1e-5 * size


@pytest.mark.parametrize("name", ["two_layer", "xray"])
def test_keys_draw_independent_networks_in_a_batch(name):
    prior = SMALL[name](key=KEY)
    keys = jax.random.split(jax.random.key(1), 2)
    images = np.asarray(jax.vmap(image_of, (None, 0))(prior, keys))
    np.testing.assert_allclose(images[1], image_of(prior, keys[1]), atol=1e-4)
    assert np.abs(images[0] - images[1]).max() > 1e-3


@pytest.mark.parametrize("name", ["two_layer_decoder", "deep_decoder", "coordinate"])
def test_the_network_is_a_generator_of_its_input_too(name):
    prior = SMALL[name](key=KEY)
    G = prior.generator()
    np.testing.assert_allclose(evaluate(G, prior.z), evaluate(prior, prior.params), atol=1e-5)
    assert G.in_shape == prior.z.shape
    z = np.asarray(prior.z) + 1
    other = prior.with_input(z)
    again = evaluate(G.untrained(z), prior.params)
    np.testing.assert_array_equal(again, evaluate(other, prior.params))
    with pytest.raises(ValueError, match="z must have shape"):
        prior.with_input(np.ones(3))


def test_starts_are_drawn_by_key_within_the_published_bounds():
    prior = generators.deep_decoder((16, 16), 32, 2, key=KEY, initial_scales="uniform")
    again = generators.deep_decoder((16, 16), 32, 2, key=KEY, initial_scales="uniform")
    np.testing.assert_array_equal(prior.params[0]["weight"], again.params[0]["weight"])
    assert 0.097 < np.max(prior.z) <= 0.1
    assert np.min(prior.z) >= 0
    bound = 1 / np.sqrt(32)
    assert 0.98 * bound < np.abs(prior.params[0]["weight"]).max() <= bound
    assert 0.9 < np.max(prior.params[0]["scale"]) <= 1
    assert np.min(prior.params[0]["scale"]) >= 0
    last = SMALL["xray"](key=KEY).params[-1]["weight"]  # fan-in: 3 outputs, 4 x 4 taps
    assert 0.99 / np.sqrt(48) < np.abs(last).max() <= 1 / np.sqrt(48)
    xavier = generators.deep_decoder((16,), 64, 2, initial_weights="xavier").params[0]["weight"]
    squares = exact(xavier).ravel() ** 2 * 64
    assert abs(squares.mean() - 1) < 4 * squares.std() / np.sqrt(squares.size)


def scaled(params, z):
    return params * z


@pytest.mark.parametrize("make", [generators.deep_decoder, generators.coordinate, generators.unet])
def test_complex_outputs_are_centered(make):
    """By default without bounds, else in a square around 0; real ones in [0, 1]."""
    options = {"key": KEY, "dtype": jnp.result_type(DTYPE, jnp.complex64)}
    free = make((16, 16), 4, 2, **options)
    assert not free.squash
    assert make((16, 16), 4, 2).squash
    bounded = make((16, 16), 4, 2, squash=True, **options)
    x, unbounded = exact_complex(bounded), exact_complex(free)
    np.testing.assert_allclose(x.real, np.tanh(unbounded.real / 2), atol=1e-5)
    np.testing.assert_allclose(x.imag, np.tanh(unbounded.imag / 2), atol=1e-5)


def exact_complex(prior):
    return np.asarray(evaluate(prior, jax.tree.map(lambda leaf: 9 * leaf, prior.params)))


def test_a_phase_is_fitted_by_default():
    grid = np.linspace(-1, 1, 16)
    x = np.outer(np.hanning(18)[1:-1], np.hanning(18)[1:-1]) * np.exp(3j * (grid + grid[:, None]))
    prior = generators.deep_decoder(x.shape, 16, 2, dtype=jnp.complex64)
    problem = Problem(ji.operators.identity(x.shape), jnp.asarray(x, jnp.complex64))
    found = ji.untrained.fit(KEY, prior, problem, num_steps=300)
    assert np.linalg.norm(found.x - x) < 0.15 * np.linalg.norm(x)


def test_a_generator_of_someone_else_answers_the_same_questions():
    G = generators.relu(KEY, (3, 8, 5))
    prior = G.untrained(jnp.ones(3))
    assert prior.num_parameters == 3 * 8 + 8 * 5
    assert prior.out_shape == (5,)
    assert prior.can_redraw
    own = generators.from_function(scaled, jnp.ones(3)).untrained(jnp.ones(3))
    assert own.init(KEY) is own.params  # how to draw others, only its maker knows
    np.testing.assert_array_equal(prior.with_input(jnp.zeros(3))(prior.params), np.zeros(5))


def test_bad_parameters_are_explained():
    prior = generators.deep_decoder((16, 16), 4, 2)
    with pytest.raises(ValueError, match="structure"):
        prior(prior.params[:-1])
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        prior(jax.tree.map(lambda leaf: np.stack([leaf, leaf]), prior.params))
    with pytest.raises(ValueError, match="no input"):
        generators.two_layer(np.ones(4), 2).with_input(np.ones(4))
