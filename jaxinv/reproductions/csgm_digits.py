"""Small digits, and faces, from few measurements: trained VAEs against tuned Lassos."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from jaxinv import data
from jaxinv.reproductions import _csgm
from jaxinv.reproductions._csgm import DCT, PIXELS, TUNED, WAVELET, CsgmStudy
from jaxinv.reproductions._registry import Outcome, Reproduction, Settings
from jaxinv.reproductions.claims import ratio_at_most

DIGITS = CsgmStudy(
    measurements=(4, 8, 16, 24, 32, 48),
    repeated=(8, 16, 32),
    hidden=(128, 128),
    latent_size=10,
    num_steps=3000,
    num_held_back=197,
    wavelet=("haar", 2),
    shifts=False,
)
FACES = CsgmStudy(
    measurements=(10, 25, 50, 100, 200, 400),
    repeated=(50,),
    hidden=(128, 128),
    num_steps=2000,
    num_held_back=20,
    num_signals=20,
    wavelet=None,
)


def _outcome(study: CsgmStudy, images: np.ndarray, upto: int, settings: Settings) -> Outcome:
    """Claim that the VAE has less error than every tuned Lasso up to some measurements."""
    found = _csgm.run(study, images, settings)
    claims: list[Any] = []
    for m in study.measurements:
        rivals = [name for name in (PIXELS, DCT, WAVELET) if (m, name) in found.scores]
        best = min(rivals, key=lambda name: found.scores[m, name].mean())
        ours, theirs = found.scores[m, TUNED].mean(0), found.scores[m, best].mean(0)
        if m <= upto:
            claims.append(ratio_at_most(f"m = {m}: VAE over {best}", ours, theirs, 1.0))
    rows = _csgm.rows_of(found)
    return Outcome(claims, rows, partial(_csgm.draw_study, rows, found))


def _digits(study: CsgmStudy, settings: Settings) -> Outcome:
    return _outcome(study, data.digits()[0], 32, settings)


def _faces(study: CsgmStudy, settings: Settings) -> Outcome:
    return _outcome(study, data.faces(), 50, settings)


ENTRIES = (
    Reproduction(
        name="csgm-digits",
        title="8 x 8 digits from few measurements by a trained VAE, against tuned Lassos",
        source=f"{_csgm.SOURCE}, the protocol of figure 1a on the digits of scikit-learn",
        run=partial(_digits, DIGITS),
        cost="2 minutes",
    ),
    Reproduction(
        name="csgm-faces",
        title="25 x 25 faces from few measurements by a VAE of 80 faces, against tuned Lassos",
        source=f"{_csgm.SOURCE}, the protocol of figure 2a on the faces of scikit-image",
        run=partial(_faces, FACES),
        cost="3 minutes",
    ),
)
