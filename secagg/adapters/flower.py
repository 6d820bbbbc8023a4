"""Flower (Message API): any strategy over a secure sum, with evaluation untouched.

```python
strategy = SecureStrategy(FedAvg(), plan, Identity.load("pki/hub"))       # server_app.py
app = ClientApp(mods=[SecureMod()])                                       # client_app.py
```
The strategy's own training messages carry the first bag of a round; further bags go out as training messages that the mod answers
itself. What the inner strategy aggregates is one reply that holds the mean and the total of the weights: no client's arrays, no
client's `num-examples` and no client's training metrics reach the server.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result as FlowerResult
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

from secagg.adapters.desk import desk
from secagg.adapters.flower_grid import HELLO, RECORD, Nodes, bag_of, hello, record_of
from secagg.adapters.flower_private import put_terms, spent_of
from secagg.adapters.own import own_terms
from secagg.adapters.party import Party
from secagg.adapters.relay import Bags, Relay
from secagg.dp.accountant import Steps
from secagg.dp.budget import Purse
from secagg.errors import ConfigError, SessionAborted
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.roles import Plan
from secagg.runtime.result import Result

log = logging.getLogger("flwr.secagg")  # shown where Flower shows its own

_ROBUST = ("Bulyan", "FedMedian", "FedTrimmedAvg", "FedXgbBagging", "FedXgbCyclic", "Krum", "MultiKrum", "QFedAvg")
_COUNTS = tuple(f"DifferentialPrivacy{side}Side{kind}Clipping" for side in ("Client", "Server") for kind in ("Fixed", "Adaptive"))
NOT_LINEAR = frozenset((*_ROBUST, *_COUNTS))
"""Flower's strategies that look at single updates or count replies: over a sum they would be wrong, so they are refused."""

_KEPT = "secagg"
IDENTITY, PKI = "secagg-identity", "secagg-pki"
"""Keys of a node's configuration (`flower-supernode --node-config 'secagg-identity="/etc/secagg/energy"'`) and, in simulations, of the
run's (`flwr run . --run-config 'secagg-pki="/home/me/pki"'`)."""

Tensors = dict[str, NDArray[Any]]


def floats(record: Mapping[str, Array]) -> Tensors:
    """The arrays that are averaged. Others (counters, indices) stay as the model has them."""
    arrays = {name: array.numpy() for name, array in record.items()}
    return {name: array for name, array in arrays.items() if array.dtype.kind == "f"}


class SecureStrategy(Strategy):
    """Runs `inner` over secure sums.

    Args:
        inner: a strategy whose aggregation is linear in what clients send: FedAvg, FedProx, FedAdam, FedYogi, FedAdagrad, FedAvgM, …
        plan: the protocol; `plan.max_weight` bounds a client's number of examples.
        identity: the coordinator of the roster.
        beside: servers of the plan that run in this ServerApp; the others are nodes, and one at least has to be.
        policy: what the servers beside insist on.
        base_model: SHA-256 of the frozen weights that all hold, if any.

    Attributes:
        last: what the last round gave: who is in it, the receipt, the bytes of each party; None where it gave no sum.

    Guarantees: a round gives the mean over exactly those that `last.included` names, to the quantisation bound of the plan; where too
    few are left the round fails as one without replies does, with the reason in the log, and the model stays.

    Raises:
        ConfigError: `inner` needs single updates.
    """

    def __init__(
        self,
        inner: Strategy,
        plan: Plan,
        identity: Identity,
        *,
        beside: Sequence[Identity] = (),
        policy: Policy | None = None,
        base_model: bytes = bytes(32),
    ) -> None:
        if named := sorted({kind.__name__ for kind in type(inner).__mro__} & NOT_LINEAR):
            raise ConfigError(f"{named[0]} looks at single updates or counts replies, which a secure sum hides: take a linear strategy")
        self.inner, self.plan = inner, plan
        self.last: Result | None = None
        self._settings: dict[str, Any] = {"beside": beside, "policy": policy, "base_model": base_model}
        self._me = identity
        self._nodes: Nodes | None = None
        self._relay: Relay | None = None
        self._model: ArrayRecord | None = None

    def start(self, grid: Grid, *args: Any, **kwargs: Any) -> FlowerResult:
        self._nodes, self._relay = Nodes(grid, self._me.roster), self._make_relay(grid)
        try:
            return super().start(self._nodes, *args, **kwargs)
        finally:
            self._relay.close(self._exchange)

    def configure_train(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        nodes, relay = self._seated(grid)
        asked = {
            nodes.party(message.metadata.dst_node_id): message for message in self.inner.configure_train(server_round, arrays, config, grid)
        }
        if not asked:
            return []
        self.last = None
        self._model = _arrays_of(next(iter(asked.values())).content)
        try:
            bags = relay.begin(floats(self._model), list(asked))
        except SessionAborted as aborted:
            log.warning("round %d does not begin, the model stays: %s", server_round, aborted)
            self._model = None
            return []
        return [nodes.message(party, bag, asked.get(party)) for party, bag in bags.items()]

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> tuple[ArrayRecord | None, MetricRecord | None]:
        if self._relay is None or self._model is None:
            return self.inner.aggregate_train(server_round, [])
        try:
            result = self._relay.finish(_bags(replies), self._exchange)
        except SessionAborted as aborted:
            log.warning("round %d gave no sum, the model stays: %s", server_round, aborted)
            return None, None
        self.last = result
        log.info("secure sum of round %d: %s; weight %d", server_round, ", ".join(result.included), result.weight)
        for party, reason in result.left.items():
            log.warning("round %d went on without %s: %s", server_round, party, reason)
        model, mean = self._model, result.mean
        updated = {name: Array(_moved(array.numpy(), mean[name])) if name in mean else array for name, array in model.items()}
        weight = MetricRecord({getattr(self.inner, "weighted_by_key", "num-examples"): result.weight})
        key = getattr(self.inner, "arrayrecord_key", "arrays")
        content = RecordDict({key: ArrayRecord(updated), "metrics": weight})
        arrays, metrics = self.inner.aggregate_train(server_round, [Message(content, dst_node_id=0, message_type=MessageType.TRAIN)])
        return None if arrays is None else _typed_like(model, arrays, mean), metrics

    def configure_evaluate(self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid) -> Iterable[Message]:
        messages: Iterable[Message] = self.inner.configure_evaluate(server_round, arrays, config, grid)
        return messages

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        return self.inner.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        self.inner.summary()

    def _seated(self, grid: Grid) -> tuple[Nodes, Relay]:
        """Also for those that call `configure_train` themselves instead of `start`."""
        if self._nodes is None or self._relay is None:
            self._nodes = grid if isinstance(grid, Nodes) else Nodes(grid, self._me.roster)
            self._relay = self._make_relay(grid)
        return self._nodes, self._relay

    def _make_relay(self, grid: Grid) -> Relay:
        return Relay(self.plan, self._me, task=f"flower-{grid.run.run_id}", carry_model=False, **self._settings)

    def _exchange(self, bags: Bags, seconds: float) -> list[bytes | memoryview]:
        nodes = self._nodes
        if nodes is None:
            return []
        sent = [nodes.message(party, bag) for party, bag in bags.items() if nodes.knows(party)]
        return list(_bags(nodes.send_and_receive(sent, timeout=seconds)))


class SecureMod:
    """The client's half: answers for this node's party; of `train` nothing leaves the node but what the protocol sends.

    Args:
        identities: where the node's keys are: its identity folder; a folder of several, of which a simulation takes one by
            `partition-id`, clients first; or a function of the context. None: in a deployment the folder that the node's configuration
            names as `secagg-identity`, in a simulation the one that the run's names as `secagg-pki`. Never keep keys in the app's folder:
            Flower sends that to every node.
        weight: the metric that holds the number of examples; None: every client counts the same.
        policy, budget: what this party insists on, and pays rounds with privacy terms from, unless the identity folder has a
            `policy.toml` (see `secagg.adapters.own`), which goes before. base_model: SHA-256 of the frozen weights that it holds.

    Guarantees: a training message without a secure round is refused, so a server cannot ask for the update in the clear. Between
    messages the state lies in the context, sealed. Evaluation and queries pass through untouched.
    """

    def __init__(
        self,
        identities: Path | str | Callable[[Context], Identity] | None = None,
        *,
        weight: str | None = "num-examples",
        policy: Policy | None = None,
        budget: Purse | None = None,
        base_model: bytes | None = None,
    ) -> None:
        self._identities, self._weight, self._base_model = identities, weight, base_model
        self._policy, self._budget = policy, budget

    def __call__(self, message: Message, context: Context, call_next: Callable[[Message, Context], Message]) -> Message:
        if RECORD not in message.content:
            if message.metadata.message_type.partition(".")[0] == MessageType.TRAIN:
                raise ConfigError("a training message without a secure round: the server has to run SecureStrategy; nothing was sent")
            return call_next(message, context)
        me, ledger = self._seat(context)
        bag = bag_of(message)
        if bag is None:
            return Message(RecordDict({RECORD: _introduce(me, message, context.node_id)}), reply_to=message)
        kept = cast(bytes, context.state[_KEPT]["kept"]) if _KEPT in context.state else b""
        del message.content[RECORD]
        trainer = _Trainer(message, context, call_next, self._weight)
        with (
            own_terms(me.folder, self._policy, self._budget) as (policy, budget),
            Party(me, kept, policy=policy, budget=budget, base_model=self._base_model, ledger=ledger) as party,
        ):
            back = party.answer(bag, partial(trainer.train, party), model=trainer.model)
            context.state[_KEPT] = ConfigRecord({"kept": party.keep()})
        return Message(RecordDict({RECORD: record_of(back)}), reply_to=message)

    def _seat(self, context: Context) -> tuple[Identity, Ledger | None]:
        if callable(self._identities):
            return self._identities(context), None
        return desk(self._folder(context))

    def _folder(self, context: Context) -> Path:
        given, number = self._identities, context.node_config.get("partition-id")
        if (named := context.node_config.get(IDENTITY)) is not None:
            return Path(str(named))
        # Only in a simulation may the run, which the server's operator configures, say where keys are.
        folder = given if given is not None or number is None else context.run_config.get(PKI)
        if folder is None:
            raise ConfigError(f"no keys for this node: name its identity folder in the node's configuration as {IDENTITY}")
        if (Path(str(folder)) / "roster.pin").exists():
            return Path(str(folder))
        if number is None:
            raise ConfigError(f"{folder} is no identity folder, and this node has no {IDENTITY} and no partition-id in its configuration")
        return _by_number(Path(str(folder)), int(number))


def _introduce(me: Identity, message: Message, node: int) -> ConfigRecord:
    """Says for whom this node speaks, signed."""
    asked = message.content[RECORD]
    nonce = asked.get("nonce") if isinstance(asked, ConfigRecord) else None
    if not isinstance(nonce, bytes):
        raise ConfigError("a message with neither a round nor a question: the server runs another version of secagg.adapters.flower")
    return ConfigRecord({"party": me.party, "signature": me.signing.sign(HELLO, hello(nonce, node, me.party))})


class _Trainer:
    """The app's own training function, called through the rest of the mods, as the round wants it: (update, weight)."""

    def __init__(self, message: Message, context: Context, call_next: Callable[[Message, Context], Message], weight: str | None) -> None:
        self._message, self._context, self._next, self._weight = message, context, call_next, weight
        records = message.content.array_records
        self.model = floats(next(iter(records.values()))) if len(records) == 1 else None

    def train(self, party: Party, _: Mapping[str, Any]) -> tuple[Tensors, int, list[Steps]]:
        if self.model is None:
            raise ConfigError(f"{len(self._message.content.array_records)} array records came with the round; one is averaged")
        put_terms(self._message, party.privacy)
        reply = self._next(self._message, self._context)
        if reply.has_error():
            raise RuntimeError(f"training failed: {reply.error.reason}")
        trained = floats(_arrays_of(reply.content))
        if trained.keys() != self.model.keys():
            odd = sorted(trained.keys() ^ self.model.keys())
            raise ConfigError(f"training gave other arrays than it was given: {', '.join(odd[:5])}")
        update = {name: (array.astype(np.float64) - self.model[name]).astype(array.dtype) for name, array in trained.items()}
        return update, self._count(reply.content) if party.privacy is None else 1, spent_of(reply.content)

    def _count(self, content: RecordDict) -> int:
        if self._weight is None:
            return 1
        for metrics in content.metric_records.values():
            if isinstance(count := metrics.get(self._weight), int | float) and float(count).is_integer():
                return int(count)
        raise ConfigError(f"the reply has no whole number under {self._weight!r}: add it to the metrics, or use SecureMod(weight=None)")


def _by_number(folder: Path, number: int) -> Path:
    """Party `number` of a trial folder: the clients by name, then the other servers by name."""
    roles: dict[str, list[Identity]] = {"client": [], "aggregator": [], "keyholder": []}
    found = sorted(path.parent for path in folder.glob("*/roster.pin"))
    if not found:
        raise ConfigError(f"no identity folder in {folder}: make one for each party, for example with `secagg certs trial`")
    roster = desk(found[0])[0].roster
    names = [member.party for role in roles for member in roster.with_role(role)]  # type: ignore[arg-type]  # the three above
    if number >= len(names):
        raise ConfigError(f"partition {number}: the roster of {folder} has {len(names)} parties for nodes; simulate no more")
    return folder / names[number]


def _arrays_of(content: RecordDict) -> ArrayRecord:
    records = content.array_records
    if len(records) != 1:
        raise ConfigError(f"{len(records)} array records ({', '.join(records)}); one is averaged")
    record: ArrayRecord = next(iter(records.values()))
    return record


def _typed_like(model: ArrayRecord, arrays: ArrayRecord, mean: Mapping[str, Any]) -> ArrayRecord:
    """Strategies widen dtypes as they weigh, integers too: the model keeps its own from round to round."""
    kept = {name: Array(arrays[name].numpy().astype(array.dtype)) if name in mean else array for name, array in model.items()}
    return ArrayRecord(kept)


def _moved(value: NDArray[Any], change: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(value.astype(np.float64) + change, value.dtype)


def _bags(replies: Iterable[Message]) -> Iterable[bytes | memoryview]:
    for reply in replies:
        if reply.has_error():
            log.warning("node %d: %s", reply.metadata.src_node_id, reply.error.reason)
        elif (bag := bag_of(reply)) is not None:
            yield bag
