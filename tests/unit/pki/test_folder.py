"""From a folder to an identity: only with the pinned roster, all signatures, keys of its own that are valid and private."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from secagg.errors import ConfigError, InvalidMessage
from secagg.identity import Identity
from secagg.pki import folder as folders
from secagg.pki import keys, load_identity, load_tls, rosters
from secagg.pki.authority import Authority
from secagg.pki.requests import Request
from secagg.pki.trial import make_trial
from secagg.roster import SignedRoster

PARTIES = ["alpha", "community", "community-aggregator", "energy", "energy-aggregator", "hub", "urban", "urban-aggregator"]
PRIVATE = {"signing.pem", "sealing.pem", "tls.pem", "organisation.pem", "ca-key.pem"}


@pytest.mark.parametrize("party", PARTIES)
def test_every_party_of_a_trial_loads(made: Path, now: datetime, party: str) -> None:
    identity = load_identity(made / party, now=now)
    assert identity.party == party
    assert identity.folder == made / party
    assert load_tls(identity, now=now).party == party


def test_identity_load_takes_a_string(tmp_path: Path) -> None:
    make_trial(tmp_path / "pki", clients=["energy"], classic=True)
    assert Identity.load(str(tmp_path / "pki" / "energy")).party == "energy"


def test_an_aggregator_beside_a_client_is_of_its_organisation(made: Path, now: datetime) -> None:
    roster = load_identity(made / "hub", now=now).roster
    assert roster.member(roster.members[2].party).organisation == "community"
    assert not (made / "energy-aggregator" / "organisation.pem").exists()


def test_every_private_file_of_a_trial_has_mode_0600(made: Path) -> None:
    files = [path for path in made.rglob("*") if path.name in PRIVATE]
    assert len(files) == 3 * len(PARTIES) + 6
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert not list(made.rglob("*.partial"))


def test_no_private_byte_shows_in_an_identity(made: Path, now: datetime) -> None:
    identity = load_identity(made / "energy", now=now)
    shown = repr(identity) + repr(load_tls(identity, now=now))
    assert "redacted" in shown
    assert "PRIVATE" not in shown


def replace_roster(folder: Path, change: Callable[[SignedRoster], SignedRoster]) -> None:
    rosters.write(folder / "roster.signed", change(rosters.read(folder / "roster.signed")))


@pytest.mark.check("RO-C4")
def test_a_roster_that_is_not_the_pinned_one_is_refused(pki: Path, now: datetime) -> None:
    (pki / "energy" / "roster.pin").write_text("00" * 32 + "\n")
    with pytest.raises(ConfigError, match="RO-C4"):
        load_identity(pki / "energy", now=now)


@pytest.mark.check("RO-C5")
def test_a_roster_without_one_signature_is_refused_by_the_name_of_who_must_sign(pki: Path, now: datetime) -> None:
    replace_roster(
        pki / "energy", lambda signed: SignedRoster(signed.roster, tuple(item for item in signed.signatures if item[0] != "urban"))
    )
    with pytest.raises(ConfigError, match=r"RO-C5.*urban.*secagg certs sign"):
        load_identity(pki / "energy", now=now)


@pytest.mark.parametrize("name", ["roster.signed", "roster.pin", "keys/signing.pem", "keys/sealing.pem"])
def test_a_missing_file_is_named(pki: Path, now: datetime, name: str) -> None:
    (pki / "energy" / name).unlink()
    with pytest.raises(ConfigError, match=Path(name).name):
        load_identity(pki / "energy", now=now)


@pytest.mark.parametrize("name", ["keys/signing.pem", "keys/sealing.pem", "roster.signed", "roster.pin"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_malformed_file_is_named_and_not_quoted(pki: Path, now: datetime, name: str, content: bytes) -> None:
    (pki / "energy" / name).write_bytes(content)
    with pytest.raises(ConfigError, match=Path(name).name) as refused:
        load_identity(pki / "energy", now=now)
    assert "AAAA" not in str(refused.value)


def test_a_folder_that_is_not_there_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="secagg certs request"):
        Identity.load(tmp_path / "energy")


@pytest.mark.check("RO-C2")
def test_keys_past_their_validity_are_refused(pki: Path, now: datetime) -> None:
    with pytest.raises(ConfigError, match=r"RO-C2.*secagg certs renew"):
        load_identity(pki / "energy", now=now + timedelta(days=31))


def test_an_expired_certificate_is_refused_before_dialling(pki: Path, now: datetime) -> None:
    identity = load_identity(pki / "energy", now=now)
    with pytest.raises(ConfigError, match=r"certificate\.pem expired on 2026-12-23"):
        load_tls(identity, now=now + timedelta(days=31))


def test_a_certificate_of_tomorrow_is_refused_with_the_clock_named(pki: Path, now: datetime) -> None:
    identity = load_identity(pki / "energy", now=now)
    with pytest.raises(ConfigError, match="set the clock"):
        load_tls(identity, now=now - timedelta(days=1))


def test_a_certificate_of_another_authority_is_refused(pki: Path, tmp_path: Path, now: datetime) -> None:
    Authority.create(tmp_path / "other", "other", now=now)
    shutil.copy(tmp_path / "other" / "ca.pem", pki / "energy" / "ca.pem")
    with pytest.raises(ConfigError, match="not issued by"):
        load_tls(load_identity(pki / "energy", now=now), now=now)


def test_a_certificate_of_another_party_is_refused(pki: Path, now: datetime) -> None:
    shutil.copy(pki / "urban" / "keys" / "certificate.pem", pki / "energy" / "keys" / "certificate.pem")
    with pytest.raises(ConfigError, match="not for the key"):
        load_tls(load_identity(pki / "energy", now=now), now=now)
    shutil.copy(pki / "urban" / "keys" / "tls.pem", pki / "energy" / "keys" / "tls.pem")
    with pytest.raises(ConfigError, match="names urban"):
        load_tls(load_identity(pki / "energy", now=now), now=now)


def test_a_peer_is_known_by_its_certificate(made: Path, now: datetime) -> None:
    hub = load_tls(load_identity(made / "hub", now=now), now=now)
    assert hub.peer((made / "energy" / "keys" / "certificate.pem").read_bytes(), load_identity(made / "hub", now=now).roster) == "energy"


@pytest.mark.check("TL-C1")
@pytest.mark.parametrize("pem", [b"", b"nonsense", None])
def test_a_peer_whose_certificate_names_no_party_is_refused(made: Path, now: datetime, pem: bytes | None) -> None:
    hub = load_tls(load_identity(made / "hub", now=now), now=now)
    with pytest.raises(InvalidMessage, match="TL-C1"):
        hub.peer((made / "hub" / "ca.pem").read_bytes() if pem is None else pem, load_identity(made / "hub", now=now).roster)


def renewed(pki: Path, party: str, now: datetime) -> tuple[Authority, SignedRoster]:
    """The party renews, the hub operator issues and builds the next epoch, all organisations sign."""
    made = folders.renew(pki / party, now=now)
    authority = Authority.load(pki / "ca")
    signed = rosters.next_epoch(rosters.read(pki / "roster.signed").roster, [made.request])
    for place in pki.glob("*/organisation.pem"):
        signed = rosters.sign(signed, keys.load_signing(place, "organisation key"))
    folders.install_certificate(pki / party, authority.bundle(authority.issue(made.request, now=now)), pki / "ca", now=now)
    return authority, signed


def test_a_renewal_changes_every_key_once_the_new_roster_is_pinned(pki: Path, now: datetime) -> None:
    later = now + timedelta(days=29)
    before = load_identity(pki / "energy", now=later)
    _, signed = renewed(pki, "energy", later)
    assert load_identity(pki / "energy", now=later).member.signing == before.member.signing
    folders.pin(pki / "energy", signed, signed.roster.hash, pki / "new")
    after = load_identity(pki / "energy", now=later + timedelta(days=300))
    assert after.roster.epoch == 2
    assert after.member.signing != before.member.signing
    assert after.member.sealing != before.member.sealing
    assert load_tls(after, now=later).party == "energy"
    assert not (pki / "energy" / "next").exists()
    assert not (pki / "energy" / "retired").exists()


def test_a_renewal_cut_off_while_keys_change_place_still_loads(pki: Path, now: datetime) -> None:
    _, signed = renewed(pki, "energy", now)
    folders.pin(pki / "urban", signed, signed.roster.hash, pki / "new")
    shutil.copy(pki / "urban" / "roster.signed", pki / "energy" / "roster.signed")
    shutil.copy(pki / "urban" / "roster.pin", pki / "energy" / "roster.pin")
    assert load_tls(load_identity(pki / "energy", now=now), now=now).party == "energy"
    (pki / "energy" / "keys").rename(pki / "energy" / "retired")
    assert load_identity(pki / "energy", now=now).roster.epoch == 2
    folders.pin(pki / "energy", signed, signed.roster.hash, pki / "new")
    assert sorted(path.name for path in (pki / "energy").iterdir() if path.is_dir()) == ["keys"]


def test_a_second_renewal_waits_for_the_first(pki: Path, now: datetime) -> None:
    folders.renew(pki / "energy", now=now)
    with pytest.raises(ConfigError, match="not finished"):
        folders.renew(pki / "energy", now=now)


def test_renewed_keys_are_not_pinned_before_their_certificate_is_there(pki: Path, now: datetime) -> None:
    _, signed = renewed(pki, "energy", now)
    (pki / "energy" / "next" / "certificate.pem").unlink()
    with pytest.raises(ConfigError, match="secagg certs install"):
        folders.pin(pki / "energy", signed, signed.roster.hash, pki / "new")
    assert load_identity(pki / "energy", now=now).roster.epoch == 1


@pytest.mark.check("TL-C2")
def test_a_revoked_party_is_out_of_the_roster_and_its_certificate_out_of_tls(pki: Path, now: datetime) -> None:
    authority = Authority.load(pki / "ca")
    assert authority.revoke("urban", now=now) == 1
    signed = rosters.next_epoch(rosters.read(pki / "roster.signed").roster, without=["urban", "urban-aggregator"])
    for place in pki.glob("*/organisation.pem"):
        if place.parent.name != "urban":
            signed = rosters.sign(signed, keys.load_signing(place, "organisation key"))
    assert "urban" not in dict(signed.roster.organisations)
    folders.pin(pki / "hub", signed, signed.roster.hash, pki / "new")
    folders.install(pki / "hub", pki / "ca" / "revoked.crl", now=now)
    hub = load_tls(load_identity(pki / "hub", now=now), now=now)
    with pytest.raises(InvalidMessage, match="TL-C2") as refused:
        hub.peer((pki / "urban" / "keys" / "certificate.pem").read_bytes(), signed.roster)
    assert refused.value.culprits == ("urban",)
    assert hub.peer((pki / "energy" / "keys" / "certificate.pem").read_bytes(), signed.roster) == "energy"
    with pytest.raises(ConfigError, match="revoked"):
        folders.pin(pki / "urban", signed, signed.roster.hash, pki / "new")


@pytest.mark.check("TL-C3")
def test_the_certificate_of_renewed_keys_supersedes_the_one_before(pki: Path, now: datetime) -> None:
    old = (pki / "energy" / "keys" / "certificate.pem").read_bytes()
    authority, signed = renewed(pki, "energy", now)
    new = authority.bundle(authority.issue(Request.read(pki / "energy" / "request.json"), now=now))
    hub = load_tls(load_identity(pki / "hub", now=now), now=now)
    before = load_identity(pki / "hub", now=now).roster
    assert hub.peer(old, before) == "energy"
    for superseded, roster in ((new, before), (old, signed.roster)):
        with pytest.raises(InvalidMessage, match="TL-C3: the TLS certificate of energy is for other keys"):
            hub.peer(superseded, roster)
    assert hub.peer(new, signed.roster) == "energy"


def test_a_folder_keeps_the_rosters_it_has_pinned(pki: Path, now: datetime) -> None:
    _, signed = renewed(pki, "energy", now)
    first = folders.pinned(pki / "urban")
    for _ in range(2):
        folders.pin(pki / "urban", signed, signed.roster.hash, pki / "new")
    assert [roster.hash for roster in folders.pinned_rosters(pki / "urban")] == [signed.roster.hash, first.hash]
    kept = pki / "urban" / folders.EARLIER / first.hash.hex()
    kept.write_bytes(signed.to_bytes())
    with pytest.raises(ConfigError, match="RO-C4"):
        folders.pinned_rosters(pki / "urban")


def test_a_revocation_list_of_another_authority_is_refused(pki: Path, tmp_path: Path, now: datetime) -> None:
    other = Authority.create(tmp_path / "other", "other", now=now)
    with pytest.raises(ConfigError, match="not signed by the consortium"):
        folders.install(pki / "hub", other.folder / "revoked.crl", now=now)


def test_an_older_roster_does_not_replace_a_newer_one(pki: Path, now: datetime) -> None:
    _, signed = renewed(pki, "energy", now)
    folders.pin(pki / "urban", signed, signed.roster.hash, pki / "new")
    old = rosters.read(pki / "roster.signed")
    with pytest.raises(ConfigError, match="has pinned epoch 2"):
        folders.pin(pki / "urban", old, old.roster.hash, pki / "old")


def test_a_hash_that_the_partners_did_not_read_out_is_not_pinned(pki: Path, now: datetime) -> None:
    with pytest.raises(ConfigError, match="RO-C4"):
        folders.pin(pki / "urban", rosters.read(pki / "roster.signed"), bytes(32), pki / "roster.signed")


def test_a_certificate_for_other_keys_is_not_installed(pki: Path, now: datetime) -> None:
    authority = Authority.load(pki / "ca")
    bundle = authority.bundle(authority.issue(Request.read(pki / "urban" / "request.json"), now=now))
    with pytest.raises(ConfigError, match="urban's"):
        folders.install_certificate(pki / "energy", bundle, pki / "ca", now=now)


def test_another_authority_is_not_taken_over_in_silence(pki: Path, tmp_path: Path, now: datetime) -> None:
    other = Authority.create(tmp_path / "other", "other", now=now)
    bundle = other.bundle(other.issue(Request.read(pki / "energy" / "request.json"), now=now))
    with pytest.raises(ConfigError, match="another authority"):
        folders.install_certificate(pki / "energy", bundle, other.folder, now=now)


@pytest.mark.parametrize(
    "cast",
    [{"clients": []}, {"clients": ["a", "a"]}, {"clients": ["ca"]}, {"clients": ["hub"]}, {"clients": ["a b"]}, {"clients": ["../a"]}],
)
def test_a_trial_that_makes_no_sense_is_refused_and_leaves_nothing(tmp_path: Path, cast: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make_trial(tmp_path / "pki", **cast)
    assert list(tmp_path.iterdir()) == []


def test_a_trial_that_fails_on_the_way_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="能源"):
        make_trial(tmp_path / "pki", clients=["a", "能源"], classic=True)
    assert [path.name for path in (tmp_path / "pki").iterdir()] == ["notes.txt"]
    make_trial(tmp_path / "pki", clients=["a", "b"], classic=True)


def test_a_trial_overwrites_nothing(pki: Path) -> None:
    before = {path: path.read_bytes() for path in pki.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="folder of its own"):
        make_trial(pki, clients=["energy", "community", "urban"], classic=True)
    assert {path: path.read_bytes() for path in pki.rglob("*") if path.is_file()} == before
