"""Generators: prior maps ``x = G(u)`` as pytrees."""

from ._adapters import from_function as from_function
from ._base import Generator as Generator
from ._convdecoder import convdecoder as convdecoder
from ._convolutional import convolutional as convolutional
from ._coordinate import coordinate as coordinate
from ._copies import copies as copies
from ._dcgan import dcgan as dcgan
from ._deep_decoder import deep_decoder as deep_decoder
from ._flax import FromFlax as FromFlax
from ._flax import from_flax as from_flax
from ._from_weights import from_weights as from_weights
from ._piecewise_linear import piecewise_linear as piecewise_linear
from ._plus_sparse import plus_sparse as plus_sparse
from ._product import product as product
from ._relu import relu as relu
from ._sparse_tents import circle as circle
from ._sparse_tents import sparse_tents as sparse_tents
from ._tail import tail as tail
from ._two_layer import two_layer as two_layer
from ._two_layer_decoder import two_layer_decoder as two_layer_decoder
from ._unet import Unet as Unet
from ._unet import unet as unet
from ._untrained import UntrainedPrior as UntrainedPrior
