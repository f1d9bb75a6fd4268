"""How many measurements and units the theorems ask for, with the user's constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxinv._core import checks

SUFFICIENT = ("lipschitz", "relu", "isometry", "conditions")
NECESSARY = ("lipschitz", "wide", "deep", "wide_deep")


def sufficient_measurements(
    theorem: str,
    widths: Sequence[int],
    *,
    constant: Any = 1.0,
    lipschitz: Any = None,
    radius: Any = None,
    delta: Any = None,
) -> float:
    r"""Return how many measurements a theorem finds enough, times an unknown constant.

    .. math:: \text{lipschitz:} \quad & C k \log(L r / \delta) \\
              \text{relu:} \quad & C k d \log w \\
              \text{isometry:} \quad & C k \log \textstyle\prod_i (e n_i / k) \\
              \text{conditions:} \quad & C k d \log \textstyle\prod_i n_i

    for error bounds of all Lipschitz generators and of ReLU networks of d layers with at most w
    units, and for the isometry that gradient descent needs. The proofs leave C open: a fit of C
    on one size predicts others.

    Args:
        theorem: ``"lipschitz"`` (Theorem 1), ``"relu"`` (Theorem 2), ``"isometry"`` (Lemma 5.1
            of Cocola) or ``"conditions"`` (Proposition 1).
        widths: (k, n_1, ..., n_d), or (k, n) for ``"lipschitz"``.
        constant: C > 0.
        lipschitz: L > 0, for ``"lipschitz"``; see ``lipschitz_bounds``.
        radius: r > 0 of the ball of latents, for ``"lipschitz"``.
        delta: δ > 0, the error allowed besides noise, for ``"lipschitz"``; below L r.

    Returns:
        m, not rounded.

    Raises:
        ValueError: an unknown theorem, sizes that are not positive, what the theorem needs missing.

    Example:
        >>> round(sufficient_measurements("relu", (20, 700, 600)), 1)
        262.0
        >>> sizes = {"lipschitz": 10.0, "radius": 5.0, "delta": 0.1}
        >>> round(sufficient_measurements("lipschitz", (20, 600), **sizes), 1)
        124.3

    Source: Bora, Jalal, Price, Dimakis (2017), Theorems 1.1 and 1.2; Hand, Voroninski (2019);
    Cocola (2022), equation (11).
    """
    where = "sufficient_measurements"
    checks.choice(where, "theorem", theorem, SUFFICIENT)
    sizes = _widths(where, widths)
    constant = checks.positive(where, "constant", constant, single=True)
    given = {"lipschitz": lipschitz, "radius": radius, "delta": delta}
    if theorem == "lipschitz":
        return constant * sizes[0] * _covering(where, **given)
    _unused(where, theorem, given)
    if theorem == "relu":
        return constant * sizes[0] * (len(sizes) - 1) * math.log(max(sizes[1:]))
    if theorem == "isometry":
        return constant * sizes[0] * log_pieces(sizes)
    logs = sum(math.log(size) for size in sizes[1:])
    return constant * sizes[0] * (len(sizes) - 1) * logs


def necessary_measurements(
    theorem: str,
    widths: Sequence[int],
    *,
    constant: Any = 1.0,
    lipschitz: Any = None,
    radius: Any = None,
    delta: Any = None,
) -> float:
    r"""Return how many measurements some generator of that size needs, times a constant.

    .. math:: \text{lipschitz:} \quad & c \min\{ k \log(L r / \delta), n \} \\
              \text{wide:} \quad & c\, k \log w \\
              \text{deep:} \quad & c\, k d \\
              \text{wide, deep:} \quad & c\, k d \log w / \log n

    There are generators (``generators.sparse_tents`` is of their kind) for which no decoder does
    with fewer; a given one may need less.

    Args:
        theorem: ``"lipschitz"`` (Theorem 3), or ``"wide"`` (depth 2), ``"deep"`` (width O(n)),
            ``"wide_deep"`` (Theorem 4).
        widths: (k, n_1, ..., n_d), or (k, n) for ``"lipschitz"``.
        constant: c > 0.
        lipschitz: L > 0, for ``"lipschitz"``.
        radius: r > 0 of the ball of latents, for ``"lipschitz"``.
        delta: δ > 0, with log(L r/δ) >= 1, for ``"lipschitz"``.

    Returns:
        m, not rounded.

    Raises:
        ValueError: an unknown theorem, sizes that are not positive, what the theorem needs missing,
            log(L r/δ) < 1, ``"wide"`` for another depth than 2.

    Example:
        >>> round(necessary_measurements("wide", (20, 700, 600)), 1)
        131.0

    Source: Kamath, Karmalkar, Price (2020), Theorem 1.1; Liu, Scarlett (2020), Theorem 7.
    """
    where = "necessary_measurements"
    checks.choice(where, "theorem", theorem, NECESSARY)
    sizes = _widths(where, widths)
    constant = checks.positive(where, "constant", constant, single=True)
    latent, depth, size = sizes[0], len(sizes) - 1, sizes[-1]
    given = {"lipschitz": lipschitz, "radius": radius, "delta": delta}
    if theorem == "lipschitz":
        return constant * min(latent * _covering(where, **given, least=1.0), float(size))
    _unused(where, theorem, given)
    logs = math.log(max(sizes[1:]))
    if theorem == "wide":
        if depth != 2:
            checks.fail(where, "widths", "have 2 layers for theorem 'wide'", f"{depth}")
        return constant * latent * logs
    if theorem == "deep":
        return constant * latent * depth
    if size < 2:
        checks.fail(where, "widths", "end with n >= 2", size)
    return constant * latent * depth * logs / math.log(size)


def log_pieces(sizes: Sequence[int]) -> float:
    """Return log Π (e n_i / k), which bounds the log of the number of linear pieces over k."""
    return sum(math.log(math.e * size / sizes[0]) for size in sizes[1:])


class WidthConditions(NamedTuple):
    """Widths beside those that a theorem asks for, per layer.

    Attributes:
        required: least width of each layer, a number a layer.
        holds: whether all layers are as wide.
        contractive: layers i that are narrower than the one before.
    """

    required: tuple[float, ...]
    holds: bool
    contractive: tuple[int, ...]


def width_conditions(
    widths: Sequence[int], constant: Any = 1.0, *, theorem: str = "range_restricted"
) -> WidthConditions:
    r"""Return the widths that the conditions on random weights need, layer by layer.

    .. math:: \text{range restricted:} \quad & n_1 \ge C k, \quad
              n_i \ge C k \log \textstyle\prod_{j<i} (e n_j / k) \\
              \text{expansive:} \quad & n_i \ge C n_{i-1} \log n_{i-1}

    The first allows layers that contract; the second makes every one of them grow.

    Args:
        widths: (k, n_1, ..., n_d).
        constant: C > 0, of which the proofs say only that it depends on ε.
        theorem: ``"range_restricted"`` (equation (12) of Cocola) or ``"expansive"``
            (Proposition 1).

    Returns:
        ``WidthConditions(required, holds, contractive)``.

    Raises:
        ValueError: sizes that are not positive, an unknown theorem.

    Example:
        >>> found = width_conditions((5, 150, 100, 80))
        >>> found.holds, found.contractive
        (True, (2, 3))
        >>> width_conditions((5, 150, 100, 80), theorem="expansive").holds
        False

    Source: Cocola (2022), assumption B; Hand, Voroninski (2019).
    """
    where = "width_conditions"
    sizes = _widths(where, widths)
    constant = checks.positive(where, "constant", constant, single=True)
    checks.choice(where, "theorem", theorem, ("range_restricted", "expansive"))
    latent = sizes[0]
    required = []
    for i in range(1, len(sizes)):
        if theorem == "expansive":
            needed = sizes[i - 1] * math.log(sizes[i - 1])
        else:
            needed = latent if i == 1 else latent * log_pieces(sizes[:i])
        required.append(constant * needed)
    holds = all(size >= least for size, least in zip(sizes[1:], required, strict=True))
    contractive = tuple(i for i in range(1, len(sizes)) if sizes[i] < sizes[i - 1])
    return WidthConditions(tuple(required), holds, contractive)


def contractive_widths(latent_size: int, depth: int, constant: Any = 1.0) -> tuple[int, ...]:
    r"""Return widths that shrink from layer to layer and meet the theorem's condition.

    .. math:: n_i = \Big\lceil \frac{(2d - i)\, n_d}{d} \Big\rceil, \qquad
              \frac{n_d}{\log n_d} \ge \frac{16 k}{c \log 2}

    with the least such n_d. As t/log t grows, all layers meet the condition that makes the
    theorem's probability nontrivial, though each but the first is narrower than the one before.

    Args:
        latent_size: k >= 1.
        depth: d >= 1.
        constant: c > 0, of which the proof says only that it depends on ε.

    Returns:
        (k, n_1, ..., n_d).

    Raises:
        ValueError: sizes that are not positive.

    Notes: the appendix that has the paper's example is not at hand; this one is in its spirit.

    Example:
        >>> contractive_widths(5, 3, constant=10.0)
        (5, 74, 59, 44)

    Source: Cocola (2022), Remark 3, equation (17).
    """
    where = "contractive_widths"
    latent = checks.count(where, "latent_size", latent_size, maximum=10**6)
    depth = checks.count(where, "depth", depth, maximum=10**4)
    constant = checks.scalar(where, "constant", constant, low=1e-3, high=1e6, single=True)
    ratio = 16 * latent / (constant * math.log(2))
    low, high = 3, 4  # t/log t grows from e on
    while high / math.log(high) < ratio:
        low, high = high, 2 * high
    while low / math.log(low) < ratio and high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle / math.log(middle) < ratio else (low, middle)
    last = low if low / math.log(low) >= ratio else high
    hidden = tuple(-(-(2 * depth - i) * last // depth) for i in range(1, depth + 1))
    return (latent, *hidden)


def _widths(where: str, widths: Any) -> tuple[int, ...]:
    sizes = checks.sizes(where, "widths", widths)
    if len(sizes) < 2:
        checks.fail(where, "widths", "be (k, n_1, ..., n)", f"{sizes}")
    return sizes


def _covering(where: str, lipschitz: Any, radius: Any, delta: Any, least: float = 0.0) -> float:
    """Return log(L r/δ), checked."""
    values = []
    for name, value in (("lipschitz", lipschitz), ("radius", radius), ("delta", delta)):
        if value is None:
            checks.fail(where, name, "be given for theorem 'lipschitz'", "None")
        values.append(math.log(checks.positive(where, name, value, single=True)))
    log = values[0] + values[1] - values[2]
    if log < least or log <= 0:
        limit = "at least 1" if least else "above 0"
        checks.fail(where, "lipschitz", f"make log(L r/δ) {limit}", f"{log:.3g}")
    return log


def _unused(where: str, theorem: str, given: dict[str, Any]) -> None:
    for name, value in given.items():
        if value is not None:
            checks.fail(where, name, f"be None for theorem {theorem!r}", value)
