"""MRI: the centered transform, masks of k-space, coils, and agreement with the measurements."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import complexes, floats

from jaxinv import operators as O

KEY = jax.random.key(3)
EPS = float(jnp.finfo(floats()).eps)
consistent = jax.jit(O.data_consistency, static_argnames="num_steps")


@jax.jit
def measured(A, x):
    return A @ x


@jax.jit
def pulled(A, y):
    return A.adjoint(y)


def draw(seed, shape):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=shape) + 1j * generator.normal(size=shape)
    return jnp.asarray(x, complexes())


def centered_dft(size):
    """The orthonormal transform by its definition, with both indices counted from the middle."""
    index = np.arange(size) - size // 2
    return np.exp(-2j * np.pi * np.outer(index, index) / size) / np.sqrt(size)


@pytest.mark.parametrize("shape", [(4, 6), (5, 8), (7, 3)])
def test_fft2c_is_the_centered_sum(shape):
    x = np.asarray(draw(0, (2, *shape)))
    expected = centered_dft(shape[0]) @ x @ centered_dft(shape[1]).T
    np.testing.assert_allclose(O.fft2c(x), expected, atol=50 * EPS)
    np.testing.assert_allclose(O.ifft2c(expected), x, atol=50 * EPS)


def test_mri_masks_the_centered_transform():
    mask = np.asarray(O.random_mask(KEY, (5, 8), 0.4))
    x = draw(1, (5, 8))
    y = O.mri(mask) @ x
    np.testing.assert_allclose(y, np.where(mask, O.fft2c(x), 0), atol=50 * EPS)
    # the same coefficients as the transform with frequency 0 at index 0, of the shifted image
    other = O.subsampled_fourier(jnp.fft.ifftshift(mask)) @ jnp.fft.ifftshift(x)
    np.testing.assert_allclose(jnp.fft.ifftshift(y), other, atol=50 * EPS)
    assert np.array_equal(O.mri(mask.astype(int)).mask, mask)


def test_a_constant_image_lies_at_the_center():
    A = O.mri(jnp.zeros((6, 9), bool).at[3, 4].set(True))
    np.testing.assert_allclose(A.adjoint(A @ jnp.ones((6, 9))), np.ones((6, 9)), atol=50 * EPS)


# --------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("kind", ["bernoulli", "random"])
def test_random_lines_keep_their_share(kind):
    shape, acceleration, fraction = (3, 368), 4, 0.08
    keys = jax.random.split(KEY, 400)
    draw_mask = jax.vmap(lambda key: O.fourier_lines(key, shape, acceleration, fraction, kind))
    masks = jax.jit(draw_mask)(keys)
    columns = np.asarray(masks[:, 0])
    assert np.array_equal(masks, np.broadcast_to(columns[:, None], masks.shape))
    num_center = round(368 * fraction)
    first = (368 - num_center + 1) // 2
    assert columns[:, first : first + num_center].all()
    rest = np.delete(columns, np.arange(first, first + num_center), axis=1)
    share = (368 / acceleration - num_center) / (368 - num_center)
    deviation = np.sqrt(share * (1 - share) / rest.size)
    assert abs(rest.mean() - share) < 4 * deviation
    if kind == "random":
        assert np.all(columns.sum(1) == 368 / acceleration)
    assert rest.mean(axis=0).std() < 1.3 * np.sqrt(share * (1 - share) / 400)  # no column favored


@pytest.mark.parametrize(("width", "acceleration", "fraction"), [(368, 4, 0.08), (100, 8, 0.04)])
def test_equispaced_lines_follow_the_published_spacing(width, acceleration, fraction):
    num_center = round(width * fraction)
    spacing = acceleration * (num_center - width) / (num_center * acceleration - width)
    first = (width - num_center + 1) // 2
    expected = set()
    for offset in range(round(spacing)):
        mask = np.zeros(width, bool)
        places = np.around(np.arange(offset, width, spacing)).astype(int)
        mask[places[places < width]] = True
        mask[first : first + num_center] = True
        expected.add(mask.tobytes())
    found = set()
    for key in jax.random.split(KEY, 40):
        mask = np.asarray(O.fourier_lines(key, (2, width), acceleration, fraction, "equispaced"))
        found.add(mask[1].tobytes())
        assert abs(mask[0].sum() - width / acceleration) <= 2 + num_center / spacing
    assert found <= expected
    assert len(found) > len(expected) / 2


def test_no_acceleration_keeps_every_line():
    for kind in ("random", "bernoulli", "equispaced"):
        assert O.fourier_lines(KEY, (4, 30), 1, 0.1, kind).all()
    assert O.fourier_lines(KEY, (4, 30), 4, 0.25).sum() == 4 * 8  # the center is all there is


@pytest.mark.parametrize(("lines", "count"), [(3, 381), (5, 634), (10, 1260), (20, 2500)])
def test_radial_lines_have_the_published_numbers_of_coefficients(lines, count):
    mask = np.asarray(O.radial_lines((256, 256), lines))
    assert mask[128, 128]
    half = mask.copy()  # a real image repeats itself on the other half
    half[129:] = False
    half[128, 128:] = False
    assert half.sum() == count
    mirrored = np.roll(mask[::-1, ::-1], 1, (0, 1))
    assert np.array_equal(mask, mirrored)


@pytest.mark.parametrize("shape", [(16, 16), (15, 22), (40, 9)])
def test_radial_lines_stay_within_half_a_pixel(shape):
    rows, columns = np.indices(shape)
    rows, columns = rows - shape[0] // 2, columns - shape[1] // 2
    angles = np.pi * np.arange(4) / 4
    near = np.zeros(shape, bool)
    for angle in angles:
        offset = np.abs(columns * np.sin(angle) - rows * np.cos(angle))
        near |= offset <= 0.5 * max(abs(np.sin(angle)), abs(np.cos(angle))) + 1e-9
    mask = np.asarray(O.radial_lines(shape, 4))
    assert (mask <= near).all()
    assert mask[shape[0] // 2].sum() >= 2 * ((shape[1] - 1) // 2) + 1
    assert mask[:, shape[1] // 2].sum() >= 2 * ((shape[0] - 1) // 2) + 1


# --------------------------------------------------------------------------------------- coils


def test_coil_maps_are_normalized_smooth_and_different():
    maps = np.asarray(O.coil_maps((24, 32), 5))
    assert maps.dtype == complexes()
    np.testing.assert_allclose(np.sum(np.abs(maps) ** 2, 0), 1, atol=20 * EPS)
    # neighbors differ by the size of a pixel over the distance to the coil, here 2/40 over 0.1
    assert max(np.abs(np.diff(maps, axis=a)).max() for a in (1, 2)) < 0.4
    strongest = np.abs(maps).reshape(5, -1).argmax(1)
    assert len(set(strongest)) == 5
    assert np.abs(np.asarray(O.coil_maps((9, 9), 1))) == pytest.approx(1)
    assert O.coil_maps((9, 9), 4)[:, 4, 4] == pytest.approx(0.5, abs=1e-6)


def test_each_coil_sees_the_image_through_its_map():
    maps, x = draw(1, (3, 6, 5)), draw(2, (6, 5))
    mask = np.asarray(O.random_mask(KEY, (6, 5), 0.5))
    y = O.multicoil_mri(mask, maps) @ x
    for coil in range(3):
        image = np.asarray(maps[coil] * x)
        spectrum = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho"))
        np.testing.assert_allclose(y[coil], np.where(mask, spectrum, 0), atol=50 * EPS)
    separate = O.multicoil_mri(mask, None, num_coils=3)
    np.testing.assert_allclose(separate @ (maps * x), y, atol=50 * EPS)
    assert float(separate.norm()) == 1


def test_normalized_maps_give_a_norm_of_at_most_one():
    mask = O.fourier_lines(KEY, (8, 12), 2, 0.2)
    A = O.multicoil_mri(mask, O.coil_maps((8, 12), 4))
    matrix = np.asarray(A.todense())
    assert np.linalg.norm(matrix, 2) <= 1 + 1e-5
    with pytest.warns(UserWarning, match="multicoil_mri: mask keeps every frequency"):
        full = O.multicoil_mri(jnp.ones((8, 12), bool), O.coil_maps((8, 12), 4))
    x = draw(0, (8, 12))
    np.testing.assert_allclose(full.gram(x), x, atol=100 * EPS)


def test_masks_and_images_come_in_pairs():
    masks = jnp.stack([O.random_mask(key, (4, 6), 0.5) for key in jax.random.split(KEY, 2)])
    x = draw(0, (2, 4, 6))
    for make in (O.mri, O.subsampled_fourier, O.mask):
        ops = jax.vmap(make)(masks)
        assert ops.in_shape == (4, 6)
        together = jax.vmap(lambda op, x: op.gram(x))(ops, x)
        alone = [make(mask).gram(image) for mask, image in zip(masks, x, strict=True)]
        np.testing.assert_allclose(together, alone, atol=50 * EPS)
        with pytest.raises(ValueError, match="holds a batch; use"):
            ops(x[0])


def test_root_sum_of_squares():
    x = draw(0, (4, 3, 2))
    expected = np.sqrt(np.sum(np.abs(np.asarray(x)) ** 2, axis=1))
    np.testing.assert_allclose(O.root_sum_of_squares(x, axis=1), expected, rtol=10 * EPS)
    for scale in (1e-30, 1e30):
        found = O.root_sum_of_squares(scale * x, axis=1)
        np.testing.assert_allclose(found / scale, expected, rtol=10 * EPS)
    slope = jax.grad(lambda x: O.root_sum_of_squares(x).sum())(jnp.zeros((4, 3)))
    assert np.array_equal(slope, np.zeros((4, 3)))


# ------------------------------------------------------------------------------- consistency


@pytest.mark.parametrize("coils", [None, 3])
def test_data_consistency_overwrites_what_was_measured(coils):
    mask = np.asarray(O.random_mask(KEY, (6, 7), 0.4))
    A = O.mri(mask) if coils is None else O.multicoil_mri(mask, num_coils=coils)
    y, x = measured(A, draw(0, A.in_shape)), draw(1, A.in_shape)
    z = consistent(A, y, x)
    np.testing.assert_allclose(O.fft2c(z), np.where(mask, y, O.fft2c(x)), atol=100 * EPS)
    half = O.fft2c(consistent(A, y, x, weight=1.0))
    np.testing.assert_allclose(half, np.where(mask, (y + O.fft2c(x)) / 2, O.fft2c(x)), atol=1e-5)


WIDE = np.random.default_rng(0).normal(size=(5, 12)).astype(floats())
OPERATORS = {
    "maps": lambda: O.multicoil_mri(O.fourier_lines(KEY, (6, 8), 2, 0.25), O.coil_maps((6, 8), 3)),
    "real": lambda: O.mri(O.random_mask(KEY, (5, 6), 0.4), real=True),
    "inpainting": lambda: O.mask(O.random_mask(KEY, (5, 6), 0.4)),
    "matrix": lambda: O.gaussian(KEY, 5, 12, dtype=floats()),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("weight", [0.1, 0.0])
def test_data_consistency_solves_its_least_squares(name, weight):
    A = OPERATORS[name]()
    real = name != "maps"
    x, truth = draw(0, A.in_shape), draw(1, A.in_shape)
    if real:
        x, truth = (jnp.asarray(np.real(part)) for part in (x, truth))
    y = measured(A, truth)
    matrix = np.asarray(A.todense())
    if real:
        matrix = np.concatenate([matrix.real, matrix.imag])
        rhs = np.concatenate([np.real(y).ravel(), np.imag(y).ravel()])
    else:
        rhs = np.asarray(y).ravel()
    start = np.asarray(x).ravel()
    if weight:
        normal = matrix.conj().T @ matrix + weight * np.eye(start.size)
        expected = np.linalg.solve(normal, matrix.conj().T @ rhs + weight * start)
    else:
        expected = start + np.linalg.pinv(matrix, rcond=1e-5) @ (rhs - matrix @ start)
    found = consistent(A, y, x, weight=weight, num_steps=60)
    # without damping the small singular values of the maps' system are not reached
    tolerance = 5e-2 if name == "maps" and not weight else 1e-3
    np.testing.assert_allclose(np.ravel(found), expected, atol=tolerance)


@pytest.mark.parametrize("make", [lambda: O.dense(WIDE), lambda: O.downsample(2, 12)])
def test_data_consistency_follows_every_scale(make):
    A, x = make(), np.arange(12, dtype=floats())
    y = measured(A, jnp.ones(12, floats()))
    expected = consistent(A, y, x)
    np.testing.assert_allclose(measured(A, expected), y, atol=1e-4)
    for a, b in [(1e-15, 1e15), (1e15, 1e-15), (1.0, 1e15), (1.0, 1e-15)]:  # of A, and of x
        found = consistent(a * A, a * b * y, b * x)
        np.testing.assert_allclose(found / b, expected, atol=2e-4 * np.max(expected))


def test_scale_comes_from_the_measurements_alone():
    mask = O.fourier_lines(KEY, (8, 12), 2, 0.2)
    A = O.multicoil_mri(mask, num_coils=3)
    x, start = draw(0, (3, 8, 12)), draw(1, (3, 8, 12))
    x, mask = np.asarray(x), np.asarray(mask)
    hidden = O.ifft2c(np.where(mask, 0, 100 * np.asarray(draw(2, (3, 8, 12)))))
    y, same = measured(A, 1e-5 * x), measured(A, 1e-5 * (x + np.asarray(hidden)))
    scale_of = jax.jit(O.measured_scale)
    for like in (None, start):
        np.testing.assert_allclose(scale_of(A, same, like), scale_of(A, y, like), rtol=1e-4)
    eager = O.measured_scale(A, y)
    np.testing.assert_allclose(eager, scale_of(A, y), rtol=1e-5)
    combined = O.root_sum_of_squares(pulled(A, eager * y))
    assert np.max(combined) == pytest.approx(1, abs=1e-5)
    image = pulled(A, scale_of(A, y, start) * y)
    np.testing.assert_allclose(np.linalg.norm(image), np.linalg.norm(start), rtol=1e-5)
    assert float(scale_of(A, 0 * y)) == 1


# ---------------------------------------------------------------------------------- bad input

MASK = np.eye(4, 6, dtype=bool)
BAD = {
    "empty": (lambda: O.mri(np.zeros((4, 4), bool)), "empty mask"),
    "columns": (lambda: O.mri(np.ones(8, bool)), "broadcast_to"),
    "weights": (lambda: O.mri(0.5 * np.ones((4, 4))), "boolean, or 0 and 1"),
    "nan mask": (lambda: O.mri(np.full((4, 4), np.nan)), "must be finite"),
    "complex": (lambda: O.mri(MASK, real=True)(1j * np.ones((4, 6))), "x must be real"),
    "image": (lambda: O.mri(MASK)(np.ones((6, 4))), r"\(4, 6\).*\(6, 4\)"),
    "maps": (lambda: O.multicoil_mri(MASK, np.ones((2, 6, 4))), r"\(coils, 4, 6\).*\(2, 6, 4\)"),
    "one map": (lambda: O.multicoil_mri(MASK, np.ones((4, 6))), "3 dimension"),
    "nan maps": (lambda: O.multicoil_mri(MASK, np.full((2, 4, 6), np.nan)), "maps must be finite"),
    "neither": (lambda: O.multicoil_mri(MASK), "neither"),
    "both": (lambda: O.multicoil_mri(MASK, np.ones((2, 4, 6)), num_coils=2), "both"),
    "no coil": (lambda: O.multicoil_mri(MASK, num_coils=0), "num_coils must be >= 1"),
    "acceleration": (lambda: O.fourier_lines(KEY, (8, 8), 0.5, 0.1), "acceleration must be"),
    "center": (lambda: O.fourier_lines(KEY, (8, 8), 4, 0.5), "shape.-1. / acceleration = 2"),
    "no center": (lambda: O.fourier_lines(KEY, (8, 8), 4, 0.01), "at least one column"),
    "kind": (lambda: O.fourier_lines(KEY, (8, 8), 2, 0.2, "equispace"), "Did you mean 'equisp"),
    "key": (lambda: O.fourier_lines(0, (8, 8), 2, 0.2), "key must be a JAX PRNG key"),
    "no line": (lambda: O.radial_lines((8, 8), 0), "num_lines must be >= 1"),
    "volume": (lambda: O.radial_lines((8, 8, 8), 3), r"shape must be \(h, w\)"),
    "ring": (lambda: O.coil_maps((8, 8), 2, radius=1.0), "radius must be larger than 1"),
    "real maps": (lambda: O.coil_maps((8, 8), 2, dtype=jnp.float32), "complex type"),
    "axis": (lambda: O.root_sum_of_squares(np.ones(3), axis=1), "have the axis 1"),
    "vector": (lambda: O.fft2c(np.ones(3)), "two axes"),
    "nan y": (
        lambda: O.data_consistency(O.mri(MASK), np.full((4, 6), np.nan), np.ones((4, 6))),
        "y must be finite",
    ),
    "size of y": (
        lambda: O.data_consistency(O.mri(MASK), np.ones((4, 5)), np.ones((4, 6))),
        "y must have shape",
    ),
    "zero y": (lambda: O.measured_scale(O.mri(MASK), np.zeros((4, 6))), "not be zero"),
    "no operator": (lambda: O.measured_scale(np.ones(3), np.ones(3)), "be a linear operator"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_line(name):
    call, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
