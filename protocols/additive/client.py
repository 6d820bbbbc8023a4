"""The client: splits its vector once, sends one part to each aggregator, and collects their signed receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from secagg.crypto.derive import frame
from secagg.crypto.sign import BadSignature
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import Machine
from secagg.payload import Payload
from secagg.roles import Message, Outgoing, Source, Vector
from secagg.roster import Roster
from secagg.types import Context, Entropy, PartyId, Secret

from .messages import REPORT_ID, Accepted, Report
from .params import Params
from .split import SEED, mask, part_hash, root_hash, seal_masked

ACCEPTED = "additive/accepted"
PART = "additive/part"


@dataclass(frozen=True, slots=True)
class Ready:
    """Nothing sent yet."""


@dataclass(frozen=True, slots=True)
class Reported:
    """The parts are out. What was split is gone: only the root is kept, to check the receipts against."""

    root: bytes
    receipts: tuple[tuple[PartyId, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """Every aggregator has signed for the report."""

    root: bytes
    receipts: tuple[tuple[PartyId, bytes], ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """A message was bad: nothing more is said in this round."""


State = Ready | Reported | Done | Failed


def seal_context(ctx: Context, client: PartyId, aggregator: PartyId, report: bytes) -> bytes:
    """What a sealed part is bound to: the round, both ends and the report."""
    return frame("additive/context", ctx.rd, client.encode(), aggregator.encode(), report)


def report(
    vector: Vector | Source, version: int, *, me: Identity, params: Params, ctx: Context, entropy: Entropy
) -> tuple[Reported, list[Outgoing]]:
    """Split `vector` into one part per aggregator. [CB17, section 4; additive sharing mod 2^k]"""
    if vector.shape != (params.length,) or vector.dtype != params.ring.dtype:
        raise ConfigError(
            f"the vector has shape {vector.shape} and dtype {vector.dtype}; this round sums {params.length} words of {params.ring.dtype}"
        )
    if version not in params.versions:
        raise ConfigError(f"trained from model version {version}; this round takes {sorted(params.versions)}")
    name = entropy(REPORT_ID)
    # > The leader's part is a key, every other part a seed; each is 32 fresh bytes.
    secrets = [Secret(entropy(SEED)) for _ in params.aggregators]
    masks = [(mask(seed, ctx, me.party, name, index), -1) for index, seed in enumerate(secrets) if index > 0]
    payload, committed = seal_masked(vector, masks, params.ring, secrets[0], seal_context(ctx, me.party, params.leader, name))
    carried: list[tuple[bytes, Payload | None]] = [(committed, payload), *[(b"", None)] * (len(secrets) - 1)]
    sealed = [_seal(secret, me, to, ctx, name) for secret, to in zip(secrets, params.aggregators, strict=True)]
    parts = tuple(
        part_hash(ctx, me.party, name, index, sealed=key, committed=hashed)
        for index, (key, (hashed, _)) in enumerate(zip(sealed, carried, strict=True))
    )
    outgoing = [
        Outgoing(to, Report(name, version, parts, key, hashed, vector_part))
        for to, key, (hashed, vector_part) in zip(params.aggregators, sealed, carried, strict=True)
    ]
    # The long part goes last: the others expand their seeds while it travels.
    return Reported(root_hash(ctx, me.party, name, version, parts)), [*outgoing[1:], outgoing[0]]


def receive_receipt(state: Reported, message: Accepted, sender: PartyId, *, me: Identity, params: Params, ctx: Context) -> Reported | Done:
    """Keep one aggregator's signature for the report."""
    # > A receipt is for the root that this client sent, signed by the aggregator it comes from (AD-K1).
    if message.client != me.party or message.root != state.root:
        raise InvalidMessage("AD-K1", f"{sender} gave a receipt for another report", culprits=[sender])
    verify_receipt(message, sender, me.roster, ctx, check="AD-K1")
    receipts = (*state.receipts, (sender, message.signature))
    return Done(state.root, receipts) if len(receipts) == len(params.aggregators) else Reported(state.root, receipts)


def verify_receipt(message: Accepted, sender: PartyId, roster: Roster, ctx: Context, *, check: str) -> None:
    """The aggregator's signature for (rd, client, root). Raises InvalidMessage."""
    try:
        roster.member(sender).signing.verify(message.signature, ACCEPTED, frame(ACCEPTED, ctx.rd, message.client.encode(), message.root))
    except BadSignature as refused:
        raise InvalidMessage(check, f"the receipt of {sender} is not signed by it", culprits=[sender]) from refused


def _seal(secret: Secret, me: Identity, to: PartyId, ctx: Context, name: bytes) -> bytes:
    return me.roster.member(to).sealing.seal(secret, purpose=PART, context=seal_context(ctx, me.party, to, name))


class Client(Machine[State]):
    """The client's machine. It waits for nobody: once its parts are out it may go offline."""

    NAME: ClassVar = "client"
    STATES: ClassVar = State

    def __init__(self, params: Params, ctx: Context, me: Identity, *, ledger: Ledger, entropy: Entropy) -> None:
        self._params, self._ctx, self._me = params, ctx, me
        self._ledger, self._entropy = ledger, entropy
        super().__init__(Ready())

    @property
    def receipts(self) -> tuple[tuple[PartyId, bytes], ...]:
        """The aggregators' signatures so far."""
        return self._state.receipts if isinstance(self._state, Reported | Done) else ()

    def contribute(self, vector: Vector | Source, *, version: int) -> Sequence[Outgoing]:
        match self._state:
            case Ready() if self._started:
                after, outgoing = report(vector, version, me=self._me, params=self._params, ctx=self._ctx, entropy=self._entropy)
                # > The root is on disk before the first part is sent: after a crash the slot is used.
                self._ledger.use(self._ctx, f"report/{self._me.party}", after.root)
                self._state = after
                return outgoing
        raise LocalProtocolError(f"a vector is not due in phase {self.phase!r}")

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        # > Only an aggregator's message can end a client's round; anybody else's is refused and changes nothing.
        if sender not in self._params.aggregators:
            raise UnexpectedMessage(f"{sender} is no aggregator of this round", culprits=[sender])
        try:
            match self._state, message:
                case Reported() as state, Accepted() as accepted:
                    self._state = receive_receipt(state, accepted, sender, me=self._me, params=self._params, ctx=self._ctx)
                    return []
            raise UnexpectedMessage(f"{type(message).__name__} is not due in {self.phase}", culprits=[sender])
        except (InvalidMessage, UnexpectedMessage):
            self._state = Failed()
            raise

    def expire(self) -> Sequence[Outgoing]:
        raise LocalProtocolError("a client of additive waits for nobody: it has no time to expire")
