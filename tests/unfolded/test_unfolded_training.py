"""Training: joint, stage by stage, by search; and networks in files."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxinv as ji
from jaxinv.unfolded._stagewise import _advance

X64 = jax.config.jax_enable_x64
DTYPE = jnp.float64 if X64 else jnp.float32
M, N, T = 20, 40, 4
ADAM = optax.adam(2e-2)  # one object: the programs of most tests are then the same
SMALL = {"batch_size": 16, "validation_size": 64, "validate_every": 10, "optimizer": ADAM}


@functools.cache
def family():
    A = ji.problems.sparse(M, N, dtype=DTYPE).sample(jax.random.key(0)).operator
    return ji.problems.sparse(M, N, num_nonzeros=3, operator=A, dtype=DTYPE)


def network(num_layers=T, **options):
    return ji.unfolded.alista(family().operator, num_layers, **options)


@functools.cache
def trained():
    return ji.unfolded.fit(jax.random.key(1), network(), family(), num_steps=60, **SMALL)


@functools.cache
def fresh():
    return family().batch(jax.random.split(jax.random.key(7), 256))


@jax.jit
def outputs(layers, problems):
    return jax.vmap(ji.unfold, in_axes=(None, family().axes))(layers, problems)


def nmse_db(layers):
    problems = fresh()
    u = outputs(layers, problems)
    x = np.asarray(problems.truth.x, np.float64)
    return 10 * np.log10(np.sum((np.asarray(u) - x) ** 2) / np.sum(x**2))


def test_training_improves_on_fresh_signals_and_moves_only_what_it_may():
    result = trained()
    assert nmse_db(result.layers) < nmse_db(network()) - 1.0
    history = result.history
    assert history.loss.shape == (60,)
    np.testing.assert_array_equal(history.validation_steps, [0, 10, 20, 30, 40, 50, 60])
    assert int(history.num_skipped) == 0
    best = int(np.argmin(history.validation))
    assert int(history.best_step) == int(history.validation_steps[best])
    np.testing.assert_array_equal(result.layers.solver.weights, network().solver.weights)
    np.testing.assert_array_equal(result.layers.solver.bypass, network().solver.bypass)
    assert np.all(np.asarray(result.layers.solver.threshold) > 0)


def test_the_validation_loss_is_the_log_ratio_of_sums():
    """Compare the value at the start with a direct computation on the same problems."""
    validation_key, _ = jax.random.split(jax.random.key(1))
    problems = family().batch(jax.random.split(validation_key, 64))
    u = outputs(network(), problems)
    x = np.asarray(problems.truth.x, np.float64)
    expected = np.log(np.sum((np.asarray(u) - x) ** 2) / np.sum(x**2))
    np.testing.assert_allclose(trained().history.validation[0], expected, rtol=1e-4)


def test_equal_keys_train_equal_networks_and_seeds_train_by_vmap():
    short = {**SMALL, "num_steps": 10}
    keys = jax.random.split(jax.random.key(3), 2)

    def run(key):
        return ji.unfolded.fit(key, network(), family(), **short)

    batch = jax.vmap(run)(keys)
    assert batch.history.loss.shape == (2, 10)
    for index in range(2):
        one = run(keys[index])
        np.testing.assert_allclose(batch.history.loss[index], one.history.loss, rtol=1e-3)
        np.testing.assert_array_equal(one.history.loss, run(keys[index]).history.loss)
    assert not np.allclose(batch.history.loss[0], batch.history.loss[1])


def _signal_error(u, problem):
    return jnp.sum(jnp.square(u - problem.truth.x))


def test_a_loss_function_equals_the_named_one():
    short = {**SMALL, "num_steps": 10}
    named = ji.unfolded.fit(jax.random.key(1), network(), family(), loss="mse", **short)
    own = ji.unfolded.fit(jax.random.key(1), network(), family(), loss=_signal_error, **short)
    np.testing.assert_allclose(named.history.loss, own.history.loss, rtol=1e-5)


def test_the_lasso_loss_needs_no_truth_and_falls():
    layers = ji.unfolded.step_lista(family().operator, T, 0.05)
    result = ji.unfolded.fit(
        jax.random.key(1), layers, family(), loss="lasso", num_steps=30, **SMALL
    )
    assert result.history.validation[-1] < result.history.validation[0]


def test_supervision_of_all_layers_improves_the_early_ones():
    options = {**SMALL, "num_steps": 60}
    deep = ji.unfolded.fit(jax.random.key(1), network(), family(), supervision=1.0, **options)

    def first(layers):
        return nmse_db(ji.Layers.stack([layers.layer(0)], trainable=("threshold",)))

    assert first(deep.layers) < first(trained().layers)


def test_steps_without_a_finite_gradient_are_skipped_and_counted():
    def sometimes(u, problem):
        return jnp.where(problem.truth.x[0] != 0, jnp.nan, 1.0) * _signal_error(u, problem)

    result = ji.unfolded.fit(
        jax.random.key(2),
        network(),
        family(),
        loss=sometimes,
        num_steps=40,
        optimizer=ADAM,
        batch_size=4,
        validation_size=1,
        validate_every=20,
    )
    skipped = int(result.history.num_skipped)
    assert 0 < skipped < 40
    assert np.count_nonzero(np.isnan(result.history.loss)) == skipped
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(result.layers))


def test_training_goes_on_from_the_best_weights_after_a_setback():
    def rate(count):
        return jnp.where((count >= 10) & (count < 20), 1.5, 0.0)

    options = SMALL | {"optimizer": optax.adam(rate)}
    result = ji.unfolded.fit(jax.random.key(1), network(), family(), num_steps=30, **options)
    start, still, lost, back = np.asarray(result.history.validation)
    assert start == still
    assert lost > start + 1
    assert back == start


def test_divergence_stops_with_the_last_good_weights():
    layers = ji.unfolded.lista_cp(family().operator, T)
    with pytest.raises(ji.unfolded.TrainingFailedError, match=r"diverged by step \d+") as caught:
        ji.unfolded.fit(
            jax.random.key(1),
            layers,
            family(),
            num_steps=40,
            **{**SMALL, "optimizer": optax.sgd(1e6)},
        )
    assert "\n" not in str(caught.value)
    assert abs(nmse_db(caught.value.fit.layers) - nmse_db(layers)) < 20


def test_progress_is_told_between_chunks():
    seen = []
    ji.unfolded.fit(
        jax.random.key(1), network(), family(), num_steps=20, progress=seen.append, **SMALL
    )
    assert [report.step for report in seen] == [10, 20]
    assert all(report.num_steps == 20 and np.isfinite(report.validation) for report in seen)


# --- stage by stage -----------------------------------------------------------------------------


def test_stages_compile_once_and_improve_layer_after_layer():
    before = _advance._cache_size()
    options = {"validate_every": 10, "patience": 20, "max_steps": 40, "validation_size": 128}
    result = ji.unfolded.fit_stagewise(
        jax.random.key(1), network(3), family(), rates=(2e-2, 4e-3), **options
    )
    assert _advance._cache_size() == before + 1
    assert nmse_db(result.layers) < nmse_db(network(3)) - 0.5
    steps, values = result.history.validation_steps, result.history.validation
    assert len(steps) == len(values)
    assert np.all(np.diff(np.asarray(steps)) >= 0)


def test_the_first_stage_of_a_layer_moves_that_layer_alone():
    """One stage a layer: thresholds too high at first, so that every layer must move down."""
    layers = network(2, adaptive=False)
    high = {**layers.partition()[0], "threshold": jnp.full(2, 2.0, DTYPE)}
    layers = layers.partition()[1].merge(high)
    options = {"validate_every": 5, "patience": 5, "max_steps": 5, "validation_size": 64}
    result = ji.unfolded.fit_stagewise(
        jax.random.key(1), layers, family(), rates=(1e-2,), **options
    )
    moved = np.log(2.0) - np.log(np.asarray(result.layers.solver.threshold))
    # Adam moves by about the rate a step: a layer that also moved in the other's stage, or not
    # in its own, would be off by 5 steps
    np.testing.assert_allclose(moved, 5 * 1e-2, rtol=0.2)


# --- search -------------------------------------------------------------------------------------


def test_tuning_finds_constants_from_a_bad_start():
    layers = ji.unfolded.hyperlista(family().operator, 8, (0.6, 0.001, 0.1))
    result = ji.unfolded.tune(
        jax.random.key(1),
        layers,
        family(),
        num_problems=64,
        num_candidates=48,
        num_fresh=128,
        num_rounds=8,
        spread=6.0,
    )
    assert result.values.shape == (48 + 8 * 8,)
    assert nmse_db(result.layers) < nmse_db(layers) - 5
    np.testing.assert_allclose(10 / np.log(10) * result.best, nmse_db(result.layers), atol=6)


def test_tuning_is_never_much_worse_than_its_start_on_fresh_problems():
    """With one problem to tune on, the winner is a bad choice; fresh problems must overrule it."""
    layers = ji.unfolded.hyperlista(family().operator, 8)
    options = {"num_problems": 1, "num_fresh": 256, "num_candidates": 64, "num_rounds": 0}
    result = ji.unfolded.tune(jax.random.key(3), layers, family(), **options)
    assert nmse_db(result.layers) < nmse_db(layers) + 1.0


def test_tuning_leaves_a_zero_alone():
    layers = ji.unfolded.hyperlista(family().operator, 4, (0.6, 0.0, 0.1))
    options = {"num_problems": 8, "num_fresh": 16, "num_candidates": 8, "num_rounds": 1}
    result = ji.unfolded.tune(jax.random.key(3), layers, family(), **options)
    before, after = layers.partition()[0], result.layers.partition()[0]
    moved = [name for name in before if bool(jnp.any(before[name] != after[name]))]
    still = [name for name in before if name not in moved]
    assert moved
    assert [float(before[name]) for name in still] == [0.0]
    assert bool(jnp.isfinite(result.values).all())


def test_tuning_refuses_negative_numbers():
    free, frozen = network(2, momentum=True).partition()
    negative = frozen.merge({**free, "momentum": -free["step_size"]})
    with pytest.raises(ValueError, match="momentum must be"):
        ji.unfolded.tune(jax.random.key(0), negative, family())
