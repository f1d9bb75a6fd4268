"""What tests of reproductions share: an outcome is written, and each claim has its interval."""

import numpy as np

from jaxinv.reproductions import REPRODUCTIONS, write


def check(name, outcome, folder):
    paths = write(folder, REPRODUCTIONS[name], outcome, 0.0)
    assert set(paths) == {"json", "csv", "png"}
    assert outcome.claims
    for claim in outcome.claims:
        assert np.isfinite([claim.measured, claim.low, claim.high]).all(), claim
        assert claim.low <= claim.measured <= claim.high
    return outcome
