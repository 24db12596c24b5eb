"""Bits per byte are the same measure for every tokenizer and context."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the [train] extra")
pytestmark = pytest.mark.train

from octod.adapters.base.bits import bits_per_byte, nats, pieces
from octod.adapters.base.corpus import CorpusConfig, build_corpus
from octod.adapters.base.model import Llama, ModelConfig

SHAPE = ModelConfig(vocabulary=50, context=16, hidden=32, layers=2, heads=2, kv_heads=1, ffn=48)


@pytest.fixture
def model() -> Llama:
    torch.manual_seed(0)
    made = Llama(SHAPE)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 2:
                parameter.mul_(10)
    return made.eval()


def one_by_one(model: Llama, tokens: list[int]) -> float:
    """Each token's own forward: as many tokens before it as nats() gives it."""
    line, total, known = [3, *tokens], 0.0, 0
    while known < len(tokens):
        start = max(0, known - SHAPE.context // 2) if known else 0
        stop = min(start + SHAPE.context, len(tokens))
        for n in range(known, stop):
            with torch.no_grad():
                scores = torch.log_softmax(model.logits(torch.tensor([line[start : n + 1]]))[0, -1], -1)
            total -= float(scores[tokens[n]])
        known = stop
    return total


def test_every_token_counts_once_with_what_stands_before_it(model: Llama) -> None:
    """Texts shorter than the context, as long as it, and several times as long."""
    source = np.random.default_rng(1)
    texts = [source.integers(0, 50, n).tolist() for n in (1, 5, 16, 17, 24, 25, 60)] + [[]]
    found = nats(texts, model.losses, 3, SHAPE.context)
    np.testing.assert_allclose(found, [one_by_one(model, t) for t in texts], rtol=1e-4)


def test_bits_are_counted_over_bytes() -> None:
    """Eight bits for each of the bytes of both texts, an umlaut being two."""
    assert pytest.approx(8.0) == bits_per_byte(np.array([24.0, 16.0]) * math.log(2), ["aä", "xy"])


def test_pieces_are_whole_lines_of_one_file(tmp_path: Path, site: Path) -> None:
    """They are in the files word for word, the same every time, and as many as there are places for."""
    tokenizer = build_corpus(CorpusConfig((site,), tmp_path / "work", held_out=frozenset({"others"}), vocabulary=600, workers=1))
    found = pieces(tmp_path / "work" / "heldout", tokenizer, 6, tokens=60)
    assert found == pieces(tmp_path / "work" / "heldout", tokenizer, 6, tokens=60)
    assert 2 <= len(found) <= 6
    sources = [path.read_text() for path in site.rglob("app2*.py")]
    for text in found:
        assert any(source == text or f"\n{text}" in source or source.startswith(text) for source in sources)
