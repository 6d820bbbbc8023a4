"""What one party insists on, whatever the round description asks for. It aborts rather than negotiate."""

from __future__ import annotations

from dataclasses import dataclass

from secagg.errors import ConfigError
from secagg.privacy import PrivacyFloor


@dataclass(frozen=True, slots=True)
class Floors:
    """How many must be in a sum before it may be opened.

    Attributes:
        threshold: parties that must answer for the protocol to finish (t); 0 where the protocol has none.
        colluders: organisations assumed to collude with a server, each with all the clients that it runs (c).
        n_min: smallest set of organisations whose sum may ever be released, at least 3.
        h_min: honest organisations that must be left in that set, at least 2: a lone honest one would be read off the sum.
    """

    threshold: int = 0
    colluders: int = 1
    n_min: int = 3
    h_min: int = 2

    def __post_init__(self) -> None:
        if self.n_min < 3 or self.h_min < 2 or self.colluders < 0 or self.threshold < 0:
            raise ConfigError(
                f"floors n_min={self.n_min}, h_min={self.h_min}, colluders={self.colluders}, threshold={self.threshold}:"
                " n_min must be at least 3 and h_min at least 2, or a sum would show one party's update to another"
            )

    @property
    def floor(self) -> int:
        """F = max(n_min, c + h_min): the smallest set, in organisations, whose sum may be opened."""
        return max(self.n_min, self.colluders + self.h_min)


@dataclass(frozen=True, slots=True)
class Policy:
    """One party's own limits for every round it joins.

    Attributes:
        floors: a description that asks for less than any of these is refused.
        protocols: the protocols it takes part in; empty: any that is installed.
        tasks: the tasks it takes part in; empty: any.
        min_bits: coarsest values it sends: fewer bits would only make its work useless.
        max_values: longest vector it encodes, as a guard against a hub that asks for the whole model.
        min_servers: fewest aggregators or key holders its update may be split over.
        max_inputs: most model versions that one round may mix. More than one makes rounds buffered, and then a coordinator can show
            different clients different models of its own making before it sums them: allow it only to one that is trusted with that.
        privacy: what a round must promise about the data; None: it may open exact sums.
    """

    floors: Floors = Floors()
    protocols: frozenset[str] = frozenset()
    tasks: frozenset[str] = frozenset()
    min_bits: int = 4
    max_values: int = 1 << 31
    min_servers: int = 0
    max_inputs: int = 1
    privacy: PrivacyFloor | None = None
