"""Reproductions of untrained priors at toy size: that they run and judge, not what they find.

Those that compile many networks are slow.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reproduction_toys import check

import jaxinv as ji
from jaxinv.reproductions import Settings, overall
from jaxinv.reproductions import _untrained as shared
from jaxinv.reproductions import _untrained_jacobian as spectra
from jaxinv.reproductions import untrained_basis as basis
from jaxinv.reproductions import untrained_denoising as denoising
from jaxinv.reproductions import untrained_digits as digits
from jaxinv.reproductions import untrained_fit_time as fit_time
from jaxinv.reproductions import untrained_jacobian as jacobian
from jaxinv.reproductions import untrained_mri as mri
from jaxinv.reproductions import untrained_photo as photo
from jaxinv.reproductions import untrained_printed_claims as printed
from jaxinv.reproductions import untrained_regularization as regularization
from jaxinv.reproductions import untrained_retina as retina
from jaxinv.reproductions import untrained_sensing as sensing
from jaxinv.reproductions import untrained_spectrum as spectrum
from jaxinv.reproductions._untrained_theory import power_law_claims
from jaxinv.reproductions.claims import REFUTED, REPRODUCED

DTYPE = jnp.float64 if jax.config.jax_enable_x64 else jnp.float32


@pytest.fixture
def settings():
    reports = []
    yield Settings(jax.random.key(0), 2, reports.append)
    done = [report.num_done for report in reports]
    assert done == sorted(done)
    assert not done or done[-1] == reports[-1].num_trials


def test_the_first_step_below_a_level():
    assert shared.first_below([3.0, 1.0, 0.1, 5.0], 0.5) == 3
    assert shared.first_below([3.0, 1.0], 0.5) == 2


def test_the_oracle_only_watches():
    x = jnp.asarray(np.hanning(16)[:, None] * np.hanning(16), DTYPE)
    problem = ji.Problem(ji.operators.identity(x.shape), x)
    prior = ji.generators.deep_decoder(x.shape, 4, 1)
    near, far = (
        ji.untrained.fit(
            jax.random.key(1), prior, problem, num_steps=40, look_every=20, tol=0.0,
            stop=shared.OracleCurve(truth=truth),
        )
        for truth in (x, x - 1)
    )  # fmt: skip
    np.testing.assert_array_equal(near.x, far.x)
    error = np.mean((np.asarray(far.x) - np.asarray(x - 1)) ** 2)
    np.testing.assert_allclose(far.history.score[-1], error, rtol=1e-5)
    assert int(near.history.best_step) == 40  # the last, not the best


def test_the_lasso_of_a_color_image_recovers_a_sparse_one():
    shape = (8, 8, 3)
    basis = ji.operators.dct(shape)
    u = jnp.zeros(shape).at[0, 0, 0].set(3.0).at[1, 2, 0].set(-2.0).at[0, 3, 1].set(1.5)
    x = basis.T(u)
    operator = ji.operators.gaussian(jax.random.key(0), 60, shape)
    np.testing.assert_allclose(operator(x), operator.todense() @ x.ravel(), atol=1e-4)
    found = shared.color_lasso(operator, operator(x))
    assert np.linalg.norm(found - x) < 0.05 * np.linalg.norm(x)


# --- theory -----------------------------------------------------------------------------------


def test_basis(settings, tmp_path):
    study = basis.BasisStudy(64, 4, 1024, 5)
    outcome = check("untrained-basis", basis._basis(study, settings), tmp_path)
    assert [claim.published for claim in outcome.claims[1:5]] == [0, 2, 10, 40]
    assert overall(outcome.claims[:-1]) == REPRODUCED


def test_spectrum_at_published_size(tmp_path):
    settings = Settings(jax.random.key(0))
    outcome = check("untrained-spectrum", spectrum._spectrum(settings), tmp_path)
    assert overall(outcome.claims) == REPRODUCED
    assert len(outcome.rows) == 151
    assert {claim.verdict for claim in power_law_claims()} == {REFUTED}


def test_denoising(settings, tmp_path):
    study = denoising.DenoisingStudy(32, 4, 256, (3, 5), 0.5, 40)
    outcome = check("untrained-denoising", denoising._denoising(study, settings), tmp_path)
    assert len(outcome.rows) == 2 * 41
    assert all(row["predicted"] <= row["bound"] * 1.001 for row in outcome.rows)


@pytest.mark.slow
def test_jacobians(settings, tmp_path):
    study = spectra.JacobianStudy(64, 8, 2, 16, (1, 75))
    outcome = check("untrained-jacobian", jacobian._jacobians(study, settings), tmp_path)
    assert [claim.published for claim in outcome.claims] == [8.6e3, 650, 250]
    outcome = printed._printed(study, Settings(jax.random.key(0), 2))
    check("untrained-printed-claims", outcome, tmp_path)
    accumulated, true = outcome.claims[-1].measured, outcome.claims[-2].measured
    assert accumulated > true  # summing rows up makes the leading vectors smoother


def test_singular_values_are_those_of_the_library():
    rows = np.random.default_rng(0).standard_normal((5, 9))
    np.testing.assert_allclose(
        spectra._values(rows), np.linalg.svd(rows, compute_uv=False), rtol=1e-6
    )
    summed = np.linalg.svd(np.tril(np.ones((5, 5))) @ rows, compute_uv=False)
    found = ji.ntk.jacobian_singular_values(
        lambda u: jnp.asarray(rows, DTYPE) @ u, jnp.ones((1, 9), DTYPE), accumulate=True
    )
    np.testing.assert_allclose(spectra._values(np.cumsum(rows, axis=0)), summed, rtol=1e-6)
    np.testing.assert_allclose(found[0], summed, rtol=1e-4)


# --- fits -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_figure_one(settings, tmp_path):
    study = sensing.SensingStudy(16, 8, 2, 40, look_every=10)
    outcome = sensing._sensing(sensing._gaussian, study, settings)
    check("untrained-compressive", outcome, tmp_path)
    assert len(outcome.claims) == 5
    assert {row["image"] for row in outcome.rows} == {"chelsea", "grass"}
    assert {row["step"] for row in outcome.rows} == {10, 20, 30, 40}


def test_masks_keep_a_third():
    operator = sensing._third(jax.random.key(0), (64, 64))
    assert abs(float(operator.mask.mean()) - 1 / 3) < 4 * np.sqrt(2 / 9 / 64**2)


@pytest.mark.slow
def test_fit_times(settings, tmp_path):
    study = fit_time.FitTimeStudy(16, (4,), (2,), 1, 20, 20, 20, 16, 0)
    outcome = check("untrained-fit-time", fit_time._fit_time(study, settings), tmp_path)
    assert [claim.published for claim in outcome.claims] == [200, 10, 10, 14.6]
    first = {row["target"]: row["squared_error"] for row in outcome.rows if row["step"] == 1}
    assert set(first) == {"image", "noise"}


@pytest.mark.slow
def test_photo(settings, tmp_path):
    study = photo.PhotoStudy("camera", 16, (0.25,), 20, 2, ((4, 1, 0.0), (4, 1, 0.01)))
    outcome = check("untrained-photo", photo._photo(study, settings), tmp_path)
    assert {row["method"] for row in outcome.rows} >= {"tv", "damp", photo._CHOSEN}
    assert len(outcome.claims) == 2


@pytest.mark.slow
def test_color(settings, tmp_path):
    study = retina.ColorStudy(16, (40,), (3,), 10)
    outcome = check("untrained-retina", retina._color(study, settings), tmp_path)
    assert {row["kind"] for row in outcome.rows} == {"gaussian", "fourier"}


@pytest.mark.slow
def test_digits(settings, tmp_path):
    study = digits.DigitStudy((40,), (3,), 4, 2, 2)
    outcome = check("untrained-digits", digits._digits(study, settings), tmp_path)
    assert {row["method"] for row in outcome.rows} == {
        "CS-DIP", "lasso_dct", "lasso_wavelet", "tv",
    }  # fmt: skip
    enlarged = digits.enlarged_digits(3)
    assert enlarged.shape == (3, 28, 28)
    assert enlarged.min() == -1
    assert enlarged.max() == 1
    assert 0.05 < np.mean(np.abs(enlarged) < 1) < 0.25  # strokes: only their edges are gray


@pytest.mark.slow
def test_learned_regularization(settings, tmp_path):
    study = regularization.TableStudy(16, 64, 2, 2, 8, (8000,), (0, 1000))
    outcome = regularization._table(study, settings)
    check("untrained-learned-regularization", outcome, tmp_path)
    assert [row["published_percent"] for row in outcome.rows] == [0.6, 6.2]


@pytest.mark.slow
def test_mri(settings, tmp_path):
    study = mri.ScanStudy(32, 4, 1, 40, ((4, 0.08),), 2)
    outcome = check("untrained-mri", mri._head(study, settings), tmp_path)
    assert [claim.published for claim in outcome.claims] == [0.5, 2.3, 3.5]
    scores = {row["method"]: row["psnr"] for row in outcome.rows if row["step"] is None}
    assert scores["deep decoder"] >= scores["deep decoder, as fitted"]  # a projection
