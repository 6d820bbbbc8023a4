"""A site as a party: its identity folder, and its state between two messages, sealed in that folder.

NVFlare may end a site's process after each task, so nothing is kept in memory.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from secagg.adapters.bag import open_bag
from secagg.adapters.desk import desk
from secagg.adapters.own import own_terms
from secagg.adapters.party import Party, with_model
from secagg.control import Describe
from secagg.dp.accountant import Steps
from secagg.envelope import unpack
from secagg.policy import Policy
from secagg.privacy import PrivacyTerms
from secagg.round import open_round
from secagg.runtime.home import Home
from secagg.runtime.payment import look

BAG = "bag"
"""Where a bag lies in a Shareable."""
PRIVACY, SPENT = "secagg.privacy", "secagg.spent"
"""Headers: the round's privacy terms, with a task; the noisy steps of the training, with its answer."""
_KEPT = "nvflare.kept"

TrainAs = Callable[[Party, Mapping[str, Any]], tuple[Mapping[str, Any], int, Sequence[Steps]]]
"""`Train` that is told who trains: the party knows the privacy terms of its round."""

_locks: defaultdict[str, Lock] = defaultdict(Lock)
"""One message at a time for each party: a task and a message beside it may come on two threads."""


def looked_at(site: str, folder: str, bag: bytes, model: Mapping[str, Any]) -> PrivacyTerms | None:
    """The privacy terms of the round that a bag describes, before anything is trained for it.

    Raises:
        InvalidMessage: the party's policy refuses the round, or nobody signed it.
        BudgetExceeded: it would spend more than is left.
    """
    me, _ = desk(folder.format(site=site))
    with own_terms(me.folder) as (policy, budget):
        for packet in open_bag(bag):
            if packet.header.kind == Describe.KIND:
                whole = with_model(packet, model)
                signed = Describe.from_wire(unpack(whole, me.roster, me=me.party), whole.payload).signed
                described = open_round(signed, me, policy or Policy(), now=time.time()).description
                look(described, budget, policy.privacy if policy is not None else None)
                return described.privacy
    return None


def answer_as(site: str, folder: str, bag: bytes, train: TrainAs | None = None, *, model: Mapping[str, Any] | None = None) -> bytes:
    """The answer of the party whose identity folder is `folder`, where `{site}` stands for the site's name.

    `policy.toml` in that folder is what the party insists on, see `secagg.adapters.own`. Raises as `Party.answer`.
    """
    me, ledger = desk(folder.format(site=site))
    file = (Home.of(me, None).folder or Path()) / _KEPT
    with _locks[str(file)], own_terms(me.folder) as (policy, budget):
        kept = file.read_bytes() if file.exists() else b""
        with Party(me, kept, policy=policy, budget=budget, ledger=ledger) as party:
            back = party.answer(bag, train if train is None else partial(train, party), model=model)
            part = file.with_suffix(".part")
            part.write_bytes(party.keep())
            part.replace(file)
    return back
