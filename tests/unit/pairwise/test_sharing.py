"""Wrong shares repaired, secrets boxed, many keystreams at once."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from protocols.pairwise.mask import opening_of, tag_masked
from protocols.pairwise.reveal import draw
from secagg.crypto.agree import AgreementKey, LowOrderPoint, low_order
from secagg.crypto.expand import SEGMENT, Stream
from secagg.crypto.many import Lanes
from secagg.crypto.pairs import Agreeing, commit, cut, join, open_box, part, seal_box
from secagg.crypto.seal import CannotOpen
from secagg.errors import ConfigError
from secagg.math import field, shamir
from secagg.math.repair import repair
from secagg.math.ring import Ring
from secagg.payload import Blob
from secagg.payload import join as joined
from secagg.tally import Tally
from secagg.testing.entropy import InsecureEntropy
from secagg.threads import VARIABLE
from secagg.types import Secret

CHEATED = [(5, 3, 1), (5, 4, 1), (10, 5, 2), (20, 12, 4), (9, 3, 6), (40, 27, 6)]


def dealt(count: int, threshold: int, wrong: int) -> tuple[Secret, dict[int, Secret], tuple[int, ...]]:
    entropy = InsecureEntropy(f"{count}/{threshold}/{wrong}")
    secret = Secret(entropy(32))
    shares = shamir.share(secret, threshold, range(1, count + 1), entropy)
    liars = tuple(range(2, 2 + wrong))
    for index, value in zip(liars, field.uniform(wrong, entropy), strict=True):
        shares[index] = Secret(field.encode(value))
    return secret, shares, liars


@pytest.mark.parametrize(("count", "threshold", "wrong"), CHEATED)
def test_wrong_shares_are_found_and_the_secret_comes_back(count: int, threshold: int, wrong: int) -> None:
    secret, shares, liars = dealt(count, threshold, wrong)
    found = repair(shares, threshold, lambda candidate: candidate == secret)
    assert found is not None
    assert (found.secret, found.wrong) == (secret, liars)


def test_bytes_that_are_no_share_count_as_wrong() -> None:
    secret, shares, _ = dealt(6, 4, 0)
    shares[3] = Secret(b"\xff" * 33)
    found = repair(shares, 4, lambda candidate: candidate == secret)
    assert found is not None
    assert found.wrong == (3,)


def test_too_many_lies_give_no_secret_rather_than_a_wrong_one() -> None:
    for count, threshold, wrong in ((5, 4, 2), (40, 27, 20)):
        secret, shares, _ = dealt(count, threshold, wrong)
        assert repair(shares, threshold, lambda candidate, secret=secret: candidate == secret) is None  # type: ignore[misc]
    assert repair({1: Secret(bytes(33))}, 2, lambda candidate: True) is None


def bent(count: int, threshold: int) -> tuple[Secret, dict[int, Secret]]:
    """Holders 1 and 2 add to their shares what is zero at the secret and at holders 3 to t: they need to know nothing of the others'."""
    secret, shares, _ = dealt(count, threshold, 0)
    for index in (1, 2):
        bend = index * prod(index - other for other in range(3, threshold + 1))
        shares[index] = Secret(field.encode((field.decode(shares[index].expose()) + bend) % field.P))
    return secret, shares


def test_liars_who_keep_the_secret_accuse_nobody_honest() -> None:
    """Three honest shares of twelve do not lie on the liars' polynomial: more than the two who may lie, so the dealer would be guilty."""
    secret, shares = bent(12, 9)
    weak = repair(shares, 9, lambda candidate: candidate == secret)
    assert weak is not None
    assert weak.wrong == (10, 11, 12), "judged by the secret alone, three honest holders contradict an honest dealer"
    found = repair(shares, 9, lambda candidate: candidate == secret, liars=2)
    assert found is not None
    assert (found.secret, found.wrong) == (secret, (1, 2))


def test_where_too_few_shares_are_left_to_tell_the_secret_comes_back_and_nobody_is_accused() -> None:
    secret, shares = bent(12, 9)
    del shares[11], shares[12]
    found = repair(shares, 9, lambda candidate: candidate == secret, liars=2)
    assert found is not None
    assert (found.secret, found.wrong) == (secret, ())


def test_many_agreements_are_those_of_one() -> None:
    mine, theirs = AgreementKey(Secret(b"\x01" * 32)), AgreementKey(Secret(b"\x02" * 32))
    ((one, other),) = Agreeing(mine).keys([theirs.public()], salt=b"s", label="test/pair", infos=[((b"a",), (b"b",))])
    assert one == mine.agree(theirs.public(), salt=b"s", label="test/pair", info=(b"a",))
    assert other == theirs.agree(mine.public(), salt=b"s", label="test/pair", info=(b"b",))
    assert Agreeing(mine).public() == mine.public()
    assert "redacted" in repr(Agreeing(mine))


def test_a_point_of_low_order_gives_no_key() -> None:
    points = [bytes(32), b"\x01" + bytes(31), bytes.fromhex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
    for point in points:
        assert low_order(point)
        with pytest.raises(LowOrderPoint):
            Agreeing(AgreementKey(Secret(b"\x01" * 32))).keys([point], salt=b"", label="test/pair", infos=[((),)])
    assert not low_order(AgreementKey(Secret(b"\x03" * 32)).public())


def test_a_box_opens_under_its_key_and_context_only() -> None:
    key, plain = Secret(b"\x01" * 32), join((Secret(b"a" * 33), Secret(b"b" * 33)))
    box = seal_box(key, plain, context=b"here")
    assert cut(open_box(key, box, context=b"here"), 33) == (Secret(b"a" * 33), Secret(b"b" * 33))
    for other, changed, context in (
        (Secret(b"\x02" * 32), box, b"here"),
        (key, box[:-1] + b"\x00", b"here"),
        (key, box, b"there"),
        (key, b"", b""),
    ):
        with pytest.raises(CannotOpen):
            open_box(other, changed, context=context)
    with pytest.raises(ConfigError):
        cut(plain, 32)
    assert part(plain, 30, 36) == (Secret(b"a" * 30), Secret(b"aaa" + b"b" * 33))
    with pytest.raises(ConfigError):
        part(plain, 33, 32)


def test_a_commitment_binds_label_place_and_secret() -> None:
    made = {
        commit(Secret(secret), label, part)
        for secret in (b"a" * 32, b"b" * 32)
        for label in ("test/one", "test/two")
        for part in (b"x", b"y")
    }
    assert len(made) == 8


@pytest.mark.parametrize("bits", [16, 24, 32, 48, 64])
def test_many_keystreams_are_those_one_after_another(bits: int) -> None:
    ring, entropy = Ring(bits), InsecureEntropy(bits)
    count, offset = 2 * SEGMENT // ring.dtype.itemsize + 77, 12_345
    streams = [(Stream(Secret(entropy(32))), sign) for sign in (1, -1, -1)]
    start = np.arange(count, dtype=np.uint64).astype(ring.dtype)
    ring.reduce_into(start)
    one, many = start.copy(), start.copy()
    for stream, sign in streams:
        drawn = ring.zeros(count)
        stream.fill(drawn, offset * ring.dtype.itemsize)
        ring.reduce_into(drawn)
        (ring.add_into if sign == 1 else ring.sub_into)(one, drawn)
    lanes, half = Lanes(streams, ring), count // 2 - 3
    lanes.combine_into(many[:half], offset)
    lanes.combine_into(many[half:], offset + half)
    assert np.array_equal(one, many)
    back = Lanes([(stream, -sign) for stream, sign in streams], ring)
    back.combine_into(many[half:], offset + half)
    back.combine_into(many[:half], offset)
    back.combine_into(many[:0], 0)
    assert np.array_equal(many, start)


def test_keystreams_go_into_the_rings_own_words_only() -> None:
    stream = Stream(Secret(bytes(32)))
    with pytest.raises(ConfigError):
        Lanes([(stream, 1)], Ring(32)).combine_into(np.zeros(4, np.uint16))
    with pytest.raises(ConfigError):
        Lanes([(stream, 2)], Ring(32))


@pytest.mark.parametrize("bits", [16, 24, 48])
def test_threads_that_share_an_upload_change_no_byte_of_it(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ring, entropy = Ring(bits), InsecureEntropy(bits)
    vector = np.arange(1_000_000, dtype=np.uint64).astype(ring.dtype)
    ring.reduce_into(vector)
    masks, key = [(Stream(Secret(entropy(32))), 1), (Stream(Secret(entropy(32))), -1)], Secret(entropy(32))

    monkeypatch.setenv(VARIABLE, "1")
    one, committed = tag_masked(vector, masks, ring, key, b"here")
    monkeypatch.setenv(VARIABLE, "3")
    other, again = tag_masked(vector, masks, ring, key, b"here")
    assert joined(one) == joined(other)
    assert committed == again
    tally = Tally.zero(ring, len(vector))
    tally.add(opening_of(key, b"here"), one)
    tally.apply([(stream, -sign) for stream, sign in masks])
    assert np.array_equal(tally.words, vector)
    assert str(bits) in repr(tally)


def test_an_upload_that_breaks_off_leaves_the_tally_as_it_was() -> None:
    ring, key = Ring(32), Secret(bytes(32))
    vector = np.arange(600_000, dtype=np.uint32)
    sealed, _ = tag_masked(vector, [], ring, key, b"here")
    broken = bytearray(joined(sealed))
    broken[-1] ^= 1
    tally = Tally.of(ring, vector.copy())
    with pytest.raises(CannotOpen, match="chunk 2 of 3"):
        tally.add(opening_of(key, b"here"), Blob(broken))
    assert np.array_equal(tally.words, vector)


def test_signatures_to_verify_are_drawn_uniformly_and_once() -> None:
    entropy, seen = InsecureEntropy("draw"), np.zeros(20, int)
    for _ in range(400):
        drawn = draw(20, 5, entropy)
        assert len(set(drawn)) == 5
        seen[drawn] += 1
    assert seen.min() > 60, "each of twenty is drawn about a hundred times"
    assert draw(4, 5, entropy) == [0, 1, 2, 3]
