"""A color image from few measurements: CS-DIP against the Lasso."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv import data, operators
from jaxinv.generators import dcgan
from jaxinv.images._baseline import baseline
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings, trials
from jaxinv.reproductions._unfolded import Counter
from jaxinv.reproductions._untrained import color_lasso
from jaxinv.reproductions._untrained_recovery import (
    CSDIP,
    NETWORK,
    RATE,
    Scores,
    draw_measured,
    fit_network,
    gain_claims,
    measured_rows,
    squared_errors,
)


class ColorStudy(NamedTuple):
    """Size of CS-DIP on the retina image: measurements, radial lines, steps, TV weights, rates.

    Published: 500 to 8000 measurements, 1000 steps, 60 images, TV weight 0.02 on the sum, rate
    0.001. At this rate the first steps are larger than the weights are, and from Gaussian
    measurements most starts end in saturated pixels; a tenth of it is run beside.
    """

    size: int = 128
    measurements: tuple[int, ...] = (500, 1000, 2000, 4000)
    lines: tuple[int, ...] = (3, 5, 10, 20)
    num_steps: int = 1000
    smoothing: float = 0.02
    rates: tuple[float, ...] = (RATE, RATE / 10)


def _color(study: ColorStudy, settings: Settings) -> Outcome:
    """Fit the published network to the retina image, and the Lasso in a cosine basis.

    The image that is shown is that of the last rate.
    """
    x = 2 * data.image("retina", size=(study.size, study.size)) - 1
    count = trials(settings, 3)
    num_cases = len(study.measurements) + len(study.lines)
    counter = Counter(settings, num_cases * len(study.rates))
    gaussian: Scores = {}
    fourier: Scores = {}
    shown = {}
    for m in study.measurements:
        operator_key, fit_key = jax.random.split(jax.random.fold_in(settings.key, m))
        operator = operators.gaussian(operator_key, m, x.shape)
        y = operator(jnp.asarray(x))
        prior = dcgan("retino", x.shape)
        lasso = color_lasso(operator, y)
        gaussian[m, "lasso_dct"] = squared_errors(lasso[None], x).repeat(count)
        for rate in study.rates:
            images = fit_network(
                prior, operator, y, jax.random.split(fit_key, count), study, rate=rate
            )
            gaussian[m, _named(rate)] = squared_errors(images, x)
            shown[m] = (images[0], lasso)
            counter.next(f"m = {m}")
    planes = np.moveaxis(x, -1, 0)
    for lines in study.lines:
        mask = operators.radial_lines(x.shape[:2], lines)
        operator = operators.multicoil_mri(mask, num_coils=3)
        y = operator(jnp.asarray(planes))
        prior = dcgan("retino", planes.shape, channels_first=True)
        keys = jax.random.split(jax.random.fold_in(settings.key, lines), count)
        coefficients = 3 * (int(mask.sum()) + 1) // 2
        for rate in study.rates:
            images = fit_network(prior, operator, y, keys, study, rate=rate, first_axis=1)
            fourier[coefficients, _named(rate)] = squared_errors(images, planes)
            counter.next(f"{lines} lines")
        for method in ("lasso_dct", "tv"):
            image = np.real(baseline(operator, y, method).image)
            fourier[coefficients, method] = squared_errors(image[None], planes).repeat(count)
    claims = gain_claims("Gaussian, m =", gaussian, ("lasso_dct",))
    claims += gain_claims("radial Fourier, coefficients =", fourier, ("lasso_dct",))
    rows = measured_rows(gaussian, fourier)
    return Outcome(claims, rows, partial(draw_measured, x, gaussian, fourier, shown))


def _named(rate: float) -> str:
    """Return the name of the network; with the rate where it is not the published one."""
    return NETWORK if rate == RATE else f"{NETWORK}, rate {rate:g}"


ENTRIES = (
    Reproduction(
        name="untrained-retina",
        title="CS-DIP against the Lasso on a color image, Gaussian and radial Fourier",
        source=f"{CSDIP}, figure 3; one image instead of 60, up to 4000 measurements of 8000; the "
        "published rate and a tenth of it",
        run=partial(_color, ColorStudy()),
        cost="50 minutes",
    ),
)
