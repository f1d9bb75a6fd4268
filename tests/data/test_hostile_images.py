"""Images made to harm: nothing runs, no other file is touched, little memory is taken."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from hostile import RIGHT, Harm, described, loader, npy, npy_header, refused, warm, watched
from PIL import Image

import jaxinv as ji


@pytest.fixture(scope="module", autouse=True)
def ready(tmp_path_factory):
    warm(tmp_path_factory.mktemp("right"))


NPY = {
    "objects": npy(np.array([Harm()], object)),
    "a pickle": b"cos\nsystem\n(S'touch harmed'\ntR.",
    "begins with PK": b"PK\x03\x04" + bytes(100),
    "empty": b"",
    "only magic": b"\x93NUMPY",
    "unknown version": b"\x93NUMPY\x09\x00" + bytes(50),
    "broken header": npy_header("{'descr': '<f8', 'shape': (4, 4\n"),
    "unfinished text": npy_header("'''\n"),
    "deep header": npy_header("(" * 900 + ")" * 900),
    "deep minus": npy_header("-" * 9000 + "1"),
    "a call": npy_header("__import__('os').system('touch harmed')\n"),
    "long header": npy_header("{" + " " * 60000 + "}"),
    "not a dict": npy_header("[1]\n"),
    "60000 x 60000": described("<f8", (60000, 60000)),
    "floats of 4 times its size": described("|u1", (20000, 20000)),
    "huge sides": described("<f8", (2**62, 2**62)),
    "negative sides": described("<f8", (-4, -4)),
    "huge numbers": described("|V1000000000", (4, 4)),
    "nested fields": described([("a", "<f8", (1000, 1000, 1000))], (4, 4)),
    "texts": described("<U1000000", (1000, 1000)),
    "dates": described("<M8[s]", (4, 4)) + bytes(128),
    "cut": npy(np.ones((4, 4)))[:-1],
    "many empty rows": described("<f8", (0, 10**12)),
    "wide integers": npy_header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",)}"
    ),
}


@pytest.mark.parametrize("name", NPY)
def test_arrays(tmp_path, name):
    path = tmp_path / "a.npy"
    path.write_bytes(NPY[name])
    refused(path)


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width, height, depth, color, data, *extra):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + b"".join(extra) + _chunk(b"IDAT", data)
    return b"\x89PNG\r\n\x1a\n" + chunks + _chunk(b"IEND", b"")


def _zeros(size):
    packer, left = zlib.compressobj(9), size
    parts = []
    while left > 0:
        parts.append(packer.compress(bytes(min(left, 2**20))))
        left -= 2**20
    return b"".join([*parts, packer.flush()])


def _gif(width, height):
    stream = io.BytesIO()
    Image.new("P", (4, 4)).save(stream, "GIF")
    content = bytearray(stream.getvalue())
    content[6:10] = struct.pack("<HH", width, height)
    place = content.index(b"\x2c", 13)  # the frame
    content[place + 5 : place + 9] = struct.pack("<HH", width, height)
    return bytes(content)


def _tiff(*tags):
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4)


def _bmp(width, height):
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, *[0] * 6)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n(touch harmed) (w) file\nshowpage\n"
PICTURES = {
    "EPS named PNG": ("a.png", EPS),
    "EPS with a preview": (
        "a.tif",
        b"\xc5\xd0\xd3\xc6" + struct.pack("<6IH", 32, len(EPS), 0, 0, 0, 0, 0xFFFF) + b"  " + EPS,
    ),
    "PSD": (
        "a.png", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30000, 30000, 8, 3) + bytes(60)
    ),
    "SVG": ("a.png", b"<svg><image href='file:///etc/passwd'/></svg>"),
    "PDF": ("a.png", b"%PDF-1.4\n1 0 obj\n<< /JS (app.launchURL) >>\n"),
    "FLI": ("a.gif", bytes(4) + b"\x11\xaf" + bytes(200)),
    "177 megapixels": ("a.png", _png(13300, 13300, 8, 2, _zeros(2**20))),
    "177 megapixels of gray": ("a.png", _png(13300, 13300, 8, 0, _zeros(2**20))),
    "177 megapixels of bits": ("a.png", _png(13300, 13300, 1, 0, _zeros(2**20))),
    "2**31 a side": ("a.png", _png(2**31 - 1, 2**31 - 1, 8, 2, b"")),
    "no pixels": ("a.png", _png(0, 0, 8, 2, b"")),
    "text that expands": (
        "a.png", _png(4, 4, 8, 0, b"", _chunk(b"zTXt", b"a\0\0" + _zeros(2**27)))
    ),
    "profile that expands": (
        "a.png", _png(4, 4, 8, 0, b"", _chunk(b"iCCP", b"a\0\0" + _zeros(2**27)))
    ),
    "cut PNG": ("a.png", _png(4, 4, 8, 2, b"")[:40]),
    "GIF of 177 megapixels": ("a.gif", _gif(13300, 13300)),
    "GIF of 65535 a side": ("a.gif", _gif(65535, 65535)),
    "TIFF of itself": ("a.tif", b"II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 330, 4, 1, 8, 8)),
    "TIFF of 2**32 strips": (
        "a.tif",
        _tiff((256, 4, 1, 60000), (257, 4, 1, 60000), (258, 3, 1, 8), (259, 3, 1, 1),
              (262, 3, 1, 1), (273, 4, 2**32 - 1, 8)),
    ),
    "TIFF of 60000 a side": (
        "a.tif",
        _tiff((256, 4, 1, 60000), (257, 4, 1, 60000), (258, 3, 1, 8), (259, 3, 1, 1),
              (262, 3, 1, 1), (273, 4, 1, 8), (278, 4, 1, 60000), (279, 4, 1, 8)),
    ),
    "BMP of 2**31 rows": ("a.bmp", _bmp(2**31 - 1, -(2**31) + 1)),
    "BMP of 60000 a side": ("a.bmp", _bmp(60000, 60000)),
    "JPEG of 65535 a side": (
        "a.jpg",
        b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff"
        b"\x03\x01\x11\0\x02\x11\0\x03\x11\0\xff\xd9",
    ),
    "empty": ("a.png", b""),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(tmp_path, name):
    file, content = PICTURES[name]
    path = tmp_path / file
    path.write_bytes(content)
    refused(path)
    with watched(path), pytest.raises(ValueError, match=r"^image: "):  # also where it shrinks
        ji.data.image(path, size=64)


def test_a_large_webp_is_refused(tmp_path):
    whole = io.BytesIO()
    Image.new("RGB", (4, 4)).save(whole, "WEBP", lossless=True)
    content = bytearray(whole.getvalue())
    place = content.index(b"VP8L") + 9
    bits = int.from_bytes(content[place : place + 4], "little") & ~(2**28 - 1)
    content[place : place + 4] = (bits | 16382 | 16382 << 14).to_bytes(4, "little")
    path = tmp_path / "a.webp"
    path.write_bytes(bytes(content))
    refused(path)


def test_a_budget_can_be_raised(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(_png(2000, 2000, 1, 0, _zeros(2000 * 251)))
    with pytest.raises(ValueError, match=r"at most 1 MiB of memory, got .* Pass max_bytes=\d+"):
        ji.data.image(path, max_bytes=2**20)
    assert ji.data.image(path, size=20).shape == (20, 20)


@pytest.mark.parametrize("name", RIGHT)
def test_pipes_devices_and_folders_are_refused_at_once(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    refused(path, "named pipe")
    path.unlink()
    path.mkdir()
    refused(path, "the folder")
    path.rmdir()
    path.symlink_to("/dev/zero")
    refused(path, "the device")
    path.unlink()
    path.symlink_to(path.name)
    read = loader(path)
    with pytest.raises((ValueError, FileNotFoundError), match=rf"^{read.__name__}: "):
        read(path)
    for wrong in ("", "a\0b", "x" * 5000 + path.suffix, b"a.png", 3):
        with pytest.raises(
            (ValueError, TypeError, FileNotFoundError), match=r"^(image|fastmri|load): "
        ):
            read(wrong)
