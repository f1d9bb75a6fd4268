"""The VAE of ``vae_training.py`` in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, softplus


def _layers(params: Any) -> torch.nn.ModuleList:
    made = torch.nn.ModuleList()
    for name in sorted(params):
        kernel, bias = (np.array(params[name][part]) for part in ("kernel", "bias"))
        layer = torch.nn.Linear(*kernel.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(kernel.T.copy()))
            layer.bias.copy_(torch.tensor(bias))
        made.append(layer)
    return made


class Vae(torch.nn.Module):
    """Softplus units, Bernoulli likelihood; returns the negative bound, mean over a batch."""

    def __init__(self, params: Any) -> None:
        super().__init__()
        self.encoder, self.decoder = _layers(params["encoder"]), _layers(params["decoder"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, log_std = _run(self.encoder, x).chunk(2, dim=1)
        log_std = log_std.clamp(-8.0, 4.0)
        z = mean + torch.exp(log_std) * torch.randn_like(mean)
        logits = _run(self.decoder, z)
        misfit = binary_cross_entropy_with_logits(logits, x, reduction="sum")
        divergence = (0.5 * (mean**2 + torch.exp(2 * log_std) - 1) - log_std).sum()
        return (misfit + divergence) / len(x)


def _run(layers: torch.nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
    for layer in layers[:-1]:
        x = softplus(layer(x))
    return layers[-1](x)


def trainer(params: Any, signals: Any, batch: int, *, compiled: bool) -> Callable[[int], float]:
    """Return a function that takes some steps and returns the last loss."""
    model: Any = Vae(params)
    data = torch.tensor(np.array(signals))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    run = torch.compile(model) if compiled else model

    def steps(num_steps: int) -> float:
        loss = torch.zeros(())
        for _ in range(num_steps):
            x = data[torch.randint(len(data), (batch,))]
            optimizer.zero_grad(set_to_none=True)
            loss = run(x)
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    return steps
