"""The client: waits for the round's key, encrypts once, and sends one half to each server.

Waiting ──Key──▶ Keyed ──vector──▶ Done, or the vector first: Waiting ──vector──▶ Holding ──Key──▶ Done
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from secagg.crypto.derive import frame
from secagg.crypto.seal import CannotOpen
from secagg.errors import ConfigError, InvalidMessage, LocalProtocolError, UnexpectedMessage
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.machine import Machine
from secagg.roles import Message, Outgoing, Source, Vector, whole
from secagg.types import Context, Entropy, PartyId, Secret

from .cipher import Packing
from .messages import SEED, Encrypted, Key, Seed, root_hash
from .params import Params, payload_digest
from .scheme import Scheme

KEY = "ckks/key"


@dataclass(frozen=True, slots=True)
class Waiting:
    """No key and no vector yet."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """The key is here, the vector is not."""

    key: Secret


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """The vector is here, the key is not."""

    vector: Vector
    version: int


@dataclass(frozen=True, slots=True)
class Done:
    """Both halves are out; key and vector are gone."""

    root: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """A message was bad: nothing more is said in this round."""


State = Waiting | Keyed | Holding | Done | Failed


def key_context(ctx: Context, keyholder: PartyId, client: PartyId) -> bytes:
    """What the sealed key is bound to."""
    return frame("ckks/key-context", ctx.rd, keyholder.encode(), client.encode())


def open_key(message: Key, *, me: Identity, params: Params, ctx: Context) -> Secret:
    """The seed of the round's secret. Raises InvalidMessage."""
    # > The key opens for this client and round, and has 32 bytes (CK-K1).
    try:
        key = me.opening.open(message.sealed, purpose=KEY, context=key_context(ctx, params.keyholder, me.party))
    except CannotOpen as refused:
        raise InvalidMessage("CK-K1", "the key was not sealed for this client and round", culprits=[params.keyholder]) from refused
    if len(key) != SEED:
        raise InvalidMessage("CK-K1", f"a key of {len(key)} bytes, {SEED} expected", culprits=[params.keyholder])
    return key


def check_vector(vector: Vector | Source, version: int, packing: Packing | Scheme, versions: frozenset[int]) -> None:
    """Raises ConfigError."""
    length, dtype = packing.length, packing.ring.dtype
    if vector.shape != (length,) or vector.dtype != dtype:
        raise ConfigError(f"the vector has shape {vector.shape} and dtype {vector.dtype}; this round sums {length} words of {dtype}")
    if version not in versions:
        raise ConfigError(f"trained from model version {version}; this round takes {sorted(versions)}")


def report(
    key: Secret, vector: Vector, version: int, *, me: Identity, params: Params, ctx: Context, entropy: Entropy
) -> tuple[Done, list[Outgoing]]:
    """Encrypt `vector` under fresh randomness: c1 as its seed to the key holder, c0 to the coordinator."""
    made = params.scheme.encrypt(vector, key, ctx=ctx, client=me.party, entropy=entropy)
    committed = payload_digest(made.c0)
    return Done(root_hash(ctx, me.party, version, made.seed, committed)), [
        Outgoing(params.keyholder, Seed(version, made.seed, committed, made.seeds)),
        Outgoing(params.coordinator, Encrypted(version, made.seed, committed, made.c0)),
    ]


class Client(Machine[State]):
    """The client's machine. Key and vector may come in either order; once its two messages are out it may go offline."""

    NAME: ClassVar = "client"
    STATES: ClassVar = State

    def __init__(self, params: Params, ctx: Context, me: Identity, *, ledger: Ledger, entropy: Entropy) -> None:
        self._params, self._ctx, self._me = params, ctx, me
        self._ledger, self._entropy = ledger, entropy
        super().__init__(Waiting())

    def _begin(self) -> Sequence[Outgoing]:
        self._params.scheme.prepare()
        return []

    def contribute(self, vector: Vector | Source, *, version: int) -> Sequence[Outgoing]:
        """Hand in the vector; it must not change until the key has come."""
        match self._state:
            case Waiting() if self._started:
                check_vector(vector, version, self._params.scheme, self._params.versions)
                self._state = Holding(whole(vector), version)
                return []
            case Keyed(key):
                check_vector(vector, version, self._params.scheme, self._params.versions)
                return self._report(key, whole(vector), version)
        raise LocalProtocolError(f"a vector is not due in phase {self.phase!r}")

    def receive(self, sender: PartyId, message: Message) -> Sequence[Outgoing]:
        # > Only the key holder's message can end a client's round; anybody else's is refused and changes nothing.
        if sender != self._params.keyholder:
            raise UnexpectedMessage(f"{sender} is not the key holder of this round", culprits=[sender])
        try:
            match self._state, message:
                case Waiting(), Key() as key:
                    self._state = Keyed(open_key(key, me=self._me, params=self._params, ctx=self._ctx))
                    return []
                case Holding() as state, Key() as key:
                    opened = open_key(key, me=self._me, params=self._params, ctx=self._ctx)
                    return self._report(opened, state.vector, state.version)
            raise UnexpectedMessage(f"{type(message).__name__} is not due in {self.phase}", culprits=[sender])
        except (InvalidMessage, UnexpectedMessage):
            self._state = Failed()
            raise

    def expire(self) -> Sequence[Outgoing]:
        raise LocalProtocolError("a client of ckks waits for the key holder's word: it has no time to expire")

    def _report(self, key: Secret, vector: Vector, version: int) -> list[Outgoing]:
        after, outgoing = report(key, vector, version, me=self._me, params=self._params, ctx=self._ctx, entropy=self._entropy)
        # > The root is on disk before the first half is sent: after a crash the slot is used.
        self._ledger.use(self._ctx, f"report/{self._me.party}", after.root)
        self._state = after
        return outgoing
