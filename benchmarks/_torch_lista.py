"""LISTA-CP in PyTorch: the peer of ``lista_training.py`` and ``lista_networks.py``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch


class ListaCp(torch.nn.Module):
    """x ← soft(x + (y − x Aᵀ) W_t, exp(log θ_t)), signals as rows."""

    def __init__(self, matrix: Any, weights: Any, thresholds: Any) -> None:
        super().__init__()
        self.register_buffer("adjoint", torch.tensor(np.array(matrix)).T.contiguous())
        self.weights = torch.nn.ParameterList([torch.tensor(np.array(w)) for w in weights])
        logs = torch.tensor(np.log(np.array(thresholds)))
        self.log_thresholds = torch.nn.Parameter(logs)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        x = torch.zeros(y.shape[0], self.adjoint.shape[0])
        for weights, log_threshold in zip(self.weights, self.log_thresholds, strict=True):
            v = torch.addmm(x, torch.addmm(y, x, self.adjoint, alpha=-1), weights)
            threshold = torch.exp(log_threshold)
            x = v - torch.minimum(torch.maximum(v, -threshold), threshold)
        return x


class ListaCpNetworks(torch.nn.Module):
    """The same for networks side by side, batched by hand: arrays (networks, ...)."""

    def __init__(self, matrices: Any, weights: Any, thresholds: Any) -> None:
        super().__init__()
        adjoints = torch.tensor(np.array(matrices)).transpose(1, 2).contiguous()
        self.register_buffer("adjoints", adjoints)
        layers = np.array(weights).swapaxes(0, 1)
        self.weights = torch.nn.ParameterList([torch.tensor(w.copy()) for w in layers])
        logs = torch.tensor(np.log(np.array(thresholds)).T.copy())
        self.log_thresholds = torch.nn.Parameter(logs)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        x = torch.zeros(*y.shape[:2], self.adjoints.shape[1])
        for weights, log_threshold in zip(self.weights, self.log_thresholds, strict=True):
            v = torch.baddbmm(x, torch.baddbmm(y, x, self.adjoints, alpha=-1), weights)
            threshold = torch.exp(log_threshold)[:, None, None]
            x = v - torch.minimum(torch.maximum(v, -threshold), threshold)
        return x


def trainers(
    make: Callable[[], torch.nn.Module], y: Any, x: Any, rate: float
) -> dict[str, Callable[[int], Any]]:
    """Return ``run(num_steps) -> loss`` for each way to train, with one thread and with all.

    Of networks side by side, (networks, batch, ·), the losses of all are returned.
    """
    y, x = torch.tensor(np.array(y)), torch.tensor(np.array(x))
    axes = (-2, -1)
    energy = x.square().sum(axes)

    def trainer(compiled: bool, fused: bool, threads: int) -> Callable[[int], Any]:
        model = make()
        apply = torch.compile(model, dynamic=False) if compiled else model
        optimizer = torch.optim.Adam(model.parameters(), rate, fused=fused)

        def run(num_steps: int) -> Any:
            torch.set_num_threads(threads)
            loss = torch.zeros(())
            for _ in range(num_steps):
                optimizer.zero_grad(set_to_none=True)
                loss = torch.log((apply(y) - x).square().sum(axes) / energy)
                loss.sum().backward()
                optimizer.step()
            return loss.detach().tolist()

        return run

    torch._dynamo.config.recompile_limit = 64  # past it, what is called compiled runs eager
    ways = {"eager": (False, False), "fused Adam": (False, True), "compiled": (True, True)}
    return {
        f"{way}, {threads} thread(s)": trainer(*switches, threads)
        for way, switches in ways.items()
        for threads in sorted({1, torch.get_num_threads()})
    }
