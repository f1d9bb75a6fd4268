"""The linear piece of a ReLU network's first two layers, kept up to date as the point moves."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from jaxinv._core import numerics
from jaxinv.generators._relu import Relu
from jaxinv.problems import Problem

# (k, n_1, n_2) at m = 300, dense over kept: (5, 1000, 1000) 2.3, (20, 700, 600) 2.3,
# (80, 700, 600) 1.1, (150, 700, 600) .4
_WIDER = 10
_RENEWAL = 100  # steps after which rounding errors of the updates are cleared


class Tables(NamedTuple):
    """What is computed once from the weights, in the layouts that the updates read.

    Attributes:
        first: W_1, shape (n_1, k); ``first_columns`` its transpose.
        second_columns: W_2ᵀ, shape (n_1, n_2): row j is what unit j sends on.
        product: (W_2 W_1)ᵀ, shape (k, n_2).
    """

    first: Array
    first_columns: Array
    second_columns: Array
    product: Array


class Piece(NamedTuple):
    """The linear map of two layers at a point.

    Attributes:
        map: (W_2 D_1 W_1)ᵀ, shape (k, n_2), with D_1 = diag(active).
        active: which units of the first layer are active, shape (n_1,).
    """

    map: Array
    active: Array


def pays(problem: Problem) -> bool:
    """Whether to keep the piece is faster: small latents of wide ReLU networks, on CPUs.

    A step then costs n_1 k + 2 n_2 k for the first two layers, and n_2 k for every unit that
    switches, in place of three passes over n_1 n_2 weights.
    """
    prior = problem.prior
    if not isinstance(prior, Relu) or len(prior.params) < 2:
        return False
    width, size = prior.params[0].shape[-2:]
    return _WIDER * size <= width and jax.default_backend() == "cpu"


def tables(problem: Problem) -> Tables:
    """Return the tables of a problem for which ``pays``."""
    prior: Any = problem.prior
    first, second = prior.params[:2]
    # a copy in memory: rows of a transposed view would be read with a stride
    columns = lax.optimization_barrier(second.T.reshape(-1)).reshape(second.shape[::-1])
    first_columns = lax.optimization_barrier(first.T.reshape(-1)).reshape(first.shape[::-1])
    product = numerics.matmul(first_columns, columns, prior.precision)
    return Tables(first, first_columns, columns, product)


def start(table: Tables, u: Array) -> Piece:
    """Return the piece at ``u``."""
    active = numerics.matmul(u, table.first_columns) > 0
    selected = jnp.where(active, table.first_columns, 0)
    return Piece(numerics.matmul(selected, table.second_columns), active)


@jax.custom_jvp
def move(table: Tables, piece: Piece, u: Array, num_steps: Array) -> Piece:
    """Return the piece at ``u``, from that at a point nearby.

    Each unit that has switched since is one rank-one update; every hundredth step starts anew.
    A loop that mostly runs zero times costs nothing then, where a conditional would copy.
    Its derivative is that of ``start``, which depends on the weights alone.
    """
    wanted = numerics.matmul(u, table.first_columns) > 0

    def unsettled(carry: tuple[Piece, Array]) -> Array:
        return jnp.any(carry[0].active != wanted)

    def settle(carry: tuple[Piece, Array]) -> tuple[Piece, Array]:
        piece, _ = carry
        unit = jnp.argmax(piece.active != wanted)
        row = lax.dynamic_slice_in_dim(table.second_columns, unit, 1)
        column = lax.dynamic_slice_in_dim(table.first, unit, 1).T
        sign = jnp.where(wanted[unit], 1, -1).astype(row.dtype)
        active = lax.dynamic_update_slice(piece.active, wanted[unit][None], (unit,))
        return Piece(piece.map + sign * column * row, active), carry[1]

    def renew(carry: tuple[Piece, Array]) -> tuple[Piece, Array]:
        return start(table, u), jnp.asarray(False)

    due = num_steps % _RENEWAL == _RENEWAL - 1
    piece, due = lax.while_loop(lambda carry: carry[1], renew, (piece, due))
    return lax.while_loop(unsettled, settle, (piece, due))[0]


@move.defjvp
def _(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Piece, Any]:
    table, _, u, _ = primals
    return move(*primals), jax.jvp(start, (table, u), (tangents[0], tangents[2]))[1]


def negated(table: Tables, piece: Piece, flip: Array) -> Piece:
    """Return the piece at −u where ``flip``: the other units are active there."""
    return Piece(
        jnp.where(flip, table.product - piece.map, piece.map),
        jnp.where(flip, ~piece.active, piece.active),
    )


def tail(problem: Problem, second: Array) -> Array:
    """Return the measurements that follow from the pre-activations of the second layer."""
    prior: Any = problem.prior
    layer = jax.nn.relu(second)
    for weight in prior.params[2:]:
        layer = jax.nn.relu(numerics.matmul(weight, layer, prior.precision))
    return problem.operator(layer)
