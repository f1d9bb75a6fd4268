"""Trained generators: closed forms, files, training that resumes, bad input that is named."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxinv as ji

KEY = jax.random.key(0)


def bananas(count):
    normal = jax.random.normal(jax.random.key(7), (count, 2))
    first = normal[:, 0]
    return jnp.stack([first, 0.5 * first**2 + 0.5 * normal[:, 1]], 1)


@pytest.fixture(scope="module")
def flow():
    G = ji.generators.flow(KEY, 2, num_layers=4, hidden=(16, 16), noise_std=0.0)
    return ji.trained.fit(KEY, G, bananas(2000), num_steps=300, batch_size=200)


def test_the_density_of_a_flow_integrates_to_one_and_is_that_of_the_data(flow):
    x, y = jnp.linspace(-7, 7, 300), jnp.linspace(-6, 26, 600)
    points = jnp.stack(jnp.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    density = jnp.exp(jax.vmap(flow.model.log_density)(points))
    cell = (x[1] - x[0]) * (y[1] - y[0])
    assert abs(float(jnp.sum(density) * cell) - 1) < 0.01
    entropy = np.log(2 * np.pi) + 1 + np.log(0.5)  # of the two normals, the second of scale 1/2
    fresh = bananas(4000)[2000:]
    cross = -float(jnp.mean(jax.vmap(flow.model.log_density)(fresh)))
    assert entropy - 0.05 < cross < entropy + 0.1


def test_the_density_of_a_flow_is_the_change_of_variables(flow):
    G = flow.model
    z = jax.random.normal(KEY, (20, 2))
    _, log_det = jnp.linalg.slogdet(jax.vmap(jax.jacfwd(G))(z))
    expected = -0.5 * jnp.sum(z**2, 1) - jnp.log(2 * jnp.pi) - log_det
    x = jax.vmap(G)(z)
    np.testing.assert_allclose(jax.vmap(G.log_density)(x), expected, atol=1e-5)
    np.testing.assert_allclose(jax.vmap(G.inverse)(x), z, atol=1e-4)
    prior = G.on_signals()
    assert float(prior.energy(x[0])) == pytest.approx(-float(expected[0]), abs=1e-5)
    np.testing.assert_array_equal(prior(x[0]), x[0])


def test_a_flow_as_the_prior_of_a_signal_finds_the_mode_of_the_posterior(flow):
    """Against a grid."""
    A, sigma, y = ji.operators.dense(jnp.array([[0.0, 1.0]])), 0.5, jnp.array([1.5])
    prior = flow.model.on_signals()
    solver = ji.solvers.levenberg_marquardt(latent_penalty=sigma**2, num_restarts=4)
    starts = jnp.array([[-2.0, 1.0], [2.0, 1.0], [0.0, 0.0], [1.0, 2.0]])
    found = ji.solve(solver, ji.Problem(A, y, prior), starts, tol=1e-5, max_steps=100)
    grid = jnp.stack(jnp.meshgrid(jnp.linspace(-3, 3, 301), jnp.linspace(-1, 4, 251)), -1)
    points = grid.reshape(-1, 2)
    energies = 0.5 * (points[:, 1] - y[0]) ** 2 - sigma**2 * jax.vmap(flow.model.log_density)(
        points
    )
    objective = solver.objective(ji.Problem(A, y, prior), found.u)
    assert float(objective) <= float(jnp.min(energies)) + 1e-3


def linear_data(count=600):
    """Signals of a known two-dimensional subspace, with noise."""
    keys = jax.random.split(jax.random.key(3))
    directions = jnp.linalg.qr(jax.random.normal(keys[0], (8, 2)))[0]
    scales = jnp.array([2.0, 1.0])
    return jax.random.normal(keys[1], (count, 2)) * scales @ directions.T, directions


@pytest.mark.slow
def test_a_gaussian_vae_finds_the_subspace_of_the_data():
    x, directions = linear_data()
    x = x + 0.1 * jax.random.normal(KEY, x.shape)
    G = ji.generators.vae(KEY, 8, 3, hidden=(32,), likelihood="gaussian")
    result = ji.trained.fit(KEY, G, x, num_steps=800, patience=None, optimizer=optax.adam(5e-3))
    made = jax.vmap(result.model)(jax.random.normal(KEY, (1000, 3)))
    values = np.linalg.svd(made - made.mean(0), compute_uv=False) / np.sqrt(1000)
    np.testing.assert_allclose(values[:2], [2.0, 1.0], rtol=0.25)
    assert values[2] < 0.1
    outside = made - made @ directions @ directions.T
    assert float(jnp.mean(outside**2)) < 0.01
    used = result.model.latent_information(x[:200])
    assert int(jnp.sum(used > 0.1)) == 2  # the third has nothing to say


def test_training_goes_on_where_it_was_interrupted_to_the_bit(tmp_path):
    x, _ = linear_data()
    G = ji.generators.vae(KEY, 8, 2, hidden=(8,), likelihood="gaussian")
    options = {"num_steps": 40, "validate_every": 10}
    whole = ji.trained.fit(KEY, G, x, **options)

    def stop(report):
        if report.step == 20:
            raise KeyboardInterrupt

    path = tmp_path / "training.npz"
    with pytest.raises(KeyboardInterrupt):
        ji.trained.fit(KEY, G, x, **options, checkpoint=path, progress=stop)
    seen = []
    again = ji.trained.fit(KEY, G, x, **options, checkpoint=path, progress=seen.append)
    assert [report.step for report in seen] == [30, 40]
    for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(ValueError, match="checkpoint must be of the same training"):
        ji.trained.fit(KEY, G, 2 * x, **options, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match="checkpoint must be a training in order"):
        ji.trained.fit(KEY, G, x, **options, checkpoint=path)


def test_divergence_and_collapse_are_named_and_the_best_weights_kept():
    x, _ = linear_data(100)
    G = ji.generators.vae(KEY, 8, 2, hidden=(8,), likelihood="gaussian")
    with pytest.raises(ji.trained.TrainingFailedError, match="training diverged") as raised:
        ji.trained.fit(KEY, G, x, num_steps=20, validate_every=5, optimizer=optax.sgd(1e12))
    assert all(bool(jnp.all(jnp.isfinite(w))) for w in jax.tree.leaves(raised.value.fit.model))
    heavy = ji.generators.vae(
        KEY, 8, 2, hidden=(8,), likelihood="gaussian", warmup=0.0, divergence_weight=100.0
    )
    quick = optax.adam(0.02)
    with pytest.raises(ji.trained.TrainingFailedError, match="the vae has collapsed"):
        ji.trained.fit(KEY, heavy, x, num_steps=300, validate_every=100, optimizer=quick)


@pytest.mark.slow
def test_a_gan_learns_where_the_signals_are():
    x = 0.5 + 0.1 * jax.random.normal(KEY, (500, 3)) * jnp.array([1.0, 0.5, 0.1])
    G = ji.generators.gan(KEY, 3, 3, hidden=(16,), bounded=False)
    result = ji.trained.fit(KEY, G, x, num_steps=300, optimizer=optax.adam(5e-3, b1=0.5))
    z = jax.random.normal(KEY, (1000, 3))
    before, after = jax.vmap(G)(z), jax.vmap(result.model)(z)
    far, near = (float(jnp.linalg.norm(made.mean(0) - 0.5)) for made in (before, after))
    assert near < 0.2 * far
    np.testing.assert_allclose(after.std(0), [0.1, 0.05, 0.01], atol=0.06)


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_a_model_in_a_file_is_the_same(kind, tmp_path):
    hidden = (6, 5) if kind == "dense" else (3, 2)
    G = ji.generators.vae(KEY, (6, 5, 2), 3, kind=kind, hidden=hidden, unit="leaky")
    z = jnp.ones(3)
    copy = ji.trained.load(ji.trained.save(tmp_path / "a", G))
    np.testing.assert_array_equal(copy(z), G(z))
    half = ji.trained.load(ji.trained.save(tmp_path / "b", G.decoder_only(), half=True))
    np.testing.assert_allclose(half(z), G(z), atol=1e-2)
    with pytest.raises(ValueError, match="have an encoder"):
        half.encode(jnp.zeros((6, 5, 2)))
    with pytest.raises(ValueError, match="model must have an encoder"):
        ji.trained.fit(KEY, half, np.random.default_rng(0).random((5, 6, 5, 2)))


def test_files_of_other_things_are_refused(tmp_path):
    layers = ji.unfolded.step_lista(jnp.eye(3), 2)
    path = ji.unfolded.save(tmp_path / "network", layers)
    with pytest.raises(ValueError, match="it holds no trained generator"):
        ji.trained.load(path)
    from jaxinv._core import files

    G = ji.generators.gan(KEY, (4, 4), 2, hidden=(3,))
    path = ji.trained.save(tmp_path / "gan", G)
    _, header, arrays = files.load(path, files.BUDGET, pytest.fail)
    for change in ({"latent_size": 3}, {"latent_size": -1}, {"unknown": 1}, {"hidden": "x"}):
        changed = {**header, "config": {**header["config"], **change}}
        files.write("save", path, changed, arrays)
        with pytest.raises(ValueError, match="path must be a file of a trained generator"):
            ji.trained.load(path)


SIGNALS = np.random.default_rng(0).random((5, 4, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("signals", "says"),
    [
        (SIGNALS[:1], "signals must be at least 2"),
        (SIGNALS[0], r"signals must have shape \(N, 4, 4\)"),
        (SIGNALS[:, :3], r"signals must have shape \(N, 4, 4\)"),
        (SIGNALS * np.nan, "signals must be finite"),
        (0 * SIGNALS, "signals must differ from each other"),
        (3 * SIGNALS, r"signals must lie in \[0, 1\]"),
        (1j * SIGNALS, "signals must be real"),
    ],
)
def test_signals_that_do_not_fit_are_refused(signals, says):
    for G in (
        ji.generators.vae(KEY, (4, 4), 2, hidden=(3,)),
        ji.generators.gan(KEY, (4, 4), 2, hidden=(3,)),
    ):
        with pytest.raises(ValueError, match=says):
            ji.trained.fit(KEY, G, signals, num_steps=2)


def test_solvers_that_need_layers_take_a_dense_vae():
    G = ji.generators.vae(KEY, 12, 3, hidden=(6, 8))
    z = jax.random.normal(KEY, (3,))
    assert G.depth == 3
    hidden = G.between(0, 2)(z)
    np.testing.assert_allclose(ji.generators.tail(G, 2)(hidden), G(z), rtol=1e-5)
    solver = ji.solvers.intermediate_layers(ji.solvers.levenberg_marquardt(), [1.0])
    A = ji.operators.gaussian(KEY, 6, 12)
    found = ji.solve(solver, ji.Problem(A, A(G(z)), G), jnp.zeros(3), max_steps=20)
    assert found.x.shape == (12,)


def test_the_diagnosis_of_a_linear_model_is_known():
    """A decoder without hidden layers: projection, singular values and norm in closed form."""
    G = ji.generators.vae(KEY, 6, 2, hidden=(), likelihood="gaussian")
    kernel = np.asarray(G.params["decoder"]["layer0"]["kernel"])
    x = np.random.default_rng(1).normal(size=(12, 6)).astype(np.float32)
    found = ji.trained.diagnose(KEY, G, x, num_samples=40)
    basis = np.linalg.qr(kernel.T)[0]
    expected = np.mean((x - x @ basis @ basis.T) ** 2, 1)
    np.testing.assert_allclose(found.projection_error, expected, rtol=1e-3)
    values = np.linalg.svd(kernel, compute_uv=False)
    np.testing.assert_allclose(found.spectrum, values, rtol=1e-4)
    np.testing.assert_allclose(found.lipschitz, values[0], rtol=1e-4)
    np.testing.assert_allclose(found.lipschitz_bound, values[0], rtol=1e-4)
    reach = np.sort(np.linalg.norm(kernel, axis=1))[::-1]
    np.testing.assert_allclose(found.reach, reach, rtol=1e-4)
    assert found.num_collapsed == 0


def test_the_prior_that_comes_with_the_library_holds_digits():
    """Three held-out digits, with the split of the command that made it."""
    from jaxinv.data._sets import held_back

    x = held_back(ji.data.mnist()[0], 500)[0][:3]
    G = ji.trained.pretrained("mnist")
    solver = ji.solvers.levenberg_marquardt(num_restarts=4)
    A = ji.operators.identity((28, 28))
    starts = jax.random.normal(KEY, (4, 20))
    problem = ji.Problem(A, None, G)
    found = [ji.solve(solver, problem._replace(y=y), starts, max_steps=30).x for y in x]
    assert float(np.mean((np.stack(found) - x) ** 2)) < 0.01  # of the mean digit, 0.067
    notes = ji.trained.load_notes(ji.trained.pretrained_path("mnist"))
    assert (notes["seed"], notes["steps"], notes["data"]) == (0, 6000, "mnist")
