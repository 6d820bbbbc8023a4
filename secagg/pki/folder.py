"""The identity folder of one party: from its first request over pinning and renewal to the `Identity` that joins rounds.

A party's keys lie in `keys/`. A renewal puts new ones into `next/`; which of the two is in use follows from the pinned roster alone,
so an interruption at any point leaves a folder that loads.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from secagg.errors import ConfigError, InvalidMessage
from secagg.identity import Identity
from secagg.pki import keys as party_keys
from secagg.pki import rosters
from secagg.pki.authority import SKEW, load_certificate, load_revoked
from secagg.pki.files import make_folder, read_public, write_public
from secagg.pki.keys import PartyKeys
from secagg.pki.requests import Applicant, Request
from secagg.pki.tls import AUTHORITY, CERTIFICATE, REVOKED, TlsFiles, check_issued, party_of
from secagg.roster import Member, Roster, SignedRoster

KEYS, NEXT, REQUEST, ORGANISATION = "keys", "next", "request.json", "organisation.pem"
ROSTER, PIN = "roster.signed", "roster.pin"
EARLIER = "earlier"
"""Rosters that were pinned before, each under its hash: receipts of their time are checked against them."""
DAYS = 365


def validity(now: datetime, days: int) -> tuple[int, int]:
    """From when to when keys made `now` for `days` days hold, in seconds since 1970. Raises ConfigError."""
    if not 1 <= days <= 3660:
        raise ConfigError(f"keys that hold {days} days: choose 1 to 3660, for example {DAYS}")
    return int((now - SKEW).timestamp()), int((now + timedelta(days=days)).timestamp())


@dataclass(frozen=True, slots=True)
class Requested:
    """A request that was made, and where its organisation's key lies; `is_new_organisation` if that was made too."""

    request: Request
    organisation_key: Path
    is_new_organisation: bool


def request(folder: Path, who: Applicant, *, classic: bool = False, organisation_key: Path | None = None) -> Requested:
    """Make a party's keys in `folder`, its organisation's key if it has none, and request.json. Raises ConfigError; overwrites nothing."""
    make_folder(folder)
    party_keys.check_unused(folder / KEYS)
    place = organisation_key or organisation_key_of(folder, who.organisation)
    is_new = not place.exists()
    vouching = party_keys.create_organisation(place) if is_new else party_keys.load_signing(place, "organisation key")
    fresh = party_keys.generate(classic=classic)
    made = Request.create(who, fresh, vouching)
    party_keys.save(folder / KEYS, fresh)
    write_public(folder / REQUEST, made.to_bytes())
    return Requested(made, place, is_new)


def renew(folder: Path, *, now: datetime, days: int = DAYS, organisation_key: Path | None = None) -> Requested:
    """New keys in `next/` and a new request.json; the old keys stay in use until a roster that names the new ones is pinned."""
    before = Request.read(folder / REQUEST)
    if (folder / NEXT).exists():
        raise ConfigError(f"{folder / NEXT} holds a renewal that is not finished: pin the roster that names its keys, or remove it first")
    place = organisation_key or organisation_key_of(folder, before.organisation)
    vouching = party_keys.load_signing(place, "organisation key")
    fresh = party_keys.generate(classic=not before.member().sealing.post_quantum)
    start, end = validity(now, days)
    made = Request.create(Applicant(before.party, before.organisation, before.role, start, end, tuple(before.hosts)), fresh, vouching)
    party_keys.save(folder / NEXT, fresh)
    write_public(folder / REQUEST, made.to_bytes())
    return Requested(made, place, is_new_organisation=False)


def install(folder: Path, file: Path, *, now: datetime) -> list[Path]:
    """Put what the hub operator sent into its place: a certificate with its authority, or a revocation list. The files written.

    Raises:
        ConfigError: it is neither, is expired, or was issued for other keys or another party.
    """
    raw = read_public(file, "a certificate")
    if b"X509 CRL" in raw:
        load_revoked(file, _authority(folder))
        write_public(folder / REVOKED, raw)
        return [folder / REVOKED]
    return install_certificate(folder, raw, file, now=now)


def install_certificate(folder: Path, bundle: bytes, source: Path, *, now: datetime) -> list[Path]:
    """Put a certificate and its authority, one PEM after the other, into their places. `source` is what errors name."""
    try:
        certificates = x509.load_pem_x509_certificates(bundle)
    except ValueError as refused:
        raise ConfigError(f"{source} holds no PEM certificate: install the file that `secagg certs issue` wrote") from refused
    own, roots = [one for one in certificates if not _is_authority(one)], [one for one in certificates if _is_authority(one)]
    if len(own) != 1 or len(roots) != 1:
        raise ConfigError(f"{source} must hold one certificate and its authority: install the file that `secagg certs issue` wrote")
    check_issued(own[0], roots[0], source, now)
    if (folder / AUTHORITY).exists() and _authority(folder) != roots[0]:
        raise ConfigError(f"{source} is of another authority than {folder / AUTHORITY}: ask the hub operator, then move the old file away")
    target = _generation_for(folder, own[0], source) / CERTIFICATE
    write_public(folder / AUTHORITY, roots[0].public_bytes(Encoding.PEM))
    write_public(target, own[0].public_bytes(Encoding.PEM))
    return [target, folder / AUTHORITY]


def pin(folder: Path, signed: SignedRoster, agreed: bytes, path: Path) -> Roster:
    """Accept the roster in `path` whose hash was compared with the partners, and retire the keys that it no longer names.

    Raises:
        ConfigError: another hash was agreed on, a signature is missing, this party is not in it with its own keys, or it is older
            than the one pinned.
    """
    roster = rosters.verify(signed, agreed, path)
    before = pinned(folder) if (folder / PIN).exists() and (folder / ROSTER).exists() else None
    if before is not None and before.hash != roster.hash and (before.consortium != roster.consortium or before.epoch >= roster.epoch):
        # > Epochs only move forward, so a revoked party does not come back with an old roster.
        known = f"epoch {before.epoch} of {before.consortium}"
        raise ConfigError(f"{path} is epoch {roster.epoch} of {roster.consortium} and {folder} has pinned {known}: take the newest roster")
    chosen, _ = _named_keys(folder, roster)
    if chosen.name == NEXT and not (chosen / CERTIFICATE).exists():
        raise ConfigError(f"{path} names the renewed keys and {chosen} has no certificate: run `secagg certs install {folder} FILE` first")
    if before is not None and before.hash != roster.hash:
        make_folder(folder / EARLIER)
        write_public(folder / EARLIER / before.hash.hex(), read_public(folder / ROSTER, "the pinned roster"))
    write_public(folder / ROSTER, signed.to_bytes())
    write_public(folder / PIN, (roster.hash.hex() + "\n").encode())
    _retire(folder, chosen)
    return roster


def load_identity(folder: Path, *, now: datetime | None = None) -> Identity:
    """The party whose folder this is, ready to take part.

    Raises:
        ConfigError: a file is missing or malformed, a private key is readable by others, the roster is not the pinned one or lacks a
            signature, or the keys are not named in it or not valid now. The message names the file and the command that helps.
    """
    roster = pinned(folder)
    _, held = _named_keys(folder, roster)
    party = next(member.party for member in roster.members if member.signing == held.signing.verify_key())
    try:
        roster.check_valid((party,), (now or datetime.now(UTC)).timestamp())
    except InvalidMessage as refused:
        raise ConfigError(f"{folder}: {refused}") from refused
    return Identity(party, held.signing, held.opening, roster, folder)


def load_tls(identity: Identity, *, now: datetime | None = None) -> TlsFiles:
    """The TLS files of an identity that was loaded from a folder. Raises ConfigError."""
    if identity.folder is None:
        raise ConfigError(f"the identity of {identity.party} lives in memory only: load it with `Identity.load(FOLDER)` to speak TLS")
    chosen, _ = _named_keys(identity.folder, identity.roster)
    return TlsFiles.load(chosen, identity.folder, party=identity.party, now=now)


def organisation_key_of(folder: Path, organisation: str) -> Path:
    """Where the key of `organisation` lies: with its other parties, if one of their folders is beside this one, or in `folder`."""
    for candidate in _with_own_first(folder):
        complete = (candidate / ORGANISATION).exists() and (candidate / REQUEST).exists()
        if complete and Request.read(candidate / REQUEST).organisation == organisation:
            return candidate / ORGANISATION
    return folder / ORGANISATION


def check_named(folder: Path, roster: Roster, path: Path) -> Member:
    """The entry of this folder's party in a roster that is about to be signed. Raises ConfigError if it has other keys there, or none."""
    own = Request.read(folder / REQUEST).member()
    named = next((member for member in roster.members if member.party == own.party), None)
    if named is None:
        raise ConfigError(f"{path} does not name {own.party}: have the hub operator build it again with {folder / REQUEST}")
    if (named.organisation, named.role, named.signing, named.sealing) != (own.organisation, own.role, own.signing, own.sealing):
        raise ConfigError(f"{path} does not give {own.party} the keys of {folder / REQUEST}: do not sign it, and ask who changed them")
    return named


def pinned(folder: Path) -> Roster:
    """The roster that the folder has pinned, with all signatures verified. Raises ConfigError."""
    if not folder.is_dir():
        raise ConfigError(f"there is no identity folder {folder}: make one with `secagg certs request {folder}`, or correct the path")
    for name in (ROSTER, PIN):
        if not (folder / name).exists():
            raise ConfigError(f"{folder} has no {name}: run `secagg certs pin {folder} ROSTER` with the one that all organisations signed")
    agreed = rosters.from_spoken(read_public(folder / PIN, "the pinned hash").decode("ascii", "replace"))
    if agreed is None:
        raise ConfigError(f"{folder / PIN} holds no roster hash (64 hexadecimal digits): pin the roster again with `secagg certs pin`")
    return rosters.verify(rosters.read(folder / ROSTER), agreed, folder / ROSTER)


def pinned_rosters(folder: Path) -> list[Roster]:
    """The pinned roster, then those that were pinned before it, newest first, with all signatures verified. Raises ConfigError."""
    kept = [(path, rosters.from_spoken(path.name)) for path in (folder / EARLIER).glob("*")]
    earlier = [rosters.verify(rosters.read(path), agreed, path) for path, agreed in kept if agreed is not None]
    return [pinned(folder), *sorted(earlier, key=lambda roster: -roster.epoch)]


def _named_keys(folder: Path, roster: Roster) -> tuple[Path, PartyKeys]:
    """The generation of keys that the roster names."""
    for place in (folder / KEYS, folder / NEXT):
        if place.is_dir():
            held = party_keys.load(place)
            if any((one.signing, one.sealing) == (held.signing.verify_key(), held.opening.seal_key()) for one in roster.members):
                return place, held
    raise ConfigError(
        f"epoch {roster.epoch} of {roster.consortium} names none of the keys in {folder}: the party was left out (revoked), or its newest"
        " request.json never reached the hub operator"
    )


def _retire(folder: Path, chosen: Path) -> None:
    """Make `chosen` the keys in use. The old private keys are deleted, so what was sealed to them stays closed."""
    if chosen.name != NEXT:
        return
    retired = folder / "retired"
    shutil.rmtree(retired, ignore_errors=True)
    if (folder / KEYS).exists():
        (folder / KEYS).rename(retired)
    chosen.rename(folder / KEYS)
    shutil.rmtree(retired, ignore_errors=True)


def _generation_for(folder: Path, certificate: x509.Certificate, file: Path) -> Path:
    for place in (folder / KEYS, folder / NEXT):
        if place.is_dir() and party_keys.load_tls(place / party_keys.TLS).public_key() == certificate.public_key():
            return place
    raise ConfigError(f"{file} is {party_of(certificate)}'s, for keys that {folder} does not hold: have its latest request.json issued")


def _authority(folder: Path) -> x509.Certificate:
    return load_certificate(folder / AUTHORITY)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _with_own_first(folder: Path) -> Iterator[Path]:
    yield folder
    yield from sorted(path for path in folder.absolute().parent.iterdir() if path.is_dir() and path.name != folder.name)
