"""Training on signals of one's own: epochs, what is held out, an early end, too few of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxinv as ji
from jaxinv.unfolded._training import held_out

KEY = jax.random.key(5)
A = ji.problems.sparse(12, 24).sample(jax.random.key(0)).operator
NUMBERED = jnp.arange(1, 41, dtype=jnp.float32)[:, None] * jnp.ones(24, jnp.float32)


def numbers(problems):
    """Return which of the numbered signals were drawn."""
    return np.asarray(problems.truth.x[:, 0]).astype(int).tolist()


@pytest.mark.parametrize("given", [True, False], ids=["y", "simulated"])
def test_an_epoch_has_each_signal_once_and_the_next_another_order(given):
    y = jax.vmap(A)(NUMBERED) if given else None
    family = ji.problems.from_arrays(A, NUMBERED, y)
    epochs = []
    for epoch in range(2):
        drawn = [family.training_batch(KEY, 4 * epoch + i, 10) for i in range(4)]
        epochs.append([number for one in drawn for number in numbers(one)])
        np.testing.assert_allclose(drawn[0].y, jax.vmap(A)(drawn[0].truth.x), rtol=1e-5)
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(1, 41))
    assert epochs[0] != epochs[1]
    assert len(numbers(family.training_batch(KEY, 0, 128))) == 40  # no more than there are


def test_noise_is_drawn_again_in_every_epoch():
    family = ji.problems.from_arrays(A, NUMBERED[:8], noise_std=1.0)
    first, second = (family.training_batch(KEY, step, 8) for step in (0, 1))
    order = np.argsort(numbers(first)), np.argsort(numbers(second))
    noise = [b.truth.noise[i] for b, i in zip((first, second), order, strict=True)]
    assert np.abs(noise[0] - noise[1]).min() > 0
    assert 0.7 < float(jnp.std(jnp.stack(noise))) < 1.3


def test_what_is_held_out_is_never_trained_on():
    family = ji.problems.from_arrays(A, NUMBERED)
    train, problems = held_out("fit", KEY, family, None, 1024)
    trained = numbers(train.training_batch(KEY, 0, 128))
    assert (len(trained), len(numbers(problems))) == (32, 8)
    assert sorted(trained + numbers(problems)) == list(range(1, 41))
    assert len(numbers(held_out("fit", KEY, family, None, 5)[1])) == 5
    other = ji.problems.from_arrays(A, NUMBERED[:3])
    train, problems = held_out("fit", KEY, other, family, 1024)
    assert (len(train.x), len(numbers(problems))) == (3, 40)


def test_a_spoiled_family_is_split_as_its_own():
    family = ji.problems.corrupted(ji.problems.from_arrays(A, NUMBERED), outlier_share=0.1)
    train, held = family.split(KEY)
    assert not {float(v) for v in train.family.x[:, 0]} & {float(v) for v in held.family.x[:, 0]}


def test_training_ends_when_held_out_signals_get_no_better():
    signals = jax.vmap(lambda k: ji.problems.sparse(12, 24, num_nonzeros=2).sample(k).truth.x)(
        jax.random.split(KEY, 20)
    )
    family = ji.problems.from_arrays(A, signals)
    layers = ji.unfolded.lista(A, 3, initial_weights="analytic")
    options = {"num_steps": 2000, "validate_every": 20, "batch_size": 8}
    found = ji.unfolded.fit(KEY, layers, family, patience=60, **options).history
    last, best = int(found.validation_steps[-1]), int(found.best_step)
    assert 0 < best < last < 2000
    assert last - best == 60
    assert int(jnp.argmin(found.validation)) * 20 == best


@pytest.mark.parametrize("fit", [ji.unfolded.fit, ji.unfolded.fit_stagewise])
def test_too_few_signals_are_refused_with_the_way_out(fit):
    family = ji.problems.from_arrays(A, NUMBERED[:3])
    with pytest.raises(ValueError, match=r"x must hold at least 8 signals.*got 3\. .*validation="):
        fit(KEY, ji.unfolded.step_lista(A, 2), family)
    with pytest.raises(ValueError, match="split: share must be"):
        family.split(KEY, 1.5)
