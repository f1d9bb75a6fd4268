"""Fits that go on: to the bit, after an exception, and from a file."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from untrained_toys import KEY, decoder, denoising

import jaxinv as ji

OPTIONS = {"look_every": 6, "num_steps": 12, "stop": None}


def fit(key=KEY, **options):
    return ji.untrained.fit(key, decoder(), denoising(), **OPTIONS | options)


@functools.cache
def first():
    return fit()


def plain(leaf):
    leaf = jnp.asarray(leaf)
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def assert_same(a, b):
    assert jax.tree.structure(a.params) == jax.tree.structure(b.params)
    ours, theirs = jax.tree.leaves(a), jax.tree.leaves(b)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(plain(mine), plain(other))


@pytest.mark.parametrize(
    "options", [{}, {"stop": ji.untrained.held_out(0.1, 6), "input_noise": 0.05}], ids=["", "rule"]
)
def test_a_fit_that_goes_on_is_one_fit(options):
    whole = fit(num_steps=30, **options)
    part = fit(**options)
    kept = np.asarray(part.x)
    again = fit(num_steps=18, resume=part, **options)
    assert_same(again, whole)
    np.testing.assert_array_equal(part.x, kept)  # and can be continued a second time
    assert_same(fit(num_steps=18, resume=part, **options), whole)
    assert again.history.loss.shape == (again.history.look_steps[-1],)


def test_a_batch_goes_on_and_what_has_converged_stays():
    keys = jax.random.split(KEY, 2)
    losses = fit(keys).history.residual
    tol = float(np.sort(losses[:, 0])[0]) * 1.0001  # one of them is there at the first look
    whole = fit(keys, num_steps=18, tol=tol)
    again = fit(keys, num_steps=6, tol=tol, resume=fit(keys, tol=tol))
    assert_same(again, whole)
    assert (again.status == ji.Status.CONVERGED).any()


def test_an_exception_of_progress_carries_the_fit():
    def stop(report):
        if report.step == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        fit(num_steps=30, progress=stop)
    np.testing.assert_array_equal(caught.value.fit.x, first().x)
    assert_same(fit(num_steps=18, resume=caught.value.fit), fit(num_steps=30))


def test_a_file_holds_all_of_it(tmp_path):
    path = ji.untrained.save(tmp_path / "fit", first())
    found = ji.untrained.load(path, decoder().draw(jax.random.key(9)))
    assert_same(found, first())
    assert_same(fit(num_steps=18, resume=found), fit(num_steps=30))


def test_files_that_are_no_fits_are_refused_in_one_line(tmp_path):
    good = ji.untrained.save(tmp_path / "fit", first()).read_bytes()
    rng, path = np.random.default_rng(0), tmp_path / "bad.npz"
    for _ in range(100):
        bad = bytearray(good)
        for place in rng.integers(len(bad), size=rng.integers(1, 9)):
            bad[place] = rng.integers(256)
        path.write_bytes(bytes(bad[: rng.integers(1, len(bad) + 1)]))
        if path.read_bytes() != good:
            with pytest.raises(ValueError, match=r"load: path must be the file of a fit") as caught:
                ji.untrained.load(path, decoder())
            assert "\n" not in str(caught.value)
    np.savez(path, x=np.ones(3))
    with pytest.raises(ValueError, match="file of a fit"):
        ji.untrained.load(path, decoder())
    with pytest.raises(ValueError, match="max_bytes"):
        ji.untrained.load(tmp_path / "fit", decoder(), max_bytes=1000)
    other = ji.generators.two_layer_decoder(64, 4)
    with pytest.raises(ValueError, match="prior must have the fitted architecture"):
        ji.untrained.load(tmp_path / "fit", other)
    with pytest.raises(FileNotFoundError):
        ji.untrained.load(tmp_path / "none", decoder())
    with pytest.raises(TypeError, match="be what untrained"):
        ji.untrained.save(path, 3)


def test_what_cannot_go_on_is_refused():
    with pytest.raises(TypeError, match="resume must be what fit returned"):
        fit(resume=3)
    with pytest.raises(ValueError, match="prior must be the one that was fitted"):
        ji.untrained.fit(
            KEY, decoder().draw(jax.random.key(5)), denoising(), resume=first(), **OPTIONS
        )
    with pytest.raises(ValueError, match="resume must be a fit of this kind"):
        fit(jax.random.split(KEY, 2), resume=first())
    with pytest.raises(ValueError, match="resume must be a fit of this kind"):
        fit(resume=first(), stop=ji.untrained.exponential_variance(0.9, 1))
    with pytest.raises(ValueError, match="params must be None, where a fit is resumed"):
        fit(resume=first(), params=first().params)
