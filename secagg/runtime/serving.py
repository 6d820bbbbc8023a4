"""`serve`: starts the hub that every party dials, from what its folder and its ledger remember."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from secagg.encode.layout import Layout
from secagg.errors import ConfigError
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.pki import load_tls
from secagg.policy import Policy
from secagg.roles import Plan
from secagg.runtime import driver
from secagg.runtime.attendant import Attendant, Plans
from secagg.runtime.coordinator import Coordinator
from secagg.runtime.engine import Engine, engine_of
from secagg.runtime.home import Home, Progress, Record
from secagg.runtime.limits import Limits
from secagg.runtime.server import Server
from secagg.runtime.task import Task
from secagg.tally import Tallies, Tally


def serve(
    plan: Plan,
    address: str,
    *,
    identity: Identity,
    model: Mapping[str, Any],
    base_model: bytes = bytes(32),
    task: str = "default",
    layout: Layout | None = None,
    aggregators: Sequence[Identity] = (),
    ledger: Ledger | None = None,
    policy: Policy | None = None,
    state: Path | None = None,
    attempts: int = 3,
    finish: float = 30.0,
    limits: Limits | None = None,
    engine: str | Engine | None = None,
) -> Server:
    """Start a hub on `address` (`host:port`) and return at once; parties may dial from then on.

    Args:
        plan: the protocol with its numbers.
        identity: the coordinator of the roster; its `folder` holds the TLS files.
        model: what clients train from in the first round: `{name: array or tensor}`. It fixes names, shapes and dtypes.
        base_model: SHA-256 of the frozen weights that the parties hold; stands in every round description.
        task: name of the task; rounds of a task only move forward.
        layout: by default `Layout.of(model)`; one with bound facts (an adapter's configuration) or scale groups otherwise.
        aggregators: identities of aggregators that live in this process. At least one aggregator of a round should not.
        ledger: durable record of the coordinator; by default `ledger.sqlite` in `state`, in memory if there is no folder at all.
        policy: what the aggregators in this process insist on.
        state: folder for the ledger, spool files, the current model and the open attempt, so that a restarted hub goes on: `round` and
            `model` are then those of the task as it was left. By default `identity.folder / "state"`. Aggregators of this process keep
            their ledgers in subfolders of it, by default in their own identity's folder.
        attempts: attempts of one round before `aggregate` gives up.
        finish: seconds for each of the phases after the deadline.
        engine: where the sums of this process lie: None, in it; `"ray"`, split by range over the workers of Ray (install `secagg[ray]`),
            for vectors that one machine adds too slowly.

    Raises:
        ConfigError: identity, roster, plan, model or TLS files do not fit each other.
        TransportError: the address cannot be listened on.
    """
    if identity.member.role != "coordinator":
        raise ConfigError(f"{identity.party} is {identity.member.role} in the roster: a hub needs the identity of the coordinator")
    if strangers := [one.party for one in aggregators if one.member.role not in ("aggregator", "keyholder")]:
        raise ConfigError(f"{strangers[0]} is no aggregator or key holder of the roster")
    chosen, bounds, home = policy or Policy(), limits or Limits(), Home.of(identity, state)
    shape = layout if layout is not None else Layout.of(model)
    made = Task(
        task,
        plan,
        identity,
        layout=shape,
        values=shape.flatten(model),
        base_model=base_model,
        finish_seconds=finish,
        entropy=os.urandom,
        beside=tuple(one.party for one in aggregators),
    )
    kept, record = home.ledger(ledger), Record(home, task)
    _take_up(made, kept, record)
    tallies = engine_of(engine).tallies if engine is not None else Tally.zero
    coordinator = Coordinator(identity, plan, policy=chosen, ledger=kept, entropy=os.urandom, tallies=tallies)
    spoken = {plan.PROTOCOL: type(plan)}
    beside = tallies if engine is not None else Tally.at_home
    attendants = [_attendant(one, spoken, chosen, state, beside) for one in aggregators]
    _raise_file_limit(len(identity.roster.members))
    server = Server(made, coordinator, record, dict(model), attempts)
    driver.call(server.listen(address, attendants, load_tls(identity), home, bounds))
    return server


def _attendant(one: Identity, plans: Plans, policy: Policy, state: Path | None, tallies: Tallies) -> Attendant:
    """An aggregator in this process; its ledger is its own."""
    ledger = Home.of(one, state / one.party if state is not None else None).ledger(None)
    return Attendant(one, plans=plans, policy=policy, ledger=ledger, entropy=os.urandom, tallies=tallies)


def _take_up(task: Task, ledger: Ledger, record: Record) -> None:
    """Go on after what the state folder and the ledger know."""
    progress, latest = record.load(task.layout), ledger.latest(task.name)
    if progress is not None:
        attempt = latest[1] if latest is not None and latest[0] == progress.round else 0
        task.go_on(max(progress.round, latest[0] if latest else 0), attempt, progress.model, progress.versions)
    elif latest is not None:
        task.go_on(latest[0] + 1, 0, task.model, task.versions)
    if progress is None:
        record.save(Progress(task.round, task.versions, task.model))


def _raise_file_limit(parties: int) -> None:
    """Each payload that waits at the hub holds one file: allow as many as there may be at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16 * parties + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
