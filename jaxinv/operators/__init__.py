"""Measurement operators: pytrees of arrays with static shapes."""

from jaxinv.operators._base import (
    Adjoint,
    LinearOperator,
    Product,
    Scaled,
    Sum,
    Transpose,
)
from jaxinv.operators._contract import Operator
from jaxinv.operators._spectrum import Diagonalization
from jaxinv.operators.consistency import data_consistency, measured_scale
from jaxinv.operators.convolution import Convolution, convolution
from jaxinv.operators.dct import DCT, dct
from jaxinv.operators.dense import Dense, dense, gaussian
from jaxinv.operators.differences import FiniteDifference, finite_difference
from jaxinv.operators.fourier import SubsampledFourier, subsampled_fourier
from jaxinv.operators.function import LinearFunction, from_function
from jaxinv.operators.hadamard import SubsampledHadamard, subsampled_hadamard
from jaxinv.operators.kspace_masks import fourier_lines, radial_lines
from jaxinv.operators.mask import Identity, Mask, identity, mask
from jaxinv.operators.mri import (
    MRI,
    MulticoilMRI,
    coil_maps,
    fft2c,
    ifft2c,
    mri,
    multicoil_mri,
    root_sum_of_squares,
)
from jaxinv.operators.nonlinear import Magnitude, Sign, SingleIndex, magnitude, sign, single_index
from jaxinv.operators.resampling import Downsample, downsample
from jaxinv.operators.sampling import random_mask, variable_density_mask
from jaxinv.operators.wavelet import Wavelet, wavelet

__all__ = [
    "DCT",
    "MRI",
    "Adjoint",
    "Convolution",
    "Dense",
    "Diagonalization",
    "Downsample",
    "FiniteDifference",
    "Identity",
    "LinearFunction",
    "LinearOperator",
    "Magnitude",
    "Mask",
    "MulticoilMRI",
    "Operator",
    "Product",
    "Scaled",
    "Sign",
    "SingleIndex",
    "SubsampledFourier",
    "SubsampledHadamard",
    "Sum",
    "Transpose",
    "Wavelet",
    "coil_maps",
    "convolution",
    "data_consistency",
    "dct",
    "dense",
    "downsample",
    "fft2c",
    "finite_difference",
    "fourier_lines",
    "from_function",
    "gaussian",
    "identity",
    "ifft2c",
    "magnitude",
    "mask",
    "measured_scale",
    "mri",
    "multicoil_mri",
    "radial_lines",
    "random_mask",
    "root_sum_of_squares",
    "sign",
    "single_index",
    "subsampled_fourier",
    "subsampled_hadamard",
    "variable_density_mask",
    "wavelet",
]
