"""A prompt and its candidates as tokens, the same for every engine: what is read, and what is scored behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from octod.adapters.prompt import (
    COMPLETION_TOKENS,
    CONTEXT,
    Prompt,
    encode_prompt,
    encode_text,
    ends_with_line,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["candidate_tokens", "prompt_tokens"]


def prompt_tokens(tokenizer: Tokenizer, prompt: Prompt, context: int) -> list[int]:
    """The prompt's tokens, with room for an answer; ``context`` is the base's."""
    return encode_prompt(tokenizer, prompt, min(CONTEXT, context) - COMPLETION_TOKENS)


def candidate_tokens(
    tokenizer: Tokenizer, prompt: Prompt, candidates: Sequence[str], context: int
) -> tuple[list[int], list[list[int]]]:
    """(the tokens that all candidates go on from, each candidate's tokens).

    Where text joins the line inside a token, the line's last tokens are scored too (the same ones for all candidates).
    """
    tokens = prompt_tokens(tokenizer, prompt, context)
    # 48 characters of the line are enough to see where its last tokens end.
    near = ("\n" + prompt.line)[-48:]
    line = encode_text(tokenizer, near)
    joined = [encode_text(tokenizer, near + candidate) for candidate in candidates]
    keep = len(line)
    while any(other[:keep] != line[:keep] for other in joined):
        keep -= 1
    healed = len(line) - keep
    whole = not ends_with_line(tokenizer, prompt) or 2 * healed > len(line) or healed >= len(tokens)
    if whole:  # no common ground: take the candidates as they are
        return tokens, [encode_text(tokenizer, candidate) for candidate in candidates]
    return tokens[: len(tokens) - healed], [other[keep:] for other in joined]
