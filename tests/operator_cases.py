"""The rows of the operators; see ``cases``."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg
from cases import complexes, floats, normal
from jax import Array
from jax.experimental import sparse
from jax.tree_util import Partial

import jaxinv as ji

O = ji.operators


class OperatorCase(NamedTuple):
    """One linear operator: ``make(key)`` builds it, its arrays random, its structure fixed.

    ``real_signals`` marks maps from real signals to complex measurements, whose adjoint is that
    of the real inner product.
    """

    name: str
    make: Callable[[Array], O.LinearOperator]
    real_signals: bool = False


def _complex(key: Array, shape: tuple[int, ...]) -> Array:
    return normal(key, shape, complexes())


def _boolean(key: Array, shape: tuple[int, ...]) -> Array:
    return O.random_mask(key, shape, 0.5)


def _integers(key: Array) -> Array:
    """Weights as an image file holds them: 255 and 0 among them, squares beyond their type."""
    return _punctured(jax.random.randint(key, (6,), 1, 256).astype("uint8").at[1].set(255))


def _punctured(weights: Array) -> Array:
    return weights.at[..., 0].set(0)


def _weighted_sums(matrix: Array, x: Array) -> Array:
    return jnp.stack([jnp.sum(matrix * x), x[0, 0] - x[1, 2], jnp.sum(jnp.flip(matrix) * x)])


def _half_spectrum(x: Array) -> Array:
    return jnp.fft.rfft(x)


def _mixed_sum(key: Array) -> O.LinearOperator:
    first, second = jax.random.split(key)
    fourier = O.subsampled_fourier(_boolean(first, (6,)), real=True)
    return fourier + O.dense(_complex(second, (6, 6)))


def _chain(key: Array) -> O.LinearOperator:
    first, second = jax.random.split(key)
    fourier = O.subsampled_fourier(_boolean(first, (8,)))
    return 0.5 * (fourier @ O.dense(normal(second, (8, 5)))) - 2j * (O.dense(_complex(key, (8, 5))))


def _blurred_spectrum(key: Array) -> O.LinearOperator:
    kernel = _complex(key, (3,))
    return O.subsampled_fourier(_boolean(key, (6,))) @ (2 * O.convolution(kernel, 6))


def _bounded(boundary: str, key: Array) -> O.LinearOperator:
    return O.convolution(normal(key, (3, 2)), (4, 5), boundary=boundary)


def _differences(boundary: str, key: Array) -> O.LinearOperator:
    return O.finite_difference((4, 3), boundary=boundary)


def _stacked_spectrum(key: Array) -> O.LinearOperator:
    fourier = O.subsampled_fourier(_boolean(key, (6,)), real=True)
    return O.vstack([fourier, O.dense(normal(key, (2, 6))), O.dense(_complex(key, (3, 6)))])


def _filter_bank(key: Array) -> O.LinearOperator:
    blur = O.convolution(normal(key, (3, 2)), (4, 5))
    return O.vstack([blur, O.finite_difference((4, 5), boundary="wrap")])


def _two_parts(key: Array) -> O.LinearOperator:
    return O.hstack([O.dense(normal(key, (4, 3))), O.dct(4) @ O.crop(1, 6)])


def _sparse(key: Array) -> O.LinearOperator:
    places = jnp.array([[0, 1], [2, 0], [2, 5], [1, 1], [0, 3]])
    matrix = sparse.BCOO((_complex(key, (5,)), places), shape=(4, 6))
    return O.from_sparse(matrix, in_shape=(2, 3))


def _frequencies(key: Array) -> O.LinearOperator:
    pytest.importorskip("nufftax")
    points = jax.random.uniform(key, (5, 1), floats(), -0.5, 0.5)
    return O.nufft(points, 6, tol=1e-6 if floats() == jnp.float32 else 1e-13)


def _lineax() -> Any:
    return pytest.importorskip("lineax")


_MATRIX = np.arange(12.0).reshape(3, 4) / 12 - 0.3
_HOST = O.from_linear_operator(scipy.sparse.linalg.aslinearoperator(_MATRIX), in_shape=(2, 2))


OPERATORS = [
    OperatorCase("dense", lambda key: O.dense(normal(key, (5, 7)))),
    OperatorCase("dense-complex", lambda key: O.dense(_complex(key, (5, 7)))),
    OperatorCase("gaussian", lambda key: O.gaussian(key, 4, 6, dtype=floats())),
    OperatorCase("gaussian-complex", lambda key: O.gaussian(key, 6, 4, dtype=complexes())),
    OperatorCase("identity", lambda key: O.identity((2, 3))),
    OperatorCase("mask-boolean", lambda key: O.mask(_boolean(key, (3, 4)))),
    OperatorCase("mask-integer", lambda key: O.mask(_integers(key))),
    OperatorCase("mask-real", lambda key: O.mask(_punctured(normal(key, (6,))))),
    OperatorCase("mask-complex", lambda key: O.mask(_punctured(_complex(key, (6,))))),
    OperatorCase("fourier", lambda key: O.subsampled_fourier(_boolean(key, (4, 6)))),
    OperatorCase(
        "fourier-weights", lambda key: O.subsampled_fourier(_punctured(_complex(key, (7,))))
    ),
    OperatorCase(
        "fourier-real",
        lambda key: O.subsampled_fourier(_punctured(normal(key, (3, 4))), real=True),
        True,
    ),
    OperatorCase("mri", lambda key: O.mri(_boolean(key, (4, 5)))),
    OperatorCase("mri-real", lambda key: O.mri(_boolean(key, (5, 4)), real=True), True),
    OperatorCase(
        "multicoil_mri",
        lambda key: O.multicoil_mri(_boolean(key, (4, 3)), _complex(key, (2, 4, 3))),
    ),
    OperatorCase(
        "multicoil_mri-no-maps",
        lambda key: O.multicoil_mri(_boolean(key, (4, 3)), num_coils=2),
    ),
    OperatorCase("hadamard", lambda key: O.subsampled_hadamard(key, 5, 8)),
    OperatorCase("hadamard-padded", lambda key: O.subsampled_hadamard(key, 6, (3, 4))),
    OperatorCase("dct", lambda key: O.dct(7)),
    OperatorCase("dct-2d", lambda key: O.dct((4, 5))),
    OperatorCase("convolution", lambda key: O.convolution(normal(key, (4,)), 7)),
    OperatorCase("convolution-2d", lambda key: O.convolution(normal(key, (3, 2)), (4, 5))),
    OperatorCase("convolution-complex", lambda key: O.convolution(_complex(key, (3,)), 6)),
    *(
        OperatorCase(f"convolution-{boundary}", partial(_bounded, boundary))
        for boundary in ("reflect", "valid")
    ),
    OperatorCase("downsample", lambda key: O.downsample(3, 9)),
    OperatorCase("downsample-2d", lambda key: O.downsample((2, 1), (4, 3))),
    OperatorCase("finite_difference", lambda key: O.finite_difference(6)),
    OperatorCase("finite_difference-2d", lambda key: O.finite_difference((4, 5))),
    *(
        OperatorCase(f"finite_difference-{boundary}", partial(_differences, boundary))
        for boundary in ("wrap", "valid")
    ),
    OperatorCase("pad", lambda key: O.pad(((1, 2), 1), (2, 3))),
    OperatorCase("pad-reflect", lambda key: O.pad(((1, 2), 1), (2, 3), boundary="reflect")),
    OperatorCase("crop", lambda key: O.crop((1, (0, 2)), (4, 5))),
    OperatorCase("vstack", lambda key: O.vstack([O.dense(normal(key, (5, 4))), 2 * O.dct(4)])),
    OperatorCase("vstack-mixed", _stacked_spectrum, True),
    OperatorCase("vstack-diagonal", _filter_bank),
    OperatorCase("hstack", _two_parts),
    OperatorCase(
        "block_diag",
        lambda key: O.block_diag([O.dense(_complex(key, (2, 3))), O.downsample(2, (2, 2))]),
    ),
    OperatorCase("wavelet", lambda key: O.wavelet(16, "db2", 3)),
    OperatorCase("wavelet-biorthogonal", lambda key: O.wavelet((32, 4), "bior2.2", 1)),
    OperatorCase("from_sparse", _sparse),
    OperatorCase("nufft", _frequencies),
    OperatorCase(
        "radon", lambda key: O.radon((4, 3), 180 * jax.random.uniform(key, (2,), floats()))
    ),
    OperatorCase(
        "from_lineax",
        lambda key: O.from_lineax(_lineax().MatrixLinearOperator(normal(key, (3, 4)))),
    ),
    OperatorCase("from_linear_operator", lambda key: _HOST),
    OperatorCase("wavelet-2d", lambda key: O.wavelet((36, 4), "haar", 2)),
    OperatorCase(
        "from_function",
        lambda key: O.from_function(Partial(_weighted_sums, normal(key, (3, 4))), (3, 4), floats()),
    ),
    OperatorCase(
        "from_function-spectrum", lambda key: O.from_function(_half_spectrum, 6, floats()), True
    ),
    OperatorCase("adjoint", lambda key: O.dense(_complex(key, (3, 5))).H),
    OperatorCase("transpose", lambda key: O.dense(_complex(key, (3, 5))).T),
    OperatorCase("scaled", lambda key: (1 - 2j) * O.dct(6)),
    OperatorCase("product", lambda key: O.downsample(2, (2, 4)) @ O.mask(normal(key, (2, 4)))),
    OperatorCase("chain", _chain),
    OperatorCase(
        "synthesis",
        lambda key: O.convolution(normal(key, (3,)), 8) @ O.wavelet(8, "haar", 2).H,
    ),
    OperatorCase("blurred-spectrum", _blurred_spectrum),
    OperatorCase("sum-mixed", _mixed_sum, True),
    OperatorCase(
        "scaled-real-signals",
        lambda key: (2 - 1j) * O.subsampled_fourier(_boolean(key, (6,)), real=True),
        True,
    ),
]


class NonlinearCase(NamedTuple):
    """One nonlinear operator; ``smooth`` says whether its gradient can be checked numerically."""

    name: str
    make: Callable[[Array], O.Operator]
    smooth: bool = True


def _scaled_tanh(scale: Array, v: Array) -> Array:
    return jnp.tanh(v) * scale


NONLINEAR_OPERATORS = [
    NonlinearCase("magnitude", lambda key: O.magnitude(O.dense(normal(key, (6, 4))))),
    NonlinearCase(
        "magnitude-complex",
        lambda key: O.magnitude(O.subsampled_fourier(_boolean(key, (4,)), real=True)),
    ),
    NonlinearCase("sign", lambda key: O.sign(O.dense(normal(key, (6, 4)))), False),
    NonlinearCase(
        "sign-dither", lambda key: O.sign(O.dense(normal(key, (6, 4))), normal(key, (6,))), False
    ),
    NonlinearCase(
        "single_index", lambda key: O.single_index(O.dense(normal(key, (6, 4))), jnp.tanh)
    ),
    NonlinearCase(
        "single_index-partial",
        lambda key: O.single_index(O.identity(4), Partial(_scaled_tanh, normal(key, ()))),
    ),
]
