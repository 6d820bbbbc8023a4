"""What one measurement runs, and the grids of cases that the command offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from secagg.errors import ConfigError

PLAINTEXT = "insecure-plaintext"
"""The baseline: the same runtime, the same encoding, and nothing hidden."""

SLOTS = "ckks:n4096-q56"
"""`ckks` with its ciphertexts made by SEAL, under the smaller parameter set."""

CLIENTS, VALUES, DROPS = (3, 5, 10, 32, 100), (100_000, 1_000_000, 10_000_000), (0, 10, 30)
QUICK_CLIENTS, QUICK_VALUES, QUICK_DROPS = (3, 10, 32), (100_000, 1_000_000), (0, 10)


@dataclass(frozen=True, slots=True, order=True)
class Case:
    """One round to measure.

    Args:
        protocol: its name as an entry point, or `insecure-plaintext`; `ckks:n4096-q56` is `ckks` with that parameter set of slots.
        clients: companies in the cohort.
        values: coordinates of an update.
        drop: per cent of the clients that fall silent when their update is due.
        dp: whether the sum carries distributed noise.
    """

    protocol: str
    clients: int
    values: int
    drop: int = 0
    dp: bool = False

    @property
    def plan(self) -> str:
        """The name of the protocol's entry point."""
        return self.protocol.partition(":")[0]

    @property
    def slots(self) -> str:
        """The parameter set of CKKS slots; empty for packing and for other protocols."""
        return self.protocol.partition(":")[2]

    @property
    def gone(self) -> int:
        """How many clients fall silent."""
        return self.clients * self.drop // 100

    @property
    def work(self) -> tuple[int, int, int]:
        """What is the same in the plaintext round that it is compared with."""
        return self.clients, self.values, self.drop

    def __str__(self) -> str:
        noise = ", DP" if self.dp else ""
        return f"{self.protocol}, {self.clients} clients, {self.values:.0e} values, {self.drop} % gone{noise}"


def offered(installed: Sequence[str]) -> list[str]:
    """What is measured where nothing is asked for: all that is installed, and CKKS slots beside packing where TenSEAL is there."""
    from secagg.crypto.ckks import available

    try:
        available()
    except ConfigError:
        return list(installed)
    return [name for one in installed for name in ((one, SLOTS) if one == "ckks" else (one,))]


def grid(protocols: Sequence[str], clients: Sequence[int], values: Sequence[int], drops: Sequence[int], noisy: Sequence[str]) -> list[Case]:
    """All cases, those of the same work beside each other, small work first. Drop-outs of which nobody would drop out are left out.

    Args:
        noisy: the protocols that are also measured with distributed noise.
    """
    cases = []
    for count, parties, drop in product(sorted(values), sorted(clients), sorted(drops)):
        for protocol in dict.fromkeys((PLAINTEXT, *protocols)):
            case = Case(protocol, parties, count, drop)
            if drop and not case.gone:
                continue
            cases.append(case)
            if protocol in noisy:
                cases.append(Case(protocol, parties, count, drop, dp=True))
    return cases
