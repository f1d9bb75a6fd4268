"""Train ALISTA, save it, load it, use it
======================================

The matrix of ALISTA is computed, not trained; two numbers a layer are left. A file keeps the
network with its operator, and another operator is refused.
"""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp

import jaxinv as ji

A = ji.problems.sparse(60, 120).sample(jax.random.key(0)).operator  # Gaussian, unit columns
family = ji.problems.sparse(60, 120, sparsity=0.05, operator=A)
layers = ji.unfolded.alista(A, 8)


def error(layers):
    test = jax.random.key(2)  # training has another key, so these problems are new
    return ji.unfolded.evaluate(test, layers, family, num_problems=500).nmse_db


result = ji.unfolded.fit(jax.random.key(1), layers, family, num_steps=150, validate_every=75)
before, after = error(layers), error(result.layers)
print(f"untrained {before:6.1f} dB, trained {after:6.1f} dB")

# %%
# A file, without pickle, and a measurement of your own: y alone, no truth.
path = Path(tempfile.mkdtemp()) / "alista.npz"
ji.unfolded.save(path, result.layers, notes={"sparsity": 0.05})
loaded = ji.unfolded.load(path, operator=A)
print(f"saved {path.stat().st_size / 1e3:.0f} kB, notes {ji.unfolded.load_notes(path)}")

x = jnp.zeros(120).at[jnp.array([3, 60])].set(jnp.array([1.0, -2.0]))
found = ji.unfold(loaded, ji.Problem(A, A(x)))
own = float(ji.metrics.relative_error(found, x))
print(f"own measurement: relative error {own:.1e}")

assert after < before - 2
assert error(loaded) == after
assert own < 0.1
