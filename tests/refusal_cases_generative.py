"""The column of refusals of generative priors: as ``refusal_cases``."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from fuzz_cases_generative import A, G
from fuzz_values import ones
from refusal_cases import Refusals, each, nan, smooth

import jaxinv as ji
from jaxinv._core import replace

O, P, S = ji.operators, ji.Problem, ji.solvers


def scaled(factor: float) -> Any:
    return replace(G(), params=tuple(factor * weight for weight in G().params))


def unchained() -> Any:
    return replace(G(), params=(jnp.ones((4, 2)), jnp.ones((6, 3))))


def conditions() -> Refusals:
    """Return what every condition on an operator and a generator refuses."""
    return [
        *(
            ({"generator": scaled(nan), "method": method}, "generator must be finite, got 8 NaN")
            for method in ("exact", "search", "sampled")
        ),
        ({"operator": A() * nan, "method": "sampled"}, "operator must be finite"),
        ({"generator": scaled(0.0), "method": "sampled"}, "generator must have signals that diff"),
        ({"generator": unchained()}, r"weights\[1\] must take the 4 numbers of the layer before"),
        (
            {"operator": O.magnitude(O.dense(A()))},
            r"operator must be a matrix or a linear operator, got Magnitude\(",
        ),
        ({"operator": G(), "generator": O.dense(A())}, r"The order is \(operator, generator\)"),
    ]


def recovery() -> Refusals:
    problem = P(O.dense(A()), ones(5), G(), ji.problems.Truth(ones(2), ones(6)))
    return [
        ({"problem": problem._replace(y=1j * ones(5))}, r"problem\.y must be real, as the operat"),
        ({"problem": problem._replace(y=ones(4))}, r"problem\.y must have shape \(5,\)"),
        ({"problem": problem._replace(y=nan * ones(5))}, r"problem\.y must be finite"),
    ]


def solving() -> Refusals:
    """Return what the loops refuse: maps that do not fit, named as parts of the problem."""
    lm, z, x, matrix = S.levenberg_marquardt(), ones(2), ones(6), ones(6, 6)
    given = P(O.dense(A()), ones(5), G())
    over = S.ista(1.0, prox=ji.prox.range_of(G(), lm))
    off = given._replace(prior=ji.generators.plus_sparse(G()))
    swapped, tuple_start = S.alternating([S.fista(penalty=0.1), lm]), (z, x)

    def call(solver: Any, problem: Any, u0: Any, words: str) -> tuple[dict[str, Any], str]:
        return {"solver": solver, "problem": problem, "u0": u0}, words

    fits = r"problem\.operator must take the signals of problem\.prior, of shape \(6,\), got in_sh"
    return [
        call(lm, given._replace(operator=O.dense(A().T)), z, fits),
        call(lm, given._replace(operator=O.outer(5), y=ones(5, 5)), z, fits),
        call(lm, given, 1j * z, r"problem\.prior must accept u0 of .*Relu: z must be real"),
        call(lm, given._replace(prior=unchained()), z, r"the 4 numbers of the layer before"),
        call(over, given, x, r"problem\.prior must be None with prox\.range_of, got Relu"),
        call(over, P(O.identity(5), ones(5)), ones(5), r"u0 must have the shape \(6,\) of the sig"),
        call(S.intermediate_layers(lm, [1, 1]), given, z, "radii must be at most 1, one for each"),
        call(swapped, off, tuple_start, "solvers must be in the order of the parts, got Fista, L"),
        call(lm, P(O.outer(6), 1j * matrix), x, r"problem\.y must be real for operators\.outer"),
        call(over, P(O.outer(6), matrix), x, r"for solvers\.ista, got operators\.outer"),
    ]


GENERATIVE: dict[str, Callable[[], Refusals]] = {
    "theory.set_restricted_eigenvalue": conditions,
    "theory.range_restricted_isometry": conditions,
    "theory.range_least_squares": lambda: [
        ({"y": 1j * ones(5)}, "y must be real, as the operator is"),
        ({"generator": unchained()}, "must take the 4 numbers of the layer before"),
    ],
    "theory.check_range_recovery": recovery,
    "theory.weight_distribution": lambda: [
        ({"weights": np.ones((5, 2)), "method": "exact"}, "weights must have rank 2")
    ],
    "theory.regions": lambda: each(
        "generator", r"generator\.params\[1\] must take the 4 numbers", unchained()
    ),
    "theory.range_restricted_weight_distribution": lambda: each(
        "generator", "generator must be finite", scaled(nan)
    ),
    "solvers.solve": solving,
    "solvers.invert_layers": lambda: each("threshold", r"threshold must be in \[0, 1\)", 1.0, 1),
    "prox.range_of": lambda: [
        ({"generator": G(), "latent": 0 * ones(2)}, "latent must not be zero.*family.initial")
    ],
    "problems.generative": lambda: each("widths", "widths or generator must be given", None),
    "problems.back_projected": lambda: [
        (
            {"problem": P(O.sign(O.identity(40)), np.arange(40) % 2 == 1)},
            "Labels of 0 and 1 are the signs 2 y - 1",
        )
    ],
    "generators.tail": lambda: each("generator", r"layers, got FromFunction shape", smooth()),
}
