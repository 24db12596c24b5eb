"""How well a model calls a library: members among the receiver's real ones, and argument lists, on samples kept apart.

Every condition (base, base with the index's context, adapter, wrong adapter, shared adapter) sees the same samples.
Both figures are exact without generating anything:

* A member's rank needs only the candidates whose probability reaches the true one's, so the trie of names is walked
  from the root and cut wherever the sum of log-probabilities has fallen below the truth's.
* The greedy argument list equals the reference when the likeliest token is the reference's at each of its positions.
  (The same text in other tokens counts as a miss.)
"""

from __future__ import annotations

import inspect
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

__all__ = ["Condition", "Judge", "judges", "measure"]

TOKENS = 320  # of a prompt: what training sees
BATCH = 16
BRANCHES = 64  # continuations of one prompt
FEW = 2  # samples of a part and kind between two looks at the clock


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

    ``parts`` maps a part's name (empty for known functions in other files, ``new-function``, ``other-source``) to its
    samples. Samples are taken a few at a time and each few by every condition, until ``limit`` of each part and
    kind or until ``seconds`` have passed: all conditions have seen the same ones then, at least the first few.
    """
    began = clock()
    groups = {
        (part, kind): [s for s in samples if s.kind == kind][:limit]
        for part, samples in parts.items()
        for kind in ("member", "arguments")
    }
    tallies: dict[tuple[str, str, str], _Tally] = {}
    notes: list[str] = []
    longest = max(map(len, groups.values()), default=0)
    for start in range(0, longest, FEW):
        for condition in conditions:
            judge = judge_for(condition)
            for (part, kind), samples in groups.items():
                shown = samples[start : start + FEW]
                if not condition.context:
                    shown = [_bare(s) for s in shown]
                tally = tallies.setdefault((condition.name, part, kind), _Tally())
                tally.add(judge, kind, shown, members)
        spent = clock() - began
        if progress is not None:
            progress(min(1.0, max((start + FEW) / longest, spent / seconds)))
        if spent > seconds and start + FEW < longest:
            notes.append(f"measured {start + FEW} samples of each kind, then the time was up")
            break
    rows = [t.figure(name, part, kind) for (name, part, kind), t in tallies.items() if t.samples]
    return tuple(rows), tuple(notes)


@dataclass(slots=True)
class _Tally:
    """The sums behind one figure."""

    samples: int = 0
    first: int = 0
    reciprocal: float = 0.0
    exact: int = 0
    bits: float = 0.0
    size: int = 0

    def add(
        self,
        judge: Judge,
        kind: str,
        samples: Sequence[Sample],
        members: Mapping[tuple[str, bool], Sequence[str]],
    ) -> None:
        self.samples += len(samples)
        if kind == "member":
            # A member that the index does not list could not be offered: it counts as not found.
            known = [s for s in samples if s.member in members.get((s.receiver, s.instance), ())]
            ranks = judge.ranks(known, [members[s.receiver, s.instance] for s in known])
            self.first += sum(rank == 1 for rank in ranks)
            self.reciprocal += sum(1 / rank for rank in ranks)
        else:
            results = judge.arguments(samples)
            self.exact += sum(right for right, _ in results)
            self.bits += sum(cost for _, cost in results)
            self.size += sum(len(s.completion.encode()) for s in samples)

    def figure(self, condition: str, part: str, kind: str) -> Figure:
        label = f"{part} {kind}" if part else kind
        if kind == "member":
            top1, mrr = self.first / self.samples, self.reciprocal / self.samples
            return Figure(condition, label, self.samples, top1=round(top1, 4), mrr=round(mrr, 4))
        exact, bits = self.exact / self.samples, self.bits / self.size
        return Figure(condition, label, self.samples, exact=round(exact, 4), bits=round(bits, 4))


def judges(base: Path, tokens: int = TOKENS) -> Callable[[Condition], Judge]:
    """Judges with torch over one base; a new one ends the use of the one before.

    An adapter's update is added to the weights, which is exact and costs nothing at each step; the next condition
    starts from the base's own weights again.

    TrainingProblem without the ``train`` extra.
    """
    import torch
    from octod.adapters.lora import idle_cores, load_base
    from octod.adapters.mixture import load

    model = load_base(base)
    tokenizer = load_tokenizer(base / "tokenizer.json")
    parameters = dict(model.named_parameters())
    changed: dict[str, torch.Tensor] = {}

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

    def judge_for(condition: Condition) -> Judge:
        torch.set_num_threads(idle_cores(torch.get_num_threads()))
        with torch.no_grad():
            for name, original in changed.items():
                parameters[name].copy_(original)
            if condition.adapter is not None:
                for module, (a, b) in load(condition.adapter).items():
                    weight = parameters[f"{module}.weight"]
                    changed.setdefault(f"{module}.weight", weight.clone())
                    weight += torch.from_numpy(b @ a)
        return Judge(ranks, arguments)

    return judge_for


def _rank(model: Any, tokenizer: Tokenizer, prompt: list[int], truth: str, names: Sequence[str]) -> int:
    """The rank of the true name by summed log-probability of name and opening bracket, 1 is best."""
    import torch

    spelled = {name: tuple(encode_text(tokenizer, name + "(")) for name in names}
    with torch.inference_mode():
        output = model(input_ids=torch.tensor([prompt]), use_cache=True, logits_to_keep=1)
        first = output.logits[0, -1].log_softmax(-1)
        walk = _Walk(model, output.past_key_values, first)
        bar = walk.spell(spelled[truth])
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

    def __init__(self, model: Any, cache: Any, first: torch.Tensor) -> None:
        self.after: dict[tuple[int, ...], torch.Tensor] = {(): first}
        self._model = model
        # (key, value) of each layer, (1, heads, time, width), so the prompt is computed once.
        self._layers = [(layer.keys, layer.values) for layer in cache.layers]

    def spell(self, ids: tuple[int, ...]) -> float:
        """The summed log-probability of a token sequence."""
        if len(ids) > 1:
            scores = self._run([ids[:-1]], 0)[0]  # (time, vocabulary)
            for stop in range(1, len(ids)):
                self.after[ids[:stop]] = scores[stop - 1]
        return sum(float(self.after[ids[:i]][token]) for i, token in enumerate(ids))

    def extend(self, continuations: Sequence[tuple[int, ...]]) -> None:
        """Compute what follows each continuation where that is missing; all are of one length."""
        missing = [c for c in continuations if c not in self.after]
        for start in range(0, len(missing), BRANCHES):
            part = missing[start : start + BRANCHES]
            for continuation, scores in zip(part, self._run(part, 1), strict=True):
                self.after[continuation] = scores[-1]

    def _run(self, continuations: Sequence[tuple[int, ...]], keep: int) -> torch.Tensor:
        """Log-probabilities (batch, time, vocabulary) at the last ``keep`` places, 0 for all."""
        import torch
        from transformers import DynamicCache

        cache = DynamicCache()
        for number, (keys, values) in enumerate(self._layers):
            size = (len(continuations), -1, -1, -1)
            cache.update(keys.expand(size), values.expand(size), number)
        # transformers 5.24 calls the parameter otherwise, and will drop the old name
        known = inspect.signature(self._model.forward).parameters
        given = {"cache" if "cache" in known else "past_key_values": cache}
        output = self._model(input_ids=torch.tensor(continuations), **given, use_cache=True, logits_to_keep=keep)
        scores: torch.Tensor = output.logits.log_softmax(-1)
        return scores


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
