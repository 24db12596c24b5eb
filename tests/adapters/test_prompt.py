"""The prompt's layout, its budgets and its token boundaries."""

from pathlib import Path

import pytest
from octod.adapters import prompt as p
from octod.adapters.base.tokenizer import save_tokenizer, train_tokenizer
from octod.adapters.prompt import Prompt, encode_example, encode_prompt, encode_text, fit_signatures
from tokenizers import Tokenizer

SOURCE = """import requests

class Client:
    def get_page(self, url, *, params=None, timeout=5):
        return requests.get(url, params=params, timeout=timeout).json()["items"][0]
"""


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """A tokenizer of few entries, trained on a few lines."""
    return train_tokenizer([SOURCE] * 4, vocabulary=700)


def shown(tokenizer: Tokenizer, ids: list[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False))


def test_layout_puts_file_first_and_line_last(tokenizer: Tokenizer) -> None:
    """The stable file text leads; the final newline moves behind the line marker."""
    prompt = Prompt("import requests\n", ("requests.get(url, params=None)",), "x = requests.", "\nprint(x)\n")
    expected = (
        "<|file|>import requests<|suffix|>\nprint(x)\n"
        "<|index|>requests.get(url, params=None)\n<|line|>\nx = requests."
    )
    assert expected == shown(tokenizer, encode_prompt(tokenizer, prompt))


def test_markers_are_there_without_signatures_and_without_suffix(tokenizer: Tokenizer) -> None:
    """The index marker stays when nothing is known; the suffix marker goes."""
    ids = encode_prompt(tokenizer, Prompt("a = 1\n", (), "a."))
    assert "<|file|>a = 1<|index|><|line|>\na." == shown(tokenizer, ids)


@pytest.mark.parametrize("cut", [".", "(", "[", "{"])
def test_cursor_after_dot_or_opening_bracket_is_a_token_boundary(tokenizer: Tokenizer, cut: str) -> None:
    """Tokens of the text up to the cursor are a prefix of the tokens of the whole text."""
    text = 'x = foo.bar(a=[1, {"k": (2,)}], b={"a": [3]}).baz["q"]((...))\n'
    whole = encode_text(tokenizer, text)
    for position, character in enumerate(text, 1):
        if character == cut:
            head = encode_text(tokenizer, text[:position])
            assert head == whole[: len(head)]


def test_line_starts_are_token_boundaries(tokenizer: Tokenizer) -> None:
    """File text and current line, tokenised apart as the prompt does, equal the text tokenised at once."""
    lines = (SOURCE + "\n\n\n    # after blank lines\n\tx = 1\n").split("\n")
    whole = encode_text(tokenizer, "\n".join(lines))
    for number in range(1, len(lines)):
        before, rest = "\n".join(lines[:number]), "\n" + "\n".join(lines[number:])
        assert whole == encode_text(tokenizer, before) + encode_text(tokenizer, rest)


def test_left_cut_moves_in_coarse_steps(tokenizer: Tokenizer) -> None:
    """While a file grows by single lines the first kept token changes at most once per 64 tokens."""
    lines = [f"value = client.get_page(url, timeout={number % 10})\n" for number in range(80)]
    kept: list[int] = []
    for count in range(40, 80):
        before = "".join(lines[:count])
        ids = encode_prompt(tokenizer, Prompt(before, (), "x = "))
        file = ids[1 : ids.index(tokenizer.token_to_id(p.INDEX))]
        assert p.FILE_TOKENS - p.CUT_TOKENS < len(file) <= p.FILE_TOKENS
        kept.append(len(encode_text(tokenizer, before.removesuffix("\n"))) - len(file))
    assert all(dropped % p.CUT_TOKENS == 0 for dropped in kept)
    assert sorted(kept) == kept


def test_everything_long_stays_within_the_budget(tokenizer: Tokenizer) -> None:
    """Long parts are cut, the file gives way first, the end of the line survives."""
    prompt = Prompt("x = 1\n" * 5000, ("f(" + "a, " * 300 + ")",) * 9, "y = " + "g(" * 400, "z\n" * 900)
    for limit in (200, 300, 464, 512):
        ids = encode_prompt(tokenizer, prompt, limit)
        assert len(ids) <= limit
        assert ids[-1] == tokenizer.token_to_id("(")
        assert ids.count(tokenizer.token_to_id(p.LINE)) == 1


def test_a_file_without_newlines_is_cut_too(tokenizer: Tokenizer) -> None:
    """One endless line neither fails nor passes the budget."""
    assert len(encode_prompt(tokenizer, Prompt("x" * 100_000, (), "y."))) <= p.CONTEXT


def test_signatures_fit_their_budget(tokenizer: Tokenizer) -> None:
    """At most five lines, each capped, the last ones dropped when the index is full."""
    fitted = fit_signatures(tokenizer, ["f(" + "a, " * 300 + ")"] * 9)
    assert sum(map(len, fitted)) <= p.INDEX_TOKENS
    assert [p.SIGNATURE_TOKENS] * len(fitted) == [len(ids) for ids in fitted]
    assert p.SIGNATURES == len(fit_signatures(tokenizer, ["f()"] * 9))


def test_special_tokens_in_a_file_are_plain_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """A file that spells a marker cannot inject one, also after loading from disk."""
    save_tokenizer(tokenizer, tmp_path, 512)
    for each in (tokenizer, p.load_tokenizer(tmp_path / "tokenizer.json")):
        assert each.token_to_id(p.END) not in encode_text(each, "a <|end|> b")


def test_line_ends_are_normalised(tokenizer: Tokenizer) -> None:
    """Windows line ends give the same tokens."""
    unix, windows = Prompt("a\nb\n", (), "c."), Prompt("a\r\nb\r\n", (), "c.")
    assert encode_prompt(tokenizer, unix) == encode_prompt(tokenizer, windows)


def test_example_span_is_the_completion_and_its_end(tokenizer: Tokenizer) -> None:
    """The loss falls on the completion and `<|end|>`; the prompt is the one that serving sends."""
    prompt = Prompt("import requests\n", (), "x = requests.", "\n")
    ids, (start, stop) = encode_example(tokenizer, prompt, "get(url)")
    assert encode_prompt(tokenizer, prompt) == ids[:start]
    assert "get(url)<|end|>" == shown(tokenizer, ids[start:stop])
    assert len(ids) == stop


def test_a_cut_completion_has_no_end(tokenizer: Tokenizer) -> None:
    """A completion that was cut must not teach the model to stop there."""
    ids, (start, stop) = encode_example(tokenizer, Prompt("", (), "x = "), "f(" * 100)
    assert p.COMPLETION_TOKENS == stop - start
    assert tokenizer.token_to_id(p.END) not in ids


def test_a_foreign_tokenizer_gets_plain_markers() -> None:
    """A base model without octod's special tokens reads comments instead."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    foreign = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    foreign.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    foreign.decoder = decoders.ByteLevel()
    ids = encode_prompt(foreign, Prompt("a = 1\n", ("f(x)",), "a."))
    assert "a = 1\n# signatures:\nf(x)\n\na." == foreign.decode(ids)
