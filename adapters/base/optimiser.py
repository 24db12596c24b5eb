"""Muon (or AdamW) for the matrices, AdamW for the embedding and the norms, one learning-rate factor for both."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "Optimisers"]


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by a Newton-Schulz iteration (Keller Jordan, 2024; as in nanochat).

    All parameters are matrices; those of one shape are orthogonalised as one batch, with `bf16` in bf16: the iteration was made to
    bear it.
    """

    def __init__(
        self, params: list[nn.Parameter], lr: float, momentum: float = 0.95, decay: float = 0.0, bf16: bool = False
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})
        self.dtype = torch.bfloat16 if bf16 else torch.float32

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # no caller uses a closure
        for group in self.param_groups:
            shapes: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                shapes[parameter.shape].append(parameter)
            for (rows, columns), parameters in shapes.items():
                updates = []
                for parameter in parameters:
                    gradient = parameter.grad
                    assert gradient is not None  # every matrix takes part in every step
                    state = self.state[parameter]
                    if "momentum" not in state:
                        state["momentum"] = torch.zeros_like(parameter)
                    state["momentum"].lerp_(gradient, 1 - group["momentum"])
                    # Nesterov: look one step ahead.
                    updates.append(gradient.lerp(state["momentum"], group["momentum"]))
                # The scale keeps the update's size per entry alike for every shape.
                scale = max(1.0, rows / columns) ** 0.5
                for parameter, update in zip(parameters, orthogonalise(torch.stack(updates).to(self.dtype)), strict=True):
                    parameter.mul_(1 - group["lr"] * group["decay"])
                    parameter.add_(update, alpha=-group["lr"] * scale)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """(batch, rows, columns) → the nearest semi-orthogonal matrices, singular values within about 0.7 to 1.2."""
    # Coefficients of the quintic: Keller Jordan, https://kellerjordan.github.io/posts/muon/
    a, b, c = 3.4445, -4.7750, 2.0315
    x: Tensor = matrices
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Optimisers:
    """Both optimisers as one; `step(factor)` scales their peak learning rates by the schedule's factor.

    `kind` is what moves the matrices: "muon", or "adamw", which is there to be compared with.
    """

    def __init__(
        self, model: nn.Module, matrix_lr: float, adam_lr: float, decay: float, kind: str = "muon", bf16: bool = False
    ) -> None:
        layers = [(name, p) for name, p in model.named_parameters() if ".layers." in name and p.ndim == 2]
        matrices = {name for name, _ in layers}
        others = [p for name, p in model.named_parameters() if name not in matrices]
        self.matrices: torch.optim.Optimizer
        if kind == "adamw":
            parameters = [p for _, p in layers]
            self.matrices = torch.optim.AdamW(parameters, lr=matrix_lr, betas=(0.9, 0.95), weight_decay=decay)
        elif kind == "muon":
            self.matrices = Muon([p for _, p in layers], lr=matrix_lr, decay=decay, bf16=bf16)
        else:
            raise ValueError(f"no optimiser is called {kind}; there are muon and adamw")
        self.adam = torch.optim.AdamW(
            others, lr=adam_lr, betas=(0.9, 0.95), eps=1e-10, weight_decay=0.0, fused=others[0].is_cuda
        )
        self.peaks = (matrix_lr, adam_lr)

    def step(self, factor: float) -> None:
        """Update all parameters from their gradients and clear those."""
        for optimiser, peak in zip((self.matrices, self.adam), self.peaks, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * factor
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Return both states."""
        return {"muon": self.matrices.state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore both states."""
        self.matrices.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
