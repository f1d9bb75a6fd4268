"""What benchmarks keep and count: files of results by device, and the work of a program."""

import importlib.util
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="no benchmarks/ here")


def load(name):
    """Import a file of ``benchmarks/``, which is no package."""
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_devices_and_parts_do_not_overwrite_each_other(tmp_path):
    results = load("_results")
    devices = ["NVIDIA H200", "nvidia-h200", "../../TPU v5", "cpu"]  # two of one slug; a path
    paths = [results.keep(tmp_path, "gpu", d, "kernels", {"x": i}) for i, d in enumerate(devices)]
    assert len(set(paths)) == 4
    assert all(path.parent == tmp_path for path in paths)
    assert results.keep(tmp_path, "gpu", "NVIDIA H200", "million", {"x": 9}) == paths[0]
    for i, (path, device) in enumerate(zip(paths, devices, strict=True)):
        parts = json.loads(path.read_text())["parts"]
        assert parts["kernels"]["x"] == i
        assert set(parts) == ({"kernels", "million"} if i == 0 else {"kernels"})
        assert results.read(path, device) == parts
    results.keep(tmp_path, "gpu", "NVIDIA H200", "kernels", {"x": 5})
    parts = results.read(paths[0], "NVIDIA H200")
    assert (parts["kernels"]["x"], parts["million"]["x"]) == (5, 9)
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        "[]",
        "null",
        '{"device_name": "cpu"}',
        '{"device_name": "cpu", "parts": {"kernels": 3}}',
        '{"device_name": ["cpu"], "parts": {}}',
        "__import__('os').abort()",
    ],
)
def test_a_file_that_is_no_result_is_left_alone(tmp_path, text):
    results = load("_results")
    path = tmp_path / "gpu-cpu.json"
    path.write_text(text)
    assert results.read(path, "cpu") is None
    kept = results.keep(tmp_path, "gpu", "cpu", "kernels", {"x": 1})
    assert kept == tmp_path / "gpu-cpu-2.json"
    assert path.read_text() == text
    assert results.keep(tmp_path, "gpu", "cpu", "sweeps", {"x": 2}) == kept


def test_work_counts_loops_as_often_as_they_turn_and_convolutions_by_their_taps():
    roofline = load("_roofline")
    x, weights = jnp.ones((4, 8)), jnp.ones((5, 8, 8))
    image, kernel = jnp.ones((1, 9, 9, 2)), jnp.ones((3, 3, 2, 6))

    def looped(weights, x):
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, weights)[0]

    def convolved(image, kernel):
        axes = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(image, kernel, (1, 1), "VALID", dimension_numbers=axes)

    work = roofline.work_of(looped, weights, x)
    assert work == (5 * 2 * 4 * 8 * 8, 5 * 4 * (4 * 8 + 8 * 8 + 4 * 8))
    work = roofline.work_of(convolved, image, kernel)
    assert work == (2 * 7 * 7 * 6 * (3 * 3 * 2), 4 * (9 * 9 * 2 + 3 * 3 * 2 * 6 + 7 * 7 * 6))
    square = jnp.eye(12)
    assert roofline.work_of(jnp.linalg.cholesky, square).operations == pytest.approx(12**3 / 3)
    share = roofline.shares(
        roofline.Work(600.0, 100.0), 2.0, {"gemm_flops": 1000.0, "copy_bytes_per_s": 200.0}
    )
    np.testing.assert_allclose([share["of_gemm"], share["of_bandwidth"]], [0.3, 0.25])
    assert share["bound"] == "GEMM rate"
