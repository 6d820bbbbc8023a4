"""Every error that the library raises on purpose.

```
SecAggError
├── ConfigError          a parameter is refused before anything is sent          (also ValueError)
├── LocalProtocolError   our caller asked for a step that is not due
├── PeerError .culprits  a peer sent what it may not send
│   ├── MalformedMessage     bytes that are no message
│   ├── UnexpectedMessage    a message that is not due
│   └── InvalidMessage       a message that fails a numbered check (.check = "AD-A3")
├── SessionAborted       too few parties left to finish safely: who answered, how many were needed
├── BudgetExceeded       the privacy budget would be overspent
└── TransportError       the network failed; nothing is known about the peer
```

Refusals raise: no function returns a bool to be ignored. A message names what was wrong, where, and what to do;
it never contains secret bytes or a value that came out of a tensor.
"""

from __future__ import annotations

from collections.abc import Iterable

from secagg.types import PartyId


class SecAggError(Exception):
    """The root of the tree."""


class ConfigError(SecAggError, ValueError):
    """A parameter, a file or an input of our own side is refused before anything is sent."""


class LocalProtocolError(SecAggError):
    """Our own caller asked for a step that is not due: a bug on this side."""


class PeerError(SecAggError):
    """A peer sent what it may not send; `culprits` are the parties to blame."""

    def __init__(self, message: str, *, culprits: Iterable[PartyId] = ()) -> None:
        self.culprits: tuple[PartyId, ...] = tuple(culprits)
        super().__init__(message)


class MalformedMessage(PeerError):
    """Bytes that do not parse: truncated, oversized, an unknown field, a value out of range."""


class UnexpectedMessage(PeerError):
    """A well-formed message that is not due in this state, from this sender, or for this round."""


class InvalidMessage(PeerError):
    """A message that fails a numbered check of the specification; `check` is its id, for example `AD-A3`, `reason` the rest of its text."""

    def __init__(self, check: str, message: str, *, culprits: Iterable[PartyId] = ()) -> None:
        self.check, self.reason = check, message
        super().__init__(f"{check}: {message}", culprits=culprits)


class SessionAborted(SecAggError):
    """The round ended without a sum: `answered` are those heard of in the phase that failed, `needed` how many it took, `culprits` who is
    shown to have lied."""

    def __init__(self, message: str, *, answered: Iterable[PartyId] = (), needed: int = 0, culprits: Iterable[PartyId] = ()) -> None:
        self.answered: tuple[PartyId, ...] = tuple(answered)
        self.culprits: tuple[PartyId, ...] = tuple(culprits)
        self.needed = needed
        super().__init__(message)


class BudgetExceeded(SecAggError):
    """The privacy budget would be overspent; nothing was spent."""


class TransportError(SecAggError):
    """The network failed. Nothing is known about what the peer did or saw."""
