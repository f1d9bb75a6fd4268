"""Images cut into blocks: transforms of each, and dictionaries for them."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Inexact, Num

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._dense import Dense, dense


def split_blocks(
    image: Num[ArrayLike, "h w"], block_shape: Any = 8
) -> Inexact[Array, "blocks height width"]:
    """Cut an image into blocks that do not overlap, row by row.

    An image whose sides are no multiples of the block's is extended by repeating its last row
    and column; ``join_blocks`` cuts that off again.

    Args:
        image: shape (h, w).
        block_shape: (height, width) of a block, or one number for both.

    Returns:
        The blocks, shape (number of blocks, height, width).

    Raises:
        ValueError: an image that is not two-dimensional.

    Example:
        >>> import jax.numpy as jnp
        >>> image = jnp.arange(20.0).reshape(4, 5)
        >>> blocks = split_blocks(image, 2)
        >>> blocks.shape, bool((join_blocks(blocks, (4, 5)) == image).all())
        ((6, 2, 2), True)
    """
    image = checks.array("split_blocks", "image", image, ndim=2)
    height, width = block_sides("split_blocks", block_shape)
    rows, columns = (math.ceil(a / b) for a, b in zip(image.shape, (height, width), strict=True))
    margins = ((0, rows * height - image.shape[0]), (0, columns * width - image.shape[1]))
    padded = jnp.pad(image, margins, mode="edge")
    parts = padded.reshape(rows, height, columns, width).swapaxes(1, 2)
    return parts.reshape(rows * columns, height, width)


def join_blocks(
    blocks: Num[ArrayLike, "blocks height width"], image_shape: Any
) -> Inexact[Array, "h w"]:
    """Put the blocks of ``split_blocks`` together again.

    Args:
        blocks: shape (number of blocks, height, width), in the order of ``split_blocks``.
        image_shape: (h, w) of the image.

    Returns:
        The image.

    Raises:
        ValueError: another number of blocks than such an image has.

    Example: see ``split_blocks``.
    """
    where = "join_blocks"
    blocks = checks.array(where, "blocks", blocks, ndim=3)
    sides = checks.shape(where, "image_shape", image_shape)
    if len(sides) != 2:
        checks.fail(where, "image_shape", "be (h, w)", str(sides))
    count, height, width = blocks.shape
    rows, columns = math.ceil(sides[0] / height), math.ceil(sides[1] / width)
    if count != rows * columns:
        expected = f"be {rows * columns} of {height} x {width} for an image of {sides}"
        checks.fail(where, "blocks", expected, f"{count}")
    image = blocks.reshape(rows, columns, height, width).swapaxes(1, 2)
    return image.reshape(rows * height, columns * width)[: sides[0], : sides[1]]


def dct_dictionary(
    block_shape: Any = 8,
    num_frequencies: int | None = None,
    *,
    constant: bool = False,
    dtype: Any = jnp.float32,
) -> Dense:
    r"""Make a dictionary of cosines for blocks: orthonormal, or overcomplete.

    .. math:: d_{kl}[i, j] \propto \cos\frac{\pi k (2 i + 1)}{2 q} \cos\frac{\pi l (2 j + 1)}{2 q}

    With q = num_frequencies equal to the side of the block it is the basis of the discrete
    cosine transform; with more it is overcomplete. Without the constant atom, it serves blocks
    less their mean, and every atom has mean 0.

    Args:
        block_shape: (height, width) of a block, or one number for both.
        num_frequencies: frequencies along either side, at least the longer side; None: those of
            the cosine transform.
        constant: keep the atom without variation.
        dtype: real floating type.

    Returns:
        ``Dense`` from codes (n,) to blocks, flattened row by row (p,), with columns of norm 1;
        n is the product of the numbers of frequencies, less 1 without the constant.

    Raises:
        ValueError: fewer frequencies than the block has pixels along a side; a block of one
            pixel without the constant.

    Example:
        >>> dct_dictionary(8).in_shape, dct_dictionary(8, 11).in_shape
        ((63,), (120,))

    Source: the overcomplete one as in Elad, Aharon (2006), section III.
    """
    where = "dct_dictionary"
    height, width = block_sides(where, block_shape)
    constant = checks.boolean(where, "constant", constant)
    dtype = checks.float_type(where, dtype, real=True)
    if num_frequencies is not None:
        num_frequencies = checks.count(where, "num_frequencies", num_frequencies)
        if num_frequencies < max(height, width):
            expected = f"be at least {max(height, width)}, the side of the block"
            checks.fail(where, "num_frequencies", expected, f"{num_frequencies}")
    if height * width == 1 and not constant:
        checks.fail(where, "block_shape", "have more than one pixel", f"({height}, {width})")
    atoms = np.kron(_cosines(height, num_frequencies), _cosines(width, num_frequencies))
    first, rest = atoms[:, :1], atoms[:, 1:]
    rest = rest - rest.mean(axis=0)
    matrix = np.concatenate([first, rest], axis=1) if constant else rest
    matrix = matrix / np.linalg.norm(matrix, axis=0)
    return dense(jnp.asarray(matrix, dtype))


def _cosines(size: int, num_frequencies: int | None) -> np.ndarray:
    count = size if num_frequencies is None else num_frequencies
    angles = np.pi * np.outer(2 * np.arange(size) + 1, np.arange(count)) / (2 * count)
    return np.cos(angles)


def block_sides(where: str, block_shape: Any, argument: str = "block_shape") -> tuple[int, int]:
    """Return (height, width); one number stands for both."""
    sides = checks.shape(where, argument, block_shape)
    if len(sides) not in (1, 2):
        checks.fail(where, argument, "be an int or (height, width)", str(sides))
    return (sides[0], sides[-1])


@pytree
class BlockTransform(LinearOperator):
    """An orthonormal transform of the rows and of the columns of each block, as JPEG has it."""

    matrix: Array
    shape: tuple[int, int] = static()

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.shape

    def _apply(self, x: Array) -> Array:
        return self._on_blocks(self.matrix, x)

    def _adjoint(self, y: Array) -> Array:
        return self._on_blocks(self.matrix.T, y)

    def _on_blocks(self, matrix: Array, x: Array) -> Array:
        height, width = self.shape
        side = len(matrix)
        matrix = matrix.astype(x.dtype)
        rows = numerics.matmul(matrix, x.reshape(-1, side, width))
        blocks = rows.reshape(height, -1, side)
        return numerics.matmul(blocks, matrix.T).reshape(self.shape)
