"""HDF5 files made to harm: no other file is opened, and sizes are looked at first."""

import h5py
import numpy as np
import pytest
from hostile import refused, warm


@pytest.fixture(scope="module", autouse=True)
def ready(tmp_path_factory):
    warm(tmp_path_factory.mktemp("right"))


def _raw(file, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(8 * 24))
    file.create_dataset(
        "kspace", (2, 3, 4), np.complex64, external=[(str(tmp_path / "secret"), 0, 192)]
    )


def _virtual(file, tmp_path):
    with h5py.File(tmp_path / "other", "w") as other:
        other["kspace"] = np.ones((2, 3, 4), np.complex64)
    layout = h5py.VirtualLayout((2, 3, 4), np.complex64)
    layout[:] = h5py.VirtualSource(tmp_path / "other", "kspace", (2, 3, 4))
    file.create_virtual_dataset("kspace", layout)


def _external(file, tmp_path):
    with h5py.File(tmp_path / "other", "w") as other:
        other["kspace"] = np.ones((2, 3, 4), np.complex64)
    file["kspace"] = h5py.ExternalLink(str(tmp_path / "other"), "/kspace")


def _soft_external(file, tmp_path):
    _external(file, tmp_path)
    file.move("kspace", "away")
    file["kspace"] = h5py.SoftLink("/away")


def _external_group(file, tmp_path):
    _external(file, tmp_path)
    file.move("kspace", "mask")
    file["kspace"] = np.ones((2, 3, 4), np.complex64)


def _set(**fields):
    def write(file, _):
        for name, values in fields.items():
            file[name] = values

    return write


def _large(name, shape, dtype, **options):
    def write(file, _):
        if name != "kspace":
            file["kspace"] = np.ones((2, 3, 4), np.complex64)
        file.create_dataset(name, shape, dtype, **options)

    return write


def _strings(name, **options):
    return _large(name, (2, 3, 4), h5py.string_dtype(), **options)


def _unknown_filter(file, _):
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((2, 3, 4))
    plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, ())  # zstd, a library to be loaded
    space = h5py.h5s.create_simple((2, 3, 4))
    kind = h5py.h5t.py_create(np.dtype(np.complex64))
    h5py.h5d.create(file.id, b"kspace", kind, space, plist)


HDF5 = {
    "external link": _external,
    "link to a link": _soft_external,
    "a mask elsewhere": _external_group,
    "soft link": lambda file, _: file.__setitem__("kspace", h5py.SoftLink("/kspace")),
    "raw storage elsewhere": _raw,
    "virtual data set": _virtual,
    "60000 x 60000": _large("kspace", (2, 60000, 60000), np.complex64),
    "2**40 entries": _large("kspace", (2, 2**20, 2**20), np.complex64, chunks=(1, 64, 64)),
    "a bomb": _large(
        "kspace", (1, 20000, 20000), np.complex64, chunks=(1, 20000, 20000), compression="gzip"
    ),
    "a large mask": _large("mask", (60000, 60000), np.float32),
    "a large target": _large("reconstruction_rss", (2, 60000, 60000), np.float32),
    "a group": _set(**{"kspace/a": 1.0}),
    "texts": _strings("kspace"),
    "target of texts": _strings("reconstruction_rss"),
    "mask of texts": _large("mask", (4,), h5py.string_dtype()),
    "no axes": _set(kspace=np.complex64(1)),
    "nothing in it": lambda file, _: file.__setitem__("kspace", h5py.Empty("c8")),
    "references": _large("reconstruction_rss", (2, 3, 4), h5py.ref_dtype),
    "unknown filter": _unknown_filter,
    "fields": _large("kspace", (2, 3, 4), np.dtype([("a", "f4"), ("b", "f4")])),
    "ragged": _large("kspace", (2, 3, 4), h5py.vlen_dtype(np.float32)),
    "infinite": _set(kspace=np.full((2, 3, 4), np.inf, np.complex64)),
}


@pytest.mark.parametrize("name", HDF5)
def test_hdf5(tmp_path, name):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        HDF5[name](file, tmp_path)
    refused(path)
