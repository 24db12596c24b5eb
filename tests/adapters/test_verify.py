"""The wrong adapter never serves (P8): each fault is refused with a reason that names it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from octod.adapters import mixture
from octod.adapters.card import CARD, Card
from octod.adapters.identity import BaseModel, adapter_name, content_hash, valid_name
from octod.adapters.verify import CONFIG, WEIGHTS, base_shapes, check_folder, tensors
from octod.core.errors import AdapterRefused

Make = Callable[..., Path]
Change = Callable[[Path], object]


def carded(folder: Path, card: Card) -> Path:
    """Give a folder its card and the name of its content, as publishing does."""
    (folder / CARD).write_text(card.to_json())
    return folder.rename(folder.with_name(adapter_name(card.library, content_hash(folder.iterdir()))))


@pytest.fixture
def check(adapter_folder: Make, card: Card, base: BaseModel) -> Callable[[Change, str], None]:
    """A function (change, reason): the changed folder, named by its new content, is refused with the reason."""

    def run(change: Change, reason: str) -> None:
        folder = adapter_folder(4)
        change(folder)
        folder = carded(folder, card)
        with pytest.raises(AdapterRefused, match=reason):
            check_folder(folder, base=base)

    return run


def configured(**changes: object) -> Change:
    """A change of keys in adapter_config.json; None drops the key."""

    def change(folder: Path) -> None:
        data: dict[str, Any] = json.loads((folder / CONFIG).read_text()) | changes
        (folder / CONFIG).write_text(json.dumps({k: v for k, v in data.items() if v is not None}))

    return change


def rewritten(edit: Callable[[dict[str, Any], bytearray], None]) -> Change:
    """A change of the safetensors header and data."""

    def change(folder: Path) -> None:
        raw = (folder / WEIGHTS).read_bytes()
        length = int.from_bytes(raw[:8], "little")
        header, data = json.loads(raw[8 : 8 + length]), bytearray(raw[8 + length :])
        edit(header, data)
        text = json.dumps(header).encode()
        (folder / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data)

    return change


FIRST = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"


def test_sound_adapter_is_accepted(adapter_folder: Make, card: Card, base: BaseModel) -> None:
    """With its base and with its hash."""
    folder = carded(adapter_folder(4), card)
    found = check_folder(folder, base=base, expected_hash=content_hash(folder.iterdir()))
    assert (4, 1.0, base.name) == (found.rank, found.scaling, found.base_name)


@pytest.mark.parametrize("name", [WEIGHTS, CONFIG, CARD])
def test_any_changed_byte_is_refused(name: str, adapter_folder: Make, card: Card) -> None:
    """In each of the three files, with the registry's hash and with the name alone."""
    folder = carded(adapter_folder(), card)
    known = content_hash(folder.iterdir())
    raw = bytearray((folder / name).read_bytes())
    raw[-2] ^= 1
    (folder / name).write_bytes(raw)
    with pytest.raises(AdapterRefused, match="content hash differs, a file was changed"):
        check_folder(folder, expected_hash=known)
    with pytest.raises(AdapterRefused, match="content hash differs from the name"):
        check_folder(folder)


def test_other_base_is_refused(adapter_folder: Make, card: Card, base: BaseModel) -> None:
    """The reason names both."""
    folder = carded(adapter_folder(), card)
    with pytest.raises(AdapterRefused, match=r"trained for another base model \(tiny, not big\)"):
        check_folder(folder, base=replace(base, name="big", weights_hash="0"))


def test_other_tokenizer_is_refused(adapter_folder: Make, card: Card, base: BaseModel) -> None:
    """The same weights with another tokenizer are another base."""
    folder = carded(adapter_folder(), card)
    with pytest.raises(AdapterRefused, match="another tokenizer"):
        check_folder(folder, base=replace(base, tokenizer_hash="0"))


def test_base_identity_follows_content_not_place(base: BaseModel, tmp_path: Path) -> None:
    """Moved: the same; another shape or tokenizer: another."""
    moved = tmp_path / "moved"
    base.folder.rename(moved)
    assert (base.weights_hash, base.tokenizer_hash) == (
        BaseModel.of(moved).weights_hash,
        BaseModel.of(moved).tokenizer_hash,
    )
    config = json.loads((moved / "config.json").read_text())
    (moved / "config.json").write_text(json.dumps(config | {"transformers_version": "9"}))
    assert base.weights_hash == BaseModel.of(moved).weights_hash
    (moved / "config.json").write_text(json.dumps(config | {"rope_theta": 1}))
    assert base.weights_hash != BaseModel.of(moved).weights_hash
    (moved / "tokenizer.json").write_text("{ }")
    assert base.tokenizer_hash != BaseModel.of(moved).tokenizer_hash


@pytest.mark.parametrize(
    "key",
    [
        "auto_mapping",
        "modules_to_save",
        "use_dora",
        "rank_pattern",
        "megatron_config",
        "layer_replication",
        "x",
    ],
)
def test_extra_config_key_is_refused(key: str, check: Callable[[Change, str], None]) -> None:
    """Whatever its value, since the schema is octod's own."""
    check(configured(**{key: False}), f"keys that are not allowed: {key}")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"r": 8}, "has rank 4, the config says 8"),
        ({"r": 0}, "rank is 0"),
        ({"r": True}, "rank is True"),
        ({"r": 100_000}, "rank is 100000"),
        ({"r": None}, "lacks r"),
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'"),
        ({"task_type": "SEQ_CLS"}, "task_type is 'SEQ_CLS'"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"fan_in_fan_out": 0}, "fan_in_fan_out is 0"),
        ({"lora_alpha": float("nan")}, "lora_alpha is nan"),
        ({"lora_alpha": "16"}, "lora_alpha is '16'"),
        ({"lora_dropout": 0.1}, "lora_dropout is 0.1"),
        ({"target_modules": ["q_proj"]}, "is not a tensor of this adapter"),
        ({"target_modules": ["embed_tokens"]}, "target_modules is"),
        ({"target_modules": "all-linear"}, "target_modules is"),
        ({"base_model_name_or_path": "/etc"}, "a path is not allowed"),
        ({"base_model_name_or_path": "../base"}, "a path is not allowed"),
    ],
)
def test_unusual_config_value_is_refused(
    changes: dict[str, object], reason: str, check: Callable[[Change, str], None]
) -> None:
    """The reason names the key and the value."""
    check(configured(**changes), reason)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\x00"])
def test_config_that_is_no_object_is_refused(text: str, check: Callable[[Change, str], None]) -> None:
    """Damage and nesting bombs."""
    check(lambda folder: (folder / CONFIG).write_text(text), CONFIG)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_value_that_is_no_number_is_refused(value: float, check: Callable[[Change, str], None]) -> None:
    """One among all."""

    def edit(header: dict[str, Any], data: bytearray) -> None:
        data[-4:] = np.float32(value).tobytes()

    check(rewritten(edit), "not a number or infinite")


def test_bfloat16_is_read_and_its_infinities_are_refused(
    adapter_folder: Make, check: Callable[[Change, str], None]
) -> None:
    """Sixteen bits: the upper half of a float32."""

    def halve(header: dict[str, Any], data: bytearray) -> None:
        words = np.frombuffer(bytes(data), "<u4") >> 16
        data[:] = words.astype("<u2").tobytes()
        for name, entry in header.items():
            if name != "__metadata__":
                entry["dtype"] = "BF16"
                entry["data_offsets"] = [n // 2 for n in entry["data_offsets"]]

    folder = adapter_folder(4, 9)
    before = mixture.load(folder)
    rewritten(halve)(folder)
    assert 4 == check_folder(folder, carded=False).rank
    for module, (a, _) in mixture.load(folder).items():
        np.testing.assert_allclose(before[module][0], a, rtol=0.01)

    def spoil(header: dict[str, Any], data: bytearray) -> None:
        halve(header, data)
        data[:2] = b"\x80\x7f"

    check(rewritten(spoil), "not a number or infinite")


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -1])
def test_truncated_file_is_refused(keep: int, check: Callable[[Change, str], None]) -> None:
    """Wherever it was cut."""
    check(lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:keep]), WEIGHTS)


def test_bytes_behind_the_last_tensor_are_refused(check: Callable[[Change, str], None]) -> None:
    """Nothing travels along."""
    check(lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes() + b"x"), "belong to no tensor")


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("dtype", "I64", "has the type 'I64'"),
        ("shape", [4, 10**9], "has the shape"),
        ("shape", [-4, 24], "has the shape"),
        ("shape", [24, 4], "has rank 24, the config says 4"),
        ("shape", [4, 23], "damaged offsets"),
        ("data_offsets", [4, 388], "damaged offsets"),
        ("data_offsets", "x", "damaged header"),
    ],
)
def test_damaged_header_is_refused(
    field: str, value: object, reason: str, check: Callable[[Change, str], None]
) -> None:
    """Before anything is allocated."""
    check(rewritten(lambda header, data: header[FIRST].update({field: value})), reason)


def test_header_that_claims_to_be_huge_is_refused(check: Callable[[Change, str], None]) -> None:
    """Its length is compared with the file first."""
    check(lambda f: (f / WEIGHTS).write_bytes(b"\xff" * 8 + b"{}"), "truncated or no safetensors")


def test_foreign_tensor_is_refused(check: Callable[[Change, str], None]) -> None:
    """Embeddings, biases, or any other name."""

    def edit(header: dict[str, Any], data: bytearray) -> None:
        header["base_model.model.lm_head.weight"] = header.pop(FIRST)

    check(rewritten(edit), "is not a tensor of this adapter")


def test_layer_that_the_base_lacks_is_refused(check: Callable[[Change, str], None]) -> None:
    """The base has two."""

    def edit(header: dict[str, Any], data: bytearray) -> None:
        header[FIRST.replace("layers.0", "layers.2")] = header.pop(FIRST)

    check(rewritten(edit), "layers.2.*the base model needs")


def test_missing_half_is_refused(check: Callable[[Change, str], None]) -> None:
    """A without B."""

    def edit(header: dict[str, Any], data: bytearray) -> None:
        last = max((n for n in header if n != "__metadata__"), key=lambda n: header[n]["data_offsets"][0])
        start, _ = header.pop(last)["data_offsets"]
        del data[start:]

    check(rewritten(edit), "lacks lora_B of v_proj in layer 1")


def test_base_of_another_shape_is_refused(adapter_folder: Make, base: BaseModel) -> None:
    """Even where the hashes are not compared."""
    folder = adapter_folder()
    config = json.loads((base.folder / "config.json").read_text()) | {"num_key_value_heads": 4}
    (base.folder / "config.json").write_text(json.dumps(config))
    assert (16, 16) == base_shapes(base.config())["k_proj"]
    with pytest.raises(
        AdapterRefused, match=r"k_proj.lora_B.weight has the shape .8, 4., the base model needs .16, 4."
    ):
        check_folder(folder, base=base, carded=False)


@pytest.mark.parametrize("name", ["adapter_model.bin", "pytorch_model.pt", "optimizer.pkl", "x.joblib"])
def test_pickle_file_beside_it_is_refused(name: str, adapter_folder: Make) -> None:
    """It is neither read nor tolerated."""
    folder = adapter_folder()
    (folder / name).write_bytes(pickle.dumps({}))
    with pytest.raises(AdapterRefused, match=f"holds {name}: only safetensors"):
        check_folder(folder, carded=False)


def test_extra_file_folder_or_link_is_refused(adapter_folder: Make, tmp_path: Path) -> None:
    """Exactly the known files, and regular ones."""
    folder = adapter_folder()
    (folder / "modeling.py").write_text("")
    with pytest.raises(AdapterRefused, match=r"does not belong there: 'modeling.py'"):
        check_folder(folder, carded=False)
    (folder / "modeling.py").unlink()
    (folder / WEIGHTS).rename(tmp_path / "elsewhere")
    (folder / WEIGHTS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdapterRefused, match="is not a regular file"):
        check_folder(folder, carded=False)
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(AdapterRefused, match="is not a folder"):
        check_folder(link, carded=False)


@pytest.mark.parametrize(
    "name", ["..", "a..b", "../a", "a/b", "/a", "", ".a", "A", "a b", "a\n", "ä", "a" * 201]
)
def test_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    """The reason shows the name."""
    with pytest.raises(AdapterRefused, match="is not an adapter's name"):
        valid_name(name)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": 2}', '{"format": 1, "library": 3}', "[" * 100_000]
)
def test_damaged_card_is_refused(text: str) -> None:
    """With a reason, never with a traceback."""
    with pytest.raises(AdapterRefused, match="card"):
        Card.from_json(text)


def test_reader_gives_every_tensor_once(adapter_folder: Make) -> None:
    """Two layers of seven modules of two halves."""
    assert 28 == len({name for name, _, _ in tensors(adapter_folder() / WEIGHTS)})
