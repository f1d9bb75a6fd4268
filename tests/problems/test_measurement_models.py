"""Families of nonlinear measurements against moments in closed form; what they refuse."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import jaxinv as ji
from jaxinv import problems

DTYPE = jnp.result_type(float)
KEYS = jax.random.split(jax.random.key(1), 400)
G = ji.generators.relu(jax.random.key(2), (3, 12, 16), dtype=DTYPE)


def mean_error(samples, expected):
    """Return the largest distance of a mean from what is expected, in standard errors."""
    samples = np.asarray(samples, np.float64)
    error = samples.std(0, ddof=1) / math.sqrt(len(samples))
    return np.max(np.abs(samples.mean(0) - expected) / error)


def test_wigner_noise_is_symmetric_of_its_variances():
    family = problems.spiked((3, 12), noise_std=0.5, dtype=DTYPE)
    noise = np.asarray(jax.jit(jax.vmap(lambda key: family.sample(key).truth.noise))(KEYS))
    np.testing.assert_allclose(noise, noise.transpose(0, 2, 1), atol=1e-6)
    upper = noise[:, *np.triu_indices(12, 1)].ravel()
    diagonal = noise[:, range(12), range(12)].ravel()
    assert mean_error(upper**2, 0.25 / 12) < 4
    assert mean_error(diagonal**2, 0.5 / 12) < 4


def test_a_sample_covariance_is_the_spike_on_average_and_has_the_exact_spread():
    # of a direction v orthogonal to x: vᵀ M v = σ² (χ²_N / N − 1)
    family = problems.spiked(
        (2, 8), 9, model="wishart", noise_std=0.7, active_measurements=6, dtype=DTYPE
    )

    def moments(key):
        problem = family.sample(key)
        x = problem.truth.x
        v = jnp.ones(8) - x * jnp.sum(x)
        v = v / jnp.linalg.norm(v)
        return x @ problem.y(x), v @ problem.y(v), v @ problem.y(x)

    along, across, mixed = jax.jit(jax.vmap(moments))(KEYS)
    assert mean_error(along, 1.0) < 4
    assert mean_error(mixed, 0.0) < 4
    assert mean_error(across, 0.0) < 4
    scaled = 6 * (np.asarray(across) / 0.49 + 1)
    assert stats.kstest(scaled, stats.chi2(6).cdf).pvalue > 0.01


def test_no_square_array_is_made_for_a_sample_covariance():
    family = problems.spiked((3, 20, 211), 9, model="wishart")

    def solved(key):
        problem = family.sample(key)
        solver = ji.solvers.levenberg_marquardt(num_restarts=2)
        return ji.solve(solver, problem, family.initial(key, 2), max_steps=5).x

    assert "211,211" not in str(jax.make_jaxpr(solved)(jax.random.key(0)))


@pytest.mark.parametrize("dither", [3.0, 1.0])
def test_the_image_of_dithered_signs_is_the_signal_but_for_the_bias(dither):
    kept = 1 - math.erfc(dither / math.sqrt(2))  # P(|N(0, 1)| < λ)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if dither == 3.0 else "ignore")
        family = problems.one_bit(
            (3, 12, 16), 90, dither=dither, active_measurements=60, dtype=DTYPE
        )

    def image(key):
        problem = family.sample(key)
        image = problems.back_projected(problem, dither / 60).y
        return jnp.vdot(image, problem.truth.x), jnp.sum(image) - kept * jnp.sum(problem.truth.x)

    along, total = jax.jit(jax.vmap(image))(KEYS)
    assert mean_error(along, kept) < 4
    assert mean_error(total, 0.0) < 4
    if dither == 1.0:
        assert abs(kept - 1) > 20 * np.std(along) / 20  # the bias is seen


def test_a_small_dither_warns_of_its_bias():
    with pytest.warns(UserWarning, match=r"dither 1 is small .*tend to 0.683 times .*32 %"):
        problems.one_bit((3, 8), 9, dither=1.0)
    with pytest.warns(UserWarning, match="Use dither=15 or more"):
        problems.one_bit((3, 8), 9, signal_norm=3.0, dither=9.0, noise_std=4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        problems.one_bit((3, 8), 9, signal_norm=7.0)


def test_the_dither_of_a_given_generator_is_of_its_signals():
    scaled = ji.generators.from_function(jnp.multiply, jnp.asarray(5.0, DTYPE), in_shape=4)
    with pytest.warns(
        UserWarning, match=r"dither 3 is small for signals of norm (9|10)\..*a bias of 7\d %"
    ):
        problems.one_bit(num_measurements=6, generator=scaled, dither=3.0, dtype=DTYPE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        family = problems.one_bit(num_measurements=6, generator=scaled, dtype=DTYPE)
    assert float(family.model.dither) == pytest.approx(30, rel=0.1)  # E‖5 z‖² = 100


def test_an_unknown_link_leaves_the_direction():
    # y = sign⟨a, x⟩ has μ = √(2/π), and E|A*y − μ m x|²/m² = (n − 1 + 1 − μ²)/m
    family = problems.single_index((3, 12, 16), 30, jnp.sign, known=False, dtype=DTYPE)

    def image(key):
        problem = family.sample(key)
        gap = problem.operator.adjoint(problem.y) / 30
        return gap - math.sqrt(2 / math.pi) * problem.truth.x

    gaps = np.asarray(jax.jit(jax.vmap(image))(KEYS))
    assert mean_error(gaps, 0.0) < 4.5
    assert mean_error(np.sum(gaps**2, 1), (16 - 2 / math.pi) / 30) < 4


def test_a_known_link_is_inverted():
    family = problems.single_index((2, 20, 40), 30, jnp.tanh, dtype=DTYPE)
    problem, u0 = family.sample(KEYS[0]), family.initial(KEYS[0])
    found = ji.solve(ji.solvers.levenberg_marquardt(), problem, u0, max_steps=50)
    assert ji.metrics.relative_error(found.x, problem.truth.x) < 1e-4


def test_blind_signals_have_their_norm_and_factors_share_it():
    family = problems.blind_demodulation((3, 12, 16), (2, 16), signal_norm=4.0, dtype=DTYPE)
    problem = family.with_active(first=2).sample(KEYS[0])
    assert float(jnp.linalg.norm(problem.truth.x)) == pytest.approx(4.0, rel=1e-5)
    factors = problem.prior.first, problem.prior.second
    one, two = (factor(u) for factor, u in zip(factors, problem.truth.u, strict=True))
    np.testing.assert_allclose(one * two, problem.truth.x, rtol=1e-5)
    assert float(jnp.linalg.norm(one)) == pytest.approx(float(jnp.linalg.norm(two)), rel=1e-5)
    assert problem.truth.u[0][2] == 0
    assert not problem.prior.first.params[0][:, 2].any()


def test_outliers_are_so_many_and_spare_what_does_not_measure():
    clean = problems.generative((3, 12, 16), 40, dtype=DTYPE)
    family = problems.corrupted(clean, outlier_share=0.3, outlier_value=-5.0)
    y = np.asarray(jax.jit(lambda f: f.with_active(measurements=20).batch(KEYS).y)(family))
    np.testing.assert_array_equal(np.sum(y == -5, axis=1), 6)
    assert not y[:, 20:].any()
    assert stats.chisquare(np.sum(y[:, :20] == -5, axis=0)).pvalue > 0.01


def test_heavy_tails_are_of_student():
    zero = problems.from_arrays(ji.operators.identity(30), np.zeros((1, 30), DTYPE))
    family = problems.corrupted(zero, noise_std=0.5, degrees=2.0)
    y = np.asarray(jax.jit(family.batch)(KEYS[:50]).y).ravel()
    assert stats.kstest(y / 0.5, stats.t(2).cdf).pvalue > 0.01


def test_a_family_of_a_given_generator_shares_it_whatever_it_measures():
    for family in (
        problems.phase_retrieval(num_measurements=9, generator=G, dtype=DTYPE),
        problems.spiked(generator=G, dtype=DTYPE),
    ):
        batch = jax.jit(family.batch)(KEYS[:3])
        assert batch.prior.params[0].shape == G.params[0].shape
        assert batch.truth.u.shape == (3, 3)


def _solve(operator, y):
    problem = ji.Problem(operator, y, G)
    ji.solve(ji.solvers.levenberg_marquardt(), problem, jnp.ones(3), max_steps=2)


A = ji.operators.gaussian(jax.random.key(0), 12, 16, dtype=DTYPE)
LONG = ji.operators.gaussian(jax.random.key(0), 60, 16, dtype=DTYPE)
SIGNAL = G(jnp.array([1.0, -2.0, 0.5], DTYPE))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: _solve(ji.operators.magnitude(A), A(SIGNAL)), "hold magnitudes, up to noise"),
        (lambda: _solve(ji.operators.sign(A), 2 * jnp.sign(A(SIGNAL))), "hold signs, 1 and -1"),
        (
            lambda: _solve(ji.operators.outer(16), jnp.triu(jnp.ones((16, 16)))),
            "be symmetric for operators.outer",
        ),
        (
            lambda: _solve(ji.operators.outer(16), ji.operators.dense(np.triu(np.ones((16, 16))))),
            r"symmetric for operators.outer, .* 0.5 \* \(M \+ M.T\)",
        ),
        (
            lambda: problems.back_projected(
                ji.Problem(ji.operators.sign(LONG), LONG(SIGNAL) > 0, G)
            ),
            "must hold signs, .* and never -1. Labels of 0 and 1 are the signs 2 y - 1",
        ),
        (
            lambda: problems.back_projected(ji.Problem(ji.operators.sign(A), A(SIGNAL), G)),
            "back_projected: problem.y must hold signs",
        ),
        (
            lambda: problems.back_projected(ji.Problem(ji.operators.magnitude(A), A(SIGNAL), G)),
            "be linear, or the sign of one",
        ),
        (lambda: problems.one_bit((3, 8), 6, dither=0.0), "dither must be finite and > 0"),
        (lambda: problems.one_bit((3, 8)), "num_measurements must be an integer"),
        (lambda: problems.phase_retrieval((3, 8)), "num_measurements must be an integer"),
        (lambda: problems.phase_retrieval((3,), 4), "at least one layer"),
        (lambda: problems.single_index((3, 8), 6, jnp.log), "link must be finite at Gaussian"),
        (
            lambda: problems.single_index((3, 8), 6, jnp.square, known=False),
            "phase_retrieval",
        ),
        (lambda: problems.spiked((3, 8), 5), 'num_measurements must be None for model="wigner"'),
        (lambda: problems.spiked((3, 8), model="wishart"), "num_measurements must be an integer"),
        (lambda: problems.spiked((3, 8), model="wigener"), "Did you mean 'wigner'"),
        (lambda: problems.blind_demodulation((3, 8), (2, 9)), "end in the same size"),
        (
            lambda: problems.blind_demodulation((3, 8), (2, 8), active_second=3),
            r"active_second must be in \[1, 2\]",
        ),
        (lambda: problems.corrupted(G), "family must be a family of problems"),
        (
            lambda: problems.corrupted(problems.spiked((3, 8), 5, model="wishart")).sample(KEYS[0]),
            "have real arrays as measurements",
        ),
        (
            lambda: problems.corrupted(problems.denoising((3, 8)), degrees=2.0),
            "be given both or neither",
        ),
        (lambda: problems.denoising((3, 8), -1.0), "noise_std must be finite and >= 0"),
        (lambda: problems.denoising((3, 8)).with_active(9), r"latent must be in \[1, 3\]"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises((TypeError, ValueError), match=words):
        call()
