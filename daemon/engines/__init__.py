"""Engines: what turns a prompt into scores and arguments. The protocol, the embedded one, and a fake."""

from octod.daemon.engines.protocol import (
    AdapterFiles,
    CallConstraint,
    Ending,
    Engine,
    EngineInfo,
    Generated,
    Mixture,
    Prompt,
    constraint_for,
)

__all__ = [
    "AdapterFiles",
    "CallConstraint",
    "Ending",
    "Engine",
    "EngineInfo",
    "Generated",
    "Mixture",
    "Prompt",
    "constraint_for",
]
