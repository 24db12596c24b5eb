"""Shards hold what they should, and windows cut from them have the prompt's form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from octod.adapters.base.corpus import CorpusConfig, build_corpus
from octod.adapters.base.windows import Shard, WindowConfig, Windows
from octod.adapters.prompt import CONTEXT, END, FILE, INDEX, LINE, PAD, SUFFIX
from tokenizers import Tokenizer

from .conftest import USER, Install


@pytest.fixture
def built(tmp_path: Path, site: Path) -> tuple[Tokenizer, Path]:
    """The tokenizer and the work folder of the tiny environment."""
    config = CorpusConfig((site,), tmp_path / "work", held_out=frozenset({"others"}), vocabulary=700, workers=1)
    return build_corpus(config), config.work


def text_of(tokenizer: Tokenizer, tokens: np.ndarray) -> str:
    return str(tokenizer.decode(tokens.tolist(), skip_special_tokens=False))


def test_excluded_and_held_out_text_is_not_in_the_training_shard(built: tuple[Tokenizer, Path]) -> None:
    """Neither an evaluation source nor a held-out distribution is trained on."""
    tokenizer, work = built
    train, held = (text_of(tokenizer, Shard(work / part).tokens) for part in ("train", "heldout"))
    assert "SECRET_OF_SEABORN" not in train + held
    assert "main_21" not in train
    assert "main_21" in held
    assert "main_3" in train


def test_the_manifest_lists_licences_and_reasons(built: tuple[Tokenizer, Path]) -> None:
    """Every distribution used is named with its licence, every one refused with the reason."""
    manifest = json.loads((built[1] / "manifest.json").read_text())
    assert {"wires": "MIT", "users": "MIT", "others": "MIT"} == {
        row["distribution"]: row["licence"] for row in manifest["used"]
    }
    assert {"seaborn": "excluded by name"} == manifest["refused"]


def test_documents_survive_tokenising(built: tuple[Tokenizer, Path]) -> None:
    """Byte-level BPE loses nothing."""
    tokenizer, work = built
    shard = Shard(work / "train")
    texts = [
        text_of(tokenizer, shard.tokens[begin:end])
        for begin, end in zip(shard.documents[:-1], shard.documents[1:], strict=True)
    ]
    assert USER.format(number=7) in texts


def test_calls_point_at_their_line_member_and_signature(built: tuple[Tokenizer, Path]) -> None:
    """Positions moved from characters to tokens still frame the call; the signature is the right one."""
    tokenizer, work = built
    shard = Shard(work / "train")
    seen = set()
    for call in shard.calls:
        begin = shard.documents[call["document"]]
        text = text_of(tokenizer, shard.tokens[begin + call["line"] : begin + call["stop"]])
        member = text_of(tokenizer, shard.tokens[begin + call["member"] : begin + call["stop"]])
        assert text.startswith("\n")
        name = member.split("(")[0]
        seen.add((name, text_of(tokenizer, shard.signature(call["signature"])).strip()))
    assert seen == {
        ("connect", "wires.connect(url, timeout=10)"),
        ("fetch", "Session.fetch(path, /, params=None, *, retries=3, **options)"),
        ("close", "Session.close()"),
        ("Session", "wires.Session(base_url, *, timeout=5)"),
    }


def test_duplicates_and_near_duplicates_are_dropped(tmp_path: Path, install: Install) -> None:
    """The same file twice, and one with a single line changed, count once."""
    lines = [f"value_{number} = compute(number={number}, other={number * 7})\n" for number in range(60)]
    changed = [*lines[:30], "something = else_entirely\n", *lines[31:]]
    files = {"a/one.py": "".join(lines), "a/two.py": "".join(lines), "a/three.py": "".join(changed)}
    install("a", files)
    work = tmp_path / "work"
    build_corpus(CorpusConfig((tmp_path / "site",), work, vocabulary=600, workers=1))
    manifest = json.loads((work / "manifest.json").read_text())
    assert {"duplicate": 1, "near duplicate": 1} == manifest["files_left_out"]
    assert 1 == manifest["used"][0]["files"]


def test_an_existing_tokenizer_is_kept(built: tuple[Tokenizer, Path], site: Path) -> None:
    """Weights depend on the tokenizer, so building shards anew does not train another."""
    work = built[1]
    before = (work / "tokenizer" / "tokenizer.json").read_bytes()
    (work / "manifest.json").unlink()
    build_corpus(CorpusConfig((site,), work, held_out=frozenset({"users"}), vocabulary=650, workers=1))
    assert before == (work / "tokenizer" / "tokenizer.json").read_bytes()


def test_no_usable_file_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    """Pointing at the wrong folder says so."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty"):
        build_corpus(CorpusConfig((tmp_path / "empty",), tmp_path / "work", workers=1))


def test_windows_depend_on_seed_and_step_alone(built: tuple[Tokenizer, Path]) -> None:
    """A resumed run sees the windows it would have seen."""
    shard = Shard(built[1] / "train")
    first, again = (Windows(shard, WindowConfig(), seed=3).batch(7, 4) for _ in range(2))
    other = Windows(shard, WindowConfig(), seed=3).batch(8, 4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert {(4, CONTEXT)} == {array.shape for array in first}
    assert np.array_equal(first[0][:, 1:], first[1][:, :-1])


def test_call_windows_have_the_prompts_form(built: tuple[Tokenizer, Path]) -> None:
    """Markers in order; loss on file text and call, none on suffix, signatures and markers before the line."""
    tokenizer, work = built
    file, suffix, index, line, end, pad = (
        tokenizer.token_to_id(name) for name in (FILE, SUFFIX, INDEX, LINE, END, PAD)
    )
    windows = Windows(Shard(work / "train"), WindowConfig(), seed=0)
    random = np.random.default_rng(0)
    kinds = set()
    for _ in range(60):
        tokens, loss = windows.call_window(random)
        ids = tokens.tolist()
        assert len(ids) == len(loss) <= CONTEXT + 1
        assert file == ids[0] and pad not in ids
        assert 1 == ids.count(index) == ids.count(line)
        first = ids.index(suffix) if suffix in ids else ids.index(index)
        assert first < ids.index(line)
        assert not loss[first : ids.index(line) + 1].any()
        assert loss[1:first].all() and loss[ids.index(line) + 1 :].all()
        assert (suffix in ids) == (end in ids)
        if end in ids:
            assert end == ids[-1]
            assert WindowConfig().call_weight == loss[-1]
        assert text_of(tokenizer, tokens[ids.index(line) + 1 :]).startswith("\n")
        kinds.add((suffix in ids, ids.index(line) - ids.index(index) > 1))
    assert {(False, False), (False, True), (True, False), (True, True)} == kinds


def test_plain_windows_are_file_text(built: tuple[Tokenizer, Path]) -> None:
    """They begin with the file marker and carry loss everywhere."""
    tokenizer, work = built
    tokens, loss = Windows(Shard(work / "train"), WindowConfig(), seed=0).plain_window(
        np.random.default_rng(1)
    )
    assert tokenizer.token_to_id(FILE) == tokens[0]
    assert len(tokens) <= CONTEXT + 1
    assert loss.all()
