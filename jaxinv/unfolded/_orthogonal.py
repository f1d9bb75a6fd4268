"""The network that learns an orthogonal dictionary: ISTA on its coefficients, then a readout."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree, replace, static
from jaxinv.operators import LinearOperator, dense
from jaxinv.problems import Problem
from jaxinv.solvers import Info, Layers, Solver
from jaxinv.solvers._linearized import linear_model
from jaxinv.unfolded._shared import relative_change, soft

_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al. (2024), Muon: steep at 0, in [0.7, 1.2] later
_REFINEMENTS = 6  # five reach rounding in float32, six in float64
_RANDOM_APPROACHES = 12  # a Gaussian matrix may be nearly singular
_MARGIN = 1.02  # on ‖A‖², which power iteration estimates from below
_ROUNDING = 1e-3  # τ‖A‖² may exceed 1 by this much


def polar_factor(matrix: Array, approaches: int = 4) -> Array:
    r"""Return the orthogonal matrix nearest to a square one, by products only.

    .. math:: X_0 = M / s, \qquad X_{k+1} = X_k \, p_k(X_k^T X_k) \to M (M^T M)^{-1/2}

    The scale s = ‖(MᵀM)²‖_F^{1/4} lies between ‖M‖ and N^{1/8} ‖M‖. Polynomials of degree 5
    bring small singular values near 1 (four of them from 1/100 of the largest, each one more
    from 3.4 times less), then six of Newton and Schulz make them 1. Nothing is factorized: it
    batches under ``vmap``, and differentiates as products do.
    """
    gram = numerics.matmul(matrix.T, matrix)
    scale = jnp.sqrt(numerics.safe_norm(numerics.matmul(gram, gram)))
    guess = numerics.safe_divide(matrix, lax.stop_gradient(jnp.sqrt(scale)))

    def approach(_: Any, guess: Array) -> Array:
        gram = numerics.matmul(guess.T, guess)
        linear, cubic, quintic = _QUINTIC
        weight = cubic * gram + quintic * numerics.matmul(gram, gram)
        return linear * guess + numerics.matmul(guess, weight)

    def refine(_: Any, guess: Array) -> Array:
        return 1.5 * guess - 0.5 * numerics.matmul(guess, numerics.matmul(guess.T, guess))

    guess = lax.fori_loop(0, approaches, approach, guess)
    return lax.fori_loop(0, _REFINEMENTS, refine, guess)


def project_on_ball(x: Array, radius: Any) -> Array:
    """Return the point of the ball ‖x‖ <= radius nearest to ``x``; no ball where it is None."""
    if radius is None:
        return x
    size = numerics.safe_norm(x)
    radius = jnp.asarray(radius).astype(size.dtype)
    return x * jnp.where(size > radius, numerics.safe_divide(radius, size), 1).astype(x.dtype)


class OrthogonalState(NamedTuple):
    """State of ``Orthogonal``: coefficients, and what turns them into the signal ``u``."""

    z: Array
    readout: Array
    output_bound: Any

    @property
    def u(self) -> Array:
        """The signal: Ψ z, projected on the ball; computed where it is asked for."""
        return project_on_ball(numerics.matmul(self.readout, self.z), self.output_bound)


class Maps(NamedTuple):
    """Φ, Ψ and A Φ of one layer."""

    dictionary: Array
    readout: Array
    product: Array


@pytree
class Orthogonal(Solver):
    r"""A layer of ``orthogonal_network``.

    ``info.loss`` is ½‖A Φ z − y‖², ``info.error`` is ‖z⁺ − z‖ / ‖z⁺‖.

    Attributes:
        dictionary: M, any invertible (N, N) matrix: Φ is its polar factor, so that Φ stays
            orthogonal whatever an optimizer does to M.
        readout: the same for Ψ, or None for Ψ = Φ.
        threshold: θ = τ λ >= 0.
        step_size: τ.
        output_bound: B_out, or None for no projection.
        operator: the A that the network was made for; the problem's own is the one applied.
        maps: Φ, Ψ, A Φ once ``prepare`` has computed them, for all layers.
        tied: whether all layers have one Φ.
        positive: names of fields that training keeps positive.
    """

    dictionary: Array
    readout: Any
    threshold: Any
    step_size: Any
    output_bound: Any
    operator: Any
    maps: Any = None
    tied: bool = static(default=True)
    positive: tuple[str, ...] = static(default=("threshold",))

    made_for = "operator"

    def prepare(self, problem: Problem) -> Orthogonal:
        return replace(self, maps=self._maps(problem)) if self.tied else self

    def _maps(self, problem: Problem) -> Maps:
        if self.maps is not None:
            return self.maps
        model = linear_model(problem)
        if model is None:
            expected = "be linear, and its prior too"
            checks.fail_type("orthogonal_network", "operator", expected, problem.operator)
        dictionary = polar_factor(self.dictionary)
        readout = dictionary if self.readout is None else polar_factor(self.readout)
        product = jax.vmap(model, in_axes=1, out_axes=1)(dictionary)
        return Maps(dictionary, readout, product)

    def init(self, problem: Problem, u0: Array) -> OrthogonalState:
        maps = self._maps(problem)
        start = numerics.matmul(u0, maps.readout)
        return OrthogonalState(start, maps.readout, self.output_bound)

    def step(self, problem: Problem, state: OrthogonalState) -> tuple[OrthogonalState, Info]:
        maps, z = self._maps(problem), state.z
        residual = problem.y - numerics.matmul(maps.product, z)
        step_size = jnp.asarray(self.step_size).astype(z.dtype)
        following = z + step_size * numerics.matmul(residual, maps.product)
        following = soft(following, self.threshold)
        error = relative_change(following, z)
        info = Info(0.5 * numerics.sum_squares(residual), error)
        return OrthogonalState(following, maps.readout, state.output_bound), info


def orthogonal_network(
    operator: Any,
    num_layers: int,
    *,
    threshold: Any,
    step_size: Any = None,
    separate_readout: bool = False,
    output_bound: Any = None,
    tied: bool = True,
    train_threshold: bool = False,
    start: Any = None,
    key: Any = None,
) -> Layers:
    r"""Make the network that learns an orthogonal dictionary, that of the generalization bound.

    .. math::
        z_{l+1} = S_\theta\bigl(z_l + \tau (A \Phi)^T (y - A \Phi z_l)\bigr), \quad
        h(y) = \sigma(\Psi z_L), \quad \Phi, \Psi \in O(N), \quad \tau \|A\|^2 \le 1

    For signals x = Φ z, sparse in a basis that is not known and is learned from pairs (y, x).
    σ projects on the ball of radius B_out. The class H₁ has Ψ = Φ, the class H₂
    (``separate_readout``) a Ψ of its own. ``ji.unfold`` returns the signal h(y), not z, so the
    problem's unknown is the signal and it needs no prior. ``layers.layer(0).prepare(problem)
    .maps`` holds Φ, Ψ and A Φ.

    Args:
        operator: A, the measurement matrix, real, shape (n, N), or a linear operator on vectors.
        num_layers: L >= 1.
        threshold: θ = τ λ >= 0; a scalar, or one per layer, shape (L,).
        step_size: τ in (0, 1/‖A‖²]; default 1/‖A‖².
        separate_readout: learn Ψ beside Φ (class H₂), from the same start.
        output_bound: B_out > 0; None for no projection, where the bound does not apply.
        tied: one Φ for all layers, as in the theorem; otherwise one per layer (the last layer's
            is the readout), as in the sequel.
        train_threshold: train the thresholds too, one per layer.
        start: first Φ, an orthogonal matrix (N, N) such as a discrete cosine transform.
        key: a JAX PRNG key: first Φ uniform on O(N). With neither: the identity.

    Returns:
        ``Layers``; trained are ``dictionary``, and where asked for ``readout`` and
        ``threshold``. The field ``dictionary`` is a free matrix M whose polar factor is Φ.

    Raises:
        ValueError: τ‖A‖² > 1, a negative threshold or bound, a start that is not orthogonal,
            both start and key, a separate readout that is not tied.

    Cost: Φ and A Φ once a call (tied), shared by a batch of problems with one A: about 25
    products of N × N matrices; then 2 n N multiplications a layer, and N² for the readout.

    Notes: a polar factor costs a few products, needs no factorization, and reaches both
    components of O(N); Cayley's map misses the eigenvalue −1 and solves a linear system.

    Example:
        >>> import jax, jaxinv as ji
        >>> A = ji.operators.gaussian(jax.random.key(0), 20, 40)
        >>> layers = orthogonal_network(A, 8, threshold=0.02, output_bound=1.0)
        >>> problem = ji.Problem(A, A(jax.numpy.zeros(40).at[3].set(1.0)))
        >>> x = ji.unfold(layers, problem)
        >>> x.shape, int(abs(x).argmax())
        ((40,), 3)

    Source: Behboodi, Rauhut, Schnoor (2022), Compressive sensing and neural networks from a
        statistical learning perspective; untied and learned thresholds: Schnoor, Behboodi,
        Rauhut (2023).
    """
    where = "orthogonal_network"
    num_layers = checks.count(where, "num_layers", num_layers)
    operator = _operator(where, operator)
    real = operator.in_dtype
    tied = checks.boolean(where, "tied", tied)
    separate = checks.boolean(where, "separate_readout", separate_readout)
    if separate and not tied:
        hint = "Untied layers read out by the last layer's dictionary."
        checks.fail(where, "separate_readout", "be False when tied is False", "True", hint)
    first = _start(where, operator.in_shape[0], start, key, real)
    bound = None if output_bound is None else checks.positive(where, "output_bound", output_bound)
    layer = Orthogonal(
        dictionary=first,
        readout=first if separate else None,
        threshold=jnp.zeros((), real),
        step_size=jnp.asarray(_step_size(where, operator, step_size), real),
        output_bound=None if bound is None else jnp.asarray(bound, real),
        operator=operator,
        tied=tied,
    )
    thresholds = jnp.asarray(_thresholds(where, threshold, num_layers), real)
    solvers = [replace(layer, threshold=thresholds[index]) for index in range(num_layers)]
    shared = ("readout", "output_bound", "operator", *(("dictionary",) * tied))
    learn = checks.boolean(where, "train_threshold", train_threshold)
    trained = ("dictionary", *(("readout",) * separate), *(("threshold",) * learn))
    return Layers.stack(solvers, shared=shared, trainable=trained)


def _operator(where: str, operator: Any) -> LinearOperator:
    if not isinstance(operator, LinearOperator):
        operator = checks.array(where, "operator", operator, ndim=2)
        if not operator.size:
            checks.fail(where, "operator", "have at least one row and one column", operator)
    checks.finite(where, "operator", operator)
    operator = operator if isinstance(operator, LinearOperator) else dense(operator)
    if len(operator.in_shape) != 1 or len(operator.out_shape) != 1:
        expected = "map a vector (N,) to a vector (n,)"
        got = f"one from {operator.in_shape} to {operator.out_shape}"
        checks.fail(where, "operator", expected, got, "Flatten the signal.")
    if not jnp.issubdtype(operator.out_dtype, jnp.floating):
        checks.fail(where, "operator", "be real", f"{operator.out_dtype}")
    return operator


def _step_size(where: str, operator: LinearOperator, step_size: Any) -> Any:
    """Return τ, by default 1/‖A‖²: exact where A is concrete, else slightly less."""
    if checks.is_concrete(operator):
        square = float(np.linalg.norm(np.asarray(operator.todense(), np.float64), 2)) ** 2
    else:
        square = _MARGIN * jnp.square(operator.norm(tol=1e-2))
    if step_size is None:
        return numerics.safe_divide(1.0, square, default=1.0)
    step_size = checks.positive(where, "step_size", step_size)
    if checks.is_concrete((step_size, square)) and np.any(step_size * square > 1 + _ROUNDING):
        expected = f"be at most 1/‖A‖² = {1 / square:.4g}"
        checks.fail(where, "step_size", expected, step_size, "Give None for the largest.")
    return step_size


def _thresholds(where: str, threshold: Any, num_layers: int) -> Array:
    threshold = checks.nonnegative(where, "threshold", threshold)
    if not getattr(threshold, "ndim", 0):
        return jnp.full(num_layers, threshold)
    checks.shape_is(where, "threshold", threshold, (num_layers,), "One per layer, or one number.")
    return jnp.asarray(threshold)


def _start(where: str, size: int, start: Any, key: Any, dtype: Any) -> Array:
    """Return the first Φ: as given, uniform on O(N), or the identity."""
    if start is not None and key is not None:
        checks.fail(where, "start or key", "be given, not both", "both")
    if key is not None:
        # the polar factor of a Gaussian matrix is uniform, like the matrix's distribution
        normal = jax.random.normal(checks.key(where, key), (size, size), dtype)
        return polar_factor(normal, _RANDOM_APPROACHES)
    if start is None:
        return jnp.eye(size, dtype=dtype)
    start = checks.array(where, "start", start, ndim=2)
    checks.shape_is(where, "start", start, (size, size))
    if checks.is_concrete(start):
        checks.finite(where, "start", start)
        seen = np.asarray(start, np.float64)
        defect = float(np.max(np.abs(seen.T @ seen - np.eye(size))))
        if defect > _ROUNDING:
            checks.fail(
                where, "start", "be orthogonal", f"‖ΦᵀΦ − I‖ = {defect:.2g} (largest entry)"
            )
    return start.astype(dtype)
