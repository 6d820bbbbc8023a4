"""`pairwise` beside Flower's SecAgg+ on the same work in the same run. `python -m benchmarks.flower_secagg` (needs `secagg[flower]`).

Both run whole in this process, without a network: Flower's own workflow against Flower's own client mod, `pairwise` against itself, from
the update in floats to the mean in floats. SecAgg+ there stands against a server that follows the protocol; `pairwise` is the variant
with signatures and one agreed set, which has no weaker profile to compare (decision 0025). Each client's processor time is taken apart
from the server's. Drop-outs leave when their vector is due.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterable
from statistics import median
from typing import Any

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

from benchmarks.measure import Line, arguments, show
from secagg.bench.meter import Meter
from secagg.simulate import simulate

BITS, CLIP = 16, 8.0


class Grid:
    """Carries messages to Flower's client mod, one client after another, and keeps apart what each of them spends and sends."""

    def __init__(self, update: np.ndarray, gone: set[int]) -> None:
        self._update, self._gone = update, gone
        self._contexts: dict[int, Context] = {}
        self.spent: dict[int, float] = {}
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
        began = time.process_time()
        reply = secaggplus_mod(message, context, self._train)
        self.spent[node] = self.spent.get(node, 0.0) + time.process_time() - began
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


def flower(update: np.ndarray, clients: int, neighbours: int, gone: set[int]) -> tuple[Grid, float, np.ndarray]:
    """One round of Flower's SecAgg+: the clients' side, the server's processor seconds, and the mean."""

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
    began = time.process_time()
    workflow(grid, context)  # type: ignore[arg-type]  # all that the workflow asks of a grid
    server = time.process_time() - began - sum(grid.spent.values())
    (mean,) = parameters_to_ndarrays(compat.arrayrecord_to_parameters(context.state.array_records[MAIN_PARAMS_RECORD], True))
    return grid, server, mean


def ours(update: np.ndarray, clients: int, gone: set[int]) -> tuple[float, float, float, np.ndarray]:
    """One round of `pairwise`: processor seconds of the median client that stayed and of the server, bytes up, and the mean."""
    from protocols import pairwise

    names = {f"client-{index:0{len(str(clients - 1))}d}" for index in range(len(gone))}
    plan = pairwise.Plan(clients=clients, clip=float(np.linalg.norm(update)) * 1.01, bits=BITS, max_weight=1, ring_bits=32, rotation=True)
    meter = Meter()
    result = simulate(plan, [{"adapter": update}] * clients, drop=dict.fromkeys(range(len(gone)), "pairwise/Masked"), observer=meter)
    spent: dict[str, float] = {}
    for (party, step), cost in meter.spent.items():
        # Flower's client neither gets the model nor a receipt here.
        if not step.endswith(("round/Describe", "round/Publish")):
            spent[party] = spent.get(party, 0.0) + cost.cpu
    stayed = [cost for party, cost in spent.items() if party.startswith("client") and party not in names]
    up = median(size for party, size in result.bytes_up.items() if party.startswith("client") and party not in names)
    return median(stayed), spent["coordinator"], up, result.mean["adapter"]


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
    clients, servers = {"flower": list[float](), "ours": list[float]()}, {"flower": list[float](), "ours": list[float]()}
    for _ in range(options.repeats):
        grid, server, mean = flower(update, options.clients, neighbours, gone)
        clients["flower"].append(median(spent for node, spent in grid.spent.items() if node not in gone))
        servers["flower"].append(server)
        client, server, up, own = ours(update, options.clients, gone)
        clients["ours"].append(client)
        servers["ours"].append(server)
    theirs = median(size for node, size in grid.sent.items() if node not in gone)
    lines = [
        Line("one client", min(clients["ours"]) * 1000, "Flower SecAgg+", min(clients["flower"]) * 1000, 0.1),
        Line("server", min(servers["ours"]) * 1000, "Flower SecAgg+", min(servers["flower"]) * 1000, 0.1),
    ]
    facts = {
        "values": options.values,
        "clients": options.clients,
        "dropped out": len(gone),
        "bytes up a value, ours": f"{up / options.values:.3f}",
        "Flower's": f"{theirs / options.values:.3f}",
        "error of the mean, ours": f"{np.abs(own - update).max():.1e}",
        "Flower's ": f"{np.abs(mean - update).max():.1e}",
    }
    show("pairwise beside Flower's SecAgg+", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
