"""Signals that linearized gradient descent makes of measurements: at t steps, and in the limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.sparse.linalg import cg
from jax.typing import ArrayLike
from jaxtyping import Float, Inexact, Num

from jaxinv._core import checks, numerics, pytree
from jaxinv.ntk._descent import fitted_share, require_symmetric, significant, steps_taken
from jaxinv.ntk._lanczos import lanczos, tridiagonal_eigen
from jaxinv.ntk._linearize import from_real_outputs, real_outputs
from jaxinv.ntk._spectrum import singular_values
from jaxinv.operators import LinearOperator, dense
from jaxinv.operators._dense import Dense

_fitted = jax.jit(fitted_share)


def descent_filter(
    kernel: Num[ArrayLike, "*kernel"], step_size: Any, num_steps: Num[ArrayLike, "*steps"]
) -> Float[Array, "*steps_and_kernel"]:
    r"""Return the frequency response of denoising by t steps of linearized descent.

    .. math:: h_f = 1 - (1 - \eta \sigma_f^2)^t

    Args:
        kernel: u of the two-layer network, all n taps, or h × w of them.
        step_size: η > 0; converges for η < 2/σ_max².
        num_steps: t, whole numbers or ``inf``; scalar or an array.

    Returns:
        h in FFT order, shape ``(*num_steps.shape, *kernel.shape)``.

    Raises:
        ValueError: as ``spectrum`` and ``linearized_descent``.

    Cost: O(n log n), for any t.

    Example:
        >>> import jax.numpy as jnp
        >>> jnp.round(descent_filter(jnp.array([1.0, 0.0]), 1.0, 1), 4).tolist()  # σ² = 1/2
        [0.5, 0.5]

    Source: Heckel, Soltanolkotabi, "Denoising and regularization" (2020), Theorem 2.
    """
    return _response("descent_filter", kernel, step_size, num_steps)


def _response(where: str, kernel: Any, step_size: Any, num_steps: Any) -> Array:
    sigma = singular_values(where, kernel)
    values = (sigma * sigma).reshape(-1)
    step, count = steps_taken(where, step_size, num_steps, values)
    share = _fitted(values, step, count).reshape(*count.shape, *sigma.shape)
    return checks.no_nan(where, "step_size", share)


def linearized_denoising(
    kernel: Num[ArrayLike, "*shape"],
    y: Num[ArrayLike, "*shape"],
    step_size: Any,
    num_steps: Num[ArrayLike, "*steps"],
    *,
    start: Num[ArrayLike, "*#shape"] = 0.0,
) -> Inexact[Array, "*steps_and_shape"]:
    r"""Denoise by t steps of linearized descent with the expected kernel: a filter.

    .. math:: x_t = x_0 + F^* \mathrm{diag}(h) F (y - x_0)

    Args:
        kernel: u, in the shape of the signal.
        y: the noisy signal, shape (n,) or (h, w); real or complex.
        step_size, num_steps: as ``descent_filter``.
        start: x_0 = G(C_0), the output before the first step; 0 by default.

    Returns:
        x_t, shape ``(*num_steps.shape, *y.shape)``.

    Raises:
        ValueError: as ``descent_filter``; ``y`` of another shape than the kernel's.

    Cost: two FFTs of each result.

    Example:
        >>> import jax.numpy as jnp
        >>> kernel, num_steps = jnp.array([1.0, 0.0]), jnp.array([1, jnp.inf])
        >>> x = linearized_denoising(kernel, jnp.ones(2), 1.0, num_steps)
        >>> jnp.round(x, 4).tolist()
        [[0.5, 0.5], [1.0, 1.0]]

    Source: as ``descent_filter``.
    """
    where = "linearized_denoising"
    response = _response(where, kernel, step_size, num_steps)
    y = checks.array(where, "y", y)
    checks.finite(where, "y", y)
    shape = response.shape[np.ndim(num_steps) :]
    checks.shape_is(where, "y", y, shape, "It must have the kernel's shape.")
    start = checks.array(where, "start", start)
    checks.finite(where, "start", start)
    if start.ndim:
        checks.shape_is(where, "start", start, shape)
    return checks.no_nan(where, "step_size", _filtered(response, y, start))


@jax.jit
def _filtered(response: Array, y: Array, start: Array) -> Array:
    start = jnp.broadcast_to(start, y.shape)
    axes = tuple(range(-y.ndim, 0))
    fitted = jnp.fft.ifftn(response * jnp.fft.fftn(y - start), axes=axes)
    fitted = fitted if jnp.iscomplexobj(y) or jnp.iscomplexobj(start) else fitted.real
    return (start + fitted).astype(jnp.result_type(y, start))


def linearized_signal(
    kernel: Num[ArrayLike, "n n"] | LinearOperator,
    operator: LinearOperator,
    y: Num[ArrayLike, "*out"],
    step_size: Any,
    num_steps: Num[ArrayLike, "*steps"],
    *,
    start: Num[ArrayLike, "*in"] | None = None,
    num_products: int | None = None,
) -> Inexact[Array, "*steps_and_in"]:
    r"""Return the signal after t steps of linearized descent on ½‖A x − y‖².

    .. math:: x_t = x_0 + \Sigma A^* f_t(A \Sigma A^*) (y - A x_0), \qquad
        f_t(\lambda) = \frac{1 - (1 - \eta \lambda)^t}{\lambda}

    Args:
        kernel: Σ, a symmetric (n, n) matrix, or a linear operator such as ``expected_operator``.
        operator: A, linear, on signals of n entries.
        y: measurements of ``operator.out_shape``.
        step_size: η > 0; converges for η < 2/‖A Σ A*‖.
        num_steps: t, whole numbers or ``inf``; scalar or an array.
        start: x_0 of ``operator.in_shape``, default 0. Its type, with the operator's where it is
            not given, says whether signals are real.
        num_products: None forms A Σ A* (m × m) and factors it. A number s instead builds a
            Krylov space by s products, for large m: exact once s reaches the number of distinct
            eigenvalues; t = ∞ then gives s steps of conjugate gradients.

    Returns:
        x_t, shape ``(*num_steps.shape, *operator.in_shape)``.

    Raises:
        TypeError: an operator that is not linear.
        ValueError: shapes that do not fit, numbers out of range.

    Cost: m products with A, Σ, A* and m³ (complex measurements of real signals count as 2 m);
        or s products and s² m.

    Notes: for a Fourier mask and a circulant Σ, A Σ A* is diagonal, and the limit is x_0 with
        the sampled frequencies replaced: from 0 exactly the zero-filled image. For real signals
        that needs a mask that is symmetric in frequency, else conjugates are filled in.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> A = ji.operators.mask(jnp.array([1.0, 0.0]))
        >>> smooth = jnp.array([[1.0, 0.5], [0.5, 1.0]])
        >>> linearized_signal(smooth, A, jnp.array([2.0, 0.0]), 1.0, jnp.inf).tolist()
        [2.0, 1.0]

    Source: Heckel, Soltanolkotabi (2020), equations (16) and (39).
    """
    where = "linearized_signal"
    model = _model(where, kernel, operator, y, start)
    if num_products is not None:
        num_products = checks.count(where, "num_products", num_products)
        num_products = min(num_products, model.residual.size)
    values, vectors, weights = _decompose(model, num_products)
    step, count = steps_taken(where, step_size, num_steps, values)
    result = _signals(model, (values, vectors, weights), step, count)
    return checks.no_nan(where, "step_size", result)


@partial(jax.jit, static_argnums=1)
def _decompose(model: _Model, num_products: int | None) -> tuple[Array, Array, Array]:
    """Return eigenvalues and eigenvectors of A Σ A*, and the residual's coefficients."""
    if num_products is None:
        basis = jnp.eye(model.residual.size, dtype=model.residual.dtype)
        matrix = model.products(basis)
        values, vectors = jnp.linalg.eigh(0.5 * (matrix + matrix.T))
        weights = numerics.matmul(model.residual, vectors)
    else:
        found = lanczos(model.product, model.residual, num_products)
        values, small = tridiagonal_eigen(found)
        vectors = numerics.matmul(found.basis.T, small)
        weights = numerics.safe_norm(model.residual) * small[0]
    return significant(values), vectors, weights


@jax.jit
def _signals(
    model: _Model, eigen: tuple[Array, Array, Array], step_size: Array, num_steps: Array
) -> Array:
    values, vectors, weights = eigen
    # where λ is 0 the coefficient leads to no signal, since Σ A* q = 0
    shares = fitted_share(values, step_size, num_steps) * weights
    dual = numerics.matmul(numerics.safe_divide(shares, values), vectors.T)
    signals = model.signals(dual.reshape(-1, dual.shape[-1]))
    return signals.reshape(*num_steps.shape, *signals.shape[1:])


def linearized_limit(
    kernel: Num[ArrayLike, "n n"] | LinearOperator,
    operator: LinearOperator,
    y: Num[ArrayLike, "*out"],
    *,
    start: Num[ArrayLike, "*in"] | None = None,
    tol: Any = None,
    max_products: int = 1000,
) -> Inexact[Array, "*in"]:
    r"""Return the limit t → ∞ of linearized descent by conjugate gradients.

    .. math:: x_\infty = x_0 + \Sigma A^* a, \qquad A \Sigma A^* a = y - A x_0

    For problems too large for ``linearized_signal``: it stores a few vectors only. The step size
    plays no role in the limit.

    Args:
        kernel, operator, y, start: as ``linearized_signal``.
        tol: relative residual at which it stops, > 0; default 1e-6, in float64 1e-12.
        max_products: most products with A Σ A*.

    Returns:
        x_∞ of ``operator.in_shape``.

    Raises:
        TypeError, ValueError: as ``linearized_signal``.

    Cost: two products with A and one with Σ a step; about √κ log(1/tol) steps for the condition
        number κ of A Σ A*.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> A = ji.operators.mask(jnp.array([1.0, 0.0]))
        >>> smooth = jnp.array([[1.0, 0.5], [0.5, 1.0]])
        >>> linearized_limit(smooth, A, jnp.array([2.0, 0.0])).tolist()
        [2.0, 1.0]

    Source: Heckel, Soltanolkotabi (2020), equation (5).
    """
    where = "linearized_limit"
    model = _model(where, kernel, operator, y, start)
    if tol is None:
        tol = 1e-6 if model.residual.dtype == jnp.float32 else 1e-12
    tol = checks.positive(where, "tol", tol, single=True)
    max_products = checks.count(where, "max_products", max_products)
    result = _limit(model, tol, max_products)
    return checks.no_nan(where, "kernel and operator", result)


@partial(jax.jit, static_argnums=2)
def _limit(model: _Model, tol: Any, max_products: int) -> Array:
    dual, _ = cg(model.product, model.residual, tol=tol, maxiter=max_products)
    return model.signals(dual[None])[0]


@pytree
class _Model:
    """A, Σ, x_0 and the first residual, with measurements as real vectors."""

    operator: LinearOperator
    kernel: LinearOperator
    start: Array
    misfit: Array

    @property
    def residual(self) -> Array:
        return real_outputs(self.misfit)

    def change(self, duals: Array) -> Array:
        """Return Σ A* a for rows of real coefficients a of the measurements."""

        def pull(dual: Array) -> Array:
            pulled = self.operator.adjoint(from_real_outputs(dual, self.misfit))
            pulled = pulled if jnp.iscomplexobj(self.start) else jnp.real(pulled)
            return pulled.reshape(self.kernel.in_shape)

        signals = _each(self.operator, pull, duals)
        if jnp.iscomplexobj(signals) and not jnp.iscomplexobj(jnp.zeros((), self.kernel.in_dtype)):
            parts = [
                _each(self.kernel, self.kernel, part(signals)) for part in (jnp.real, jnp.imag)
            ]
            images = jax.lax.complex(*parts)
        else:
            images = _each(self.kernel, self.kernel, signals)
        return images.reshape(len(duals), *self.start.shape)

    def product(self, dual: Array) -> Array:
        """Return A Σ A* a."""
        return self.products(dual[None])[0]

    def products(self, duals: Array) -> Array:
        """Return A Σ A* a for every row a."""

        def measure(change: Array) -> Array:
            return real_outputs(self.operator(change).astype(self.misfit.dtype))

        return _each(self.operator, measure, self.change(duals))

    def signals(self, duals: Array) -> Array:
        """Return x_0 + Σ A* a for every row a."""
        return self.start + self.change(duals)


def _each(operator: LinearOperator, function: Callable[[Array], Array], rows: Array) -> Array:
    """Apply to every row: at once for a matrix, one by one for the rest.

    Batches would gain little there, and XLA on CPU refuses some layouts of batched FFTs.
    """
    return jax.vmap(function)(rows) if isinstance(operator, Dense) else jax.lax.map(function, rows)


def _model(where: str, kernel: Any, operator: Any, y: Any, start: Any) -> _Model:
    if not isinstance(operator, LinearOperator):
        hint = "Use operators.dense for a matrix."
        checks.fail_type(where, "operator", "be a linear operator", operator, hint)
    covariance = _kernel_operator(where, kernel, operator)
    y = checks.array(where, "y", y)
    checks.shape_is(where, "y", y, operator.out_shape)
    checks.finite(where, "y", y)
    if start is None:
        pulled = jax.eval_shape(operator.adjoint, y)
        start = jnp.zeros(pulled.shape, pulled.dtype)
    start = checks.array(where, "start", start)
    checks.shape_is(where, "start", start, operator.in_shape)
    checks.finite(where, "start", start)
    if not jnp.iscomplexobj(start) and jnp.issubdtype(covariance.out_dtype, jnp.complexfloating):
        checks.fail(where, "kernel", "be real for real signals", f"{covariance.out_dtype}")
    return _Model(operator, covariance, start, y - operator(start))


def _kernel_operator(where: str, kernel: Any, operator: LinearOperator) -> LinearOperator:
    """Return Σ as an operator on as many entries as the signal has."""
    size = math.prod(operator.in_shape)
    if isinstance(kernel, LinearOperator):
        fits = kernel.in_shape in (operator.in_shape, (size,))
        if not fits or kernel.out_shape != kernel.in_shape:
            expected = f"map signals of shape {operator.in_shape} to themselves"
            checks.fail(where, "kernel", expected, f"{kernel.in_shape} to {kernel.out_shape}")
        return kernel
    matrix = require_symmetric(where, "kernel", kernel)
    checks.shape_is(where, "kernel", matrix, (size, size), "One row for each entry of the signal.")
    return dense(matrix)
