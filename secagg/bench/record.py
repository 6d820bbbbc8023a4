"""What a campaign leaves behind: plain records with a JSON schema. Seconds, bytes and counts; no ratio is stored that follows from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from secagg.bench.case import Case
from secagg.errors import ConfigError

FORMAT = "secagg-bench/1"


class Record(BaseModel):
    """Frozen, and without fields that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(Record):
    """One step of one kind of party; over several parties of that kind, the median and the largest."""

    role: str
    step: str = Field(description="kind of the message that is taken, or what the party does unasked: begin, submit, deadline, decode")
    parties: int
    wall: float = Field(description="seconds, median over the parties")
    wall_max: float
    cpu: float = Field(description="seconds of processor time of all threads, median over the parties")
    cpu_sum: float


class Kind(Record):
    """One kind of message, over all senders or recipients of one role."""

    kind: str
    role: str = Field(description="role of the senders")
    sent: int = Field(description="bytes of envelopes and payloads, all senders")
    sent_most: int = Field(description="the sender that sent most")
    received_most: int = Field(description="the recipient that got most")


class Play(Record):
    """One round of one case, metered."""

    steps: tuple[Step, ...]
    kinds: tuple[Kind, ...] = Field(description="in the order in which they first travelled, up to the opened sum")
    peak: dict[str, int] = Field(description="role to the most bytes that a party of it held; empty in a run that measures time")
    included: int
    difference: float = Field(description="largest difference between the opened mean and the plain mean of those included")
    bound: float = Field(description="what quantisation allows")

    def cpu(self, role: str) -> float:
        """Seconds of processor time of the median party of `role`."""
        return sum(step.cpu for step in self.steps if step.role == role)

    @property
    def path(self) -> float:
        """Seconds of the round if every party had a machine of its own and no phase began before the last had ended."""
        longest: dict[str, float] = {}
        for step in self.steps:
            longest[step.step] = longest.get(step.step, 0.0) + step.wall_max
        return sum(longest.values())

    def up(self, role: str = "client") -> int:
        """Bytes that the party of `role` that sends most hands to the network."""
        return sum(kind.sent_most for kind in self.kinds if kind.role == role)


class Measured(Record):
    """Everything measured of one case."""

    protocol: str
    clients: int
    values: int
    drop: int
    dp: bool
    plays: tuple[Play, ...] = Field(description="timed rounds")
    weighed: Play | None = Field(default=None, description="the round in which memory was traced")
    failed: str = Field(default="", description="why the case could not run")

    @property
    def case(self) -> Case:
        return Case(self.protocol, self.clients, self.values, self.drop, self.dp)

    def middle(self, what: str) -> float:
        """Median over the plays of `client`, `coordinator`, … (processor seconds), or of `path`."""
        return median(play.path if what == "path" else play.cpu(what) for play in self.plays)

    def spread(self, what: str) -> float:
        """(largest − smallest) / median over the plays."""
        found = [play.path if what == "path" else play.cpu(what) for play in self.plays]
        middle = median(found)
        return (max(found) - min(found)) / middle if middle else 0.0

    @property
    def peak(self) -> dict[str, int]:
        return self.weighed.peak if self.weighed is not None else {}


class Limits(Record):
    """What the machine allows, one core, measured between the cases of the same run."""

    keystream: float = Field(description="bytes a second of AES-256-CTR into a reused buffer")
    copy_rate: float = Field(description="bytes a second of copying memory")
    tls: float = Field(description="bytes a second through a TLS 1.3 socket on loopback")
    agreements: float = Field(description="X25519 agreements a second")
    verifications: float = Field(description="Ed25519 verifications a second")


class Row(Record):
    """A line of another benchmark: ours against a limit, a goal or a peer."""

    benchmark: str
    work: str
    milliseconds: float
    clock: str
    against: str
    limit: float | None
    goal: float | None

    @property
    def ratio(self) -> float | None:
        return None if not self.limit else self.milliseconds / self.limit

    @property
    def met(self) -> bool | None:
        return None if self.goal is None or self.ratio is None else self.ratio <= self.goal


class Machine(Record):
    """What it was measured on."""

    processor: str
    cores: int
    memory: int = Field(description="bytes")
    system: str
    python: str
    versions: dict[str, str]


class Results(Record):
    """A whole campaign; a file of it is complete at any time and can be gone on with."""

    format: Literal["secagg-bench/1"] = "secagg-bench/1"
    created: str = Field(description="ISO 8601, UTC")
    command: str
    machine: Machine
    repeats: int
    limits: tuple[Limits, ...]
    cases: tuple[Measured, ...]
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()

    def find(self, case: Case) -> Measured | None:
        """The measurements of `case`, if it ran."""
        return next((one for one in self.cases if one.case == case and one.plays), None)

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        scratch = path.with_name(path.name + ".part")
        scratch.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        scratch.replace(path)


def load(path: Path) -> Results:
    """Raises ConfigError for a file that is not there or not of this format."""
    try:
        return Results.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as missing:
        raise ConfigError(f"{path}: {missing.strerror}") from missing
    except ValidationError as refused:
        first = refused.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(f"{path}: no {FORMAT} file: {place}: {first['msg']}") from refused


def schema() -> str:
    """The JSON schema of a results file."""
    return json.dumps(Results.model_json_schema(), indent=1)


def merged(limits: Sequence[Limits]) -> Limits:
    """The best that was seen of each limit."""
    return Limits(**{name: max(getattr(one, name) for one in limits) for name in Limits.model_fields})
