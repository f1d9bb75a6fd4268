"""The rows of the fuzzing tests for operators."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from cases import floats
from fuzz_values import KEY, A, ones, row, unit_matrix

MASK = np.arange(64).reshape(8, 8) % 3 == 0


def _linear_operator() -> Any:
    return scipy.sparse.linalg.aslinearoperator(unit_matrix())


def _lineax_operator() -> Any:
    import lineax

    return lineax.MatrixLinearOperator(jnp.asarray(unit_matrix()))


def _sparse_matrix() -> Any:
    return scipy.sparse.csr_array(unit_matrix())


OPERATORS = [
    row("operators.block_diag", lambda: {"operators": [A(), A()]}),
    row("operators.coil_maps", lambda: {"shape": (6, 5), "num_coils": 2}),
    row("operators.convolution", lambda: {"kernel": ones(3), "shape": 8, "boundary": "zero"}),
    row("operators.crop", lambda: {"width": 2, "shape": (6, 8)}),
    row(
        "operators.data_consistency",
        lambda: {"operator": A(), "y": ones(6), "x": ones(10), "weight": 0.1, "num_steps": 2},
    ),
    row("operators.dct", lambda: {"shape": 8}),
    row("operators.dense", lambda: {"matrix": unit_matrix()}),
    row("operators.dot_test", lambda: {"operator": A(), "key": KEY}),
    row("operators.downsample", lambda: {"factor": 2, "shape": 8}),
    row("operators.fft2c", lambda: {"x": ones(4, 4)}, passes=("x",)),
    row("operators.finite_difference", lambda: {"shape": (4, 5), "boundary": "wrap"}),
    row(
        "operators.fourier_lines",
        lambda: {"key": KEY, "shape": (8, 8), "acceleration": 2.0, "center_fraction": 0.25},
    ),
    row("operators.from_function", lambda: {"fn": jnp.cumsum, "in_shape": 6, "dtype": floats()}),
    row(
        "operators.from_linear_operator",
        lambda: {"operator": _linear_operator(), "in_shape": (5, 2)},
    ),
    row("operators.from_lineax", lambda: {"operator": _lineax_operator()}),
    row("operators.from_sparse", lambda: {"matrix": _sparse_matrix(), "in_shape": (5, 2)}),
    row("operators.gaussian", lambda: {"key": KEY, "m": 4, "n": 6}),
    row("operators.hstack", lambda: {"operators": [A(), A()]}),
    row("operators.identity", lambda: {"shape": (2, 3)}),
    row("operators.ifft2c", lambda: {"y": ones(4, 4)}, passes=("y",)),
    row("operators.magnitude", lambda: {"operator": A()}),
    row("operators.mask", lambda: {"mask": MASK, "shape": (8, 8, 3)}),
    row("operators.measured_scale", lambda: {"operator": A(), "y": ones(6)}),
    row("operators.mri", lambda: {"mask": MASK}),
    row("operators.multicoil_mri", lambda: {"mask": MASK, "maps": ones(2, 8, 8)}),
    row("operators.nufft", lambda: {"points": ones(4, 2) / 4, "shape": (8, 8)}),
    row("operators.outer", lambda: {"n": 6}),
    row("operators.pad", lambda: {"width": 2, "shape": (6, 8), "boundary": "reflect"}),
    row("operators.radial_lines", lambda: {"shape": (8, 8), "num_lines": 4}),
    row("operators.radon", lambda: {"shape": (8, 8), "angles": ones(3), "num_bins": 8}),
    row("operators.random_mask", lambda: {"key": KEY, "shape": (8,), "ratio": 0.5}),
    row("operators.root_sum_of_squares", lambda: {"x": ones(2, 4, 4)}, passes=("x",)),
    row("operators.sign", lambda: {"operator": A(), "dither": ones(6)}),
    row("operators.single_index", lambda: {"operator": A(), "link": jnp.tanh}),
    row("operators.subsampled_fourier", lambda: {"mask": MASK}),
    row("operators.subsampled_hadamard", lambda: {"key": KEY, "m": 4, "n": 8}),
    row("operators.variable_density_mask", lambda: {"key": KEY, "shape": (8, 8), "ratio": 0.5}),
    row("operators.vstack", lambda: {"operators": [A(), A()]}),
    row("operators.wavelet", lambda: {"shape": 16, "name": "db2", "levels": 2}),
]
