"""Flower itself, on Ray: any linear strategy over a secure sum ends where the same strategy ends in the clear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("flwr")
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAdam, FedAvg, FedMedian, FedProx, Krum, Strategy

from protocols import additive, ckks, pairwise
from secagg.adapters.flower import SecureMod, SecureStrategy
from secagg.adapters.flower_grid import RECORD, Nodes, bag_of
from secagg.errors import ConfigError
from secagg.identity import Identity
from secagg.pki.trial import make_trial
from secagg.roles import Plan

ROUNDS, SHAPE = 3, (6, 8)


def start() -> ArrayRecord:
    return ArrayRecord({"lora": _array(np.linspace(-1, 1, 48).reshape(SHAPE)), "steps": _array(np.array([3]), np.int64)})


def _array(values: np.ndarray, dtype: Any = np.float32) -> Any:
    from flwr.app import Array

    return Array(values.astype(dtype))


def client_app(mods: list[Any], gone: tuple[int, int]) -> ClientApp:
    """Every client pulls the model to a place of its own; client `gone[0]` fails in round `gone[1]`."""
    app = ClientApp(mods=mods)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        number, config = int(context.node_config["partition-id"]), cast(ConfigRecord, message.content["config"])
        if (number, config["server-round"]) == gone:
            raise ConnectionError("this node is down")
        model = cast(ArrayRecord, message.content["arrays"])["lora"].numpy()
        pull = 0.1 if "proximal-mu" not in config else 0.1 / (1 + float(str(config["proximal-mu"])))
        trained = {"lora": _array(model + pull * (number - model)), "steps": _array(np.array([number]), np.int64)}
        metrics = MetricRecord({"num-examples": 10 + number, "loss": 1.0})
        return Message(RecordDict({"arrays": ArrayRecord(trained), "metrics": metrics}), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        metrics = MetricRecord({"num-examples": 1, "sum": float(cast(ArrayRecord, message.content["arrays"])["lora"].numpy().sum())})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


class Seen(Grid):
    """The grid, with everything that reached the server."""

    def __init__(self, grid: Grid) -> None:
        self._grid, self.replies = grid, list[Message]()

    def send_and_receive(self, messages: Any, *, timeout: float | None = None) -> Any:
        replies = list(self._grid.send_and_receive(messages, timeout=timeout))
        self.replies += replies
        return replies

    def get_node_ids(self) -> Any:
        return self._grid.get_node_ids()

    @property
    def run(self) -> Any:
        return self._grid.run

    def set_run(self, run: Any) -> None: ...
    def create_message(self, *args: Any, **kwargs: Any) -> Any: ...
    def push_messages(self, messages: Any) -> Any:
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Any) -> Any:
        replies = list(self._grid.pull_messages(message_ids))
        self.replies += replies
        return replies


def simulate(strategies: list[Callable[[], Strategy]], mods: list[Any], nodes: int, gone: tuple[int, int]) -> list[tuple[Any, Any, Seen]]:
    """Run strategies one after the other in one of Flower's simulations."""
    from flwr.simulation import run_simulation

    done: list[tuple[Any, Any, Seen]] = []
    server = ServerApp()

    @server.main()
    def main(grid: Grid, context: Context) -> None:
        for make in strategies:
            strategy, seen = make(), Seen(grid)
            result = strategy.start(seen, start(), num_rounds=ROUNDS)
            done.append((strategy, result, seen))

    backend = {"client_resources": {"num_cpus": 1}, "init_args": {"num_cpus": 2, "object_store_memory": 80_000_000}}
    run_simulation(server, client_app(mods, gone), nodes, backend_config=backend)  # type: ignore[arg-type]
    return done


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flower") / "pki"
    make_trial(folder, clients=[f"client-{index}" for index in range(5)], aggregators=["auditor", "leader"], keyholders=["holder"])
    return folder


TOLERANCE = {"FedAvg": ROUNDS * 8.0 / 2**15, "FedProx": ROUNDS * 8.0 / 2**15, "FedAdam": 0.02}
"""Adam divides by a root of squares: it carries an error on, so that its bound is wider."""


@pytest.fixture
def in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower makes messages inside of a run's process only."""
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


PLANS: dict[str, Plan] = {
    "pairwise": pairwise.Plan(clients=5, clip=8.0, finish_seconds=20),
    "additive": additive.Plan(clients=5, clip=8.0, finish_seconds=20),
    "ckks": ckks.Plan(clients=5, clip=8.0, finish_seconds=20),
}


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.filterwarnings("ignore")  # Flower's and Ray's own
def test_every_linear_strategy_ends_where_it_ends_in_the_clear(pki: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    hub, gone = Identity.load(pki / "hub"), (4, 2)
    kinds: dict[str, Callable[[], Strategy]] = {
        "FedAvg": lambda: FedAvg(min_train_nodes=5, min_evaluate_nodes=5),
        "FedAdam": lambda: FedAdam(min_train_nodes=5, min_evaluate_nodes=5, eta=0.05),
        "FedProx": lambda: FedProx(min_train_nodes=5, min_evaluate_nodes=5, proximal_mu=1.0),
    }
    clear = simulate(list(kinds.values()), [], 5, gone)
    runs = [(name, "pairwise") for name in kinds] + [("FedAvg", "additive"), ("FedAvg", "ckks")]

    def wrapped(name: str, protocol: str) -> Callable[[], Strategy]:
        return lambda: SecureStrategy(kinds[name](), PLANS[protocol], hub)

    secure = simulate([wrapped(*run) for run in runs], [SecureMod(pki)], 8, gone)
    assert (len(clear), len(secure)) == (len(kinds), len(runs))
    for (name, protocol), (strategy, result, seen) in zip(runs, secure, strict=True):
        _, plain, _ = clear[list(kinds).index(name)]
        difference = np.abs(result.arrays["lora"].numpy() - plain.arrays["lora"].numpy()).max()
        assert difference <= TOLERANCE[name], (name, protocol)
        assert len(strategy.last.included) == 5
        assert result.arrays["steps"].numpy().tolist() == [3]
        assert sorted(result.evaluate_metrics_clientapp) == [1, 2, 3]
        for number, metrics in result.evaluate_metrics_clientapp.items():
            assert metrics["sum"] == pytest.approx(plain.evaluate_metrics_clientapp[number]["sum"], abs=0.1)
        trained = [reply for reply in seen.replies if not reply.has_error() and reply.metadata.message_type == MessageType.TRAIN]
        assert {name for reply in trained for name in reply.content} == {RECORD}
        assert b"num-examples" not in b"".join(bytes(bag) for reply in trained if (bag := bag_of(reply)) is not None)
        failed = [reply for reply in seen.replies if reply.has_error()]
        assert len(failed) == 1


def test_strategies_that_look_at_single_updates_are_refused(pki: Path) -> None:
    for strategy in (Krum(), FedMedian()):
        with pytest.raises(ConfigError, match="linear"):
            SecureStrategy(strategy, PLANS["pairwise"], Identity.load(pki / "hub"))


@pytest.mark.usefixtures("in_a_run")
def test_a_server_that_asks_for_the_update_in_the_clear_is_refused(pki: Path) -> None:
    content = RecordDict({"arrays": start(), "config": ConfigRecord({"server-round": 1})})
    asked = Message(content, dst_node_id=1, message_type=MessageType.TRAIN)
    context = Context(run_id=1, node_id=1, node_config={"partition-id": 0}, state=RecordDict(), run_config={})
    assert "arrays" in client_app([], (9, 9))(asked, context).content  # without the mod it has it
    with pytest.raises(ConfigError, match="without a secure round"):
        client_app([SecureMod(pki)], (9, 9))(asked, context)


@pytest.mark.usefixtures("in_a_run")
def test_a_node_without_an_identity_says_what_it_lacks(pki: Path, tmp_path: Path) -> None:
    content = RecordDict({RECORD: ConfigRecord({"nonce": bytes(16)})})
    asked = Message(content, dst_node_id=1, message_type=MessageType.TRAIN)
    cases: list[tuple[Path | None, dict[str, Any], str]] = [
        (tmp_path, {"partition-id": 0}, "no identity folder in"),
        (pki, {}, "no partition-id"),
        (None, {}, "name its identity folder in the node"),
        (pki, {"partition-id": 8}, "simulate no more"),
    ]
    for folder, config, said in cases:
        context = Context(run_id=1, node_id=1, node_config=config, state=RecordDict(), run_config={})
        with pytest.raises(ConfigError, match=said):
            SecureMod(folder)(asked, context, lambda message, context: message)
    told: dict[str, Any] = {"secagg-pki": str(pki)}  # by the server's operator, of whom a node in a deployment takes no such advice
    context = Context(run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=told)
    with pytest.raises(ConfigError, match="name its identity folder"):
        SecureMod()(asked, context, lambda message, context: message)
    context = Context(run_id=1, node_id=1, node_config={"secagg-identity": str(pki / "auditor")}, state=RecordDict(), run_config={})
    introduced = SecureMod(tmp_path)(asked, context, lambda message, context: message).content[RECORD]
    assert cast(ConfigRecord, introduced)["party"] == "auditor"


class Hall(Seen):
    """A grid of two nodes that answer hello as they like."""

    def __init__(self, answers: dict[int, Callable[[Message, int], Message]]) -> None:
        self._answers, self._asked = answers, list[Message]()

    def get_node_ids(self) -> Any:
        return list(self._answers)

    def push_messages(self, messages: Any) -> Any:
        self._asked = list(messages)
        for number, message in enumerate(self._asked):
            message.metadata.__dict__["_message_id"] = str(number)
        return [message.metadata.message_id for message in self._asked]

    def pull_messages(self, message_ids: Any) -> Any:
        asked, self._asked = self._asked, []
        return [self._answers[message.metadata.dst_node_id](message, message.metadata.dst_node_id) for message in asked]


@pytest.mark.usefixtures("in_a_run")
def test_a_node_cannot_draw_another_partys_messages_to_itself(pki: Path) -> None:
    def speak(name: str, as_node: int | None = None) -> Callable[[Message, int], Message]:
        def answer(message: Message, node: int) -> Message:
            config: dict[str, Any] = {"secagg-identity": str(pki / name)}
            context = Context(run_id=1, node_id=as_node or node, node_config=config, state=RecordDict(), run_config={})
            return SecureMod()(message, context, lambda message, context: message)

        return answer

    def claim(message: Message, node: int) -> Message:
        record = ConfigRecord({"party": "client-1", "signature": bytes(64)})
        return Message(RecordDict({RECORD: record}), reply_to=message)

    roster = Identity.load(pki / "hub").roster
    nodes = Nodes(Hall({11: speak("client-1"), 12: claim, 13: speak("client-2", as_node=14), 15: speak("auditor")}), roster)
    assert list(nodes.get_node_ids()) == [11]  # not the claim, not a signature given to another node, not the aggregator
    assert nodes.party(11) == "client-1"
    with pytest.raises(ConfigError, match="does not say"):
        nodes.party(12)
