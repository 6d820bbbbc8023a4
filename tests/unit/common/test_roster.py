"""The roster: who is heard, with which keys, and signed by whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secagg.crypto.sign import SigningKey
from secagg.errors import ConfigError, InvalidMessage, MalformedMessage
from secagg.roster import Roster, SignedRoster
from secagg.testing.consortium import Consortium, consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW
from secagg.types import PartyId
from secagg.wire.v1 import common_pb2 as pb


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return consortium(3, 2, now=NOW, entropy=InsecureEntropy("roster"), kem=0x20)


def owned(roster: Roster) -> tuple[Roster, dict[str, SigningKey]]:
    """The same members under organisation keys that the test holds."""
    keys = {name: SigningKey.generate(InsecureEntropy(name)) for name, _ in roster.organisations}
    return Roster.create("signed", 1, {name: key.verify_key() for name, key in keys.items()}, list(roster.members)), keys


@pytest.mark.check("RO-C1")
def test_a_party_that_is_not_in_the_roster_is_not_heard(parties: Consortium) -> None:
    with pytest.raises(InvalidMessage, match="RO-C1"):
        parties.roster.member(PartyId("stranger"))


@pytest.mark.check("RO-C2")
def test_keys_are_refused_before_and_after_their_validity(parties: Consortium) -> None:
    member = parties.roster.members[0]
    parties.roster.check_valid((member.party,), member.not_before)
    for moment in (member.not_before - 1, member.not_after):
        with pytest.raises(InvalidMessage, match="RO-C2"):
            parties.roster.check_valid((member.party,), moment)


@pytest.mark.check("RO-C3")
@pytest.mark.parametrize("field", ["signing", "sealing"])
def test_a_key_stands_once_in_a_roster(parties: Consortium, field: str) -> None:
    first, second, *rest = parties.roster.members
    doubled = replace(second, **{field: getattr(first, field)})
    with pytest.raises(ConfigError, match="RO-C3"):
        Roster.create("doubled", 1, dict(parties.roster.organisations), [first, doubled, *rest])


@pytest.mark.check("RO-C4")
def test_only_the_pinned_roster_is_accepted(parties: Consortium) -> None:
    roster, keys = owned(parties.roster)
    signed = SignedRoster(roster, tuple(roster.sign(name, key) for name, key in keys.items()))
    assert SignedRoster.parse(signed.to_bytes()).verify(roster.hash) == roster
    with pytest.raises(InvalidMessage, match="RO-C4"):
        signed.verify(parties.roster.hash)


@pytest.mark.check("RO-C5")
def test_every_organisation_must_have_signed(parties: Consortium) -> None:
    roster, keys = owned(parties.roster)
    signatures = tuple(roster.sign(name, key) for name, key in keys.items())
    with pytest.raises(InvalidMessage, match=r"RO-C5.*secagg certs sign"):
        SignedRoster(roster, signatures[1:]).verify(roster.hash)
    forged = ((signatures[0][0], signatures[1][1]), *signatures[1:])
    with pytest.raises(InvalidMessage, match="RO-C5"):
        SignedRoster(roster, forged).verify(roster.hash)


def test_an_organisation_signs_with_its_own_key_only(parties: Consortium) -> None:
    roster, keys = owned(parties.roster)
    first, second, *_ = keys
    with pytest.raises(ConfigError, match="not the one"):
        roster.sign(first, keys[second])


@pytest.mark.parametrize(
    "damage",
    [
        lambda wire: wire.members.append(wire.members[0]),
        lambda wire: wire.members.reverse(),
        lambda wire: wire.organisations.pop(),
        lambda wire: setattr(wire.organisations[0], "name", wire.organisations[0].name + " "),
        lambda wire: setattr(wire.organisations[0], "name", "\u200bhelper-0"),
        lambda wire: setattr(wire.members[0], "not_after", 1 << 62),
        lambda wire: setattr(wire.members[0], "role", "king"),
        lambda wire: setattr(wire.members[0], "party", "Not A Party"),
        lambda wire: setattr(wire.members[0], "signing_key", b"short"),
        lambda wire: setattr(wire.members[0], "sealing_key", b"\x99" + bytes(32)),
        lambda wire: next(setattr(member, "role", "client") for member in wire.members if member.role == "coordinator"),  # type: ignore[func-returns-value]
    ],
)
def test_a_roster_that_does_not_hold_together_is_malformed(parties: Consortium, damage: object) -> None:
    wire = pb.Roster.FromString(parties.roster.raw)
    damage(wire)  # type: ignore[operator]
    with pytest.raises(MalformedMessage):
        Roster.parse(wire.SerializeToString(deterministic=True))
