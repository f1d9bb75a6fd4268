"""Message passing through networks: problems in one program against a NumPy loop over them.

Both take the same decompositions, the same number of steps of the same updates, and end at the
same estimates. The loop is what one writes without a library: arrays per problem, SciPy's
log Φ. Small networks show the overhead of a call, larger ones the arithmetic.
"""

from __future__ import annotations

import functools
import statistics
from typing import Any

import _machine
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit, log_ndtr

import jaxinv as ji

NOISE_STD, DAMPING, NUM_STEPS = 1e-2, np.float32(0.3), 100
TOLERANCE = 0.02  # of estimates, relative: float32, near the fixed point
LEAST, MOST, LOG_ROOT = np.float32(1e-6), np.float32(1e8), np.float32(0.5 * np.log(2 * np.pi))
SIZES = (((5, 20, 30), 20), ((20, 100, 500), 60))


def draw(key: Any, widths: tuple[int, ...], m: int) -> ji.Problem:
    """Draw a network, a latent N(0, I) and noisy measurements."""
    keys = jax.random.split(key, 4)
    G = ji.generators.relu(keys[0], widths)
    x = G(jax.random.normal(keys[1], widths[:1]))
    A = ji.operators.gaussian(keys[2], m, widths[-1])
    y = A(x) + NOISE_STD * jax.random.normal(keys[3], (m,))
    return ji.Problem(A, y, G, ji.problems.Truth(None, x))


def tail(t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log mass, mean and variance of N(t, 1) above 0."""
    near = np.maximum(t, np.float32(-6))
    mass = 0.5 * near * near + log_ndtr(near) + LOG_ROOT
    hazard = np.exp(-mass)
    mean, variance = near + hazard, 1 - hazard * (near + hazard)
    far = t < -6
    if np.any(far):
        q = -1 / t[far]
        s = q * q
        mass[far] = np.log(q) + np.log1p(-s * (1 - s * (3 - 15 * s)))
        mean[far] = q * (1 - s * (2 - s * (10 - s * (74 - 706 * s))))
        variance[far] = s * (1 - s * (6 - s * (50 - s * (518 - 6354 * s))))
    return mass, mean, variance


def relu_moments(z: Any, h: Any) -> tuple[Any, Any]:
    """Return mean and mean variance of z, and of relu(z), given messages (a, b) about both."""
    a, root_z = z[0] + h[0], np.sqrt(z[0])
    root = np.sqrt(a)
    mass, mean, variance = tail((z[1] + h[1]) / root)
    mass_off, mean_off, variance_off = tail(-z[1] / root_z)
    on = expit(mass - mass_off - 0.5 * np.log(a / z[0]))
    off = 1 - on
    mean, variance = mean / root, variance / a
    mean_off, variance_off = mean_off / root_z, variance_off / z[0]
    z_variance = on * variance + off * variance_off + on * off * (mean + mean_off) ** 2
    h_variance = on * variance + on * off * mean * mean
    return (on * mean - off * mean_off, z_variance.mean()), (on * mean, h_variance.mean())


def linear_moments(stage: Any, h: Any, z: Any) -> tuple[Any, Any]:
    """Return mean and mean variance of h and of W h."""
    W, vectors, values, wide = stage
    rows, columns = W.shape
    mean = h[1] / h[0]
    residual = z[1] / z[0] - W @ mean
    weights = 1 / (values + h[0] / z[0])
    if wide:
        found = mean + W.T @ (vectors @ (weights * (vectors.T @ residual)))
    else:
        found = mean + vectors @ (weights * (vectors.T @ (W.T @ residual)))
    precisions = h[0] + z[0] * values
    variance = ((1 / precisions).sum() + (columns - values.size) / h[0]) / columns
    return (found, variance), (W @ found, (values / precisions).sum() / rows)


def reply(moments: Any, message: Any) -> Any:
    """Return what moments say beyond a message."""
    a = min(max(1 / moments[1] - message[0], LEAST), MOST)
    return a, moments[0] * (message[0] + a) - message[1]


def mixed(fresh: Any, old: Any) -> Any:
    """Return a damped message."""
    return tuple(DAMPING * b + (1 - DAMPING) * a for a, b in zip(fresh, old, strict=True))


def numpy_run(weights: list[np.ndarray], A: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the posterior mean of one problem."""
    stages, scales = [], [np.float32(1)]
    for index, W in enumerate([*weights, A]):
        left, values, right = np.linalg.svd(W, full_matrices=False)
        wide = W.shape[0] <= W.shape[1]
        share = np.float32(0.5 if index else 1)
        gain = np.sqrt((values**2).sum() / W.shape[0] * share)
        stages.append((W / gain, left if wide else right.T, (values / gain) ** 2, wide))
        scales.append(scales[-1] * gain)
    target, noise = y / scales[-1], (np.float32(NOISE_STD) / scales[-1]) ** 2
    depth = len(weights)
    down = [(LEAST, np.zeros(stage[0].shape[0], np.float32)) for stage in stages]
    hidden = list(down[:-1])
    latent = (np.float32(1), np.zeros(weights[0].shape[1], np.float32))
    top, estimate = (1 / noise, target / noise), None
    for _ in range(NUM_STEPS):
        below, inputs = [latent], []
        for index, stage in enumerate(stages):
            inputs.append(reply(linear_moments(stage, below[index], down[index])[1], down[index]))
            if index < depth:
                found = relu_moments(inputs[index], hidden[index])[1]
                below.append(reply(found, hidden[index]))
        down[-1] = mixed(top, down[-1])
        moments = estimate = linear_moments(stages[-1], below[-1], down[-1])[0]
        for index in reversed(range(depth)):
            hidden[index] = mixed(reply(moments, below[index + 1]), hidden[index])
            fresh = reply(relu_moments(inputs[index], hidden[index])[0], inputs[index])
            down[index] = mixed(fresh, down[index])
            moments = linear_moments(stages[index], below[index], down[index])[0]
    assert estimate is not None
    return estimate[0] * scales[-2]


def compare(widths: tuple[int, ...], m: int, options: Any) -> dict[str, Any]:
    """Time both on the same problems."""
    trials, few = (16, 2) if options.quick else (64, 8)
    batch = functools.partial(draw, widths=widths, m=m)
    problems = jax.jit(jax.vmap(batch))(jax.random.split(jax.random.key(0), trials))
    arrays = jax.tree.map(np.asarray, (problems.prior.params, problems.operator.matrix, problems.y))
    solver = ji.solvers.ml_vamp(NOISE_STD, 1.0, damping=float(DAMPING))

    def one(problem: Any) -> Any:
        return ji.trace(solver, problem._replace(truth=None), jnp.ones(widths[0]), NUM_STEPS)[0].x

    @functools.partial(jax.jit, static_argnums=1)
    def program(problems: Any, block: int) -> Any:
        return jax.lax.map(one, problems, batch_size=block)

    def loop() -> np.ndarray:
        found = []
        for i in range(few):
            weights, A, y = jax.tree.map(lambda leaf, i=i: leaf[i], arrays)
            found.append(numpy_run(list(weights), A, y))
        return np.stack(found)

    runs: dict[str, Any] = {"numpy, one at a time": (few, loop)}
    for block in (1, trials):
        runs[f"jaxinv, one program, blocks of {block}"] = (
            trials,
            lambda block=block: np.asarray(program(problems, block)),
        )
    reference = loop()
    gaps = {
        name: float(np.median([ji.metrics.relative_error(a, b) for a, b in
                               zip(work()[:few], reference, strict=True)]))
        for name, (_, work) in runs.items()
    }  # fmt: skip
    times = _machine.interleaved({name: work for name, (_, work) in runs.items()}, 3)
    each = {name: [t / runs[name][0] for t in found.wall] for name, found in times.items()}
    medians = {name: 1e3 * statistics.median(values) for name, values in each.items()}
    fastest = min((name for name in runs if "jaxinv" in name), key=lambda name: medians[name])
    ratio = _machine.ratio(each["numpy, one at a time"], each[fastest])
    print(f"{widths}, m = {m}, {trials} problems, {NUM_STEPS} steps")
    _machine.ranking(medians)
    print(f"    {ratio:.1f} times the throughput; largest median gap {max(gaps.values()):.0e}")
    return {
        "widths": widths, "m": m, "trials": trials, "milliseconds_per_problem": medians,
        "times_the_throughput": ratio, "median_gaps": gaps,
        "equal": max(gaps.values()) < TOLERANCE,
    }  # fmt: skip


def main() -> None:
    """Run the benchmark."""
    options = _machine.parser(__doc__).parse_args()
    limits = _machine.limits()
    cases = [compare(widths, m, options) for widths, m in SIZES]
    _machine.write(options.out, "ml_vamp", {"cases": cases, "machine": limits})


if __name__ == "__main__":
    main()
