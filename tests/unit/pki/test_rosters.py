"""Rosters as files: each organisation signs the same one, and a hash survives being read out on the telephone."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secagg.errors import ConfigError
from secagg.pki import folder as folders
from secagg.pki import keys, rosters
from secagg.pki.requests import Applicant, Request
from secagg.roster import SignedRoster


@given(st.binary(min_size=32, max_size=32))
def test_a_spoken_hash_is_the_hash(digest: bytes) -> None:
    words = rosters.spoken(digest)
    assert len(words) == 16
    assert rosters.from_spoken(" ".join(words)) == digest
    assert rosters.from_spoken("-".join(words).upper()) == digest
    assert rosters.from_spoken(digest.hex()) == digest


@given(st.text(max_size=90))
def test_any_text_is_a_hash_or_none(text: str) -> None:
    found = rosters.from_spoken(text)
    assert found is None or len(found) == 32


def test_the_published_examples_of_proquints_hold() -> None:
    assert rosters.spoken(bytes([127, 0, 0, 1])) == ["lusab", "babad"]
    assert rosters.spoken(bytes([63, 84, 220, 193])) == ["gutih", "tugad"]


def requests(pki: Path, *names: str) -> list[Request]:
    return [Request.read(pki / name / "request.json") for name in names]


def signed_by(pki: Path, signed: SignedRoster, *names: str) -> SignedRoster:
    for name in names:
        signed = rosters.sign(signed, keys.load_signing(pki / name / "organisation.pem", "organisation key"))
    return signed


def test_copies_signed_side_by_side_merge_into_one(pki: Path) -> None:
    bare = rosters.build("trial", requests(pki, "hub", "energy", "urban"))
    assert rosters.unsigned(bare) == ["energy", "hub", "urban"]
    merged = rosters.merge([signed_by(pki, bare, "hub"), signed_by(pki, bare, "energy", "urban")])
    assert rosters.unsigned(merged) == []
    assert merged.verify(bare.roster.hash) == bare.roster


def test_copies_of_two_rosters_do_not_merge(pki: Path) -> None:
    with pytest.raises(ConfigError, match="two rosters"):
        rosters.merge([rosters.build("trial", requests(pki, "hub", "energy")), rosters.build("trial", requests(pki, "hub", "urban"))])


def test_a_signature_that_does_not_hold_is_dropped_from_a_merge(pki: Path) -> None:
    bare = rosters.build("trial", requests(pki, "hub", "energy"))
    forged = SignedRoster(bare.roster, (("energy", bytes(64)),))
    good = signed_by(pki, bare, "energy")
    assert rosters.merge([good, forged]).signatures == rosters.merge([forged, good]).signatures == good.signatures


def test_a_stranger_cannot_sign(pki: Path) -> None:
    with pytest.raises(ConfigError, match="no organisation with this key"):
        signed_by(pki, rosters.build("trial", requests(pki, "hub", "energy")), "urban")


def test_a_second_key_for_an_organisation_is_refused(pki: Path, now: datetime) -> None:
    start, end = folders.validity(now, 30)
    posing = Applicant("energy-2", "energy", "client", start, end)
    folders.request(pki / "other" / "energy-2", posing, classic=True)
    with pytest.raises(ConfigError, match="second key"):
        rosters.build("trial", [*requests(pki, "hub", "energy"), Request.read(pki / "other" / "energy-2" / "request.json")])
    with pytest.raises(ConfigError, match="second key"):
        rosters.next_epoch(rosters.read(pki / "roster.signed").roster, requests(pki / "other", "energy-2"))


def test_a_party_cannot_change_into_another(pki: Path, now: datetime) -> None:
    start, end = folders.validity(now, 30)
    folders.request(pki / "other" / "energy", Applicant("energy", "Mallory", "client", start, end), classic=True)
    with pytest.raises(ConfigError, match="asks to be client of Mallory"):
        rosters.next_epoch(rosters.read(pki / "roster.signed").roster, requests(pki / "other", "energy"))


def test_two_requests_of_one_party_are_refused(pki: Path) -> None:
    with pytest.raises(ConfigError, match="two requests for energy"):
        rosters.build("trial", requests(pki, "hub", "energy", "energy"))


@pytest.mark.check("RO-C3")
def test_two_parties_with_one_key_are_refused(pki: Path, now: datetime) -> None:
    start, end = folders.validity(now, 30)
    organisation = keys.load_signing(pki / "energy" / "organisation.pem", "organisation key")
    twin = Request.create(Applicant("twin", "energy", "client", start, end), keys.load(pki / "energy" / "keys"), organisation)
    with pytest.raises(ConfigError, match="RO-C3"):
        rosters.build("trial", [*requests(pki, "hub", "energy"), twin])


def test_an_epoch_that_changes_nothing_or_leaves_out_a_stranger_is_refused(pki: Path) -> None:
    before = rosters.read(pki / "roster.signed").roster
    with pytest.raises(ConfigError, match="nothing changes"):
        rosters.next_epoch(before)
    with pytest.raises(ConfigError, match="mallory is not in epoch 1"):
        rosters.next_epoch(before, without=["mallory"])
