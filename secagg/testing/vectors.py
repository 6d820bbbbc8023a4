"""Reads the published test vectors: a round as the bytes that travelled, the values inside it, and messages that must be refused.

A vector file is JSON with bytes as hexadecimal text. Another implementation replays it the same way: give each party its messages in
the order of the transcript, compare what it answers, then give it each failure at its place and see the numbered check refuse it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secagg.crypto.seal import OpenKey
from secagg.crypto.sign import SigningKey
from secagg.envelope import Packet
from secagg.errors import ConfigError
from secagg.identity import Identity
from secagg.payload import Blob, join
from secagg.roster import Roster
from secagg.types import PartyId, Secret

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """A packet that its recipient must refuse with `check`, once it has seen the first `after` packets of the transcript."""

    name: str
    check: str
    after: int
    packet: Packet


@dataclass(frozen=True, slots=True)
class Vectors:
    """One file: who takes part, the signed description, the transcript, and what must come out."""

    protocol: str
    roster: Roster
    identities: dict[PartyId, Identity]
    description: bytes
    rd: bytes
    values: dict[str, Any]
    transcript: tuple[Packet, ...]
    included: tuple[PartyId, ...]
    sum: tuple[int, ...]
    failures: tuple[Failure, ...]

    @classmethod
    def read(cls, path: Path) -> Vectors:
        """Raises ConfigError for a file that is no vector file of this format."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw["format"] != FORMAT:
                raise ConfigError(f"{path}: vectors of format {raw['format']}; this reader knows {FORMAT}")
            roster = Roster.parse(bytes.fromhex(raw["roster"]))
            return cls(
                protocol=raw["protocol"],
                roster=roster,
                identities={PartyId(name): _identity(PartyId(name), keys, roster) for name, keys in raw["keys"].items()},
                description=bytes.fromhex(raw["description"]),
                rd=bytes.fromhex(raw["rd"]),
                values=raw["values"],
                transcript=(transcript := tuple(_packet(item) for item in raw["transcript"])),
                included=tuple(PartyId(name) for name in raw["included"]),
                sum=tuple(raw["sum"]),
                failures=tuple(Failure(item["name"], item["check"], item["after"], _packet(item, transcript)) for item in raw["failures"]),
            )
        except (KeyError, ValueError, OSError) as refused:
            raise ConfigError(f"{path}: not a vector file: {refused}") from refused


def packet_to_json(packet: Packet) -> dict[str, str]:
    """The form of a packet in a vector file."""
    form = {"kind": packet.header.kind, "from": packet.header.sender, "to": packet.header.recipient, "envelope": packet.envelope.hex()}
    if packet.payload is not None:
        form["payload"] = join(packet.payload).hex()
    return form


def _packet(item: dict[str, Any], transcript: tuple[Packet, ...] = ()) -> Packet:
    given = item.get("payload")
    payload = None if given is None else Blob(bytes.fromhex(given) if isinstance(given, str) else _like(given, transcript))
    return Packet.parse(bytes.fromhex(item["envelope"]), payload)


def _like(given: dict[str, Any], transcript: tuple[Packet, ...]) -> bytes:
    """A payload told by another one: that of a packet of the transcript, with other bytes at its start and more at its end."""
    genuine, starts = transcript[given["like"]].payload, bytes.fromhex(given["starts"])
    if genuine is None:
        raise ValueError(f"packet {given['like']} has no payload")
    return starts + join(genuine)[len(starts) :] + bytes.fromhex(given["ends"])


def _identity(name: PartyId, keys: dict[str, str], roster: Roster) -> Identity:
    opening = bytes.fromhex(keys["opening"])
    return Identity(name, SigningKey(Secret(bytes.fromhex(keys["signing"]))), OpenKey(opening[0], Secret(opening[1:])), roster)
