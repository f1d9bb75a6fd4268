"""Train ALISTA in a minute, save it, load it, and apply it to measurements.

Run: python examples/train_alista.py
"""

import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp

import jaxinv as ji


def main(m=250, n=500, sparsity=0.1, num_layers=16, num_steps=600, num_test=1000, folder=None):
    """Train, and return the error of the network as it starts, trained, and loaded again."""
    A = ji.problems.sparse(m, n).sample(jax.random.key(0)).operator  # Gaussian, unit columns
    family = ji.problems.sparse(m, n, sparsity, operator=A)
    layers = ji.unfolded.alista(A, num_layers)  # computed matrix; two numbers a layer to train

    def error(layers):
        test = jax.random.key(2)  # training has another key, so these problems are new
        return ji.unfolded.evaluate(test, layers, family, num_problems=num_test).nmse_db

    before = error(layers)

    start = time.perf_counter()
    result = ji.unfolded.fit(jax.random.key(1), layers, family, num_steps=num_steps)
    seconds = time.perf_counter() - start
    after = error(result.layers)
    print(f"untrained {before:6.1f} dB\ntrained   {after:6.1f} dB in {seconds:.0f} s")

    with tempfile.TemporaryDirectory() as temporary:
        path = Path(folder or temporary) / "alista.npz"
        ji.unfolded.save(path, result.layers, notes={"sparsity": sparsity})
        # another operator than the one trained for would be refused
        loaded = ji.unfolded.load(path, operator=A)
        print(f"saved {path.stat().st_size / 1e6:.1f} MB, notes {ji.unfolded.load_notes(path)}")
    again = error(loaded)

    # a measurement of your own: y alone, no truth
    x = jnp.zeros(n).at[jnp.array([3, n // 2])].set(jnp.array([1.0, -2.0]))
    found = ji.unfold(loaded, ji.Problem(A, A(x)))
    print(f"own measurement: relative error {float(ji.metrics.relative_error(found, x)):.1e}")
    return before, after, again


if __name__ == "__main__":
    main()
