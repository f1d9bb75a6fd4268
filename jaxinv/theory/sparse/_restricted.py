"""Restricted isometry and restricted eigenvalue constants, each with the side it bounds."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks
from jaxinv.operators import LinearOperator
from jaxinv.theory.sparse._columns import host_matrix
from jaxinv.theory.sparse._search import cone_minimum, extreme_supports, random_supports

METHODS = ("exact", "search", "sampled", "gershgorin")
_MOST_SUPPORTS = 2_000_000
_CHUNK = 4096


class RestrictedIsometry(NamedTuple):
    """A restricted isometry constant.

    Attributes:
        value: δ, or a bound of it.
        bound: ``"exact"``, ``"lower"`` (δ is at least ``value``) or ``"upper"`` (at most).
        support: sorted columns that attain it; None for an upper bound, which none need attain.
        smallest, largest: extreme eigenvalues of A_S* A_S over the supports S looked at, or
            bounds of them: δ = max(largest - 1, 1 - smallest).
    """

    value: float
    bound: str
    support: tuple[int, ...] | None
    smallest: float
    largest: float


class RestrictedEigenvalue(NamedTuple):
    """A restricted eigenvalue.

    Attributes:
        value: the minimum of ‖Ax‖²/‖x‖² over the cone, or a bound of it.
        bound: ``"exact"``, ``"upper"`` (the minimum is at most ``value``) or ``"lower"``.
        vector: x of norm 1 that attains it, shape (n,); None for a lower bound.
        support: the s columns S of that x; None for a lower bound.
    """

    value: float
    bound: str
    vector: np.ndarray | None
    support: tuple[int, ...] | None


def restricted_isometry(
    matrix: Num[ArrayLike, "m n"] | LinearOperator,
    order: int,
    method: str = "search",
    *,
    key: Any = None,
    num_samples: int = 100,
) -> RestrictedIsometry:
    r"""Return the restricted isometry constant of a matrix, or a bound that says its side.

    .. math:: \delta_s = \max_{|S| = s} \|A_S^* A_S - I\|_2, \qquad
              (1 - \delta_s) \|x\|^2 \le \|A x\|^2 \le (1 + \delta_s) \|x\|^2

    for all s-sparse x. The exact value is NP-hard; each method gives what it can:

    - ``"exact"``: all supports, for at most two million of them.
    - ``"search"``: a lower bound, by power iterations truncated to s entries, toward both ends
      of the spectrum, from ``num_samples`` random starts and as many columns with the columns
      that most resemble them, then exchanges of single columns. Far sharper than sampling.
    - ``"sampled"``: a lower bound, from ``num_samples`` random supports.
    - ``"gershgorin"``: an upper bound, from the s - 1 largest inner products of each column; at
      most (s - 1) μ for unit columns. The only one that certifies a large matrix.

    Args:
        matrix: A, shape (m, n), as it is: its columns are not normalized.
        order: s, in [1, n].
        method: as above.
        key: JAX PRNG key of ``"search"`` and ``"sampled"``; None for ``jax.random.key(0)``.
        num_samples: starts or supports, >= 1.

    Returns:
        ``RestrictedIsometry(value, bound, support, smallest, largest)``.

    Raises:
        ValueError: s outside [1, n], too many supports for ``"exact"``, a zero column, traced
            input.

    Cost: binomial(n, s) eigenvalue problems of size s; or 180 products with the Gram matrix and
    2 ``num_samples`` vectors; or one sort of the Gram matrix.

    Example:
        >>> import numpy as np
        >>> found = restricted_isometry(np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]]), 2, "exact")
        >>> round(found.value, 6), found.bound, found.support
        (0.8, 'exact', (1, 2))

    Source: Candès, Tao (2005); truncated power iteration: Yuan, Zhang (2013).
    """
    where = "restricted_isometry"
    checks.choice(where, "method", method, METHODS)
    num_samples = checks.count(where, "num_samples", num_samples)
    exact = host_matrix(where, matrix)
    order = _order(where, order, exact.shape[1])
    gram = exact.conj().T @ exact
    if method == "gershgorin":
        smallest, largest = gershgorin(gram, order)
        return RestrictedIsometry(_delta(smallest, largest), "upper", None, smallest, largest)
    generator = _generator(where, key)
    if method == "exact":
        supports, bound = _all_supports(where, exact.shape[1], order), "exact"
    elif method == "sampled":
        supports, bound = random_supports(generator, exact.shape[1], order, num_samples), "lower"
    else:
        supports, bound = extreme_supports(generator, gram, order, num_samples), "lower"
    return _extreme(gram, supports, bound)


def restricted_eigenvalue(
    matrix: Num[ArrayLike, "m n"] | LinearOperator,
    order: int,
    cone: Any = 3.0,
    method: str = "search",
    *,
    key: Any = None,
    num_samples: int = 40,
) -> RestrictedEigenvalue:
    r"""Return the restricted eigenvalue of a matrix over the Lasso's cone, or a bound.

    .. math:: \kappa = \min \Big\{ \frac{\|A x\|_2^2}{\|x\|_2^2} : x \ne 0,\
              \|x_{S^c}\|_1 \le \alpha \|x_S\|_1 \text{ for some } |S| = s \Big\}

    The error of the Lasso lies in this cone with α = 3, that of basis pursuit with α = 1; a
    positive κ bounds it. A has the scaling of the loss ½‖y - Ax‖²: with rows of variance 1
    divide by √m first.

    - ``"search"``: an upper bound, by projected gradient descent of the quotient in the cone
      from ``num_samples`` starts.
    - ``"sampled"``: an upper bound, from random points of the cone.
    - ``"gershgorin"``: a lower bound, min ‖a_i‖² - μ' ((1 + α)² s - 1) with μ' the largest
      inner product of two columns; it may be negative, and then says nothing.
    - ``"exact"``: for α = 0 only, where the cone is the set of s-sparse vectors.

    Args:
        matrix: A, shape (m, n), as it is.
        order: s, in [1, n].
        cone: α >= 0.
        method: as above.
        key: JAX PRNG key; None for ``jax.random.key(0)``.
        num_samples: starts or points, >= 1.

    Returns:
        ``RestrictedEigenvalue(value, bound, vector, support)``.

    Raises:
        ValueError: s outside [1, n], α < 0, ``"exact"`` with α > 0, a zero column, traced input.

    Cost: ``"search"``: 400 products with the Gram matrix and ``num_samples`` vectors.

    Example:
        >>> import numpy as np
        >>> A = np.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])
        >>> found = restricted_eigenvalue(A, 1, cone=0.0, method="exact")
        >>> round(found.value, 6), found.bound
        (1.0, 'exact')

    Source: Bickel, Ritov, Tsybakov (2009); in this form Negahban, Ravikumar, Wainwright, Yu
    (2012).
    """
    where = "restricted_eigenvalue"
    checks.choice(where, "method", method, METHODS)
    num_samples = checks.count(where, "num_samples", num_samples)
    cone = checks.nonnegative(where, "cone", cone, single=True)
    exact = host_matrix(where, matrix)
    order = _order(where, order, exact.shape[1])
    gram = exact.conj().T @ exact
    if method == "gershgorin":
        off = np.abs(gram - np.diag(np.diag(gram))).max()
        value = float(np.real(np.diag(gram)).min() - off * ((1 + cone) ** 2 * order - 1))
        return RestrictedEigenvalue(value, "lower", None, None)
    if method == "exact":
        return _sparse_eigenvalue(where, gram, order, cone)
    steps = 400 if method == "search" else 0
    vector = cone_minimum(_generator(where, key), gram, order, cone, num_samples, steps)
    support = tuple(sorted(np.argsort(-np.abs(vector), kind="stable")[:order].tolist()))
    value = max(float(np.real(vector.conj() @ gram @ vector)), 0.0)
    return RestrictedEigenvalue(value, "upper", vector, support)


def gershgorin(gram: np.ndarray, order: int) -> tuple[float, float]:
    """Return a lower and an upper bound of the eigenvalues of all s × s principal minors."""
    diagonal = np.real(np.diag(gram))
    off = np.abs(gram - np.diag(np.diag(gram)))
    reach = np.sum(-np.sort(-off, axis=1)[:, : order - 1], axis=1)
    return float(np.min(diagonal - reach)), float(np.max(diagonal + reach))


def _sparse_eigenvalue(where: str, gram: np.ndarray, order: int, cone: float) -> Any:
    if cone > 0:
        hint = "The minimum over a cone is bracketed by 'gershgorin' and 'search'."
        checks.fail(where, "method", "not be 'exact' unless cone is 0", f"cone = {cone:g}", hint)
    supports = _all_supports(where, gram.shape[0], order)
    lows = _minors(gram, supports)[0]
    support = supports[int(np.argmin(lows))]
    vector = np.zeros(gram.shape[0], gram.dtype)
    vector[support] = np.linalg.eigh(gram[np.ix_(support, support)])[1][:, 0]
    return RestrictedEigenvalue(float(lows.min()), "exact", vector, tuple(support.tolist()))


def _extreme(gram: np.ndarray, supports: np.ndarray, bound: str) -> RestrictedIsometry:
    lows, highs = _minors(gram, supports)
    worst = int(np.argmax(np.maximum(highs - 1, 1 - lows)))
    smallest, largest = float(lows.min()), float(highs.max())
    support = tuple(sorted(supports[worst].tolist()))
    return RestrictedIsometry(_delta(smallest, largest), bound, support, smallest, largest)


def _delta(smallest: float, largest: float) -> float:
    return max(largest - 1, 1 - smallest)


def _minors(gram: np.ndarray, supports: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest eigenvalue of each principal minor."""
    lows, highs = [], []
    for start in range(0, len(supports), _CHUNK):
        chunk = supports[start : start + _CHUNK]
        values = np.linalg.eigvalsh(gram[chunk[:, :, None], chunk[:, None, :]])
        lows.append(values[:, 0])
        highs.append(values[:, -1])
    return np.concatenate(lows), np.concatenate(highs)


def _all_supports(where: str, size: int, order: int) -> np.ndarray:
    count = math.comb(size, order)
    if count > _MOST_SUPPORTS:
        expected = f"have at most {_MOST_SUPPORTS} supports for 'exact'"
        hint = "Bracket it by 'search' and 'gershgorin'."
        checks.fail(where, "matrix", expected, f"{count:.3g}", hint)
    flat = itertools.chain.from_iterable(itertools.combinations(range(size), order))
    return np.fromiter(flat, np.int32, count * order).reshape(count, order)


def _order(where: str, order: Any, size: int) -> int:
    order = checks.count(where, "order", order)
    if order > size:
        checks.fail(where, "order", f"be at most {size}, the number of columns", order)
    return order


def _generator(where: str, key: Any) -> np.random.Generator:
    key = jax.random.key(0) if key is None else checks.key(where, key)
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))
