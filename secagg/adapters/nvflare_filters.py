"""NVFlare's own workflows over the protocols whose clients send one message: an aggregator on the server, a filter on each site.

```python
job.to_server(SecureAggregator("additive", {"clients": 5, "clip": 8.0}, "/keys/hub"), id="aggregator")
job.to_clients(SecureFilter("/keys/{site}"))
job.to(SecureHelper("/keys/{site}"), "auditor", tasks=["train"])
```
`ScatterAndGather` and your executors stay as they are. The description of a round travels in the train task; the filter takes the
weights and the number of steps out of the answer and puts the client's one message there. Aggregators of other organisations are
asked over NVFlare's auxiliary messages while the server aggregates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from threading import Lock
from typing import Any

import numpy as np
from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.filter import ContentBlockedException, Filter, FilterChainType, FilterContextKey
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReservedHeaderKey, Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.aggregator import Aggregator
from nvflare.app_common.app_constant import AppConstants
from nvflare.job_config.defs import FilterType

from secagg.adapters.nvflare_beside import AtASite, ask
from secagg.adapters.nvflare_party import BAG, PRIVACY, SPENT, answer_as, looked_at
from secagg.adapters.party import Party
from secagg.adapters.relay import Bags, Relay
from secagg.dp.accountant import Steps
from secagg.errors import ConfigError, SecAggError, SessionAborted
from secagg.identity import Identity
from secagg.policy import Policy
from secagg.runtime.plans import Installed
from secagg.runtime.result import Result

ONE_MESSAGE = ("additive",)
"""Protocols whose clients send one message and are not asked again."""
_OFFER = "secagg.offer"


class SecureAggregator(Aggregator):  # type: ignore[misc]  # nvflare is not typed
    """Aggregates by opening one sum, for a workflow that broadcasts `task` and then aggregates.

    Args:
        protocol: `additive`, whose clients send one message.
        settings: the arguments of its plan.
        identity: identity folder of the coordinator, absolute.
        beside: identity folders of servers of the plan that run in this process; the others are sites with a `SecureHelper`.
        task: the workflow's training task.

    Guarantees: those of the plan. What `aggregate` gives is a DXO of kind WEIGHT_DIFF: the mean, or zeros where too few were left, so that
    the model stays. `results` holds what each round opened.

    Raises:
        ConfigError: a protocol whose clients are asked more than once: take `secagg.adapters.nvflare.SecureFedAvg`.
    """

    def __init__(  # NVFlare makes job files of such arguments
        self, protocol: str, settings: dict[str, Any], identity: str, beside: list[str] | None = None, task: str = "train"
    ) -> None:
        super().__init__()
        if protocol not in ONE_MESSAGE:
            raise ConfigError(f"clients of {protocol!r} are asked more than once, which an aggregator cannot: use SecureFedAvg")
        self.protocol, self.settings, self.identity, self.beside, self.task = protocol, settings, identity, beside, task
        self.results: list[Result] = []
        self._relay: Relay | None = None
        self._lock = Lock()
        self._round: int | None = None
        self._begun = False
        self._model: dict[str, Any] = {}
        self._bags: dict[str, bytes] = {}
        self._back: list[bytes] = []

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.BEFORE_TASK_DATA_FILTER and fl_ctx.get_prop(FLContextKey.TASK_NAME) == self.task:
            self._offer(fl_ctx.get_prop(FLContextKey.TASK_DATA), fl_ctx)
        elif event_type == EventType.END_RUN and self._relay is not None:
            self._relay.close(lambda bags, seconds: self._ask(bags, seconds, fl_ctx))
            self._relay = None

    def accept(self, shareable: Shareable, fl_ctx: FLContext) -> bool:
        bag = shareable.get(BAG)
        if not isinstance(bag, bytes):
            return False
        with self._lock:
            self._back.append(bag)
        return True

    def aggregate(self, fl_ctx: FLContext) -> Shareable:
        with self._lock:
            back, self._back, self._round = self._back, [], None
        mean: Mapping[str, Any] = {name: np.zeros_like(value) for name, value in self._model.items()}
        try:
            if self._relay is None or not self._begun:
                raise SessionAborted("it has not begun")
            self._begun = False
            result = self._relay.finish(back, lambda bags, seconds: self._ask(bags, seconds, fl_ctx))
        except SessionAborted as aborted:
            self.log_warning(fl_ctx, f"the round gave no sum, the model stays: {aborted}")
        else:
            self.results.append(result)
            self.log_info(fl_ctx, f"{', '.join(result.included)} in the sum, weight {result.weight}")
            for party, reason in result.left.items():
                self.log_warning(fl_ctx, f"the round went on without {party}: {reason}")
            mean = result.mean
        return DXO(DataKind.WEIGHT_DIFF, data=dict(mean)).to_shareable()

    def _offer(self, task: Shareable, fl_ctx: FLContext) -> None:
        """Put the site's bag into the task that is about to go out: the first one of a round begins it."""
        peer, number = fl_ctx.get_peer_context(), task.get_header(AppConstants.CURRENT_ROUND)
        with self._lock:
            if self._round != number:
                self._begin(number, task, fl_ctx)
            bag = self._bags.pop(peer.get_identity_name(), None) if peer is not None else None
        if bag is not None:
            task[BAG] = bag

    def _begin(self, number: int, task: Shareable, fl_ctx: FLContext) -> None:
        if self._relay is None:
            plan, me = Installed(Policy())[self.protocol](**self.settings), Identity.load(self.identity)
            beside = [Identity.load(folder) for folder in self.beside or []]
            self._relay = Relay(plan, me, beside=beside, task=f"nvflare-{fl_ctx.get_job_id()}", carry_model=False)
        self._round, self._model, self._back = number, floats(from_shareable(task).data), []
        there = {site.name for site in fl_ctx.get_engine().get_clients()}
        roster = self._relay.me.roster
        cohort = [member.party for member in roster.with_role("client") if member.party in there]
        try:
            self._bags = {str(party): bag for party, bag in self._relay.begin(self._model, cohort).items()}
        except SessionAborted as aborted:
            self._begun, self._bags = False, {}
            self.log_warning(fl_ctx, f"the round does not begin: {aborted}")
        else:
            self._begun = True
        servers = {party: self._bags.pop(party) for party in list(self._bags) if roster.member(party).role != "client"}  # type: ignore[arg-type]
        self._back += self._ask(servers, 60.0, fl_ctx)  # type: ignore[arg-type]  # names of the roster

    def _ask(self, bags: Bags, seconds: float, fl_ctx: FLContext) -> list[bytes]:
        return ask(self, bags, seconds, fl_ctx)


class SecureFilter(Filter, AtASite):  # type: ignore[misc]
    """The client's half: what leaves the site is its part of a secure round, and nothing of what its executor answered.

    Args:
        identity: the site's identity folder, absolute; `{site}` stands for the site's name.
        tasks: the training tasks.

    Guarantees: a training task without a secure round is blocked before it is executed, and an answer that holds weights does not leave.
    Of the answers to other tasks (validation, `submit_model`, …) only metrics leave.
    """

    def __init__(self, identity: str, tasks: list[str] | None = None) -> None:
        super().__init__()
        self.identity, self.tasks = identity, tasks or ["train"]

    def add_to_fed_job(self, job: Any, ctx: Any, **kwargs: Any) -> None:
        """One line adds it where it is needed: before the executor, behind it, and for the receipts."""
        job.add_component(comp_id="secagg", obj=SecureListener(self.identity, self.tasks), ctx=ctx)
        for kind in (FilterType.TASK_DATA, FilterType.TASK_RESULT):
            job.add_filter(obj=self, filter_type=kind, tasks=self.tasks, ctx=ctx)

    def process(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        if self.get_prop(FilterContextKey.CHAIN_TYPE) == FilterChainType.TASK_DATA_CHAIN:
            return self._before(shareable, fl_ctx)
        offer = fl_ctx.get_prop(_OFFER)
        fl_ctx.set_prop(_OFFER, None, private=True, sticky=False)
        if offer is None:
            return make_reply(ReturnCode.TASK_DATA_FILTER_ERROR)
        return self._after(shareable, offer[0], offer[1], fl_ctx)

    def _before(self, task: Shareable, fl_ctx: FLContext) -> Shareable:
        bag = task.pop(BAG, None)
        if not isinstance(bag, bytes):
            raise ContentBlockedException("a training task without a secure round: the server has to run SecureAggregator")
        model = from_shareable(task).data
        try:
            terms = looked_at(fl_ctx.get_identity_name(), self.identity, bag, floats(model))
        except (SecAggError, OSError) as refused:
            self.log_error(fl_ctx, f"out of this round before it is trained for: {refused}")
            raise ContentBlockedException("this site takes no part in the round") from refused
        if terms is not None:
            task.set_header(PRIVACY, asdict(terms))
        fl_ctx.set_prop(_OFFER, (bag, {name: np.array(value) for name, value in model.items()}), private=True, sticky=False)
        return task

    def _after(self, answer: Shareable, bag: bytes, model: Mapping[str, Any], fl_ctx: FLContext) -> Shareable:
        if answer.get_return_code() != ReturnCode.OK:
            return make_reply(answer.get_return_code())  # it may hold more than the code
        start = floats(model)

        def train(_: Party, __: Mapping[str, Any]) -> tuple[Mapping[str, Any], int, Sequence[Steps]]:
            return *difference(from_shareable(answer), start), spent_of(answer)

        reply = make_reply(ReturnCode.OK)
        try:
            reply[BAG] = answer_as(fl_ctx.get_identity_name(), self.identity, bag, train, model=start)
        except SecAggError as refused:
            # The reason may speak of the data: it stays here.
            self.log_error(fl_ctx, f"out of this round: {refused}")
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        return reply


class SecureListener(FLComponent, AtASite):  # type: ignore[misc]
    """What `SecureFilter` adds beside itself: receipts come here, and answers to all other tasks are looked at.

    NVFlare's filters stand before tasks of known names only, and a server may name a task as it likes.
    """

    def __init__(self, identity: str, tasks: list[str]) -> None:
        super().__init__()
        self.identity, self.tasks = identity, tasks

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.START_RUN:
            self.listen(fl_ctx)
        elif event_type == EventType.AFTER_TASK_EXECUTION and (name := fl_ctx.get_prop(FLContextKey.TASK_NAME)) not in self.tasks:
            answer = fl_ctx.get_prop(FLContextKey.TASK_RESULT)
            if not _only_metrics(answer):
                self.log_error(fl_ctx, f"the answer to task {name!r} stays here: beside secure rounds this site gives metrics only")
                answer.clear()  # the object that is about to be sent
                answer.set_return_code(ReturnCode.TASK_RESULT_FILTER_ERROR)


class SecureHelper(Executor, AtASite):  # type: ignore[misc]
    """A site of an organisation that helps: an aggregator or key holder of the plan. It answers training tasks with nothing.

    Args:
        identity: the site's identity folder, absolute; `{site}` stands for the site's name.
    """

    def __init__(self, identity: str) -> None:
        super().__init__()
        self.identity = identity

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.START_RUN:
            self.listen(fl_ctx)

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        return make_reply(ReturnCode.OK)


def _only_metrics(answer: Shareable) -> bool:
    try:
        kind = from_shareable(answer).data_kind
    except ValueError:
        return not set(answer) - {ReservedHeaderKey.HEADERS}  # a bare return code
    return kind in (DataKind.METRICS, DataKind.ANALYTIC)


def floats(weights: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays that are averaged. Others (counters, indices) stay as the model has them."""
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    return {name: array for name, array in arrays.items() if array.dtype.kind == "f"}


def spent_of(answer: Shareable) -> list[Steps]:
    """The noisy steps that an answer states. Raises ConfigError for a header of another form."""
    try:
        return [Steps(**one) for one in answer.get_header(SPENT) or ()]
    except TypeError as refused:
        raise ConfigError(f"the header {SPENT!r} of the answer is no list of steps as dicts: {refused}") from refused


def difference(trained: DXO, start: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """What training changed, and its weight. Raises ConfigError for an answer that is neither weights nor a difference."""
    steps = int(trained.get_meta_prop(MetaKey.NUM_STEPS_CURRENT_ROUND, 1))
    given = floats(trained.data)
    if trained.data_kind == DataKind.WEIGHTS:
        given = {name: value.astype(np.float64) - start[name] for name, value in given.items() if name in start}
    elif trained.data_kind != DataKind.WEIGHT_DIFF:
        raise ConfigError(f"the training executor answered with {trained.data_kind}; WEIGHTS or WEIGHT_DIFF expected")
    return {name: value.astype(np.float32) for name, value in given.items()}, steps
