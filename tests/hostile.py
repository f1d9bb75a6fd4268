"""What tests of hostile files share: right files, loaders, and an ear for what a file does."""

import contextlib
import io
import os
import struct
import sys
from pathlib import Path

import h5py
import jax.numpy as jnp
import numpy as np
import pytest
from fuzz_values import time_limit
from PIL import Image

import jaxinv as ji

LOADERS = {"image": ji.data.image, "fastmri": ji.data.fastmri, "load": ji.unfolded.load}
MOST_MEMORY = 1.2 * 2**30
SUSPECT = (
    "import", "exec", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork",
    "pickle.find_class", "marshal.loads", "ctypes.dlopen", "socket.connect", "os.remove",
    "os.rename", "os.mkdir", "os.truncate", "os.chmod",
)  # fmt: skip
EVENTS: list | None = None
WARM: list = []


def _listen(event, arguments):
    if EVENTS is None:
        return
    if event in SUSPECT:
        EVENTS.append((event, str(arguments)[:80]))
    if event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        EVENTS.append(("open", os.fsdecode(arguments[0]), arguments[2]))


def loader(path):
    suffix = path.suffix
    return LOADERS["fastmri" if suffix == ".h5" else "load" if suffix == ".npz" else "image"]


def _peak():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


@contextlib.contextmanager
def watched(path):
    """Fail where a block runs, imports or touches anything but ``path``, or fills the memory."""
    global EVENTS
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before, EVENTS = _peak(), []
    try:
        with time_limit(30):
            yield
    finally:
        heard, EVENTS = EVENTS, None
    others = [event for event in heard if not (event[0] == "open" and _reads(event, path))]
    assert others == []
    assert _peak() - before < MOST_MEMORY


def _reads(event, path):
    written = isinstance(event[2], int) and event[2] & (os.O_WRONLY | os.O_RDWR)
    return event[1] == str(path) and not written


def refused(path, *messages):
    read = loader(path)
    with watched(path), pytest.raises(ValueError, match=r"must") as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{read.__name__}: ")
    assert not messages or any(message in text for message in messages), text


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _kspace(path):
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ones((2, 3, 4), np.complex64)


def network(path):
    ji.unfolded.save(path, ji.Layers.repeat(ji.solvers.ista(0.1, jnp.full(2, 0.2)), 2))


RIGHT = {
    "a.npy": lambda path: path.write_bytes(npy(np.ones((4, 4)))),
    "a.png": lambda path: Image.new("RGB", (4, 4)).save(path),
    "a.gif": lambda path: Image.new("P", (4, 4)).save(path),
    "a.tif": lambda path: Image.new("L", (4, 4)).save(path),
    "a.webp": lambda path: Image.new("L", (4, 4)).save(path),
    "a.bmp": lambda path: Image.new("L", (4, 4)).save(path),
    "a.jpg": lambda path: Image.new("L", (4, 4)).save(path),
    "a.h5": _kspace,
    "a.npz": network,
}


def warm(folder):
    """Import what the right files need, once, and listen from then on."""
    if not WARM:
        WARM.append(True)
        sys.addaudithook(_listen)
        for name, write in RIGHT.items():
            path = folder / name
            write(path)
            loader(path)(path)
            path.write_bytes(b"nonsense")
            with pytest.raises(ValueError, match=r"must"):
                loader(path)(path)


def npy_header(text, version=(1, 0)):
    width = "<H" if version == (1, 0) else "<I"
    content = text.encode()
    return b"\x93NUMPY" + bytes(version) + struct.pack(width, len(content)) + content


def described(descr, shape, order=False):
    return npy_header(repr({"descr": descr, "fortran_order": order, "shape": shape}) + "\n")


class Harm:
    def __reduce__(self):
        return os.system, ("touch harmed",)
