"""Sealing, signing, agreeing and streaming: what one end makes the other opens, and nobody and nothing else does."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from secagg.crypto import agree, pairs, sign
from secagg.crypto.agree import AgreementKey, LowOrderPoint
from secagg.crypto.derive import digest, frame
from secagg.crypto.seal import HYBRID, X25519, CannotOpen, OpenKey, SealKey
from secagg.crypto.sign import BadSignature, SigningKey, VerifyKey, first_bad
from secagg.crypto.stream import PLAIN, commitment, open_stream, plain_size, seal_stream, sealed_size
from secagg.errors import ConfigError
from secagg.payload import CHUNK, Blob, chunks, join
from secagg.types import Secret

KEY = Secret(bytes(range(32)))


@pytest.mark.parametrize(("kind", "public"), [(X25519, 33), (HYBRID, 1217)])
def test_only_the_recipient_opens_and_only_for_the_purpose_and_context(kind: int, public: int) -> None:
    key, other = OpenKey.generate(os.urandom, kind), OpenKey.generate(os.urandom, kind)
    seal_key = key.seal_key()
    assert (len(seal_key.raw), seal_key.post_quantum) == (public, kind == HYBRID)
    sealed = seal_key.seal(KEY, purpose="test", context=b"here")
    assert len(sealed) == seal_key.sealed_size(32)
    assert key.open(sealed, purpose="test", context=b"here") == KEY
    for opener, purpose, context, data in [
        (other, "test", b"here", sealed),
        (key, "else", b"here", sealed),
        (key, "test", b"there", sealed),
        (key, "test", b"here", sealed[:-1]),
        (key, "test", b"here", b""),
        (key, "test", b"here", bytes([sealed[0] ^ 1]) + sealed[1:]),
    ]:
        with pytest.raises(CannotOpen):
            opener.open(data, purpose=purpose, context=context)


def test_keys_of_unknown_suites_or_sizes_are_refused() -> None:
    for raw in (b"", b"\x20", b"\x99" + bytes(32), b"\x64" + bytes(32)):
        with pytest.raises(ConfigError):
            SealKey(raw)
    with pytest.raises(ConfigError):
        OpenKey(X25519, Secret(bytes(31)))
    with pytest.raises(ConfigError):
        VerifyKey(bytes(31))


def test_a_signature_holds_for_its_purpose_only() -> None:
    key = SigningKey.generate(os.urandom)
    signature = key.sign("one", b"message")
    key.verify_key().verify(signature, "one", b"message")
    for given, purpose, message in [
        (signature, "two", b"message"),
        (signature, "one", b"other"),
        (bytes(64), "one", b"message"),
        (b"", "one", b"message"),
    ]:
        with pytest.raises(BadSignature):
            key.verify_key().verify(given, purpose, message)


@pytest.mark.parametrize("fits", [sign._fits_by_openssl, sign._by_libsodium() or sign._fits_by_openssl], ids=["openssl", "libsodium"])
def test_both_libraries_take_and_refuse_the_same_signatures(fits: Callable[[bytes, bytes, bytes], bool]) -> None:
    key = SigningKey(Secret(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")))
    public, message = key.verify_key().raw, b"\x72"
    # RFC 8032, section 7.1, test 2.
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert public.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert fits(public, signature, message)
    order = (1 << 252) + 27742317777372353535851937790883648493
    another = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    for forged in (signature[:-1], signature + message, b"", bytes(64), another, signature[:63] + b"\x80"):
        assert not fits(public, forged, message)
    assert not fits(public, signature[:-1], signature[-1:] + message), "a short signature is not filled up from the message"
    assert not fits(public, signature, message + b"\0")
    assert not fits(bytes(31) + b"\xff", signature, message)


def test_this_installation_verifies_by_libsodium() -> None:
    assert sign._fits is not sign._fits_by_openssl


def test_exactly_the_keys_that_openssl_refuses_are_of_low_order() -> None:
    private = X25519PrivateKey.generate()

    def refused(public: bytes) -> bool:
        try:
            private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            return True
        return False

    listed = [(value + top).to_bytes(32, "little") for value in agree._LOW_ORDER for top in (0, 1 << 255)]
    assert len(listed) == 14
    near = [(value + 1).to_bytes(32, "little") for value in agree._LOW_ORDER] + [os.urandom(32) for _ in range(50)]
    for public in listed + near:
        assert agree.low_order(public) == refused(public)
    assert all(agree.low_order(public) for public in listed)


def test_rfc_7748_both_ends_agree_and_a_low_order_point_is_refused() -> None:
    """The key pairs of RFC 7748, section 6.1."""
    alice = AgreementKey(Secret(bytes.fromhex("77076d0a7318a57d3c16c17251b26645cf0c67e0ab8c3a4ad9f1d8f0f2a8d9f2")))
    bob = AgreementKey.generate(os.urandom)
    assert alice.agree(bob.public(), salt=b"s", label="x") == bob.agree(alice.public(), salt=b"s", label="x")
    assert alice.agree(bob.public(), salt=b"s", label="x") != bob.agree(alice.public(), salt=b"t", label="x")
    for point in (bytes(32), b"\x01" + bytes(31), b"short"):
        with pytest.raises(LowOrderPoint):
            alice.agree(point, salt=b"s", label="x")


def test_two_lists_of_parts_never_hash_alike() -> None:
    assert frame("x", b"ab", b"c") != frame("x", b"a", b"bc") != frame("x", b"abc")
    assert digest("x", b"") != digest("x") != digest("xy")


@pytest.mark.parametrize("size", [1, PLAIN - 1, PLAIN, PLAIN + 1, 2 * PLAIN + 24])
def test_a_stream_opens_to_what_was_sealed(size: int) -> None:
    data = os.urandom(size)

    def fill(offset: int, buffer: memoryview) -> None:
        buffer[:] = data[offset : offset + len(buffer)]

    sealed = Blob(seal_stream(KEY, fill, size, purpose="test", context=b"c"))
    assert (sealed.size, plain_size(sealed.size)) == (sealed_size(size), size)
    assert b"".join(bytes(part) for part in open_stream(KEY, sealed, purpose="test", context=b"c")) == data


def sealed_chunks() -> list[bytes]:
    blob = Blob(seal_stream(KEY, lambda offset, buffer: None, 2 * PLAIN + 100, purpose="test", context=b"c"))
    return [bytes(chunk) for chunk in chunks(blob)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda parts: [parts[1], parts[0], parts[2]],
        lambda parts: parts[:2],
        lambda parts: [parts[0], parts[2]],
        lambda parts: [parts[0], parts[0], parts[2]],
        lambda parts: [parts[0], parts[1], parts[2][:-1]],
        lambda parts: [parts[0], parts[1], parts[2][:8]],
        lambda parts: [*parts[:2], bytes([parts[2][0] ^ 1]) + parts[2][1:]],
    ],
)
def test_a_stream_that_was_cut_reordered_or_changed_does_not_open_and_has_another_commitment(damage: object) -> None:
    parts = sealed_chunks()
    changed = Blob(b"".join(damage(parts)))  # type: ignore[operator]
    with pytest.raises(CannotOpen):
        list(open_stream(KEY, changed, purpose="test", context=b"c"))
    genuine = Blob(b"".join(parts))
    with pytest.raises(CannotOpen):
        list(open_stream(KEY, genuine, purpose="test", context=b"other"))


def test_a_commitment_covers_size_and_tags() -> None:
    parts = sealed_chunks()
    whole = commitment(Blob(b"".join(parts)))
    assert whole != commitment(Blob(b"".join(parts[:2])))
    assert whole != commitment(Blob(b"".join([parts[0], parts[1], parts[2][:-1] + b"x"])))


def test_a_blob_is_read_only_and_knows_its_chunks() -> None:
    blob = Blob(bytearray(CHUNK + 5))
    assert [len(part) for part in chunks(blob)] == [CHUNK, 5]
    assert len(join(blob)) == blob.size
    assert repr(blob) == f"Blob({CHUNK + 5} bytes)"
    with pytest.raises(IndexError):
        blob.chunk(2)
    with pytest.raises(TypeError):
        blob.chunk(0)[0] = 1


@pytest.mark.parametrize("threads", ["1", "2", "3"])
def test_a_row_of_agreements_is_the_same_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("SECAGG_THREADS", threads)
    mine, peers = AgreementKey.generate(os.urandom), [AgreementKey.generate(os.urandom).public() for _ in range(21)]
    rows = pairs.Agreeing(mine).keys(peers, salt=b"s", label="test/row", infos=[((bytes([i]),), (b"b",)) for i in range(21)])
    for index, (peer, (one, two)) in enumerate(zip(peers, rows, strict=True)):
        assert one == mine.agree(peer, salt=b"s", label="test/row", info=(bytes([index]),))
        assert two == mine.agree(peer, salt=b"s", label="test/row", info=(b"b",))
    for bad in (bytes(32), b"\x01" + bytes(31), b"short"):
        for at in (0, 5, 20):
            spoilt = [*peers[:at], bad, *peers[at + 1 :], bad]
            with pytest.raises(LowOrderPoint) as refused:
                pairs.Agreeing(mine).keys(spoilt, salt=b"s", label="test/row", infos=[((),)] * 22)
            assert refused.value.index == at


@pytest.mark.parametrize("threads", ["1", "2", "3"])
@pytest.mark.parametrize("fits", [sign._fits, sign._fits_by_openssl], ids=["libsodium", "openssl"])
def test_the_first_bad_signature_of_a_row_is_found_on_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, threads: str, fits: Callable[[bytes, bytes, bytes], bool]
) -> None:
    monkeypatch.setenv("SECAGG_THREADS", threads)
    monkeypatch.setattr(sign, "_fits", fits)
    key = SigningKey.generate(os.urandom)
    row = [(key.verify_key(), key.sign("test", bytes([index])), bytes([index])) for index in range(20)]
    assert first_bad(row, "test") is None
    assert first_bad(row, "another") == 0
    assert first_bad([], "test") is None
    for bad in (0, 9, 10, 19):
        spoilt = [*row]
        for index in {bad, 19}:
            spoilt[index] = (row[index][0], bytes(64), row[index][2])
        assert first_bad(spoilt, "test") == bad
