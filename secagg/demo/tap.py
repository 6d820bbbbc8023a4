"""Demo only: an aggregator, or the one server of another protocol, that keeps what it holds of one update, for the report to show.

An aggregator opens the part that was sealed to it, as every aggregator does, and the server adds a masked vector or a ciphertext, as
every server does; these also write it to a file of the demo. What they write is all that they ever learn of that update. Nothing else
in the library imports this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from protocols import additive, ckks, pairwise
from protocols.additive.aggregator import Aggregator
from protocols.additive.messages import Report
from protocols.additive.params import Params
from protocols.additive.part import Held, Seat, open_part, tally_part
from protocols.ckks import threshold
from protocols.ckks.cipher import DEGREE, PRIMES, Packing, read_residues
from protocols.ckks.messages import Encrypted
from protocols.ckks.params import Params as CkksParams
from protocols.ckks.server import Server as CkksServer
from protocols.ckks.threshold.messages import Report as ThresholdReport
from protocols.ckks.threshold.params import Params as ThresholdParams
from protocols.ckks.threshold.server import Server as ThresholdServer
from protocols.pairwise.intake import Masking
from protocols.pairwise.messages import Masked
from protocols.pairwise.params import Params as PairwiseParams
from protocols.pairwise.server import Confirming, Server
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.payload import Payload
from secagg.policy import Policy
from secagg.roles import Message, Outgoing, Role, Vector
from secagg.round import Round
from secagg.tally import Tally
from secagg.types import Entropy, PartyId

ROUND = 1
"""The round of which shares are kept."""


def tapped(folder: Path, watch: str) -> type[additive.Plan]:
    """A plan like `additive.Plan` whose aggregators write their share of `watch`'s update to `folder`."""

    class Tapped(additive.Plan):
        def role(self, opened: Round, identity: Identity, *, policy: Policy, ledger: Ledger, entropy: Entropy, **more: Any) -> Role:
            if identity.member.role == "aggregator" and opened.description.round == ROUND:
                return _Tap(folder, PartyId(watch), Params.of(opened), opened, identity, ledger=ledger, entropy=entropy)
            return super().role(opened, identity, policy=policy, ledger=ledger, entropy=entropy, **more)

    return Tapped


class _Tap(Aggregator):
    def __init__(
        self, folder: Path, watch: PartyId, params: Params, opened: Round, me: Identity, *, ledger: Ledger, entropy: Entropy
    ) -> None:
        super().__init__(params, opened, me, ledger=ledger, entropy=entropy)
        self._folder, self._watch, self._place = folder, watch, Seat(me, params, opened)

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        outgoing = super().receive(sender, message)
        if sender == self._watch and isinstance(message, Report):
            self._keep(message)
        return outgoing

    def _keep(self, message: Report) -> None:
        seat = self._place
        share = Tally.zero(seat.params.ring, seat.params.length)
        part = Held(message.report, b"", open_part(message, self._watch, seat), message.payload, message.commitment)
        tally_part(share, part, self._watch, seat, 1)
        np.save(self._folder / share_file(seat.opened.description.task, seat.me.party), share.words)


def tapped_pairwise(folder: Path, watch: str) -> type[pairwise.Plan]:
    """A plan like `pairwise.Plan` whose server writes the masked vector of `watch` to `folder`."""

    class Tapped(pairwise.Plan):
        def role(self, opened: Round, identity: Identity, *, policy: Policy, ledger: Ledger, entropy: Entropy, **more: Any) -> Role:
            if identity.member.role == "coordinator" and opened.description.round == ROUND:
                params = PairwiseParams.of(opened)
                return _ServerTap(folder, PartyId(watch), params, opened, identity, ledger=ledger, entropy=entropy)
            return super().role(opened, identity, policy=policy, ledger=ledger, entropy=entropy, **more)

    return Tapped


class _ServerTap(Server):
    def __init__(
        self, folder: Path, watch: PartyId, params: PairwiseParams, opened: Round, me: Identity, *, ledger: Ledger, entropy: Entropy
    ) -> None:
        super().__init__(params, opened, me, ledger=ledger, entropy=entropy)
        self._file, self._watch = folder / share_file(opened.description.task, me.party), watch

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        state = self.state
        watched = isinstance(state, Masking) and isinstance(message, Masked) and sender == self._watch
        before = state.tally.words.copy() if isinstance(state, Masking) and watched else None
        outgoing = super().receive(sender, message)
        after = self.state
        if before is not None and isinstance(after, Masking | Confirming):
            held = after.tally.words.copy()
            after.tally.ring.sub_into(held, before)
            np.save(self._file, held)
        return outgoing


def tapped_ckks(folder: Path, watch: str) -> type[ckks.Plan]:
    """A plan like `ckks.Plan` whose coordinator writes the ciphertext of `watch` to `folder`."""

    class Tapped(ckks.Plan):
        def role(self, opened: Round, identity: Identity, *, policy: Policy, ledger: Ledger, entropy: Entropy, **more: Any) -> Role:
            if identity.member.role == "coordinator" and opened.description.round == ROUND:
                return _CiphertextTap(folder, PartyId(watch), CkksParams.of(opened), opened, identity)
            return super().role(opened, identity, policy=policy, ledger=ledger, entropy=entropy, **more)

    return Tapped


class _CiphertextTap(CkksServer):
    def __init__(self, folder: Path, watch: PartyId, params: CkksParams, opened: Round, me: Identity) -> None:
        super().__init__(params, opened, me)
        self._file, self._watch, self._packing = (
            folder / share_file(opened.description.task, me.party),
            watch,
            Packing.of(opened.description),
        )

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        outgoing = super().receive(sender, message)
        if sender == self._watch and isinstance(message, Encrypted):
            np.save(self._file, residues(message.payload, self._packing))
        return outgoing


def tapped_threshold(folder: Path, watch: str) -> type[threshold.Plan]:
    """A plan like `threshold.Plan` whose coordinator writes the ciphertext of `watch` to `folder`."""

    class Tapped(threshold.Plan):
        def role(self, opened: Round, identity: Identity, *, policy: Policy, ledger: Ledger, entropy: Entropy, **more: Any) -> Role:
            if identity.member.role == "coordinator" and opened.description.round == ROUND:
                return _ThresholdTap(folder, PartyId(watch), ThresholdParams.of(opened), opened, identity)
            return super().role(opened, identity, policy=policy, ledger=ledger, entropy=entropy, **more)

    return Tapped


class _ThresholdTap(ThresholdServer):
    def __init__(self, folder: Path, watch: PartyId, params: ThresholdParams, opened: Round, me: Identity) -> None:
        super().__init__(params, opened, me)
        self._file, self._watch, self._packing = folder / share_file(opened.description.task, me.party), watch, params.packing

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        outgoing = super().receive(sender, message)
        if sender == self._watch and isinstance(message, ThresholdReport):
            np.save(self._file, residues(message.payload, self._packing))
        return outgoing


def residues(payload: Payload, packing: Packing) -> Vector:
    """For each word of the update, the residue modulo p1 of the coefficient that it is packed in, stretched to the whole ring."""
    words, out, at, ring = read_residues(payload, packing), np.zeros(packing.length, packing.ring.dtype), 0, packing.ring
    for start, count in packing.groups():
        size, first = packing.carrying(start, count), start * DEGREE * packing.lanes
        stretched = (words[at : at + size].astype(np.float64) / PRIMES[0] * 2.0**ring.bits).astype(ring.dtype)
        for lane in range(packing.lanes):
            room = out[first + lane * size : first + (lane + 1) * size]
            room[:] = stretched[: len(room)]
        at += size * len(PRIMES)
    return out


def share_file(task: str, aggregator: str) -> str:
    """Where an aggregator's share of the watched update lies."""
    return f"share-{task}-{aggregator}.npy"
