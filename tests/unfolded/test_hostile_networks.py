"""Networks made to harm: nothing is imported or run, whatever the header says."""

import hashlib
import io
import json
import struct
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from hostile import Harm, described, network, npy, refused, warm, watched

import jaxinv as ji

OTHER = ji.Layers.repeat(ji.solvers.ista(0.1, jnp.full(3, 0.2)), 2)


@pytest.fixture(scope="module", autouse=True)
def ready(tmp_path_factory):
    warm(tmp_path_factory.mktemp("right"))


def _arrays(path):
    with np.load(path) as file:
        arrays = dict(file)
    return json.loads(str(arrays.pop("header"))), arrays


def _sealed(header, arrays):
    """Return the file of a header and arrays, its checksum right: whoever makes it can do that."""
    header = {key: value for key, value in header.items() if key != "checksum"}
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    stream = io.BytesIO()
    text = np.asarray(json.dumps({**header, "checksum": digest.hexdigest()}))
    np.savez(stream, header=text, **arrays)
    return stream.getvalue()


def _renamed(header, name):
    header["network"]["fields"]["solver"]["class"] = name
    return header


def _field(name, value):
    def write(header, arrays):
        header["network"]["fields"][name] = value
        return _sealed(header, arrays)

    return write


def _structure(tree):
    return lambda header, arrays: _sealed({**header, "network": tree}, arrays)


def _zip(*members, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def _deep(depth):
    text = "[" * depth + "]" * depth
    return _zip(("header.npy", npy(np.asarray(text))))


def _of(*names):
    return [
        lambda header, arrays, name=name: _sealed(_renamed(header, name), arrays) for name in names
    ]


def _bomb(header, arrays):
    del header, arrays
    zeros = described("<f8", (2**22,)) + bytes(2**25)
    names = [f"array{i}.npy" for i in range(4)]
    return _zip(
        ("header.npy", zeros), *((name, zeros) for name in names), compression=zipfile.ZIP_DEFLATED
    )


def _declared(header, arrays):
    whole = bytearray(_sealed(header, arrays))
    place = whole.index(b"PK\x01\x02")
    whole[place + 20 : place + 28] = struct.pack("<II", 2**32 - 2, 2**32 - 2)
    return bytes(whole)


def _changed(header, arrays):
    changed = {name: value + 1 for name, value in arrays.items()}
    stream = io.BytesIO()
    np.savez(stream, header=np.asarray(json.dumps(header)), **changed)
    return stream.getvalue()


NETWORKS = [
    *_of("jaxinv.__main__:X", "os:system", "jaxinv.unfolded._coupled:Coupled", "solvers.Nothing",
         "__import__('os').system('touch harmed')", "solvers.Ista.__init__", "", None, 3, [], {}),
    _structure({"class": "operators.Dense", "fields": {}}),
    _structure({"class": "operators.Dense"}),
    _structure({"array": "array99"}),
    _structure({"array": "../../etc/passwd"}),
    _structure({"float": "nonsense"}),
    _structure({"pickle": "cos\nsystem\n(S'touch harmed'\ntR."}),
    _structure({"tuple": 3}),
    _structure({}),
    _structure("text"),
    _structure({"class": "solvers.Ista", "fields": {"step_size": 1}}),
    _field("solver", 3),
    _field("axes", [["step_size", 0]]),
    _field("axes", {"tuple": [{"tuple": ["none", 0]}]}),
    _field("trainable", {"tuple": ["__class__"]}),
    _field("num_layers", "many"),
    lambda header, arrays: _sealed({**header, "format": 10**30}, arrays),
    lambda header, arrays: _sealed({**header, "bfloat16": ["none"]}, arrays),
    lambda header, arrays: _sealed({**header, "leaves": 3}, arrays),
    lambda *_: _deep(900),
    lambda *_: _deep(100_000),
    lambda *_: _zip(("header.npy", npy(np.asarray("{" * 10)))),
    lambda *_: _zip(("header.npy", npy(np.asarray("9" * 10_000)))),
    lambda *_: _zip(("header.npy", described("<U4000000", (1000,)))),
    lambda *_: _zip(("header.npy", npy(np.array([Harm()], object)))),
    lambda *_: _zip(("../harmed.npy", b"x"), ("header.npy", b"x")),
    lambda *_: _zip(),
    lambda *_: b"PK\x05\x06" + bytes(18),
    lambda *_: b"PK\x05\x06" + bytes(4) + struct.pack("<IIIH", 2**32 - 1, 2**32 - 1, 0, 0),
    lambda *_: b"",
    _bomb,
    _declared,
    _changed,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(NETWORKS)))
def test_networks(tmp_path, number):
    path = tmp_path / "a.npz"
    network(path)
    path.write_bytes(NETWORKS[number](*_arrays(path)))
    refused(path)
    with watched(path), pytest.raises((ValueError, TypeError), match=r"^load: "):
        ji.unfolded.load(path, like=OTHER)
