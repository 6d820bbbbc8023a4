"""A Flower node whose round has privacy terms: the app is shown them, its noisy steps are paid, and the server is sent neither."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("flwr")

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict

from protocols import additive
from secagg.adapters.flower import SecureMod
from secagg.adapters.flower_grid import RECORD, bag_of, record_of
from secagg.adapters.flower_private import SPENT, privacy_of, spent_record
from secagg.adapters.relay import Relay
from secagg.dp.accountant import Steps
from secagg.dp.budget import Budget, BudgetLedger
from secagg.errors import ConfigError
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.pki.trial import make_trial
from secagg.privacy import PrivacyTerms

TERMS = PrivacyTerms(unit="record", mechanism="dp-sgd", noise_multiplier=1.0, epsilon=2.0, delta=1e-5, clip=1.0)
STEPS = Steps(20, 1.2, 0.01)
POLICY = '[policy.privacy]\nunit = "record"\nepsilon = 2.0\ndelta = 1e-5\n[budget]\nfile = "budget.sqlite"\ndata = "captions"\n'


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Message:
    """A training message for client-0, whose identity folder has a policy and a budget."""
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    make_trial(tmp_path / "pki", clients=[f"client-{index}" for index in range(3)], aggregators=["auditor", "leader"])
    folder = tmp_path / "pki" / "client-0"
    (folder / "policy.toml").write_text(POLICY)
    with BudgetLedger(folder / "budget.sqlite") as ledger:
        ledger.allow("captions", Budget("record", 5000, 5.0, 1e-5))
    plan = additive.Plan(clients=3, max_weight=1, privacy=TERMS)
    beside = [Identity.load(tmp_path / "pki" / name) for name in ("auditor", "leader")]
    relay = Relay(plan, Identity.load(tmp_path / "pki" / "hub"), beside=beside, ledger=Ledger(), carry_model=False)
    model = {"w": np.zeros(8, np.float32)}
    bag = relay.begin(model, [f"client-{index}" for index in range(3)])
    arrays = ArrayRecord({"w": Array(model["w"])})
    content = RecordDict({"arrays": arrays, RECORD: record_of(next(bag for name, bag in bag.items() if name == "client-0"))})
    return Message(content, dst_node_id=1, message_type=MessageType.TRAIN)


def answer(asked: Message, folder: Path, *records: tuple[str, Any]) -> tuple[Message, list[PrivacyTerms | None]]:
    shown = []

    def app(message: Message, _: Context) -> Message:
        shown.append(privacy_of(message))
        arrays = ArrayRecord({"w": Array(np.full(8, 0.1, np.float32))})
        content = RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": 70}), **dict(records)})
        return Message(content, reply_to=message)

    context = Context(run_id=1, node_id=1, node_config={"secagg-identity": str(folder)}, state=RecordDict(), run_config={})
    return SecureMod()(asked, context, app), shown


def entries(folder: Path) -> Any:
    with BudgetLedger(folder / "budget.sqlite") as ledger:
        return ledger.balance("captions").entries


def test_the_app_sees_the_terms_and_its_steps_are_paid(asked: Message, tmp_path: Path) -> None:
    folder = tmp_path / "pki" / "client-0"
    asked.content["secagg.privacy"] = ConfigRecord({"json": "{}"})  # what a server claims beside the signed description counts for nothing
    reply, shown = answer(asked, folder, (SPENT, spent_record([STEPS])))
    assert shown == [TERMS]
    assert [entry.steps for entry in entries(folder)] == [(STEPS,)]
    assert list(reply.content) == [RECORD]
    assert set(cast(ConfigRecord, reply.content[RECORD])) == set(record_of(b""))
    assert bag_of(reply)


@pytest.mark.parametrize(("records", "said"), [((), "as `spent`"), (((SPENT, ConfigRecord({"json": "?"})),), "spent_record")])
def test_an_app_that_states_no_noisy_steps_sends_nothing(asked: Message, tmp_path: Path, records: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        answer(asked, tmp_path / "pki" / "client-0", *records)
    assert entries(tmp_path / "pki" / "client-0") == ()


def test_a_node_that_cannot_pay_is_not_trained(asked: Message, tmp_path: Path) -> None:
    folder = tmp_path / "pki" / "client-0"
    (folder / "policy.toml").write_text(POLICY.replace("captions", "no such data"))
    reply, shown = answer(asked, folder, (SPENT, spent_record([STEPS])))
    assert (shown, entries(folder)) == ([], ())
    assert bag_of(reply)  # it says that it leaves
