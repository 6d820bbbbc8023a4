"""One TOML file for each party: what it is, whom it dials, what it insists on, and what it trains. Paths are relative to the file.

```
[party]                            every file
identity = "pki/energy"            folder made by `secagg certs`
state = "state/energy"             ledger and spool files; by default IDENTITY/state

[hub]
address = "hub.example:7070"       serve: what to listen on; others: what to dial

[policy]                           this party's own floors, see secagg.policy.Policy: it aborts rather than negotiate
n_min = 3

[policy.privacy]                   what a round must promise about its data, see secagg.privacy.PrivacyFloor
unit = "organisation"
epsilon = 1.0
delta = 1e-6

[budget]                           join only: what such rounds are paid from, see `secagg budget`
file = "budget.sqlite"
data = "captions"

[protocol]                         serve only: the name, and what the plan of that name takes
name = "additive"
clip = 1.0

[protocol.privacy]                 what its rounds promise, see secagg.privacy.PrivacyTerms
unit = "organisation"
mechanism = "skellam"

[training]                         join only: see secagg.cli.training
callable = "captions:train"
```
`secagg template serve|aggregate|join` prints a whole file with every key explained.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo

from secagg.config_errors import explain, line_of
from secagg.dp.budget import BudgetLedger, Purse
from secagg.errors import ConfigError
from secagg.policy import Floors, Policy
from secagg.privacy import PrivacyFloor

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_FILE_LIMIT = 1 << 20
_POLICY = Policy()


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder: Path = info.context["folder"] if info.context else Path()
    return folder / path.expanduser()


def _address(text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        raise ValueError("must be HOST:PORT, for example hub.example:7070 or [::1]:7070")
    return text


Located = Annotated[Path, AfterValidator(_beside_the_file)]
Address = Annotated[str, AfterValidator(_address)]
Seconds = Annotated[float, Field(gt=0, le=365 * 86_400)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Table(BaseModel):
    """A TOML table in which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Party(Table):
    """Who this is: `identity` and `state` folders."""

    identity: Located
    state: Located | None = None


class PrivacyLimits(Table):
    """What a round must promise about this party's data, see `secagg.privacy.PrivacyFloor`."""

    unit: Literal["record", "customer", "organisation"]
    epsilon: float
    delta: float
    mechanisms: frozenset[str] = frozenset()
    epsilon_alone: float | None = None
    trust_aggregators: bool = True


class Limits(Table):
    """This party's own limits; the defaults are those of `secagg.policy`."""

    threshold: int = _POLICY.floors.threshold
    colluders: int = _POLICY.floors.colluders
    n_min: int = _POLICY.floors.n_min
    h_min: int = _POLICY.floors.h_min
    protocols: frozenset[str] = frozenset()
    tasks: frozenset[str] = frozenset()
    min_bits: int = _POLICY.min_bits
    max_values: int = _POLICY.max_values
    min_servers: int = _POLICY.min_servers
    privacy: PrivacyLimits | None = None

    def policy(self) -> Policy:
        """As the roles take it. Raises ConfigError for floors that protect nobody."""
        floors = Floors(self.threshold, self.colluders, self.n_min, self.h_min)
        return Policy(
            floors=floors,
            protocols=self.protocols,
            tasks=self.tasks,
            min_bits=self.min_bits,
            max_values=self.max_values,
            min_servers=self.min_servers,
            privacy=PrivacyFloor(**dict(self.privacy)) if self.privacy is not None else None,
        )


class Listen(Table):
    """Where the hub listens, the aggregators that live in its process (identity folders), and where their sums lie (`ray`, or here)."""

    address: Address = "0.0.0.0:7070"  # a hub is there to be dialled, and lets in only who shows a certificate
    aggregators: list[Located] = []
    engine: str | None = None


class Dial(Table):
    """The hub to dial."""

    address: Address


class PatientDial(Dial):
    """The hub to dial, and how long to wait for it or for the next round; without `patience`, as long as it takes."""

    patience: Seconds | None = None


class Protocol(BaseModel):
    """The protocol by its entry point's name; all other keys go to its plan."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    def arguments(self) -> dict[str, Any]:
        """What the plan is constructed with, next to what follows from the roster."""
        return dict(self.model_extra or {})


class Task(Table):
    """The task: its name, the first model (safetensors) and, if clients hold frozen weights, their SHA-256."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = "default"
    model: Located
    base_model: Digest | None = None


class Rounds(Table):
    """How many rounds, and for how long.

    Attributes:
        count: rounds of the whole task; a hub that is started again goes on after the last one.
        deadline: seconds that clients have for training and upload.
        wait: seconds to wait for the parties before a round.
        finish: seconds for the phases after the deadline.
        attempts: attempts of one round before it counts as failed.
        tolerate: rounds in a row that may fail before the hub gives up.
        rate: what the mean change is multiplied with before it is added to the model (the server's learning rate).
    """

    count: Annotated[int, Field(ge=1)] = 10
    deadline: Seconds = 600.0
    wait: Seconds = 600.0
    finish: Seconds = 60.0
    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    tolerate: Annotated[int, Field(ge=0)] = 0
    rate: Annotated[float, Field(gt=0, le=10)] = 1.0


class Training(Table):
    """The callable that trains, as `module:name`, with its options; `path` is where the module is looked for first."""

    callable: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")]
    path: Located = Path()
    tensors: Literal["numpy", "torch"] = "numpy"
    returns: Literal["state", "change"] = "state"
    base_model: Digest | None = None
    options: dict[str, Any] = {}


class Results(Table):
    """Where receipts, means and models are kept."""

    folder: Located


class CoordinatorSettings(Table):
    """`secagg serve FILE`."""

    party: Party
    hub: Listen = Listen()
    task: Task
    protocol: Protocol
    rounds: Rounds = Rounds()
    policy: Limits = Limits()
    results: Results


class AggregatorSettings(Table):
    """`secagg aggregate FILE`."""

    party: Party
    hub: Dial
    policy: Limits = Limits()
    results: Results | None = None


class ClientParty(Party):
    """A client may run its organisation's aggregator beside itself (peer mode): `aggregator` is that identity folder."""

    aggregator: Located | None = None


class BudgetSource(Table):
    """What rounds with privacy terms are paid from: a ledger that `secagg budget set` made, and the data set in it."""

    file: Located
    data: Annotated[str, Field(min_length=1)]

    def purse(self) -> Purse:
        """The budget, opened; close its ledger. Raises ConfigError if `secagg budget set` did not make it."""
        return Purse(BudgetLedger(self.file, existing=True), self.data)


class OwnSettings(Table):
    """`policy.toml` in a party's identity folder: what it insists on in the stacks that it takes part in, whatever their jobs say."""

    policy: Limits = Limits()
    budget: BudgetSource | None = None


class ClientSettings(Table):
    """`secagg join FILE`."""

    party: ClientParty
    hub: PatientDial
    training: Training
    budget: BudgetSource | None = None
    policy: Limits = Limits()
    results: Results | None = None


Settings = TypeVar("Settings", CoordinatorSettings, AggregatorSettings, ClientSettings, OwnSettings)


def load(path: Path, kind: type[Settings]) -> Settings:
    """The settings in `path`. Raises ConfigError with the file, the line, the key and the fix."""
    text = _read(path)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as refused:
        raise ConfigError(f"{path}: no valid TOML: {refused}") from refused
    try:
        settings = kind.model_validate(tables, context={"folder": path.absolute().parent})
    except ValidationError as refused:
        raise ConfigError(explain(refused, path, text, kind)) from refused
    try:
        settings.policy.policy()
    except ConfigError as refused:
        raise ConfigError(f"{path}:{line_of(text, ['policy']) or 1}: [policy]: {refused}") from refused
    return settings


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _FILE_LIMIT:
            raise ConfigError(f"{path} is too large to be a configuration file")
        return path.read_text(encoding="utf-8")
    except OSError as refused:
        raise ConfigError(f"cannot read {path}: {refused.strerror}: `secagg template` prints a file to start from") from refused
    except UnicodeDecodeError as refused:
        raise ConfigError(f"{path} is not UTF-8 text") from refused
