"""The sparsity up to which each theorem promises recovery."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks
from jaxinv.operators import LinearOperator
from jaxinv.theory.sparse._coherence import largest_interference, normalized_weights
from jaxinv.theory.sparse._columns import host_matrix, unit_columns
from jaxinv.theory.sparse._restricted import restricted_isometry


class Sufficient(NamedTuple):
    """A sufficient sparsity.

    Attributes:
        value: the largest s for which the theorem's condition holds (0: none).
        bound: ``"exact"``; ``"lower"``: the condition surely holds up to ``value``, perhaps
            beyond; ``"upper"``: it surely fails above ``value``, and may fail below.
        constant: the coherence, or the isometry constant at ``value``, that was compared.
        source: authors (year) and theorem.
    """

    value: int
    bound: str
    constant: float
    source: str


class _Isometry(NamedTuple):
    """A theorem that asks for δ_{order(s)} < limit(s)."""

    order: Callable[[int], int]
    limit: Callable[[int], float]
    source: str


_COHERENCE = {
    "omp": (0.5, "Tropp (2004), Corollary 3.6"),
    "basis_pursuit": (0.5, "Donoho, Elad (2003); Gribonval, Nielsen (2003)"),
    "lasso": (0.25, "Donoho, Elad, Temlyakov (2006)"),
}
_WEIGHTS = {
    "lista_cp": "Chen, Liu, Wang, Yin (2018), Theorem 2",
    "alista": "Liu, Chen, Wang, Yin (2019), Theorem 1",
    "null_space": "Juditsky, Nemirovski (2011)",
}
_ISOMETRY = {
    "basis_pursuit_rip": _Isometry(
        lambda s: 2 * s, lambda s: math.sqrt(2) - 1, "Candès (2008), Theorem 1.1"
    ),
    "basis_pursuit_rip_sharp": _Isometry(
        lambda s: 2 * s, lambda s: math.sqrt(0.5), "Cai, Zhang (2014)"
    ),
    "iht": _Isometry(
        lambda s: 3 * s, lambda s: math.sqrt(1 / 3), "Foucart, Rauhut (2013), Theorem 6.18"
    ),
    "cosamp": _Isometry(
        lambda s: 4 * s,
        lambda s: math.sqrt(math.sqrt(11 / 3) - 1) / 2,
        "Foucart, Rauhut (2013), Theorem 6.27",
    ),
    "omp_rip": _Isometry(lambda s: s + 1, lambda s: 1 / math.sqrt(s + 1), "Mo (2015)"),
}
THEOREMS = (*_COHERENCE, "omp_cumulative", *_WEIGHTS, *_ISOMETRY)


def sufficient_sparsity(
    matrix: Num[ArrayLike, "m n"] | LinearOperator,
    theorem: str,
    *,
    weights: Num[ArrayLike, "m n"] | LinearOperator | None = None,
    method: str = "gershgorin",
    key: Any = None,
) -> Sufficient:
    r"""Return the largest sparsity for which a theorem's condition holds.

    Every s-sparse signal is then recovered by the named method. By coherence, with
    :math:`\mu` or, for given weights, :math:`\tilde\mu`:

    ================== ================================================= ====================
    theorem            condition                                         recovers by
    ================== ================================================= ====================
    ``omp``            s < (1 + 1/μ) / 2                                 matching pursuit
    ``basis_pursuit``  s < (1 + 1/μ) / 2                                 ℓ₁ minimization
    ``lasso``          s < (1 + 1/μ) / 4                                 Lasso, stably in noise
    ``omp_cumulative`` μ₁(s - 1) + μ₁(s) < 1                             both of the first two
    ``lista_cp``       s < (1 + 1/μ̃) / 2                                 LISTA-CP, linear rate
    ``alista``         s < (1 + 1/μ̃) / 2                                 ALISTA, linear rate
    ``null_space``     s < (1 + 1/μ̃) / 2                                 ℓ₁ minimization
    ================== ================================================= ====================

    μ₁(s) is the largest sum of s inner products of one column with others. By restricted
    isometry: ``basis_pursuit_rip`` δ₂ₛ < √2 - 1, ``basis_pursuit_rip_sharp`` δ₂ₛ < 1/√2, ``iht``
    δ₃ₛ < 1/√3 (step size 1), ``cosamp`` δ₄ₛ < 0.478, ``omp_rip`` δ₍ₛ₊₁₎ < 1/√(s + 1). The
    ``null_space`` condition follows since every kernel vector obeys x = (I - cWᵀA) x, whose
    entries are at most μ̃/(1 + μ̃) ‖x‖₁ for c = 1/(1 + μ̃).

    Args:
        matrix: A, shape (m, n), no zero column. Coherence theorems without weights are for unit
            columns: others are normalized, with a warning. Isometry theorems take A as it is.
        theorem: one of the above.
        weights: W with w_i* a_i = 1 (else scaled so, with a warning) for ``"lista_cp"``,
            ``"alista"`` and ``"null_space"``, such as ``unfolded.analytic_weights(matrix)``.
        method: how ``restricted_isometry`` is computed for the isometry theorems:
            ``"gershgorin"`` certifies (bound ``"lower"``), ``"exact"`` is exact for small
            matrices, ``"search"`` and ``"sampled"`` only refute (bound ``"upper"``).
        key: JAX PRNG key for ``"search"`` and ``"sampled"``.

    Returns:
        ``Sufficient(value, bound, constant, source)``; ``value`` is at most n.

    Raises:
        ValueError: an unknown theorem, weights missing or not used, a bad matrix, traced input.

    Cost: the Gram matrix; for isometry theorems one constant per sparsity up to the answer.

    Example:
        >>> import jax.numpy as jnp
        >>> from scipy.linalg import hadamard
        >>> A = jnp.concatenate([jnp.eye(16), jnp.asarray(hadamard(16)) / 4.0], axis=1)
        >>> sufficient_sparsity(A, "basis_pursuit").value  # μ = 1/4
        2
    """
    where = "sufficient_sparsity"
    checks.choice(where, "theorem", theorem, THEOREMS)
    if isinstance(matrix, LinearOperator):
        matrix = matrix.todense()
    exact = host_matrix(where, matrix)
    slack = 16 * float(jnp.finfo(checks.array(where, "matrix", matrix).dtype).eps)
    if (theorem in _WEIGHTS) != (weights is not None):
        expected = "be given" if theorem in _WEIGHTS else "be None"
        hint = "unfolded.analytic_weights(matrix) gives them." if theorem in _WEIGHTS else ""
        checks.fail(where, "weights", f"{expected} for {theorem!r}", weights, hint)
    if theorem in _ISOMETRY:
        return _by_isometry(exact, _ISOMETRY[theorem], method, key)
    if theorem in _WEIGHTS:
        scaled = normalized_weights(where, weights, exact)
        constant = largest_interference(scaled, exact)
        return _by_coherence(constant, 0.5, exact.shape[1], slack, _WEIGHTS[theorem])
    unit = unit_columns(where, exact)
    if theorem == "omp_cumulative":
        return _by_cumulative(unit, slack)
    factor, source = _COHERENCE[theorem]
    return _by_coherence(largest_interference(unit, unit), factor, unit.shape[1], slack, source)


def _by_coherence(mu: float, factor: float, size: int, slack: float, source: str) -> Sufficient:
    limit = factor * (1 + 1 / mu) if mu > 1 / (size * 1e3) else math.inf
    # strictly below the limit, where a limit that is an integer up to rounding counts as one
    value = size if limit > size else max(math.ceil(limit * (1 - slack)) - 1, 0)
    return Sufficient(value, "exact", mu, source)


def _by_cumulative(unit: np.ndarray, slack: float) -> Sufficient:
    products = np.abs(unit.conj().T @ unit)
    np.fill_diagonal(products, 0)
    sums = np.max(np.cumsum(-np.sort(-products, axis=1), axis=1), axis=0)
    before = np.concatenate([[0.0], sums[:-1]])
    holds = before + sums < 1 - slack
    value = int(np.argmin(holds)) if not holds.all() else len(sums)
    return Sufficient(value, "exact", float(sums[max(value - 1, 0)]), "Tropp (2004), Theorem 3.5")


def _by_isometry(exact: np.ndarray, theorem: _Isometry, method: str, key: Any) -> Sufficient:
    value, constant = 0, 0.0
    bound = {"gershgorin": "lower", "exact": "exact"}.get(method, "upper")
    while theorem.order(value + 1) <= exact.shape[1]:
        found = restricted_isometry(exact, theorem.order(value + 1), method, key=key)
        if found.value >= theorem.limit(value + 1):
            constant = constant if value else found.value
            break
        value, constant = value + 1, found.value
    return Sufficient(value, bound, constant, theorem.source)
