"""Kernels of blackjax as samplers: HMC, NUTS and others on a problem's density."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Num, PRNGKeyArray

from jaxinv._core import Status, checks, pytree, replace, static
from jaxinv._core.typed import PyTree
from jaxinv.problems import Problem
from jaxinv.samplers._base import Sampler, SamplerInfo, heated_step

METRIC = "inverse_mass_matrix"


class BlackjaxState(NamedTuple):
    """State of a kernel of blackjax: the point, blackjax's own state, and a key."""

    u: Any
    inner: Any
    key: Array


@pytree
class Blackjax(Sampler):
    """See ``from_blackjax``; ``algorithm`` holds blackjax's three functions."""

    noise_std: Any
    parameters: dict[str, Any]
    algorithm: tuple[Callable[..., Any], ...] = static()
    settings: tuple[tuple[str, Any], ...] = static()

    faults: ClassVar[dict[str, Status]] = {"diverging": Status.LONG_STEP}

    def check(self, where: str) -> None:
        single = {"noise_std": self.noise_std, "step_size": self.parameters.get("step_size")}
        for name, value in single.items():
            if getattr(value, "ndim", 0):
                hint = "For one value per trial use jax.vmap over the sampler."
                checks.fail(where, f"sampler.{name}", "be a scalar", value, hint)

    def log_density(self, problem: Problem, u: PyTree) -> Float[Array, ""]:
        return problem.log_density(u, self.noise_std)

    def heated(self, temperature: Any, largest_step: Any) -> Blackjax:
        parameters = dict(self.parameters)
        if "step_size" in parameters:  # of the leapfrog, whose square is that of Langevin's
            square = jnp.square(jnp.asarray(parameters["step_size"]))
            parameters["step_size"] = jnp.sqrt(heated_step(square, temperature, largest_step))
        noise_std = self.noise_std * jnp.sqrt(temperature)
        return replace(self, noise_std=noise_std, parameters=parameters)

    def _kernel(self, problem: Problem, u: Any) -> Any:
        leaves = jax.tree.leaves(u)
        dtype, size = jnp.result_type(*leaves), sum(leaf.size for leaf in leaves)
        given = dict(self.parameters)
        if METRIC in given and given[METRIC] is None:
            given[METRIC] = jnp.ones(size, dtype)
        given = jax.tree.map(lambda leaf: jnp.asarray(leaf).astype(dtype), given)
        metric = given.get(METRIC)
        if metric is not None and metric.shape not in ((size,), (size, size)):
            expected = (
                f"have shape ({size},) or ({size}, {size}), as the unknown has {size} entries"
            )
            checks.fail("sample", f"sampler.{METRIC}", expected, metric)
        return self.algorithm[0](partial(self.log_density, problem), **given, **dict(self.settings))

    def init(self, problem: Problem, u0: PyTree, key: PRNGKeyArray) -> BlackjaxState:
        key, init_key = jax.random.split(key)
        inner = self._kernel(problem, u0).init(u0, init_key)
        if not hasattr(inner, "position"):
            hint = "Such as blackjax.nuts, blackjax.hmc, blackjax.mala or blackjax.barker."
            got = type(inner).__name__
            checks.fail("from_blackjax", "algorithm", "have a state with a position", got, hint)
        return BlackjaxState(inner.position, inner, key)

    def step(self, problem: Problem, state: BlackjaxState) -> tuple[BlackjaxState, SamplerInfo]:
        key, step_key = jax.random.split(state.key)
        inner, info = self._kernel(problem, state.u).step(step_key, state.inner)
        u = inner.position
        found = getattr(inner, "logdensity", None)
        log_density = self.log_density(problem, u) if found is None else found
        accepted = getattr(info, "acceptance_rate", getattr(info, "is_accepted", None))
        if accepted is None:  # such as of mclmc: nothing would say that its draws are off
            hint = "Such as blackjax.adjusted_mclmc in place of blackjax.mclmc."
            got = type(info).__name__
            checks.fail("from_blackjax", "algorithm", "report its acceptance", got, hint)
        accepted = jnp.clip(jnp.nan_to_num(jnp.asarray(accepted, log_density.dtype)), 0, 1)
        diverging = jnp.asarray(getattr(info, "is_divergent", 0), log_density.dtype)
        following = BlackjaxState(u, inner, key)
        return following, SamplerInfo(log_density, accepted, {"diverging": diverging})


def package(where: str) -> Any:
    try:
        return importlib.import_module("blackjax")
    except ImportError:
        hint = "Install it: python -m pip install 'jaxinv[sampling]'."
        text = f"{where}: the package blackjax is not installed. {hint}"
        raise ModuleNotFoundError(text, name="blackjax") from None


def _made(where: str, algorithm: Any, noise_std: Any, parameters: dict[str, Any]) -> Blackjax:
    """Return the sampler: integers, switches and functions are static, other numbers leaves."""
    names = ("differentiable", "init", "build_kernel")
    if not all(callable(getattr(algorithm, name, None)) for name in names):
        hint = "Such as blackjax.nuts."
        checks.fail_type(where, "algorithm", "be a sampling algorithm of blackjax", algorithm, hint)
    known = dict(inspect.signature(algorithm.differentiable).parameters)
    if "logdensity_fn" not in known or "covariance" in known:  # whose prior is a part of its own
        hint = "Such as blackjax.nuts; others take the likelihood and the prior apart."
        got = f"one that takes {', '.join(list(known)[:3])}"
        checks.fail(where, "algorithm", "take the log density of the posterior", got, hint)
    known.pop("logdensity_fn")
    leaves: dict[str, Any] = {METRIC: None} if METRIC in known else {}
    settings: dict[str, Any] = {}
    for name, value in parameters.items():
        checks.choice(where, "parameters", name, known)
        if name == "step_size":
            leaves[name] = checks.positive(where, name, value)
        elif name == METRIC and value is not None:
            leaves[name] = _metric(where, value)
        elif isinstance(value, bool | int | str | np.integer) or callable(value):
            settings[name] = int(value) if isinstance(value, np.integer) else value
        elif value is not None:
            leaves[name] = checks.array(where, name, value)
            checks.finite(where, name, leaves[name])
    needed = [name for name, one in known.items() if one.default is one.empty]
    lacking = [name for name in needed if name not in leaves and name not in settings]
    if lacking:
        checks.fail(where, "parameters", f"hold {', '.join(needed)}", f"no {', '.join(lacking)}")
    noise_std = checks.positive(where, "noise_std", noise_std)
    functions = tuple(getattr(algorithm, name) for name in names)
    return Blackjax(noise_std, leaves, functions, tuple(sorted(settings.items())))


def _metric(where: str, value: Any) -> Array:
    """Return variances, or a covariance, of the unknown."""
    value = checks.array(where, METRIC, value)
    if value.ndim not in (1, 2) or not value.size or value.shape[0] != value.shape[-1]:
        checks.fail(where, METRIC, "have shape (k,) or (k, k)", value)
    if jnp.iscomplexobj(value):
        checks.fail(where, METRIC, "be real", value)
    checks.finite(where, METRIC, value)
    if checks.is_concrete(value):
        seen = np.asarray(value, np.float64)
        least = seen.min() if seen.ndim == 1 else np.linalg.eigvalsh((seen + seen.T) / 2).min()
        if least <= 0:
            got = f"a least {'entry' if seen.ndim == 1 else 'eigenvalue'} of {least:.3g}"
            checks.fail(where, METRIC, "be positive definite", got)
    return value


def from_blackjax(algorithm: Any, noise_std: Any, **parameters: Any) -> Blackjax:
    """Take a sampling algorithm of blackjax for the posterior of a problem.

    It runs on ``problem.log_density(u, noise_std)``, by ``ji.sample`` as the other samplers do. For
    ``nuts`` and ``hmc`` there are constructors of those names.

    Args:
        algorithm: such as ``blackjax.nuts``, ``blackjax.hmc``, ``blackjax.mhmc``,
            ``blackjax.mala`` or ``blackjax.barker``: what takes a log density, and accepts or
            refuses.
        noise_std: σ > 0 of the noise per measurement, as in ``langevin``.
        parameters: blackjax's own, by name. Floats and arrays are leaves, and new values do not
            compile again; integers, switches and functions are static. An
            ``inverse_mass_matrix`` that is not given is the identity.

    Returns:
        A sampler for ``ji.sample``. ``info.events["diverging"]`` is the share of steps whose path
        diverged; the status of a chain with any of them after the burn-in is LONG_STEP.

    Raises:
        TypeError: no algorithm of blackjax.
        ValueError: a parameter that it does not have, or one that lacks; a noise or a step that is
            not positive.

    Cost: that of the algorithm. Chains run side by side, so that each step of ``nuts`` takes as
        long as the longest path among them.

    Example:
        >>> import blackjax, jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, jnp.array([1.0, 2.0]), in_shape=2)
        >>> problem = ji.Problem(ji.operators.identity(2), jnp.array([1.0, 1.0]), G)
        >>> sampler = from_blackjax(blackjax.mala, 1.0, step_size=0.3)
        >>> key = jax.random.key(0)
        >>> draws = ji.sample(sampler, problem, jnp.zeros((4, 2)), key=key, num_steps=50)
        >>> draws.u.shape
        (4, 50, 2)
    """
    return _made("from_blackjax", algorithm, noise_std, parameters)


def nuts(
    step_size: Any,
    noise_std: Any,
    *,
    inverse_mass_matrix: Num[ArrayLike, "..."] | None = None,
    max_num_doublings: int = 10,
) -> Blackjax:
    """Draw from the posterior by NUTS: paths of Hamiltonian dynamics that end where they turn back.

    The first choice where gradients are cheap beside what a draw is worth: it has one number to
    set, which ``tune`` finds. By ``blackjax`` (``pip install 'jaxinv[sampling]'``).

    Args:
        step_size: ε > 0 of the leapfrog, in units of the unknown over the root of the metric;
            about 1/√λ_max of the precision AᵀA/σ² + I.
        noise_std: σ > 0 of the noise per measurement, as in ``langevin``.
        inverse_mass_matrix: variances of the entries (k,), or their covariance (k, k); of a tree
            in the order of its leaves. Default the identity.
        max_num_doublings: a path has at most 2 to this power steps.

    Returns:
        A sampler for ``ji.sample``; see ``from_blackjax`` for paths that diverge.

    Raises:
        ModuleNotFoundError: without ``blackjax``.
        ValueError: a step or a noise that is not positive; a matrix that is not positive definite.

    Cost: one prediction and one gradient for each step of a path.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, jnp.array([1.0, 2.0]), in_shape=2)
        >>> problem = ji.Problem(ji.operators.identity(2), jnp.array([1.0, 1.0]), G)
        >>> key = jax.random.key(0)
        >>> draws = ji.sample(nuts(0.5, 1.0), problem, jnp.zeros((4, 2)), key=key, num_steps=300)
        >>> ji.describe(draws.status[0])[:7]
        'SAMPLED'

    Source: Hoffman, Gelman (2014).
    """
    where = "nuts"
    doublings = checks.count(where, "max_num_doublings", max_num_doublings, maximum=20)
    parameters = {"step_size": step_size, METRIC: inverse_mass_matrix}
    algorithm = package(where).nuts
    return _made(where, algorithm, noise_std, {**parameters, "max_num_doublings": doublings})


def hmc(
    step_size: Any,
    noise_std: Any,
    num_integration_steps: int,
    *,
    inverse_mass_matrix: Num[ArrayLike, "..."] | None = None,
) -> Blackjax:
    """Draw from the posterior by Hamiltonian dynamics over paths of a fixed length.

    Where many chains run side by side, faster than ``nuts`` with a good length, since all paths
    are as long. By ``blackjax`` (``pip install 'jaxinv[sampling]'``).

    Args:
        step_size: ε > 0 of the leapfrog, as in ``nuts``.
        noise_std: σ > 0 of the noise per measurement, as in ``langevin``.
        num_integration_steps: steps of a path (static).
        inverse_mass_matrix: as in ``nuts``.

    Returns:
        A sampler for ``ji.sample``; see ``from_blackjax`` for paths that diverge.

    Raises:
        ModuleNotFoundError: without ``blackjax``.
        ValueError: a step or a noise that is not positive; a matrix that is not positive definite.

    Cost: num_integration_steps predictions and gradients a step.

    Example:
        >>> import jax, jax.numpy as jnp, jaxinv as ji
        >>> G = ji.generators.from_function(jnp.multiply, jnp.array([1.0, 2.0]), in_shape=2)
        >>> problem = ji.Problem(ji.operators.identity(2), jnp.array([1.0, 1.0]), G)
        >>> key = jax.random.key(0)
        >>> draws = ji.sample(hmc(0.2, 1.0, 4), problem, jnp.zeros((4, 2)), key=key,
        ...                   num_steps=1000)
        >>> ji.describe(draws.status[0])[:7]
        'SAMPLED'

    Source: Duane, Kennedy, Pendleton, Roweth (1987); Neal (2011).
    """
    where = "hmc"
    steps = checks.count(where, "num_integration_steps", num_integration_steps)
    parameters = {"step_size": step_size, METRIC: inverse_mass_matrix}
    algorithm = package(where).hmc
    return _made(where, algorithm, noise_std, {**parameters, "num_integration_steps": steps})
