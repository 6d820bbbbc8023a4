"""Boxes that are changed, complaints about boxes that were good, and shares that are wrong to have others blamed."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from protocols import pairwise
from protocols.pairwise import keys, opening, reveal
from protocols.pairwise.blame import Doubts
from protocols.pairwise.messages import Complaint, Masked, Reveal, Shares
from secagg.crypto.pairs import cut, join, open_box, seal_box
from secagg.errors import SessionAborted
from secagg.math import field, shamir
from secagg.math.repair import repair
from secagg.policy import Floors
from secagg.roles import Sum
from secagg.testing.consortium import Consortium
from secagg.types import PartyId, Secret
from tests.unit.pairwise.rig import VALUES, changing, crowd, lay, vectors_of


@pytest.fixture
def parties() -> Consortium:
    return crowd()


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


def blamed_by_two_liars() -> set[int]:
    """Of twelve, 0 and 1 add to each share what is zero at the secret and at seven holders of their choice: each secret stays right."""
    parties = crowd(12)
    plan = pairwise.Plan(clients=12, ring_bits=32, floors=Floors(n_min=4, colluders=2))
    table, chosen = lay(parties, plan), (3, 4, 5, 6, 7, 8, 10)

    def lie(place: int) -> Callable[[Reveal], Reveal]:
        def bend(message: Reveal) -> Reveal:
            before: Any = table.endpoints[parties.coordinator.party].role.state.before  # type: ignore[attr-defined]
            key = reveal.reveal_key(before.uploads[place].key, before.session.sid)
            context = reveal.reveal_context(table.opened.ctx, before.roots, parties.clients[place].party)
            more = (place + 1) * prod(place + 1 - index for index in chosen)
            shares = [field.decode(share.expose()) + more for share in cut(open_box(key, message.box, context=context), shamir.SHARE)]
            return Reveal(seal_box(key, join(Secret(field.encode(share % field.P)) for share in shares), context=context))

        return bend

    for place in (0, 1):
        changing(parties, table, Reveal, lie(place), by=[place])
    outcome = table.play(vectors_of(parties))
    assert isinstance(outcome, Sum)
    return {place for place, me in enumerate(parties.clients) if me.party in outcome.blamed}


def test_liars_who_keep_every_secret_have_nobody_blamed_but_themselves(weak: pytest.MonkeyPatch) -> None:
    def by_the_secret(shares: Any, threshold: int, accept: Any, *, liars: int) -> Any:
        assert liars == 2
        return repair(shares, threshold, accept)

    weak.setattr(opening, "repair", by_the_secret)
    assert blamed_by_two_liars() > {2, 8, 10, 11}, "judged by secrets alone, two of twelve have honest clients thrown out"
    weak.undo()
    assert blamed_by_two_liars() == {0, 1}
