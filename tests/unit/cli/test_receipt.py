"""`secagg receipt verify`: a good receipt holds, and no part of it can be changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from secagg.cli import tensors
from secagg.encode.layout import Layout
from secagg.identity import Identity
from secagg.pki import folder as folders
from secagg.pki import rosters
from secagg.pki.keys import load_signing
from secagg.pki.trial import make_trial
from secagg.receipt import Receipt, result_digest, sign_agreement
from secagg.roles import Sum
from secagg.round import Input, Terms, round_digest, sign_round
from secagg.types import PartyId
from secagg.wire.parse import serialise
from secagg.wire.v1 import common_pb2 as pb
from tests.unit.cli.conftest import Secagg

MEAN = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, np.float32)}
CLIENTS = tuple(PartyId(name) for name in ("community", "energy", "urban"))


def issue(pki: Path, included: tuple[PartyId, ...] = CLIENTS, signatories: tuple[str, ...] = ("alpha", "beta")) -> Receipt:
    from protocols import additive

    hub = Identity.load(pki / "hub")
    layout = Layout.of(MEAN)
    terms = Terms("t", 1, 1, layout.digest, layout.size, bytes(32), (Input(0, bytes(32)),), bytes(16), 60.0, 60.0)
    opened = sign_round(additive.Plan(clients=3, aggregators=2).describe(terms, hub.roster), hub)
    rd, roots = round_digest(opened.raw), bytes(32)
    agreement = tuple((PartyId(name), sign_agreement(Identity.load(pki / name), rd, included, roots)) for name in signatories)
    total = Sum(np.zeros(1, np.uint32), included, roots, agreement)
    result = result_digest(layout.flatten(MEAN).astype("<f4").tobytes())
    return Receipt.issue(opened, total, result=result, coordinator=hub)


@pytest.fixture
def receipt(made: Path, tmp_path: Path) -> Path:
    path = tmp_path / "round-0001.receipt"
    path.write_bytes(issue(made).to_bytes())
    return path


def test_a_good_receipt_holds_against_the_pinned_roster(secagg: Secagg, made: Path, receipt: Path) -> None:
    done = secagg("receipt", "verify", receipt, "--identity", made / "energy")
    assert done.status == 0, done.err
    assert "community, energy, urban" in done.out
    line = secagg("receipt", "verify", receipt, "--identity", made / "energy", "--json").lines[0]
    assert (line["valid"], line["included"], line["agreed_by"]) == (True, list(CLIENTS), ["alpha", "beta"])


def test_a_receipt_of_an_earlier_epoch_holds_against_the_roster_that_was_pinned_then(
    secagg: Secagg, made: Path, receipt: Path, tmp_path: Path
) -> None:
    pki = Path(shutil.copytree(made, tmp_path / "later"))
    first = rosters.read(pki / "roster.signed")
    signed = rosters.next_epoch(first.roster, without=["beta"])
    for place in pki.glob("*/organisation.pem"):
        if place.parent.name != "beta":
            signed = rosters.sign(signed, load_signing(place, "organisation key"))
    folders.pin(pki / "energy", signed, signed.roster.hash, pki / "new")
    done = secagg("receipt", "verify", receipt, "--identity", pki / "energy")
    assert done.status == 0, done.err
    shutil.rmtree(pki / "energy" / folders.EARLIER)
    refused = secagg("receipt", "verify", receipt, "--identity", pki / "energy")
    assert refused.status == 3
    assert refused.err.count("RC-C1") == 1


def test_a_roster_file_is_taken_with_its_hash_or_with_a_warning(secagg: Secagg, made: Path, receipt: Path) -> None:
    digest = rosters.read(made / "roster.signed").roster.hash.hex()
    silent = secagg("receipt", "verify", receipt, "--roster", made / "roster.signed", "--hash", digest)
    assert (silent.status, silent.err) == (0, "")
    assert "Compare its hash" in secagg("receipt", "verify", receipt, "--roster", made / "roster.signed").err
    other = secagg("receipt", "verify", receipt, "--roster", made / "roster.signed", "--hash", "00" * 32)
    assert (other.status, "RO-C4" in other.err) == (2, True)


@pytest.mark.check("RC-C5")
def test_the_mean_is_checked_against_the_receipt(secagg: Secagg, made: Path, receipt: Path, tmp_path: Path) -> None:
    tensors.write(tmp_path / "mean.safetensors", MEAN, {})
    words = ["receipt", "verify", receipt, "--identity", made / "energy", "--mean", tmp_path / "mean.safetensors"]
    assert secagg(*words).status == 0
    tensors.write(tmp_path / "mean.safetensors", MEAN | {"b": np.zeros(4, np.float32)}, {})
    done = secagg(*words)
    assert (done.status, "RC-C5" in done.err) == (3, True)


def resigned(pki: Path, changed: Receipt) -> Receipt:
    """As a dishonest coordinator would do it: its own signature holds again."""
    unsigned = replace(changed, signature=b"")
    signature = Identity.load(pki / "hub").signing.sign("receipt", unsigned.to_bytes())
    return replace(changed, signature=signature)


def without_a_server(pki: Path) -> Receipt:
    return issue(pki, signatories=("alpha",))


def one_signature_twice(pki: Path) -> Receipt:
    good = issue(pki)
    return resigned(pki, replace(good, agreement=(good.agreement[0], good.agreement[0])))


def forged_agreement(pki: Path) -> Receipt:
    good = issue(pki)
    return resigned(pki, replace(good, agreement=(good.agreement[0], (PartyId("beta"), bytes(64)))))


def below_the_floor(pki: Path) -> Receipt:
    return issue(pki, included=CLIENTS[:2])


def other_set_than_agreed(pki: Path) -> Receipt:
    return resigned(pki, replace(issue(pki), included=CLIENTS[:2]))


def not_in_the_cohort(pki: Path) -> Receipt:
    return issue(pki, included=(PartyId("alpha"), *CLIENTS))


TAMPERED: dict[str, tuple[str, Callable[[Path], Receipt]]] = {
    "another result": ("RC-C2", lambda pki: replace(issue(pki), result=bytes(32))),
    "other reports": ("RC-C2", lambda pki: replace(issue(pki), roots=b"\1" * 32)),
    "no signature": ("RC-C2", lambda pki: replace(issue(pki), signature=b"")),
    "a server did not agree": ("RC-C3", without_a_server),
    "one server agreed twice": ("RC-C3", one_signature_twice),
    "an agreement is forged": ("RC-C3", forged_agreement),
    "another set than agreed on": ("RC-C3", other_set_than_agreed),
    "too small a set": ("RC-C4", below_the_floor),
    "a stranger in the set": ("RC-C4", not_in_the_cohort),
}


@pytest.mark.check("RC-C2")
@pytest.mark.check("RC-C3")
@pytest.mark.check("RC-C4")
@pytest.mark.parametrize("kind", TAMPERED)
def test_a_tampered_receipt_is_refused_with_status_three(secagg: Secagg, made: Path, receipt: Path, kind: str) -> None:
    check, make = TAMPERED[kind]
    receipt.write_bytes(make(made).to_bytes())
    done = secagg("receipt", "verify", receipt, "--identity", made / "energy", "--json")
    assert done.status == 3
    assert done.lines[-1]["error"]["check"] == check
    assert receipt.name in done.lines[-1]["error"]["message"]


def test_no_byte_of_a_receipt_can_be_flipped(secagg: Secagg, made: Path, receipt: Path) -> None:
    raw = receipt.read_bytes()
    for place in range(0, len(raw), 23):
        receipt.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        assert secagg("receipt", "verify", receipt, "--identity", made / "energy").status == 3, place


@pytest.mark.parametrize("content", [b"", b"nonsense", serialise(pb.Receipt())])
def test_what_is_no_receipt_is_named(secagg: Secagg, made: Path, receipt: Path, content: bytes) -> None:
    receipt.write_bytes(content)
    done = secagg("receipt", "verify", receipt, "--identity", made / "energy")
    assert (done.status, "is no receipt" in done.err) == (3, True)


@pytest.mark.check("RC-C1")
def test_a_receipt_of_another_consortium_is_refused(secagg: Secagg, receipt: Path, tmp_path: Path) -> None:
    make_trial(tmp_path / "other", clients=list(CLIENTS), aggregators=["alpha", "beta"], classic=True)
    done = secagg("receipt", "verify", receipt, "--identity", tmp_path / "other" / "energy")
    assert (done.status, "RC-C1" in done.err) == (3, True)


def test_without_a_roster_nothing_is_verified(secagg: Secagg, receipt: Path) -> None:
    done = secagg("receipt", "verify", receipt)
    assert (done.status, "--roster" in done.err) == (2, True)
