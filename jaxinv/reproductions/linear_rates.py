"""Linear convergence of coupled LISTA layers with the theorem's own weights and thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions.claims import Claim, holds
from jaxinv.theory import RateCheck, check_linear_rate
from jaxinv.unfolded import analytic_weights
from jaxinv.viz._colors import MEASURED
from jaxinv.viz._panels import Line, Panel, draw

_LAYERS = 40
_AMPLITUDES = (0.2, 1.0)  # of the nonzero entries
_NOISE = 1e-3  # ‖η‖₁
_BYPASS_RATE, _BYPASS_LIMIT = 0.012, 0.13  # shares of the entries, as published
_ROUNDING = 1e-12
_SMALLEST_SHOWN = 1e-13
_PLAIN, _SELECTION = "soft threshold", "with support selection"
_Cases = dict[str, dict[str, RateCheck]]


def _gaussian(generator: np.random.Generator) -> np.ndarray:
    matrix = generator.standard_normal((250, 500))
    return matrix / np.linalg.norm(matrix, axis=0)


def _two_bases(generator: np.random.Generator) -> np.ndarray:
    """Return the identity beside the Hadamard basis, μ = 1/16, the rows in random signs."""
    from scipy.linalg import hadamard

    signs = generator.choice([-1.0, 1.0], 256)
    return signs[:, None] * np.concatenate([np.eye(256), hadamard(256) / 16], axis=1)


_MATRICES = {
    "Gaussian 250 × 500, s = 2": (_gaussian, 2),
    "identity | Hadamard 256 × 512, s = 4": (_two_bases, 4),
}


def _signals(generator: np.random.Generator, count: int, size: int, sparsity: int) -> np.ndarray:
    order = np.argsort(generator.random((count, size)), axis=1)[:, :sparsity]
    values = generator.choice([-1.0, 1.0], order.shape) * generator.uniform(
        *_AMPLITUDES, order.shape
    )
    signals = np.zeros((count, size))
    np.put_along_axis(signals, order, values, axis=1)
    return signals


def _noise(generator: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Return noise of one 1-norm: every other one spread out, the rest on one measurement."""
    noise = generator.standard_normal((count, size))
    single = generator.integers(0, size, count)
    noise[::2] *= np.arange(size) == single[::2, None]
    return noise * (_NOISE / np.sum(np.abs(noise), axis=1, keepdims=True))


def _cases(settings: Settings) -> _Cases:
    """Return the checks by panel, then by network."""
    generator = np.random.default_rng(np.asarray(jax.random.key_data(settings.key)))
    count = trials(settings, 1000)
    found: _Cases = {}
    for name, (matrix_of, sparsity) in _MATRICES.items():
        matrix = matrix_of(generator)
        weights = analytic_weights(matrix)
        signals = _signals(generator, count, matrix.shape[1], sparsity)
        noise = _noise(generator, count, matrix.shape[0])
        shares = np.minimum(_BYPASS_RATE * np.arange(1, _LAYERS + 1), _BYPASS_LIMIT)
        counts = (shares * matrix.shape[1]).astype(int)
        for kind, added in (("no noise", None), (f"‖η‖₁ = {_NOISE:g}", noise)):
            found[f"{name}, {kind}"] = {
                label: check_linear_rate(
                    matrix, weights, signals, added, num_layers=_LAYERS, bypass_counts=bypass
                )
                for label, bypass in ((_PLAIN, None), (_SELECTION, counts))
            }
    return found


def _run(settings: Settings) -> Outcome:
    cases = _cases(settings)
    claims = []
    for panel, checks in cases.items():
        claims += [_below(panel, label, check) for label, check in checks.items()]
        claims.append(_faster(panel, checks[_PLAIN], checks[_SELECTION]))
        if panel.endswith("no noise"):
            claims.append(_exponent(panel, checks[_PLAIN]))
    return Outcome(claims, _rows(cases), lambda path: _draw(cases, path))


def _below(panel: str, label: str, check: RateCheck) -> Claim:
    """Compare ‖x_t − x*‖₁ with its bound at every layer and for every signal.

    Layer 0, where x₀ = 0 and the bound s B is trivial, is checked but left out of the number.
    """
    slack = check.bound.bound + _ROUNDING
    ratio = float(np.max((check.measured / slack)[:, 1:]))
    rule = f"at most 1 at all layers, {check.false_positives} entries outside the support"
    what = f"largest error over its bound, {label}: {panel}"
    return holds(what, 1.0, ratio, check.holds, rule)


def _faster(panel: str, plain: RateCheck, selection: RateCheck) -> Claim:
    """Compare the largest errors with and without support selection, layer by layer."""
    worst = plain.errors.max(axis=0)
    ratio = float(np.max(selection.errors.max(axis=0)[1:] / np.maximum(worst[1:], _ROUNDING)))
    what = f"largest error with support selection over that without: {panel}"
    return holds(what, 1.0, ratio, ratio <= 1, "at most 1 at all layers")


def _exponent(panel: str, check: RateCheck) -> Claim:
    """Fit the exponent of the largest error over the second half of the layers."""
    half = _LAYERS // 2
    worst = check.errors.max(axis=0)
    slope = float(np.log(worst[half] / worst[_LAYERS]) / (_LAYERS - half))
    rate = check.bound.rate
    what = f"exponent of the decay against −log(2 s μ̃ − μ̃): {panel}"
    return holds(what, rate, slope, slope >= 0.98 * rate, "at least the exponent, within 2 %")


def _rows(cases: _Cases) -> list[dict[str, Any]]:
    return [
        {
            "case": panel,
            "network": label,
            "layer": layer,
            "bound": float(check.bound.bound[layer]),
            "largest_error_1": float(check.measured[:, layer].max()),
            "largest_error_2": float(check.errors[:, layer].max()),
            "mean_error_2": float(check.errors[:, layer].mean()),
        }
        for panel, checks in cases.items()
        for label, check in checks.items()
        for layer in range(_LAYERS + 1)
    ]


def _draw(cases: _Cases, path: Path) -> str:
    panels = []
    for panel, checks in cases.items():
        lines = []
        for color, (label, check) in zip(MEASURED, checks.items(), strict=False):
            bound, measured = (
                np.where(values >= _SMALLEST_SHOWN, values, np.nan)
                for values in (check.bound.bound, check.measured.max(axis=0))
            )
            layers = range(_LAYERS + 1)
            lines.append(Line(layers, bound, f"{label}: bound", color, "--"))
            lines.append(Line(layers, measured, f"{label}: measured", color, "-", "o"))
        label = "largest ‖x_t − x*‖₁"
        panels.append(Panel(panel, "layer t", label, lines, yscale="log", xticks="integer"))
    return draw(path, panels, size=(4.6, 3.3), num_columns=2)


ENTRIES = (
    Reproduction(
        name="lista-linear-rates",
        title="coupled LISTA layers converge linearly, faster with support selection",
        source="Chen, Liu, Wang, Yin (2018), theorems 2 and 3; Liu et al. (2019), theorem 1",
        run=_run,
        cost="20 seconds",
    ),
)
