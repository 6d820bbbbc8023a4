"""`pairwise` beside Flower's SecAgg+ on the same work in the same run. `python -m benchmarks.flower_secagg` (needs `secagg[flower]`).

Both run whole in this process, without a network: Flower's own workflow against Flower's own client mod, `pairwise` against itself, from
the update in floats to the mean in floats: clip, round to integers, agree on keys, share them, mask, upload, give shares. Both send words
of 32 bits and mask them with as many neighbours. Neither rotates; ours bounds an update's length where Flower bounds each value, so it
takes the bits that make its error no larger. SecAgg+ there stands against a server that follows the protocol; `pairwise` is the variant
with signatures and one agreed set, which has no weaker profile to compare (decision 0025). Each client's time is taken apart from the
server's: processor time on one thread, and time on the wall with the threads that a client has here by default. Drop-outs leave when
their vector is due.
"""

from __future__ import annotations

import copy
import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

import numpy as np
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.client.mod.secure_aggregation.secaggplus_mod import secaggplus_mod
from flwr.common import Code, FitIns, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.compat.common import recorddict_compat as compat
from flwr.server.client_proxy import ClientProxy
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.strategy import FedAvg
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.supercore.task_identity import TaskIdentity

from benchmarks.measure import Line, arguments, on_threads, show
from protocols import pairwise
from secagg.bench.meter import Meter
from secagg.endpoint import Endpoint
from secagg.ledger import Ledger
from secagg.policy import Policy
from secagg.round import open_round, sign_round
from secagg.simulate import simulate
from secagg.testing.consortium import consortium
from secagg.testing.table import NOW, terms
from secagg.threads import threads

BITS, CLIP = 16, 8.0
OUR_BITS = 24
"""Precision of our values: their bound is that of the whole update, which is longer than any value. The words on the wire are the same."""

T = TypeVar("T")


@dataclass(slots=True)
class Spent:
    """Milliseconds of one party, on the wall and of the processor."""

    wall: float = 0.0
    cpu: float = 0.0

    def on(self, act: Callable[[], T]) -> T:
        wall, cpu = time.perf_counter(), time.process_time()
        result = act()
        self.add((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)
        return result

    def add(self, wall: float, cpu: float) -> None:
        self.wall += wall
        self.cpu += cpu


def typical(spent: Iterable[Spent]) -> Spent:
    """The median client."""
    spent = list(spent)
    return Spent(median(one.wall for one in spent), median(one.cpu for one in spent))


def fastest(spent: Iterable[Spent]) -> Spent:
    """The best of several runs."""
    spent = list(spent)
    return Spent(min(one.wall for one in spent), min(one.cpu for one in spent))


class Grid:
    """Carries messages to Flower's client mod, one client after another, and keeps apart what each of them spends and sends."""

    def __init__(self, update: np.ndarray, gone: set[int]) -> None:
        self._update, self._gone = update, gone
        self._contexts: dict[int, Context] = {}
        self.spent: dict[int, Spent] = {}
        self.sent: dict[int, int] = {}

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        # Over a network every client would have a copy of its own, and the mod changes what it gets.
        return [self._answer(copy.deepcopy(message)) for message in messages]

    def _answer(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        context = self._contexts.setdefault(node, Context(run_id=0, node_id=node, node_config={}, state=RecordDict(), run_config={}))
        due = message.content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
        if due in {Stage.COLLECT_MASKED_VECTORS, Stage.UNMASK} and node in self._gone:
            return Message(Error(0, "gone"), reply_to=message)
        message.metadata._message_id = "0"  # set by the network that is not here
        reply = self.spent.setdefault(node, Spent()).on(lambda: secaggplus_mod(message, context, self._train))
        reply.metadata._src_node_id = node
        records = reply.content.config_records[RECORD_KEY_CONFIGS].values()
        size = sum(len(item) for value in records if isinstance(value, list) for item in value if isinstance(item, bytes))
        self.sent[node] = self.sent.get(node, 0) + size
        return reply

    def _train(self, message: Message, _: Context) -> Message:
        trained = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([self._update]), num_examples=1, metrics={})
        return Message(compat.fitres_to_recorddict(trained, keep_input=False), reply_to=message)


class Proxy(ClientProxy):
    """Stands for a client that is never called: the workflow talks to the grid."""

    def __init__(self, node: int) -> None:
        super().__init__(str(node))
        self.node_id = node

    def _never(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    get_properties = get_parameters = fit = evaluate = reconnect = _never


def flower(update: np.ndarray, clients: int, neighbours: int, gone: set[int]) -> tuple[Grid, Spent, np.ndarray]:
    """One round of Flower's SecAgg+: the clients' side, what the server spent, and the mean."""

    class Everybody(FedAvg):
        def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> Any:
            return [(Proxy(node), FitIns(parameters, {})) for node in range(1, clients + 1)]

    start = ndarrays_to_parameters([np.zeros(1, np.float32)])
    state = RecordDict({MAIN_CONFIGS_RECORD: ConfigRecord({WorkflowKey.CURRENT_ROUND: 1})})
    state.array_records[MAIN_PARAMS_RECORD] = compat.parameters_to_arrayrecord(start, True)
    context = LegacyContext(Context(run_id=0, node_id=0, node_config={}, state=state, run_config={}), strategy=Everybody())
    grid = Grid(update, gone)
    workflow = SecAggPlusWorkflow(
        num_shares=neighbours + 1,
        reconstruction_threshold=(neighbours + 1) // 2 + 1,
        max_weight=1.0,
        clipping_range=CLIP,
        quantization_range=1 << BITS,
        modulus_range=1 << 32,
    )
    server = Spent()
    server.on(lambda: workflow(grid, context))  # type: ignore[arg-type]  # all that the workflow asks of a grid
    for spent in grid.spent.values():
        server.add(-spent.wall, -spent.cpu)
    (mean,) = parameters_to_ndarrays(compat.arrayrecord_to_parameters(context.state.array_records[MAIN_PARAMS_RECORD], True))
    return grid, server, mean


@dataclass(frozen=True, slots=True)
class Ours:
    """What the median client that stayed and the server spent, bytes that a client sent, and the mean."""

    client: Spent
    server: Spent
    up: float
    mean: np.ndarray


def ours(update: np.ndarray, clients: int, gone: set[int]) -> Ours:
    """One round of `pairwise`."""
    names = {f"client-{index:0{len(str(clients - 1))}d}" for index in range(len(gone))}
    plan = pairwise.Plan(clients=clients, clip=float(np.linalg.norm(update)) * 1.01, bits=OUR_BITS, max_weight=1, ring_bits=32)
    meter = Meter()
    result = simulate(plan, [{"adapter": update}] * clients, drop=dict.fromkeys(range(len(gone)), "pairwise/Masked"), observer=meter)
    spent: dict[str, Spent] = {}
    for (party, step), cost in meter.spent.items():
        # Flower's client neither gets the model nor a receipt here.
        if not step.endswith(("round/Describe", "round/Publish")):
            spent.setdefault(party, Spent()).add(cost.wall * 1000, cost.cpu * 1000)
    client = typical(cost for party, cost in spent.items() if party.startswith("client") and party not in names)
    keys = advertising(plan, clients, len(update))
    client.add(keys.wall, keys.cpu)
    up = median(size for party, size in result.bytes_up.items() if party.startswith("client") and party not in names)
    return Ours(client, spent["coordinator"], up, result.mean["adapter"])


def advertising(plan: pairwise.Plan, clients: int, values: int) -> Spent:
    """What a client spends on its keys and its advert, made while it looks at the description: Flower's client makes keys, too."""
    parties, spent = consortium(clients, now=NOW, entropy=os.urandom, kem=0x20), list[Spent]()
    signed = sign_round(plan.describe(terms(values=values), parties.roster), parties.coordinator).signed()
    for me in parties.clients[:5]:
        opened = open_round(signed, me, Policy(), now=NOW)
        role = plan.role(opened, me, policy=Policy(), ledger=Ledger(), entropy=os.urandom)
        spent.append(Spent())
        spent[-1].on(Endpoint(role, opened, me, plan.CODEC).start)
    return typical(spent)


def main() -> None:
    parser = arguments(__doc__, 1e5)
    parser.add_argument("--clients", type=int, default=32, help="clients of the round")
    parser.add_argument("--neighbours", type=int, default=0, help="Flower's neighbours of a client; 0: all, as ours has up to 64 clients")
    parser.add_argument("--drop", type=int, default=10, help="per cent of the clients that drop out")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 0, 0, 0  # what Flower's runtime sets
    update = np.sin(np.arange(options.values, dtype=np.float32))
    gone = set(range(1, options.clients * options.drop // 100 + 1))
    neighbours = options.neighbours or options.clients - 1
    theirs, alone, shared = list[tuple[Spent, Spent]](), list[Ours](), list[Ours]()
    for _ in range(options.repeats):
        grid, server, mean = flower(update, options.clients, neighbours, gone)
        theirs.append((typical(spent for node, spent in grid.spent.items() if node not in gone), server))
        with on_threads(1):
            alone.append(ours(update, options.clients, gone))
        shared.append(ours(update, options.clients, gone))
    client, server = fastest(one for one, _ in theirs), fastest(one for _, one in theirs)
    one, many = fastest(run.client for run in alone), fastest(run.client for run in shared)
    served, on_many = fastest(run.server for run in alone), fastest(run.server for run in shared)
    peer = "Flower SecAgg+"
    lines = [
        Line("one client, one thread", one.cpu, peer, client.cpu, 0.1),
        Line(f"one client, {threads()} threads", many.wall, peer, client.wall, 0.1, clock="wall"),
        Line("server, one thread", served.cpu, peer, server.cpu, 0.1),
        Line(f"server, {threads()} threads", on_many.wall, peer, server.wall, 0.1, clock="wall"),
    ]
    sent = median(size for node, size in grid.sent.items() if node not in gone)
    facts = {
        "values": options.values,
        "clients": options.clients,
        "neighbours of a Flower client": neighbours,
        "dropped out": len(gone),
        "bytes up a value, ours": f"{alone[-1].up / options.values:.3f}",
        "Flower's": f"{sent / options.values:.3f}",
        "error of the mean, ours": f"{np.abs(alone[-1].mean - update).max():.1e}",
        "Flower's ": f"{np.abs(mean - update).max():.1e}",
        "processor time of a client on all threads": f"{many.cpu:.1f} ms",
    }
    show("pairwise beside Flower's SecAgg+", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
