"""Who takes part, for whom, and with which keys: signed by every organisation, known by its hash.

The roster, not the TLS certificate authority, is what a party trusts: it pins the hash once, out of band.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, get_args
from unicodedata import normalize

from secagg.crypto.derive import digest
from secagg.crypto.seal import SealKey
from secagg.crypto.sign import BadSignature, SigningKey, VerifyKey
from secagg.errors import ConfigError, InvalidMessage, MalformedMessage
from secagg.types import PartyId
from secagg.wire.parse import between, parse, party, serialise
from secagg.wire.v1 import common_pb2 as pb

RoleName = Literal["client", "aggregator", "coordinator", "keyholder"]
ROLES: tuple[RoleName, ...] = get_args(RoleName)
_SIGN = "roster"
_LATEST = 253_402_300_799
"""The last second of the year 9999: what a calendar can show."""
_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Member:
    """One party: its keys, its organisation, and from when to when (seconds since 1970, UTC) they hold."""

    party: PartyId
    organisation: str
    role: RoleName
    signing: VerifyKey
    sealing: SealKey
    not_before: int
    not_after: int

    def valid_at(self, now: float) -> bool:
        return self.not_before <= now < self.not_after


@dataclass(frozen=True, slots=True)
class Roster:
    """The parties of a consortium in one epoch, and the bytes that were signed."""

    consortium: str
    epoch: int
    organisations: tuple[tuple[str, VerifyKey], ...]
    members: tuple[Member, ...]
    raw: bytes
    _by_name: dict[PartyId, Member] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {member.party: member for member in self.members})

    @classmethod
    def create(cls, consortium: str, epoch: int, organisations: dict[str, VerifyKey], members: list[Member]) -> Roster:
        """A roster from its parts, sorted and checked. Raises ConfigError."""
        wire = pb.Roster(
            consortium=consortium,
            epoch=epoch,
            organisations=[pb.Organisation(name=name, signing_key=key.raw) for name, key in sorted(organisations.items())],
            members=[_member_to_wire(member) for member in sorted(members, key=lambda member: member.party)],
        )
        try:
            return cls.parse(serialise(wire))
        except (MalformedMessage, InvalidMessage) as refused:
            raise ConfigError(str(refused)) from refused

    @classmethod
    def parse(cls, raw: bytes) -> Roster:
        """The roster in `raw`; its hash is the hash of these bytes."""
        wire = parse(pb.Roster, raw)
        try:
            organisations = tuple((item.name, VerifyKey(item.signing_key)) for item in wire.organisations)
            members = tuple(_member_from_wire(item) for item in wire.members)
        except ConfigError as refused:
            raise MalformedMessage(f"roster: {refused}") from refused
        roster = cls(wire.consortium, wire.epoch, organisations, members, raw)
        roster._check()
        return roster

    @property
    def hash(self) -> bytes:
        """32 bytes that every party pins."""
        return digest("roster", self.raw)

    def member(self, name: PartyId) -> Member:
        """The member called `name`."""
        if (found := self._by_name.get(name)) is not None:
            return found
        # > A party that is not in the roster is not heard (RO-C1).
        raise InvalidMessage("RO-C1", f"{name} is not in the roster of epoch {self.epoch}", culprits=[name])

    def with_role(self, role: RoleName) -> tuple[Member, ...]:
        """All members of one role, in the order of their names."""
        return tuple(member for member in self.members if member.role == role)

    def check_valid(self, names: tuple[PartyId, ...], now: float) -> None:
        """Raise InvalidMessage if a key of `names` is not valid at `now`."""
        for name in names:
            member = self.member(name)
            # > Keys are used only within their validity (RO-C2).
            if not member.valid_at(now):
                until = datetime.fromtimestamp(member.not_after, UTC)
                raise InvalidMessage(
                    "RO-C2",
                    f"the keys of {name} hold until {until:%Y-%m-%d %H:%M} UTC: renew them with `secagg certs renew`",
                    culprits=[name],
                )

    def sign(self, organisation: str, key: SigningKey) -> tuple[str, bytes]:
        """One organisation's signature over this roster."""
        if dict(self.organisations).get(organisation) != key.verify_key():
            raise ConfigError(f"this key is not the one that the roster names for {organisation}")
        return organisation, key.sign(_SIGN, self.raw)

    def _check(self) -> None:
        names = [name for name, _ in self.organisations]
        parties = [member.party for member in self.members]
        if names != sorted(set(names)) or parties != sorted(set(parties)) or not parties:
            raise MalformedMessage("roster: organisations and members must be there, distinct and sorted")
        for name in names:
            # A name that only looks like another's would pass for it when people compare rosters.
            if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable() or name != normalize("NFKC", name).strip():
                raise MalformedMessage(
                    f"roster: {name!r} is no name of an organisation: plain printable text of at most {_LONGEST_NAME} letters"
                )
        if unknown := sorted({member.organisation for member in self.members} - set(names)):
            raise MalformedMessage(f"roster: no key of organisation {unknown[0]}")
        keys = [member.signing.raw for member in self.members] + [key.raw for _, key in self.organisations]
        seals = [member.sealing.raw for member in self.members]
        # > No key stands twice in a roster, so one party cannot speak for two (RO-C3).
        if len(set(keys)) != len(keys) or len(set(seals)) != len(seals):
            raise InvalidMessage("RO-C3", "two entries of the roster share a key: each party makes its own")
        if len(self.with_role("coordinator")) != 1:
            raise MalformedMessage(f"roster: {len(self.with_role('coordinator'))} coordinators, exactly one expected")


@dataclass(frozen=True, slots=True)
class SignedRoster:
    """A roster with the organisations' signatures."""

    roster: Roster
    signatures: tuple[tuple[str, bytes], ...]

    @classmethod
    def parse(cls, raw: bytes) -> SignedRoster:
        wire = parse(pb.SignedRoster, raw)
        return cls(Roster.parse(wire.roster), tuple((item.organisation, item.signature) for item in wire.signatures))

    def to_bytes(self) -> bytes:
        signatures = [pb.OrganisationSignature(organisation=name, signature=signature) for name, signature in sorted(self.signatures)]
        return serialise(pb.SignedRoster(roster=self.roster.raw, signatures=signatures))

    def verify(self, pinned: bytes) -> Roster:
        """The roster, if it is the pinned one and every organisation has signed it. Raises InvalidMessage."""
        # > A party accepts only the roster whose hash it has pinned (RO-C4).
        if self.roster.hash != pinned:
            raise InvalidMessage(
                "RO-C4",
                f"roster {self.roster.hash.hex()[:16]}… is not the pinned {pinned.hex()[:16]}…: compare hashes with your partners",
            )
        given = dict(self.signatures)
        for name, key in self.roster.organisations:
            # > Every organisation of the roster has signed it (RO-C5).
            try:
                key.verify(given.get(name, b""), _SIGN, self.roster.raw)
            except BadSignature as refused:
                raise InvalidMessage(
                    "RO-C5", f"no valid signature of {name} under the roster: ask it to run `secagg certs sign`"
                ) from refused
        return self.roster


def _member_to_wire(member: Member) -> pb.Member:
    return pb.Member(
        party=member.party,
        organisation=member.organisation,
        role=member.role,
        signing_key=member.signing.raw,
        sealing_key=member.sealing.raw,
        not_before=member.not_before,
        not_after=member.not_after,
    )


def _member_from_wire(wire: pb.Member) -> Member:
    for role in ROLES:
        if role == wire.role:
            return Member(
                party(wire.party, "roster member"),
                wire.organisation,
                role,
                VerifyKey(wire.signing_key),
                SealKey(wire.sealing_key),
                between(wire.not_before, 0, _LATEST, "validity"),
                between(wire.not_after, 0, _LATEST, "validity"),
            )
    raise MalformedMessage(f"roster: {wire.party} has the unknown role {wire.role!r}; known are {', '.join(ROLES)}")
