"""Reads the published test vectors: a round as the bytes that travelled, the values inside it, and messages that must be refused.

A vector file is JSON with bytes as hexadecimal text. Long ones that follow from others in the file are left out, and named: the envelope
is then a list of texts and names. Another implementation replays it the same way: give each party its messages in
the order of the transcript, compare what it answers, then give it each failure at its place and see the numbered check refuse it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
LeftOut = Callable[[dict[str, Any], bytes], Mapping[str, bytes]]
"""From `values` and the description's digest to the bytes that a file leaves out, by name."""


def _nothing(_: dict[str, Any], __: bytes) -> Mapping[str, bytes]:
    return {}


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
    def read(cls, path: Path, left_out: LeftOut = _nothing) -> Vectors:
        """Raises ConfigError for a file that is no vector file of this format, or that leaves out what `left_out` does not give."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            if raw["format"] != FORMAT:
                raise ConfigError(f"{path}: vectors of format {raw['format']}; this reader knows {FORMAT}")
            roster, rd = Roster.parse(bytes.fromhex(raw["roster"])), bytes.fromhex(raw["rd"])
            known = left_out(raw["values"], rd)
            return cls(
                protocol=raw["protocol"],
                roster=roster,
                identities={PartyId(name): _identity(PartyId(name), keys, roster) for name, keys in raw["keys"].items()},
                description=bytes.fromhex(raw["description"]),
                rd=rd,
                values=raw["values"],
                transcript=(transcript := tuple(_packet(item, known) for item in raw["transcript"])),
                included=tuple(PartyId(name) for name in raw["included"]),
                sum=tuple(raw["sum"]),
                failures=tuple(
                    Failure(item["name"], item["check"], item["after"], _packet(item, known, transcript)) for item in raw["failures"]
                ),
            )
        except (KeyError, ValueError, OSError) as refused:
            raise ConfigError(f"{path}: not a vector file: {refused}") from refused


def packet_to_json(packet: Packet, left_out: Mapping[str, bytes] | None = None) -> dict[str, Any]:
    """The form of a packet in a vector file, with names in place of the bytes to be left out."""
    header, envelope = packet.header, _with_names(packet.envelope, left_out or {})
    form = {"kind": header.kind, "from": header.sender, "to": header.recipient, "envelope": envelope}
    if packet.payload is not None:
        form["payload"] = join(packet.payload).hex()
    return form


def _with_names(envelope: bytes, left_out: Mapping[str, bytes]) -> str | list[Any]:
    pieces: list[bytes | dict[str, str]] = [envelope]
    for name, long in left_out.items():
        for index, piece in enumerate(pieces):
            if isinstance(piece, bytes) and long in piece:
                before, after = piece.split(long, 1)
                pieces[index : index + 1] = [before, {"left out": name}, after]
                break
    told = [piece.hex() if isinstance(piece, bytes) else piece for piece in pieces]
    return told[0] if len(told) == 1 and isinstance(told[0], str) else told


def _envelope(given: str | list[Any], known: Mapping[str, bytes]) -> bytes:
    pieces = [given] if isinstance(given, str) else given
    return b"".join(bytes.fromhex(piece) if isinstance(piece, str) else known[piece["left out"]] for piece in pieces)


def _packet(item: dict[str, Any], known: Mapping[str, bytes], transcript: tuple[Packet, ...] = ()) -> Packet:
    given = item.get("payload")
    payload = None if given is None else Blob(bytes.fromhex(given) if isinstance(given, str) else _like(given, transcript))
    return Packet.parse(_envelope(item["envelope"], known), payload)


def _like(given: dict[str, Any], transcript: tuple[Packet, ...]) -> bytes:
    """A payload told by another one: that of a packet of the transcript, with other bytes at its start and more at its end."""
    genuine, starts = transcript[given["like"]].payload, bytes.fromhex(given["starts"])
    if genuine is None:
        raise ValueError(f"packet {given['like']} has no payload")
    return starts + join(genuine)[len(starts) :] + bytes.fromhex(given["ends"])


def _identity(name: PartyId, keys: dict[str, str], roster: Roster) -> Identity:
    opening = bytes.fromhex(keys["opening"])
    return Identity(name, SigningKey(Secret(bytes.fromhex(keys["signing"]))), OpenKey(opening[0], Secret(opening[1:])), roster)
