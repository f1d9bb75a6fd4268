"""The linear rates of coupled layers: the bound, and layers that keep to it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import hadamard

import jaxinv as ji
from jaxinv.theory import check_linear_rate, linear_rate
from jaxinv.unfolded import analytic_weights

X64 = bool(jax.config.read("jax_enable_x64"))


def bases(n=64):
    return np.concatenate([np.eye(n), hadamard(n) / math.sqrt(n)], axis=1)


def sparse_signals(count, size, sparsity, seed=0, low=0.3):
    rng = np.random.default_rng(seed)
    signals = np.zeros((count, size))
    for x in signals:
        places = rng.choice(size, sparsity, replace=False)
        x[places] = rng.choice([-1, 1], sparsity) * rng.uniform(low, 1, sparsity)
    return signals


def test_bound_without_noise_is_the_exponential_of_the_theorem():
    found = linear_rate(0.05, 4, 12, largest=3.0)
    t = np.arange(13)
    np.testing.assert_allclose(found.bound, 4 * 3.0 * np.exp(-found.rate * t), rtol=1e-12)
    np.testing.assert_allclose(found.rate, -math.log(2 * 4 * 0.05 - 0.05))
    np.testing.assert_allclose(found.thresholds, 0.05 * found.bound[:-1])


def test_bound_with_noise_ends_at_the_fixed_point():
    found = linear_rate(0.05, 4, 200, noise=1e-3)
    np.testing.assert_allclose(found.bound[-1], 2 * 4 * 1e-3 / (1 - 7 * 0.05), rtol=1e-9)
    tail = found.bound[-1]
    sums = np.exp(-found.rate * np.arange(201)) * 4 + tail
    assert np.all(found.bound <= sums * (1 + 1e-12))


def test_selection_lowers_the_bound_once_the_entries_exceed_two_thresholds():
    plain = linear_rate(0.05, 4, 20)
    counts = 1 + np.arange(20) // 2
    found = linear_rate(0.05, 4, 20, smallest=0.2, bypass_counts=counts)
    first = int(np.argmax(found.trusted > 0))
    assert 0 < first < 20
    assert np.all(found.trusted[first:] == np.minimum(counts[first:], 4))
    assert 2 * found.thresholds[first] < 0.2 <= 2 * found.thresholds[first - 1]
    np.testing.assert_array_equal(found.bound[: first + 1], plain.bound[: first + 1])
    assert np.all(found.bound[first + 1 :] < plain.bound[first + 1 :])
    unseen = linear_rate(0.05, 4, 20, bypass_counts=counts)  # no lower bound of the entries
    np.testing.assert_array_equal(unseen.bound, plain.bound)


@pytest.mark.parametrize("sparsity", [1, 2, 4])
@pytest.mark.parametrize("noisy", [False, True])
def test_errors_lie_below_the_bound(sparsity, noisy):
    A = bases()  # μ = 1/8: s <= 4
    signals = sparse_signals(200, 128, sparsity)
    rng = np.random.default_rng(1)
    noise = None
    if noisy:  # half spread out, half on one measurement, where ‖Wᵀη‖_∞ is largest
        noise = rng.standard_normal((200, 64))
        noise[::2] = np.eye(64)[rng.integers(0, 64, 100)]
        noise *= 1e-3 / np.sum(np.abs(noise), axis=1, keepdims=True)
    weights = analytic_weights(A)
    found = check_linear_rate(A, weights, signals, noise, num_layers=30)
    assert found.holds
    assert found.false_positives == 0
    assert np.all(found.errors <= found.measured + 1e-15)
    np.testing.assert_allclose(found.bound.rate, -math.log((2 * sparsity - 1) / 8), rtol=1e-5)
    counts = np.minimum(np.arange(1, 31), 16)
    selected = check_linear_rate(A, weights, signals, noise, num_layers=30, bypass_counts=counts)
    assert selected.holds
    assert np.all(selected.errors.max(0) <= found.errors.max(0) * (1 + 1e-9) + 1e-13)
    if sparsity > 1 and not noisy:
        assert selected.errors[:, 12].max() < 0.1 * found.errors[:, 12].max()


def test_one_entry_attains_the_bound():
    """With s = 1 the error after a layer is its threshold: the theorem cannot be improved."""
    signals = np.zeros((1, 128))
    signals[0, 5] = 1.0
    found = check_linear_rate(bases(), analytic_weights(bases()), signals, num_layers=10)
    np.testing.assert_allclose(found.measured[0], found.bound.bound, rtol=1e-6)


def test_smaller_thresholds_break_the_promise():
    """The check can fail: thresholds for a quarter of the coherence let false entries in."""
    A = bases()
    signals = sparse_signals(100, 128, 4)
    mu, layers = 1 / 8, 10
    promise = linear_rate(mu / 4, 4, layers)
    x, false = np.zeros_like(signals), 0
    for threshold in promise.thresholds:
        z = x + (signals - x) @ A.T @ A
        x = np.sign(z) * np.maximum(np.abs(z) - threshold, 0)
        false += np.count_nonzero(x[signals == 0])
    assert false > 0
    assert np.any(np.abs(x - signals).sum(1) > promise.bound[-1])


@pytest.mark.parametrize("select", [False, True])
def test_network_of_the_library_runs_the_same_layers(select):
    """``unfold`` with the theorem's thresholds equals the check's own loop."""
    A = bases()
    weights = analytic_weights(A)
    signals = sparse_signals(3, 128, 3)
    layers = 8
    counts = 2 * np.arange(1, layers + 1) if select else None
    found = check_linear_rate(A, weights, signals, num_layers=layers, bypass_counts=counts)
    operator = ji.operators.dense(jnp.asarray(A))
    for x, errors in zip(signals, found.errors, strict=True):
        problem = ji.Problem(operator, operator @ jnp.asarray(x))
        state = jnp.zeros(128)
        for t in range(layers):
            layer = ji.unfolded.Coupled(
                weights=weights,
                step_size=1.0,
                threshold=float(found.bound.thresholds[t]),
                bypass=float(counts[t]) / 128 if select else None,
                momentum=None,
                operator=operator,
            )
            state = layer.step(problem, layer.init(problem, state))[0].u
        error = float(np.linalg.norm(np.asarray(state, float) - x))
        np.testing.assert_allclose(error, errors[-1], atol=1e-12 if X64 else 1e-5)


def test_complex_signals():
    rng = np.random.default_rng(0)
    A = np.concatenate([np.eye(64), np.fft.fft(np.eye(64)) / 8], axis=1)
    signals = sparse_signals(50, 128, 3) * np.exp(2j * np.pi * rng.random((50, 128)))
    found = check_linear_rate(A, analytic_weights(A), signals, num_layers=20)
    assert found.holds
    assert found.errors[:, -1].max() < 1e-3


def test_bad_arguments_are_refused():
    A = bases()
    W = analytic_weights(A)
    with pytest.raises(ValueError, match=r"\(2 s - 1\) coherence < 1.*sparsity < 2\.5"):
        linear_rate(0.25, 3, 5)
    with pytest.raises(ValueError, match="hold 5 counts, got 2"):
        linear_rate(0.05, 2, 5, bypass_counts=[1, 2])
    with pytest.raises(ValueError, match="smallest must be in"):
        linear_rate(0.05, 2, 5, smallest=2.0)
    with pytest.raises(ValueError, match="noise must be finite and >= 0"):
        linear_rate(0.05, 2, 5, noise=-1)
    with pytest.raises(ValueError, match="all-zero signal"):
        check_linear_rate(A, W, np.zeros((2, 128)), num_layers=3)
    with pytest.raises(ValueError, match=r"shape \(num_signals, 128\)"):
        check_linear_rate(A, W, np.ones((2, 64)), num_layers=3)
    with pytest.raises(ValueError, match="One row for each signal"):
        check_linear_rate(A, W, sparse_signals(2, 128, 1), np.zeros((3, 64)), num_layers=3)
    with pytest.raises(ValueError, match="coherence < 1"):
        check_linear_rate(A, W, sparse_signals(2, 128, 6), num_layers=3)
