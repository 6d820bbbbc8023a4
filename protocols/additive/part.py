"""One client's part at an aggregator: checked, opened, and added to the tally or taken out of it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from secagg.crypto.seal import CannotOpen
from secagg.crypto.stream import commitment
from secagg.errors import InvalidMessage
from secagg.machine import Station
from secagg.payload import Payload
from secagg.tally import Mask, RunningSum
from secagg.types import PartyId, Secret

from .client import PART, seal_context
from .messages import Report
from .params import Params
from .split import SEED, mask, opening_of, part_hash, root_hash


@dataclass(frozen=True, slots=True)
class Seat(Station[Params]):
    """Where this aggregator sits: everything that does not change in a round."""

    @property
    def index(self) -> int:
        return self.params.aggregators.index(self.me.party)

    @property
    def others(self) -> tuple[PartyId, ...]:
        return tuple(name for name in self.params.aggregators if name != self.me.party)


@dataclass(frozen=True, slots=True)
class Held:
    """One accepted part: enough to take it out of the tally again if the others do not hold theirs."""

    report: bytes
    root: bytes
    secret: Secret
    payload: Payload | None
    commitment: bytes


def check_report(message: Report, client: PartyId, seat: Seat) -> bytes:
    """The root of a report that fits the round. Raises InvalidMessage."""
    params, index = seat.params, seat.index
    # > A report is from a client of the cohort (AD-A1).
    if client not in params.clients:
        raise InvalidMessage("AD-A1", f"{client} is not in the cohort", culprits=[client])
    # > It lists one hash per aggregator, and the part fits the hash in its place (AD-A2).
    own = part_hash(seat.ctx, client, message.report, index, sealed=message.sealed, committed=message.commitment)
    if len(message.parts) != len(params.aggregators) or message.parts[index] != own:
        raise InvalidMessage("AD-A2", f"the part of {client} is not the one in its signed list", culprits=[client])
    # > Its input model is one that the description allows (AD-A3).
    if message.version not in params.versions:
        raise InvalidMessage(
            "AD-A3", f"{client} trained from version {message.version}; allowed are {sorted(params.versions)}", culprits=[client]
        )
    # > The leader's part carries a vector of exactly the round's size, the others none (AD-A4).
    size = message.payload.size if message.payload is not None else 0
    if size != (params.payload_size if index == 0 else 0):
        raise InvalidMessage(
            "AD-A4", f"a vector of {size} bytes from {client}; {params.payload_size if index == 0 else 0} expected", culprits=[client]
        )
    return root_hash(seat.ctx, client, message.report, message.version, message.parts)


def open_part(message: Report, client: PartyId, seat: Seat) -> Secret:
    """The seed, or the leader's key. Raises InvalidMessage."""
    # > The sealed part opens with this aggregator's key, for this round, client and report (AD-A5).
    try:
        secret = seat.me.opening.open(message.sealed, purpose=PART, context=seal_context(seat.ctx, client, seat.me.party, message.report))
    except CannotOpen as refused:
        raise InvalidMessage("AD-A5", f"the part of {client} was not sealed for this aggregator and round", culprits=[client]) from refused
    if len(secret) != SEED:
        raise InvalidMessage("AD-A5", f"the part of {client} holds {len(secret)} bytes, {SEED} expected", culprits=[client])
    return secret


def masks_of(signed: Mapping[PartyId, int], held: Mapping[PartyId, Held], seat: Seat) -> list[Mask]:
    """The shares that these clients' seeds stand for, each with its sign."""
    return [(mask(held[name].secret, seat.ctx, name, held[name].report, seat.index), sign) for name, sign in signed.items()]


def tally_seeds(tally: RunningSum, signed: Mapping[PartyId, int], held: Mapping[PartyId, Held], seat: Seat) -> None:
    """Add the shares that these clients' seeds stand for, or take them out where the sign is −1, in one pass over the tally."""
    if signed:
        tally.apply(masks_of(signed, held, seat))


def tally_part(tally: RunningSum, held: Held, client: PartyId, seat: Seat, sign: int) -> None:
    """Add a part to the tally, or take it out (`sign` = −1). Raises InvalidMessage, and then the tally is as before."""
    if held.payload is None:
        tally_seeds(tally, {client: sign}, {client: held}, seat)
        return
    # > The vector has the tags that were committed to, and opens, whole, under the key that was sealed with it (AD-A6).
    if sign > 0 and commitment(held.payload) != held.commitment:
        raise InvalidMessage("AD-A6", f"the vector of {client} is not the one it committed to", culprits=[client])
    try:
        tally.add(opening_of(held.secret, seal_context(seat.ctx, client, seat.me.party, held.report)), held.payload, sign)
    except CannotOpen as refused:
        raise InvalidMessage("AD-A6", f"the vector of {client} does not open: {refused}", culprits=[client]) from refused
