"""Every key of a whole consortium in one folder, for a trial on one machine. Whoever holds this folder is every party at once."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from secagg.errors import ConfigError
from secagg.pki import folder as folders
from secagg.pki import rosters
from secagg.pki.authority import Authority
from secagg.pki.files import make_folder
from secagg.pki.folder import Requested
from secagg.pki.keys import load_signing
from secagg.pki.requests import Applicant
from secagg.roster import RoleName, Roster
from secagg.types import PartyId

DAYS = 30
AUTHORITY_FOLDER, ROSTER_FILE = "ca", "roster.signed"


@dataclass(frozen=True, slots=True)
class Trial:
    """What was made: `Identity.load(trial.folder / name)` for each name in `parties`."""

    folder: Path
    roster: Roster
    parties: tuple[PartyId, ...]


def make_trial(
    folder: Path,
    *,
    clients: Sequence[str],
    aggregators: Sequence[str] = (),
    keyholders: Sequence[str] = (),
    hub: str = "hub",
    hosts: Sequence[str] = ("localhost", "127.0.0.1"),
    consortium: str = "trial",
    peer: bool = False,
    holding: bool = False,
    days: int = DAYS,
    classic: bool = False,
    now: datetime | None = None,
) -> Trial:
    """Make the authority, all parties, and a roster that all have signed and pinned.

    Each name is a party of an organisation of the same name; with `peer`, each client's organisation also runs the aggregator
    `NAME-aggregator`, with `holding` the key holder `NAME-keyholder`. The keys hold `days` days, so that a trial does not become an
    installation by staying.

    Raises:
        ConfigError: a name is used twice or cannot name a party, or `folder` holds a trial already.
    """
    now = now or datetime.now(UTC)
    cast = _cast(clients, aggregators, keyholders, hub, peer=peer, holding=holding)
    ours = [folder / name for name in (AUTHORITY_FOLDER, ROSTER_FILE, *(party for party, _, _ in cast))]
    if taken := [path for path in ours if path.exists()]:
        raise ConfigError(f"{taken[0]} exists: give the trial a folder of its own")
    make_folder(folder)
    try:
        return _make(folder, cast, hosts, consortium, days, classic=classic, now=now)
    except BaseException:
        for path in ours:  # half a trial would only stand in the way of the next try
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty: it was there before
            folder.rmdir()
        raise


def _make(
    folder: Path,
    cast: Sequence[tuple[str, str, RoleName]],
    hosts: Sequence[str],
    consortium: str,
    days: int,
    *,
    classic: bool,
    now: datetime,
) -> Trial:
    authority = Authority.create(folder / AUTHORITY_FOLDER, consortium, now=now)
    start, end = folders.validity(now, days)
    made: dict[Path, Requested] = {}
    for party, organisation, role in cast:
        who = Applicant(party, organisation, role, start, end, tuple(hosts) if role == "coordinator" else ())
        key = folder / organisation / folders.ORGANISATION
        made[folder / party] = folders.request(folder / party, who, classic=classic, organisation_key=key)
    signed = rosters.build(consortium, [item.request for item in made.values()])
    for key in sorted({item.organisation_key for item in made.values()}):
        signed = rosters.sign(signed, load_signing(key, "organisation key"))
    rosters.write(folder / ROSTER_FILE, signed)
    for place, item in made.items():
        folders.install_certificate(place, authority.bundle(authority.issue(item.request, now=now)), authority.folder, now=now)
        folders.pin(place, signed, signed.roster.hash, folder / ROSTER_FILE)
    return Trial(folder, signed.roster, tuple(member.party for member in signed.roster.members))


def _cast(
    clients: Sequence[str], aggregators: Sequence[str], keyholders: Sequence[str], hub: str, *, peer: bool, holding: bool
) -> list[tuple[str, str, RoleName]]:
    """(party, organisation, role) of everybody; organisations' own parties first, as their folders hold the organisation's key."""
    cast: list[tuple[str, str, RoleName]] = [(hub, hub, "coordinator")]
    cast += [(name, name, "client") for name in clients]
    cast += [(name, name, "aggregator") for name in aggregators]
    cast += [(name, name, "keyholder") for name in keyholders]
    if peer:
        cast += [(f"{name}-aggregator", name, "aggregator") for name in clients]
    if holding:
        cast += [(f"{name}-keyholder", name, "keyholder") for name in clients]
    names = [party for party, _, _ in cast]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{repeated[0]} is named twice: every party of a trial needs its own name")
    if AUTHORITY_FOLDER in names:
        raise ConfigError(f"a trial keeps its authority in {AUTHORITY_FOLDER}/, so no party can be called {AUTHORITY_FOLDER}")
    if not clients:
        raise ConfigError("a trial without clients: name at least three, for example --clients energy,community,urban")
    return cast
