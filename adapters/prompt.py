"""The one definition of what the language model reads, shared by pretraining, adapter training and serving.

    <|file|>    text of the file before the current line      stable between keystrokes, so it comes first
    <|suffix|>  a few lines after the cursor                   optional
    <|index|>   one signature per line, at most five           may be empty, the marker is always there
    <|line|>    a newline and the current line, to the cursor  the model continues from here

`<|end|>` closes a completion that has text after it. The final newline of the file text is moved behind
`<|line|>`: the tokenizer keeps a newline and the indentation that follows in one token, so every marker stands
on a token boundary and the same text always has the same tokens.

That is the form of octod's own base. Another base has no such markers; it reads code as it was trained to:

    [begin] file text, signatures as comments, the current line         without text after the cursor, or without FIM
    [begin] PREFIX the same SUFFIX text after the cursor MIDDLE         where its tokenizer has FIM tokens

Which it is, is read off the tokenizer's own tokens (`fim_family`), never off a model's name.

This module needs `tokenizers` at most, never torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

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
    "FIM_FAMILIES",
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
    "Fim",
    "Prompt",
    "encode_example",
    "encode_prompt",
    "encode_text",
    "ends_with_line",
    "fim_family",
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


@dataclass(frozen=True, slots=True)
class Fim:
    """How a family of models writes "fill in the middle": PREFIX text before SUFFIX text after MIDDLE answer END."""

    family: str
    prefix: str
    suffix: str
    middle: str
    end: str


# From the models' own pages and papers: Qwen2.5-Coder; Code Llama (arXiv 2308.12950); StarCoder (arXiv 2305.06161),
# which Granite's and Yi's coders follow; SantaCoder (arXiv 2301.03988); DeepSeek-Coder, whose "hole" stands
# before the text after the cursor and whose "end" stands behind it.
FIM_FAMILIES = (
    Fim("qwen", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>"),
    Fim("codellama", "▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>"),
    Fim("starcoder", "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>"),
    Fim("santacoder", "<fim-prefix>", "<fim-suffix>", "<fim-middle>", "<|endoftext|>"),
    Fim("deepseek", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", "<｜end▁of▁sentence｜>"),
)


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


@dataclass(frozen=True, slots=True)
class _Form:
    """What a tokenizer lets a prompt look like."""

    own: bool  # octod's markers
    opening: list[int]  # what the model expects in front of every text
    fim: Fim | None
    lead: list[int]  # SentencePiece: the tokens of a line end, behind which text has no space put in front


_FORMS: WeakKeyDictionary[Tokenizer, _Form] = WeakKeyDictionary()


def load_tokenizer(path: Path) -> Tokenizer:
    """Load `tokenizer.json` so that special tokens written in a user's file stay plain text.

    `tokenizer_config.json` beside it is asked for `add_bos_token`, which some checkpoints keep only there.

    Raises:
        Exception: from `tokenizers`, when the file is missing or no tokenizer.
    """
    from tokenizers import AddedToken, Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # Qwen lists its FIM tokens as ordinary ones: text that spells them would become them.
    plain = {token.content for token in tokenizer.get_added_tokens_decoder().values() if not token.special}
    markers = {marker for fim in FIM_FAMILIES for marker in (fim.prefix, fim.suffix, fim.middle, fim.end)}
    tokenizer.add_special_tokens([AddedToken(marker, normalized=False) for marker in sorted(plain & markers)])
    _open_with(tokenizer, path.with_name("tokenizer_config.json"))
    return tokenizer


def fim_family(tokenizer: Tokenizer) -> str:
    """`octod` for octod's own tokenizer, a name of `FIM_FAMILIES`, or "" where nothing can be filled in."""
    form = _form(tokenizer)
    return "octod" if form.own else form.fim.family if form.fim else ""


def ends_with_line(tokenizer: Tokenizer, prompt: Prompt) -> bool:
    """Whether the prompt's last tokens are the line's, so that a completion may change how they are cut."""
    return not _fills(_form(tokenizer), prompt)


def encode_prompt(
    tokenizer: Tokenizer, prompt: Prompt, max_tokens: int = CONTEXT - COMPLETION_TOKENS
) -> list[int]:
    """Return the prompt's token ids, at most `max_tokens` of them (at least 200 are wanted).

    The line keeps its end, the suffix its beginning, signatures are dropped from the last one on. The file text
    gives way first, from the left and in steps of `CUT_TOKENS`.
    """
    form = _form(tokenizer)
    line = encode_text(tokenizer, "\n" + prompt.line)[-LINE_TOKENS:]
    # A stable piece of text is cut before it is tokenised: 32 tokens never need more than 512 characters.
    after = encode_text(tokenizer, prompt.after[:512])[:SUFFIX_TOKENS] if prompt.after else []
    if form.own:
        signatures = [token for one in fit_signatures(tokenizer, prompt.signatures) for token in one]
        head = _ids(tokenizer, FILE)
        tail = _ids(tokenizer, INDEX) + signatures + _ids(tokenizer, LINE) + line
        tail = _ids(tokenizer, SUFFIX) + after + tail if after else tail
    else:
        head, tail = list(form.opening), _comments(tokenizer, prompt.signatures) + line
        if form.fim is not None and _fills(form, prompt):
            head += _ids(tokenizer, form.fim.prefix)
            tail += _ids(tokenizer, form.fim.suffix) + after + _ids(tokenizer, form.fim.middle)
    room = min(FILE_TOKENS, max_tokens - len(head) - len(tail))
    return (head + _cut_left(_file_tokens(tokenizer, prompt.before), room) + tail)[-max_tokens:]


def encode_example(
    tokenizer: Tokenizer, prompt: Prompt, completion: str, max_tokens: int = CONTEXT
) -> tuple[list[int], tuple[int, int]]:
    """Return a training example's token ids and the half-open span `(start, stop)` that carries the loss.

    The span is the completion and what closes it: `<|end|>`, or a FIM family's own token where its form is used. The
    completion is cut to `COMPLETION_TOKENS`; an example whose completion was cut is not closed.
    """
    form = _form(tokenizer)
    target = encode_text(tokenizer, completion)
    if len(target) < COMPLETION_TOKENS:
        if form.own:
            target += _ids(tokenizer, END)
        elif form.fim is not None and _fills(form, prompt):
            target += _ids(tokenizer, form.fim.end)
    target = target[:COMPLETION_TOKENS]
    ids = encode_prompt(tokenizer, prompt, max_tokens - COMPLETION_TOKENS)
    return ids + target, (len(ids), len(ids) + len(target))


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Return the token ids of plain text, line ends normalised to `\\n`."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if lead := _form(tokenizer).lead:
        ids: list[int] = tokenizer.encode("\n" + text, add_special_tokens=False).ids
        if ids[: len(lead)] == lead:
            return ids[len(lead) :]
    ids = tokenizer.encode(text, add_special_tokens=False).ids
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


def _comments(tokenizer: Tokenizer, signatures: Sequence[str]) -> list[int]:
    """Return the tokens of signatures as lines of comment, each behind its line end."""
    newline = encode_text(tokenizer, "\n")
    lines = fit_signatures(tokenizer, [f"# {signature}" for signature in signatures])
    return [token for line in lines for token in newline + line[: len(line) - len(newline)]]


def _fills(form: _Form, prompt: Prompt) -> bool:
    """Whether the prompt takes a FIM family's form: there is something after the cursor to fill in before."""
    return not form.own and form.fim is not None and bool(prompt.after)


def _ids(tokenizer: Tokenizer, token: str) -> list[int]:
    """Return the id of a token of the vocabulary; nothing where it has none (a FIM family's end)."""
    number = tokenizer.token_to_id(token)
    return [] if number is None else [number]


def _form(tokenizer: Tokenizer) -> _Form:
    form = _FORMS.get(tokenizer)
    if form is None:
        form = _FORMS[tokenizer] = _read_form(tokenizer)
    return form


def _read_form(tokenizer: Tokenizer) -> _Form:
    """Ask a tokenizer for its tokens and for what it puts around a text."""

    def has(*tokens: str) -> bool:
        return all(tokenizer.token_to_id(token) is not None for token in tokens)

    bare = tokenizer.encode("a", add_special_tokens=False)
    whole = tokenizer.encode("a", add_special_tokens=True).ids
    start = next((n for n in range(len(whole)) if whole[n : n + len(bare.ids)] == bare.ids), 0)
    spaced = bool(bare.tokens) and bare.tokens[0].startswith("\u2581")
    lead = tokenizer.encode("\n", add_special_tokens=False).ids if spaced else []
    fim = next((f for f in FIM_FAMILIES if has(f.prefix, f.suffix, f.middle)), None)
    return _Form(has(FILE, SUFFIX, INDEX, LINE), whole[:start], fim, lead)


def _open_with(tokenizer: Tokenizer, path: Path) -> None:
    """Let texts begin as `tokenizer_config.json` says, where the tokenizer itself does not say it."""
    import json

    from tokenizers.processors import TemplateProcessing

    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        token = config.get("bos_token") if config.get("add_bos_token") is True else None
    except (OSError, ValueError, AttributeError):
        return  # optional, and no part of a base's identity
    token = token.get("content") if isinstance(token, dict) else token
    number = tokenizer.token_to_id(token) if isinstance(token, str) else None
    if number is not None and not _read_form(tokenizer).opening:
        tokenizer.post_processor = TemplateProcessing(
            single=[token, "$A"], pair=[token, "$A", "$B"], special_tokens=[(token, number)]
        )
