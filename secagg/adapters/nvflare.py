"""NVFlare: a controller that opens sums only, and an executor around the one that trains.

```python
job.to_server(SecureFedAvg("pairwise", {"clients": 5, "clip": 8.0}, "/keys/hub", model="first.safetensors", rounds=3))
job.to(SecureExecutor(MyExecutor(), "/keys/{site}"), "site-1")
```
A site is the party of the same name. The executor inside is called with NVFlare's own `train` task and answers as always; its weights
and its number of steps stay in the site's process.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.client import Client as Site
from nvflare.apis.controller_spec import Task
from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.event_type import EventType
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.impl.controller import Controller
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from safetensors.numpy import load_file, save_file

from secagg.adapters.nvflare_beside import AtASite, ask
from secagg.adapters.nvflare_filters import difference, spent_of
from secagg.adapters.nvflare_party import BAG, PRIVACY, answer_as
from secagg.adapters.party import Party
from secagg.adapters.relay import Bags, Relay
from secagg.dp.accountant import Steps
from secagg.errors import ConfigError, SecAggError, SessionAborted
from secagg.identity import Identity
from secagg.policy import Policy
from secagg.runtime.plans import Installed
from secagg.runtime.result import Result

TASK = "secagg"
Trained = tuple[Mapping[str, Any], int, Sequence[Steps]]
_ROUND, _POLL = "secagg-round", 0.05


class SecureFedAvg(Controller):  # type: ignore[misc]  # nvflare is not typed
    """FedAvg over secure sums, whatever the protocol.

    Args:
        protocol: name of an installed protocol, for example `pairwise` or `additive`.
        settings: the arguments of its plan.
        identity: identity folder of the coordinator, absolute.
        model: the first model, a safetensors file; `save`: where the newest is written after each round, whole or not at all.
        rounds: how many.
        beside: identity folders of servers of the plan that run in this process; the others are sites.
        train_seconds: how long sites may train in one round.
        tasks_only: send all of a round as tasks, for which a site asks every two seconds, five times in `pairwise`. A simulator with fewer
            threads than sites needs it: most sites have no process there that a message could come to. False: training is the one task.

    Guarantees: those of the plan. A site that fails or is late has dropped out; where too few are left the round is repeated with the same
    model by the next one. `results` holds what each opened.
    """

    def __init__(  # noqa: PLR0917  # NVFlare makes job files of such arguments
        self,
        protocol: str,
        settings: dict[str, Any],
        identity: str,
        model: str,
        rounds: int = 3,
        save: str = "",
        beside: list[str] | None = None,
        train_seconds: int = 600,
        tasks_only: bool = False,
    ) -> None:
        super().__init__(task_check_period=_POLL)
        self.protocol, self.settings, self.identity, self.model, self.rounds = protocol, settings, identity, model, rounds
        self.save, self.beside, self.train_seconds, self.tasks_only = save, beside, train_seconds, tasks_only
        self.results: list[Result] = []
        self._number = 0

    def start_controller(self, fl_ctx: FLContext) -> None:
        known = Installed(Policy())
        if self.protocol not in known:
            raise ConfigError(f"protocol {self.protocol!r} is not installed; installed: {', '.join(sorted(known))}")
        self._plan: Any = known[self.protocol](**self.settings)

    def stop_controller(self, fl_ctx: FLContext) -> None:
        pass

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        me, beside = Identity.load(self.identity), [Identity.load(folder) for folder in self.beside or []]
        relay = Relay(self._plan, me, beside=beside, task=f"nvflare-{fl_ctx.get_job_id()}")
        model: dict[str, np.ndarray[Any, Any]] = load_file(self.model)

        def exchange(bags: Bags, seconds: float) -> list[bytes]:
            return self._by_tasks(bags, seconds, fl_ctx, abort_signal) if self.tasks_only else ask(self, bags, seconds, fl_ctx)

        try:
            for number in range(1, self.rounds + 1):
                if abort_signal.triggered:
                    return
                self._number = number
                model = self._round(relay, model, exchange, fl_ctx, abort_signal)
        finally:
            relay.close(exchange)

    def _round(self, relay: Relay, model: Any, exchange: Any, fl_ctx: FLContext, abort_signal: Signal) -> Any:
        there = {site.name for site in fl_ctx.get_engine().get_clients()}
        cohort = [member.party for member in relay.me.roster.with_role("client") if member.party in there]
        try:
            trained = self._by_tasks(relay.begin(model, cohort), self.train_seconds, fl_ctx, abort_signal)
            result = relay.finish(trained, exchange)
        except SessionAborted as aborted:
            self.log_warning(fl_ctx, f"round {self._number} gave no sum, the model stays: {aborted}")
            return model
        self.results.append(result)
        self.log_info(fl_ctx, f"round {self._number}: {', '.join(result.included)} in the sum, weight {result.weight}")
        for party, reason in result.left.items():
            self.log_warning(fl_ctx, f"round {self._number} went on without {party}: {reason}")
        model = {name: (value + result.mean[name]).astype(value.dtype) for name, value in model.items()}
        if self.save:
            part = f"{self.save}.part"
            save_file(model, part)
            Path(part).replace(self.save)
        return model

    def _by_tasks(self, bags: Bags, seconds: float, fl_ctx: FLContext, abort_signal: Signal) -> list[bytes]:
        sites: dict[str, Site] = {site.name: site for site in fl_ctx.get_engine().get_clients()}
        tasks = []
        if missing := sorted(bags.keys() - sites.keys()):
            self.log_warning(fl_ctx, f"no site speaks for {', '.join(missing)}")
        for party, bag in bags.items():
            if party in sites:
                tasks.append(Task(TASK, Shareable({BAG: bag, _ROUND: self._number}), timeout=max(1, int(seconds))))
                self.send(tasks[-1], fl_ctx, targets=[sites[party]])
        while any(task.completion_status is None for task in tasks):
            if abort_signal.triggered:
                self.cancel_all_tasks(fl_ctx=fl_ctx)
                break
            time.sleep(_POLL)
        answers = [one.result for task in tasks for one in task.client_tasks if one.result is not None]
        return [answer[BAG] for answer in answers if isinstance(answer.get(BAG), bytes)]

    def process_result_of_unknown_task(self, *_: Any, **__: Any) -> None:
        """A site that answers when nobody waits any more: its round is over."""


class SecureExecutor(Executor, AtASite):  # type: ignore[misc]  # nvflare is not typed
    """Speaks for this site's party, and asks `executor` to train.

    Args:
        executor: what trains: gets the task `train` with a DXO of kind WEIGHTS, answers with WEIGHTS or WEIGHT_DIFF and, in its meta,
            `NUM_STEPS_CURRENT_ROUND`, which is the weight (1 where it is missing).
        identity: the site's identity folder, absolute; `{site}` stands for the site's name.

    Where the round asks for a training with noise, the task has the header `secagg.privacy`, the round's terms as a dict, and the answer
    states its noisy steps in the header `secagg.spent`: a list of dicts, `dataclasses.asdict` of `secagg.dp.accountant.Steps`.

    Guarantees: the `train` task itself is refused, so that the server cannot ask for the update in the clear. `policy.toml` in the identity
    folder is what this party insists on and pays from (see `secagg.adapters.own`), whatever the job says.
    """

    def __init__(self, executor: Executor, identity: str) -> None:
        super().__init__()
        self.executor, self.identity = executor, identity

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        if event_type == EventType.START_RUN:
            self.listen(fl_ctx)
        self.executor.handle_event(event_type, fl_ctx)

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        if task_name != TASK:
            self.log_error(fl_ctx, f"task {task_name!r} refused: this site takes part in secure rounds only")
            return make_reply(ReturnCode.TASK_UNSUPPORTED)

        def train(party: Party, model: Mapping[str, Any]) -> Trained:
            return self._train(party, dict(model), shareable.get(_ROUND, 0), fl_ctx, abort_signal)

        try:
            back = answer_as(fl_ctx.get_identity_name(), self.identity, shareable[BAG], train)
        except (SecAggError, _Failed) as refused:
            # The reason may speak of the data: it stays here.
            self.log_error(fl_ctx, f"out of this round: {refused}")
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        reply = make_reply(ReturnCode.OK)
        reply[BAG] = back
        return reply

    def _train(self, party: Party, model: dict[str, Any], number: int, fl_ctx: FLContext, abort_signal: Signal) -> Trained:
        asked = DXO(DataKind.WEIGHTS, data={name: value.copy() for name, value in model.items()}).to_shareable()
        asked.set_header("current_round", number)
        if party.privacy is not None:
            asked.set_header(PRIVACY, asdict(party.privacy))
        reply = self.executor.execute("train", asked, fl_ctx, abort_signal)
        if reply.get_return_code() != ReturnCode.OK:
            raise _Failed(f"the training executor answered {reply.get_return_code()}")
        trained = from_shareable(reply)
        return *difference(trained, model), spent_of(reply)


class _Failed(Exception):
    """Training gave nothing to send."""
