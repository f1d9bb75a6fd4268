"""The contract of untrained priors: networks whose unknown is their parameters."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Inexact

from jaxinv._core import checks, memory, pytree, replace
from jaxinv._core.typed import PyTree
from jaxinv.generators._base import Generator

# beartype knows Self only in classes that it decorates as a whole
_Prior = TypeVar("_Prior", bound="UntrainedPrior")


class UntrainedPrior:
    """The map ``params -> x`` of a network with a fixed input; no training data anywhere.

    It is the prior of a problem whose unknown ``u`` is ``params``. ``params`` is a start drawn
    at construction, ``z`` the fixed input (None where the network has none); both are leaves,
    the architecture is static. ``vmap`` over ``draw`` gives independent networks. It is what
    ``deep_decoder`` and the other constructors of untrained networks return.
    """

    params: Any
    z: Any

    keeps_input_type: ClassVar[bool] = False  # whether z needs its digits in half precision

    @property
    def in_shape(self) -> None:
        """The unknown is a tree of parameters, not one array."""
        return None

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        raise NotImplementedError

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Shape of the fixed input ``z``, or None where there is none."""
        raise NotImplementedError

    @property
    def zero_is_fixed(self) -> bool:
        """Whether no descent leaves parameters that are all zero."""
        return True

    @property
    def num_parameters(self) -> int:
        """Number of trainable real numbers."""
        tree = jax.eval_shape(self.init, jax.random.key(0))
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))

    def _parameters(self, key: Array) -> Any:
        raise NotImplementedError

    def _input(self, key: Array) -> Any:
        raise NotImplementedError

    def _forward(self, params: Any, z: Any) -> Array:
        raise NotImplementedError

    def init(self, key: Any) -> Any:
        """Return fresh parameters, distributed as published."""
        return _drawn_params(self._bare(), checks.key(f"{type(self).__name__}.init", key))

    def draw(self: _Prior, key: Any) -> _Prior:
        """Return the same architecture with a new input and new parameters."""
        where = f"{type(self).__name__}.draw"
        key = checks.key(where, key)
        shapes = jax.tree.leaves(jax.eval_shape(self.init, key))
        count = sum(math.prod(leaf.shape) for leaf in shapes)
        memory.require_memory(where, count, shapes[0].dtype.itemsize)
        z, params = _drawn(self._bare(), key)
        return replace(self, z=z, params=params)

    def with_input(self: _Prior, z: Any) -> _Prior:
        """Return the prior with another fixed input, for instance a perturbed one."""
        where = f"{type(self).__name__}.with_input"
        if self.input_shape is None:
            checks.fail(where, "z", "not be given: this network has no input", z)
        z = checks.array(where, "z", z)
        checks.shape_is(where, "z", z, self.input_shape)
        return replace(self, z=z)

    def plain(self: _Prior) -> _Prior:
        """Return an equal prior that forward mode can differentiate: here, the prior itself."""
        return self

    def generator(self, params: Any = None) -> NetworkGenerator:
        """Return the network as a map ``z -> x``, for a search over its input."""
        where = f"{type(self).__name__}.generator"
        if self.input_shape is None:
            checks.fail(where, "self", "have an input", type(self).__name__)
        params = self.params if params is None else self.checked_params(where, params)
        return NetworkGenerator(params, replace(self, params=None))

    def __call__(self, params: PyTree) -> Inexact[Array, "*signal"]:
        """Return the signal ``x`` for these parameters."""
        return _evaluated(self._bare(), self.checked_params(type(self).__name__, params), self.z)

    def _bare(self: _Prior) -> _Prior:
        """Return the architecture alone: what changes from call to call comes beside it."""
        return replace(self, params=None, z=None)

    def checked_params(self, where: str, params: Any) -> Any:
        """Return ``params`` if they have the structure and shapes of this network."""
        expected = _drawn_params.eval_shape(self._bare(), jax.random.key(0))
        hint = "Draw parameters with prior.init(key); use jax.vmap for a batch of them."
        if jax.tree.structure(params) != jax.tree.structure(expected):
            got = f"the structure {jax.tree.structure(params)}"
            checks.fail(where, "params", "have the structure of prior.params", got[:90], hint)
        leaves = zip(jax.tree.leaves(params), jax.tree.leaves(expected), strict=True)
        for leaf, wanted in leaves:
            if jnp.shape(leaf) != wanted.shape:
                checks.fail(where, "params", f"hold shape {wanted.shape}", leaf, hint)
        return params


# One program each where a user calls them outside ``jit``, and part of the caller's inside it.
@functools.partial(jax.jit, inline=True)
def _evaluated(prior: UntrainedPrior, params: Any, z: Any) -> Array:
    return prior._forward(params, z)


@functools.partial(jax.jit, inline=True)
def _drawn_params(prior: UntrainedPrior, key: Array) -> Any:
    return prior._parameters(key)


@functools.partial(jax.jit, inline=True)
def _drawn(prior: UntrainedPrior, key: Array) -> tuple[Any, Any]:
    for_input, for_params = jax.random.split(key)
    return prior._input(for_input), prior._parameters(for_params)


@pytree
class NetworkGenerator(Generator):
    """The network of an untrained prior as a map ``z -> x``; see ``UntrainedPrior.generator``."""

    params: Any
    network: UntrainedPrior

    @property
    def in_shape(self) -> tuple[int, ...] | None:
        return self.network.input_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        """Shape of ``x``."""
        return self.network.out_shape

    def _apply(self, z: Array) -> Array:
        return _evaluated(self.network._bare(), self.params, z)

    def untrained(self, z: Any, *, init: Any = None) -> Any:
        """Return the untrained prior for the fixed input ``z``; it draws its own parameters."""
        if init is not None:
            checks.fail("untrained", "init", "be None: this network draws its parameters", init)
        return replace(self.network, params=self.params).with_input(z)


class Layout(NamedTuple):
    """How the network's (*size, channels) output becomes a signal; static, compared by value."""

    size: tuple[int, ...]
    channels: int
    shape: tuple[int, ...]
    channels_first: bool = False
    is_complex: bool = False

    @property
    def num_outputs(self) -> int:
        """Real output channels of the network: two for each complex one."""
        return self.channels * (2 if self.is_complex else 1)

    def assemble(self, x: Array, *, squash: bool = False) -> Array:
        """Return the signal of ``shape`` from real channels, real parts before imaginary ones.

        ``squash`` bounds them: real signals to [0, 1]; real and imaginary parts to [-1, 1], since
        a phase has either sign.
        """
        if squash:
            x = jnp.tanh(x / 2) if self.is_complex else jax.nn.sigmoid(x)
        if self.is_complex:
            x = x.astype(jnp.result_type(x.dtype, jnp.float32))  # no shorter complex numbers
            x = jax.lax.complex(x[..., : self.channels], x[..., self.channels :])
        if self.channels_first:
            x = jnp.moveaxis(x, -1, 0)
        return x.reshape(self.shape)


def layout(
    where: str, shape: Any, dtype: Any, *, channels_first: bool = False, signals: bool = False
) -> tuple[Layout, Any]:
    """Return the layout of a signal of ``shape``, and the real type of the parameters."""
    shape = checks.shape(where, "shape", shape)
    dtype = checks.float_type(where, dtype)
    channels_first = checks.boolean(where, "channels_first", channels_first)
    allowed = (1, 2, 3) if signals else (2, 3)
    if len(shape) not in allowed:
        names = "(h, w) or (h, w, channels)" + (", or (n,) in 1-D" if signals else "")
        checks.fail(where, "shape", f"be {names}", f"{shape}")
    if len(shape) < 3:
        size, channels = shape, 1
    elif channels_first:
        size, channels = shape[1:], shape[0]
    else:
        size, channels = shape[:-1], shape[-1]
    is_complex = bool(jnp.issubdtype(dtype, jnp.complexfloating))
    real = jnp.finfo(dtype).dtype
    return Layout(size, channels, shape, channels_first and len(shape) == 3, is_complex), real


def squashing(where: str, squash: Any, arranged: Layout) -> bool:
    """Return whether the output is bounded: by default that of real networks."""
    return not arranged.is_complex if squash is None else checks.boolean(where, "squash", squash)


def start_key(where: str, key: Any) -> Array:
    """Return the key of a constructor: ``jax.random.key(0)`` unless one is given."""
    return jax.random.key(0) if key is None else checks.key(where, key)


def start_size(where: str, size: tuple[int, ...], num_layers: int, given: Any) -> tuple[int, ...]:
    """Return the size of a decoder's input: size / 2^d but at least 4, unless one is given."""
    if given is None:
        return tuple(max(math.ceil(side / 2**num_layers), min(side, 4)) for side in size)
    given = checks.shape(where, "input_size", given)
    given = given * len(size) if len(given) == 1 else given
    if len(given) != len(size) or any(a > b for a, b in zip(given, size, strict=True)):
        checks.fail(where, "input_size", f"be an int or a tuple, at most {size}", f"{given}")
    return given
