"""The network in process: deterministic, with virtual time and a fault function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from secagg.envelope import Packet
from secagg.types import PartyId

Fault = Callable[[PartyId, PartyId, Packet], Sequence[Packet]]
"""`fault(sender, recipient, packet)` gives the packets that arrive instead: none, one, several, or damaged ones."""
