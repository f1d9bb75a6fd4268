"""Status codes of a solve; each member owns the text that explains it."""

import enum
from typing import Any

import numpy as np

from jaxinv._core import checks


class Status(enum.IntEnum):
    """What became of one trial.

    ``solve`` returns the integer code per trial, so that a batch of thousands carries its
    outcome as an array; ``describe`` gives the text.
    """

    text: str

    def __new__(cls, code: int, text: str) -> "Status":
        member = int.__new__(cls, code)
        member._value_ = code
        member.text = text
        return member

    RUNNING = -1, "not finished: the loop was left before any stopping rule applied."
    CONVERGED = 0, "the solver's error measure fell to `tol` or below."
    MAX_STEPS = (
        1,
        "every step that was allowed was taken. Where a solver should have converged: allow more "
        "steps, loosen `tol`, or, for a gradient method, check the step size against the "
        "operator's norm.",
    )
    STALLED = (
        2,
        "the loss stopped improving before the error measure reached `tol`: a plateau, a kink, "
        "or the floor of the floating-point type. Score the estimate as it is; float64, a "
        "smaller step or another start may go further.",
    )
    DIVERGED = (
        3,
        "the loss grew far above its starting value: the step size is too large for this "
        "operator, or its adjoint is wrong. Use a smaller step, or one estimated from the norm; "
        "`operators.dot_test(operator, key)` is below 1e-5 where the adjoint is right.",
    )
    NONFINITE = (
        4,
        "NaN or infinity appeared in the loss or the error measure: look for non-finite values "
        "in `y`, the operator or the prior, an overflowing step, or, for an operator of your own, "
        "a wrong adjoint (`operators.dot_test(operator, key)` above 1e-5).",
    )
    INVALID_START = (
        5,
        "the start cannot be used: it is exactly zero where the prior is a ReLU network (a "
        "fixed point of every descent), or not finite. Draw it from `family.initial(key)`.",
    )
    STOPPED = (
        6,
        "the stopping rule ended the fit before it could follow the noise: the estimate is the "
        "iterate that the rule preferred.",
    )
    FLAT = (
        7,
        "the measurements do not change with the unknown here, so that no gradient says where to "
        "go: the operator keeps signs or counts only, or every unit of a network is off. Use a "
        "misfit that is not flat, for dithered signs problems.back_projected, or another start.",
    )
    SAMPLED = (
        8,
        "the chains agree (R-hat at most 1.01) and hold an effective sample size of 400 or more "
        "for every entry of the unknown.",
    )
    UNMIXED = (
        9,
        "the chains do not agree yet, or their draws are too much alike: R-hat above 1.01 or an "
        "effective sample size below 400 for some entry of the unknown. Take more steps, a longer "
        "burn-in, or a step size that more proposals survive.",
    )
    LONG_STEP = (
        10,
        "the step size is too long: a chain without adjustment draws from another density than "
        "the posterior, one with it refuses nearly every proposal, and paths of Hamiltonian "
        "dynamics diverge. Use a smaller step.",
    )
    ANNEALING = (
        11,
        "some draws are those of a noise level above that of the data, not of the posterior: take "
        "a burn-in of at least num_levels times steps_per_level steps.",
    )


def describe(status: Any) -> str:
    """Explain a status code; for an array of codes, count each one.

    Args:
        status: an integer code, or an array of codes, as in ``Solution.status``.

    Returns:
        Text that begins with the code's name; for arrays, one line per code with its count.

    Raises:
        ValueError: what is no code.

    Example:
        >>> print(describe(2)[:40])
        STALLED: the loss stopped improving befo
    """
    codes = np.asarray(status)
    if codes.dtype.kind not in "iu" or not np.isin(codes, list(Status)).all():
        hint = "They are in Solution.status."
        checks.fail(
            "describe", "status", f"be codes of jaxinv.Status, 0 to {max(Status)}", status, hint
        )
    if codes.ndim == 0:
        member = Status(int(codes))
        return f"{member.name}: {member.text}"
    values, counts = np.unique(codes, return_counts=True)
    rows = zip(values, counts, strict=True)
    return "\n".join(f"{describe(value)} ({count} of {codes.size})" for value, count in rows)


def status_name(status: Any) -> str:
    """Return the name of one status code, such as ``"CONVERGED"``."""
    return Status(int(np.asarray(status))).name
