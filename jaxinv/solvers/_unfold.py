"""Unfolded networks: a stack of solvers, applied one layer after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from jaxinv._core import checks, numerics, pytree, replace, static
from jaxinv._core.typed import PyTree
from jaxinv.operators import LinearOperator
from jaxinv.problems import Problem
from jaxinv.solvers._base import Solver, normalized
from jaxinv.solvers._checked import check_problem, check_start

_PROBES = 2  # random vectors that two models are compared on


@pytree
class Layers:
    """A network: one solver whose fields hold one value per layer, or one for all.

    Make it with ``Layers.repeat`` or ``Layers.stack``, run it with ``unfold``, and train it
    through ``partition`` and ``merge``.

    Attributes:
        solver: the solver; arrays of a layered field have a first axis of ``num_layers``.
        axes: pairs (field, 0 or None): 0 for one value per layer, None for one shared by all.
        trainable: names of the fields that training may change.
        num_layers: number of layers.
    """

    solver: Any
    axes: tuple[tuple[str, int | None], ...] = static()
    trainable: tuple[str, ...] = static()
    num_layers: int = static()

    @classmethod
    def repeat(
        cls,
        solver: Solver,
        num_layers: int,
        *,
        shared: Sequence[str] = (),
        trainable: Sequence[str] | None = None,
    ) -> Layers:
        """Make a network of equal layers: as many steps of the solver.

        Args:
            solver: one solver; its numbers are the first values of every layer.
            num_layers: T >= 1.
            shared: names of fields with one value for all layers; not copied. Fields that a
                solver's class calls ``common``, or ``made_for``, always are.
            trainable: names of the fields that training may change; default: all that hold
                numbers.

        Returns:
            ``Layers``, every number an array. Integer leaves stay as they are, and cannot be
            trained: state a count as a fraction, or as a static table.

        Raises:
            ValueError: no layer, or the name of a field that the solver does not have.
            TypeError: not a solver, or a trainable field with integer leaves.

        Example:
            >>> import jaxinv as ji
            >>> layers = Layers.repeat(ji.solvers.ista(0.1, 0.05), 16, shared=("prox",))
            >>> layers.solver.step_size.shape, layers.solver.prox.penalty.shape
            ((16,), ())
        """
        where = "Layers.repeat"
        num_layers = checks.count(where, "num_layers", num_layers)
        return cls._build(where, [solver] * num_layers, shared, trainable)

    @classmethod
    def stack(
        cls,
        solvers: Sequence[Solver],
        *,
        shared: Sequence[str] = (),
        trainable: Sequence[str] | None = None,
    ) -> Layers:
        """Make a network whose layers are the given solvers, of one structure.

        Args:
            solvers: T >= 1 solvers of one kind, with equal static fields.
            shared: as in ``repeat``; the first solver's value is taken.
            trainable: as in ``repeat``.

        Raises:
            ValueError: no solver, or solvers of different structure.

        Example:
            >>> import jaxinv as ji
            >>> layers = Layers.stack([ji.solvers.ista(0.1, p) for p in (0.2, 0.1, 0.05)])
            >>> layers.num_layers, layers.solver.prox.penalty.shape
            (3, (3,))
        """
        return cls._build("Layers.stack", list(solvers), shared, trainable)

    @classmethod
    def _build(cls, where: str, solvers: list[Any], shared: Any, trainable: Any) -> Layers:
        if not solvers:
            checks.fail(where, "solvers", "have at least one solver", "none")
        for solver in solvers:
            if not isinstance(solver, Solver):
                checks.fail_type(where, "solver", "be a solver", solver)
            if jax.tree.structure(solver) != jax.tree.structure(solvers[0]):
                expected = f"all have the structure {jax.tree.structure(solvers[0])}"
                checks.fail(where, "solvers", expected, str(jax.tree.structure(solver)))
        names = _field_names(solvers[0])
        shared = _names(where, "shared", shared, names)
        shared += tuple(name for name in _common(where, solvers[0], names) if name not in shared)
        values = {name: _stacked(solvers, name, name in shared) for name in names}
        held = tuple(name for name in names if jax.tree.leaves(values[name]))
        if trainable is None:
            trainable = tuple(name for name in held if _is_inexact(values[name]))
        trainable = _names(where, "trainable", trainable, names)
        for name in trainable:
            if not _is_inexact(values[name]):
                hint = "State counts as fractions or as static tables."
                checks.fail_type(where, f"trainable {name}", "hold floats only", values[name], hint)
        axes = tuple((name, None if name in shared else 0) for name in names)
        return cls(replace(solvers[0], **values), axes, trainable, len(solvers))

    def partition(self) -> tuple[dict[str, Any], Layers]:
        """Split into what training may change, and the rest.

        Returns:
            ``(trainable, frozen)``: a dict of the trainable fields, a pytree for ``jax.grad``
            and optax, and the layers without them. ``frozen.merge(trainable)`` is the network.

        Example:
            >>> import jax, jaxinv as ji
            >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
            >>> problem = family.sample(jax.random.key(0))
            >>> layers = Layers.repeat(ji.solvers.ista(0.2, 0.1), 8, trainable=("step_size",))
            >>> trainable, frozen = layers.partition()
            >>> def loss(trainable):
            ...     u = ji.unfold(frozen.merge(trainable), problem)
            ...     return ji.metrics.nmse(u, problem.truth.x)
            >>> jax.grad(loss)(trainable)["step_size"].shape
            (8,)
        """
        trainable = {name: getattr(self.solver, name) for name in self.trainable}
        solver = replace(self.solver, **dict.fromkeys(self.trainable))
        return trainable, replace(self, solver=solver)

    def merge(self, trainable: dict[str, Any]) -> Layers:
        """Return the network with these values of the trainable fields.

        Raises:
            ValueError: the names are not those of the trainable fields.
        """
        if set(trainable) != set(self.trainable):
            expected = f"have the fields {', '.join(self.trainable) or 'none'}"
            checks.fail("Layers.merge", "trainable", expected, ", ".join(trainable) or "none")
        return replace(self, solver=replace(self.solver, **trainable))

    def layer(self, index: int) -> Any:
        """Return one layer as a solver.

        Example:
            >>> import jaxinv as ji
            >>> layers = Layers.stack([ji.solvers.ista(0.1, p) for p in (0.2, 0.1, 0.05)])
            >>> round(float(layers.layer(-1).prox.penalty), 4)
            0.05
        """
        layered = {name: getattr(self.solver, name) for name in self._layered()}
        return replace(self.solver, **_entry(layered, index))

    @property
    def operator(self) -> Any:
        """The operator that the network was made for, where its solver's ``made_for`` names it."""
        name = self.solver.made_for
        return None if name is None else getattr(self.solver, name)

    def _layered(self) -> tuple[str, ...]:
        return tuple(name for name, axis in self.axes if axis == 0)


def unfold(
    layers: Layers, problem: Problem, u0: PyTree | None = None, *, all_layers: bool = False
) -> PyTree:
    r"""Apply a network: one step of its solver per layer, each with its own weights.

    .. math:: u_{t+1} = \mathrm{step}_{\theta_t}(u_t; y, A), \qquad t = 0, \dots, T - 1

    There is no second code path for unfolded networks: T equal layers are T steps of ``trace``,
    to the bit. Gradients with respect to the fields of ``layers`` train the network.

    Args:
        layers: the network.
        problem: what to solve; its truth is never read.
        u0: the start; default 0, in the shape and type of the unknown.
        all_layers: return the outputs of all layers, u_1 to u_T, along a new first axis.

    Returns:
        u_T, the last layer's output.

    Raises:
        ValueError: as ``solve``; a misfit that the layers do not take; no ``u0`` where the shape
            of the unknown is not known; weights that were made for another operator than the
            problem's, where both can be looked at.

    Cost: T steps; reverse-mode differentiation keeps the intermediates of every layer.

    Notes: counts, such as how many entries escape a threshold, are fractions or static tables,
        never integer leaves. A step size of None is estimated once, before the first layer,
        and is a constant for differentiation.

    Example:
        >>> import jax, jaxinv as ji
        >>> family = ji.problems.sparse(50, 100, num_nonzeros=5)
        >>> problems = family.batch(jax.random.split(jax.random.key(0), 3))
        >>> layers = Layers.repeat(ji.solvers.ista(0.2, 0.1), 16)
        >>> jax.vmap(unfold, in_axes=(None, family.axes))(layers, problems).shape
        (3, 100)

    Source: Gregor, LeCun (2010).
    """
    if not isinstance(layers, Layers):
        hint = "Make it with Layers.repeat(solver, num_layers)."
        checks.fail_type("unfold", "layers", "be a jaxinv.Layers", layers, hint)
    kind = f"layers of {type(layers.solver).__name__}"
    problem = check_problem("unfold", problem, layers.solver.misfits, kind)
    u0 = _zero_unknown(problem) if u0 is None else u0
    all_layers = checks.boolean("unfold", "all_layers", all_layers)
    problem, u0 = check_start("unfold", layers.layer(0), problem, u0)
    _check_operator(layers, problem)
    return _unfold(layers, problem._replace(truth=None), u0, all_layers)


def _check_operator(layers: Layers, problem: Problem) -> None:
    """Refuse weights made for another operator, which would run and be wrong."""
    if layers.operator is not None and not same_model(layers.operator, problem):
        hint = "Make or load the network of problem.operator."
        expected = "be made for the problem's operator"
        checks.fail("unfold", "layers", expected, "weights for another", hint)


def same_model(operator: Any, problem: Problem) -> bool:
    """Whether the map from unknown to measurements is this operator, as far as can be told.

    Two trees of one structure are compared array by array. Any other problem, such as one with a
    prior or with a product of operators, is compared by what it makes of random vectors.
    Traced values cannot be looked at, and pass.
    """
    given, prior = problem.operator, problem.prior
    if not checks.is_concrete((operator, given, prior)):
        return True
    if prior is None and jax.tree.structure(operator) == jax.tree.structure(given):
        return numerics.same_arrays(operator, given)
    with jax.ensure_compile_time_eval():
        return all(_agree(operator, problem, index) for index in range(_PROBES))


def _agree(operator: Any, problem: Problem, index: int) -> bool:
    probe = jax.random.normal(jax.random.key(index), operator.in_shape, operator.in_dtype)
    try:
        ours, theirs = (np.asarray(model(probe)) for model in (operator, problem.predict))
    except (TypeError, ValueError):  # it takes another shape, or another type
        return False
    if ours.shape != theirs.shape:
        return False
    rounding = max(float(jnp.finfo(each.dtype).eps) for each in (ours, theirs))
    wide = np.promote_types(np.result_type(ours, theirs), np.float64)
    difference = np.linalg.norm(ours.astype(wide) - theirs.astype(wide))
    return bool(difference <= 10 * rounding**0.5 * np.linalg.norm(ours.astype(wide)))


@partial(jax.jit, static_argnums=3)
def _unfold(layers: Layers, problem: Problem, u0: Any, all_layers: bool) -> Any:
    values = {name: getattr(layers.solver, name) for name in layers._layered()}
    layered = {name: value for name, value in values.items() if jax.tree.leaves(value)}
    given = layers.layer(0)
    units = normalized(given, problem, u0)  # as in ``trace``, of which the layers are the steps
    prepared = units.solver.prepare(units.problem)

    def body(state: Any, fields: dict[str, Any]) -> tuple[Any, Any]:
        if units.scale is not None:
            divided = replace(given, **fields).to_units(units.scale)
            fields = {name: getattr(divided, name) for name in fields}
        state = replace(prepared, **fields).step(units.problem, state)[0]
        return state, units.unknown(state.u) if all_layers else None

    first = prepared.init(units.problem, units.u0)
    last, outputs = lax.scan(body, first, layered, length=layers.num_layers)
    return outputs if all_layers else units.unknown(last.u)


def _zero_unknown(problem: Problem) -> Array:
    """Return 0 in the shape and type of the unknown."""
    operator, prior = problem.operator, problem.prior
    source = operator if prior is None else prior
    shape = getattr(source, "in_shape", None)
    if shape is None:
        hint = "The shape of the unknown is not known from the operator and the prior."
        checks.fail("unfold", "u0", "be given", "None", hint)
    dtype = numerics.real_dtype(problem.y.dtype)
    if isinstance(operator, LinearOperator):
        unknown = jax.eval_shape(operator.adjoint, problem.y)
        if isinstance(prior, LinearOperator):
            unknown = jax.eval_shape(prior.adjoint, unknown)
        if prior is None or isinstance(prior, LinearOperator):
            dtype = unknown.dtype
    return jnp.zeros(shape, dtype)


def _field_names(solver: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(solver) if not field.metadata.get("static"))


def _common(where: str, solver: Any, names: Sequence[str]) -> tuple[str, ...]:
    """Return the fields that all layers share, whoever asks."""
    common = tuple(solver.common) + (() if solver.made_for is None else (solver.made_for,))
    return _names(where, f"{type(solver).__name__}.common or .made_for", common, names)


def _names(where: str, argument: str, given: Sequence[str], known: Sequence[str]) -> Any:
    """Return names of fields as a tuple; one string is one name."""
    given = (given,) if isinstance(given, str) else tuple(given)
    for name in given:
        checks.choice(where, argument, name, known)
    return given


def _stacked(solvers: list[Any], name: str, shared: bool) -> Any:
    """Return one field as arrays, with a first axis of one entry per layer unless shared."""
    values = [getattr(solver, name) for solver in solvers]
    if shared:
        return jax.tree.map(jnp.asarray, values[0])
    return _stack(values)


# outside jit too, a network is put together, and a layer taken out of it, by one program
@partial(jax.jit, inline=True)
def _stack(values: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *values)


@partial(jax.jit, static_argnums=1, inline=True)
def _entry(layered: dict[str, Any], index: int) -> dict[str, Any]:
    return jax.tree.map(lambda leaf: leaf[index], layered)


def _is_inexact(value: Any) -> bool:
    leaves = jax.tree.leaves(value)
    return bool(leaves) and all(jnp.issubdtype(x.dtype, jnp.inexact) for x in leaves)
