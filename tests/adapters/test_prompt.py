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


def byte_level(*added: str, special: bool = True, begin: str = "") -> Tokenizer:
    """A tokenizer of single bytes with a few added tokens, as Qwen, StarCoder and DeepSeek have them."""
    from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    names = [*added, *([begin] if begin else [])]
    made.add_tokens([AddedToken(name, special=special, normalized=False) for name in names])
    if begin:
        made.post_processor = processors.TemplateProcessing(
            single=[begin, "$A"], special_tokens=[(begin, made.token_to_id(begin))]
        )
    return made


def sentencepiece(*added: str) -> Tokenizer:
    """A tokenizer that puts a space in front of every text and spells what it lacks in bytes, as Code Llama's does."""
    from tokenizers import decoders, models, normalizers, processors

    pieces = [
        "<unk>",
        "<s>",
        *(f"<0x{n:02X}>" for n in range(256)),
        "\u2581",
        *map(chr, range(33, 127)),
        "ge",
        "get",
    ]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    merges = [("g", "e"), ("ge", "t")]
    made = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    made.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    made.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    made.add_special_tokens(["<s>", *added])
    made.post_processor = processors.TemplateProcessing(single=["<s>", "$A"], special_tokens=[("<s>", 1)])
    return made


AROUND = Prompt("a = 1\n", ("f(x)", "g()"), "    a.", "\nb = 2\n")
CODELLAMA = ("\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>", "\u2581<EOT>")
DEEPSEEK = ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>")


def test_a_foreign_tokenizer_reads_signatures_as_comments() -> None:
    """Without FIM tokens the model reads the file up to the cursor; what follows the cursor is left out."""
    foreign = byte_level()
    assert "" == p.fim_family(foreign)
    assert p.ends_with_line(foreign, AROUND)
    assert "a = 1\n# f(x)\n# g()\n    a." == foreign.decode(encode_prompt(foreign, AROUND))
    bare = encode_prompt(foreign, Prompt("a = 1\n", (), "a."))
    assert "a = 1\na." == foreign.decode(bare)
    ids, (start, stop) = encode_example(foreign, AROUND, "f(x)")
    assert "f(x)" == foreign.decode(ids[start:stop])


@pytest.mark.parametrize(
    ("family", "foreign", "begin"),
    [
        ("qwen", byte_level("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>"), ""),
        ("starcoder", byte_level("<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>"), ""),
        ("santacoder", byte_level("<fim-prefix>", "<fim-suffix>", "<fim-middle>", "<|endoftext|>"), ""),
        (
            "deepseek",
            byte_level(*DEEPSEEK, "<｜end▁of▁sentence｜>", begin="<｜begin▁of▁sentence｜>"),
            "<｜begin▁of▁sentence｜>",
        ),
        ("codellama", sentencepiece(*CODELLAMA), "<s>"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_family_fills_in_with_its_own_tokens(family: str, foreign: Tokenizer, begin: str) -> None:
    """Prefix, suffix, middle, in that order, behind what the model wants every text to begin with; then its own end."""
    assert family == p.fim_family(foreign)
    fim = next(f for f in p.FIM_FAMILIES if f.family == family)
    ids, (start, stop) = encode_example(foreign, AROUND, "get(x)")
    expected = (
        f"{begin}{fim.prefix}a = 1\n# f(x)\n# g()\n    a.{fim.suffix}\nb = 2\n{fim.middle}get(x){fim.end}"
    )
    # Code Llama's decoder writes the mark in its tokens' names as a space.
    assert expected.replace("\u2581", " ") == shown(foreign, ids).replace("\u2581", " ")
    assert [foreign.token_to_id(fim.middle), foreign.token_to_id(fim.end)] == [ids[start - 1], ids[stop - 1]]
    assert encode_prompt(foreign, AROUND) == ids[:start]
    assert not p.ends_with_line(foreign, AROUND)


def test_nothing_after_the_cursor_is_nothing_to_fill_in() -> None:
    """A FIM family reads the end of a file from left to right."""
    qwen = byte_level("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    prompt = Prompt("a = 1\n", (), "a.")
    assert "a = 1\na." == shown(qwen, encode_prompt(qwen, prompt))
    assert p.ends_with_line(qwen, prompt)


def test_octods_own_tokens_win(tokenizer: Tokenizer) -> None:
    """A tokenizer with octod's markers is read in octod's form."""
    assert "octod" == p.fim_family(tokenizer)
    assert p.ends_with_line(tokenizer, AROUND)


def test_fim_tokens_in_a_file_are_plain_text_although_they_are_listed_as_ordinary(tmp_path: Path) -> None:
    """Qwen's FIM tokens are no special ones in its tokenizer.json; a file that spells one cannot inject it."""
    names = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
    byte_level(*names, special=False).save(str(tmp_path / "tokenizer.json"))
    loaded = p.load_tokenizer(tmp_path / "tokenizer.json")
    assert "qwen" == p.fim_family(loaded)
    assert set() == {loaded.token_to_id(name) for name in names} & set(
        encode_text(loaded, "a <|fim_prefix|> b")
    )


def test_pieces_of_a_sentencepiece_text_have_no_space_put_in_front() -> None:
    """What is tokenised apart is the same as what is tokenised at once."""
    llama = sentencepiece()
    assert [llama.token_to_id("get")] == encode_text(llama, "get")
    text = "x = a.get\n  y"
    assert text == llama.decode(encode_text(llama, text))


def test_a_beginning_that_only_the_tokenizers_config_names_is_put_in_front(tmp_path: Path) -> None:
    """`add_bos_token` in tokenizer_config.json counts; a broken one is passed over."""
    byte_level("<bos>").save(str(tmp_path / "tokenizer.json"))
    prompt = Prompt("", (), "a")
    plain = p.load_tokenizer(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer_config.json").write_text(
        '{"add_bos_token": true, "bos_token": {"content": "<bos>"}}'
    )
    begun = p.load_tokenizer(tmp_path / "tokenizer.json")
    assert [begun.token_to_id("<bos>"), *encode_prompt(plain, prompt)] == encode_prompt(begun, prompt)
    (tmp_path / "tokenizer_config.json").write_text("[")
    assert encode_prompt(plain, prompt) == encode_prompt(
        p.load_tokenizer(tmp_path / "tokenizer.json"), prompt
    )
