"""The public numbers of one round, read out of its description and checked against the roster."""

from __future__ import annotations

from dataclasses import dataclass

from secagg.crypto.stream import sealed_size
from secagg.errors import ConfigError, InvalidMessage
from secagg.math.ring import Ring
from secagg.round import Round, RoundDescription
from secagg.types import PartyId

from .degree import Numbers, numbers, spot_checks


@dataclass(frozen=True, slots=True)
class Params:
    """What client and server need to know; all of it is public. A client is named by its place in the cohort.

    Attributes:
        clients, organisations: the cohort and whom each belongs to, by place.
        length: ring words: the coordinates of the update and the two that carry count and weight.
        threshold: shares that rebuild a secret (t).
        quorum: clients that must sign the set of survivors: t in the complete graph.
        degree: neighbours of each client; all the others in the complete graph.
        run: survivors that any `degree` / 2 consecutive places of the circle must keep; 0 in the complete graph.
        colluders: clients that are assumed to collude with the server (c).
        spots: signatures for the set that a client verifies, drawn by its own coins.
        model, terms: what the ledger compares two sums by.
    """

    clients: tuple[PartyId, ...]
    organisations: tuple[str, ...]
    server: PartyId
    ring: Ring
    length: int
    floor: int
    colluders: int
    threshold: int
    quorum: int
    degree: int
    run: int
    spots: int
    version: int
    model: bytes
    terms: bytes
    submit_seconds: float
    finish_seconds: float

    @classmethod
    def of(cls, opened: Round) -> Params:
        """The numbers of a round. Raises InvalidMessage."""
        described = opened.description
        # > The coordinator is the only server, and updates start from one model (PW-P1).
        if described.servers or len(described.inputs) != 1:
            raise InvalidMessage(
                "PW-P1", f"{len(described.servers)} servers and {len(described.inputs)} input models", culprits=[described.coordinator]
            )
        found, spots = _numbers(described)
        owners = {member.party: member.organisation for member in opened.roster.members}
        return cls(
            clients=described.cohort,
            organisations=tuple(owners[name] for name in described.cohort),
            server=described.coordinator,
            ring=described.encoding.ring,
            length=described.values + described.encoding.extra,
            floor=described.floors.floor,
            colluders=described.floors.colluders,
            threshold=found.threshold,
            quorum=described.quorum,
            degree=found.degree,
            run=found.run,
            spots=spots,
            version=described.inputs[0].version,
            model=described.inputs[0].model,
            terms=described.substance,
            submit_seconds=described.submit_seconds,
            finish_seconds=described.finish_seconds,
        )

    @property
    def size(self) -> int:
        """Clients in the cohort (n)."""
        return len(self.clients)

    @property
    def payload_size(self) -> int:
        """Bytes of a masked vector with its tags: nothing longer is ever read."""
        return sealed_size(self.ring.packed_size(self.length))

    def names(self, places: tuple[int, ...]) -> tuple[PartyId, ...]:
        """The names behind places, sorted."""
        return tuple(sorted(self.clients[place] for place in places))

    def enough(self, places: tuple[int, ...], least: int) -> bool:
        """Whether the set has at least `least` clients and F organisations."""
        return len(places) >= least and len({self.organisations[place] for place in places}) >= self.floor


def _numbers(described: RoundDescription) -> tuple[Numbers, int]:
    """The graph's numbers: complete where the threshold is that of the complete graph, else the computed ones."""
    n, c, t, q = len(described.cohort), described.floors.colluders, described.floors.threshold, described.quorum
    blame = [described.coordinator]
    if 2 * t > n + c:
        # > On the complete graph c < t ≤ n, 2t > n + c, and t clients sign the set (PW-P2).
        if not c < t <= n or q != t:
            raise InvalidMessage("PW-P2", f"threshold {t}, quorum {q}, {c} colluders among {n} clients", culprits=blame)
        return Numbers(n - 1, t, 0), t
    try:
        found, spots = numbers(n, q, c), spot_checks(n, q, c)
    except ConfigError as refused:
        raise InvalidMessage("PW-P3", str(refused), culprits=blame) from refused
    # > On a sparse graph the threshold is the one that cohort, quorum and colluders give (PW-P3).
    if t != found.threshold:
        raise InvalidMessage(
            "PW-P3", f"threshold {t}; with {c} colluders, {n} clients and quorum {q} it is {found.threshold}", culprits=blame
        )
    return found, spots
