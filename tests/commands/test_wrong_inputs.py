"""Sixty things typed wrong: each ends in one line that says what was expected, and the way out."""

import numpy as np
import pytest

from jaxinv import data
from jaxinv.cli import main
from jaxinv.operators import coil_maps, fft2c

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Small files of every kind, right and wrong ones."""
    folder = tmp_path_factory.mktemp("files")
    image = data.image("camera", size=32)
    mask = RNG.random((32, 32)) < 0.5
    head = np.asarray(data.image("mri_head", size=(32, 32)))
    kspace, maps = np.asarray(fft2c(head)), np.asarray(coil_maps((32, 32), 4))
    pictures = {
        "photo": image, "mask": mask, "inverted": ~mask, "black": np.zeros((32, 32)),
        "white": np.ones((32, 32)), "wide": np.ones((32, 20)) * (RNG.random((32, 20)) < 0.5),
        "damaged": np.where(mask, image, 0), "color": RNG.random((32, 32, 3)),
        "tall": RNG.random((20, 32)),
    }  # fmt: skip
    for name, pixels in pictures.items():
        data.save_image(folder / f"{name}.png", np.asarray(pixels))
    arrays = {
        "kernel": np.ones((3, 3)) / 9, "zeros": np.zeros((3, 3)), "edges": -np.ones((3, 3)),
        "laplace": np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0.0]]), "row": np.ones(3) / 3,
        "large": np.ones((40, 40)), "list": image[mask], "short": image[mask][:-3],
        "nan": np.where(mask, image, np.nan), "kspace": kspace, "coils": fft2c(maps * head),
        "maps": maps, "three": maps[:3], "small": maps[:, :16, :16],
        "last": np.moveaxis(maps, 0, 2),
        "coils-last": np.moveaxis(np.asarray(fft2c(maps * head)), 0, 2), "head": head,
        "lines": np.ones(32) * (RNG.random(32) < 0.7), "few": np.ones(30),
        "minus": -np.ones((32, 32)),
        "object": np.array([1, "a"], object), "first": np.moveaxis(RNG.random((32, 32, 3)), 2, 0),
        "stack": np.ones((5, 32, 32, 3)), "no-k": np.zeros((32, 32), complex),
    }  # fmt: skip
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(values), allow_pickle=name == "object")
    np.savez(folder / "two.npz", a=image, b=image)
    (folder / "scan.mat").write_bytes(b"MATLAB 5.0")
    (folder / "text.png").write_bytes(b"no picture")
    (folder / "cut.npy").write_bytes((folder / "kspace.npy").read_bytes()[:200])
    (folder / "no.h5").write_bytes(b"\x89HDF no")
    (folder / "no.sqlite").write_bytes(b"no store")
    return folder


ROWS = """
reconstruct | MEASURED
reconstruct photo.png | --operator must be given, one of identity, mask, blur
reconstruct camera --operator identity | jaxinv simulate camera
reconstruct no.png --operator identity | Check the path
reconstruct photo.png --operator identty | Did you mean 'identity'?
reconstruct photo.png --operator inpainting | Did you mean 'mask'?
reconstruct photo.png --operator denoise | Did you mean 'identity'?
reconstruct photo.png --operator gaussian | jaxinv simulate has gaussian; own matrices
reconstruct photo.png --opertor identity | Did you mean --operator? See jaxinv reconstruct --help
reconstruct photo.png --operator identity --noise 0.1 | Did you mean --noise-std?
reconstruct photo.png --operator identity --noise-std 25 | For 25 of 255 pass 0.098
reconstruct photo.png --operator identity --noise-std 0.9 | the root mean square
reconstruct photo.png --operator identity --noise-std 0 | Leave it out to estimate it
reconstruct photo.png --operator identity --noise-std -1 | must be finite and > 0
reconstruct photo.png --operator identity --noise-std x | invalid float value: 'x'
reconstruct photo.png --operator identity --prior tvv | --prior must be one of auto,
reconstruct photo.png --operator identity --prior tv,dyp | Did you mean 'dip'?
reconstruct photo.png --operator identity --prior dip --starts 0 | --starts must be >= 1
reconstruct photo.png --operator identity --seed -1 | must be in [0, 2**32)
reconstruct photo.png --operator identity --mask mask.png | It is for mask, mri, multicoil
reconstruct photo.png --operator identity --out photo.png | be another file
reconstruct photo.png --operator identity --out a.gif | end in one of .png
reconstruct photo.png --operator identity --out no/a.png | Make no first
reconstruct photo.png --operator identity --plot a.jpg | --plot must end in .png, .pdf, .svg
reconstruct photo.png --operator identity --truth tall.png | 32 x 32, got 20 x 32
reconstruct photo.png --operator identity --truth color.png | save both in gray
reconstruct nan.npy --operator identity | use --operator mask
reconstruct kspace.npy --operator identity --slice 3 | It is for mri, multicoil
reconstruct scan.mat --operator identity | Save the array with numpy.save
reconstruct text.png --operator identity | Accepted: PNG
reconstruct cut.npy --operator identity | save it again
reconstruct object.npy --operator identity | Save the array with numpy.save
reconstruct photo.png --operator identity --max-bytes 99 | Pass --max-bytes
reconstruct photo.png --operator identity --max-bytes 0 | --max-bytes must be >= 1
reconstruct two.npz --operator identity | it holds a, b, and must hold one array or one named y
reconstruct no.h5 --operator mri | be a complete HDF5 file
reconstruct first.npy --operator identity | np.moveaxis(y, 0, -1)
reconstruct stack.npy --operator identity | Save one image of it
reconstruct damaged.png --operator mask | Pass --mask m.png
reconstruct damaged.png --operator mask --mask inverted.png | Invert it
reconstruct damaged.png --operator mask --mask black.png | White, or 1, is measured
reconstruct damaged.png --operator mask --mask white.png | use --operator identity
reconstruct damaged.png --operator mask --mask color.png | Save it as a gray picture
reconstruct damaged.png --operator mask --mask minus.npy | 1 is measured
reconstruct tall.png --operator mask --mask wide.png | One of the two is turned
reconstruct damaged.png --operator mask --mask wide.png | 32 x 32, got 32 x 20
reconstruct nan.npy --operator mask --mask inverted.png | Make the mask 0 there
reconstruct short.npy --operator mask --mask mask.png | the whole image, 0 or NaN else
reconstruct photo.png --operator blur | Pass --kernel k.npy
reconstruct photo.png --operator blur --kernel zeros.npy | check the file
reconstruct photo.png --operator blur --kernel edges.npy | is divided by its sum
reconstruct photo.png --operator blur --kernel laplace.npy | have a sum > 0, got 0
reconstruct photo.png --operator blur --kernel row.npy | np.outer(k, k)
reconstruct photo.png --operator blur --kernel large.npy | 32 x 32, got 40 x 40. Crop it to where
reconstruct photo.png --operator blur --kernel kernel.npy --boundary rap | Did you mean 'wrap'?
reconstruct photo.png --operator downsample | Pass --factor 2
reconstruct photo.png --operator downsample --factor 1 | --operator identity
reconstruct photo.png --operator downsample --factor 9999 | lower it
reconstruct photo.png --operator mri | save the complex array with numpy.save
reconstruct head.npy --operator mri | Real and imaginary part may also be the last axis
reconstruct no-k.npy --operator mri | check the file
reconstruct kspace.npy --operator mri --mask few.npy | got 30. It must be that of this scan
reconstruct kspace.npy --operator mri --mask wide.png | 32 x 32, or one entry a column, got 32 x 20
reconstruct kspace.npy --operator mri --kspace center | Did you mean 'centered'?
reconstruct coils.npy --operator mri | --operator multicoil
reconstruct kspace.npy --operator multicoil | One coil is --operator mri
reconstruct coils-last.npy --operator multicoil | np.moveaxis(y, -1, 0)
reconstruct coils.npy --operator multicoil --maps three.npy | k-space has 4 coils, the maps 3
reconstruct coils.npy --operator multicoil --maps small.npy | (4, 32, 32), got (4, 16, 16)
reconstruct coils.npy --operator multicoil --maps last.npy | np.moveaxis(maps, -1, 0)
reconstruct coils.npy --operator multicoil --real | left out without --maps
simulate kamera | got 'kamera'. Did you mean camera
simulate camera --ratio 1.5 | It is the number of measurements per pixel
simulate photo.png --operator identity | jaxinv reconstruct photo.png --operator identity
simulate camera --operator blr | Did you mean 'blur'?
simulate camera --sise 64 | Did you mean --size? See jaxinv simulate --help
simulate camera --snr 3 --noise-std 1 | --snr and --noise-std must not both be given
reconstrct photo.png | Did you mean reconstruct?
train alsta | Did you mean 'alista'?
train alista --layer 3 | Did you mean --layers? See jaxinv train --help
train alista --snr 0.01 | --snr must be in dB, from 1 to 200, got 0.01. 40
sweep lassso | Did you mean 'lasso'?
sweep lasso --trial 3 | Did you mean --trials? See jaxinv sweep --help
sweep lasso --time-limit soon | --time-limit must be a time > 0, as 3600, 90m or 1:30:00
reproduce noise-lw | Did you mean 'noise-law'?
reproduce noise-law --trails 9 | Did you mean --trials?
reproduce | jaxinv reproduce --list shows the names
store verfy a.sqlite | Did you mean verify?
store a.sqlite | choose from verify, merge, export
store verify none.sqlite | does not exist
store verify no.sqlite | no.sqlite
store export no.sqlite a.txt | .nc
"""
TABLE = [tuple(part.strip() for part in row.split("|")) for row in ROWS.strip().splitlines()]


@pytest.mark.parametrize(("typed", "way_out"), TABLE, ids=[row[0] for row in TABLE])
def test_a_wrong_input_ends_in_one_line_with_the_way_out(
    capsys, files, monkeypatch, typed, way_out
):
    monkeypatch.chdir(files)
    before = set(files.iterdir())
    try:
        code = main(typed.split())
    except SystemExit as ended:
        code = ended.code
    out, err = capsys.readouterr()
    assert code == 2
    assert way_out in err
    assert err.count("\n") == 1
    assert err.startswith("jaxinv")
    assert "Traceback" not in out + err
    assert not out
    assert set(files.iterdir()) == before
