"""Expected tangent kernel of the two-layer convolutional network: its basis and its spectrum."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Int, Num

from jaxinv._core import checks, numerics
from jaxinv.operators import LinearOperator, convolution

_LARGEST_BYTES = 8 * 2**30
_ROUNDINGS = 4  # of the largest lag, in an autocorrelation by FFT


def trigonometric_basis(n: int, *, dtype: Any = None) -> Float[Array, "n n"]:
    r"""Return the orthonormal trigonometric basis of n dimensions.

    .. math:: [w_i]_j = \frac{1}{\sqrt n} \begin{cases} 1 & i = 0 \\
        \sqrt 2 \cos(2 \pi j i / n) & 1 \le i < n/2 \\ (-1)^j & i = n/2 \\
        \sqrt 2 \sin(2 \pi j i / n) & n/2 < i < n \end{cases}

    Column i has the frequency min(i, n − i), so ``spectrum(kernel)[i]`` belongs to it. For odd n
    there is no column of frequency n/2.

    Args:
        n: dimension, >= 1.
        dtype: real floating type; default JAX's own.

    Returns:
        Shape (n, n), columns w_0 to w_{n−1}; ``W.T @ W`` is the identity.

    Raises:
        ValueError: n < 1, or a type that is not real.

    Cost: n² cosines on the host, in float64.

    Example:
        >>> W = trigonometric_basis(6)
        >>> bool(jax.numpy.allclose(W.T @ W, jax.numpy.eye(6), atol=1e-6))
        True

    Source: Heckel, Soltanolkotabi (2020), equation (10).
    """
    n = checks.count("trigonometric_basis", "n", n)
    dtype = jnp.result_type(float) if dtype is None else dtype
    dtype = checks.float_type("trigonometric_basis", dtype, real=True)
    j, i = np.arange(n)[:, None], np.arange(n)[None, :]
    angle = 2 * np.pi * ((j * i) % n) / n  # reduced first: large products would lose digits
    scale = np.where((i == 0) | (2 * i == n), 1.0, math.sqrt(2.0)) / math.sqrt(n)
    return jnp.asarray(scale * np.where(2 * i <= n, np.cos(angle), np.sin(angle)), dtype)


def frequency_order(n: int) -> Int[np.ndarray, "n"]:
    """Return the indices 0, 1, n − 1, 2, n − 2, ... that sort ``trigonometric_basis`` by frequency.

    A p-smooth signal is a combination of the columns ``frequency_order(n)[:p]``.

    Args:
        n: dimension, >= 1.

    Returns:
        A permutation of 0 to n − 1, cosine before sine.

    Raises:
        ValueError: n < 1.

    Example:
        >>> frequency_order(6).tolist()
        [0, 1, 5, 2, 4, 3]
    """
    index = np.arange(checks.count("frequency_order", "n", n))
    return np.lexsort((index, np.minimum(index, index.size - index)))


def spectrum(kernel: Num[ArrayLike, "*kernel"]) -> Float[Array, "*kernel"]:
    r"""Return the singular values of the expected Jacobian of a two-layer network.

    The network is G(C) = ReLU(U C) v with ‖v‖ = 1, U the circular convolution with u, and
    Gaussian C. With the autocorrelation r of u, r_0 = ‖u‖²,

    .. math:: \sigma = \sqrt{ F \bigl( \|u\|^2 g(r / \|u\|^2) \bigr) }, \qquad
        g(z) = \tfrac12 \Bigl(1 - \frac{\arccos z}{\pi}\Bigr) z

    Args:
        kernel: u, all n taps, or h × w of them (zeros included). Index 0 need not be its center:
            shifts do not matter.

    Returns:
        σ in FFT order, of the shape of ``kernel``. In 1-D entry i belongs to column i of
        ``trigonometric_basis``, entries i and n − i being equal.

    Raises:
        ValueError: a kernel that is zero, complex, not finite, or has other than 1 or 2 axes.

    Cost: three FFTs.

    Notes: the source writes u ⊛ u for r, which is right for even kernels only. It calls the decay
        of σ geometric; it is a power law: g has a square-root kink at z = 1, where r/‖u‖² has a
        smooth maximum, so that beyond the main lobe σ falls like 1/frequency.

    Example:
        >>> import jax.numpy as jnp
        >>> [round(float(value), 4) for value in spectrum(jnp.array([1.0, 0.0, 0.0, 0.0]))]  # 1/√2
        [0.7071, 0.7071, 0.7071, 0.7071]

    Source: Heckel, Soltanolkotabi (2020), equation (11).
    """
    return singular_values("spectrum", kernel)


def singular_values(where: str, kernel: Any) -> Array:
    """Return ``spectrum`` for the function ``where``."""
    return _singular_values(expected_column(where, kernel))


@jax.jit
def _singular_values(column: Array) -> Array:
    # the transform of a positive definite sequence: negative only by rounding
    values = jnp.fft.fftn(column).real
    return numerics.safe_sqrt(jnp.abs(values)).astype(column.dtype)


def expected_kernel(kernel: Num[ArrayLike, "*kernel"]) -> Float[Array, "n n"]:
    r"""Return Σ(U) = E[J Jᵀ], the expected tangent kernel of a two-layer network.

    .. math:: \Sigma_{ij} = \tfrac12 \Bigl(1 - \frac{1}{\pi}
        \arccos \frac{\langle u_i, u_j \rangle}{\|u\|^2} \Bigr) \langle u_i, u_j \rangle

    with the rows u_i of U. It does not depend on the variance of C, and is circulant (block
    circulant in 2-D) with the eigenvalues ``spectrum(kernel)**2``.

    Args:
        kernel: u, all n taps, or h × w of them.

    Returns:
        Shape (n, n), n the number of taps; images are flattened row by row.

    Raises:
        ValueError: as ``spectrum``; a matrix above 8 GiB (use ``expected_operator``).

    Cost: two FFTs, and writing n² numbers.

    Example:
        >>> import jax.numpy as jnp
        >>> expected_kernel(jnp.array([2.0, 0.0])).tolist()
        [[2.0, 0.0], [0.0, 2.0]]

    Source: Heckel, Soltanolkotabi (2020), appendix B; Cho, Saul (2009) for the expectation.
    """
    column = expected_column("expected_kernel", kernel)
    if column.size**2 * column.dtype.itemsize > _LARGEST_BYTES:
        got = f"{column.size} taps"
        hint = "Use expected_operator, which stores no matrix."
        checks.fail("expected_kernel", "kernel", "give a matrix of at most 8 GiB", got, hint)
    return circulant(column)


def expected_operator(kernel: Num[ArrayLike, "*kernel"]) -> LinearOperator:
    """Return Σ(U) of ``expected_kernel`` as a circular convolution, which stores no matrix.

    Args:
        kernel: u, all n taps, or h × w of them.

    Returns:
        A linear operator from signals of the kernel's shape to the same shape.

    Raises:
        ValueError: as ``spectrum``.

    Cost: two FFTs; three for each product.

    Example:
        >>> import jax.numpy as jnp
        >>> kernel, x = jnp.array([1.0, 1.0, 0.0, 0.0]), jnp.arange(4.0)
        >>> op = expected_operator(kernel)
        >>> bool(jnp.allclose(op @ x, expected_kernel(kernel) @ x, atol=1e-5))
        True

    Source: as ``expected_kernel``.
    """
    column = expected_column("expected_operator", kernel)
    shifts = tuple(size // 2 for size in column.shape)  # where ``convolution`` has its center
    kernel = jnp.roll(column, shifts, tuple(range(column.ndim)))
    return convolution(kernel, column.shape, normalize=False)


def expected_column(where: str, kernel: Any) -> Array:
    """Return ‖u‖² g(r / ‖u‖²), the first column of Σ(U), in the shape of the kernel."""
    return _column(require_kernel(where, kernel))


@jax.jit
def _column(kernel: Array) -> Array:
    lags = autocorrelation(kernel)
    ratio = lags / lags.reshape(-1)[0]
    # arccos turns a rounding of eps near ±1 into one of √eps, and has no derivative there; lag 0
    # and the period of the kernel have the ratio 1, give or take a rounding
    inside = jnp.abs(ratio) < 1 - _ROUNDINGS * jnp.finfo(ratio.dtype).eps
    angle = jnp.arccos(jnp.where(inside, ratio, 0))
    angle = jnp.where(inside, angle, jnp.where(ratio > 0, 0, jnp.pi))
    return (0.5 * (1 - angle / jnp.pi) * lags).astype(kernel.dtype)


def autocorrelation(kernel: Array) -> Array:
    """Return r_d = Σ_j u_j u_{j+d}, circular, which is also the first column of U Uᵀ."""
    transfer = jnp.fft.rfftn(kernel)
    return jnp.fft.irfftn(jnp.real(transfer * jnp.conj(transfer)), kernel.shape).astype(
        kernel.dtype
    )


@jax.jit
def circulant(column: Array) -> Array:
    """Return the matrix of the circular convolution whose first column, as an array, is given."""
    places = np.indices(column.shape).reshape(column.ndim, -1)
    sizes = np.asarray(column.shape)[:, None, None]
    lags = (places[:, :, None] - places[:, None, :]) % sizes
    return column[tuple(lags)]


def require_kernel(where: str, kernel: Any) -> Array:
    """Return a kernel as a real array of one or two axes that is not zero."""
    kernel = checks.array(where, "kernel", kernel)
    if kernel.ndim not in (1, 2) or kernel.size == 0:
        checks.fail(where, "kernel", "have shape (n,) or (h, w)", kernel)
    if jnp.iscomplexobj(kernel):
        checks.fail(where, "kernel", "be real", kernel)
    checks.finite(where, "kernel", kernel)
    if checks.is_concrete(kernel) and not np.any(np.asarray(kernel)):
        checks.fail(where, "kernel", "not be zero", "all zeros")
    kernel = kernel.astype(jnp.result_type(kernel, jnp.float32))  # FFTs know no shorter type
    energy = numerics.sum_squares(kernel)
    if checks.is_concrete(energy) and not 0 < float(energy) < float("inf"):
        expected = f"have a norm whose square is a number of {kernel.dtype}"
        checks.fail(where, "kernel", expected, f"a square of {energy}")
    return kernel
