"""Published results at published size. Slow: run with ``-m slow``."""

import jax
import pytest

import jaxinv as ji
from jaxinv.reproductions import REPRODUCTIONS, Settings, overall, write
from jaxinv.reproductions.presets import PRESETS

EXPECTED = dict.fromkeys(REPRODUCTIONS, "reproduced")
EXPECTED["nonexpansive-2layer-levenberg-marquardt"] = "beaten"
EXPECTED["nonexpansive-3layer-levenberg-marquardt"] = "beaten"
EXPECTED["calibration"] = "undecided"  # chains of the ReLU network and of the decoder
EXPECTED["csgm-untrained"] = "undecided"  # six digits
EXPECTED["csgm-mnist"] = "refuted"  # against the Lasso in wavelets at m = 400
EXPECTED["unfolded-noise"] = "beaten"
EXPECTED["untrained-digits"] = "undecided"  # four digits
EXPECTED["untrained-mri"] = "undecided"  # the orderings at 8x, with five masks
EXPECTED["untrained-printed-claims"] = "refuted"
EXPECTED["untrained-retina"] = "refuted"  # at the published rate, from Gaussian measurements


@pytest.mark.slow
@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_verdicts_at_published_size(name, tmp_path):
    item = REPRODUCTIONS[name]
    outcome = item.run(Settings(jax.random.key(0)))
    claims = "\n".join(map(str, outcome.claims))
    assert overall(outcome.claims) == EXPECTED[name], claims
    paths = write(tmp_path, item, outcome, 0.0)
    assert set(paths) == {"json", "csv", "png"}


@pytest.mark.slow
def test_levenberg_marquardt_moves_the_transition():
    preset = PRESETS["nonexpansive-2layer"]
    found = ji.sweep(
        preset.trial(), {"k": [135]}, key=jax.random.key(0), num_trials=30, traced=("k",)
    )
    assert float((found["error"] < 1e-3).mean()) >= 0.9
    assert preset.published[135] == 0.5
