"""The Lasso by working sets, stopped by its own duality gap."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxinv._core import checks, numerics, pytree, replace, static, units
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._duality import gap_from, require_linear
from jaxinv.solvers._linear import require_real
from jaxinv.solvers._proximal import held_matrix
from jaxinv.solvers._quadratic import minimize_quadratic
from jaxinv.solvers._sparsity import largest_indices


class LassoState(NamedTuple):
    """State of ``lasso``: the residual y − A u, Aᵀ times it, and the objective, all at u."""

    u: Array
    residual: Array
    correlation: Array
    loss: Array


@pytree
class Lasso(Solver):
    """See ``lasso``; ``matrix``, ``gram`` and ``norms`` are filled by ``prepare``."""

    penalty: Any
    matrix: Any = None
    gram: Any = None
    norms: Any = None
    working_set: int | None = static(default=None)
    num_inner: int = static(default=40)
    shared: bool = static(default=False)

    patience = 50
    scalars = ("penalty",)
    units = units.table(
        penalty=units.GRADIENT,
        matrix=units.Unit(-1, 1),
        gram=units.Unit(-2, 2),
        norms=units.Unit(-1, 1),
        u=units.UNKNOWN,
        residual=units.DATA,
        correlation=units.GRADIENT,
        loss=units.LOSS,
    )

    def check_problem(self, where: str, problem: Problem, u0: Array) -> None:
        require_real(where, problem, u0)

    def objective(self, problem: Problem, u: Array) -> Array:
        return problem.loss(u) + self._penalty(u) * jnp.sum(jnp.abs(u))

    def prepare(self, problem: Problem) -> Lasso:
        matrix = self._matrix(problem)
        gram = self.gram
        if self.shared and gram is None:
            gram = numerics.matmul(matrix.T, matrix)
        return replace(self, matrix=matrix, gram=gram, norms=column_norms(matrix))

    def with_penalty(self, penalty: Any) -> Lasso:
        """Return the solver for another penalty, what was prepared kept."""
        return replace(self, penalty=penalty)

    def init(self, problem: Problem, u0: Array) -> LassoState:
        matrix = self._matrix(problem)
        return self._evaluate(matrix, problem.y, u0, problem.y - numerics.matmul(matrix, u0))[0]

    def step(self, problem: Problem, state: LassoState) -> tuple[LassoState, Info]:
        matrix = self._matrix(problem)
        u, residual = self._solve_block(matrix, problem.y, state)
        following, error = self._evaluate(matrix, problem.y, u, residual)
        return following, Info(state.loss, error)

    def _evaluate(
        self, matrix: Array, y: Array, u: Array, residual: Array
    ) -> tuple[LassoState, Array]:
        correlation = numerics.matmul(residual, matrix)
        penalty = self._penalty(u)
        loss = 0.5 * numerics.sum_squares(residual) + penalty * jnp.sum(jnp.abs(u))
        norms = column_norms(matrix) if self.norms is None else self.norms
        gap = gap_from(y, residual, correlation, u, penalty, norms)
        return LassoState(u, residual, correlation, loss), gap.relative

    def _solve_block(self, matrix: Array, y: Array, state: LassoState) -> tuple[Array, Array]:
        """Minimize over a working set, every other entry held; return u and its residual."""
        size = self._size(*matrix.shape)
        chosen = largest_indices(self._score(state, size), size)
        columns = None
        if self.gram is None:
            columns = matrix.at[:, chosen].get(mode="promise_in_bounds")
            gram = numerics.matmul(columns.T, columns)
        else:
            gram = self.gram.at[chosen[:, None], chosen].get(mode="promise_in_bounds")

        def product(v: Array) -> Array:
            return numerics.matmul(gram, v)

        old = state.u.at[chosen].get(mode="promise_in_bounds")
        b = state.correlation.at[chosen].get(mode="promise_in_bounds") + product(old)
        new = minimize_quadratic(product, b, old, self._penalty(old), self.num_inner)
        u = state.u.at[chosen].set(new, unique_indices=True, mode="promise_in_bounds")
        if columns is None:
            return u, y - numerics.matmul(matrix, u)
        return u, state.residual - numerics.matmul(columns, new - old)

    def _score(self, state: LassoState, size: int) -> Array:
        """Return how much each entry needs to be in the working set."""
        used, pull, penalty = state.u != 0, jnp.abs(state.correlation), self._penalty(state.u)
        used_first = jnp.where(used, jnp.inf, pull)
        # where the entries in use leave too little room: those furthest from optimal
        unbalanced = jnp.abs(state.correlation - penalty * jnp.sign(state.u))
        furthest = jnp.where(used, unbalanced + penalty, pull)
        return jnp.where(jnp.sum(used) <= size - size // 8, used_first, furthest)

    def _size(self, m: int, n: int) -> int:
        """Return the size of the working set; the default has room for any support."""
        return min(n, m + m // 4 if self.working_set is None else self.working_set)

    def _penalty(self, u: Array) -> Array:
        return jnp.asarray(self.penalty, u.dtype)

    def _matrix(self, problem: Problem) -> Array:
        if self.matrix is not None:
            return self.matrix
        model = require_linear("lasso", problem)
        if jnp.iscomplexobj(problem.y) or jnp.issubdtype(model.in_dtype, jnp.complexfloating):
            checks.fail("lasso", "problem", "be real", "a complex one", "Use solvers.fista.")
        if len(model.in_shape) != 1 or len(model.out_shape) != 1:
            got = f"a model from {model.in_shape} to {model.out_shape}"
            checks.fail("lasso", "problem", "map a vector to a vector", got, "Use solvers.fista.")
        matrix = held_matrix(model)
        return model.todense() if matrix is None else matrix


def column_norms(matrix: Array) -> Array:
    """Return ‖a_j‖ for each column, shape (n,)."""
    return jnp.squeeze(numerics.safe_norm(matrix, 0), 0)


def lasso(
    penalty: Any,
    *,
    working_set: int | None = None,
    num_inner: int = 40,
    shared: bool = False,
) -> Lasso:
    r"""The Lasso of a matrix, to a certified duality gap; the first choice for ℓ1 on matrices.

    .. math::
        \min_u \tfrac12 \|A u - y\|^2 + \lambda \|u\|_1

    A step picks a working set W (every entry in use, then those that correlate most with the
    residual), takes ``num_inner`` steps of restarted FISTA on the small problem in
    :math:`A_W^T A_W`, which fits a cache, and checks all of A once. Two or three steps do where
    the support is a fraction of W. ``fista`` serves images, operators too large for a
    matrix, complex unknowns and other penalties.

    Args:
        penalty: λ >= 0, scalar; from ``largest_penalty(problem)`` on the solution is 0.
        working_set: |W|, static. None: 5m/4, at most n, which has room for every support. About
            twice the number of nonzero entries that is expected is several times faster; a
            much smaller set can stop short of the solution, which its gap then tells.
        num_inner: FISTA steps per step, static. More for small penalties or columns that
            correlate strongly.
        shared: compute AᵀA once at the start, and take every working set from it: for many
            measurements of one operator that ``vmap`` does not split. Otherwise its n² m
            multiplications per problem cost more than they save.

    Returns:
        A solver. ``info.error`` is the relative duality gap of the new u, over ½‖y‖² (that of
        ``duality_gap``): ``solve(..., tol=1e-5)`` leaves each trial at an objective within
        1e-5 · ½‖y‖² of its minimum. ``info.loss`` is the objective at the point that the step
        started from.

    Raises:
        ValueError: a negative penalty, a size < 1; at the start, a model that is not linear,
            real, and from vectors to vectors.

    Cost: m |W|² multiplications for the Gram matrix (none if ``shared``), |W|² for an inner
        step, and A* once; an operator that is not dense is made so, once per solve.

    Notes: on CPU solve many problems with ``jax.lax.map(..., batch_size=8)`` rather than one
        ``vmap`` of all: a block then stays in the cache and waits for fewer others.

    Example:
        >>> import jax, jaxinv as ji
        >>> problem = ji.problems.sparse(50, 100).sample(jax.random.key(0))
        >>> penalty = 0.1 * ji.solvers.largest_penalty(problem)
        >>> sol = ji.solve(lasso(penalty), problem, jax.numpy.zeros(100), tol=1e-5)
        >>> ji.describe(sol.status)[:9], bool(sol.error <= 1e-5), int(sol.num_steps) < 10
        ('CONVERGED', True, True)

    Source: working sets and gap of Massias, Gramfort, Salmon (2018), algorithm 2; FISTA of Beck,
        Teboulle (2009) with the restart of O'Donoghue, Candès (2015) inside.
    """
    penalty = checks.nonnegative("lasso", "penalty", penalty)
    if working_set is not None:
        working_set = checks.count("lasso", "working_set", working_set)
    num_inner = checks.count("lasso", "num_inner", num_inner)
    return Lasso(
        penalty=penalty,
        working_set=working_set,
        num_inner=num_inner,
        shared=checks.boolean("lasso", "shared", shared),
    )
