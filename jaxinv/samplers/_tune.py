"""Step size and mass matrix of HMC and NUTS, by the window adaptation of blackjax."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PRNGKeyArray

from jaxinv._core import checks, replace
from jaxinv._core.typed import PyTree
from jaxinv.problems import Problem
from jaxinv.samplers._blackjax import METRIC, Blackjax, package
from jaxinv.solvers._checked import check_problem, fit


def tune(
    sampler: Blackjax,
    problem: Problem,
    u0: PyTree,
    *,
    key: PRNGKeyArray,
    num_steps: int = 1000,
    acceptance: Any = 0.8,
    dense: bool = False,
) -> Blackjax:
    """Find the step size and the mass matrix of ``nuts`` or ``hmc`` on a problem.

    One chain runs with both adapted in windows, as Stan does; its draws are thrown away. What
    comes back is a sampler with fixed parameters, whose chains draw from the posterior.

    Args:
        sampler: of ``nuts``, ``hmc`` or ``from_blackjax`` with ``blackjax.mhmc``; its step size is
            where the search begins.
        problem: what will be sampled; its truth is never read.
        u0: a start, such as ``family.initial(key)``.
        key: a JAX PRNG key.
        num_steps: steps of the chain (static).
        acceptance: the mean probability of acceptance to aim at, in (0, 1).
        dense: find the covariance of the unknown, not only its variances.

    Returns:
        The sampler with ``parameters["step_size"]`` and ``parameters["inverse_mass_matrix"]`` set.

    Raises:
        TypeError: another sampler.
        ValueError: fewer than 20 steps; a start of another shape; a density that is not finite
            there.

    Cost: num_steps of the sampler.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, jnp.array([1.0, 100.0]), in_shape=2)
        >>> problem = ji.Problem(ji.operators.identity(2), jnp.array([1.0, 1.0]), G)
        >>> sampler = ji.samplers.nuts(0.1, 1.0)
        >>> found = tune(sampler, problem, jnp.zeros(2), key=jax.random.key(0))
        >>> variances = found.parameters["inverse_mass_matrix"]  # 1/2 and 1/10001
        >>> bool(variances[0] > 1000 * variances[1])
        True

    Source: Stan Development Team, Reference manual, "Automatic parameter tuning"; Hoffman, Gelman
        (2014), section 3.2.
    """
    where = "tune"
    if not isinstance(sampler, Blackjax) or not {"step_size", METRIC} <= sampler.parameters.keys():
        hint = "Such as samplers.nuts(0.1, noise_std)."
        checks.fail_type(where, "sampler", "be one of nuts or hmc", sampler, hint)
    sampler.check(where)
    key = checks.key(where, key)
    num_steps = checks.count(where, "num_steps", num_steps, minimum=20)
    acceptance = checks.scalar(where, "acceptance", acceptance, low=0.0, high=0.999, open_low=True)
    problem = check_problem(where, problem, "any")._replace(truth=None)
    u0 = checks.array(where, "u0", u0) if isinstance(u0, list) else checks.arrays(where, "u0", u0)
    checks.finite(where, "u0", u0)
    if any(jnp.iscomplexobj(leaf) for leaf in jax.tree.leaves(u0)):
        checks.fail(where, "u0", "be real", "a complex array")
    u0 = fit(where, problem, u0, u0, "u0")
    dense = checks.boolean(where, "dense", dense)
    found = _adapted(sampler, problem, u0, key, acceptance, num_steps, dense)
    step = found["step_size"]
    if checks.is_concrete(step) and not (np.isfinite(step) and step > 0):
        hint = "Look at problem.log_density(u0, noise_std)."
        checks.fail(where, "u0", "lead to a finite step", f"{float(step)}", hint)
    return replace(sampler, parameters={**sampler.parameters, **found})


@partial(jax.jit, static_argnums=(5, 6))
def _adapted(
    sampler: Blackjax,
    problem: Problem,
    u0: Any,
    key: Array,
    acceptance: Any,
    num_steps: int,
    dense: Any,
) -> dict[str, Array]:
    blackjax = package("tune")
    adaptation = blackjax.window_adaptation(
        blackjax.GenerateSamplingAPI(*sampler.algorithm),
        partial(sampler.log_density, problem),
        is_mass_matrix_diagonal=not dense,
        initial_step_size=sampler.parameters["step_size"],
        target_acceptance_rate=acceptance,
        adaptation_info_fn=lambda *_: None,
        **dict(sampler.settings),
    )
    (_, found), _ = adaptation.run(key, u0, num_steps)
    return {name: found[name] for name in ("step_size", METRIC)}
