"""Reading fastMRI files, on small ones of the same layout."""

import h5py
import jax
import numpy as np
import pytest

from jaxinv import data
from jaxinv import operators as O

SLICES, COILS, HEIGHT, WIDTH = 3, 2, 10, 8


def draw(*shape):
    generator = np.random.default_rng(0)
    return (generator.normal(size=shape) + 1j * generator.normal(size=shape)).astype(np.complex64)


KSPACE = draw(SLICES, COILS, HEIGHT, WIDTH)
IMAGES = np.asarray(jax.vmap(lambda y: O.root_sum_of_squares(O.ifft2c(y)))(KSPACE))


@pytest.fixture
def write(tmp_path):
    def write(name="file.h5", **fields):
        path = tmp_path / name
        with h5py.File(path, "w") as file:
            for field, values in fields.items():
                file[field] = values
            file.attrs["acquisition"] = "CORPD_FBK"
            file.attrs["max"] = 1.5
        return path

    return write


def test_a_training_file(write):
    path = write(kspace=KSPACE, reconstruction_rss=IMAGES, ismrmrd_header=b"<xml/>")
    found = data.fastmri(path)
    assert (found.slice_index, found.num_slices, found.mask) == (1, SLICES, None)
    assert found.kspace.dtype == np.complex64
    np.testing.assert_array_equal(found.kspace, KSPACE[1])
    np.testing.assert_array_equal(found.target, IMAGES[1])
    assert found.attributes["acquisition"] == "CORPD_FBK"
    assert found.attributes["max"] == 1.5
    np.testing.assert_array_equal(data.fastmri(str(path), -1).kspace, KSPACE[2])


def test_its_convention_is_that_of_the_operators(write):
    found = data.fastmri(write(kspace=KSPACE, reconstruction_rss=IMAGES), 0)
    with pytest.warns(UserWarning, match="every frequency"):
        A = O.multicoil_mri(np.ones((HEIGHT, WIDTH), bool), num_coils=COILS)
    image = O.root_sum_of_squares(A.adjoint(found.kspace))
    np.testing.assert_allclose(image, found.target, atol=1e-5)


def test_a_test_file_has_a_mask_and_no_target(write):
    mask = np.arange(WIDTH) % 2
    found = data.fastmri(write(kspace=KSPACE * mask, mask=mask.astype(np.float32)))
    assert found.target is None
    assert found.mask.dtype == bool
    np.testing.assert_array_equal(found.mask, mask == 1)


def test_a_single_coil_file(write):
    path = write(kspace=KSPACE[:, 0], reconstruction_esc=IMAGES, reconstruction_rss=2 * IMAGES)
    found = data.fastmri(path, 2)
    assert found.kspace.shape == (HEIGHT, WIDTH)
    assert found.target.shape == IMAGES.shape[1:]


BAD = {
    "no k-space": ({"reconstruction_rss": IMAGES, "mask": np.ones(8)}, "kspace.*mask, reconstr"),
    "real": ({"kspace": KSPACE.real}, "kspace must be complex, got float32"),
    "axes": ({"kspace": KSPACE[0, 0]}, r"slices, coils, h, w.*\(10, 8\)"),
    "nan": ({"kspace": KSPACE * np.nan}, "kspace must be finite"),
    "mask": ({"kspace": KSPACE, "mask": np.ones(5)}, r"mask must have one entry per column, 8"),
    "nan mask": ({"kspace": KSPACE, "mask": np.full(8, np.nan)}, "mask must hold 0 and 1"),
    "empty mask": ({"kspace": KSPACE, "mask": np.zeros(8)}, "mask must hold 0 and 1, and 1 some"),
    "target": ({"kspace": KSPACE, "reconstruction_rss": IMAGES[:2]}, "reconstruction_rss must"),
    "nan target": (
        {"kspace": KSPACE, "reconstruction_rss": IMAGES * np.nan},
        "reconstruction_rss must be finite",
    ),
    "mask group": ({"kspace": KSPACE, "mask/a": np.ones(8)}, "mask must .* a group"),
    "target group": (
        {"kspace": KSPACE, "reconstruction_rss/a": IMAGES},
        "reconstruction_rss must .* a group",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_files_without_what_is_needed_are_refused(write, name):
    fields, message = BAD[name]
    with pytest.raises(ValueError, match=message) as caught:
        data.fastmri(write(**fields))
    assert "\n" not in str(caught.value)


def test_broken_files_and_slices_are_refused(write, tmp_path):
    path = write(kspace=np.tile(KSPACE, (1, 1, 20, 20)))
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 8):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="must be a complete HDF5 file"):
            data.fastmri(path)
    path.write_bytes(whole)
    for index, error in [(3, ValueError), (-4, ValueError), (1.5, TypeError)]:
        with pytest.raises(error, match="index must be"):
            data.fastmri(path, index)
    with pytest.raises(ValueError, match=r"number of slices 3, got 3.*--slice"):
        data.fastmri(path, 3)
    with pytest.raises(ValueError, match="must exist"):
        data.fastmri(tmp_path / "none.h5")
    with pytest.raises(ValueError, match="the folder"):
        data.fastmri(tmp_path)
    with pytest.raises(TypeError, match="path must be a path"):
        data.fastmri(3)
