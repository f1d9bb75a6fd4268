"""Blocks, their cosines and dictionaries, and windows."""

import numpy as np
import pytest
import scipy.fft

from jaxinv.operators import dct, dct_dictionary, join_blocks, split_blocks
from jaxinv.operators._blocks import BlockTransform
from jaxinv.operators._window import Window


@pytest.mark.parametrize("shape", [(8, 12), (7, 11), (4, 4)])
def test_blocks_cover_the_image_and_join_again(shape):
    image = np.arange(np.prod(shape), dtype=float).reshape(shape)
    blocks = split_blocks(image, (4, 3))
    assert blocks.shape == (-(-shape[0] // 4) * -(-shape[1] // 3), 4, 3)
    np.testing.assert_array_equal(blocks[0], image[:4, :3])
    np.testing.assert_array_equal(join_blocks(blocks, shape), image)


def test_dct_dictionary_is_that_of_scipy():
    matrix = np.asarray(dct_dictionary((3, 4), constant=True).matrix, float)
    patch = np.random.default_rng(0).normal(size=(3, 4))
    expected = scipy.fft.dctn(patch, norm="ortho").reshape(-1)
    np.testing.assert_allclose(matrix.T @ patch.reshape(-1), expected, atol=1e-6)
    np.testing.assert_allclose(dct_dictionary((3, 4)).matrix, matrix[:, 1:], atol=1e-6)
    wide = np.asarray(dct_dictionary(8, 11).matrix)
    assert wide.shape == (64, 120)
    np.testing.assert_allclose(np.linalg.norm(wide, axis=0), 1, rtol=1e-6)
    np.testing.assert_allclose(wide.sum(axis=0), 0, atol=1e-5)


def test_block_cosines_are_those_of_scipy():
    x = np.random.default_rng(0).normal(size=(16, 24)).astype(np.float32)
    transform = BlockTransform(dct(8).todense(), (16, 24))
    found = np.asarray(transform(x))
    expected = scipy.fft.dctn(x[8:, 8:16], norm="ortho")
    np.testing.assert_allclose(found[8:, 8:16], expected, atol=1e-5)
    np.testing.assert_allclose(transform.adjoint(found), x, atol=1e-5)


def test_window_is_adjoint_to_padding():
    window = Window((8, 16), (6, 11), (66,))
    rng = np.random.default_rng(0)
    u, y = rng.normal(size=(8, 16)), rng.normal(size=66)
    assert np.allclose(window(u), u[:6, :11].ravel())
    assert np.isclose(np.vdot(window(u), y), np.vdot(u, window.adjoint(y)), rtol=1e-5)
