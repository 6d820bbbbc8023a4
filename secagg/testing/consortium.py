"""A consortium made up for a test or a simulation: fresh keys in memory, one organisation per client and per aggregator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secagg.crypto.seal import HYBRID, OpenKey
from secagg.crypto.sign import SigningKey
from secagg.identity import Identity
from secagg.roster import Member, RoleName, Roster
from secagg.types import Entropy, PartyId

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Consortium:
    """A roster and the identities of everybody in it."""

    roster: Roster
    coordinator: Identity
    clients: tuple[Identity, ...]
    aggregators: tuple[Identity, ...]
    keyholders: tuple[Identity, ...]

    def identity(self, name: str) -> Identity:
        """The identity of one party."""
        everybody = (self.coordinator, *self.clients, *self.aggregators, *self.keyholders)
        return next(identity for identity in everybody if identity.party == name)


def consortium(
    clients: int,
    aggregators: int = 0,
    *,
    keyholders: int = 0,
    now: float,
    entropy: Entropy,
    organisations: Sequence[str] | None = None,
    kem: int = HYBRID,
) -> Consortium:
    """`client-0`…, `aggregator-0`…, `keyholder-0`… and `coordinator`, with keys valid for a year around `now` (seconds since 1970).

    Args:
        organisations: one per client; by default each client has its own. Aggregator i belongs to organisation `helper-i`.
        kem: suite of the sealing keys: `secagg.crypto.seal.HYBRID` or `X25519`.
    """
    owners = list(organisations) if organisations is not None else [f"organisation-{index}" for index in range(clients)]
    width = len(str(max(clients, 1) - 1))
    seats: list[tuple[str, str, RoleName]] = [(f"client-{index:0{width}d}", owners[index], "client") for index in range(clients)]
    seats += [(f"aggregator-{index}", f"helper-{index}", "aggregator") for index in range(aggregators)]
    seats += [(f"keyholder-{index}", f"holder-{index}", "keyholder") for index in range(keyholders)]
    seats.append(("coordinator", "hub", "coordinator"))
    keys = [(SigningKey.generate(entropy), OpenKey.generate(entropy, kem)) for _ in seats]
    start, end = int(now) - _DAY, int(now) + 365 * _DAY
    members = [
        Member(PartyId(name), organisation, role, signing.verify_key(), opening.seal_key(), start, end)
        for (name, organisation, role), (signing, opening) in zip(seats, keys, strict=True)
    ]
    owned = {organisation: SigningKey.generate(entropy).verify_key() for _, organisation, _ in seats}
    roster = Roster.create("trial", 1, owned, members)
    identities = [Identity(member.party, signing, opening, roster) for member, (signing, opening) in zip(members, keys, strict=True)]

    def of(role: RoleName) -> tuple[Identity, ...]:
        return tuple(identity for identity, seat in zip(identities, seats, strict=True) if seat[2] == role)

    return Consortium(roster, of("coordinator")[0], of("client"), of("aggregator"), of("keyholder"))
