"""What the papers state, and what here computes it and puts it to the test."""

from __future__ import annotations

from typing import NamedTuple

from jaxinv._core import checks

PAPERS = {
    "survey": "Scarlett, Heckel, Rodrigues, Hand, Eldar (2022), theoretical perspectives on deep "
    "learning methods in inverse problems",
    "non-expansive": "Cocola (2022), signal recovery with non-expansive generative network priors",
    "sensing": "Heckel, Soltanolkotabi (2020), compressive sensing with un-trained neural "
    "networks, preprint and proceedings",
    "cs-dip": "Van Veen, Jalal, Soltanolkotabi, Price, Vishwanath, Dimakis (2018), compressed "
    "sensing with deep image prior and learned regularization",
}


class Statement(NamedTuple):
    """A theorem, lemma, definition, algorithm, figure or table of a paper.

    Attributes:
        paper: one of ``PAPERS``.
        label: as the paper has it, such as ``"Theorem 1"``.
        says: what it states, in a line.
        functions: public names that compute it, as ``"theory.noise_law"``.
        reproductions: what ``jaxinv reproduce`` runs for a verdict on it.
        reason: why no run gives a verdict, where none does.
    """

    paper: str
    label: str
    says: str
    functions: tuple[str, ...] = ()
    reproductions: tuple[str, ...] = ()
    reason: str = ""


def catalog(paper: str | None = None) -> tuple[Statement, ...]:
    """Return every numbered statement of the papers that this library implements.

    Args:
        paper: ``"survey"``, ``"non-expansive"``, ``"sensing"`` or ``"cs-dip"``; None for all.

    Returns:
        The statements in the order of the papers.

    Raises:
        ValueError: another paper.

    Example:
        >>> found = catalog("non-expansive")
        >>> [item.functions for item in found if item.label == "Algorithm 1"]
        [('solvers.subgradient',)]
    """
    from jaxinv.theory.generative._statements import STATEMENTS as generative
    from jaxinv.theory.unfolded._statements import STATEMENTS as unfolded
    from jaxinv.theory.untrained._statements import STATEMENTS as untrained

    found = sorted(
        (*generative, *untrained, *unfolded), key=lambda item: list(PAPERS).index(item.paper)
    )
    if paper is None:
        return tuple(found)
    checks.choice("catalog", "paper", paper, PAPERS)
    return tuple(item for item in found if item.paper == paper)
