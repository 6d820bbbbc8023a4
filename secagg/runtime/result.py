"""What a round leaves behind: the mean, who is in it, the receipt, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secagg.receipt import Receipt
from secagg.types import PartyId


@dataclass(frozen=True, slots=True)
class Result:
    """One opened sum.

    Attributes:
        mean: weighted mean of the updates in `included`; same names, shapes, dtypes and kind (numpy or torch) as the model.
        included: the clients whose updates are in it, sorted.
        weight: the sum of their weights; no single weight is known to anybody but its owner.
        receipt: signed proof of the set, `receipt.to_bytes()` to keep it.
        round: number of the round, from 1.
        attempt: number of the attempt that succeeded, from 1.
        left: parties that were asked and are not included, with the reason as far as it is known.
        bytes_up: bytes that each party handed to the network in this attempt (envelopes and payloads).
        bytes_down: bytes that the network handed to each party in this attempt, the input model included.
        seconds: wall time from the description to the opened sum, of this attempt.
        waited: seconds of that in which the hub waited for updates, so training; the rest is the secure round itself.
    """

    mean: Mapping[str, Any]
    included: tuple[PartyId, ...]
    weight: int
    receipt: Receipt
    round: int
    attempt: int
    left: Mapping[PartyId, str]
    bytes_up: Mapping[PartyId, int]
    bytes_down: Mapping[PartyId, int]
    seconds: float
    waited: float
