"""The roster as a file: built from requests, signed by each organisation, compared by voice, pinned by each party."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from secagg.crypto.sign import BadSignature, SigningKey, VerifyKey
from secagg.errors import ConfigError, InvalidMessage, MalformedMessage
from secagg.pki.files import read_public, write_public
from secagg.pki.requests import Request
from secagg.roster import Member, Roster, SignedRoster

_CONSONANTS, _VOWELS = "bdfghjklmnprstvz", "aiou"


def build(consortium: str, requests: Iterable[Request]) -> SignedRoster:
    """Epoch 1 of a consortium, not yet signed. Raises ConfigError, for example where two requests share a key."""
    return _assemble(consortium, 1, {}, {}, requests)


def next_epoch(before: Roster, requests: Iterable[Request] = (), *, without: Sequence[str] = ()) -> SignedRoster:
    """The epoch after `before`, not yet signed: `requests` add parties or renew their keys, `without` leaves parties out.

    Raises:
        ConfigError: a party to leave out is not in the roster, a renewal changes who a party is, or nothing would change.
    """
    members: dict[str, Member] = {member.party: member for member in before.members}
    for party in without:
        if members.pop(party, None) is None:
            raise ConfigError(f"{party} is not in epoch {before.epoch}: it has {', '.join(member.party for member in before.members)}")
    renewed = list(requests)
    for request in renewed:
        if request.party in without:
            raise ConfigError(f"{request.party} is both renewed and left out: do one of the two")
        known = members.get(request.party)
        if known is not None and (known.organisation, known.role) != (request.organisation, request.role):
            raise ConfigError(
                f"{request.party} is {known.role} of {known.organisation} in epoch {before.epoch} and asks to be {request.role} of"
                f" {request.organisation}: leave it out of one epoch first, or give the new party its own name"
            )
    if not renewed and not without:
        raise ConfigError(f"nothing changes after epoch {before.epoch}: name a request or a party to leave out")
    return _assemble(before.consortium, before.epoch + 1, members, dict(before.organisations), renewed)


def _assemble(
    consortium: str, epoch: int, members: dict[str, Member], organisations: dict[str, VerifyKey], requests: Iterable[Request]
) -> SignedRoster:
    keys, asked = dict(organisations), dict(members)
    named: set[str] = set()
    for request in requests:
        if request.party in named:
            raise ConfigError(f"two requests for {request.party}: take the newer one only")
        named.add(request.party)
        if keys.setdefault(request.organisation, request.organisation_verify_key()) != request.organisation_verify_key():
            raise ConfigError(
                f"{request.party} brings a second key for the organisation {request.organisation}: make its request with"
                " `--organisation-key` and the file that the organisation has already"
            )
        asked[request.party] = request.member()
    # An organisation without a party has nothing to protect here, so it does not have to sign.
    present = {member.organisation for member in asked.values()}
    roster = Roster.create(consortium, epoch, {name: key for name, key in keys.items() if name in present}, list(asked.values()))
    return SignedRoster(roster, ())


def sign(signed: SignedRoster, key: SigningKey) -> SignedRoster:
    """With the signature of the organisation whose key this is. Raises ConfigError if the roster names no such organisation."""
    public = key.verify_key()
    for name, named in signed.roster.organisations:
        if named == public:
            others = [item for item in signed.signatures if item[0] != name]
            return SignedRoster(signed.roster, tuple(sorted([*others, signed.roster.sign(name, key)])))
    raise ConfigError("the roster names no organisation with this key: use the organisation.pem that the requests were made with")


def merge(copies: Sequence[SignedRoster]) -> SignedRoster:
    """One roster with the signatures of all `copies`, which organisations may have signed side by side."""
    first = copies[0].roster
    for copy in copies:
        if copy.roster.raw != first.raw:
            raise ConfigError(f"{fingerprint(first)} and {fingerprint(copy.roster)} are two rosters: have the same one signed by all")
    signatures = {name: signature for copy in copies for name, signature in copy.signatures if _holds(first, name, signature)}
    return SignedRoster(first, tuple(sorted(signatures.items())))


def unsigned(signed: SignedRoster) -> list[str]:
    """The organisations whose signature is missing or does not hold."""
    given = dict(signed.signatures)
    return [name for name, _ in signed.roster.organisations if not _holds(signed.roster, name, given.get(name, b""))]


def read(path: Path) -> SignedRoster:
    """The roster in `path`, not yet verified. Raises ConfigError."""
    try:
        return SignedRoster.parse(read_public(path, "a roster"))
    except (MalformedMessage, InvalidMessage) as refused:
        raise ConfigError(f"{path} is no roster: {refused}") from refused


def verify(signed: SignedRoster, pinned: bytes, path: Path) -> Roster:
    """The roster in `path`, if it is the pinned one and all organisations have signed it. Raises ConfigError naming the check."""
    try:
        return signed.verify(pinned)
    except InvalidMessage as refused:
        raise ConfigError(f"{path}: {refused}") from refused


def write(path: Path, signed: SignedRoster) -> None:
    """Replace `path` in one step."""
    write_public(path, signed.to_bytes())


def fingerprint(roster: Roster) -> str:
    """A short name for messages. To compare rosters, use the whole hash or `spoken`."""
    return f"{roster.hash.hex()[:16]}…"


def spoken(digest: bytes) -> list[str]:
    """All of a 32-byte hash as 16 pronounceable words of five letters, two bytes each (proquints, Wilkerson 2009, arXiv:0901.4016).

    No bit is left out: whoever builds the roster could search for two rosters that agree in a shortened hash.
    """
    return [_proquint(int.from_bytes(digest[start : start + 2])) for start in range(0, len(digest), 2)]


def from_spoken(text: str) -> bytes | None:
    """The hash that `text` says, in words or in hexadecimal; None if it says none. Spaces, dashes and case do not matter."""
    letters = "".join(text.lower().replace("-", " ").split())
    if len(letters) == 64 and all(letter in "0123456789abcdef" for letter in letters):
        return bytes.fromhex(letters)
    words = [letters[start : start + 5] for start in range(0, len(letters), 5)]
    numbers = [_from_proquint(word) for word in words]
    if len(letters) != 80 or None in numbers:
        return None
    return b"".join(number.to_bytes(2) for number in numbers if number is not None)


def _proquint(number: int) -> str:
    consonants = [_CONSONANTS[number >> shift & 15] for shift in (12, 6, 0)]
    vowels = [_VOWELS[number >> shift & 3] for shift in (10, 4)]
    return consonants[0] + vowels[0] + consonants[1] + vowels[1] + consonants[2]


def _from_proquint(word: str) -> int | None:
    number = 0
    for index, letter in enumerate(word):
        alphabet, width = (_VOWELS, 2) if index % 2 else (_CONSONANTS, 4)
        if letter not in alphabet:
            return None
        number = number << width | alphabet.index(letter)
    return number


def _holds(roster: Roster, name: str, signature: bytes) -> bool:
    key = dict(roster.organisations).get(name)
    if key is None:
        return False
    try:
        key.verify(signature, "roster", roster.raw)
    except BadSignature:
        return False
    return True
