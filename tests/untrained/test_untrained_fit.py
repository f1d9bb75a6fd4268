"""Fitting a network to one measurement: the loop against loops, and the guards."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from untrained_toys import DTYPE, KEY, SHAPE, decoder, denoising, line, signal

import jaxinv as ji
from jaxinv.untrained._descent import Cast

EPS = float(jnp.finfo(DTYPE).eps)
SGD = optax.sgd(0.3)
ADAM = optax.adam(0.01)  # the default
JUMPING = optax.sgd(lambda count: jump(count))


def test_it_is_the_loop_that_one_writes_with_optax():
    prior, problem = decoder(), denoising()
    params, mean, losses = prior.init(jax.random.key(8)), 0.0, []
    found = ji.untrained.fit(
        KEY, prior, problem, num_steps=30, stop=None, average=0.8, look_every=6, params=params
    )
    moments = ADAM.init(params)

    @jax.jit
    def step(params, moments):
        def loss(params):
            x = prior(params)
            return 0.5 * jnp.sum((x - problem.y) ** 2), x

        (value, x), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        updates, moments = ADAM.update(gradient, moments)
        return optax.apply_updates(params, updates), moments, value, x

    for t in range(30):
        params, moments, value, x = step(params, moments)
        keep = min(0.8, t / (t + 10))
        mean = keep * mean + (1 - keep) * np.asarray(x)
        losses.append(value)
    np.testing.assert_allclose(found.history.loss, losses, rtol=1e-3)
    np.testing.assert_allclose(found.x, mean, atol=2e-3)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=5e-3), found.params, params)
    assert found.status == ji.Status.MAX_STEPS
    assert found.num_steps == found.history.best_step == 30
    residual = np.linalg.norm(found.x - problem.y) / np.linalg.norm(problem.y)
    np.testing.assert_allclose(found.history.residual[-1], residual, rtol=1e-4)


def test_a_batch_of_keys_images_and_masks_is_a_loop_of_fits():
    x, keys = signal()[0], jax.random.split(KEY, 2)
    masks = jax.random.bernoulli(KEY, 0.7, (2, *SHAPE))
    y = jnp.where(masks, jnp.stack([x, 1 - x]), 0)
    options = {"num_steps": 12, "stop": None, "look_every": 6}

    def alone(key, mask, y):
        problem = ji.Problem(ji.operators.mask(mask), y)
        return ji.untrained.fit(key, decoder(), problem, **options)

    fits = [alone(*each) for each in zip(keys, masks, y, strict=True)]
    images = np.stack([found.x for found in fits])
    for operators in (ji.operators.mask(masks), jax.vmap(ji.operators.mask)(masks)):
        problems = ji.Problem(operators, y)
        found = ji.untrained.fit(keys, decoder(), problems, axes=ji.Problem(0, 0), **options)
        np.testing.assert_allclose(found.x, images, atol=2e-4)
        losses = np.stack([each.history.loss for each in fits])
        np.testing.assert_allclose(found.history.loss, losses, rtol=1e-3)
    together = jax.vmap(lambda *each: alone(*each).x)(keys, masks, y)
    np.testing.assert_allclose(together, images, atol=2e-4)
    spectra = jax.vmap(ji.operators.subsampled_fourier)(masks)
    problems = ji.Problem(spectra, jax.vmap(lambda A, x: A(x), (0, None))(spectra, x))
    found = ji.untrained.fit(keys, decoder(), problems, axes=ji.Problem(0, 0), **options)
    assert (found.history.loss[:, -1] < found.history.loss[:, 0]).all()


def test_the_fit_of_a_linear_prior_has_the_closed_form():
    y = jnp.asarray(np.random.default_rng(1).normal(size=12), DTYPE)
    problem = ji.Problem(ji.operators.identity((12,)), y)
    options = {"optimizer": SGD, "stop": None, "average": 0.0, "look_every": 7}
    found = ji.untrained.fit(KEY, line(), problem, num_steps=21, **options)
    # x is that of the start of the last step; params are those after it
    np.testing.assert_allclose(found.x, (1 - 0.7**20) * y, rtol=1e-5)
    np.testing.assert_allclose(found.params, (1 - 0.7**21) * y, rtol=1e-5)
    found = ji.untrained.fit(KEY, line(), problem, num_steps=500, tol=1e-3, **options)
    assert found.status == ji.Status.CONVERGED
    assert 20 < found.num_steps < 35  # 0.7^t = 1e-3 at t = 19.4, looked at every 7


def test_penalties_on_the_signal_and_on_the_parameters_enter_the_objective():
    y = jnp.asarray(np.random.default_rng(1).normal(size=12), DTYPE)
    problem = ji.Problem(ji.operators.identity((12,)), y)
    options = {"optimizer": SGD, "num_steps": 200, "stop": None, "average": 0.0, "tol": 0}
    found = ji.untrained.fit(KEY, line(), problem, penalty=half_energy, **options)
    np.testing.assert_allclose(found.x, y / 2, rtol=1e-4)
    regularizer = jax.tree_util.Partial(weighted_energy, jnp.asarray(3.0, DTYPE))
    found = ji.untrained.fit(KEY, line(), problem, regularizer=regularizer, **options)
    np.testing.assert_allclose(found.x, y / 4, rtol=1e-4)


def half_energy(x):
    return 0.5 * jnp.sum(x**2)


def weighted_energy(weight, params):
    return 0.5 * weight * jnp.sum(params**2)


def jump(count):
    return jnp.where(count == 30, 1e4, 0.1)  # a step 1e5 times too long


@pytest.mark.parametrize("spike", [10.0, float("inf")])
def test_a_spike_is_taken_back(spike):
    y = jnp.asarray(np.random.default_rng(1).normal(size=12), DTYPE)
    problem = ji.Problem(ji.operators.identity((12,)), y)
    found = ji.untrained.fit(
        KEY,
        line(),
        problem,
        optimizer=JUMPING,
        num_steps=40,
        stop=None,
        average=0.0,
        look_every=10,
        spike=spike,
        tol=0,
    )
    guarded = spike < 100
    assert (found.history.num_spikes > 0) == guarded
    error = np.linalg.norm(found.params - y) / np.linalg.norm(y)
    assert (error < 0.1) if guarded else (error > 10)


def test_only_the_fit_that_spikes_is_taken_back():
    y, start = jnp.asarray(np.random.default_rng(1).normal(size=(2, 12)), DTYPE)
    keys = jax.random.split(KEY, 2)
    options = {
        "optimizer": JUMPING, "num_steps": 40, "stop": None, "average": 0.0, "look_every": 10,
        "tol": 0, "penalty": half_energy, "params": start,
    }  # fmt: skip
    problem = ji.Problem(ji.operators.identity((12,)), jnp.stack([y, 2 * start]))
    both = ji.untrained.fit(keys, line(), problem, axes=ji.Problem(None, 0), **options)
    alone = ji.untrained.fit(keys[0], line(), problem._replace(y=y), **options)
    assert both.history.num_spikes[0] == alone.history.num_spikes > 0
    np.testing.assert_allclose(both.params[0], alone.params, rtol=1e-5)
    assert both.history.num_spikes[1] == 0  # it starts, and stays, at the least objective
    np.testing.assert_array_equal(both.params[1], start)


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
@pytest.mark.parametrize("look_every", [4, 5])
def test_a_fit_that_never_moves_says_so(rate, look_every):
    y = jnp.asarray(np.random.default_rng(1).normal(size=12), DTYPE)
    found = ji.untrained.fit(
        KEY, line(), ji.Problem(ji.operators.identity((12,)), y), optimizer=optax.sgd(rate),
        num_steps=20, stop=None, look_every=look_every,
    )  # fmt: skip
    assert found.status == ji.Status.NONFINITE
    np.testing.assert_array_equal(found.params, found.prior.params)
    with pytest.raises(RuntimeError, match="NONFINITE"):
        ji.raise_if_failed(found)


@pytest.mark.parametrize("look_every", [3, 31])
def test_a_jump_in_the_last_step_of_a_chunk_is_taken_back_too(look_every):
    y = jnp.asarray(np.random.default_rng(1).normal(size=12), DTYPE)
    found = ji.untrained.fit(
        KEY, line(), ji.Problem(ji.operators.identity((12,)), y), optimizer=JUMPING,
        num_steps=3100, stop=None, average=0.0, look_every=look_every, tol=0,
    )  # fmt: skip
    assert found.history.num_spikes > 0
    assert np.linalg.norm(found.params - y) < 0.1 * np.linalg.norm(y)


def test_the_best_estimate_can_be_kept_by_its_misfit():
    y = jnp.asarray(np.random.default_rng(1).normal(size=12), DTYPE)
    problem = ji.Problem(ji.operators.identity((12,)), y)
    options = {
        "optimizer": JUMPING, "num_steps": 35, "average": 0.0, "look_every": 5, "tol": 0,
        "spike": float("inf"),
    }  # fmt: skip
    last = ji.untrained.fit(KEY, line(), problem, stop=None, **options)
    best = ji.untrained.fit(KEY, line(), problem, stop=ji.untrained.least_residual(), **options)
    assert best.status == last.status == ji.Status.MAX_STEPS
    assert best.history.best_step == 30  # the jump comes after
    misfits = [np.linalg.norm(found.x - y) / np.linalg.norm(y) for found in (best, last)]
    np.testing.assert_allclose(misfits[0], best.history.residual.min(), rtol=1e-5)
    assert misfits[0] < 0.1 < misfits[1]
    patient = ji.untrained.fit(
        KEY, line(), problem, stop=ji.untrained.least_residual(5), **options | {"num_steps": 60}
    )
    assert patient.status == ji.Status.STOPPED
    assert patient.num_steps == 35


def test_keys_of_the_older_style_are_keys():
    options = {"num_steps": 4, "stop": None}
    new, old = (
        ji.untrained.fit(make(0), decoder(), denoising(), **options)
        for make in (jax.random.key, jax.random.PRNGKey)
    )
    np.testing.assert_array_equal(new.x, old.x)
    both = ji.untrained.fit(
        jax.random.split(jax.random.PRNGKey(0), 2), decoder(), denoising(), **options
    )
    assert both.x.shape == (2, *new.x.shape)


def test_numbers_that_overflow_are_reported_and_the_last_good_estimate_kept():
    y = jnp.asarray(np.random.default_rng(1).normal(size=12), DTYPE)
    problem = ji.Problem(ji.operators.identity((12,)), y)
    found = ji.untrained.fit(
        KEY, line(), problem, optimizer=optax.sgd(1e30), num_steps=60, stop=None, look_every=5,
        spike=float("inf"),
    )  # fmt: skip
    assert found.status in (ji.Status.NONFINITE, ji.Status.MAX_STEPS)
    assert np.isfinite(found.x).all()


def test_a_key_draws_the_parameters_and_leaves_the_input():
    prior = decoder()
    keys = jax.random.split(KEY, 2)
    found = ji.untrained.fit(keys, prior, denoising(), num_steps=42, stop=None, average=0.0)
    np.testing.assert_array_equal(found.prior.z, prior.z)
    assert np.abs(np.subtract(*found.x)).max() > 1e-3
    images = jax.vmap(prior)(found.params)  # one step later than the last image
    np.testing.assert_allclose(images, found.x, atol=0.1)


def test_a_leap_at_the_first_step_is_noticed():
    """Rectifiers that a huge step has killed have a small loss: only the leap tells."""
    prior = ji.generators.two_layer(jnp.asarray([1.0, 2.0, 1.0, *[0.0] * 9], DTYPE) / 6**0.5, 16)
    y = jnp.sin(jnp.arange(12.0, dtype=DTYPE) / 3)
    found = ji.untrained.fit(
        KEY, prior, ji.Problem(ji.operators.identity((12,)), y), optimizer=optax.sgd(1e3),
        num_steps=50, stop=None,
    )  # fmt: skip
    assert found.history.num_spikes > 0


@pytest.mark.parametrize("prior", ["two layers", "complex decoder", "coordinate"])
def test_half_precision_suits_every_prior(prior):
    size = (16, 16)
    kernel = jnp.zeros(size, DTYPE).at[:3, :3].set(1 / 3)
    made = {
        "two layers": lambda: ji.generators.two_layer(kernel, 8),
        "complex decoder": lambda: ji.generators.deep_decoder(
            size, 4, 1, dtype=jnp.result_type(DTYPE, jnp.complex64)
        ),
        "coordinate": lambda: ji.generators.coordinate(size, 8, 2, num_features=8, dtype=DTYPE),
    }[prior]()
    full, half = made(made.params), Cast(made, jnp.bfloat16)(made.params)
    assert half.dtype == full.dtype
    # coordinates whose phases were rounded are off by 0.04
    assert 0 < np.linalg.norm(half - full) < 0.02 * np.linalg.norm(full)


def test_noise_on_the_input_is_fresh_and_decays():
    options = {"num_steps": 12, "stop": None, "look_every": 6}
    calm = ji.untrained.fit(KEY, decoder(), denoising(), **options)
    noisy = ji.untrained.fit(KEY, decoder(), denoising(), input_noise=0.1, **options)
    gone = ji.untrained.fit(
        KEY, decoder(), denoising(), input_noise=0.1, input_noise_decay=0.0, **options
    )
    assert np.abs(np.subtract(calm.history.loss, noisy.history.loss)).max() > 1e-4
    np.testing.assert_allclose(gone.history.loss, noisy.history.loss)  # decays from step 500 on
    np.testing.assert_array_equal(noisy.prior.z, calm.prior.z)


def test_half_precision_finds_about_the_same_and_keeps_the_types():
    options = {"num_steps": 60, "stop": None, "look_every": 6}
    full = ji.untrained.fit(KEY, decoder(), denoising(), **options)
    half = ji.untrained.fit(KEY, decoder(), denoising(), compute_dtype=jnp.bfloat16, **options)
    assert half.x.dtype == DTYPE
    assert all(leaf.dtype == DTYPE for leaf in jax.tree.leaves(half.params))
    error = np.linalg.norm(np.subtract(half.x, full.x)) / np.linalg.norm(full.x)
    assert 0 < error < 0.1


def test_progress_and_looks_are_reported():
    seen = []
    found = ji.untrained.fit(
        KEY, decoder(), denoising(), num_steps=15, stop=None, look_every=6, progress=seen.append
    )
    assert [report.step for report in seen] == [6, 12, 15] == found.history.look_steps.tolist()
    assert seen[-1].num_running == 0
    assert seen[0].loss == pytest.approx(float(found.history.loss[5]))
    assert found.history.loss.shape == (15,)


def test_the_truth_is_not_read():
    problem = denoising()
    wrong = problem._replace(truth=ji.problems.Truth(None, jnp.full(SHAPE, jnp.nan), None))
    a = ji.untrained.fit(KEY, decoder(), problem, num_steps=600, stop="auto")
    b = ji.untrained.fit(KEY, decoder(), wrong, num_steps=600, stop="auto")
    np.testing.assert_array_equal(a.x, b.x)


def test_a_loss_that_is_never_finite_ends_the_fit():
    found = ji.untrained.fit(
        KEY,
        decoder(),
        denoising(),
        num_steps=100,
        stop=None,
        penalty=lambda x: jnp.nan * jnp.sum(x),
    )
    assert ji.describe(found.status).startswith("NONFINITE")
    assert int(found.num_steps) == 50
