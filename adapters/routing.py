"""Which adapters belong to a file and a cursor: its imports and the resolved receiver are the router.

Learned routers add nothing where the resolver knows (LoRAuter, Adaptive Minds; DESIGN.md, section 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from octod.adapters.identity import BaseModel
from octod.adapters.mixture import Mixture
from octod.adapters.registry import Adapter
from octod.core.symbols import LibraryId

__all__ = ["Choice", "Refusal", "choose"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An adapter that would belong here but must not serve, and why, in words for the user."""

    adapter: str
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The adapters of a cursor with their weights, strongest first, and those refused."""

    mixture: Mixture
    refused: tuple[Refusal, ...] = ()


def choose(
    imports: Iterable[str],
    receiver: str | None,
    adapters: Sequence[Adapter],
    installed: Mapping[str, Sequence[LibraryId]],
    *,
    base: BaseModel | None = None,
    receiver_weight: float = 1.0,
    import_weight: float = 0.0,
    limit: int = 4,
) -> Choice:
    """Choose the adapters for one cursor.

    Args:
        imports: top-level import names in the file (``numpy``), in order.
        receiver: distribution of the resolved receiver, None where it is unknown.
        adapters: the registry's adapters, the newest first.
        installed: import name -> the distributions that provide it, as installed now.
        base: the model that serves; adapters of another one are refused.
        receiver_weight: weight of the receiver's own adapter.
        import_weight: weight of each other imported library's; where the receiver is unknown, they share
            ``receiver_weight``.
        limit: at most so many adapters, since the cost of a step grows with the summed rank.
    """
    libraries = {library.distribution: library for providers in installed.values() for library in providers}
    wanted = [receiver] if receiver else []
    for name in imports:
        for library in installed.get(name, ()):
            if library.distribution not in wanted:
                wanted.append(library.distribution)
    refused: list[Refusal] = []
    found: list[tuple[str, str]] = []  # (distribution, adapter)
    for distribution in wanted:
        reasons = []
        for adapter in adapters:
            if adapter.library.distribution != distribution:
                continue
            reason = unfit(adapter, libraries.get(distribution), base)
            if reason is None:
                found.append((distribution, adapter.name))
                break
            reasons.append(Refusal(adapter.name, reason))
        else:
            # Only where no adapter of the library fits: an old one beside a fitting one is no news.
            refused += reasons
    others = [name for distribution, name in found if distribution != receiver]
    mixture = [(name, receiver_weight) for distribution, name in found if distribution == receiver]
    if mixture or receiver is not None:
        share = import_weight
    else:
        share = receiver_weight / len(others) if others else 0.0
    mixture += [(name, share) for name in others if share]
    return Choice(tuple(mixture[:limit]), tuple(refused))


def unfit(adapter: Adapter, installed: LibraryId | None, base: BaseModel | None) -> str | None:
    """Why an adapter must not serve the installed library and base, or None when it may."""
    own = adapter.library
    again = f"run `octod train {own.distribution}`"
    if installed is None:
        return f"{own.distribution} is not installed in this environment"
    if installed.version != own.version:
        return f"trained for {own}, installed is {installed.version}: {again}"
    if installed.record != own.record:
        return f"trained for other files of {own} than those installed: {again}"
    if base is not None and adapter.base_weights != base.weights_hash:
        return f"trained for another base model ({adapter.base_name}): {again}"
    if base is not None and adapter.base_tokenizer != base.tokenizer_hash:
        return f"trained with another tokenizer: {again}"
    return None
