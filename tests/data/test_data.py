"""Images by name and from files, and files written whole."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

from jaxinv import data


@pytest.mark.parametrize("name", data.image_names())
def test_every_name_loads(name):
    found = data.image(name)
    assert found.dtype == np.float32
    assert found.ndim == 2 or found.shape[2] == 3
    assert 0 <= found.min() < found.max() <= 1


def test_named_images_are_those_of_their_packages():
    import skimage.data

    assert np.array_equal(data.image("camera"), skimage.data.camera().astype(np.float32) / 255)
    assert data.image("china").shape == (427, 640, 3)
    head = data.image("mri_head")
    assert head.shape == (256, 256)
    assert head[:8, :8].max() < 0.05 < head[100:150, 100:150].mean()  # air, and tissue


def test_digits_equal_scikit_learn():
    images, labels = data.digits()
    reference = load_digits()
    assert images.dtype == np.float32
    assert np.array_equal(images * 16, reference.images)
    assert np.array_equal(labels, reference.target)


def test_size_averages_and_keeps_the_aspect():
    full = data.image("chelsea")
    small = data.image("chelsea", size=45)
    assert small.shape == (30, 45, 3)
    assert data.image("chelsea", size=(20, 30)).shape == (20, 30, 3)
    assert abs(small.mean() - full.mean()) < 2e-3
    camera = data.image("camera")
    blocks = camera.reshape(64, 8, 64, 8).mean((1, 3))
    # a triangle of twice the block's width is close to the block's mean; a sampled pixel is not
    assert np.abs(data.image("camera", size=64) - blocks).mean() < 0.02
    assert np.abs(camera[::8, ::8] - blocks).mean() > 0.03


def test_gray_is_the_luminance():
    color = data.image("astronaut", size=(16, 16))
    expected = 0.2126 * color[..., 0] + 0.7152 * color[..., 1] + 0.0722 * color[..., 2]
    assert np.abs(data.image("astronaut", size=(16, 16), gray=True) - expected).max() < 1e-6
    assert data.image("camera", size=16, gray=True).shape == (16, 16)


def _pixels(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_eight_bit_files(tmp_path, suffix):
    pixels = _pixels((12, 9, 3), "uint8")
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    found = data.image(tmp_path / f"a{suffix}")
    assert np.array_equal(found, pixels.astype(np.float32) / 255)
    assert np.array_equal(found, data.image(str(tmp_path / f"a{suffix}")))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_files_keep_their_depth(tmp_path, suffix):
    pixels = _pixels((12, 9), "uint16")
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}")
    assert np.array_equal(data.image(tmp_path / f"a{suffix}"), pixels.astype(np.float32) / 65535)


def _png(pixels, color, *extra):
    """Encode 16 bits a channel by hand; see the PNG specification."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2").reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [(b"IHDR", header), *extra, (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in chunks
    )


@pytest.mark.parametrize(("color", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_deep_png_files_keep_all_their_bits(tmp_path, color, channels):
    pixels = _pixels((12, 9, channels), "uint16")
    (tmp_path / "a.png").write_bytes(_png(pixels, color))
    unit = pixels / 65535
    alpha = unit[..., -1:] if channels in (2, 4) else np.ones((12, 9, 1))
    seen = unit[..., :-1] if channels in (2, 4) else unit
    expected = (seen * alpha + 1 - alpha).reshape((12, 9, 3) if channels > 2 else (12, 9))
    assert np.abs(data.image(tmp_path / "a.png") - expected).max() < 1e-6


@pytest.mark.parametrize("color", [0, 2])
def test_one_value_may_be_the_transparent_one(tmp_path, color):
    pixels = _pixels((4, 5, 1 if color == 0 else 3), "uint16")
    key = (b"tRNS", pixels[1, 2].astype(">u2").tobytes())
    (tmp_path / "a.png").write_bytes(_png(pixels, color, key))
    expected = (pixels / 65535).astype(np.float32)
    expected[1, 2] = 1
    found = data.image(tmp_path / "a.png")
    assert np.abs(found - expected.reshape(found.shape)).max() < 1e-6


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("uint16", {"photometric": "rgb"}),
        ("uint16", {"photometric": "rgb", "compression": "zlib", "predictor": True}),
        ("uint16", {"photometric": "rgb", "byteorder": ">"}),
        ("uint16", {"photometric": "rgb", "tile": (16, 16)}),
        ("uint16", {"photometric": "minisblack"}),
        ("uint16", {"photometric": "miniswhite"}),
        ("uint8", {"photometric": "miniswhite"}),
        ("float32", {"photometric": "minisblack"}),
        ("float32", {"photometric": "minisblack", "byteorder": ">"}),
    ],
)
def test_tiff_files_keep_all_their_bits(tmp_path, dtype, options):
    shape = (20, 19, 3) if options["photometric"] == "rgb" else (20, 19)
    if dtype == "float32":
        pixels = np.random.default_rng(0).uniform(size=shape).astype(dtype)
        expected = pixels
    else:
        pixels = _pixels(shape, dtype)
        expected = pixels / np.iinfo(dtype).max
    expected = 1 - expected if options["photometric"] == "miniswhite" else expected
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    assert np.abs(data.image(tmp_path / "a.tif") - expected).max() < 1e-6


@pytest.mark.parametrize("dtype", ["int16", "uint32"])
def test_tiff_files_of_other_integers_are_refused(tmp_path, dtype):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), dtype), photometric="minisblack")
    with pytest.raises(ValueError, match="convert them to 16 bits or floats"):
        data.image(tmp_path / "a.tif")


def test_color_planes_of_16_bits_are_refused(tmp_path):
    planes = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 4, 4), np.uint16), **planes)
    with pytest.raises(ValueError, match="interleaved"):
        data.image(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_that_of_pillow(tmp_path, orientation):
    picture = Image.fromarray(_pixels((6, 10, 3), "uint8"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened)) / 255
    assert np.abs(data.image(tmp_path / "a.png") - expected).max() < 1e-6


def test_transparency_becomes_white(tmp_path):
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255  # opaque black above, nothing below
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = data.image(tmp_path / "a.png")
    assert found.shape == (4, 4, 3)
    assert found[:2].max() == 0
    assert found[2:].min() == 1


def test_palette_with_transparency(tmp_path):
    picture = Image.fromarray(np.repeat([[0, 1], [1, 0]], 2, axis=0).astype(np.uint8))
    picture = picture.convert("P")
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png", transparency=0)
    found = data.image(tmp_path / "a.png")
    assert np.array_equal(found[0, 0], [1, 1, 1])
    assert np.array_equal(found[0, 1], [0, 0, 1])


def test_numpy_files(tmp_path):
    values = np.random.default_rng(0).uniform(size=(5, 6))
    np.save(tmp_path / "a.npy", values)
    assert np.array_equal(data.image(tmp_path / "a.npy"), values.astype(np.float32))
    np.save(tmp_path / "b.npy", values > 0.5)
    assert np.array_equal(data.image(tmp_path / "b.npy"), values > 0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 4), np.nan), "must be finite"),
        (np.full((4, 4), 3.0), r"values in \[0, 1\]"),
        (np.zeros((4, 4), np.int32), "unsigned integers or floats"),
        (np.zeros((4, 4), complex), "unsigned integers or floats"),
        (np.zeros(4), r"shape \(h, w\)"),
        (np.zeros((2, 4, 4, 3)), r"shape \(h, w\)"),
        (np.zeros((1, 40)), "at least 2 pixels"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ValueError, match=message):
        data.image(tmp_path / "a.npy")


def test_nan_in_a_floating_tiff_is_refused(tmp_path):
    values = np.full((4, 4), 0.5, np.float32)
    values[1, 2] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        data.image(tmp_path / "a.tif")


def test_bad_names_and_files(tmp_path):
    with pytest.raises(ValueError, match=r"Did you mean camera.*astronaut"):
        data.image("camra")
    with pytest.raises(ValueError, match=r"must exist, got .*nothing\.png"):
        data.image(str(tmp_path / "nothing.png"))
    with pytest.raises(ValueError, match="the folder"):
        data.image(tmp_path)
    with pytest.raises(TypeError, match="a name or a path"):
        data.image(3)
    with pytest.raises(ValueError, match="height, width"):
        data.image("camera", size=(2, 3, 4))
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(ValueError, match=r"must be an image.*Accepted: PNG"):
        data.image(tmp_path / "a.png")
    (tmp_path / "a.npy").write_text("no array")
    with pytest.raises(ValueError, match="one NumPy array"):
        data.image(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ValueError, match="one NumPy array"):
        data.image(tmp_path / "b.npy")


def test_truncated_files_are_refused(tmp_path):
    Image.fromarray(_pixels((64, 64, 3), "uint8")).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="complete image"):
        data.image(tmp_path / "a.png")


@pytest.mark.parametrize("shape", [(6, 7), (6, 7, 1), (6, 7, 3)])
def test_saved_images_come_back(tmp_path, shape):
    values = np.random.default_rng(0).uniform(0, 1, shape)
    path = data.save_image(tmp_path / "a.png", values)
    expected = values.reshape((6, 7) if shape[-1] == 1 else shape)
    assert np.abs(data.image(path) - expected).max() <= 0.5 / 255 + 1e-6
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
    assert data.save_image(tmp_path / "b.jpg", values).exists()
    data.save_image(tmp_path / "c.npy", values)
    assert np.array_equal(np.load(tmp_path / "c.npy"), values)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".jpg"])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "uint32", ">u2"])
@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 3)])
def test_integers_keep_their_meaning(tmp_path, suffix, dtype, shape):
    top = 1 if dtype == "bool" else np.iinfo(dtype).max
    values = np.random.default_rng(0).integers(0, top, shape, endpoint=True).astype(dtype)
    if suffix == ".jpg":
        values[:] = top // 2  # a flat image has no losses
    path = tmp_path / f"a{suffix}"
    wide = top > 255
    if suffix == ".tif" and wide and len(shape) == 3:
        with pytest.raises(ValueError, match=r"8 bits for \.tif in color.*Write \.png"):
            data.save_image(path, values)
        return
    found = data.image(data.save_image(path, values))
    expected = (values / np.float64(top)).astype(np.float32)
    bits = 255 if suffix == ".jpg" else 65535 if wide else top
    assert found.shape == shape
    assert np.abs(found - expected).max() <= 0.5 / bits + 1e-7
    if suffix != ".jpg" and dtype != "uint32":
        assert np.array_equal(np.round(found * top).astype(np.int64), values.astype(np.int64))


def test_complex_images_are_written_by_magnitude(tmp_path):
    values = np.full((4, 4), 0.36 + 0.48j, np.complex64)
    assert np.abs(data.image(data.save_image(tmp_path / "a.png", values)) - 0.6).max() < 1e-6
    data.save_image(tmp_path / "a.npy", values)
    assert np.array_equal(np.load(tmp_path / "a.npy"), values)
    with pytest.raises(ValueError, match=r"Pass its magnitude, np\.abs\(x\)"):
        data.image(tmp_path / "a.npy")


def test_what_is_clipped_is_said(tmp_path):
    values = np.array([[-0.5, 0.5], [0.25, 3.0]])
    with pytest.warns(UserWarning, match=r"save_image: 50\.0% of array lies outside \[0, 1\]"):
        path = data.save_image(tmp_path / "a.png", values)
    assert np.abs(data.image(path) - np.clip(values, 0, 1)).max() < 0.5 / 255 + 1e-6
    data.save_image(path, np.array([[-1e-4, 1 + 1e-4], [0, 1]]))  # less than a gray level
    data.save_image(tmp_path / "a.npy", values)


def test_home_is_found_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert data.save_image("~/a.png", np.ones((4, 4))) == tmp_path / "a.png"
    for name in ("~/a.png", Path("~/a.png"), tmp_path / "a.png"):
        assert data.image(name).shape == (4, 4)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_saving_follows_the_file_mask(tmp_path):
    before = os.umask(0o027)
    try:
        path = data.save_image(tmp_path / "a.png", np.zeros((4, 4)))
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("a.xyz", np.zeros((4, 4)), r"end in one of \.png"),
        ("none/a.png", np.zeros((4, 4)), "folder that exists"),
        ("a.png", np.zeros(4), r"shape \(h, w\)"),
        ("a.png", np.full((4, 4), np.inf), "be finite"),
        ("a.png", np.ones((4, 4), np.int32), "unsigned integers or floats"),
        ("a.png", np.zeros((4, 4, 4)), "on a background"),
        ("a.png", np.ma.masked_less(np.ones((4, 4)), 2), "no masked entries"),
    ],
)
def test_what_cannot_be_saved_leaves_nothing(tmp_path, name, values, message):
    with pytest.raises(ValueError, match=message):
        data.save_image(tmp_path / name, values)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = data.save_image(tmp_path / "a.png", np.zeros((4, 4)))
    old = path.read_bytes()

    def broken(self, stream, **options):
        stream.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", broken)
    with pytest.raises(OSError, match="disk full"):
        data.save_image(path, np.ones((4, 4)))
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
