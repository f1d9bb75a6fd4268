"""A wide single-layer network fits any signal: the rate beside the run."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Num

from jaxinv._core import checks, numerics
from jaxinv.theory.untrained._descent import Claim

_WIDTH = 4.3e15  # d / n that the proof asks for


class FittingRate(NamedTuple):
    """Misfit of V relu(W z) along descent, beside the promised decay.

    Attributes:
        measured: ‖V relu(W_t z) − y‖/‖y‖ at t = 0 to T.
        bound: 3 (1 − η α²/4)^t.
        holds: whether the misfit is below the bound at every step.
        smallest, promised_smallest: σ_min of J(W_0), and the lemma's ½ ν √d ‖z‖.
        largest, promised_largest: ‖J(W_0)‖, and the lemma's ν (√d + 2 √n) ‖z‖.
        step_size: η.
        required_width: d for which the theorem is proved, 4.3e15 n.
        premise: whether d is that large.
    """

    measured: Array
    bound: Array
    holds: Array
    smallest: Array
    promised_smallest: Array
    largest: Array
    promised_largest: Array
    step_size: Array
    required_width: float
    premise: bool


def check_fitting_rate(
    key: Any,
    y: Num[ArrayLike, "n"],
    width: int,
    num_steps: int,
    *,
    step_fraction: Any = 1.0,
    input_size: int = 8,
) -> FittingRate:
    r"""Fit any signal by a wide single-layer network; compare the decay with its bound.

    .. math:: \min_W \tfrac12 \|V \mathrm{relu}(W z) - y\|^2, \qquad
        V_{ij} \sim N(0, \nu^2),\; W_0 \sim N(0, 1),\; \nu = \frac{\|y\|}{\sqrt{d n}\, \|z\|}

    With :math:`\eta = \bar\eta / \beta^2`, for d >= C n

    .. math::
        \alpha = \tfrac14 \nu \sqrt d \|z\|, \qquad \beta = \nu (\sqrt d + 2 \sqrt n) \|z\|, \\
        \|V \mathrm{relu}(W_t z) - y\| \le 3 \|y\| \bigl(1 - \eta \alpha^2 / 4 \bigr)^t

    so that early stopping is needed: the network fits noise as well. The kernel is
    J Jᵀ = ‖z‖² V diag(1[W z > 0]) Vᵀ: the input enters by its norm only.

    Args:
        key: JAX PRNG key of z, V and W_0.
        y: the signal, shape (n,), not zero.
        width: d.
        num_steps: T >= 1.
        step_fraction: η̄ in (0, 1].
        input_size: entries of z ~ N(0, I).

    Returns:
        ``FittingRate``. The claim is checked at any width, far below the one of the proof.

    Raises:
        ValueError: numbers out of range, y = 0.

    Cost: 2 n d multiplications a step, and the singular values of an n × d matrix.

    Notes: η and the rate are those that the proof derives. The lemma on σ_min needs d >= 3528 n
        by itself (one place says 3828), the proof in the end 4.3e15 n. For widths of a few n the
        bound holds all the same, with a wide margin.

    Example:
        >>> import jax
        >>> found = check_fitting_rate(jax.random.key(0), jax.numpy.ones(8), 256, 100)
        >>> bool(found.holds), found.premise
        (True, False)

    Source: Van Veen, Jalal, Soltanolkotabi, Price, Vishwanath, Dimakis (2020), Theorem 4.1.
    """
    where = "check_fitting_rate"
    key = checks.key(where, key)
    y = checks.array(where, "y", y, ndim=1)
    if jnp.iscomplexobj(y):
        checks.fail(where, "y", "be real", y)
    y = y.astype(jnp.result_type(y, jnp.float32))
    checks.finite(where, "y", y)
    if checks.is_concrete(y) and not bool(jnp.any(y != 0)):
        checks.fail(where, "y", "not be zero", "all zeros")
    d = checks.count(where, "width", width)
    num_steps = checks.count(where, "num_steps", num_steps)
    input_size = checks.count(where, "input_size", input_size)
    fraction = checks.scalar(
        where, "step_fraction", step_fraction, low=0.0, high=1.0, open_low=True, single=True
    )
    misfit, jacobian, step = _run(key, y, fraction, d, num_steps, input_size)
    needed = _WIDTH * y.size
    found = FittingRate(
        *misfit, *jacobian, step_size=step, required_width=needed, premise=d >= needed
    )
    return checks.no_nan(where, "y", found)


@partial(jax.jit, static_argnums=(3, 4, 5))
def _run(
    key: Array, y: Array, fraction: Any, d: int, num_steps: int, input_size: int
) -> tuple[Claim, tuple[Array, Array, Array, Array], Array]:
    """Return the claim, σ_min and σ_max of J(W_0) each beside the promised one, and η."""
    n = y.size
    for_z, for_v, for_w = jax.random.split(key, 3)
    z = jax.random.normal(for_z, (input_size,), y.dtype)
    length, size = numerics.safe_norm(z), numerics.safe_norm(y)
    nu = size / (jnp.sqrt(jnp.asarray(d * n, y.dtype)) * length)
    V = nu * jax.random.normal(for_v, (n, d), y.dtype)
    # descent on W moves W z by −η‖z‖² (Vᵀ r) ∘ 1[W z > 0], a closed recursion in h = W z
    h = numerics.matmul(jax.random.normal(for_w, (d, input_size), y.dtype), z)
    active = jnp.where(h > 0, V, 0) * length
    singular = jnp.linalg.svd(active, full_matrices=False, compute_uv=False)
    alpha = nu * d**0.5 * length / 4
    beta = nu * (d**0.5 + 2 * n**0.5) * length
    step = jnp.asarray(fraction, y.dtype) / beta**2
    misfit = _misfits(V, h, y, step * length**2, num_steps) / size
    bound = 3 * (1 - step * alpha**2 / 4) ** jnp.arange(num_steps + 1)
    slack = 1e3 * jnp.finfo(y.dtype).eps
    smallest = singular[-1] if d >= n else jnp.zeros((), y.dtype)
    claim = Claim(misfit, bound, jnp.all(misfit <= bound + slack))
    return claim, (smallest, 2 * alpha, singular[0], beta), step


def _misfits(V: Array, h: Array, y: Array, rate: Array, num_steps: int) -> Array:
    def body(h: Array, _: None) -> tuple[Array, Array]:
        residual = numerics.matmul(V, jax.nn.relu(h)) - y
        change = jnp.where(h > 0, numerics.matmul(V.T, residual), 0)
        return h - rate * change, numerics.safe_norm(residual)

    return jax.lax.scan(body, h, None, length=num_steps + 1)[1]
