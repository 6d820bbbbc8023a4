"""The public numbers of one round, read out of its description and checked against the roster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from secagg.crypto.stream import sealed_size
from secagg.errors import ConfigError, InvalidMessage
from secagg.math.ring import Ring
from secagg.roster import Roster
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
        colluders: clients that may act together with the server (c), see `colluding`.
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
        organisations = organisations_of(opened.roster, described.cohort)
        colluders = colluding(organisations, described.floors.colluders)
        found, spots = _numbers(described, colluders)
        return cls(
            clients=described.cohort,
            organisations=organisations,
            server=described.coordinator,
            ring=described.encoding.ring,
            length=described.values + described.encoding.extra,
            floor=described.floors.floor,
            colluders=colluders,
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


def organisations_of(roster: Roster, clients: Iterable[PartyId]) -> tuple[str, ...]:
    """Whom each client belongs to. Raises InvalidMessage for one that is not in the roster."""
    return tuple(roster.member(name).organisation for name in clients)


def colluding(organisations: Sequence[str], colluders: int) -> int:
    """Clients that may act together with the server: those of the `colluders` organisations that have the most, but one honest at least.

    An organisation that cheats does it with every client that it runs, so counting clients alone would let it hold more shares than c.
    """
    most = sum(clients for _, clients in Counter(organisations).most_common(colluders))
    return max(min(most, len(organisations) - 1), colluders)


def _numbers(described: RoundDescription, c: int) -> tuple[Numbers, int]:
    """The graph's numbers: complete where the threshold is that of the complete graph, else the computed ones."""
    n, t, q = len(described.cohort), described.floors.threshold, described.quorum
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
