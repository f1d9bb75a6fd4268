"""Operators of other libraries: lineax, SciPy and PyLops."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import Partial

from jaxinv._core import checks, numerics, pytree, static
from jaxinv.operators._base import LinearOperator
from jaxinv.operators._function import LinearFunction, from_function

_SCIPY = "from_linear_operator"


# ------------------------------------------------------------------------------------ lineax


@dataclasses.dataclass(frozen=True)
class _Product:
    """The product of a lineax operator, whose arrays come as the first argument."""

    structure: Any
    settings: tuple[Any, ...]

    def __call__(self, arrays: list[Array], x: Array) -> Array:
        held = iter(arrays)
        leaves = [next(held) if each is None else each[0] for each in self.settings]
        return jax.tree.unflatten(self.structure, leaves).mv(x)


def from_lineax(operator: Any) -> LinearFunction:
    """Make an operator from one of lineax.

    Its arrays stay leaves, and the adjoint is the one that JAX derives from its ``mv``.

    Args:
        operator: a ``lineax.AbstractLinearOperator`` from one array to one array.

    Returns:
        An operator of the same shapes and type.

    Raises:
        TypeError: what is no operator of lineax.
        ValueError: one on trees of several arrays, or one that JAX cannot transpose.

    Cost: that of its ``mv``, for the adjoint too.

    Example:
        >>> import jax, jax.numpy as jnp, lineax
        >>> structure = jax.ShapeDtypeStruct((3,), jnp.float32)
        >>> A = from_lineax(lineax.FunctionLinearOperator(jnp.cumsum, structure))
        >>> A @ jnp.ones(3), A.H @ jnp.ones(3)
        (Array([1., 2., 3.], dtype=float32), Array([3., 2., 1.], dtype=float32))
    """
    where = "from_lineax"
    if isinstance(operator, type) or not (
        hasattr(operator, "mv") and hasattr(operator, "in_structure")
    ):
        checks.fail_type(where, "operator", "be an operator of lineax", operator)
    signal, measured = operator.in_structure(), operator.out_structure()
    if not all(isinstance(side, jax.ShapeDtypeStruct) for side in (signal, measured)):
        got = f"{jax.tree.structure(signal)} to {jax.tree.structure(measured)}"
        checks.fail(where, "operator", "map one array to one array", got)
    leaves, structure = jax.tree.flatten(operator)
    arrays = [leaf for leaf in leaves if checks.is_number_array(leaf)]
    settings = tuple(None if checks.is_number_array(leaf) else (leaf,) for leaf in leaves)
    checks.finite(where, "operator", arrays)
    function = Partial(_Product(structure, settings), arrays)
    return from_function(function, signal.shape, signal.dtype)


# --------------------------------------------------------------------------- SciPy and PyLops


@pytree
class HostOperator(LinearOperator):
    """An operator of SciPy or PyLops, called on the host; see ``from_linear_operator``."""

    operator: Any = static()
    signal: tuple[int, ...] = static()
    measured: tuple[int, ...] = static()
    dtype: Any = static()
    makes_complex: bool = static()

    def __repr__(self) -> str:
        name = type(self.operator).__name__
        return f"HostOperator({name}, {self.signal} -> {self.measured}, by host callback)"

    @property
    def in_shape(self) -> tuple[int, ...]:
        return self.signal

    @property
    def out_shape(self) -> tuple[int, ...]:
        return self.measured

    @property
    def in_dtype(self) -> Any:
        return self.dtype

    @property
    def _is_real(self) -> bool:
        return not jnp.issubdtype(self.dtype, jnp.complexfloating)

    def _apply(self, x: Array) -> Array:
        if self._is_real and jnp.iscomplexobj(x):
            return self._apply(jnp.real(x)) + 1j * self._apply(jnp.imag(x))
        return _linear(self, False, x)

    def _adjoint(self, y: Array) -> Array:
        if not self.makes_complex and jnp.iscomplexobj(y):
            return jax.lax.complex(self._adjoint(jnp.real(y)), self._adjoint(jnp.imag(y)))
        return jnp.conj(_linear(self, True, jnp.conj(y)))


def _linear(op: HostOperator, transposed: bool, v: Array) -> Array:
    """Return A v, or Aᵀ v, as a linear function that JAX can transpose and batch.

    A callback cannot be transposed, and ``linear_call`` not batched; ``custom_linear_solve`` can
    be both, by a solver and its transpose that are given: here (v, 0) to (v, A v). The system
    itself it only differentiates in parameters, of which there are none.
    """
    real = numerics.real_dtype(v.dtype)
    wide = jnp.result_type(real, jnp.complex64)
    sides = [
        jax.ShapeDtypeStruct(shape, wide if is_complex else real)
        for shape, is_complex in ((op.signal, not op._is_real), (op.measured, op.makes_complex))
    ]
    given, made = reversed(sides) if transposed else sides
    size, kind = math.prod(given.shape), jnp.result_type(given.dtype, made.dtype)

    def product(flip: bool, taken: Any, side: Any, v: Array) -> Array:
        call = partial(_on_host, op.operator, flip, side.shape, side.dtype)
        v = _as_kind(v.reshape(taken.shape), taken.dtype)
        return jnp.ravel(jax.pure_callback(call, side, v, vmap_method="sequential")).astype(kind)

    def solve(_: Any, b: Array) -> Array:
        return b.at[size:].add(product(transposed, given, made, b[:size]))

    def transpose_solve(_: Any, b: Array) -> Array:
        return b.at[:size].add(product(not transposed, made, given, b[size:]))

    b = jnp.concatenate([jnp.ravel(v).astype(kind), jnp.zeros(math.prod(made.shape), kind)])
    solved = jax.lax.custom_linear_solve(_same, b, solve, transpose_solve)
    return _as_kind(solved[size:].reshape(made.shape), made.dtype)


def _as_kind(v: Array, dtype: Any) -> Array:
    return v if jnp.issubdtype(dtype, jnp.complexfloating) else jnp.real(v)


def _same(b: Array) -> Array:
    return b


def _on_host(operator: Any, transposed: bool, shape: Any, dtype: Any, v: Any) -> np.ndarray:
    flat = np.ravel(np.asarray(v))
    if transposed:
        result = np.conj(operator.rmatvec(np.conj(flat)))
    else:
        result = np.asarray(operator.matvec(flat))
    if not np.issubdtype(dtype, np.complexfloating):
        result = np.real(result)  # of the real inner product, where measurements are complex
    return np.reshape(result, shape).astype(dtype)


def from_linear_operator(
    operator: Any, *, in_shape: Any = None, out_shape: Any = None
) -> HostOperator:
    r"""Make an operator from a ``LinearOperator`` of SciPy or PyLops: each product by the host.

    .. math:: A x = \mathrm{matvec}(x), \qquad A^* y = \mathrm{rmatvec}(y)

    For code that is there and is no JAX: it works under ``jit``, ``vmap`` (one call after the
    other) and ``grad`` in x, and with every solver. Nothing of it is compiled, differentiated in
    its own parameters, or run on an accelerator; where speed matters, write it in ``jax.numpy``
    and use ``from_function``. A trial of ``sweep`` that uses it has a store only under a
    ``version``, since the program does not show what the host computes.

    Args:
        operator: with ``shape`` (m, n), ``dtype``, ``matvec`` and ``rmatvec``, which are trusted:
            ``dot_test`` checks them.
        in_shape: shape of x, of n entries; None: ``operator.dims`` of PyLops, else (n,).
        out_shape: shape of y, of m entries; None: ``operator.dimsd`` of PyLops, else (m,).

    Returns:
        An operator without leaves, "by host callback" in its ``repr``. Results come in the
        precision of what they are applied to, whatever the host computes in.

    Raises:
        TypeError: what has no ``matvec`` or ``rmatvec``.
        ValueError: one that is not linear (0 does not go to 0) or fails on an array of zeros;
            shapes of another number of entries.

    Cost: that of the operator, and a copy to the host and back.

    Example:
        >>> import jax.numpy as jnp, numpy as np
        >>> from scipy.sparse.linalg import LinearOperator
        >>> reverse = LinearOperator((3, 3), matvec=np.flip, rmatvec=np.flip, dtype=np.float32)
        >>> A = from_linear_operator(reverse)
        >>> A @ jnp.array([1.0, 2.0, 3.0])
        Array([3., 2., 1.], dtype=float32)
        >>> A
        HostOperator(_CustomLinearOperator, (3,) -> (3,), by host callback)
    """
    needed = ("matvec", "rmatvec", "shape", "dtype")
    if isinstance(operator, type) or not all(hasattr(operator, name) for name in needed):
        expected = "be a LinearOperator of SciPy or PyLops"
        hint = "scipy.sparse.linalg.aslinearoperator makes one of a matrix."
        checks.fail_type(_SCIPY, "operator", expected, operator, hint)
    m, n = (int(size) for size in operator.shape)
    signal = _shape("in_shape", in_shape, getattr(operator, "dims", None), n)
    measured = _shape("out_shape", out_shape, getattr(operator, "dimsd", None), m)
    given = np.dtype(operator.dtype or np.float64)
    dtype = np.result_type(jax.dtypes.canonicalize_dtype(given), np.float32)
    image = _probe(operator.matvec, "matvec", n, dtype)
    back = _probe(operator.rmatvec, "rmatvec", m, image.dtype)
    for name, result, size in (("matvec", image, m), ("rmatvec", back, n)):
        if result.size != size:
            got = f"shape {result.shape}"
            checks.fail(_SCIPY, f"operator.{name}", f"return {size} numbers", got)
        if np.any(result != 0):
            checks.fail(_SCIPY, f"operator.{name}", "be linear", "one that does not map 0 to 0")
    return HostOperator(operator, signal, measured, dtype, bool(np.iscomplexobj(image)))


def _probe(product: Any, name: str, size: int, dtype: Any) -> np.ndarray:
    try:
        return np.asarray(product(np.zeros(size, dtype)))
    except Exception as error:  # whatever foreign code raises
        text = " ".join(str(error).split())[:160]
        hint = f"{type(error).__name__}: {text}"
        raise ValueError(
            f"{_SCIPY}: operator.{name} must accept {size} numbers, got an exception. {hint}"
        ) from error


def _shape(argument: str, shape: Any, own: Any, size: int) -> tuple[int, ...]:
    if shape is None:
        shape = tuple(int(n) for n in own) if own is not None else (size,)
    shape = checks.shape(_SCIPY, argument, shape)
    if math.prod(shape) != size:
        checks.fail(_SCIPY, argument, f"have {size} entries, as the operator has", f"{shape}")
    return shape
