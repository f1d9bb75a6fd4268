"""Any operator and any generator, padded, so that a grid over their sizes is one program."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, pytree, static
from jaxinv._core.checks import as_function
from jaxinv.generators import Generator
from jaxinv.operators import LinearOperator, Operator, mask
from jaxinv.operators._require import fail_function
from jaxinv.problems._fixed_generator import latent_shape
from jaxinv.problems._generative import Draw, GenerativeFamily, Model, Rows, checked_levels
from jaxinv.problems._own_generator import OwnGenerator
from jaxinv.problems._problem import gaussian_noise

_WHERE = "padded"


@pytree
class FirstRows(Model):
    """The first m entries of A x, A given or drawn, times √(M/m) where asked for."""

    made: Any
    rescaled: bool = static()

    def draw(self, keys: tuple[Array, Array], x: Array, rows: Rows, levels: Any) -> Draw:
        operator = self.made if isinstance(self.made, Operator) else self.made(keys[0])
        shape = operator.out_shape
        in_use = rows.mask
        if in_use is not None:
            in_use = jnp.broadcast_to(in_use.reshape(-1, *[1] * (len(shape) - 1)), shape)
            operator = mask(in_use) @ operator
            if self.rescaled:
                share = jnp.asarray(shape[0] / rows.active).astype(x.dtype)
                operator = jnp.sqrt(share) * operator
        clean = operator(x)
        noise = gaussian_noise(keys[1], clean.shape, clean.dtype, levels, in_use)
        return operator, clean + noise, noise


def padded(
    operator: Any,
    generator: Any,
    *,
    rescale: bool = True,
    noise_norm: Any = 0.0,
    noise_std: Any = 0.0,
    dtype: Any = jnp.float32,
) -> GenerativeFamily:
    r"""Make a family of your own operator and generator, whose sizes k and m may be traced.

    .. math:: y = \sqrt{M/m}\, P_m A\, G(z^*) + \eta, \qquad z^* \sim N(0, I_k)

    Both are made at their largest size, M rows and K latents. ``with_active(latent=k,
    measurements=m)`` then keeps the first k latents and the first m rows and sets the others to
    zero, by masks: a phase diagram over (k, m) is one program. For random ReLU networks and
    Gaussian matrices use ``generative``, which pads by itself and sets the norm of the signal.

    Args:
        operator: A, linear, with M measurements along its first axis of output; or a function
            of a key that returns one, which each trial calls. Arrays of a function go in by
            ``jax.tree_util.Partial``.
        generator: G, of a latent with one axis that it knows, ``in_shape=(K,)``; or a function
            of a key that returns one.
        rescale: whether A is multiplied by √(M/m), so that E‖A x‖² stays where rows are dropped;
            False for rows whose size does not depend on their number.
        noise_norm: ‖η‖ >= 0 of noise of a fixed norm and random direction.
        noise_std: σ >= 0 of Gaussian noise on the measurements in use; not with ``noise_norm``.
        dtype: real floating type of latents.

    Returns:
        A family with ``sample(key)``, ``initial(key)`` (N(0, I_k)), ``batch(keys)``, ``axes``
        and ``with_active(latent, measurements)``.

    Raises:
        ValueError, TypeError: no linear operator, no generator, signals that do not fit the
            operator, both kinds of noise.

    Cost: a trial of any size costs that of the largest.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> def circulant(key):  # rows of a random circulant matrix
        ...     kernel = jax.random.normal(key, (64,), jnp.float32) / 8
        ...     return ji.operators.convolution(kernel, (64,))
        >>> def smooth(basis, z):
        ...     return jnp.tanh(basis @ z)
        >>> basis = jnp.cos(jnp.outer(jnp.arange(64), jnp.arange(1, 5)) / 10)
        >>> G = ji.generators.from_function(smooth, basis, in_shape=(4,))
        >>> family = padded(circulant, G)
        >>> problem = family.with_active(latent=2, measurements=10).sample(jax.random.key(0))
        >>> problem.y.shape, int((problem.y != 0).sum()), int((problem.truth.u != 0).sum())
        ((64,), 10, 2)
    """
    dtype = checks.float_type(_WHERE, dtype, real=True)
    rescale = checks.boolean(_WHERE, "rescale", rescale)
    noise_norm, noise_std = checked_levels(_WHERE, noise_norm, noise_std)
    operator, A = _made("operator", operator, LinearOperator, "a linear operator")
    generator, G = _made("generator", generator, Generator, "a generator")
    latent = latent_shape(_WHERE, G)
    if len(latent) != 1:
        checks.fail(_WHERE, "generator", "take a latent of one axis, (K,)", f"{latent}")
    z = jax.ShapeDtypeStruct(latent, dtype)
    x = jax.eval_shape(lambda G, z: G(z), G, z)
    if tuple(x.shape) != tuple(A.in_shape):
        expected = f"make signals of the operator's shape {tuple(A.in_shape)}"
        checks.fail(_WHERE, "generator", expected, f"{tuple(x.shape)}")
    if not A.out_shape or math.prod(A.out_shape) == 0:
        checks.fail(_WHERE, "operator", "return arrays of one axis at least", f"{A.out_shape}")
    return GenerativeFamily(
        source=OwnGenerator(generator, None, latent[0], tuple(x.shape), dtype),
        model=FirstRows(operator, rescale),
        active_measurements=None,
        noise_norm=noise_norm,
        noise_std=noise_std,
        num_measurements=A.out_shape[0],
    )


def _made(argument: str, given: Any, kind: type, article: str) -> tuple[Any, Any]:
    """Return what was given, and what it is or makes, whose shapes are known."""
    if isinstance(given, kind):
        return given, given
    if isinstance(given, Operator | Generator) or not callable(given):
        expected = f"be {article}, or a function of a key that returns one"
        checks.fail_type(_WHERE, argument, expected, given)
    given = as_function(_WHERE, argument, given, f"{argument}(key)")
    try:
        made = jax.eval_shape(given, jax.random.key(0))
    except (TypeError, ValueError) as error:
        fail_function(_WHERE, argument, "a key", error)
    if not isinstance(made, kind):
        checks.fail(_WHERE, argument, f"return {article}", type(made).__name__)
    return given, made
