"""What draws say of the signal: its mean, its spread and intervals, from chains that have mixed."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxinv._core import Status, checks
from jaxinv.samplers._sample import Samples


class Summary(NamedTuple):
    """What ``summary`` returns, each of the shape of the signal.

    Attributes:
        mean: posterior mean, the estimate of least squared error.
        std: posterior standard deviation.
        low, high: ends of the central interval of each entry.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, 1.0, in_shape=1)
        >>> problem = ji.Problem(ji.operators.identity(1), jnp.zeros(1), G)
        >>> draws = ji.sample(ji.samplers.laplace(1.0), problem, jnp.ones((4, 1)),
        ...                   key=jax.random.key(0), num_steps=2000)
        >>> bool(ji.samplers.summary(draws).high[0] > 1)  # 1.645/√2
        True
    """

    mean: Float[Array, "*signal"]
    std: Float[Array, "*signal"]
    low: Float[Array, "*signal"]
    high: Float[Array, "*signal"]


def summary(draws: Samples, *, level: Any = 0.9, unmixed: bool = False) -> Summary:
    r"""Return mean, standard deviation and central intervals of the signal, entry by entry.

    .. math:: [q_{(1 - \text{level})/2},\; q_{(1 + \text{level})/2}]

    of the quantiles q of all draws of all chains. An interval holds for its entry alone, and as
    far as model and prior hold: ``sweeps.calibration`` tests it over problems with known truth.

    Args:
        draws: what ``ji.sample`` returned, of a real signal.
        level: share of the posterior between the ends, in (0, 1).
        unmixed: take chains that have not mixed too, which say nothing of what they have not
            visited; for a look at them.

    Returns:
        ``Summary(mean, std, low, high)``.

    Raises:
        TypeError: no ``Samples``.
        ValueError: a status other than SAMPLED, unless ``unmixed``; a complex signal. Under
            ``jit`` and ``vmap`` the status is not seen: keep it beside the result.

    Cost: a sort of all draws of every entry.

    Notes: of equal tails; the shortest interval may differ where a posterior is skewed.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, 1.0, in_shape=1)
        >>> problem = ji.Problem(ji.operators.identity(1), jnp.zeros(1), G)
        >>> draws = ji.sample(ji.samplers.laplace(1.0), problem, jnp.ones((4, 1)),
        ...                   key=jax.random.key(0), num_steps=2000)
        >>> bool(jnp.allclose(summary(draws).std, jnp.sqrt(0.5), rtol=0.05))
        True

    Source: definitions; quantiles as ``jax.numpy.quantile`` interpolates them.
    """
    where = "summary"
    draws = real_draws(where, draws)
    unmixed = checks.boolean(where, "unmixed", unmixed)
    if checks.is_concrete(draws.status) and not unmixed:
        _require_sampled(where, np.asarray(draws.status))
    return summarized(where, draws, level)


def real_draws(where: str, draws: Any) -> Samples:
    """Return samples of a real signal; refuse anything else."""
    if not isinstance(draws, Samples):
        hint = "Pass what ji.sample returned."
        checks.fail_type(where, "draws", "be Samples", draws, hint)
    x = checks.array(where, "draws.x", draws.x)
    if jnp.iscomplexobj(x):
        hint = "Such as draws._replace(x=abs(draws.x))."
        checks.fail(where, "draws.x", "be real", x, hint)
    if x.ndim < 2:
        checks.fail(where, "draws.x", "have axes for chains and draws", x)
    return draws._replace(x=x)


def summarized(where: str, draws: Samples, level: Any) -> Summary:
    """Return the summary of chains, mixed or not."""
    level = checks.scalar(where, "level", level, low=0.0, high=0.9999, open_low=True, single=True)
    x = draws.x
    tail = (1 - jnp.asarray(level, x.dtype)) / 2
    low, high = jnp.quantile(x, jnp.stack([tail, 1 - tail]), axis=(0, 1))
    return Summary(jnp.mean(x, (0, 1)), jnp.std(x, (0, 1)), low, high)


def _require_sampled(where: str, status: np.ndarray) -> None:
    bad = status[status != Status.SAMPLED]
    if bad.size:
        names = ", ".join(sorted({Status(int(code)).name for code in bad}))
        hint = "See describe(draws.status); unmixed=True takes them as they are."
        got = f"{names} for {bad.size} of {status.size}"
        checks.fail(where, "draws", "be of chains with status SAMPLED", got, hint)
