"""How well a model calls a library: members among the receiver's real ones, and argument lists, on samples kept apart.

Every condition (base, base with the index's context, adapter, wrong adapter, shared adapter) sees the same samples.
Both figures are exact without generating anything:

* A member's rank needs only the candidates whose probability reaches the true one's, so the trie of names is walked
  from the root and cut wherever the sum of log-probabilities has fallen below the truth's.
* The greedy argument list equals the reference when the likeliest token is the reference's at each of its positions.
  (The same text in other tokens counts as a miss.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octod.adapters.card import Figure
from octod.adapters.dataset import Sample
from octod.adapters.prompt import encode_prompt, encode_text, load_tokenizer

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

__all__ = ["Condition", "Judge", "figures", "judge_of", "measure"]

TOKENS = 320  # of a prompt: what training sees
BATCH = 16


@dataclass(frozen=True, slots=True)
class Condition:
    """One row of the table: an adapter's folder (None: the base alone) and whether the index's context is shown."""

    name: str
    adapter: Path | None = None
    context: bool = True


@dataclass(frozen=True, slots=True)
class Judge:
    """What judges samples.

    ``ranks`` gives the true member's rank (1 is best) among candidate names,
    ``arguments`` whether the greedy list is right and the bits it costs.
    """

    ranks: Callable[[Sequence[Sample], Sequence[Sequence[str]]], list[int]]
    arguments: Callable[[Sequence[Sample]], list[tuple[bool, float]]]


def measure(
    judge_for: Callable[[Condition], Judge],
    conditions: Sequence[Condition],
    parts: Mapping[str, Sequence[Sample]],
    members: Mapping[tuple[str, bool], Sequence[str]],
    *,
    limit: int = 200,
    seconds: float = 120.0,
    progress: Callable[[float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[tuple[Figure, ...], tuple[str, ...]]:
    """The table: one figure per condition, part and kind; and notes on what was left out.

    ``parts`` maps a part's name (empty for samples of known functions in other files, ``new-function``) to its
    samples. ``limit`` caps the samples of each; all conditions see the same ones. A condition whose turn comes after
    ``seconds`` is left out and noted.
    """
    deadline = clock() + seconds
    rows: list[Figure] = []
    notes: list[str] = []
    for number, condition in enumerate(conditions):
        if clock() > deadline:
            notes.append(f"no time left to measure {condition.name}")
            continue
        judge = judge_for(condition)
        for part, samples in parts.items():
            shown = [s if condition.context else _bare(s) for s in samples]
            rows += figures(judge, condition.name, part, shown, members, limit)
        if progress is not None:
            progress((number + 1) / len(conditions))
    return tuple(rows), tuple(notes)


def figures(
    judge: Judge,
    condition: str,
    part: str,
    samples: Sequence[Sample],
    members: Mapping[tuple[str, bool], Sequence[str]],
    limit: int,
) -> list[Figure]:
    """The figures of one condition on one part: members, then arguments; none where there are no samples."""
    rows: list[Figure] = []

    def kind(name: str) -> str:
        return f"{part} {name}" if part else name

    # A member that the index does not list could not be offered: it counts as not found.
    chosen = [s for s in samples if s.kind == "member"][:limit]
    known = [s for s in chosen if s.member in members.get((s.receiver, s.instance), ())]
    if chosen:
        ranks = judge.ranks(known, [members[s.receiver, s.instance] for s in known])
        top1 = sum(rank == 1 for rank in ranks) / len(chosen)
        mrr = sum(1 / rank for rank in ranks) / len(chosen)
        rows.append(Figure(condition, kind("member"), len(chosen), top1=round(top1, 4), mrr=round(mrr, 4)))
    called = [s for s in samples if s.kind == "arguments"][:limit]
    if called:
        results = judge.arguments(called)
        exact = sum(right for right, _ in results) / len(called)
        size = sum(len(s.completion.encode()) for s in called)
        bits = sum(cost for _, cost in results) / size
        rows.append(
            Figure(condition, kind("arguments"), len(called), exact=round(exact, 4), bits=round(bits, 4))
        )
    return rows


def judge_of(base: Path, adapter: Path | None, tokens: int = TOKENS) -> Judge:
    """A judge with torch: the base in a folder, with an adapter's folder applied or without.

    TrainingProblem without the ``train`` extra.
    """
    import torch
    from octod.adapters.lora import idle_cores, load_base

    model = load_base(base)
    torch.set_num_threads(idle_cores(torch.get_num_threads()))
    if adapter is not None:
        _apply(model, adapter)
    tokenizer = load_tokenizer(base / "tokenizer.json")

    def ranks(samples: Sequence[Sample], candidates: Sequence[Sequence[str]]) -> list[int]:
        return [
            _rank(model, tokenizer, encode_prompt(tokenizer, s.prompt, tokens), s.member, names)
            for s, names in zip(samples, candidates, strict=True)
        ]

    def arguments(samples: Sequence[Sample]) -> list[tuple[bool, float]]:
        pairs = [
            (encode_prompt(tokenizer, s.prompt, tokens), encode_text(tokenizer, s.completion))
            for s in samples
        ]
        return _arguments(model, pairs)

    return Judge(ranks, arguments)


def _apply(model: Any, adapter: Path) -> None:
    """Add an adapter's update to the weights in place: exact, and as fast as the base afterwards."""
    import torch
    from octod.adapters.mixture import load

    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for module, (a, b) in load(adapter).items():
            parameters[f"{module}.weight"] += torch.from_numpy(b @ a)


def _rank(model: Any, tokenizer: Tokenizer, prompt: list[int], truth: str, names: Sequence[str]) -> int:
    """The rank of the true name by summed log-probability of name and opening bracket, 1 is best."""
    import torch

    spelled = {name: tuple(encode_text(tokenizer, name + "(")) for name in names}
    with torch.inference_mode():
        output = model(input_ids=torch.tensor([prompt]), use_cache=True, logits_to_keep=1)
        first = output.logits[0, -1].log_softmax(-1)
        walk = _Walk(model, output.past_key_values, len(prompt), {(): first})
        bar = _spell(walk, spelled[truth])
        # Names whose score so far still reaches the truth's, one more token at each turn.
        better = 0
        alive = [(name, 0.0) for name in names if name != truth]
        depth = 0
        while alive:
            following = []
            walk.extend(sorted({spelled[name][:depth] for name, _ in alive}))
            for name, score in alive:
                ids = spelled[name]
                score += float(walk.after[ids[:depth]][ids[depth]])
                if score < bar:
                    continue
                if len(ids) == depth + 1:
                    better += 1
                else:
                    following.append((name, score))
            alive, depth = following, depth + 1
    return better + 1


class _Walk:
    """Next-token log-probabilities after a prompt and each of some continuations."""

    def __init__(
        self, model: Any, cache: Any, length: int, after: dict[tuple[int, ...], torch.Tensor]
    ) -> None:
        self.after = after
        self._model = model
        # (key, value) of each layer, (1, heads, time, width), so the prompt is computed once.
        self._layers = [(layer.keys, layer.values) for layer in cache.layers]
        self._length = length

    def extend(self, continuations: Sequence[tuple[int, ...]]) -> None:
        """Compute what is missing, continuations of one length at a time."""
        missing = [c for c in continuations if c not in self.after]
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            logits = self._run(part)  # (batch, time, vocabulary)
            for row, continuation in enumerate(part):
                for stop in range(1, len(continuation) + 1):
                    self.after.setdefault(continuation[:stop], logits[row, stop - 1])

    def _run(self, continuations: Sequence[tuple[int, ...]]) -> torch.Tensor:
        import torch
        from transformers import DynamicCache

        cache = DynamicCache()
        for number, (keys, values) in enumerate(self._layers):
            size = (len(continuations), -1, -1, -1)
            cache.update(keys.expand(size), values.expand(size), number)
        output = self._model(input_ids=torch.tensor(continuations), past_key_values=cache, use_cache=True)
        scores: torch.Tensor = output.logits.log_softmax(-1)
        return scores


def _spell(walk: _Walk, ids: tuple[int, ...]) -> float:
    """The summed log-probability of a token sequence."""
    if len(ids) > 1:
        walk.extend([ids[:-1]])
    return sum(float(walk.after[ids[:i]][token]) for i, token in enumerate(ids))


def _arguments(model: Any, pairs: Sequence[tuple[list[int], list[int]]]) -> list[tuple[bool, float]]:
    """(greedy list is right, bits of the list) for prompts and reference tokens."""
    import torch

    results: list[tuple[bool, float]] = [(False, 0.0)] * len(pairs)
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            longest = max(len(pairs[i][0]) + len(pairs[i][1]) for i in part)
            inputs = torch.zeros(
                (len(part), longest), dtype=torch.long
            )  # padded right, hidden by the causal mask
            for row, i in enumerate(part):
                ids = pairs[i][0] + pairs[i][1]
                inputs[row, : len(ids)] = torch.tensor(ids)
            hidden = model.model(input_ids=inputs, use_cache=False).last_hidden_state
            for row, i in enumerate(part):
                prompt, reference = pairs[i]
                logits = model.lm_head(hidden[row, len(prompt) - 1 : len(prompt) + len(reference) - 1])
                target = torch.tensor(reference)
                right = bool((logits.argmax(-1) == target).all())
                nats = torch.nn.functional.cross_entropy(logits.float(), target, reduction="sum").item()
                results[i] = (right, nats / math.log(2))
    return results


def _bare(sample: Sample) -> Sample:
    return replace(sample, prompt=replace(sample.prompt, signatures=()))
