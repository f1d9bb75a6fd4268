"""The forecast at toy size: it is in the file before the first trial, and is what is compared."""

import json

import jax
import numpy as np
import pytest
from reproduction_toys import check

from jaxinv.reproductions import Settings, forecast
from jaxinv.reproductions.forecast import ForecastStudy

TOY = ForecastStudy(
    sparse=(60, 120), widths=(5, 20), num_measurements=15, image=8, num_draws=4, num_steps=2
)


def test_the_forecast_is_written_before_the_trials(tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(forecast, "sweep", stop)
    with pytest.raises(KeyboardInterrupt):
        forecast._forecast(TOY, Settings(jax.random.key(0), 2, folder=tmp_path))
    law = json.loads((tmp_path / "forecast-predicted.json").read_text())
    assert set(law) == {"amp", "vamp", "ml-vamp", "d-amp"}
    assert all(len(errors) == TOY.num_steps for errors in law.values())
    assert all(np.all(np.diff(errors) < 0) for errors in law.values())


@pytest.mark.slow  # four programs
def test_trials_are_held_against_the_file(tmp_path):
    outcome = forecast._forecast(TOY, Settings(jax.random.key(0), 2, folder=tmp_path))
    law = json.loads((tmp_path / "forecast-predicted.json").read_text())
    check("forecast", outcome, tmp_path)
    told = [claim.published for claim in outcome.claims]
    np.testing.assert_allclose(told, [value for errors in law.values() for value in errors])
