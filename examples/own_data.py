"""Your own data: LISTA from NumPy files to a compiled service
===========================================================

Signals and a matrix as ``.npy`` train a network; it goes into one file, and a compiled function
answers batches of measurements.
"""

import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import jaxinv as ji

folder = Path(tempfile.mkdtemp())

# %%
# What you would bring: a matrix whose columns have any norms, and 600 signals.
rng = np.random.default_rng(0)
signals = rng.standard_normal((600, 60)) * (rng.random((600, 60)) < 0.08)
np.save(folder / "signals.npy", signals.astype(np.float32))
np.save(folder / "matrix.npy", 3 * rng.standard_normal((30, 60)).astype(np.float32))

# %%
# Networks want columns of norm 1: divide the matrix by theirs, multiply the signals. A fifth is
# set aside for the score at the end; of the others ``fit`` holds out a fifth, by which it chooses
# the weights, and goes through the rest in epochs.
matrix, signals = np.load(folder / "matrix.npy"), np.load(folder / "signals.npy")
norms = np.linalg.norm(matrix, axis=0)
operator = ji.operators.dense(matrix / norms)
family = ji.problems.from_arrays(operator, signals * norms, snr_db=40.0)
family, test = family.split(jax.random.key(0), 0.2)

layers = ji.unfolded.lista(operator, 6, initial_weights="analytic")
options = {"num_steps": 200, "validate_every": 25, "batch_size": 64, "patience": 100}
trained = ji.unfolded.fit(jax.random.key(1), layers, family, **options)
notes = {"norms": norms.tolist()}
path = ji.unfolded.save(folder / "lista.npz", trained.layers, notes=notes)

# %%
# Elsewhere: a service that has nothing but the file.
network = ji.unfolded.load(path)
scale = jnp.asarray(ji.unfolded.load_notes(path)["norms"], jnp.float32)


@jax.jit
def service(measurements):
    """Return the signals of a batch of measurements."""

    def one(y):
        return ji.unfold(network, ji.Problem(network.operator, y)) / scale

    return jax.vmap(one)(measurements)


problems = test.validation(jax.random.key(2), 120)
truth = problems.truth.x / scale
ista = ji.Layers.repeat(ji.solvers.ista(penalty=0.1), 6)
plain = jax.vmap(ji.unfold, in_axes=(None, test.axes))(ista, problems) / scale
answers = service(problems.y)
trained_db, plain_db = (float(ji.metrics.nmse_db(x, truth)) for x in (answers, plain))
print(f"six steps on signals never seen: trained {trained_db:.1f} dB, ISTA {plain_db:.1f} dB")

fig, ax = plt.subplots(figsize=(6, 3))
ax.plot(truth[0], "o", mfc="none", label="truth")
ax.plot(answers[0], ".", label="service")
ax.set(xlabel="entry", ylabel="signal")
fig.legend(loc="outside upper right", ncols=2)
fig.tight_layout(rect=(0, 0, 1, 0.92))
plt.show()

assert trained_db < plain_db - 3
