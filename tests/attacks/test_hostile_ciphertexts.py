"""Payloads that are no ciphertexts, sent by a client of the cohort with every hash and signature right.

Level, scale and shape are the round's and stand in no ciphertext, and nothing is compressed: what is left to lie about are a size and a
range.
"""

from __future__ import annotations

import pickle
import tracemalloc
import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from protocols.ckks import cipher, residues, scheme, server
from protocols.ckks.messages import Added, Encrypted, Opened
from protocols.ckks.params import payload_digest
from secagg.errors import InvalidMessage
from secagg.payload import Blob, Payload, join
from secagg.roles import Outgoing
from secagg.testing.consortium import consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW
from secagg.types import PartyId
from tests.unit.ckks.test_checks import HOLDER, HUB, PLAN, Stage

LIAR = PartyId("client-3")
BOMB = zlib.compress(bytes(64 << 20), 9)


def stage() -> Stage:
    return Stage(consortium(4, keyholders=1, now=NOW, entropy=InsecureEntropy("hostile"), kem=0x20))


def lie(stage: Stage, payload: Payload) -> Encrypted:
    """What the liar can send: the payload of its choice under a digest of it. It tells the key holder of the same digest."""
    digest = payload_digest(payload)
    stage.seeds[LIAR] = replace(stage.seeds[LIAR], digest=digest)  # type: ignore[type-var]
    stage.encrypted[LIAR] = replace(stage.encrypted[LIAR], payload=payload, digest=digest)
    return stage.encrypted[LIAR]


def beyond() -> Payload:
    """Every residue as large as thirty bits are: beyond its prime."""
    packing = cipher.Packing(PLAN.encoding.ring, 6, PLAN.clients)
    return cipher.as_payload(np.full(packing.residues, (1 << 30) - 1, np.uint32))


def test_one_clients_residues_out_of_range_do_not_cost_the_others_their_round(weak: pytest.MonkeyPatch) -> None:
    def played() -> np.ndarray:
        """The sum of those whose report was taken."""
        here = stage()
        lie(here, beyond())
        here.seeded()
        sent: Sequence[Outgoing] = []
        for name, message in here.encrypted.items():
            try:
                sent = here.hub.receive(name, message)
            except InvalidMessage as refused:
                named.append((refused.check, refused.culprits))
                sent = here.hub.expire()
        (asked,) = (item.message for item in sent if isinstance(item.message, Added))
        (answer,) = (item.message for item in here.holder.receive(HUB, asked) if isinstance(item.message, Opened))
        here.hub.receive(HOLDER, answer)
        assert here.hub.result is not None
        return here.hub.result.vector

    named: list[object] = []
    unchecked = lambda payload, packing: residues.unpack_residues(payload, packing.residues)  # noqa: E731
    weak.setattr(cipher, "read_residues", unchecked)
    with pytest.raises(InvalidMessage) as lost:
        played()
    assert lost.value.check in {"CK-H3", "CK-H5"}, "where nobody looks, one client's numbers end the round at the key holder"
    assert LIAR not in lost.value.culprits, "and it is not named"
    weak.undo()
    assert not named
    assert (played() == 3).all()
    assert named == [("CK-S2", (LIAR,))]


def test_nothing_that_a_client_sends_grows_when_it_is_read(weak: pytest.MonkeyPatch) -> None:
    def most_memory() -> int:
        here = stage()
        message = lie(here, Blob(BOMB))
        tracemalloc.start()
        try:
            with pytest.raises(InvalidMessage) as refused:
                here.hub.receive(LIAR, message)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            assert refused.value.check == "CK-S2"

    def inflating(payload: Payload, count: int) -> np.ndarray:
        if len(zlib.decompress(join(payload))) != 4 * count:
            raise residues.CannotDecrypt("a ciphertext of another size")
        raise AssertionError

    weak.setattr(cipher, "unpack_residues", inflating)
    weak.setattr(scheme.Packed, "size", len(BOMB))
    assert most_memory() > 60 << 20, "a hub that takes compressed ciphertexts gives a thousand bytes for each that it is sent"
    weak.undo()
    assert most_memory() < 2 << 20


MARKS: list[str] = []


def mark(text: str) -> None:
    MARKS.append(text)


class Marked:
    """What a pickle can do to the one who reads it."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return mark, ("it ran",)


def test_bytes_of_another_kind_are_refused_unread() -> None:
    pickled = pickle.dumps(Marked())
    pickle.loads(pickled)
    assert MARKS.pop() == "it ran", "who unpickles what a client sends runs what it wrote"
    here = stage()
    size = here.encrypted[LIAR].payload.size
    state = here.hub.state
    assert isinstance(state, server.Gathering)
    for raw in (pickled, b"", b"\x00", bytes(size - 1), bytes(size + 60), BOMB, b"\x5e\xa1\x10\x04" + bytes(size)):
        with pytest.raises(InvalidMessage) as refused:
            here.hub.receive(LIAR, lie(here, Blob(raw)))
        assert (refused.value.check, refused.value.culprits) == ("CK-S2", (LIAR,))
    assert not MARKS
    assert not state.total.any()
    assert not state.roots
