"""The Lasso by working sets, stopped by its own duality gap."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxinv._core import checks, numerics, pytree, replace, static
from jaxinv.operators import Dense
from jaxinv.problems import Problem
from jaxinv.solvers._base import Info, Solver
from jaxinv.solvers._proximal import linear_model
from jaxinv.solvers._quadratic import minimize_quadratic
from jaxinv.solvers.duality import gap_from

Array = jax.Array

_WHOLE_STEPS = 100  # steps on the whole problem, where the support outgrows the working set


class LassoState(NamedTuple):
    """State of ``lasso``: the correlation is Aᵀ(y − A u), the loss the objective at u."""

    u: Array
    correlation: Array
    loss: Array


@pytree
class Lasso(Solver):
    """See ``lasso``."""

    penalty: Any
    matrix: Any = None
    gram: Any = None
    working_set: int | None = static(default=None)
    num_inner: int = static(default=40)
    use_gram: bool = static(default=False)

    patience = 50
    scalars = ("penalty",)

    def objective(self, problem: Problem, u: Array) -> Array:
        return problem.loss(u) + self.penalty * jnp.sum(jnp.abs(u))

    def prepare(self, problem: Problem) -> Lasso:
        matrix = self.matrix if self.matrix is not None else _matrix(problem)
        gram = numerics.matmul(matrix.T, matrix) if self.use_gram else None
        return replace(self, matrix=matrix, gram=gram)

    def init(self, problem: Problem, u0: Array) -> LassoState:
        matrix = self.matrix if self.matrix is not None else _matrix(problem)
        return self._evaluate(matrix, problem.y, u0)[0]

    def step(self, problem: Problem, state: LassoState) -> tuple[LassoState, Info]:
        matrix = self.matrix if self.matrix is not None else _matrix(problem)
        u = self._solve_working_set(matrix, state)
        u = self._solve_whole(matrix, problem.y, u)
        following, error = self._evaluate(matrix, problem.y, u)
        return following, Info(state.loss, error)

    def _evaluate(self, matrix: Array, y: Array, u: Array) -> tuple[LassoState, Array]:
        residual = y - numerics.matmul(matrix, u)
        correlation = numerics.matmul(residual, matrix)
        penalty = jnp.asarray(self.penalty, u.dtype)
        loss = 0.5 * numerics.sum_squares(residual) + penalty * jnp.sum(jnp.abs(u))
        gap = gap_from(y, residual, correlation, u, penalty)
        return LassoState(u, correlation, loss), gap.relative

    def _size(self, shape: tuple[int, int]) -> int:
        """Return the size of the working set: as given, else half the measurements."""
        size = max(shape[0] // 2, 16) if self.working_set is None else self.working_set
        return min(size, shape[1])

    def _solve_working_set(self, matrix: Array, state: LassoState) -> Array:
        """Minimize over the entries in use and those that most want to be, the rest held."""
        size = self._size(matrix.shape)
        score = jnp.where(state.u != 0, jnp.inf, jnp.abs(state.correlation))
        chosen = lax.top_k(score, size)[1]
        if self.gram is None:
            columns = matrix.at[:, chosen].get(mode="promise_in_bounds")
            gram = numerics.matmul(columns.T, columns)
        else:
            gram = self.gram.at[chosen[:, None], chosen].get(mode="promise_in_bounds")
        u = state.u[chosen]
        b = state.correlation[chosen] + numerics.matmul(gram, u)
        penalty = jnp.asarray(self.penalty, u.dtype)

        def product(v: Array) -> Array:
            return numerics.matmul(gram, v)

        u = minimize_quadratic(product, b, u, penalty, self.num_inner)
        return state.u.at[chosen].set(u, unique_indices=True, mode="promise_in_bounds")

    def _solve_whole(self, matrix: Array, y: Array, u: Array) -> Array:
        """Descend on all entries where the working set has no room left; else return ``u``."""
        size = self._size(matrix.shape)
        if size == u.size:
            return u
        full = jnp.sum(u != 0) > size - max(size // 8, 1)

        def product(v: Array) -> Array:
            return numerics.matmul(numerics.matmul(matrix, v), matrix)

        b = numerics.matmul(y, matrix)
        penalty = jnp.asarray(self.penalty, u.dtype)
        return minimize_quadratic(product, b, u, penalty, jnp.where(full, _WHOLE_STEPS, 0))


def _matrix(problem: Problem) -> Array:
    model = linear_model(problem)
    return model.matrix if isinstance(model, Dense) else model.todense()


def lasso(penalty, *, working_set=None, num_inner: int = 40, gram: bool = False) -> Lasso:
    return Lasso(penalty, None, None, working_set, num_inner, gram)
