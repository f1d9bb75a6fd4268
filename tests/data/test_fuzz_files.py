"""Files with mutated bytes are read, or refused in one line; nothing else ever happens."""

import io

import h5py
import jax.numpy as jnp
import numpy as np
import pytest
from fuzz_values import time_limit
from PIL import Image

import jaxinv as ji

NUM_MUTATIONS, FEW = 2000, 150
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (5, 6, 3)).astype(np.uint8)
COLUMNS = np.array([True, True, False, True])
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x100000000)


def _picture(form, **options):
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, form, **options)
    return stream.getvalue()


def _palette():
    stream = io.BytesIO()
    Image.fromarray(PIXELS).convert("P").save(stream, "PNG", transparency=1)
    return stream.getvalue()


def _array(path):
    stream = io.BytesIO()
    np.save(stream, PIXELS / 255)
    path.write_bytes(stream.getvalue())


def _kspace(path):
    with h5py.File(path, "w", libver="latest" if path.name.startswith("new") else None) as file:
        file.create_dataset("kspace", data=np.ones((2, 3, 4), np.complex64), compression="gzip")
        file["mask"] = COLUMNS
        file["reconstruction_rss"] = np.ones((2, 3, 3), np.float32)
        file.attrs["max"] = 1.5


def _network(path):
    ji.unfolded.save(path, ji.Layers.repeat(ji.solvers.ista(0.1, jnp.full(2, 0.2)), 2))


def _deep(path):
    ji.data.save_image(path, PIXELS.astype(np.uint16) * 257)


FORMATS = {
    "array.npy": (_array, ji.data.image),
    "a.png": (lambda path: path.write_bytes(_picture("PNG")), ji.data.image),
    "palette.png": (lambda path: path.write_bytes(_palette()), ji.data.image),
    "deep.png": (_deep, ji.data.image),
    "a.jpg": (lambda path: path.write_bytes(_picture("JPEG")), ji.data.image),
    "a.tif": (lambda path: path.write_bytes(_picture("TIFF")), ji.data.image),
    "packed.tif": (
        lambda path: path.write_bytes(_picture("TIFF", compression="tiff_lzw")),
        ji.data.image,
    ),
    "a.bmp": (lambda path: path.write_bytes(_picture("BMP")), ji.data.image),
    "a.gif": (lambda path: path.write_bytes(_picture("GIF")), ji.data.image),
    "a.webp": (lambda path: path.write_bytes(_picture("WEBP")), ji.data.image),
    "old.h5": (_kspace, ji.data.fastmri),
    "new.h5": (_kspace, ji.data.fastmri),
    "net.npz": (_network, ji.unfolded.load),
}


def mutated(whole, rng):
    """Return bytes with one to four changes: bits, numbers, cuts, insertions, moved pieces."""
    content = bytearray(whole)
    for _ in range(rng.integers(1, 5)):
        # the first bytes hold the sizes
        length = len(content) if rng.random() < 0.5 else min(len(content), 64)
        place = int(rng.integers(0, max(length, 1)))
        kind = rng.integers(6)
        if kind == 0 and content:
            content[place] ^= 1 << int(rng.integers(8))
        elif kind == 1 and content:
            content[place] = int(rng.integers(256))
        elif kind == 2:
            width = int(rng.choice([1, 2, 4, 8]))
            number = int(rng.choice(NUMBERS)) % 256**width
            order = "little" if rng.random() < 0.5 else "big"
            content[place : place + width] = number.to_bytes(width, order)
        elif kind == 3:
            content = content[: place + 1]
        elif kind == 4:
            content[place:place] = rng.bytes(int(rng.integers(1, 9)))
        else:
            other = int(rng.integers(0, len(content) + 1))
            content[place : place + 8] = content[other : other + 8]
    return bytes(content)


def outcome(read, path):
    """Return what is wrong with what a loader makes of a file, or None."""
    try:
        with time_limit(20):
            read(path)
    except ValueError as error:
        text = str(error)
        if "\n" in text or not text.startswith(f"{read.__name__}: "):
            return f"no line of the loader's: {text}"
    except Exception as error:  # whatever else it is, it is the finding
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize(
    "count", [FEW, pytest.param(NUM_MUTATIONS, marks=pytest.mark.slow)], ids=["few", "many"]
)
@pytest.mark.parametrize("name", FORMATS)
def test_mutated_files_are_read_or_refused_in_one_line(tmp_path, name, count):
    make, read = FORMATS[name]
    path = tmp_path / name
    make(path)
    read(path)
    whole, rng = path.read_bytes(), np.random.default_rng(len(name))
    for number in range(count):
        path.write_bytes(mutated(whole, rng))
        found = outcome(read, path)
        assert found is None, f"mutation {number}: {found}"
