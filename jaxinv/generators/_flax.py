"""Flax modules, linen and nnx, as generators: their parameters, and what their layers remember."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Inexact, PRNGKeyArray

from jaxinv._core import checks, pytree, replace, static
from jaxinv._core.checks import as_function
from jaxinv._core.typed import PyTree
from jaxinv.generators._base import Generator

_TRAINS = ("train", "training", "is_training")  # arguments of modules that say so
_TESTS = ("deterministic", "use_running_average")
_TRAINED = "params"  # the collection of a linen module that descent changes


@pytree
class FromFlax(Generator):
    """A generator from a Flax module; see ``from_flax``. The module or graph is static.

    ``params`` holds all variables. Descent trains the parameters among them; the others, such as
    running averages, are carried along by ``train``, and a plain call only reads them.
    """

    params: Any
    rest: Any
    module: Any = static()
    shape: tuple[int, ...] | None = static(default=None)
    signal_shape: tuple[int, ...] | None = static(default=None)
    density: Any = None  # pyright: ignore[reportIncompatibleVariableOverride]

    @property
    def in_shape(self) -> tuple[int, ...] | None:
        return self.shape

    @property
    def can_redraw(self) -> bool:
        """Whether the module can make fresh parameters: an nnx module is made with its own."""
        return self._is_linen

    @property
    def _is_linen(self) -> bool:
        from flax import linen

        return isinstance(self.module, linen.Module)

    def _apply(self, z: Array) -> Array:
        return self._guarded(z, self.params, None)[0]

    def split(self, params: Any) -> tuple[Any, Any]:
        if self._is_linen:
            carried = {name: held for name, held in params.items() if name != _TRAINED}
            return params[_TRAINED], carried
        from flax import nnx

        trained, carried = nnx.split_state(params, nnx.Param, ...)
        return trained, carried

    def join(self, params: Any, carried: Any) -> Any:
        if self._is_linen:
            return type(self.params)({_TRAINED: params, **carried})
        from flax import nnx

        return nnx.merge_state(params, carried)

    def train(
        self, params: Any, carried: Any, z: PyTree, key: PRNGKeyArray
    ) -> tuple[Inexact[Array, "*signal"], Any]:
        x, variables = self._guarded(z, self.join(params, carried), key)
        return x, self.split(variables)[1]

    def fresh(self, key: PRNGKeyArray, z: PyTree) -> Any:
        drawn = self.module.init(key, z, **_mode(self.module, train=False))
        return {name: drawn[name] for name in self.params}

    def completed(self, params: Any) -> Any:
        if self._is_linen:
            return params
        from flax import nnx

        if isinstance(params, nnx.Module):
            params = _variables(params)
        return nnx.merge_state(self.params, params)

    def _guarded(self, z: Any, params: Any, key: Array | None) -> tuple[Array, Any]:
        from flax.errors import FlaxError

        try:
            x, variables = self._evaluate(z, params, key)
            shape = self.signal_shape
            return (x if shape is None else jnp.reshape(x, shape)), variables
        except (FlaxError, TypeError, ValueError) as error:  # of z, variables or random numbers
            says = str(error).splitlines()[0][:160] if str(error) else ""
            raise ValueError(
                f"FromFlax: z and the variables must fit the module, got z = {checks.show(z)}. "
                f"Flax says: {type(error).__name__}: {says}"
            ) from error

    def _evaluate(self, z: Any, params: Any, key: Array | None) -> tuple[Array, Any]:
        """Return the signal and the variables afterwards; with a key as during training."""
        train = key is not None
        if self._is_linen:
            mode = _mode(self.module, train=train)
            if not train:
                return self.module.apply(params, z, **mode), params
            carried = [name for name in params if name != _TRAINED]
            x, changed = self.module.apply(params, z, rngs=key, mutable=carried, **mode)
            return x, {**params, **changed}
        from flax import nnx

        rest = self.rest if key is None else _reseeded(self.rest, key)
        module = nnx.merge(self.module, params, rest, copy=True)
        module.train() if train else module.eval()
        x = module(z, **_mode(module, train=train))
        return x, _variables(module)


def _mode(module: Any, *, train: bool) -> dict[str, bool]:
    """Return the arguments of the module's call that tell training from use."""
    names = inspect.signature(module.__call__).parameters
    on = {name: train for name in _TRAINS if name in names}
    return on | {name: not train for name in _TESTS if name in names}


def _variables(module: Any) -> Any:
    """Return the state of an nnx module but for random numbers and what was only looked at."""
    from flax import nnx

    return nnx.state(module, nnx.Not(nnx.Any(nnx.RngState, nnx.Intermediate)))


def _reseeded(rest: Any, key: Array) -> Any:
    """Return the random state of an nnx module, its keys mixed with another one."""
    number = jax.random.bits(key)

    def mixed(leaf: Any) -> Any:
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.fold_in(leaf, number) if is_key else leaf

    return jax.tree.map(mixed, rest)


def from_flax(
    module: Any,
    params: Any = None,
    *,
    in_shape: Any = None,
    out_shape: Any = None,
    energy: Any = None,
) -> FromFlax:
    """Wrap a Flax module, linen or nnx, as a generator.

    Modules with batch normalization, dropout or collections of their own may be used. A call of
    the generator runs them as after training. ``untrained.fit`` trains the parameters, runs the
    module as during training, and keeps what its layers remember in ``Fit.params``. Arguments
    of the module named ``train``, ``training``, ``is_training``, ``deterministic`` or
    ``use_running_average`` are set accordingly.

    Args:
        module: a ``flax.linen.Module``, with its ``params`` (the variables that ``init``
            returned), or a ``flax.nnx.Module``, which holds its own.
        params: all variables of a linen module; for nnx, None, or a state of ``nnx.Param`` to
            use in place of the module's own.
        in_shape: shape of ``z``, as in ``from_function``.
        out_shape: shape of the signal, where the module's output has axes of length one more:
            (h, w) for a U-net that makes (1, h, w, 1).
        energy: −log of the prior density of ``z``, as in ``from_function``.

    Returns:
        A generator whose leaves are the variables.

    Raises:
        TypeError: not a Flax module, or ``params`` that are not its variables.
        ValueError: a linen module without ``params``; at the call, a ``z`` of a wrong size.

    Example:
        >>> import flax.linen as nn, jax
        >>> module = nn.Dense(4)
        >>> params = module.init(jax.random.key(0), jax.numpy.ones(3))
        >>> from_flax(module, params)(jax.numpy.ones(3)).shape
        (4,)
    """
    from flax import linen

    where = "from_flax"
    if energy is not None:
        energy = as_function(where, "energy", energy, "energy(z)")
    shape = None if in_shape is None else checks.shape(where, "in_shape", in_shape)
    signal = None if out_shape is None else checks.shape(where, "out_shape", out_shape)
    if isinstance(module, linen.Module):
        if params is None:
            hint = "Pass module.init(key, z)."
            checks.fail(where, "params", "be the variables of the linen module", None, hint)
        if not isinstance(params, Mapping):
            hint = "Pass module.init(key, z)."
            checks.fail_type(where, "params", "be the module's variables", params, hint)
        return FromFlax(params, None, module, shape, signal, energy)
    from flax import nnx

    if not isinstance(module, nnx.Module):
        checks.fail_type(where, "module", "be a flax.linen or flax.nnx module", module)
    if params is not None and not isinstance(params, nnx.State):
        hint = "Pass nnx.state(module, nnx.Param), or nothing for the module's own."
        checks.fail_type(where, "params", "be a state of nnx.Param", params, hint)
    graph, rest, own = nnx.split(module, nnx.RngState, ...)
    made = FromFlax(own, rest, graph, shape, signal, energy)
    return made if params is None else replace(made, params=made.completed(params))
