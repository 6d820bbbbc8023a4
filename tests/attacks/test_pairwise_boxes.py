"""Boxes that are changed, and complaints about boxes that were good."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocols.pairwise import keys
from protocols.pairwise.blame import Doubts
from protocols.pairwise.messages import Complaint, Masked, Shares
from secagg.errors import SessionAborted
from secagg.roles import Sum
from secagg.testing.consortium import Consortium
from secagg.types import PartyId, Secret
from tests.unit.pairwise.rig import VALUES, changing, crowd, lay, vectors_of


@pytest.fixture
def parties() -> Consortium:
    return crowd()


@pytest.fixture
def weak() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def spoilt_box(parties: Consortium) -> Sum | SessionAborted:
    """Client 4, which tells client 1 the key of their mask, makes it a box of which one bit is wrong."""

    def spoil(message: Shares) -> Shares:
        first, second, *rest = message.boxes
        return Shares((first, second[:-17] + bytes([second[-17] ^ 1]) + second[-16:], *rest))

    table = lay(parties)
    changing(parties, table, Shares, spoil, by=[4])
    return table.play(vectors_of(parties))


def test_a_box_that_was_changed_puts_no_wrong_mask_into_a_sum(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    def unchecked(key: Secret, box: bytes, *, context: bytes) -> Secret:
        counter = Cipher(algorithms.AES(key.expose()), modes.CTR(bytes(15) + b"\x02")).encryptor()  # GCM's, without its tag
        return Secret(counter.update(box[:-16]))

    def right(outcome: Sum) -> bool:
        given = vectors_of(parties)
        return np.array_equal(outcome.vector, sum((given[name] for name in outcome.included), np.zeros(VALUES + 2, np.uint32)))

    weak.setattr(keys, "open_box", unchecked)
    outcome = spoilt_box(parties)
    assert isinstance(outcome, Sum)
    assert not right(outcome), "a client that takes any box masks with what nobody else knows"
    weak.undo()
    outcome = spoilt_box(parties)
    assert isinstance(outcome, Sum)
    assert right(outcome)
    assert parties.clients[1].party not in outcome.included


def test_who_complains_of_an_honest_client_does_not_make_it_guilty(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    def accused() -> set[PartyId]:
        table, blamed = lay(parties), set[PartyId]()
        server: Any = table.endpoints[parties.coordinator.party].role
        changing(parties, table, Masked, lambda message: Complaint(parties.clients[0].party), by=[4])
        table.watch = lambda table, packet: blamed.update(server.blamed)
        assert isinstance(table.play(vectors_of(parties)), Sum)
        return blamed

    genuine = Doubts.guilty
    weak.setattr(Doubts, "guilty", lambda self, colluders: genuine(self, 0))
    assert parties.clients[0].party in accused(), "if one voice were enough, a liar could have honest clients thrown out"
    weak.undo()
    assert not accused()
