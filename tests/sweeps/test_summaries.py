"""Summaries against SciPy and NumPy."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binomtest

from jaxinv.sweeps import quartiles, success_rate, wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 5), (3, 7), (29, 30), (30, 30), (1, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_equals_scipy(successes, trials, confidence):
    expected = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    low, high = wilson(successes, trials, confidence=confidence)
    assert float(low) == pytest.approx(expected.low, abs=1e-9)
    assert float(high) == pytest.approx(expected.high, abs=1e-9)


def test_success_rate_counts_every_trial():
    error = xr.DataArray(
        [[1e-6, np.nan, 0.2, 1e-5], [1e-9] * 4], dims=("k", "trial"), coords={"k": [3, 5]}
    )
    rates = success_rate(error < 1e-3)
    np.testing.assert_array_equal(rates["rate"].sel(k=3), 0.5)
    np.testing.assert_allclose(rates["low"].values, wilson([2, 4], 4)[0])
    assert rates.attrs["confidence"] == 0.95


def test_quartiles_do_not_hide_failures():
    steps = xr.DataArray(
        [[1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, *[np.nan] * 3]], dims=("k", "trial")
    )
    found = quartiles(steps)
    assert float(found["median"][0]) == 3
    assert np.isinf(found["median"][1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(3, 0), "trials must be >= 1"),
        (lambda: wilson(5, 4), "successes must be in"),
        (lambda: wilson(1, 4, confidence=95), "confidence must be in"),
        (lambda: success_rate(xr.DataArray([True])), "dimension 'trial'"),
        (lambda: quartiles(xr.DataArray([1.0])), "dimension 'trial'"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
