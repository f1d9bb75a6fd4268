"""D-AMP and its denoisers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import complexes, floats, normal
from jax.tree_util import Partial
from skimage.restoration import denoise_nl_means

import jaxinv as ji
from jaxinv import data, denoisers

O = ji.operators
KEY = jax.random.key(1)
SIDE = 32
SHAPE = (SIDE, SIDE)


def camera():
    return jnp.asarray(data.image("camera", size=SHAPE), floats())


def gaussian(ratio, shape=SHAPE):
    size = int(np.prod(shape))
    flat = O.from_function(jnp.ravel, shape, floats())
    return O.gaussian(KEY, int(ratio * size), size, dtype=floats()) @ flat


def soften(multiplier, v, noise_std):
    return ji.shrinkage.soft(multiplier)(v, noise_std)


def apply_matrix(matrix, v, noise_std):
    return (matrix @ v.ravel()).reshape(v.shape)


@jax.jit
def prepared(solver, problem, u0):
    solver = solver.prepare(problem)
    return solver, solver.init(problem, u0)


@jax.jit
def step(solver, problem, state):
    return solver.step(problem, state)[0]


def test_the_divergence_of_a_linear_denoiser_is_its_quadratic_form():
    matrix = jnp.asarray(np.asarray(normal(KEY, (200, 200))) / 50 + np.eye(200), floats())
    A = O.gaussian(KEY, 60, 200, dtype=floats())
    problem = ji.Problem(A, A @ normal(jax.random.key(2), (200,)))
    solver = ji.solvers.damp(Partial(apply_matrix, matrix))
    solver, state = prepared(solver, problem, np.zeros(200, floats()))
    divergence = 60 * float(step(solver, problem, state).onsager)
    probe, matrix = np.asarray(solver.model.probe), np.asarray(matrix)
    assert divergence == pytest.approx(probe @ matrix @ probe, rel=1e-2)
    # of Gaussian probes: the trace on average, √2 times the norm of the symmetric part about it
    deviation = np.sqrt(2) * np.linalg.norm((matrix + matrix.T) / 2)
    assert abs(divergence - np.trace(matrix)) < 4 * deviation < 0.5 * np.trace(matrix)


def test_with_a_soft_threshold_it_is_amp():
    family = ji.problems.sparse(250, 500, 0.08, 40, dtype=floats())
    problem, u0 = family.sample(KEY), family.initial(KEY)
    ours = ji.solve(ji.solvers.damp(Partial(soften, 1.5)), problem, u0, tol=0, max_steps=25)
    amp = ji.solvers.amp(ji.shrinkage.soft(1.5))
    theirs = ji.solve(amp, problem, u0, tol=0, max_steps=25)
    apart = float(ji.metrics.nmse(ours.x, theirs.x))
    assert apart < 0.2 * float(ji.metrics.nmse(theirs.x, problem.truth.x))


def noise_levels(state, problem, x, gain=1.0):
    """The deviation of the pseudo-data from the image, and what the algorithm takes it to be."""
    v = np.asarray(state.u + problem.operator.adjoint(state.residual) / gain)
    expected = np.linalg.norm(state.residual) / np.sqrt(problem.y.size)
    return np.std(v - np.asarray(x)), expected


def test_the_pseudo_data_have_the_noise_that_it_expects():
    x, A = camera(), gaussian(0.5)
    problem = ji.Problem(A, A @ x)
    solver = ji.solvers.damp(denoisers.total_variation())
    solver, state = prepared(solver, problem, np.zeros(SHAPE, floats()))
    found = []
    for _ in range(6):
        before = state.u
        state = step(solver, problem, state)
        found.append(noise_levels(state._replace(u=before), problem, x))
    actual, expected = np.asarray(found).T
    assert actual[-1] < 0.2 * actual[0]
    np.testing.assert_allclose(actual, expected, rtol=0.1)


@pytest.mark.parametrize("scaling", ["columns", "norm"])
def test_the_scale_of_the_operator_does_not_matter(scaling):
    x, A = camera(), O.subsampled_hadamard(KEY, 400, SHAPE)
    solver = ji.solvers.damp(denoisers.total_variation(), scaling=scaling)
    results = []
    for unit in (1.0, 1e-3):
        problem = ji.Problem(unit * A, unit * (A @ x))
        sol = ji.solve(solver, problem, jnp.zeros(SHAPE, floats()), tol=0, max_steps=8)
        results.append(np.asarray(sol.x))
    np.testing.assert_allclose(results[0], results[1], atol=2e-3)


def test_non_local_means_reconstructs_from_a_quarter_of_the_pixels():
    x, A = camera(), O.subsampled_hadamard(KEY, 256, SHAPE)
    problem = ji.Problem(A, A @ x)
    sol = ji.solve(ji.solvers.damp(), problem, jnp.zeros(SHAPE, floats()), max_steps=20)
    least_norm = A.adjoint(problem.y) * (256 / SIDE**2)
    gain = float(ji.metrics.psnr(sol.x, x) - ji.metrics.psnr(least_norm, x))
    assert gain > 8


def test_complex_images_need_the_scaling_by_the_norm():
    x = camera() * jnp.exp(1j * jnp.linspace(0, 1, SIDE)).astype(complexes())
    A = O.mri(O.fourier_lines(KEY, SHAPE, 3, 0.15))
    problem, start = ji.Problem(A, A @ x), jnp.zeros(SHAPE, complexes())
    solver = ji.solvers.damp(denoisers.total_variation(), scaling="norm")
    sol = ji.solve(solver, problem, start, tol=1e-3, max_steps=30)
    assert sol.x.dtype == complexes()
    zero_filled = ji.metrics.psnr(jnp.abs(A.adjoint(problem.y)), jnp.abs(x))
    assert float(ji.metrics.psnr(jnp.abs(sol.x), jnp.abs(x)) - zero_filled) > 2
    theory = ji.solvers.damp(denoisers.total_variation())
    failed = ji.solve(theory, problem, start, tol=1e-3, max_steps=30)
    assert int(failed.status) in (ji.Status.DIVERGED, ji.Status.NONFINITE)


def test_non_local_means_is_that_of_scikit_image():
    x = np.asarray(camera())
    noisy = x + 0.1 * np.asarray(normal(KEY, SHAPE))
    expected = denoise_nl_means(
        noisy, patch_size=3, patch_distance=4, h=0.06, sigma=0.1, fast_mode=True
    )
    denoiser = denoisers.non_local_means(0.6, patch_size=3, patch_distance=4)
    found = jax.jit(lambda denoiser, x: denoiser(x, 0.1))(denoiser, noisy)
    assert found.dtype == floats()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    both = jax.vmap(denoiser, in_axes=(0, None))(jnp.stack([noisy, x]), 0.1)
    np.testing.assert_allclose(both[0], expected, atol=1e-6)
    np.testing.assert_array_equal(denoiser(x, 0.0), x)


def test_total_variation_is_its_proximal_operator():
    noisy = normal(KEY, (6, 7))
    found = denoisers.total_variation(2.0, num_steps=30)(noisy, 0.25)
    np.testing.assert_allclose(found, ji.prox.tv(0.5, num_steps=30)(noisy), atol=1e-6)


BAD = {
    "strength": (lambda: denoisers.non_local_means(-1), "strength must be"),
    "patch": (lambda: denoisers.non_local_means(patch_size=0), "patch_size must be >= 1"),
    "steps": (lambda: denoisers.total_variation(num_steps=0), "num_steps must be >= 1"),
    "volume": (lambda: denoisers.non_local_means()(np.ones((2, 2, 2)), 1.0), "2 dimension"),
    "complex": (lambda: denoisers.total_variation()(1j * np.ones((3, 3)), 1.0), "be real"),
    "std": (lambda: denoisers.total_variation()(np.ones((3, 3)), -1.0), "noise_std must be"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_refused(name):
    call, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def cut(v, noise_std):
    return v[:-1]


def test_denoisers_and_models_that_do_not_fit_are_refused():
    A = O.gaussian(KEY, 6, 8, dtype=floats())
    problem = ji.Problem(A, A @ jnp.ones(8, floats()))
    with pytest.raises(ValueError, match=r"denoiser must return the shape \(8,\)"):
        ji.solve(ji.solvers.damp(cut), problem, jnp.zeros(8, floats()))
    bent = ji.Problem(O.magnitude(A), jnp.ones(6, floats()))
    with pytest.raises(ValueError, match="linear operator"):
        ji.solve(ji.solvers.damp(cut), bent, jnp.ones(8, floats()))
