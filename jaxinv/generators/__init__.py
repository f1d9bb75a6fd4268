"""Generators: prior maps ``x = G(u)`` as pytrees."""

from jaxinv.generators._base import Generator, Untrained
from jaxinv.generators._flax import FromFlax, from_flax
from jaxinv.generators._untrained import NetworkGenerator, UntrainedPrior
from jaxinv.generators.adapters import FromFunction, from_function
from jaxinv.generators.convdecoder import ConvDecoder, convdecoder
from jaxinv.generators.coordinate import Coordinate, coordinate
from jaxinv.generators.dcgan import Dcgan, dcgan
from jaxinv.generators.deep_decoder import DeepDecoder, deep_decoder
from jaxinv.generators.relu import Relu, relu
from jaxinv.generators.two_layer import TwoLayer, two_layer
from jaxinv.generators.two_layer_decoder import TwoLayerDecoder, two_layer_decoder
from jaxinv.generators.unet import Unet, unet

__all__ = [
    "ConvDecoder",
    "Coordinate",
    "Dcgan",
    "DeepDecoder",
    "FromFlax",
    "FromFunction",
    "Generator",
    "NetworkGenerator",
    "Relu",
    "TwoLayer",
    "TwoLayerDecoder",
    "Unet",
    "Untrained",
    "UntrainedPrior",
    "convdecoder",
    "coordinate",
    "dcgan",
    "deep_decoder",
    "from_flax",
    "from_function",
    "relu",
    "two_layer",
    "two_layer_decoder",
    "unet",
]
