"""One round's description: every number and every party of it, signed by the coordinator, checked by each party against its own policy.

`rd`, the hash of the bytes as they travelled, salts every key derivation and stands in every signature: parties that were shown
different models, sets or parameters cannot produce shares or masks that cancel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from secagg.crypto.derive import digest
from secagg.crypto.sign import BadSignature
from secagg.dp.integer import IntegerNoise
from secagg.encode.encoding import Encoding
from secagg.errors import ConfigError, InvalidMessage, MalformedMessage
from secagg.identity import Identity
from secagg.policy import Floors, Policy
from secagg.privacy import PrivacyTerms
from secagg.roster import Roster
from secagg.types import Context, PartyId
from secagg.wire.parse import HASH, between, exactly, parse, parties, party, serialise
from secagg.wire.v1 import common_pb2 as pb

NONCE = 16
_SIGN = "round-description"
_DAY_MS = 86_400_000
_SET = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True)
class Input:
    """A model version that updates may start from; `factor` is the public weight of a report that did."""

    version: int
    model: bytes
    factor: int = 1


@dataclass(frozen=True, slots=True)
class Terms:
    """What the coordinator decides for one round; a plan adds its own numbers and makes a description of both.

    `beside` are the servers that live in the coordinator's process: what is long goes to one of them, and crosses the network once.
    """

    task: str
    round: int
    attempt: int
    layout: bytes
    values: int
    base_model: bytes
    inputs: tuple[Input, ...]
    nonce: bytes
    submit_seconds: float
    finish_seconds: float
    cohort: tuple[PartyId, ...] = ()
    beside: tuple[PartyId, ...] = ()


@dataclass(frozen=True, slots=True)
class RoundDescription:
    """A parsed description. Sizes and ranges hold; whether a party agrees to them is `open_round`'s question."""

    protocol: str
    version: int
    task: str
    round: int
    attempt: int
    roster_hash: bytes
    coordinator: PartyId
    cohort: tuple[PartyId, ...]
    servers: tuple[PartyId, ...]
    floors: Floors
    encoding: Encoding
    layout: bytes
    values: int
    base_model: bytes
    inputs: tuple[Input, ...]
    quorum: int
    submit_seconds: float
    finish_seconds: float
    nonce: bytes
    parameters: str = ""
    """Parameter set of the protocol, by name, where it has several."""
    privacy: PrivacyTerms | None = None

    def to_bytes(self) -> bytes:
        return serialise(
            pb.RoundDescription(
                protocol=self.protocol,
                version=self.version,
                task=self.task,
                round=self.round,
                attempt=self.attempt,
                roster_hash=self.roster_hash,
                coordinator=self.coordinator,
                cohort=self.cohort,
                servers=self.servers,
                floors=pb.Floors(
                    threshold=self.floors.threshold,
                    colluders=self.floors.colluders,
                    n_min=self.floors.n_min,
                    h_min=self.floors.h_min,
                ),
                encoding=encoding_to_wire(self.encoding),
                layout=self.layout,
                values=self.values,
                base_model=self.base_model,
                inputs=[pb.Input(version=item.version, model=item.model, factor=item.factor) for item in self.inputs],
                quorum=self.quorum,
                submit_ms=round(self.submit_seconds * 1000),
                finish_ms=round(self.finish_seconds * 1000),
                nonce=self.nonce,
                parameters=self.parameters,
                privacy=None if self.privacy is None else self.privacy.wire(),
            )
        )

    @classmethod
    def parse(cls, raw: bytes) -> RoundDescription:
        """Raises MalformedMessage."""
        wire = parse(pb.RoundDescription, raw)
        try:
            floors = Floors(wire.floors.threshold, wire.floors.colluders, wire.floors.n_min, wire.floors.h_min)
            encoding = encoding_from_wire(wire.encoding)
            privacy = PrivacyTerms.of_wire(wire.privacy) if wire.HasField("privacy") else None
        except ConfigError as refused:
            raise MalformedMessage(f"round description: {refused}") from refused
        cohort = parties(wire.cohort, "cohort")
        if len(cohort) > encoding.max_parties:
            raise MalformedMessage(f"round description: {len(cohort)} clients, but the encoding has head-room for {encoding.max_parties}")
        if not wire.inputs or len(wire.inputs) > 64 or len({item.version for item in wire.inputs}) != len(wire.inputs):
            raise MalformedMessage(f"round description: {len(wire.inputs)} input models; 1 to 64 distinct versions expected")
        return cls(
            protocol=wire.protocol,
            version=wire.version,
            task=wire.task,
            round=wire.round,
            attempt=wire.attempt,
            roster_hash=exactly(wire.roster_hash, HASH, "roster hash"),
            coordinator=party(wire.coordinator, "coordinator"),
            cohort=cohort,
            servers=parties(wire.servers, "servers"),
            floors=floors,
            encoding=encoding,
            layout=exactly(wire.layout, HASH, "layout digest"),
            values=between(wire.values, 1, 1 << 40, "values"),
            base_model=exactly(wire.base_model, HASH, "base model hash"),
            inputs=tuple(_input_from_wire(item) for item in wire.inputs),
            quorum=between(wire.quorum, 1, len(cohort), "quorum"),
            submit_seconds=between(wire.submit_ms, 1, 365 * _DAY_MS, "submit deadline") / 1000,
            finish_seconds=between(wire.finish_ms, 1, _DAY_MS, "finish deadline") / 1000,
            nonce=exactly(wire.nonce, NONCE, "nonce"),
            parameters=_name_of_a_set(wire.parameters),
            privacy=privacy,
        )

    @property
    def substance(self) -> bytes:
        """Digest of all that decides what an update becomes: encoding, noise, inputs with their factors, layout, base. Two attempts that
        agree in it and in the set open the same sum, noise apart; times, names of task and round, and what follows from the cohort's size
        are left out."""
        floors = replace(self.floors, threshold=0)
        fixed = replace(
            self, task="", round=0, attempt=0, cohort=(), quorum=0, floors=floors, submit_seconds=0, finish_seconds=0, nonce=b""
        )
        return digest("round-description/substance", fixed.to_bytes())

    def noise(self, *, honest: int | None = None, aggregators: int = 1) -> IntegerNoise | None:
        """The integer noise in its sum that nobody knows: of `honest` shares or as many as are certain, and of so many aggregators, where
        they add some; None: clients add no shares."""
        if self.privacy is None or not self.privacy.distributed:
            return None
        return self.privacy.noise(self.encoding, self.values, self.floors, honest=honest, aggregators=aggregators)

    def input(self, version: int) -> Input | None:
        """The allowed input model of this version, if it is allowed."""
        return next((item for item in self.inputs if item.version == version), None)


@dataclass(frozen=True, slots=True)
class Round:
    """A description that this party has checked and accepted, with what it was checked against."""

    description: RoundDescription
    raw: bytes
    signature: bytes
    roster: Roster
    ctx: Context = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Every message is held against it: hashed once, not twice a message.
        of = self.description
        object.__setattr__(self, "ctx", Context(round_digest(self.raw), of.task, of.round, of.attempt))

    def takes_part(self, name: PartyId) -> bool:
        """Whether messages of `name` belong in this round."""
        described = self.description
        return name in described.cohort or name in described.servers or name == described.coordinator

    def organisations(self, names: tuple[PartyId, ...]) -> int:
        """How many different organisations stand behind `names`: floors count these, so that no one reaches a floor alone."""
        return len({self.roster.member(name).organisation for name in names})

    def signed(self) -> bytes:
        """The description with its signature, as it travels."""
        return serialise(pb.SignedDescription(description=self.raw, signature=self.signature))


def round_digest(raw: bytes) -> bytes:
    """`rd`: SHA-256 over label, length and the description's bytes."""
    return digest("round-description", raw)


def sign_round(description: RoundDescription, coordinator: Identity) -> Round:
    """The coordinator's signature makes a description a round."""
    raw = description.to_bytes()
    return Round(description, raw, coordinator.signing.sign(_SIGN, raw), coordinator.roster)


def open_round(signed: bytes, me: Identity, policy: Policy, *, now: float) -> Round:
    """Parse and check a signed description. Raises MalformedMessage or InvalidMessage; the culprit is the coordinator."""
    wire = parse(pb.SignedDescription, signed)
    described = RoundDescription.parse(wire.description)
    opened = Round(described, wire.description, wire.signature, me.roster)
    _check_origin(opened, me, now)
    _check_policy(described, opened, policy)
    _check_privacy(described, opened, policy)
    return opened


def _check_origin(opened: Round, me: Identity, now: float) -> None:
    described, blame = opened.description, [opened.description.coordinator]
    # > The description names the roster that this party has pinned (RD-C1).
    if described.roster_hash != me.roster.hash:
        raise InvalidMessage("RD-C1", "the round was described for another roster: pin the same epoch on both sides", culprits=blame)
    coordinator = me.roster.member(described.coordinator)
    if coordinator.role != "coordinator":
        raise InvalidMessage("RD-C2", f"{coordinator.party} is {coordinator.role} in the roster, not the coordinator", culprits=blame)
    # > The coordinator of the roster has signed it (RD-C2).
    try:
        coordinator.signing.verify(opened.signature, _SIGN, opened.raw)
    except BadSignature as refused:
        raise InvalidMessage("RD-C2", "the coordinator's signature under the round description does not hold", culprits=blame) from refused
    # > This party takes part in the round (RD-C3).
    if not opened.takes_part(me.party):
        raise InvalidMessage("RD-C3", f"{me.party} is not part of this round", culprits=blame)
    # > All parties of the round are in the roster, in their role, and their keys are valid now (RD-C4).
    me.roster.check_valid((*described.cohort, *described.servers, described.coordinator), now)
    if strangers := [name for name in described.cohort if me.roster.member(name).role != "client"]:
        raise InvalidMessage("RD-C4", f"{strangers[0]} is in the cohort and not a client of the roster", culprits=blame)
    if strangers := [name for name in described.servers if me.roster.member(name).role not in ("aggregator", "keyholder")]:
        raise InvalidMessage("RD-C4", f"{strangers[0]} is named as a server and is none in the roster", culprits=blame)


def _check_policy(described: RoundDescription, opened: Round, policy: Policy) -> None:
    blame = [described.coordinator]
    asked, own = described.floors, policy.floors
    # > Each floor of the description is at least the party's own (RD-C5).
    for name in ("threshold", "colluders", "n_min", "h_min"):
        if getattr(asked, name) < getattr(own, name):
            raise InvalidMessage(
                "RD-C5",
                f"{name} is {getattr(asked, name)} in the description and {getattr(own, name)} in this party's policy",
                culprits=blame,
            )
    # > The cohort has at least F organisations, so that a sum may be opened at all (RD-C6).
    if opened.organisations(described.cohort) < asked.floor:
        raise InvalidMessage(
            "RD-C6", f"{opened.organisations(described.cohort)} organisations in the cohort, {asked.floor} needed", culprits=blame
        )
    # > Protocol, task, precision and number of servers are ones that the party's policy allows (RD-C7).
    if policy.protocols and described.protocol not in policy.protocols:
        raise InvalidMessage("RD-C7", f"this party's policy does not allow the protocol {described.protocol!r}", culprits=blame)
    if policy.tasks and described.task not in policy.tasks:
        raise InvalidMessage("RD-C7", f"this party's policy does not allow the task {described.task!r}", culprits=blame)
    if described.encoding.bits < policy.min_bits:
        raise InvalidMessage("RD-C7", f"{described.encoding.bits}-bit values, {policy.min_bits} in this party's policy", culprits=blame)
    if described.values > policy.max_values:
        raise InvalidMessage(
            "RD-C7", f"an update of {described.values} values, at most {policy.max_values} in this party's policy", culprits=blame
        )
    if len(described.inputs) > policy.max_inputs:
        raise InvalidMessage("RD-C7", f"{len(described.inputs)} input models, {policy.max_inputs} in this party's policy", culprits=blame)
    if len(described.servers) < policy.min_servers:
        raise InvalidMessage(
            "RD-C7",
            f"{described.protocol} with {len(described.servers)} servers beside the coordinator, at least {policy.min_servers} in this"
            " party's policy: a party that agrees to a protocol without them sets min_servers = 0",
            culprits=blame,
        )


def _name_of_a_set(name: str) -> str:
    if name and not _SET.fullmatch(name):
        raise MalformedMessage("round description: a parameter set is named by at most 32 lower-case letters, digits and hyphens")
    return name


def _check_privacy(described: RoundDescription, opened: Round, policy: Policy) -> None:
    blame, terms = [described.coordinator], described.privacy
    if terms is not None:
        # > Privacy terms hold what they promise: weights are 1, the ring has room for the noise, and with the honest shares that are
        # > certain to be in a sum an attempt costs no more than the terms state (RD-C12).
        try:
            terms.prove(described.encoding, described.values, described.floors, aggregators=len(described.servers))
        except ConfigError as refused:
            raise InvalidMessage("RD-C12", str(refused), culprits=blame) from refused
        # > Where an organisation is hidden, none has two clients in the cohort (RD-C13).
        if terms.unit == "organisation" and opened.organisations(described.cohort) != len(described.cohort):
            raise InvalidMessage("RD-C13", "an organisation has two clients in the cohort, and noise for one", culprits=blame)
    # > A round protects at least what the party's policy asks for: unit, mechanism, ε and δ (RD-C14).
    if policy.privacy is not None and (short := policy.privacy.refusal(terms, described.noise())) is not None:
        raise InvalidMessage("RD-C14", short, culprits=blame)


def _input_from_wire(wire: pb.Input) -> Input:
    return Input(wire.version, exactly(wire.model, HASH, "input model hash"), between(wire.factor, 1, 1 << 16, "staleness factor"))


def encoding_to_wire(encoding: Encoding) -> pb.Encoding:
    """The encoding with its ring spelled out, so that every party uses the same one."""
    return pb.Encoding(
        clips=encoding.clip if isinstance(encoding.clip, tuple) else (encoding.clip,),
        bits=encoding.bits,
        rotation=encoding.rotation,
        max_weight=encoding.max_weight,
        max_parties=encoding.max_parties,
        ring_bits=encoding.ring.bits,
        value_clip=encoding.value_clip or 0.0,
        noise_tail=encoding.noise_tail,
    )


def encoding_from_wire(wire: pb.Encoding) -> Encoding:
    """Raises ConfigError where the numbers do not fit: the head-room is proved again by every party."""
    return Encoding(
        clip=wire.clips[0] if len(wire.clips) == 1 else tuple(wire.clips),
        bits=wire.bits,
        rotation=wire.rotation,
        max_weight=wire.max_weight,
        max_parties=wire.max_parties,
        ring_bits=wire.ring_bits,
        value_clip=wire.value_clip or None,
        noise_tail=wire.noise_tail,
    )
