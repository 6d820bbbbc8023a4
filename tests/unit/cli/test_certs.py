"""`secagg certs`: three organisations and a hub on four machines, as the guide has them, and everything that can go wrong on the way."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from secagg.identity import Identity
from secagg.pki import load_tls, rosters
from tests.unit.cli.conftest import Secagg

ORGANISATIONS = {"energy": "City Gas", "community": "社区服务", "urban": "Urban Roads"}


def consortium(secagg: Secagg, at: Path) -> dict[str, Path]:
    """Requests made, certificates issued and installed, the roster built, signed side by side, merged; one folder per machine."""
    folders = {name: at / f"machine-{name}" / "pki" / name for name in (*ORGANISATIONS, "hub")}
    hub = at / "machine-hub"
    assert secagg("certs", "ca", hub / "ca", "--consortium", "Street").status == 0
    for name, folder in folders.items():
        extra = ["--role", "coordinator", "--host", "hub.example,127.0.0.1"] if name == "hub" else []
        organisation = ORGANISATIONS.get(name, "Hub Ltd")
        made = secagg("certs", "request", folder, "--party", name, "--organisation", organisation, "--classic", *extra)
        assert made.status == 0, made.err
        assert str(folder / "request.json") in made.out
    requests = [folder / "request.json" for folder in folders.values()]
    assert secagg("certs", "issue", *requests, "--ca", hub / "ca").status == 0
    assert secagg("certs", "roster", "build", *requests, "--consortium", "Street", "-o", hub / "roster-1.signed").status == 0
    copies = []
    for name, folder in folders.items():
        assert secagg("certs", "install", folder, hub / "ca" / "issued" / f"{name}.pem").status == 0
        copies.append(Path(shutil.copy(hub / "roster-1.signed", at / f"machine-{name}" / "copy.signed")))
        assert secagg("certs", "sign", copies[-1], folder, "--yes").status == 0
    assert secagg("certs", "roster", "merge", *copies, "-o", hub / "roster-1.signed").status == 0
    return folders


def test_organisations_on_their_own_machines_come_to_one_roster(secagg: Secagg, tmp_path: Path) -> None:
    folders = consortium(secagg, tmp_path)
    signed = rosters.read(tmp_path / "machine-hub" / "roster-1.signed")
    words = " ".join(rosters.spoken(signed.roster.hash))
    for folder in folders.values():
        done = secagg("certs", "pin", folder, tmp_path / "machine-hub" / "roster-1.signed", "--hash", words)
        assert done.status == 0, done.err
    assert [Identity.load(folder).party for folder in folders.values()] == list(folders)
    assert load_tls(Identity.load(folders["energy"])).party == "energy"
    assert Identity.load(folders["community"]).member.organisation == "社区服务"


def test_pinning_shows_the_words_and_waits_for_a_yes(secagg: Secagg, tmp_path: Path) -> None:
    folders = consortium(secagg, tmp_path)
    roster = tmp_path / "machine-hub" / "roster-1.signed"
    refused = secagg("certs", "pin", folders["energy"], roster, answer="n\n")
    assert refused.status == 130
    assert not (folders["energy"] / "roster.pin").exists()
    for word in rosters.spoken(rosters.read(roster).roster.hash):
        assert word in refused.out
    assert secagg("certs", "pin", folders["energy"], roster, answer="y\n").status == 0
    assert Identity.load(folders["energy"]).party == "energy"


def test_a_roster_that_lacks_a_signature_is_not_pinned(secagg: Secagg, pki: Path) -> None:
    path = pki / "roster.signed"
    signed = rosters.read(path)
    rosters.write(path, type(signed)(signed.roster, signed.signatures[1:]))
    done = secagg("certs", "pin", pki / "energy", path, "--hash", signed.roster.hash.hex())
    assert done.status == 2
    assert "RO-C5" in done.err
    assert signed.signatures[0][0] in done.err


def test_a_hash_read_out_wrongly_is_not_pinned(secagg: Secagg, pki: Path) -> None:
    done = secagg("certs", "pin", pki / "energy", pki / "roster.signed", "--hash", "00" * 32)
    assert (done.status, "RO-C4" in done.err) == (2, True)
    done = secagg("certs", "pin", pki / "energy", pki / "roster.signed", "--hash", "seven words")
    assert (done.status, "16 words" in done.err) == (2, True)


def test_a_roster_with_other_keys_for_this_party_is_not_signed(secagg: Secagg, pki: Path) -> None:
    shutil.move(pki / "energy" / "keys", pki / "energy" / "old")
    start = secagg("certs", "request", pki / "energy", "--party", "energy", "--organisation", "energy", "--classic")
    assert start.status == 0, start.err
    done = secagg("certs", "sign", pki / "roster.signed", pki / "energy", "--yes")
    assert done.status == 2
    assert "do not sign it" in done.err


def test_signing_asks_first(secagg: Secagg, pki: Path) -> None:
    before = (pki / "roster.signed").read_bytes()
    done = secagg("certs", "sign", pki / "roster.signed", pki / "energy", answer="n\n")
    assert done.status == 130
    assert "energy (yours)" in done.out
    assert (pki / "roster.signed").read_bytes() == before


def test_keys_are_not_overwritten_and_the_message_names_the_way(secagg: Secagg, pki: Path) -> None:
    before = (pki / "energy" / "keys" / "signing.pem").read_bytes()
    done = secagg("certs", "request", pki / "energy", "--party", "energy", "--organisation", "energy")
    assert done.status == 2
    assert "secagg certs renew" in done.err
    assert (pki / "energy" / "keys" / "signing.pem").read_bytes() == before


def test_a_renewal_runs_from_request_to_pin(secagg: Secagg, pki: Path) -> None:
    before = Identity.load(pki / "energy")
    following = pki / "roster-2.signed"
    assert secagg("certs", "renew", pki / "energy", "--days", "60").status == 0
    assert secagg("certs", "issue", pki / "energy" / "request.json", "--ca", pki / "ca").status == 0
    assert secagg("certs", "install", pki / "energy", pki / "ca" / "issued" / "energy.pem").status == 0
    built = secagg(
        "certs", "roster", "next", pki / "roster.signed", "--request", pki / "energy" / "request.json", "-o", following, "--json"
    )
    assert built.lines[-1]["epoch"] == 2
    for name in built.lines[-1]["unsigned"]:
        signed = secagg("certs", "sign", following, pki / name, "--yes", "--json")
    assert signed.lines[-1]["unsigned"] == []
    for name in ("energy", "hub"):
        assert secagg("certs", "pin", pki / name, following, "--hash", built.lines[-1]["hash"]).status == 0
    after = Identity.load(pki / "energy")
    assert after.roster.epoch == 2
    assert after.member.signing != before.member.signing
    assert load_tls(after).party == "energy"


def test_a_revocation_makes_the_next_roster_and_the_list(secagg: Secagg, pki: Path) -> None:
    following = pki / "roster-2.signed"
    done = secagg("certs", "revoke", "urban", "--ca", pki / "ca", "--roster", pki / "roster.signed", "-o", following, "--json")
    assert done.lines[-1]["certificates"] == 1
    assert "urban" not in [member.party for member in rosters.read(following).roster.members]
    assert secagg("certs", "install", pki / "hub", pki / "ca" / "revoked.crl").status == 0
    assert len(load_tls(Identity.load(pki / "hub")).revoked) == 1
    shown = secagg("certs", "show", pki / "ca", "--json").lines[-1]["issued"]
    assert [item["party"] for item in shown if item["state"] == "revoked"] == ["urban"]


def test_a_revoked_certificate_is_refused_by_its_own_folder_too(secagg: Secagg, pki: Path) -> None:
    secagg("certs", "revoke", "urban", "--ca", pki / "ca", "--roster", pki / "roster.signed", "-o", pki / "roster-2.signed")
    assert secagg("certs", "install", pki / "urban", pki / "ca" / "revoked.crl").status == 0
    done = secagg("certs", "show", pki / "urban")
    assert (done.status, "revoked" in done.err) == (2, True)


def test_an_epoch_is_not_written_over_another(secagg: Secagg, pki: Path) -> None:
    done = secagg("certs", "roster", "next", pki / "roster.signed", "--without", "urban", "-o", pki / "roster.signed")
    assert (done.status, "roster-2.signed" in done.err) == (2, True)


def test_a_trial_says_loudly_that_it_is_one(secagg: Secagg, tmp_path: Path) -> None:
    words = ["--clients", "energy,community", "--clients", "urban", "--peer", "--classic"]
    done = secagg("certs", "trial", tmp_path / "pki", *words)
    assert done.status == 0
    assert "TRIAL ONLY" in done.err
    assert Identity.load(tmp_path / "pki" / "urban-aggregator").member.organisation == "urban"
    again = secagg("certs", "trial", tmp_path / "other", *words, "--json")
    assert {line["party"] for line in again.lines} == {
        "hub",
        *(f"{n}{s}" for n in ("energy", "community", "urban") for s in ("", "-aggregator")),
    }


@pytest.mark.parametrize("what", ["energy", "ca", "roster.signed", "energy/request.json", "energy/keys/certificate.pem", "energy/ca.pem"])
def test_everything_public_can_be_shown_and_nothing_private_is(secagg: Secagg, made: Path, what: str) -> None:
    shown, machine = secagg("certs", "show", made / what), secagg("certs", "show", made / what, "--json")
    assert (shown.status, machine.status) == (0, 0), shown.err
    assert len(machine.lines) == 1
    assert "PRIVATE" not in shown.out + machine.out


@pytest.mark.parametrize("what", ["energy/keys/signing.pem", "nowhere", "energy/roster.pin"])
def test_what_cannot_be_shown_is_named(secagg: Secagg, made: Path, what: str) -> None:
    done = secagg("certs", "show", made / what)
    assert done.status == 2
    assert done.err.startswith("secagg: ")
    assert Path(what).name in done.err


@pytest.mark.parametrize(
    "words",
    [
        ["request", "x", "--party", "Energy", "--organisation", "o"],
        ["request", "x", "--party", "e", "--organisation", "o", "--role", "king"],
        ["request", "x", "--party", "e", "--organisation", "o", "--host", "h"],
        ["request", "x", "--party", "e", "--organisation", "o", "--days", "0"],
        ["request", "x"],
        ["nonsense"],
        ["trial", "x", "--clients", "hub"],
    ],
)
def test_wrong_words_make_nothing_and_exit_with_two(
    secagg: Secagg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = secagg("certs", *words)
    assert done.status == 2
    assert not list(tmp_path.rglob("*.pem"))
    assert "Traceback" not in done.err
