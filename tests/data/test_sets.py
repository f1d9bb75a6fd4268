"""Sets of signals: sizes, ranges, and files of any origin."""

import gzip
import struct
from functools import partial

import jax
import numpy as np
import pytest

import jaxinv as ji


def idx_bytes(array):
    kinds = {"u1": 8, "i2": 11, "f4": 13}
    kind = kinds[array.dtype.str[1:]]
    head = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_idx_files_are_read_as_they_are_or_packed(tmp_path, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(idx_bytes(array))
    np.testing.assert_array_equal(ji.data.idx(path), array)
    path = tmp_path / "images-idx3-ubyte.gz"
    path.write_bytes(packed(idx_bytes(array)))
    found = ji.data.idx(path)
    np.testing.assert_array_equal(found, array)
    assert found.dtype == dtype


packed = partial(gzip.compress, mtime=0)  # the names of tests hold no time
WHOLE = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
HUGE = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**31, 2**31)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it does not begin as one"),
        (b"\x89PNG" + WHOLE, "it does not begin as one"),
        (WHOLE[:2] + b"\x07" + WHOLE[3:], "it does not begin as one"),
        (WHOLE[:10], "it is cut short"),
        (WHOLE[:-1], "it has 39 bytes, and 40 by its sizes"),
        (WHOLE + b"1", "it has 41 bytes, and 40 by its sizes"),
        (WHOLE[:3] + b"\xff" + WHOLE[4:], "it has 255 axes"),
        (HUGE, "take at most 1024 MiB"),
        (packed(WHOLE)[:-9], "gzip says"),
        (packed(WHOLE[:-1]), "it is cut short"),
        (packed(WHOLE + b"1"), "it is longer than it says"),
        (packed(HUGE), "take at most 1024 MiB"),
        (b"\x1f\x8b" + bytes(40), "gzip says"),
    ],
)
def test_damaged_idx_files_end_in_one_line(tmp_path, content, says):
    path = tmp_path / "images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=says) as raised:
        ji.data.idx(path)
    assert "\n" not in str(raised.value)


def test_named_sets_lie_in_the_unit_interval():
    for name in ("digits", "faces"):
        found = ji.data.signals(name)
        assert (found.dtype, found.min() >= 0, found.max() <= 1) == (np.float32, True, True)
    first, again = (ji.data.patches(jax.random.key(1), 4, 8) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.std() > 0


def test_a_folder_of_images(tmp_path):
    with pytest.raises(ValueError, match="path must hold images"):
        ji.data.folder(tmp_path)
    ji.data.save_image(tmp_path / "b.png", np.ones((4, 6)))
    ji.data.save_image(tmp_path / "a.png", np.zeros((4, 6, 3)))
    (tmp_path / "notes.txt").write_text("no image")
    found = ji.data.signals(tmp_path)
    assert found.shape == (2, 4, 6)
    assert found[:, 0, 0].tolist() == [0.0, 1.0]
    assert ji.data.folder(tmp_path, gray=False).shape == (2, 4, 6, 3)
    ji.data.save_image(tmp_path / "c.png", np.ones((5, 5)))
    with pytest.raises(ValueError, match="path must hold images of one size"):
        ji.data.folder(tmp_path)
    assert ji.data.folder(tmp_path, (3, 3)).shape == (3, 3, 3)


def test_shifted_copies():
    image = np.arange(9.0).reshape(1, 3, 3)
    found = ji.data.shifted(image)
    np.testing.assert_array_equal(found[0], image[0])
    np.testing.assert_array_equal(found[1, 1], image[0, 0])
    np.testing.assert_array_equal(found[4, :, 0], image[0, :, 1])
