"""What a trained generator can and cannot do, on signals that its training has not seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike
from jaxtyping import Float, Num, PRNGKeyArray

from jaxinv._core import checks, numerics
from jaxinv.operators import identity
from jaxinv.problems import Problem
from jaxinv.solvers import levenberg_marquardt, solve
from jaxinv.trained._fit import flat_signals, require_learned

_SILENT = 0.05  # of the largest reach of a latent; one with less has collapsed
_STARTS = 4
_MAX_STEPS, _TOL = 60, 1e-4
_NEIGHBOR = 5
LARGEST_LATENT = 2000  # whose Jacobian is formed


class Diagnosis(NamedTuple):
    """What ``diagnose`` measures.

    Attributes:
        projection_error: (N,), mean squared error per entry of the nearest signal of the range
            to each held-out one: the floor of every answer. 0 for a flow, up to rounding.
        constant_error: the same of the mean of the held-out signals, beside which to read it.
        coverage: share of the held-out signals near which a generated one lies, nearer than
            their own fifth neighbor among them; 1 is best, low where kinds of signals are missed.
        reach: (k,), root mean square of ∂G/∂z_i over random latents; large first.
        num_collapsed: latents whose reach is below 5 % of the largest: they are not in use.
        spectrum: (k,), mean singular values of the Jacobian over random latents.
        lipschitz: largest ‖G'(z)‖ that was met: a lower bound of the Lipschitz constant.
        lipschitz_bound: product of the layers' norms, an upper bound; NaN where none is known.
    """

    projection_error: Float[Array, "n"]
    constant_error: Float[Array, ""]
    coverage: Float[Array, ""]
    reach: Float[Array, "k"]
    num_collapsed: int
    spectrum: Float[Array, "k"]
    lipschitz: Float[Array, ""]
    lipschitz_bound: Float[Array, ""]


def diagnose(
    key: PRNGKeyArray,
    model: Any,
    signals: Num[ArrayLike, "signals *shape"],
    *,
    num_samples: int = 1000,
) -> Diagnosis:
    r"""Measure a trained generator on held-out signals.

    Projection error, coverage, latents out of use, and how strongly the signal answers to the
    latent; before it is trusted as a prior.

    Args:
        key: a JAX PRNG key.
        model: what ``fit`` trained.
        signals: held-out ones, shape (N, *model.signal_shape), N >= 2.
        num_samples: generated signals for the coverage; a tenth of them for the Jacobians.

    Returns:
        A ``Diagnosis``.

    Raises:
        TypeError: no trained generator.
        ValueError: signals of another shape, fewer than two, NaN; a latent of over 2000 numbers.

    Cost: N times a search of the latent (Levenberg-Marquardt from four starts, one more from the
        encoder where there is one).

    Example:
        >>> import jax, jaxinv as ji
        >>> images, _ = ji.data.digits()
        >>> G = ji.generators.vae(jax.random.key(0), (8, 8), 2, hidden=(8,))
        >>> found = diagnose(jax.random.key(1), G, images[:4], num_samples=20)
        >>> found.projection_error.shape, found.spectrum.shape
        ((4,), (2,))

    Source: coverage of Naeem, Oh, Uh, Choi, Yoo (2020), "Reliable fidelity and diversity metrics
        for generative models", equation 5.
    """
    where = "diagnose"
    key = checks.key(where, key)
    model = require_learned(where, model)
    x = flat_signals(where, model, signals)
    if len(x) < 2:
        checks.fail(where, "signals", "be at least 2", f"{len(x)}")
    num_samples = checks.count(where, "num_samples", num_samples)
    if model.latent_size > LARGEST_LATENT:
        expected = f"have a latent of at most {LARGEST_LATENT} numbers"
        checks.fail(where, "model", expected, f"{model.latent_size}")
    start_key, sample_key = jax.random.split(key)
    errors = _projection_errors(model, x, jax.random.split(start_key, len(x)))
    z = jax.random.normal(sample_key, (num_samples, model.latent_size), x.dtype)
    made = jax.jit(jax.vmap(model))(z).reshape(num_samples, -1)
    reach, spectrum, largest = _jacobians(model, z[: max(num_samples // 10, 1)])
    return Diagnosis(
        projection_error=errors,
        constant_error=jnp.mean(jnp.var(x, 0)),
        coverage=_coverage(x, made),
        reach=jnp.sort(reach)[::-1],
        num_collapsed=int(jnp.sum(reach < _SILENT * jnp.max(reach))),
        spectrum=spectrum,
        lipschitz=largest,
        lipschitz_bound=_bound(model),
    )


@jax.jit
def _projection_errors(model: Any, x: Array, keys: Array) -> Array:
    """Return the mean squared error per entry of the nearest signal that a search finds."""
    if model.name == "flow":
        latent = jax.vmap(model.inverse)(x.reshape(-1, *model.signal_shape))
        made = jax.vmap(model)(latent).reshape(x.shape)
        return jnp.mean(jnp.square(made - x), -1)
    has_encoder = "encoder" in model.params
    solver = levenberg_marquardt(num_restarts=_STARTS + has_encoder)
    operator = identity(model.signal_shape)

    def error(pair: Any) -> Array:
        signal, key = pair
        signal = signal.reshape(model.signal_shape)
        starts = jax.random.normal(key, (_STARTS, model.latent_size), signal.dtype)
        if has_encoder:
            starts = jnp.concatenate([starts, model.encode(signal)[0][None]])
        problem = Problem(operator, signal, model)
        found = solve(solver, problem, starts, tol=_TOL, max_steps=_MAX_STEPS)
        return jnp.mean(jnp.square(found.x - signal))

    return lax.map(error, (x, keys))


def _coverage(x: Array, made: Array) -> Array:
    """Return the share of signals with a generated one nearer than their fifth neighbor."""
    own = jnp.sort(_distances(x, x), -1)[:, min(_NEIGHBOR, len(x) - 1)]
    return jnp.mean(jnp.min(_distances(x, made), -1) <= own)


def _distances(a: Array, b: Array) -> Array:
    """Return squared distances of all pairs."""
    sizes = jnp.sum(a * a, -1)[:, None] + jnp.sum(b * b, -1)
    return jnp.maximum(sizes - 2 * numerics.matmul(a, b.T), 0)


@jax.jit
def _jacobians(model: Any, z: Array) -> tuple[Array, Array, Array]:
    """Return each latent's reach, mean singular values, and the largest one."""

    def gram(latent: Array) -> Array:
        columns = jax.jacfwd(model)(latent).reshape(-1, latent.size)
        return numerics.matmul(columns.T, columns)

    grams = lax.map(gram, z)
    reach = numerics.safe_sqrt(jnp.mean(jnp.diagonal(grams, axis1=1, axis2=2), 0))
    values = numerics.safe_sqrt(jnp.maximum(jnp.linalg.eigvalsh(grams), 0))[:, ::-1]
    return reach, jnp.mean(values, 0), jnp.max(values)


def _bound(model: Any) -> Array:
    """Return the product of the layers' norms, of dense networks; no unit is steeper than 1."""
    if getattr(model, "kind", "") != "dense":
        return jnp.asarray(jnp.nan)
    layers = model.params["decoder" if model.name == "vae" else "generator"]
    norms = [jnp.linalg.norm(layer["kernel"], 2) for layer in layers.values()]
    ends = getattr(model, "likelihood", "") == "bernoulli" or getattr(model, "bounded", False)
    return jnp.prod(jnp.stack(norms)) * (0.25 if ends else 1.0)
