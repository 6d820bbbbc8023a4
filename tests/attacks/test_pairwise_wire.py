"""What an upload of `pairwise` shows: uniform words, whatever it hides. Each attack first succeeds on a weakened copy."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from protocols import pairwise
from protocols.pairwise import client
from protocols.pairwise.client import Client, upload_context
from protocols.pairwise.keys import Seat, advertise
from protocols.pairwise.mask import opening_of
from protocols.pairwise.messages import Masked
from protocols.pairwise.params import Params
from protocols.pairwise.records import Record
from protocols.pairwise.server import Server
from secagg.encode.encoding import Encoding
from secagg.encode.quantise import Quantiser
from secagg.errors import ConfigError
from secagg.ledger import Ledger
from secagg.roles import Vector
from secagg.round import sign_round
from secagg.tally import Tally
from secagg.testing.consortium import Consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import terms
from secagg.types import Entropy
from tests.unit.pairwise.rig import VALUES, crowd, lay, vectors_of
from tests.unit.pairwise.stage import Stage


@pytest.fixture(scope="module")
def parties() -> Consortium:
    return crowd()


def byte_bias(words: Vector, used: int) -> float:
    """How far the worst of the `used` low byte positions is from uniform: chi-squared over 256 values, in standard deviations."""
    worst = 0.0
    for position in range(used):
        counts = np.bincount(words.view(np.uint8)[position :: words.itemsize], minlength=256)
        expected = len(words) / 256
        worst = max(worst, float(((counts - expected) ** 2 / expected).sum() - 255) / np.sqrt(2 * 255))
    return worst


def masked_words(parties: Consortium, plan: pairwise.Plan, vector: Vector, seed: str) -> Vector:
    """One client's upload as the server reads it."""
    opened = sign_round(plan.describe(terms(values=len(vector) - 2), parties.roster), parties.coordinator)
    params = Params.of(opened)
    server = Server(params, opened, parties.coordinator, ledger=Ledger(), entropy=InsecureEntropy(seed))
    stage = Stage(parties, params, opened, [], server, {})
    stage.clients = [Client(params, opened.ctx, me, ledger=Ledger(), entropy=InsecureEntropy(seed + me.party)) for me in parties.clients]
    inboxes = stage.until_inbox()
    stage.clients[0].contribute(vector, version=0)
    message = stage.clients[0].receive(params.server, inboxes[0].message)[0].message
    assert isinstance(message, Masked)
    sid = stage.server.state.session.sid  # type: ignore[union-attr]
    context = upload_context(opened.ctx, sid, params.clients[0])
    tally = Tally.zero(params.ring, params.length)
    key = parties.coordinator.opening.open(message.sealed, purpose="pairwise/upload", context=context)
    tally.add(opening_of(key, context), message.payload)
    return tally.words


@pytest.mark.parametrize(("bits", "ring_bits"), [(8, 16), (12, 24), (16, 32), (24, 48)])
def test_a_masked_vector_is_uniform_whatever_it_hides(parties: Consortium, bits: int, ring_bits: int) -> None:
    plan = pairwise.Plan(clients=5, bits=bits, max_weight=1, ring_bits=ring_bits)
    ring = plan.encoding.ring
    small = np.arange(20_002).astype(ring.dtype) % 7
    float_masks = np.random.default_rng(0).normal(0, 1 << (ring_bits // 3), len(small)).astype(np.int64).astype(ring.dtype)
    assert byte_bias(small + float_masks, ring_bits // 8) > 50, "a float mask leaves the high bytes 00 or ff"
    words = masked_words(parties, plan, small, "uniform")
    assert int(words.max()) < ring.modulus
    assert byte_bias(words, ring_bits // 8) < 5
    for low in (1, 3, 7):
        assert abs(np.corrcoef(words & low, small & low)[0, 1]) < 5 / np.sqrt(len(small)), "the low bits say nothing of the input"
    neighbours = np.corrcoef((words[1:] & 255).astype(float), (words[:-1] & 255).astype(float))[0, 1]
    assert abs(neighbours) < 5 / np.sqrt(len(small)), "a word says nothing of the next"


def test_two_inputs_under_the_same_masks_would_differ_by_the_inputs_and_under_fresh_ones_do_not(parties: Consortium) -> None:
    plan = pairwise.Plan(clients=5, ring_bits=32)
    zeros, ones = np.zeros(5002, np.uint32), np.ones(5002, np.uint32)
    same = masked_words(parties, plan, ones, "once") - masked_words(parties, plan, zeros, "once")
    assert (same == 1).all(), "masks used twice show the difference of two inputs"
    fresh = masked_words(parties, plan, ones, "another") - masked_words(parties, plan, zeros, "once")
    assert byte_bias(fresh, 4) < 5


# --- masks that can be guessed ------------------------------------------------------------------------------------------------


def few(start: int) -> Entropy:
    """Randomness that one byte decides: what a generator seeded with too little gives."""
    return InsecureEntropy(f"few/{start}")


def guessed(parties: Consortium, client: Entropy) -> Vector | None:
    """The server tries every start of a weak generator against the advert of client 0; with the right one it reads the upload."""
    stage = Stage.of(parties)
    me = parties.clients[0]
    stage.clients[0] = Client(stage.params, stage.opened.ctx, me, ledger=Ledger(), entropy=client)
    stage.until_survivors()
    seat, advertised = Seat(me, stage.params, stage.opened.ctx), stage.confirming.wanted.records[0]
    for start in range(256):
        state, _ = advertise(seat=seat, entropy=few(start))
        if Record(state.record).mask == advertised.mask:
            return stage.unmask(0, state.seeds.key, state.seeds.self_mask)
    return None


def test_masks_come_of_too_many_seeds_to_try(parties: Consortium) -> None:
    genuine = vectors_of(parties)[parties.clients[0].party]
    read = guessed(parties, few(77))
    assert read is not None
    assert np.array_equal(read, genuine), "with eight bits of randomness the server reads all"
    drawn: list[int] = []

    def counted(size: int) -> bytes:
        drawn.append(size)
        return os.urandom(size)

    assert guessed(parties, counted) is None
    assert drawn[:3] == [32, 32, 32], "every seed is whole bytes of the generator, as many as the primitive takes"


# --- integers that wrap, weights that show ------------------------------------------------------------------------------------


def mean_of_the_largest(clients: int, ring_bits: int) -> float:
    """Everybody brings the largest value there is. The mean that comes out."""
    encoding = Encoding(max_parties=clients, bits=12, ring_bits=ring_bits, max_weight=1)
    quantiser = Quantiser(encoding, 4, bytes(32))
    total = encoding.ring.zeros(6)
    for index in range(clients):
        update = np.array([1.0, 0.0, 0.0, 0.0], np.float32)
        encoding.ring.add_into(total, quantiser.encode(update, 1, entropy=InsecureEntropy(index)))
    return float(quantiser.decode(total).mean[0])


def test_a_sum_that_could_wrap_is_refused_before_anything_is_sent(weak: pytest.MonkeyPatch) -> None:
    weak.setattr(Encoding, "_prove", lambda self: None)
    assert mean_of_the_largest(20, 16) < 0, "without the proof of head-room the mean of twenty ones is negative"
    weak.undo()
    with pytest.raises(ConfigError, match="use ring_bits=24"):
        mean_of_the_largest(20, 16)
    assert mean_of_the_largest(20, 24) == pytest.approx(1.0, abs=1e-3)
    with pytest.raises(ConfigError, match="ring_bits=48"):
        pairwise.Plan(clients=20, ring_bits=32)


def sizes_on_the_wire(parties: Consortium, weight: int) -> list[tuple[str, int, int]]:
    table = lay(parties)
    table.play({name: np.full(VALUES + 2, weight, np.uint32) for name in vectors_of(parties)})
    return sorted((packet.header.kind, len(packet.envelope), packet.header.payload_size) for packet in table.heard)


def test_nothing_on_the_wire_depends_on_the_weight_or_the_vector(parties: Consortium, weak: pytest.MonkeyPatch) -> None:
    genuine = client.upload

    def telling(state: Any, vector: Vector, version: int, **named: Any) -> Any:
        """The weight travels beside the vector, as FL frameworks send it: here in the version's field."""
        return genuine(state, vector, int(vector[-1]), **named)

    weak.setattr(client, "upload", telling)
    assert sizes_on_the_wire(parties, 0) != sizes_on_the_wire(parties, 4096), "a weight in clear shows even in the sizes"
    weak.undo()
    assert sizes_on_the_wire(parties, 0) == sizes_on_the_wire(parties, 4096)
