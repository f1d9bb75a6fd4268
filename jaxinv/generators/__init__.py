"""Generators: prior maps ``x = G(u)`` as pytrees."""

from jaxinv.generators._base import Generator, Untrained
from jaxinv.generators.adapters import FromFlax, FromFunction, from_flax, from_function
from jaxinv.generators.relu import Relu, relu

__all__ = [
    "FromFlax",
    "FromFunction",
    "Generator",
    "Relu",
    "Untrained",
    "from_flax",
    "from_function",
    "relu",
]
