"""Who gets the long share: the aggregator that it reaches without crossing the network twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocols import additive
from secagg.testing.consortium import consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, terms
from secagg.types import PartyId

PLAN = additive.Plan(clients=3, aggregators=3)
PARTIES = consortium(3, 3, now=NOW, entropy=InsecureEntropy("leader"))


@pytest.mark.parametrize("beside", [one.party for one in PARTIES.aggregators])
def test_the_leader_is_the_aggregator_in_the_hub(beside: PartyId) -> None:
    described = PLAN.describe(replace(terms(values=4), beside=(beside,)), PARTIES.roster)
    assert described.servers[0] == beside
    assert set(described.servers) == {one.party for one in PARTIES.aggregators}
