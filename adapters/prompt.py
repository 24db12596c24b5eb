"""The one definition of what the language model reads, shared by pretraining, adapter training and serving.

    <|file|>    text of the file before the current line      stable between keystrokes, so it comes first
    <|suffix|>  a few lines after the cursor                   optional
    <|index|>   one signature per line, at most five           may be empty, the marker is always there
    <|line|>    a newline and the current line, to the cursor  the model continues from here

`<|end|>` closes a completion that has text after it. The final newline of the file text is moved behind
`<|line|>`: the tokenizer keeps a newline and the indentation that follows in one token, so every marker stands
on a token boundary and the same text always has the same tokens.

This module needs `tokenizers` at most, never torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer

__all__ = [
    "COMPLETION_TOKENS",
    "CONTEXT",
    "CUT_TOKENS",
    "END",
    "FILE",
    "FILE_TOKENS",
    "FUNCTIONS",
    "INDEX",
    "INDEX_TOKENS",
    "LINE",
    "LINE_TOKENS",
    "PAD",
    "SIGNATURES",
    "SIGNATURE_TOKENS",
    "SPECIAL_TOKENS",
    "SUFFIX",
    "SUFFIX_TOKENS",
    "Prompt",
    "encode_example",
    "encode_prompt",
    "encode_text",
    "fit_signatures",
    "load_tokenizer",
]

PAD, END, FILE, SUFFIX, INDEX, LINE = "<|pad|>", "<|end|>", "<|file|>", "<|suffix|>", "<|index|>", "<|line|>"
FUNCTIONS = tuple(f"<|fn{number}|>" for number in range(256))
SPECIAL_TOKENS = (PAD, END, FILE, SUFFIX, INDEX, LINE, *FUNCTIONS)

CONTEXT = 512
FILE_TOKENS, SUFFIX_TOKENS, INDEX_TOKENS, LINE_TOKENS = 320, 32, 96, 64
COMPLETION_TOKENS = 48  # two thirds of real argument lists are under 30 characters (DESIGN.md, section 3)
CUT_TOKENS = 64  # the left cut moves in steps of this many tokens, so the cached prefix survives keystrokes
SIGNATURES, SIGNATURE_TOKENS = 5, 48

# The text handed to the tokenizer is cut in steps of this many characters, at a line start.
_CUT_CHARACTERS = 4096

# What stands for a marker under a tokenizer that lacks it (a base model that is not octod's own).
_STAND_INS = {PAD: "", END: "", FILE: "", SUFFIX: "\n# after:\n", INDEX: "\n# signatures:\n", LINE: ""}


@dataclass(frozen=True, slots=True)
class Prompt:
    """One cursor: the text around it and what the index knows about the symbol.

    `before` ends where the current physical line begins, `line` is that line up to the cursor, `after` follows
    the cursor. `signatures` are lines such as `Client.get(url, *, params=None)`: methods carry their class,
    functions and classes their top-level package (`pandas.read_csv(...)`); the likeliest first.
    """

    before: str
    signatures: tuple[str, ...]
    line: str
    after: str = ""


def load_tokenizer(path: Path) -> Tokenizer:
    """Load `tokenizer.json` so that special tokens written in a user's file stay plain text.

    Raises:
        Exception: from `tokenizers`, when the file is missing or no tokenizer.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    return tokenizer


def encode_prompt(
    tokenizer: Tokenizer, prompt: Prompt, max_tokens: int = CONTEXT - COMPLETION_TOKENS
) -> list[int]:
    """Return the prompt's token ids, at most `max_tokens` of them (at least 200 are wanted).

    The line keeps its end, the suffix its beginning, signatures are dropped from the last one on. The file text
    gives way first, from the left and in steps of `CUT_TOKENS`.
    """
    line = encode_text(tokenizer, "\n" + prompt.line)[-LINE_TOKENS:]
    tail = _marker(tokenizer, INDEX)
    for signature in fit_signatures(tokenizer, prompt.signatures):
        tail += signature
    tail += _marker(tokenizer, LINE) + line
    if prompt.after:
        # A stable piece of text is cut before it is tokenised: 32 tokens never need more than 512 characters.
        after = encode_text(tokenizer, prompt.after[:512])[:SUFFIX_TOKENS]
        tail = _marker(tokenizer, SUFFIX) + after + tail
    head = _marker(tokenizer, FILE)
    room = min(FILE_TOKENS, max_tokens - len(head) - len(tail))
    return (head + _cut_left(_file_tokens(tokenizer, prompt.before), room) + tail)[-max_tokens:]


def encode_example(
    tokenizer: Tokenizer, prompt: Prompt, completion: str, max_tokens: int = CONTEXT
) -> tuple[list[int], tuple[int, int]]:
    """Return a training example's token ids and the half-open span `(start, stop)` that carries the loss.

    The span is the completion and, when text follows the cursor, the closing `<|end|>`. The completion is cut to
    `COMPLETION_TOKENS`; an example whose completion was cut has no `<|end|>`.
    """
    target = encode_text(tokenizer, completion)
    if len(target) < COMPLETION_TOKENS:
        target += _marker(tokenizer, END)
    target = target[:COMPLETION_TOKENS]
    ids = encode_prompt(tokenizer, prompt, max_tokens - COMPLETION_TOKENS)
    return ids + target, (len(ids), len(ids) + len(target))


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the token ids of plain text, line ends normalised to `\\n`."""
    ids: list[int] = tokenizer.encode(
        text.replace("\r\n", "\n").replace("\r", "\n"), add_special_tokens=False
    ).ids
    return ids


def fit_signatures(tokenizer: Tokenizer, signatures: Sequence[str]) -> list[list[int]]:
    """Return the token ids of the leading signatures that fit `INDEX_TOKENS`, a newline after each."""
    fitted: list[list[int]] = []
    room = INDEX_TOKENS
    for signature in signatures[:SIGNATURES]:
        ids = encode_text(tokenizer, signature)[: SIGNATURE_TOKENS - 1] + encode_text(tokenizer, "\n")
        if len(ids) > room:
            break
        room -= len(ids)
        fitted.append(ids)
    return fitted


def _file_tokens(tokenizer: Tokenizer, before: str) -> list[int]:
    """Tokenise the last lines of the file text, from a place that moves only every `_CUT_CHARACTERS`."""
    text = before.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    start = max(0, (len(text) - _CUT_CHARACTERS) // _CUT_CHARACTERS * _CUT_CHARACTERS)
    if start:
        # A line longer than a whole step is generated data; it is cut where it stands.
        start = text.find("\n", start, start + _CUT_CHARACTERS) + 1 or start
    return encode_text(tokenizer, text[start:])


def _cut_left(ids: list[int], room: int) -> list[int]:
    """Drop whole steps of `CUT_TOKENS` from the left until `room` suffices."""
    excess = len(ids) - max(room, 0)
    return ids if excess <= 0 else ids[-(-excess // CUT_TOKENS) * CUT_TOKENS :]


def _marker(tokenizer: Tokenizer, name: str) -> list[int]:
    """Return the id of a special token, or the ids of its stand-in where the vocabulary lacks it."""
    number = tokenizer.token_to_id(name)
    if number is not None:
        return [number]
    return encode_text(tokenizer, _STAND_INS[name]) if _STAND_INS[name] else []
