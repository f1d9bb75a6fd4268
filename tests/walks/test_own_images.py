"""A person with one damaged image in a file, in an empty folder: four tasks of imaging."""

import jax
import numpy as np
import pytest

import jaxinv as ji

PHOTO = ji.data.image("camera", size=32)


def noisy():
    rng = np.random.default_rng(0)
    y = PHOTO + 0.1 * rng.normal(size=PHOTO.shape).astype(np.float32)
    return {"y": y}, lambda held: ji.operators.identity(held["y"].shape), {}


def masked():
    mask = np.random.default_rng(0).random(PHOTO.shape) < 0.5
    files = {"y": np.where(mask, PHOTO, 0), "mask": mask}
    return files, lambda held: ji.operators.mask(held["mask"]), {"prior": "tv"}


def blurred():
    kernel = np.outer(*2 * [np.hanning(7)[1:-1]]).astype(np.float32)
    kernel /= kernel.sum()
    y = np.asarray(ji.operators.convolution(kernel, PHOTO.shape) @ PHOTO)

    def operator(held):
        return ji.operators.convolution(held["kernel"], held["y"].shape)

    return {"y": y, "kernel": kernel}, operator, {"prior": "tv"}


def scanned():
    mask = np.asarray(ji.operators.fourier_lines(jax.random.key(1), PHOTO.shape, 2, 0.16))
    files = {"y": np.asarray(ji.operators.mri(mask) @ PHOTO), "mask": mask}
    return files, lambda held: ji.operators.mri(held["mask"]), {"prior": "tv"}


# gain in decibels: half of what was measured
@pytest.mark.parametrize(
    ("task", "gain"),
    [
        (noisy, 3.5),
        (masked, 10.0),
        pytest.param(blurred, 2.0, marks=pytest.mark.slow),
        pytest.param(scanned, 3.0, marks=pytest.mark.slow),
    ],
)
def test_an_image_in_a_file_becomes_a_better_one(task, gain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files, operator, options = task()
    for name, held in files.items():
        np.save(f"{name}.npy", held)
    held = {name: np.load(f"{name}.npy") for name in files}
    found = ji.reconstruct(held["y"], operator(held), **options)
    scored = ji.metrics.psnr(np.abs(found.x), PHOTO) - ji.metrics.psnr(np.abs(found.input), PHOTO)
    assert scored > gain
    assert ji.viz.plot_reconstruction(found, "figure.png") == "figure.png"
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted([*files, "figure"])
