"""The problem: measurements, the operator that made them, the prior, and the truth for scoring."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Inexact, Num

from jaxinv._core import checks, numerics
from jaxinv._core.typed import PyTree
from jaxinv.generators._base import gaussian_energy
from jaxinv.misfits._outer import Outer as OuterMisfit
from jaxinv.misfits._squared import Squared
from jaxinv.operators import LinearOperator, identity
from jaxinv.operators import from_function as as_operator
from jaxinv.operators._dense import Dense
from jaxinv.operators._mask import Identity
from jaxinv.operators._outer import Outer


class Truth(NamedTuple):
    """What a problem was made from; for scoring only, no solver reads it.

    For data of your own: ``Problem(operator, y, prior, Truth(u, x, noise))``.

    Attributes:
        u: the unknown, or None where the signal has none.
        x: the signal, which ``theory.check_*`` compare with.
        noise: y − operator(x), or None.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> x = jnp.array([1.0, 2.0])
        >>> A = ji.operators.dense(jnp.array([[1.0, 1.0]]))
        >>> ji.Problem(A, A(x), truth=ji.problems.Truth(x, x)).truth.x.tolist()
        [1.0, 2.0]
    """

    u: Any
    x: Any
    noise: Any = None


class Problem(NamedTuple):
    """One inverse problem ``y = operator(x) + noise`` with ``x = prior(u)``.

    Attributes:
        operator: the measurement operator, ``operator(x) -> y``.
        y: the measurements.
        prior: a generator or operator that maps the unknown ``u`` to the signal, or None, when
            the unknown is the signal itself.
        truth: a ``Truth``, or None where it is not known (a real measurement).
        misfit: one of ``jaxinv.misfits``, or None for half the sum of squares.
    """

    operator: Any
    y: Any
    prior: Any = None
    truth: Any = None
    misfit: Any = None

    def signal(self, u: PyTree) -> PyTree:
        """Return the signal ``x`` that the unknown ``u`` stands for."""
        return u if self.prior is None else self.prior(u)

    def predict(self, u: PyTree) -> Inexact[Array, "*out"]:
        """Return the noise-free measurements ``operator(signal(u))``."""
        return self.operator(self.signal(u))

    def residual(self, u: PyTree) -> Inexact[Array, "*out"]:
        """Return ``predict(u) - y``."""
        return self.predict(u) - self.y

    def loss(self, u: PyTree) -> Float[Array, ""]:
        """Return the misfit of predict(u) and y: ½‖predict(u) − y‖², unless there is another."""
        problem = by_vector(self)
        if has_squares(problem):
            return 0.5 * numerics.sum_squares(self.residual(u))
        return problem.misfit._value(problem.predict(u), problem.y)

    def log_density(self, u: PyTree, noise_std: Any) -> Float[Array, ""]:
        r"""Return the log of the posterior density of the unknown, up to a constant.

        .. math:: \log p(u \mid y) = -\mathrm{loss}(u)/\sigma^2 - \mathrm{energy}(u)

        The level of the noise is no part of a problem, since no solver needs it: samplers hold
        it, and other libraries get ``functools.partial(problem.log_density, noise_std=σ)``,
        a function of u such as ``blackjax.nuts`` takes.

        Args:
            u: the unknown, a tree of real arrays.
            noise_std: σ > 0 of the Gaussian noise of each measurement; for complex ones
                E|η_i|² = σ², as the families draw it, so that squares count twice. 1 for a
                misfit that is a negative log-likelihood already, such as that of counts.

        Raises:
            TypeError: a prior without an ``energy(u)``: it is no distribution of the unknown.
            ValueError: an energy that is not one real number.

        Example:
            >>> import jax, jax.numpy as jnp, jaxinv as ji
            >>> G = ji.generators.from_function(jnp.multiply, 2.0, in_shape=1)
            >>> problem = ji.Problem(ji.operators.identity(1), jnp.ones(1), G)
            >>> float(problem.log_density(jnp.zeros(1), 0.5))  # -(1/2) (1/0.5)²
            -2.0
        """
        energy = getattr(self.prior, "energy", None)
        if energy is None:
            hint = "Wrap a map with generators.from_function: its latent is N(0, I)."
            checks.fail_type("log_density", "problem.prior", "have an energy", self.prior, hint)
        value = prior_energy(self.prior, u)
        if not has_squares(by_vector(self)):
            loss = self.loss(u)
            return -loss / jnp.square(jnp.asarray(noise_std).astype(loss.dtype)) - value
        residual = self.residual(u)
        noise_std = jnp.asarray(noise_std).astype(numerics.real_dtype(residual.dtype))
        share = 1.0 if jnp.iscomplexobj(residual) else 0.5
        return -share * numerics.sum_squares(residual / noise_std) - value


def prior_energy(prior: Any, u: Any) -> Float[Array, ""]:
    """Return −log of the prior density of the unknown: that of the prior, or of N(0, I)."""
    value = jnp.asarray(getattr(prior, "energy", gaussian_energy)(u))
    if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
        checks.fail("problem", "prior.energy", "return one real number", value)
    return value


def has_squares(problem: Problem) -> bool:
    """Whether the misfit is half the sum of squares."""
    return problem.misfit is None or isinstance(problem.misfit, Squared)


def misfit_name(problem: Problem) -> str:
    """Return the name of the misfit, for messages."""
    misfit = by_vector(problem).misfit
    return "misfits.squared" if misfit is None else getattr(misfit, "label", "no misfit")


def by_vector(problem: Problem) -> Problem:
    """Return the problem whose prediction is x in place of x xᵀ, where ``outer`` is the operator.

    Squares of the matrix are a misfit of the vector that makes no matrix.
    """
    if not isinstance(problem.operator, Outer) or not has_squares(problem):
        return problem
    operator = identity(problem.operator.in_shape)
    return problem._replace(operator=operator, misfit=OuterMisfit())


def loss_and_gradient(problem: Problem, u: PyTree) -> tuple[Float[Array, ""], PyTree]:
    """Return the loss and its gradient with respect to ``u`` (any pytree).

    For complex unknowns the gradient is the direction of steepest ascent, Jᴴ r.

    Args:
        problem: whose loss to take.
        u: the unknown.

    Returns:
        The loss, shape (), and a tree like ``u``.

    Raises:
        TypeError: a ``problem`` that is none, an unknown that is no tree of arrays of numbers.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> problem = ji.Problem(ji.operators.identity(2), jnp.zeros(2))
        >>> loss, gradient = loss_and_gradient(problem, jnp.array([3.0, 4.0]))
        >>> float(loss), gradient.tolist()
        (12.5, [3.0, 4.0])
    """
    u = _unknown("loss_and_gradient", problem, u)
    loss, gradient = jax.value_and_grad(problem.loss)(u)
    return loss, jax.tree.map(jnp.conj, gradient)


def jacobian(problem: Problem, u: Num[ArrayLike, "*unknown"]) -> Inexact[Array, "..."]:
    """Return the Jacobian of ``predict`` at ``u``, shape (m, k) for flat ``u`` and ``y``.

    Generators that know their Jacobian as a product provide it; the operator is then applied
    to its columns, one product for all when the operator is a matrix.

    Args:
        problem: whose model to differentiate.
        u: where, shape (k,) or any, real.

    Returns:
        J, shape (*y.shape, *u.shape).

    Raises:
        ValueError: a complex ``u``: the model need not be differentiable over the complex numbers.

    Example:
        >>> import jax.numpy as jnp, jaxinv as ji
        >>> keep = jnp.array([True, False])
        >>> problem = ji.Problem(ji.operators.mask(keep), jnp.zeros(2))
        >>> jacobian(problem, jnp.ones(2)).tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """
    u = _unknown("jacobian", problem, u)
    if not isinstance(u, jax.Array):
        checks.fail_type("jacobian", "u", "be one array", u)
    if jnp.iscomplexobj(u):
        hint = "For complex unknowns use solvers.gradient, ista or fista."
        checks.fail("jacobian", "u", "be real", u, hint)
    if problem.prior is None or not hasattr(problem.prior, "jacobian"):
        return jax.jacfwd(problem.predict)(u)
    signal = problem.prior(u)
    columns = problem.prior.jacobian(u).reshape(*signal.shape, u.size).astype(signal.dtype)

    def along(tangent: Array) -> Array:
        return jax.jvp(problem.operator, (signal,), (tangent,))[1]

    J = jax.vmap(along, in_axes=-1, out_axes=-1)(columns)
    return J.reshape(*J.shape[:-1], *u.shape)


def _unknown(where: str, problem: Any, u: Any) -> Any:
    """Return the unknown as floating or complex arrays."""
    if not isinstance(problem, Problem):
        checks.fail_type(where, "problem", "be a jaxinv.Problem", problem)
    if not callable(problem.operator):
        checks.fail_type(where, "problem.operator", "be an operator", problem.operator)
    return checks.array(where, "u", u) if isinstance(u, list) else checks.arrays(where, "u", u)


class Family:
    """A distribution over problems: a pytree whose arrays are arguments, never constants.

    A subclass gives ``sample(key) -> Problem``, all random parts from the one key, and usually
    ``initial(key) -> u0``. Where trials share a part, ``axes`` says so. ``sparse`` shows one.
    """

    @property
    def axes(self) -> Problem:
        """Problem prefix of 0 and None: which parts differ between trials; here all of them.

        For the ``in_axes`` and ``out_axes`` of ``jax.vmap``: a shared operator is not copied.
        """
        return Problem(operator=0, y=0, prior=0, truth=0)

    def sample(self, key: Any) -> Problem:
        """Draw one problem."""
        raise NotImplementedError

    def initial(self, key: Any) -> PyTree:
        """Draw a start for the unknown."""
        raise NotImplementedError

    def batch(self, keys: Any) -> Problem:
        """Draw one problem per key: ``vmap`` of ``sample`` with the right ``out_axes``."""
        return jax.vmap(self.sample, out_axes=self.axes)(key_batch("batch", keys))

    def split(self, key: Any, share: float = 0.2) -> tuple[Family, Family]:
        """Return a family to train on and one to validate with, which has none of its signals.

        Both are this one where every problem is drawn afresh.
        """
        return self, self

    def training_batch(self, key: Any, step: Any, size: int) -> Problem:
        """Draw the problems of a step of training: others at every step."""
        return self.batch(jax.random.split(jax.random.fold_in(key, step), size))

    def validation(self, key: Any, size: int) -> Problem:
        """Draw the problems that a training is judged by."""
        return self.batch(jax.random.split(key, size))


def require_family(where: str, family: Any) -> Family:
    """Return a family that can draw problems; refuse anything else in one line."""
    if not isinstance(family, Family):
        hint = "Make one with jaxinv.problems, or subclass problems.Family."
        checks.fail_type(where, "family", "be a family of problems", family, hint)
    if type(family).sample is Family.sample:
        hint = "Give it a method sample(key) that returns a Problem."
        checks.fail_type(where, "family", "have a method sample of its own", family, hint)
    return family


def active_size(
    where: str, argument: str, value: Any, largest: int, of: str, *, least: int = 1
) -> Any:
    """Return a size in use below a static maximum as int32; None and tracers pass untouched."""
    if value is None or not checks.is_concrete(value):
        return value
    if not checks.is_integer(value):
        checks.fail_type(where, argument, f"be an integer in [{least}, {largest}] ({of})", value)
    seen = np.asarray(value)
    if not np.all((seen >= least) & (seen <= largest)):
        checks.fail(where, argument, f"be in [{least}, {largest}] ({of})", value)
    return jnp.asarray(value, jnp.int32)


def active_mask(active: Any, size: int) -> Array | None:
    """Return which of ``size`` entries are in use; None for all."""
    return None if active is None else jnp.arange(size) < active


def masked(values: Array, mask: Array | None) -> Array:
    """Return ``values`` with 0 where they are not in use."""
    return values if mask is None else jnp.where(mask, values, 0)


def key_batch(where: str, keys: Any) -> Any:
    """Require an array of PRNG keys, with a first axis for the trials."""
    hint = "Use jax.random.split(key, num_trials), or family.sample(key) for one problem."
    if not isinstance(keys, jax.Array | np.ndarray):
        checks.fail_type(where, "keys", "be an array of PRNG keys", keys, hint)
    typed = jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
    if keys.ndim != (1 if typed else 2):
        checks.fail(where, "keys", "be an array of PRNG keys with one axis", keys, hint)
    return keys


def require_scalars(family: Any, *names: str) -> None:
    """Refuse arrays where a family documents scalars; under ``vmap`` each trial has its own."""
    for name in names:
        if getattr(getattr(family, name), "ndim", 0):
            hint = "For one value per trial use jax.vmap over the family."
            value = getattr(family, name)
            checks.fail(type(family).__name__, name, "be a scalar", value, hint)


def num_starts(num_restarts: Any) -> int:
    """Require a number of starts of at least 1."""
    return checks.count("initial", "num_restarts", num_restarts)


def gaussian_operator(
    key: Array, x: Array, rows: Any, *, unit: bool = False
) -> Dense | Identity | LinearOperator:
    """Return a Gaussian matrix of entries N(0, 1/m), or N(0, 1), on signals raveled by rows."""
    if rows.size is None:
        return Identity(x.shape)
    matrix = jax.random.normal(key, (rows.size, math.prod(x.shape)), x.dtype)
    if not unit:
        matrix = matrix / jnp.sqrt(jnp.asarray(rows.in_use, x.dtype))
    mask = rows.mask
    operator = Dense(matrix if mask is None else jnp.where(mask[:, None], matrix, 0))
    return operator if x.ndim == 1 else operator @ as_operator(jnp.ravel, x.shape, dtype=x.dtype)


def gaussian_noise(
    key: Array, shape: tuple[int, ...], dtype: Any, levels: tuple[Any, Any], mask: Array | None
) -> Array:
    """Return noise of ``(norm, standard deviation)``, one of which is 0."""
    noise_norm, noise_std = levels
    noise = masked(jax.random.normal(key, shape, dtype), mask)
    unit = noise / numerics.safe_norm(noise)
    return (noise_norm * unit + noise_std * noise).astype(dtype)
