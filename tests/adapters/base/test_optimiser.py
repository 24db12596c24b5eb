"""Both ways to move the matrices learn, and start again where they stopped."""

from __future__ import annotations

from copy import deepcopy

import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")
pytestmark = pytest.mark.train

from octod.adapters.base.model import Llama, ModelConfig
from octod.adapters.base.optimiser import Optimisers

SHAPE = ModelConfig(vocabulary=50, context=16, hidden=32, layers=2, heads=2, kv_heads=1, ffn=48)


@pytest.mark.parametrize(("kind", "rate"), [("muon", 0.02), ("adamw", 0.003)])
def test_the_loss_falls_and_a_restored_state_goes_on_alike(kind: str, rate: float) -> None:
    """Ten steps on one batch; five, a restored state and five more give the same weights."""
    torch.manual_seed(0)
    ids = torch.randint(0, 50, (4, 16))
    start = Llama(SHAPE).state_dict()

    def steps(model: Llama, optimisers: Optimisers, count: int) -> list[float]:
        losses = []
        for _ in range(count):
            loss = model.losses(ids[:, :-1], ids[:, 1:]).mean()
            loss.backward()
            optimisers.step(1.0)
            losses.append(float(loss.detach()))
        return losses

    model = Llama(SHAPE)
    model.load_state_dict(start)
    whole = Optimisers(model, rate, 0.004, 0.01, kind)
    losses = steps(model, whole, 5)
    state, weights = whole.state_dict(), {k: v.clone() for k, v in model.state_dict().items()}
    again = Llama(SHAPE)
    again.load_state_dict(weights)
    restored = Optimisers(again, rate, 0.004, 0.01, kind)
    restored.load_state_dict(deepcopy(state))
    expected, actual = steps(model, whole, 5), steps(again, restored, 5)
    assert expected[-1] < losses[0] - 0.1
    assert expected == actual
    with pytest.raises(ValueError, match="no optimiser is called sgd"):
        Optimisers(model, rate, 0.004, 0.01, "sgd")


def test_operations_are_counted_from_the_weights() -> None:
    """Six a weight, and attention over half of the window."""
    shape = ModelConfig(vocabulary=600, context=64, hidden=32, layers=3, heads=2, kv_heads=1, ffn=48)
    assert sum(p.numel() for p in Llama(shape).parameters()) == shape.parameters
    assert 6 * shape.parameters + 3 * 12 * 64 * 32 // 2 == shape.flops
