"""Constrained decoding on hand-made logits."""

from __future__ import annotations

import math

import numpy as np
from octod.daemon.engines.generate import Trie, Vocabulary, generate, score
from octod.daemon.engines.protocol import CallConstraint

PIECES = ("url", ")", "):", ", ", "timeout", "=", "3", "bogus", "[", None)
CONSTRAINT = CallConstraint(
    keywords=("url", "timeout"), required=("url",), positional=1, positional_names=("url",), names=("url",)
)


def liking(*steps: dict[str, float]) -> object:
    """A model that gives step n's probabilities to pieces, and next to nothing to the rest."""

    def logits(made: list[int]) -> np.ndarray:
        found = np.full(len(PIECES), -20.0, np.float32)
        for piece, probability in steps[min(len(made), len(steps) - 1)].items():
            found[PIECES.index(piece)] = math.log(probability)
        return found

    return logits


def run(*steps: dict[str, float]) -> tuple[str, bool, float]:
    """Text, finished, lowest log-probability."""
    found = generate(liking(*steps), Vocabulary(PIECES), CONSTRAINT, lambda: True)  # type: ignore[arg-type]
    return found.text, found.finished, found.logprob_min


def test_the_likeliest_viable_tokens_are_taken_to_the_closing_bracket() -> None:
    """What follows the bracket within a token is cut off, and all closing tokens count as one."""
    text, finished, lowest = run(
        {"url": 0.9, "bogus": 0.1},
        {", ": 0.6, "):": 0.3, ")": 0.1},
        {"timeout": 1.0},
        {"=": 1.0},
        {"3": 1.0},
        {")": 0.3, "):": 0.4, ", ": 0.3},
    )
    assert ("url, timeout=3)", True) == (text, finished)
    assert math.isclose(math.log(0.6), lowest, abs_tol=1e-3)


def test_a_token_the_model_finds_unlikely_is_not_forced() -> None:
    """When the constraint leaves only the improbable, the answer is unfinished."""
    assert ("", False) == run({"bogus": 0.999, "url": 0.001})[:2]


def test_decoding_goes_back_once_to_the_likeliest_other_choice() -> None:
    """A dead end after `url[` is left by the bracket that was second."""

    def logits(made: list[int]) -> np.ndarray:
        step = {0: {"url": 1.0}, 1: {"[": 0.6, ")": 0.4}}.get(len(made), {"bogus": 1.0})
        return liking(step)([])  # type: ignore[operator, no-any-return]

    found = generate(logits, Vocabulary(PIECES), CONSTRAINT, lambda: True)
    assert ("url)", True, 2) == (found.text, found.finished, found.tokens)


def test_no_time_gives_an_unfinished_answer() -> None:
    """The clock is looked at before every token."""
    found = generate(
        lambda made: np.zeros(len(PIECES), np.float32), Vocabulary(PIECES), CONSTRAINT, lambda: False
    )
    assert ("", False, 0) == (found.text, found.finished, found.tokens)


def test_a_trie_holds_only_nodes_whose_logits_are_wanted() -> None:
    """Common beginnings are shared; without an end the last tokens are not in it."""
    sizes: list[int] = []

    def branch(trie: Trie) -> np.ndarray:
        sizes.append(len(trie.tokens))
        return np.zeros((len(trie.tokens), len(PIECES)), np.float32)

    first, words = np.zeros(len(PIECES), np.float32), Vocabulary(PIECES)
    candidates = [[0, 1], [0, 2], [3], [0, 1, 4]]
    scores = score(first, branch, words, candidates, "none", None, 100)
    np.testing.assert_allclose(scores, [-math.log(10) * len(c) for c in candidates], rtol=1e-5)
    score(first, branch, words, candidates, "boundary", None, 100)
    score(first, branch, words, candidates, "boundary", None, 3)
    assert [2, 5, 3, 1, 3] == sizes
