"""Deep decoder, U-net and DCGAN in PyTorch: the peers of ``untrained.py``.

Built the way their authors' code is (a 1 x 1 convolution before the upsampling, batch
normalization in training mode), from arrays in the layout of ``jaxinv``: channels last, kernels
(h, w, in, out). Statistics for evaluation are not tracked, which saves PyTorch a little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

Tree = Any  # nested dicts, tuples and arrays, as jaxinv keeps parameters


class Resize(nn.Module):
    """Bilinear interpolation to a fixed size."""

    def __init__(self, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(x, self.size, mode="bilinear", align_corners=False)


class Scale(nn.Module):
    """One scale of the U-net with all that lies below it."""

    def __init__(self, layers: Tree, below: nn.Module | None) -> None:
        super().__init__()
        self.skip = block(layers["skip"])
        self.down = block(layers["down"], 2)
        self.deep = block(layers["deep"])
        self.below = nn.Identity() if below is None else below
        self.join = norm(layers["join"])
        self.up = nn.Sequential(block(layers["up"]), block(layers["mix"]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        deep = self.below(self.deep(self.down(x)))
        size = x.shape[2:]
        deep = nn.functional.interpolate(deep, size, mode="bilinear", align_corners=False)
        return self.up(self.join(torch.cat([self.skip(x), deep], 1)))


def tensor(array: Any) -> torch.Tensor:
    """Return a copy in PyTorch."""
    return torch.tensor(np.array(array))


def norm(layer: Tree) -> nn.BatchNorm2d:
    """Return batch normalization, which for one image normalizes channels."""
    result = nn.BatchNorm2d(len(layer["scale"]), track_running_stats=False)
    result.weight.data, result.bias.data = tensor(layer["scale"]), tensor(layer["offset"])
    return result


def convolution(layer: Tree, stride: int = 1) -> nn.Conv2d:
    """Return a convolution that keeps the size / stride, padded by reflection."""
    kernel = tensor(layer["weight"])
    kernel = kernel[None, None] if kernel.ndim == 2 else kernel
    side, _, c_in, c_out = kernel.shape
    given: dict[str, Any] = {"padding": side // 2, "padding_mode": "reflect"} if side > 1 else {}
    result = nn.Conv2d(c_in, c_out, side, stride, bias="bias" in layer, **given)
    result.weight.data = kernel.permute(3, 2, 0, 1).contiguous()
    if result.bias is not None:
        result.bias.data = tensor(layer["bias"])
    return result


def transposed(layer: Tree, stride: int, padding: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution without bias."""
    kernel = tensor(layer["weight"]).permute(2, 3, 0, 1).contiguous()
    c_in, c_out, side, _ = kernel.shape
    result = nn.ConvTranspose2d(c_in, c_out, side, stride, padding, bias=False)
    result.weight.data = kernel
    return result


def block(layer: Tree, stride: int = 1) -> nn.Sequential:
    """Return convolution, norm and leaky ReLU."""
    return nn.Sequential(convolution(layer, stride), norm(layer), nn.LeakyReLU(0.2, inplace=True))


def deep_decoder(params: Tree, sizes: Sequence[Sequence[int]], start: Sequence[int]) -> nn.Module:
    """Return the deep decoder; no resizing where the size stays."""
    parts: list[nn.Module] = []
    for layer, before, size in zip(params, (start, *sizes), sizes, strict=False):
        parts.append(convolution(layer))
        if tuple(before) != tuple(size):
            parts.append(Resize(size))
        parts += [nn.ReLU(inplace=True), norm(layer)]
    return nn.Sequential(*parts, convolution(params[-1]), nn.Sigmoid())


def unet(params: Tree) -> nn.Module:
    """Return the deep image prior's U-net."""
    below = None
    for layers in reversed(params["scales"]):
        below = Scale(layers, below)
    assert below is not None
    return nn.Sequential(below, convolution(params["output"]), nn.Sigmoid())


def dcgan(params: Tree, stages: Sequence[tuple[int, int]]) -> nn.Module:
    """Return a DCGAN generator; ``stages`` holds stride and padding of every layer."""
    parts: list[nn.Module] = []
    for layer, (stride, padding) in zip(params, stages, strict=True):
        parts.append(transposed(layer, stride, padding))
        if "scale" in layer:
            parts += [norm(layer), nn.ReLU(inplace=True)]
    return nn.Sequential(*parts, nn.Tanh())


def trainers(
    make: Callable[[], nn.Module], z: Any, y: Any, rate: float, *, compiled: bool = False
) -> dict[str, Callable[[int], list[float]]]:
    """Return ``run(num_steps) -> losses`` for each way to train, format and number of threads.

    Args:
        make: builds the network, anew for every way to train it.
        z: input, (h, w, channels).
        y: image, (h, w, channels).
        rate: of Adam.
        compiled: also pass the network through ``torch.compile``, which takes minutes.
    """

    def trainer(memory: Any, threads: int, way: str) -> Callable[[int], list[float]]:
        model = make().to(memory_format=memory)  # pyright: ignore
        given, wanted = (
            tensor(array).permute(2, 0, 1)[None].contiguous(memory_format=memory)
            for array in (z, y)
        )
        apply = torch.compile(model, dynamic=False) if way == "compiled" else model
        optimizer = torch.optim.Adam(model.parameters(), rate, fused=way != "eager")

        def run(num_steps: int) -> list[float]:
            torch.set_num_threads(threads)
            losses = []
            for _ in range(num_steps):
                optimizer.zero_grad(set_to_none=True)
                loss = 0.5 * (apply(given) - wanted).square().sum()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
            return [float(loss) for loss in losses]

        return run

    torch._dynamo.config.recompile_limit = 64  # past it, what is called compiled runs eager
    formats = {"default": torch.contiguous_format, "channels last": torch.channels_last}
    ways = ("eager", "fused Adam", *(("compiled",) if compiled else ()))
    return {
        f"{way}, {name}, {threads} thread(s)": trainer(memory, threads, way)
        for name, memory in formats.items()
        for threads in sorted({1, torch.get_num_threads()})
        for way in ways
    }
