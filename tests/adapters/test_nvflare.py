"""NVFlare's own simulator: three secure rounds over five sites, one of which fails once, end where FedAvg ends."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

pytest.importorskip("nvflare")

from protocols import additive, pairwise
from secagg.adapters.nvflare import SecureExecutor
from secagg.adapters.relay import Relay
from secagg.dp.accountant import Steps
from secagg.dp.budget import Budget, BudgetLedger
from secagg.errors import ConfigError
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.pki.trial import make_trial
from secagg.privacy import PrivacyTerms
from tests.adapters.plain import STACKS, bound, largest_difference, plain_loop, sums_in
from tests.adapters.programs import running
from tests.repository.source import ROOT

ROUNDS = 3


def tasks_of(site: str, said: str) -> int:
    """Tasks that the simulator gave to this site."""
    return len(re.findall(rf"task run for client: {site} .*task_processed: True", said))


def ran(script: str, results: Path, *more: str, **variables: str) -> str:
    """Run one of the guide's jobs: three sums, the second without client-4, and the adapter that FedAvg over the same clients gives.

    Where the machine is busy the simulator loses a site at its start, which then runs no task at all: the sums are those of the others.
    Gives what the job wrote to its log.
    """
    make_trial(results / "pki", clients=[f"client-{number}" for number in range(5)], aggregators=["auditor", "leader"])
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # of the processes that NVFlare starts by a script
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{STACKS}:{ROOT}", **variables}
    with running(results / "log", sys.executable, STACKS / script, results / "pki", results, *more, env=environment) as job:
        job.wait(550)
    said = (results / "log").read_text()
    assert (results / "final.safetensors").exists(), said[-6000:]
    sums = sums_in(said, "in the sum, weight")
    came = [number for number in range(5) if script == "nvflare_poc.py" or tasks_of(f"client-{number}", said)]
    assert len(came) >= 4, said[-6000:]
    assert 4 in came, said[-6000:]
    assert sums == [came, came[:-1], came], said[-6000:]
    assert "went on without client-4: " in said
    expected = plain_loop(ROUNDS, lambda number: sums[number - 1])
    first, final = (load_file(results / f"{name}.safetensors") for name in ("first", "final"))
    assert largest_difference(final, expected) <= bound(pairwise.Plan(clients=5, clip=8.0), first, 5, ROUNDS)
    return said


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("script", ["nvflare_job.py", "nvflare_filters_job.py"], ids=["controller", "filters"])
def test_three_secure_rounds_in_the_simulator_end_where_fedavg_ends(tmp_path: Path, script: str) -> None:
    said = ran(script, tmp_path)
    # Training is the one task of a round: a site asks for tasks every two seconds, and all else of a round reaches it beside them.
    assert {tasks_of(f"client-{number}", said) for number in range(5)} - {0} == {ROUNDS}


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(600)
def test_three_secure_rounds_in_a_poc_deployment_end_where_fedavg_ends(tmp_path: Path) -> None:
    """A server and a process for each site, with NVFlare's own TLS; an aggregator of another organisation at a site of its own."""
    ran("nvflare_poc.py", tmp_path, "filters", HOME=str(tmp_path), NVFLARE_POC_WORKSPACE=str(tmp_path / "poc"))


def test_a_server_that_asks_for_training_in_the_clear_is_refused() -> None:
    from nvflare.apis.executor import Executor
    from nvflare.apis.fl_constant import ReturnCode
    from nvflare.apis.fl_context import FLContext
    from nvflare.apis.shareable import Shareable, make_reply
    from nvflare.apis.signal import Signal

    class Inner(Executor):  # type: ignore[misc]
        def execute(self, task_name, shareable, fl_ctx, abort_signal):
            return make_reply(ReturnCode.OK)

    assert Inner().execute("train", Shareable(), FLContext(), Signal()).get_return_code() == ReturnCode.OK
    answer = SecureExecutor(Inner(), "/nowhere").execute("train", Shareable(), FLContext(), Signal())
    assert answer.get_return_code() == ReturnCode.TASK_UNSUPPORTED


def test_an_aggregator_takes_no_protocol_whose_clients_are_asked_again() -> None:
    from secagg.adapters.nvflare_filters import SecureAggregator

    with pytest.raises(ConfigError, match="use SecureFedAvg"):
        SecureAggregator("pairwise", {"clients": 5}, "/nowhere")


def guards(task: str) -> tuple[Any, Any, Any]:
    """A site's filter before the executor and behind it, and the context of one task."""
    from nvflare.apis.filter import FilterChainType, FilterContextKey
    from nvflare.apis.fl_constant import FLContextKey
    from nvflare.apis.fl_context import FLContext

    from secagg.adapters.nvflare_filters import SecureFilter

    before, behind, context = SecureFilter("/nowhere"), SecureFilter("/nowhere"), FLContext()
    before.set_prop(FilterContextKey.CHAIN_TYPE, FilterChainType.TASK_DATA_CHAIN)
    behind.set_prop(FilterContextKey.CHAIN_TYPE, FilterChainType.TASK_RESULT_CHAIN)
    context.set_prop(FLContextKey.TASK_NAME, task, private=True, sticky=False)
    return before, behind, context


def test_no_weights_pass_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    from nvflare.apis.dxo import DXO, DataKind
    from nvflare.apis.filter import ContentBlockedException
    from nvflare.apis.fl_constant import ReturnCode
    from nvflare.apis.shareable import make_copy, make_reply

    from secagg.adapters import nvflare_filters

    weights = DXO(DataKind.WEIGHTS, data={"w": np.ones(3, np.float32)}).to_shareable()
    before, behind, context = guards("train")
    with pytest.raises(ContentBlockedException, match="without a secure round"):
        before.process(weights, context)  # a server that asks for training in the clear
    assert "DXO" not in behind.process(weights, context)  # and if it were trained all the same
    asked = make_copy(weights)
    asked["bag"] = b"a round"
    with pytest.raises(ContentBlockedException, match="takes no part"):
        before.process(asked, context)  # a round that this site cannot look at is not trained for
    monkeypatch.setattr(nvflare_filters, "looked_at", lambda *_: None)
    asked["bag"] = b"a round"
    assert "bag" not in before.process(asked, context)
    failed = make_reply(ReturnCode.EXECUTION_EXCEPTION)
    failed["weights"] = "of a client that failed"
    assert "weights" not in behind.process(failed, context)  # a failure says nothing but that
    asked["bag"] = b"a round"
    before.process(asked, context)
    answer = behind.process(weights, context)  # without keys no secure answer can be made, and no other one is
    assert answer.get_return_code() == ReturnCode.EXECUTION_EXCEPTION
    assert "DXO" in weights
    assert "DXO" not in answer


def test_a_site_looks_at_policy_and_budget_before_it_trains_and_pays_its_steps(tmp_path: Path) -> None:
    """The terms come to the executor in a header; what it says it took is paid before the filter lets anything go."""
    from nvflare.apis.dxo import DXO, DataKind
    from nvflare.apis.filter import ContentBlockedException
    from nvflare.apis.fl_constant import ReservedKey
    from nvflare.apis.shareable import make_copy

    from secagg.adapters.nvflare_filters import SecureFilter
    from secagg.adapters.nvflare_party import PRIVACY, SPENT

    folder = tmp_path / "pki" / "client-0"
    terms = PrivacyTerms(unit="record", mechanism="dp-sgd", noise_multiplier=1.0, epsilon=2.0, delta=1e-5, clip=1.0)
    names = [f"client-{index}" for index in range(3)]
    make_trial(tmp_path / "pki", clients=names, aggregators=["auditor", "leader"])
    policy = '[policy.privacy]\nunit = "record"\nepsilon = 2.0\ndelta = 1e-5\n[budget]\nfile = "budget.sqlite"\ndata = "captions"\n'
    (folder / "policy.toml").write_text(policy.replace("epsilon = 2.0", "epsilon = 1.0"))
    with BudgetLedger(folder / "budget.sqlite") as ledger:
        ledger.allow("captions", Budget("record", 5000, 5.0, 1e-5))
    plan = additive.Plan(clients=3, max_weight=1, privacy=terms)
    hub, *beside = [Identity.load(tmp_path / "pki" / name) for name in ("hub", "auditor", "leader")]
    relay = Relay(plan, hub, beside=beside, ledger=Ledger(), carry_model=False)
    model = {"w": np.zeros(8, np.float32)}
    bags = relay.begin(model, names)
    asked = DXO(DataKind.WEIGHTS, data=model).to_shareable()
    asked["bag"] = next(bag for name, bag in bags.items() if name == "client-0")
    before, behind, context = guards("train")
    for one in (before, behind):
        assert isinstance(one, SecureFilter)
        one.identity = str(tmp_path / "pki" / "{site}")
    context.set_prop(ReservedKey.IDENTITY_NAME, "client-0", private=False, sticky=False)
    with pytest.raises(ContentBlockedException, match="takes no part"):
        before.process(make_copy(asked), context)
    (folder / "policy.toml").write_text(policy)
    task = before.process(make_copy(asked), context)
    assert PrivacyTerms(**task.get_header(PRIVACY)) == terms
    answer = DXO(DataKind.WEIGHT_DIFF, data={"w": np.full(8, 0.1, np.float32)}).to_shareable()
    answer.set_header(SPENT, [{"count": 20, "noise_multiplier": 1.2, "sampling": 0.01}])
    assert behind.process(answer, context)["bag"]
    with BudgetLedger(folder / "budget.sqlite") as ledger:
        assert [entry.steps for entry in ledger.balance("captions").entries] == [(Steps(20, 1.2, 0.01),)]


def test_of_other_tasks_only_metrics_leave() -> None:
    from nvflare.apis.dxo import DXO, DataKind
    from nvflare.apis.event_type import EventType
    from nvflare.apis.fl_constant import FLContextKey, ReturnCode
    from nvflare.apis.shareable import Shareable, make_reply

    from secagg.adapters.nvflare_filters import SecureListener

    *_, context = guards("submit_model")

    def heard(answer: Any, tasks: list[str]) -> Any:
        context.set_prop(FLContextKey.TASK_RESULT, answer, private=True, sticky=False)
        SecureListener("/nowhere", tasks).handle_event(EventType.AFTER_TASK_EXECUTION, context)
        return answer

    for kind in (DataKind.WEIGHTS, DataKind.WEIGHT_DIFF):
        assert "DXO" in heard(DXO(kind, data={"w": 1}).to_shareable(), ["submit_model"])  # so that what follows says something
        answer = heard(DXO(kind, data={"w": 1}).to_shareable(), ["train"])
        assert "DXO" not in answer
        assert answer.get_return_code() == ReturnCode.TASK_RESULT_FILTER_ERROR
    assert "w" not in heard(Shareable({"w": "hidden"}), ["train"])
    assert "DXO" in heard(DXO(DataKind.METRICS, data={"loss": 0.5}).to_shareable(), ["train"])
    assert heard(make_reply(ReturnCode.TASK_UNKNOWN), ["train"]).get_return_code() == ReturnCode.TASK_UNKNOWN
