"""One color for each method in every figure, from a palette that all eyes tell apart."""

from __future__ import annotations

from collections.abc import Iterable

INK = "#222222"
PUBLISHED = "#767676"
MEASURED = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe, Ito (2008)
_BLUE, _RED, _GREEN, _PINK, _ORANGE, _SKY = MEASURED

METHODS = {
    "levenberg-marquardt": _BLUE,
    "subgradient": _RED,
    "gradient": _GREEN,
    "projected gradient": _PINK,
    "langevin": _ORANGE,
    "ista": _SKY,
    "fista": _BLUE,
    "admm": _GREEN,
    "basis pursuit": _ORANGE,
    "amp": _RED,
    "vamp": _PINK,
    "iht": _PINK,
    "omp": _GREEN,
    "cosamp": _SKY,
    "lista": _RED,
    "lista-ss": _ORANGE,
    "lista-cp": _PINK,
    "lista-cpss": _SKY,
    "tilista": _ORANGE,
    "alista": _BLUE,
    "alista-momentum": _SKY,
    "alista-at": _PINK,
    "aglista": _ORANGE,
    "gated-lista": _PINK,
    "na-alista": _SKY,
    "hyperlista": _GREEN,
    "step-lista": _ORANGE,
    "lamp": _PINK,
    "alamp": _GREEN,
    "total variation": _BLUE,
    "tv": _BLUE,
    "wavelet": _RED,
    "smooth": _ORANGE,
    "non-local means": _PINK,
    "nlm": _PINK,
    "deep decoder": _GREEN,
    "deep-decoder": _GREEN,
    "u-net": _ORANGE,
    "zero-filled": _SKY,
}


def method_color(name: str) -> str | None:
    """Return the color of the method that a name is, or begins with as "fista, 50 steps" does."""
    words = name.lower().replace("_", "-")
    found = [method for method in METHODS if _begins(words, method)]
    return METHODS[max(found, key=len)] if found else None


def _begins(words: str, method: str) -> bool:
    rest = words[len(method) :]
    return words.startswith(method) and not rest[:1].isalnum() and not rest.startswith("-")


def looks(names: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the color of each name of a figure, and how often it was given before: the style.

    Methods have theirs everywhere; other names get those that are left, in turn.
    """
    names = list(dict.fromkeys(names))
    known = {name: method_color(name) for name in names}
    left = [color for color in MEASURED if color not in known.values()] or list(MEASURED)
    others = [name for name in names if known[name] is None]
    given = {name: left[index % len(left)] for index, name in enumerate(others)}
    colors = [known[name] or given[name] for name in names]
    return {
        name: (color, colors[:index].count(color))
        for index, (name, color) in enumerate(zip(names, colors, strict=True))
    }
