"""The errors octod raises on purpose, each with what to do next.

    OctodError                  exit 1   root of all of them
    ├── UsageError              exit 2   the call's words are off
    ├── DaemonError             exit 3   no daemon answers, or it is of another version
    ├── EnvironmentProblem      exit 1   no Python environment there, or it cannot be read
    ├── NotInstalled            exit 1   a distribution or a name that the environment lacks
    ├── IndexProblem            exit 1   the index cannot be opened or written
    ├── RegistryProblem         exit 1   the adapter registry cannot be opened or written
    ├── AdapterRefused          exit 1   an adapter that must not serve; the message names the reason
    ├── TrainingProblem         exit 1   too few samples, missing extra, no space
    └── EngineProblem           exit 1   the engine died, refused, or ran past its deadline
"""

from __future__ import annotations

__all__ = [
    "AdapterRefused",
    "DaemonError",
    "EngineProblem",
    "EnvironmentProblem",
    "IndexProblem",
    "NotInstalled",
    "OctodError",
    "RegistryProblem",
    "TrainingProblem",
    "UsageError",
]


class OctodError(Exception):
    """Root of octod's errors: ``message`` says what happened, ``hint`` what to do next."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(OctodError):
    """The call's words are off."""

    exit_code = 2


class DaemonError(OctodError):
    """No daemon answers, or it speaks another version."""

    exit_code = 3


class EnvironmentProblem(OctodError):
    """There is no Python environment at that place, or it cannot be read."""


class NotInstalled(OctodError):
    """A distribution or a name that the environment does not have."""


class IndexProblem(OctodError):
    """The index cannot be opened or written."""


class RegistryProblem(OctodError):
    """The adapter registry cannot be opened or written."""


class AdapterRefused(OctodError):
    """An adapter that must not serve; the message names the reason."""


class TrainingProblem(OctodError):
    """A training that cannot start or go on."""


class EngineProblem(OctodError):
    """The engine died, refused a request, or ran past its deadline."""
