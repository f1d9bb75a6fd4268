"""How far the error of a learned dictionary network on new data can exceed that on its samples."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num

from jaxinv._core import checks, numerics
from jaxinv.operators import dense
from jaxinv.problems import Problem
from jaxinv.solvers import ista, trace

_ROUNDING = 1e-3  # τ‖A‖² and ΦᵀΦ may miss 1 and I by this much
_FORMS = ("source", "survey")


class GeneralizationBound(NamedTuple):
    """Terms of ``generalization_bound`` and their sum.

    Attributes:
        sensing: from learning A Φ, n N numbers.
        readout: from learning Ψ, N² numbers.
        confidence: from the chance that the samples are unusual.
        total: the bound on the population loss minus the empirical loss.
    """

    sensing: Array
    readout: Array
    confidence: Array
    total: Array


class Perturbation(NamedTuple):
    """A measured change of the network, the bound on it, and whether the bound holds."""

    measured: Array
    bound: Array
    holds: Array


def generalization_bound(
    num_samples: Any,
    num_measurements: Any,
    signal_size: Any,
    num_layers: Any,
    *,
    operator_norm: Any,
    measurement_norm: Any,
    step_size: Any = None,
    signal_bound: Any = 1.0,
    output_bound: Any = 1.0,
    failure_probability: Any = 0.01,
) -> GeneralizationBound:
    r"""Bound the generalization gap of the orthogonal dictionary network, with constants.

    With probability 1 − δ, for every h of the class H₂ (Φ, Ψ ∈ O(N), so of H₁ too) and the
    loss ‖h(y) − x‖₂, not squared:

    .. math::
        L(h) - \hat L(h) \le{}& 8 B_{out} \sqrt{\tfrac{n N}{m}}
            \sqrt{\log\Bigl(e\bigl(1 + \tfrac{8 \|A\| K_L}{\sqrt m B_{out}}\bigr)\Bigr)}
          + 8 B_{out} \sqrt{\tfrac{N^2}{m}}
            \sqrt{\log\Bigl(e\bigl(1 + \tfrac{8 F_L}{\sqrt m B_{out}}\bigr)\Bigr)} \\
          &+ 4 (B_{in} + B_{out}) \sqrt{\tfrac{2 \log(4 / \delta)}{m}}, \qquad
            F_L = L \tau \|A\| \|Y\|_F \ge \|f^L(Y)\|_F

    K_L is ``perturbation_constant``. The number of layers enters through logarithms only. The
    value is far above any gap that is seen: with N = 120, n = 60, L = 10, m = 10⁵ it is above
    10 B_out, while no loss exceeds B_in + B_out. What can be tested is how it scales.

    Args:
        num_samples: m >= 1, training pairs.
        num_measurements: n >= 1.
        signal_size: N >= 1.
        num_layers: L >= 1.
        operator_norm: ‖A‖ > 0.
        measurement_norm: ‖Y‖_F >= 0 of all m training measurements together.
        step_size: τ with τ‖A‖² <= 1; default 1/‖A‖².
        signal_bound: B_in >= 0, largest ‖x‖.
        output_bound: B_out > 0, radius of the ball of the outputs.
        failure_probability: δ in (0, 1].

    Returns:
        ``GeneralizationBound(sensing, readout, confidence, total)``. Arrays broadcast.

    Raises:
        ValueError: a number out of its range, τ‖A‖² > 1.

    Notes: the constants were derived anew: the bound of Rademacher complexity by 2 R + 4 c
        √(2 log(4/δ)/m) (Shalev-Shwartz, Ben-David, 2014, Theorem 26.5), the contraction of
        vector-valued classes (Maurer, 2016, factor √2), Dudley's integral (Foucart, Rauhut,
        2013, Theorem 8.23, factor 4√2), and covering numbers (1 + 2/ε)^d of balls of dimension
        n N and N².

    Example:
        >>> bound = generalization_bound(
        ...     1e5, 60, 120, 10, operator_norm=2.4, measurement_norm=316.0)
        >>> [round(float(term), 1) for term in bound]
        [5.6, 6.5, 0.1, 12.2]

    Source: Behboodi, Rauhut, Schnoor (2022), Theorem 2.
    """
    where = "generalization_bound"
    m, n, size, layers = _counts(
        where,
        num_samples=num_samples,
        num_measurements=num_measurements,
        signal_size=signal_size,
        num_layers=num_layers,
    )
    norm, step_size = _norm_and_step(where, operator_norm, step_size)
    energy = checks.nonnegative(where, "measurement_norm", measurement_norm)
    b_in = checks.nonnegative(where, "signal_bound", signal_bound)
    b_out = checks.positive(where, "output_bound", output_bound)
    delta = checks.share(where, "failure_probability", failure_probability)
    root = jnp.sqrt(m)
    change = norm * _constant(layers, step_size, norm, energy)
    outputs = layers * step_size * norm * energy
    sensing = 8 * b_out * jnp.sqrt(n * size / m) * _entropy(change, root * b_out)
    readout = 8 * b_out * size / root * _entropy(outputs, root * b_out)
    confidence = 4 * (b_in + b_out) * jnp.sqrt(2 * jnp.log(4 / jnp.asarray(delta))) / root
    return GeneralizationBound(sensing, readout, confidence, sensing + readout + confidence)


def generalization_rate(
    num_samples: Any,
    num_measurements: Any,
    signal_size: Any,
    num_layers: Any,
    *,
    form: str = "source",
) -> Float[Array, "..."]:
    r"""Return how the generalization bound scales, without its constant.

    .. math::
        \text{source: } \sqrt{\frac{n N \log L + N^2}{m}}, \qquad
        \text{survey: } \sqrt{\frac{n N \log L + N^2 \log L}{m}}

    The source has no logarithm at N², the survey's equation (51) has it (its letters are m for
    n, n for N, τ for L, N for m). With a threshold λ > 0 it can be dropped: the layers lower
    the objective, so that ‖z‖ <= ‖y‖² / (2 λ) for every L. For L = 1 the logarithm is 0: both
    forms are meant for large L.

    Args:
        num_samples, num_measurements, signal_size, num_layers: as ``generalization_bound``.
        form: ``"source"`` or ``"survey"``.

    Returns:
        The rate, of the broadcast shape.

    Raises:
        ValueError: a size that is not positive, another form.

    Example:
        >>> [round(float(generalization_rate(1e4, 50, 100, 10, form=form)), 2)
        ...  for form in ("source", "survey")]
        [1.47, 1.86]

    Source: Behboodi, Rauhut, Schnoor (2022), Theorem 2; Scarlett, Heckel, Rodrigues, Hand,
        Eldar (2022), Theorem 11.
    """
    where = "generalization_rate"
    checks.choice(where, "form", form, _FORMS)
    m, n, size, layers = _counts(
        where,
        num_samples=num_samples,
        num_measurements=num_measurements,
        signal_size=signal_size,
        num_layers=num_layers,
    )
    logarithm = jnp.log(layers)
    squares = size * size * (logarithm if form == "survey" else 1.0)
    return jnp.sqrt((n * size * logarithm + squares) / m)


def perturbation_constant(
    num_layers: Any, step_size: Any, operator_norm: Any, measurement_norm: Any
) -> Float[Array, "..."]:
    r"""Return K_L, how strongly L layers react to a change of A Φ.

    .. math:: \|f^L_{\Phi_1}(Y) - f^L_{\Phi_2}(Y)\|_F \le K_L \|A \Phi_1 - A \Phi_2\|_2, \qquad
        K_L = \tau \|Y\|_F \bigl(L + \tau \|A\|^2 L (L - 1)\bigr)

    Layer l adds τ‖Y‖ for the change of the encoder and 2 τ²‖A‖²‖Y‖ l for that of the
    recurrence, whose input has norm <= l τ‖A‖‖Y‖; thresholds and I − τ(AΦ)ᵀAΦ do not expand.

    Args:
        num_layers: L >= 1.
        step_size: τ > 0 with τ‖A‖² <= 1; None for 1/‖A‖².
        operator_norm: ‖A‖ > 0.
        measurement_norm: ‖Y‖_F >= 0.

    Returns:
        K_L.

    Raises:
        ValueError: a number out of its range.

    Example:
        >>> float(perturbation_constant(10, 0.25, 2.0, 1.0))
        25.0

    Source: Behboodi, Rauhut, Schnoor (2022), perturbation lemma; constant derived here.
    """
    where = "perturbation_constant"
    (layers,) = _counts(where, num_layers=num_layers)
    norm, step_size = _norm_and_step(where, operator_norm, step_size)
    energy = checks.nonnegative(where, "measurement_norm", measurement_norm)
    return jnp.asarray(_constant(layers, step_size, norm, energy))


def check_perturbation(
    matrix: Num[ArrayLike, "m n"],
    first: Num[ArrayLike, "n n"],
    second: Num[ArrayLike, "n n"],
    measurements: Num[ArrayLike, "samples m"],
    num_layers: int,
    *,
    threshold: Any,
    step_size: Any = None,
) -> Perturbation:
    r"""Measure how much the coefficients change with the dictionary, beside the bound.

    .. math:: \|f^L_{\Phi_1}(Y) - f^L_{\Phi_2}(Y)\|_F \quad\text{and}\quad
        K_L \|A \Phi_1 - A \Phi_2\|_2

    Args:
        matrix: A, shape (n, N).
        first, second: Φ₁ and Φ₂, orthogonal, shape (N, N).
        measurements: Y, shape (m, n), a row per sample.
        num_layers: L >= 1.
        threshold: θ = τ λ >= 0.
        step_size: τ > 0 with τ‖A‖² <= 1; default 1/‖A‖².

    Returns:
        ``Perturbation(measured, bound, holds)``; ``holds`` allows for rounding.

    Raises:
        ValueError: shapes that do not fit, dictionaries that are not orthogonal, τ‖A‖² > 1.

    Cost: 2 L passes over Y; one singular value decomposition of A, one of A(Φ₁ − Φ₂).

    Example:
        >>> import jax.numpy as jnp
        >>> A, Y = jnp.array([[1.0, 0.0, 0.5]]), jnp.array([[2.0]])
        >>> found = check_perturbation(A, jnp.eye(3), jnp.eye(3)[::-1], Y, 3, threshold=0.1)
        >>> bool(found.holds), float(found.measured) > 0
        (True, True)

    Source: as ``perturbation_constant``.
    """
    where = "check_perturbation"
    matrix = checks.array(where, "matrix", matrix, ndim=2)
    matrix = matrix.astype(jnp.result_type(matrix, jnp.float32))
    checks.finite(where, "matrix", matrix)
    rows, size = matrix.shape
    first = _dictionary(where, "first", first, size)
    second = _dictionary(where, "second", second, size)
    measurements = checks.array(where, "measurements", measurements, ndim=2)
    checks.shape_is(where, "measurements", measurements, (measurements.shape[0], rows))
    checks.finite(where, "measurements", measurements)
    if jnp.iscomplexobj(measurements):
        checks.fail(where, "measurements", "be real", measurements)
    num_layers = checks.count(where, "num_layers", num_layers)
    threshold = checks.nonnegative(where, "threshold", threshold, single=True)
    energy = numerics.safe_norm(measurements)
    checks.finite(where, "measurements", energy, "This is their norm.")
    norm = jnp.linalg.norm(matrix, 2)
    step_size = _step(where, step_size, norm)
    solver = ista(step_size, threshold / step_size)

    def coefficients(dictionary: Array) -> Array:
        operator = dense(numerics.matmul(matrix, dictionary))
        start = jnp.zeros(size, matrix.dtype)
        run = jax.vmap(lambda y: trace(solver, Problem(operator, y), start, num_layers)[0].u)
        return run(measurements)

    measured = numerics.safe_norm(coefficients(first) - coefficients(second))
    change = jnp.linalg.norm(numerics.matmul(matrix, first - second), 2)
    bound = perturbation_constant(num_layers, step_size, norm, energy) * change
    slack = 1 + 100 * jnp.finfo(matrix.dtype).eps
    return Perturbation(measured, bound, measured <= slack * bound)


def _step(where: str, step_size: Any, norm: Array) -> Any:
    """Return τ, by default 1/‖A‖²; a stated one must not be larger."""
    square = norm * norm
    concrete = checks.is_concrete((norm, step_size))
    if checks.is_concrete(norm) and not (0 < float(square) < float("inf")):
        checks.fail(where, "matrix", "have a norm whose square is > 0 and finite", f"{norm}")
    if step_size is None:
        return 1 / square
    step_size = checks.positive(where, "step_size", step_size, single=True)
    if concrete and step_size * float(square) > 1 + 1e-4:
        expected = f"be at most 1/‖A‖² = {1 / float(square):.4g}"
        checks.fail(where, "step_size", expected, step_size)
    return step_size


def _constant(layers: Any, step_size: Any, norm: Any, energy: Any) -> Any:
    return step_size * energy * (layers + step_size * norm * norm * layers * (layers - 1))


def _entropy(size: Any, scale: Any) -> Array:
    """Return √log(e (1 + 8 size / scale)), Dudley's integral over one family of parameters."""
    return jnp.sqrt(1 + jnp.log1p(8 * jnp.asarray(size) / scale))


def _norm_and_step(where: str, operator_norm: Any, step_size: Any) -> tuple[Any, Any]:
    norm = checks.positive(where, "operator_norm", operator_norm)
    if step_size is None:
        return norm, 1 / (norm * norm)
    step_size = checks.positive(where, "step_size", step_size)
    if checks.is_concrete((norm, step_size)):
        product = np.max(np.asarray(step_size) * np.asarray(norm) ** 2)
        if product > 1 + _ROUNDING:
            got = f"a product with ‖A‖² of {product:.4g}"
            checks.fail(where, "step_size", "be at most 1/‖A‖²", got)
    return norm, step_size


def _dictionary(where: str, argument: str, value: Any, size: int) -> Array:
    value = checks.array(where, argument, value, ndim=2)
    checks.shape_is(where, argument, value, (size, size))
    checks.finite(where, argument, value)
    if jnp.iscomplexobj(value):
        checks.fail(where, argument, "be real", value)
    if checks.is_concrete(value):
        seen = np.asarray(value, np.float64)
        defect = float(np.max(np.abs(seen.T @ seen - np.eye(size))))
        if not defect <= _ROUNDING:
            checks.fail(where, argument, "be orthogonal", f"an entry of ΦᵀΦ − I of {defect:.2g}")
    return value


def _counts(where: str, **values: Any) -> list[Any]:
    return [checks.scalar(where, name, value, low=1.0) for name, value in values.items()]
