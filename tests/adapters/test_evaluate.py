"""Evaluation: ranks by the cut trie equal ranks by full scores, the table has its rows, time is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import folds
import pytest
from octod.adapters.card import Figure
from octod.adapters.dataset import DataSet, Plan, Sample, Source, build
from octod.adapters.evaluate import Condition, Judge, judges, measure
from octod.adapters.identity import BaseModel
from octod.adapters.prompt import encode_prompt, encode_text, load_tokenizer

MEMBERS = {("folds", False): ("crease", "cut", "fold", "measure", "unfold")}


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    """Samples of folds, a third kept apart."""
    source = Source("origami", tuple(folds.write_usage(tmp_path / "use", 9)))
    plan = Plan(held_files=0.4, held_functions=0)
    return build(folds.Index(), folds.LIBRARY, ["folds"], [source], plan=plan, tools=folds.TOOLS)


def test_table_has_a_row_for_each_condition_and_kind(data: DataSet) -> None:
    """The figures are means over the same samples; signatures are hidden where the condition says so."""
    shown: list[bool] = []

    def judge_for(condition: Condition) -> Judge:
        def ranks(samples: object, candidates: object) -> list[int]:
            assert isinstance(samples, list)
            shown.extend(bool(s.prompt.signatures) for s in samples)
            return [1 if n % 2 else 4 for n in range(len(samples))]

        return Judge(ranks, lambda samples: [(True, 8.0 * len(s.completion)) for s in samples])

    conditions = [Condition("with"), Condition("without", context=False)]
    rows, notes = measure(judge_for, conditions, {"": data.evaluation}, MEMBERS, limit=4)
    assert {
        Figure("with", "member", 4, top1=0.5, mrr=0.625),
        Figure("with", "arguments", 4, exact=1.0, bits=8.0),
        Figure("without", "member", 4, top1=0.5, mrr=0.625),
        Figure("without", "arguments", 4, exact=1.0, bits=8.0),
    } == set(rows)
    assert [True, True, False, False] * 2 == shown
    assert () == notes


def test_member_that_the_index_does_not_list_counts_as_not_found(data: DataSet) -> None:
    """It stays in the denominator."""
    judge = Judge(lambda samples, _: [1] * len(samples), lambda samples: [])
    only = [s for s in data.evaluation if s.kind == "member"]
    (row,), _ = measure(lambda _: judge, [Condition("c")], {"": only}, {("folds", False): ("fold",)})
    assert sum(s.member == "fold" for s in only) / len(only) == pytest.approx(row.top1, abs=1e-4)


def test_time_is_kept_and_all_conditions_see_the_same_samples(data: DataSet) -> None:
    """The clock is looked at after each few samples, and the note says how far it came."""
    now = iter([0.0, 1.0, 99.0])
    judge = Judge(lambda samples, _: [1] * len(samples), lambda samples: [(True, 1.0)] * len(samples))
    rows, notes = measure(
        lambda _: judge,
        [Condition("a"), Condition("b")],
        {"": data.evaluation},
        MEMBERS,
        seconds=10,
        clock=lambda: next(now),
    )
    assert {("a", 4), ("b", 4)} == {(row.condition, row.samples) for row in rows}
    assert ("measured 4 samples of each kind, then the time was up",) == notes


@pytest.mark.train
def test_ranks_equal_those_of_full_scores(data: DataSet, real_base: BaseModel) -> None:
    """The cut trie with its shared cache against one forward pass per candidate."""
    import torch
    from octod.adapters.lora import load_base

    names = [*MEMBERS["folds", False], "folded", "fo", "sheet_of_paper", "Sheet"]
    samples = [s for s in data.evaluation if s.kind == "member"][:6]
    tokenizer = load_tokenizer(real_base.folder / "tokenizer.json")
    model = load_base(real_base.folder)

    def full(sample: Sample, name: str) -> float:
        prompt, ids = encode_prompt(tokenizer, sample.prompt, 320), encode_text(tokenizer, name + "(")
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
        return sum(float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(ids))

    expected = []
    for sample in samples:
        scores = {name: full(sample, name) for name in names}
        expected.append(1 + sum(score > scores[sample.member] for score in scores.values()))
    assert expected == judges(real_base.folder)(Condition("base")).ranks(samples, [names] * len(samples))


@pytest.mark.train
def test_argument_bits_equal_those_of_single_passes(data: DataSet, real_base: BaseModel) -> None:
    """Padding and order change nothing."""
    samples = [s for s in data.evaluation if s.kind == "arguments"][:20]
    judge = judges(real_base.folder)(Condition("base"))
    together = judge.arguments(samples)
    for sample, (right, bits) in zip(samples, together, strict=True):
        ((right_alone, bits_alone),) = judge.arguments([sample])
        assert right == right_alone
        assert bits == pytest.approx(bits_alone, rel=1e-4)


@pytest.mark.train
def test_dropped_adapter_leaves_the_base_as_it_was(
    data: DataSet, real_base: BaseModel, adapter_like: Callable[[BaseModel], Path]
) -> None:
    """P8: after an adapter was used, the base's figures are the same to the last bit."""
    samples = [s for s in data.evaluation if s.kind == "arguments"][:5]
    judge_for = judges(real_base.folder)
    before = judge_for(Condition("base")).arguments(samples)
    changed = judge_for(Condition("adapter", adapter_like(real_base))).arguments(samples)
    after = judge_for(Condition("base")).arguments(samples)
    assert before != changed
    assert before == after
