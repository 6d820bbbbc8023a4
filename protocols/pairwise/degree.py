"""How many neighbours a client of a large cohort needs, and how many of their shares: exact counting, no approximation.

Clients stand on a circle in an order that nobody chooses, and each is the neighbour of the k/2 before and the k/2 after it. Of n clients
c collude and at most n − q drop out. With probability 1 − 2^-security over the order, whatever the server does afterwards,

* no honest client's secret is within reach: 2t > (k + 1) + x, where x is the most colluders among any honest client's k neighbours;
* the sum cannot be cut in two by drop-outs: every run of k/2 places keeps more survivors than the y colluders that can stand in it, so
  that the next honest survivor is always a neighbour. Clients check this on the list of survivors itself;
* nor by survivors that mask with one side and never sign: t > k/2 + 1 + g, where no two runs of k/2 places hold more than g colluders
  each, so that beside every client whose self-mask is rebuilt an honest one has given shares on either side.

With probability 1 − 2^-failure, q clients that stay are enough: every secret keeps t of its k other holders, and every run y + 1 survivors.
All five are tails of the hypergeometric distribution, summed over the clients. They are counted in integers, so that every party on every
machine finds the same numbers. The order comes from a hash of all adverts: this is the semi-malicious setting, in which the server (and
those who collude with it) do not choose among many adverts to find an order that suits them.

Source: Bell, Bonawitz, Gascón, Lepoint and Raykova, Secure single-server aggregation with (poly)logarithmic overhead (CCS 2020), section 3.

    numbers(n, quorum = 0.9 n, colluders = c): degree k, threshold t, run y + 1 at 2^-40 and 2^-20

         n    c = 1          c = n / 20     c = n / 10     c = n / 5
        65    16, 10, 2      20, 13, 4      26, 18, 7      40, 28, 14
       100    24, 14, 2      30, 19, 6      42, 28, 11     62, 43, 21
       200    32, 18, 2      46, 30, 11     66, 45, 19     96, 70, 32
       500    38, 21, 2      76, 52, 18     102, 74, 27    148, 114, 46
      1000    40, 22, 2      92, 63, 21     118, 85, 31    178, 136, 54
      2000    44, 24, 2      102, 70, 23    130, 93, 34    200, 152, 60
      5000    46, 25, 2      108, 74, 25    140, 100, 36   222, 168, 66
     10000    48, 26, 2      114, 78, 26    150, 107, 38   234, 177, 69
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb

from secagg.errors import ConfigError

SECURITY_BITS, FAILURE_BITS = 40, 20


@dataclass(frozen=True, slots=True)
class Numbers:
    """Neighbours of each client (k, even), shares that rebuild a secret (t), survivors that every run of k/2 places must keep."""

    degree: int
    threshold: int
    run: int


@lru_cache(maxsize=64)
def numbers(clients: int, quorum: int, colluders: int, *, security_bits: int = SECURITY_BITS, failure_bits: int = FAILURE_BITS) -> Numbers:
    """The smallest even degree that is safe and works, for `clients` of whom at least `quorum` stay to the end.

    Safety is counted over `quorum` clients, the fewest with which a round goes on, all `colluders` among them: then they stand closest.

    Raises:
        ConfigError: no degree below `quorum` − 1 will do: every client must be everybody's neighbour (the complete graph).
    """
    if not 0 <= colluders < quorum <= clients:
        raise ConfigError(f"clients={clients}, quorum={quorum}, colluders={colluders}: colluders < quorum ≤ clients expected")
    for degree in range(2, quorum - 1, 2):
        found = _try(degree, clients, quorum, colluders, security_bits=security_bits, failure_bits=failure_bits)
        if found is not None:
            return found
    raise ConfigError(
        f"no graph on {quorum} to {clients} clients is sparse, safe against {colluders} colluders and sure to finish:"
        " use the complete graph"
    )


def spot_checks(clients: int, quorum: int, colluders: int, *, security_bits: int = SECURITY_BITS) -> int:
    """How many signatures, drawn by its own coins among at least `quorum`, a client verifies to know that the set is everybody's.

    An honest client signs one list only, so of two lists one has at most (n + c) / 2 genuine signatures. A client that is shown it draws
    s of them, all genuine, with probability at most ((n + c) / 2q)^s; summed over the clients that stays below half of 2^-security, and
    what the graph leaves below the other half.
    Where `quorum` signatures or more would have to be drawn, all are verified.
    """
    numerator, denominator = clients + colluders, 2 * quorum
    if numerator >= denominator:
        raise ConfigError(f"quorum={quorum}: two lists could both be signed; more than {numerator // 2} of {clients} clients needed")
    drawn, left, right = 0, clients << (security_bits + 1), 1
    while left > right and drawn < quorum:
        drawn, left, right = drawn + 1, left * numerator, right * denominator
    return drawn


def _try(degree: int, clients: int, quorum: int, colluders: int, *, security_bits: int, failure_bits: int) -> Numbers | None:
    most = _most_marked(quorum - 1, colluders, degree, quorum << (security_bits + 2))
    # Of two runs at once, each with more than so many colluders, there are fewer than quorum² / 2 pairs.
    pair = min(_most_marked(quorum, colluders, degree // 2, quorum << (security_bits // 2 + 2)), colluders // 2)
    threshold = max((degree + 1 + most) // 2, degree // 2 + 1 + pair) + 1
    run = _most_marked(quorum, colluders, degree // 2, quorum << (security_bits + 2)) + 1
    spare, slack = degree - threshold, degree // 2 - run
    dropped = clients - quorum
    if spare < 0 or slack < 0:
        return None
    enough = _most_marked(clients - 1, min(dropped, clients - 1), degree, clients << (failure_bits + 1)) <= spare
    kept = _most_marked(clients, dropped, degree // 2, clients << (failure_bits + 1)) <= slack
    return Numbers(degree, threshold, run) if enough and kept else None


def _most_marked(population: int, marked: int, drawn: int, odds: int) -> int:
    """The smallest x with P[X > x] ≤ 1 / odds, where X counts the marked among `drawn` of `population` without replacement."""
    total = comb(population, drawn)
    least, most = max(0, drawn + marked - population), min(marked, drawn)
    ways = comb(marked, most) * comb(population - marked, drawn - most)
    above = 0
    for count in range(most, least, -1):
        if (above + ways) * odds > total:
            return count
        above += ways
        # C(m, i−1)·C(p−m, d−i+1) from C(m, i)·C(p−m, d−i), exactly.
        ways = ways * count * (population - marked - drawn + count) // ((marked - count + 1) * (drawn - count + 1))
    return least
