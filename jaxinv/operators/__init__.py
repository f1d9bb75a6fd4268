"""Measurement operators: pytrees of arrays with static shapes."""

from jaxinv.operators._base import (
    Adjoint,
    LinearOperator,
    Operator,
    Product,
    Scaled,
    Sum,
    Transpose,
)
from jaxinv.operators.convolution import Convolution, convolution
from jaxinv.operators.dct import DCT, dct
from jaxinv.operators.dense import Dense, dense, gaussian
from jaxinv.operators.differences import FiniteDifference, finite_difference
from jaxinv.operators.fourier import SubsampledFourier, subsampled_fourier
from jaxinv.operators.function import LinearFunction, from_function
from jaxinv.operators.hadamard import SubsampledHadamard, subsampled_hadamard
from jaxinv.operators.mask import Identity, Mask, identity, mask
from jaxinv.operators.nonlinear import Magnitude, Sign, SingleIndex, magnitude, sign, single_index
from jaxinv.operators.resampling import Downsample, downsample
from jaxinv.operators.sampling import random_mask, variable_density_mask
from jaxinv.operators.wavelet import Wavelet, wavelet

__all__ = [
    "DCT",
    "Adjoint",
    "Convolution",
    "Dense",
    "Downsample",
    "FiniteDifference",
    "Identity",
    "LinearFunction",
    "LinearOperator",
    "Magnitude",
    "Mask",
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
    "convolution",
    "dct",
    "dense",
    "downsample",
    "finite_difference",
    "from_function",
    "gaussian",
    "identity",
    "magnitude",
    "mask",
    "random_mask",
    "sign",
    "single_index",
    "subsampled_fourier",
    "subsampled_hadamard",
    "variable_density_mask",
    "wavelet",
]
