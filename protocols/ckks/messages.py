"""The five messages. To parse one is to validate it; what depends on the round is checked in the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from secagg.crypto.derive import digest
from secagg.crypto.sign import SIGNATURE_BYTES
from secagg.errors import MalformedMessage
from secagg.payload import Payload
from secagg.types import Context, PartyId
from secagg.wire.parse import HASH, exactly, no_payload, parse, parties, serialise
from secagg.wire.v1 import ckks_pb2 as pb

SEED = 32
_SEALED_LIMIT = 4096


def root_hash(ctx: Context, client: PartyId, version: int, seed: bytes, committed: bytes) -> bytes:
    """One hash for a whole report: key holder and coordinator speak of the same one only if they were sent the same."""
    return digest("ckks/root", ctx.rd, client.encode(), version.to_bytes(8, "little"), seed, committed)


@dataclass(frozen=True, slots=True)
class Key:
    """Key holder to one client: the seed of the round's secret, sealed to it."""

    KIND: ClassVar[str] = "ckks/Key"
    sealed: bytes

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.CkksKey(sealed=self.sealed)), None

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        no_payload(cls.KIND, payload)
        return cls(sealed_key(parse(pb.CkksKey, body).sealed))


@dataclass(frozen=True, slots=True)
class Encrypted:
    """Client to coordinator: its ciphertext."""

    KIND: ClassVar[str] = "ckks/Encrypted"
    version: int
    seed: bytes
    digest: bytes
    payload: Payload

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.CkksEncrypted(version=self.version, seed=self.seed, digest=self.digest)), self.payload

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        wire = parse(pb.CkksEncrypted, body)
        if payload is None:
            raise MalformedMessage("encrypted: the ciphertext is missing")
        return cls(wire.version, exactly(wire.seed, SEED, "seed"), exactly(wire.digest, HASH, "digest"), payload)


@dataclass(frozen=True, slots=True)
class Seed:
    """Client to key holder: the uniform half of its ciphertext, and the digest of the other.

    `seeds` is the half where one seed does not stand for all of it; `seed` is then the digest of the seeds.
    """

    KIND: ClassVar[str] = "ckks/Seed"
    version: int
    seed: bytes
    digest: bytes
    seeds: Payload | None = None

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        return serialise(pb.CkksSeed(version=self.version, seed=self.seed, digest=self.digest)), self.seeds

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        wire = parse(pb.CkksSeed, body)
        return cls(wire.version, exactly(wire.seed, SEED, "seed"), exactly(wire.digest, HASH, "digest"), payload)


@dataclass(frozen=True, slots=True)
class Added:
    """Coordinator to key holder: whose ciphertexts it added, under which roots, and the sum."""

    KIND: ClassVar[str] = "ckks/Added"
    entries: tuple[tuple[PartyId, bytes], ...]
    digest: bytes
    payload: Payload

    @property
    def slot(self) -> str:
        return ""

    @property
    def included(self) -> tuple[PartyId, ...]:
        """The clients in the sum, sorted."""
        return tuple(client for client, _ in self.entries)

    def to_wire(self) -> tuple[bytes, Payload | None]:
        entries = [pb.CkksEntry(client=client, root=root) for client, root in self.entries]
        return serialise(pb.CkksAdded(entries=entries, digest=self.digest)), self.payload

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        wire = parse(pb.CkksAdded, body)
        if payload is None:
            raise MalformedMessage("added: the sum is missing")
        clients = parties([entry.client for entry in wire.entries], "added clients", is_sorted=True)
        roots = (exactly(entry.root, HASH, "root") for entry in wire.entries)
        return cls(tuple(zip(clients, roots, strict=True)), exactly(wire.digest, HASH, "digest"), payload)


@dataclass(frozen=True, slots=True)
class Opened:
    """Key holder to coordinator: the sum, sealed, and its signature for the set."""

    KIND: ClassVar[str] = "ckks/Opened"
    included: tuple[PartyId, ...]
    roots: bytes
    signature: bytes
    sealed: bytes
    commitment: bytes
    payload: Payload

    @property
    def slot(self) -> str:
        return ""

    def to_wire(self) -> tuple[bytes, Payload | None]:
        wire = pb.CkksOpened(
            included=self.included, roots=self.roots, signature=self.signature, sealed=self.sealed, commitment=self.commitment
        )
        return serialise(wire), self.payload

    @classmethod
    def from_wire(cls, body: bytes, payload: Payload | None) -> Self:
        wire = parse(pb.CkksOpened, body)
        if payload is None:
            raise MalformedMessage("opened: the sealed sum is missing")
        return cls(
            parties(wire.included, "included", is_sorted=True),
            exactly(wire.roots, HASH, "roots"),
            exactly(wire.signature, SIGNATURE_BYTES, "signature"),
            sealed_key(wire.sealed),
            exactly(wire.commitment, HASH, "commitment"),
            payload,
        )


def sealed_key(value: bytes) -> bytes:
    """`value` as an HPKE ciphertext of a key. Raises MalformedMessage."""
    if not 0 < len(value) <= _SEALED_LIMIT:
        raise MalformedMessage(f"sealed key: {len(value)} bytes, 1 to {_SEALED_LIMIT} expected")
    return value
