"""``jaxinv reconstruct``: files become measurements and an operator; walks from an empty folder."""

import json
import zipfile

import jax
import numpy as np
import pytest
import scipy.ndimage

from jaxinv import data, metrics, operators
from jaxinv._commands._measured import given
from jaxinv.cli import _parser, main
from jaxinv.data._arrays import read_array

SIZE = (32, 32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(line):
    """Return what a command line's files hold."""
    return given(_parser().parse_args(["reconstruct", *line.split()]))


def run(capsys, line):
    """Return what a right command prints."""
    assert main(["reconstruct", *line.split()]) == 0
    out, err = capsys.readouterr()
    assert not err
    return out


def camera(size=SIZE):
    return data.image("camera", size=size)


def head(size=SIZE):
    """An image without symmetry, of odd sides where asked."""
    return np.asarray(data.image("mri_head", size=size)) + 0j


def lines(size=SIZE):
    return np.asarray(operators.fourier_lines(jax.random.key(1), size, 2, 0.2))


def numpy_kspace(x):
    return np.fft.fft2(x, norm="ortho")


def test_values_of_pixels(folder):
    pixels = np.round(camera() * 255).astype(np.uint8)
    np.save("a.npy", pixels)
    np.savez_compressed("a.npz", other=np.ones(3), y=pixels / 255)
    data.save_image("a.png", pixels)
    data.save_image("rgb.png", np.repeat(pixels[..., None], 3, axis=-1))
    for name in ("a.npy", "a.npz", "a.png", "rgb.png"):
        found = read(f"{name} --operator identity")
        np.testing.assert_allclose(found.y, pixels / 255, atol=1e-6)
        assert found.is_picture == (name != "a.npz")
    assert "channels are equal" in found.notes[0]
    assert "divided by 255" in read("a.npy --operator identity").notes[0]


def test_a_mask_by_picture_list_and_nan(folder):
    x = camera()
    mask = np.random.default_rng(0).random(SIZE) < 0.5
    color = np.stack([x, x**2, x**3], axis=-1)
    data.save_image("m.png", mask)
    data.save_image("soft.png", np.where(mask, 0.9, 0.2))
    np.save("whole.npy", x)
    np.save("list.npy", x[mask])
    np.save("nan.npy", np.where(mask, x, np.nan))
    np.save("color.npy", np.where(mask[..., None], color, np.nan))
    np.save("color-list.npy", color[mask])
    given_lines = {
        "whole.npy --mask m.png": x, "list.npy --mask m.png": x, "nan.npy": x,
        "nan.npy --mask soft.png": x, "color.npy --mask m.png": color, "color.npy": color,
        "color-list.npy --mask m.png": color,
    }  # fmt: skip
    for line, image in given_lines.items():
        found = read(f"{line} --operator mask")
        shown = mask if image.ndim == 2 else mask[..., None]
        np.testing.assert_array_equal(found.y, np.where(shown, image, 0), line)
        np.testing.assert_array_equal(found.operator.mask, mask)
        assert found.shape == image.shape
    assert "not used" in read("whole.npy --operator mask --mask m.png").notes[0]
    (note,) = read("nan.npy --operator mask --mask soft.png").notes
    assert "(2 in all): above 0.451, half of the largest" in note


@pytest.mark.parametrize(
    ("boundary", "mode"), [("reflect", "reflect"), ("wrap", "wrap"), ("zero", "constant")]
)
def test_a_blur_is_that_of_scipy_with_a_kernel_of_sum_1(folder, boundary, mode):
    x = camera()
    kernel = np.array([[1.0, 2, 0], [4, 5, 6], [0, 1, 9]])
    blurred = scipy.ndimage.convolve(x, kernel / kernel.sum(), mode=mode)
    np.save("k.npy", kernel)
    np.save("b.npy", blurred)
    asked = "" if boundary == "reflect" else f"--boundary {boundary}"
    found = read(f"b.npy --operator blur --kernel k.npy {asked}")
    np.testing.assert_allclose(found.operator @ x, blurred, atol=1e-5)
    assert "sum 28" in found.notes[0]
    cut = read("b.npy --operator blur --kernel k.npy --boundary valid")
    assert cut.shape == (34, 34)
    assert cut.operator.out_shape == SIZE


def test_a_small_picture_is_of_averages(folder):
    x = np.random.default_rng(0).random((32, 48, 3))
    np.save("s.npy", x.reshape(16, 2, 24, 2, 3).mean(axis=(1, 3)))
    found = read("s.npy --operator downsample --factor 2")
    assert found.shape == (32, 48, 3)
    np.testing.assert_allclose(found.operator @ x[..., 1], found.y[..., 1], atol=1e-6)


@pytest.mark.parametrize("size", [(32, 32), (33, 31)])
@pytest.mark.parametrize("with_mask", [False, True])
def test_layouts_of_kspace_lead_to_the_same(folder, size, with_mask):
    x, mask = head(size), lines(size)
    kept = mask if with_mask else np.ones(size, bool)
    corner = np.fft.ifftshift(kept) * numpy_kspace(x)
    layouts = {
        "centered": (kept * np.asarray(operators.fft2c(x)), kept),
        "corner": (corner, np.fft.ifftshift(kept)),
        "shifted": (np.fft.fftshift(corner), kept),
        "shifted-corner": (np.fft.ifftshift(kept * operators.fft2c(x)), np.fft.ifftshift(kept)),
    }
    for name, (kspace, of_kspace) in layouts.items():
        layout = name.partition("-")[0]
        np.save(f"{name}.npy", kspace)
        np.save("m.npy", of_kspace)
        masked = " --mask m.npy" if with_mask else ""
        auto = "" if layout == "shifted" else f"{name}.npy --operator mri{masked}"
        for line in (f"{name}.npy --operator mri --kspace {layout}{masked}", auto):
            if line:
                with np.errstate(all="raise"):
                    found = _quiet(line)
                np.testing.assert_allclose(found.operator @ x, found.y, atol=1e-4, err_msg=line)
                np.testing.assert_array_equal(found.operator.mask, kept, line)
    assert any("in the corner" in note for note in _quiet("corner.npy --operator mri").notes)
    assert any("--kspace shifted" in note for note in _quiet("shifted.npy --operator mri").notes)
    assert not any("kspace" in note for note in _quiet("centered.npy --operator mri").notes)


def _quiet(line):
    """Read; a mask of all k-space warns."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return read(line)


def test_a_mask_with_its_frequency_0_elsewhere_is_turned(folder):
    x, mask = head(), lines()
    np.save("y.npy", operators.fft2c(x))
    for name, one in {"m": mask[0], "corner": np.fft.ifftshift(mask[0]), "whole": mask}.items():
        np.save("m.npy", one)
        found = read("y.npy --operator mri --mask m.npy")
        np.testing.assert_array_equal(found.operator.mask, mask)
        assert any("halves were exchanged" in note for note in found.notes) == (name == "corner")
        assert found.text == f"{mask[0].sum()} of 32 columns of k-space"


def test_coils(folder):
    x, mask = head(), lines()
    maps = np.asarray(operators.coil_maps(SIZE, 3))
    kspace = np.where(mask, operators.fft2c(maps * x), 0)
    np.savez("y.npz", kspace=kspace, more=np.ones(2))
    np.save("pairs.npy", np.stack([np.real(maps), np.imag(maps)], axis=-1))
    found = read("y.npz --operator multicoil --maps pairs.npy")
    np.testing.assert_allclose(found.operator @ x, kspace, atol=1e-4)
    assert found.shape == SIZE
    assert read("y.npz --operator multicoil").shape == (3, *SIZE)


def test_a_scan_of_fastmri(folder):
    h5py = pytest.importorskip("h5py")
    x, mask = head(), lines()
    kspace = np.where(mask, operators.fft2c(x), 0).astype(np.complex64)
    with h5py.File("s.h5", "w") as file:
        file["kspace"] = np.stack([0 * kspace + 1, 3 * kspace, kspace])
        file["mask"] = mask[0]
    found = read("s.h5 --operator mri --slice -1")
    np.testing.assert_allclose(found.y, kspace)
    np.testing.assert_array_equal(found.operator.mask, mask)
    np.testing.assert_allclose(read("s.h5 --operator mri").y, 3 * kspace)


def test_hostile_archives_are_refused_before_they_take_memory(folder):
    with zipfile.ZipFile("bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000, 100000), }"
        start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        archive.writestr("y.npy", start + bytes(10**6))
    with zipfile.ZipFile("lzma.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("y.npy", b"x")
    with zipfile.ZipFile("object.npz", "w") as archive, archive.open("y.npy", "w") as member:
        np.save(member, np.array([print], object))
    words = {"bomb": "MiB of memory", "lzma": "another way than NumPy", "object": "no numbers"}
    for name, text in words.items():
        with pytest.raises(ValueError, match=text):
            read_array("f", "path", f"{name}.npz")


def test_a_walk_prints_and_writes_what_was_asked(capsys, folder):
    x = camera()
    mask = np.random.default_rng(1).random(SIZE) < 0.5
    data.save_image("x.png", x)
    data.save_image("y.png", np.where(mask, x, 0))
    data.save_image("m.png", mask)
    line = "y.png --operator mask --mask m.png --prior tv --truth x.png --out e.png"
    before = set(folder.iterdir())
    out = run(capsys, line)
    assert "image: e.png" in out
    assert "kept: tv" in out
    assert set(folder.iterdir()) - before == {folder / "e.png"}
    found = json.loads(run(capsys, f"{line} --json"))
    estimate, true = data.image("e.png"), data.image("x.png")
    assert abs(found["scores"]["psnr"] - float(metrics.psnr(estimate, true))) < 0.1
    assert found["scores"]["psnr"] > found["scores"]["input_psnr"] + 5
    assert (found["chosen"], found["files"]) == ("tv", {"image": "e.png"})
    assert f"PSNR {found['scores']['psnr']:.2f} dB" in out


WALKS = {
    "noisy.png --operator identity --noise-std 0.1": 5.0,
    "masked.png --operator mask --mask mask.png": 10.0,
    "blurred.png --operator blur --kernel kernel.npy": 1.0,
    "small.png --operator downsample --factor 2": 1.0,
    "kspace.npy --operator mri --mask lines.npy --real": 0.0,
    "coils.npz --operator multicoil --maps maps.npy": 1.0,
    "coils.npz --operator multicoil --mask lines.npy --prior tv": None,
}


@pytest.mark.slow
@pytest.mark.parametrize("line", WALKS)
def test_walks(capsys, folder, line):
    size, rng = (64, 64), np.random.default_rng(0)
    x, scan, mask = camera(size), head(size).real, rng.random((64, 64)) < 0.4
    kernel = np.outer(*[np.exp(-(np.arange(-3, 4) ** 2) / 3)] * 2)
    kernel /= kernel.sum()
    blurred = scipy.ndimage.convolve(x, kernel, mode="reflect") + 0.005 * rng.normal(size=size)
    pictures = {
        "x": x, "noisy": x + 0.1 * rng.normal(size=size), "masked": np.where(mask, x, 0),
        "mask": mask, "blurred": blurred, "small": x.reshape(32, 2, 32, 2).mean(axis=(1, 3)),
    }  # fmt: skip
    for name, pixels in pictures.items():
        data.save_image(f"{name}.png", pixels if name == "mask" else np.clip(pixels, 0, 1))
    maps = np.asarray(operators.coil_maps(size, 4))
    kept = lines(size)
    arrays = {
        "head": scan, "kernel": kernel, "lines": kept[0], "maps": maps,
        "kspace": np.where(kept, operators.fft2c(scan), 0),
    }  # fmt: skip
    for name, values in arrays.items():
        np.save(f"{name}.npy", values)
    np.savez("coils.npz", kspace=np.where(kept, operators.fft2c(maps * scan), 0))
    true = "x.png" if ".png" in line else "head.npy"
    gain = WALKS[line]
    scored = "" if gain is None else f"--truth {true}"
    found = json.loads(run(capsys, f"{line} {scored} --out e.npy --plot f.png --json"))
    scores = found["scores"]
    assert gain is None or scores["psnr"] > scores["input_psnr"] + gain
    assert found["chosen"] in {one["name"] for one in found["candidates"]}
    assert np.load("e.npy").shape == tuple(found["shape"])
    assert (folder / "f.png").read_bytes().startswith(b"\x89PNG")


def test_a_mask_with_holes_is_told_from_one_of_scattered_pixels(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    np.save("photo.npy", np.random.default_rng(0).random((64, 64)) + 0.1)
    for share in (0.05, 0.3, 0.6, 0.9):
        np.save("mask.npy", np.random.default_rng(1).random((64, 64)) < share)
        notes = read("photo.npy --operator mask --mask mask.npy").notes
        assert not any("holes" in note for note in notes)
    mask = np.ones((64, 64))
    mask[20:28, 10:50] = 0
    np.save("mask.npy", mask)
    notes = read("photo.npy --operator mask --mask mask.npy").notes
    assert any("holes" in note for note in notes)
