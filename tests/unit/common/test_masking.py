"""A vector under its masks is the same however it is cut up, and nothing of it stays anywhere without them."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.pairwise.client import Client
from protocols.pairwise.mask import tag_masked
from protocols.pairwise.params import Params
from secagg.crypto.expand import Stream
from secagg.crypto.seal import CannotOpen
from secagg.crypto.stream import PLAIN, TAG, sealed_size
from secagg.crypto.tagged import check_stream, tag_stream
from secagg.encode.encoding import Encoding
from secagg.encode.quantise import Quantiser, Update
from secagg.ledger import Ledger
from secagg.masking import masked
from secagg.math.ring import Ring
from secagg.payload import CHUNK, Blob, join
from secagg.roles import Vector
from secagg.round import sign_round
from secagg.testing.consortium import consortium
from secagg.testing.entropy import InsecureEntropy
from secagg.testing.table import NOW, terms
from secagg.threads import VARIABLE
from secagg.types import Secret
from tests.unit.pairwise.rig import PLAN, VALUES

LONG = 900_001


def update_of(values: int, encoding: Encoding, seed: str = "update") -> Update:
    entropy = InsecureEntropy(seed)
    vector = np.sin(np.arange(values, dtype=np.float32))
    vector /= np.float32(2 * np.linalg.norm(vector))
    return Quantiser(encoding, values, bytes(32)).prepare(vector, entropy=entropy)


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("bits", [16, 24, 32, 48])
def test_an_update_that_is_encoded_on_the_way_gives_the_upload_of_its_words(
    bits: int, threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, threads)
    encoding = Encoding(max_parties=3, bits=12, ring_bits=bits)
    update, entropy = update_of(LONG, encoding), InsecureEntropy(bits)
    masks, key = [(Stream(Secret(entropy(32))), sign) for sign in (1, -1, 1)], Secret(entropy(32))
    made, committed = tag_masked(update, masks, encoding.ring, key, b"here")
    given, again = tag_masked(update.encoded(), masks, encoding.ring, key, b"here")
    assert join(made) == join(given)
    assert committed == again


@pytest.mark.parametrize("piece", [1 << 18, CHUNK, 3 * CHUNK, 24 * 10_007, PLAIN, PLAIN - 24, PLAIN + 24])
@pytest.mark.parametrize("size", [24, PLAIN, PLAIN + 24, 4 * PLAIN + 24 * 1000])
def test_tagged_bytes_do_not_depend_on_their_pieces(piece: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, key = np.random.default_rng(size).bytes(size), Secret(bytes(32))
    for threads in ("1", "2"):
        monkeypatch.setenv(VARIABLE, threads)

        def fill(offset: int, buffer: memoryview) -> None:
            buffer[:] = plain[offset : offset + len(buffer)]

        tagged = bytes(tag_stream(key, fill, size, piece=piece))
        assert len(tagged) == sealed_size(size)
        assert b"".join(map(bytes, check_stream(key, Blob(tagged)))) == plain
        broken = bytearray(tagged)
        broken[-TAG - 1] ^= 1
        with pytest.raises(CannotOpen):
            list(check_stream(key, Blob(broken)))


def test_what_is_not_masked_yet_does_not_stay_in_a_buffer_that_is_used_again() -> None:
    class Breaking:
        dtype, shape = np.dtype(np.uint32), (8,)

        def read_into(self, out: Vector, start: int) -> None:
            out[:] = 7
            raise RuntimeError("the update broke off")

        def encoded(self) -> Vector:
            raise NotImplementedError

    buffer = bytearray(b"\xff" * 32)
    with pytest.raises(RuntimeError):
        masked(Breaking(), [], Ring(32))(0, memoryview(buffer))
    assert bytes(buffer) == bytes(32)


def test_a_state_holds_the_words_of_an_update_that_waits_and_they_are_what_is_sent() -> None:
    parties = consortium(5, now=NOW, entropy=InsecureEntropy("masking"), kem=0x20)
    opened = sign_round(PLAN.describe(terms(values=VALUES), parties.roster), parties.coordinator)
    params = Params.of(opened)
    client = Client(params, opened.ctx, parties.clients[0], ledger=Ledger(), entropy=InsecureEntropy("client"))
    client.start()
    update = update_of(VALUES, opened.description.encoding)
    assert client.contribute(update, version=0) == []
    kept = client.state.vector
    assert isinstance(kept, np.ndarray)
    assert np.array_equal(kept, update.encoded())
    assert client.state.vector is kept  # encoded once, however often the state is kept
