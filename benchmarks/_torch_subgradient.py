"""Algorithm 1 in PyTorch, batched over trials: the peer of ``phase_diagram.py``.

Each variant makes one step with the negation test for a batch of trials: both signs forward,
the better one backward, by hand. The first layer is applied once, since W(−u) = −W u.
Weights W1 (B, n1, k), W2 (B, n2, n1), A (B, m, n2); y (B, m); u (B, k).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

Tensors = tuple[torch.Tensor, ...]


def step_rows(weights: Tensors, u: torch.Tensor, step_size: float) -> Any:
    """Both signs as two rows that multiply transposed weights from the left."""
    w1, w2, a, y = weights
    h = torch.bmm(u[:, None, :], w1.transpose(1, 2))
    h1 = torch.relu(torch.cat([h, -h], 1))
    h2 = torch.relu(torch.bmm(h1, w2.transpose(1, 2)))
    r = torch.bmm(h2, a.transpose(1, 2)) - y[:, None, :]
    losses = 0.5 * r.square().sum(2)
    flip = (losses[:, 1] < losses[:, 0])[:, None]
    h1, h2, r = (torch.where(flip, t[:, 1], t[:, 0]) for t in (h1, h2, r))
    return _descend(weights, u, h1, h2, r, flip, losses, step_size)


def step_columns(weights: Tensors, u: torch.Tensor, step_size: float) -> Any:
    """Both signs as two columns."""
    w1, w2, a, y = weights
    h = torch.bmm(w1, u[:, :, None])
    h1 = torch.relu(torch.cat([h, -h], 2))
    h2 = torch.relu(torch.bmm(w2, h1))
    r = torch.bmm(a, h2) - y[:, :, None]
    losses = 0.5 * r.square().sum(1)
    flip = (losses[:, 1] < losses[:, 0])[:, None]
    h1, h2, r = (torch.where(flip, t[:, :, 1], t[:, :, 0]) for t in (h1, h2, r))
    return _descend(weights, u, h1, h2, r, flip, losses, step_size)


def step_twice(weights: Tensors, u: torch.Tensor, step_size: float) -> Any:
    """One matrix-vector product per sign."""
    w1, w2, a, y = weights
    h = torch.bmm(w1, u[:, :, None])
    both = []
    for signed in (h, -h):
        h1 = torch.relu(signed)
        h2 = torch.relu(torch.bmm(w2, h1))
        both.append((h1[..., 0], h2[..., 0], torch.bmm(a, h2)[..., 0] - y))
    losses = 0.5 * torch.stack([r.square().sum(1) for _, _, r in both], 1)
    flip = (losses[:, 1] < losses[:, 0])[:, None]
    h1, h2, r = (torch.where(flip, t1, t0) for t0, t1 in zip(*both, strict=True))
    return _descend(weights, u, h1, h2, r, flip, losses, step_size)


def _descend(
    weights: Tensors,
    u: torch.Tensor,
    h1: torch.Tensor,
    h2: torch.Tensor,
    r: torch.Tensor,
    flip: torch.Tensor,
    losses: torch.Tensor,
    step_size: float,
) -> Any:
    w1, w2, a, _ = weights
    g = torch.bmm(r[:, None, :], a) * (h2 > 0)[:, None, :]
    g = torch.bmm(g, w2) * (h1 > 0)[:, None, :]
    g = torch.bmm(g, w1)[:, 0]
    loss = torch.where(flip[:, 0], losses[:, 1], losses[:, 0])
    return torch.where(flip, -u, u) - step_size * g, loss


STEPS: dict[str, Callable[..., Any]] = {
    "rows": step_rows,
    "columns": step_columns,
    "twice": step_twice,
}


def compiled(step: Callable[..., Any], example: tuple[Any, ...]) -> Callable[..., Any] | None:
    """Return the step under ``torch.compile``, or None where no compiler works."""
    try:
        torch._dynamo.config.recompile_limit = 64  # one program per batch and number of threads
        result = torch.compile(step, dynamic=False)
        result(*example)
    except Exception as error:  # any failure of the compiler's tool chain
        print(f"  torch.compile does not work here: {type(error).__name__}")
        return None
    return result


def descend(
    step: Callable[..., Any],
    weights: Tensors,
    u0: torch.Tensor,
    step_size: float,
    num_steps: int,
    *,
    block: int,
    num_threads: int,
    num_workers: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Run all trials in blocks; returns (u, last loss).

    ``num_threads`` work inside an operation; ``num_workers`` Python threads share the blocks.
    """

    def one_block(start: int) -> tuple[torch.Tensor, torch.Tensor]:
        torch.set_num_threads(num_threads)
        part = tuple(w[start : start + block] for w in weights)
        u, loss = u0[start : start + block], u0[:, 0]
        with torch.inference_mode():
            for _ in range(num_steps):
                u, loss = step(part, u, step_size)
        return u, loss

    starts = range(0, len(u0), block)
    if num_workers == 1:
        done = [one_block(start) for start in starts]
    else:
        with ThreadPoolExecutor(num_workers) as pool:
            done = list(pool.map(one_block, starts))
    return torch.cat([u for u, _ in done]), torch.cat([loss for _, loss in done])
