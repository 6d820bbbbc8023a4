"""Laws of the spool: long payloads lie in files without names and are gone with the packet."""

from __future__ import annotations

import errno
import gc
import os
import stat
from pathlib import Path

import pytest

from secagg.errors import TransportError
from secagg.payload import CHUNK, chunks, join
from secagg.runtime.spool import Mapped, Spool


def filled(spool: Spool, data: bytes):
    room = spool.room(len(data))
    for start in range(0, len(data), CHUNK):
        room.append(memoryview(data)[start : start + CHUNK])
    return room.finish()


@pytest.mark.parametrize("size", [1, CHUNK, 3 * CHUNK + 5])
@pytest.mark.parametrize("spool_from", [1, 1 << 40])
def test_what_is_spooled_is_read_back(tmp_path: Path, size: int, spool_from: int):
    data = os.urandom(size)
    payload = filled(Spool(tmp_path / "spool", spool_from=spool_from), data)
    assert join(payload) == data
    assert [len(chunk) for chunk in chunks(payload)][:-1] == [CHUNK] * ((size - 1) // CHUNK)
    with pytest.raises(IndexError):
        payload.chunk(9)
    assert str(size) in repr(payload)


def test_a_spool_file_has_no_name_so_nothing_is_left_after_a_crash(tmp_path: Path):
    spool = Spool(tmp_path / "spool", spool_from=1)
    payload = filled(spool, bytes(3 * CHUNK))
    assert isinstance(payload, Mapped)
    assert list((tmp_path / "spool").iterdir()) == []
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700


@pytest.mark.parametrize(("spool_from", "count"), [(1, "used"), (1 << 40, "held")])
def test_the_room_is_counted_and_comes_back(spool_from: int, count: str):
    spool = Spool(None, spool_from=spool_from)
    room = spool.room(100)
    assert getattr(spool, count) == 100
    room.append(memoryview(bytes(100)))
    payload = room.finish()
    assert getattr(spool, count) == 100
    interrupted = spool.room(50)
    del payload, room, interrupted
    gc.collect()
    assert (spool.used, spool.held) == (0, 0)


def test_a_chunk_that_filled_the_disk_comes_again_and_the_payload_is_what_was_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data, write, room = os.urandom(2 * CHUNK), os.pwrite, [1000, 5]

    def full(descriptor: int, chunk: memoryview, at: int) -> int:
        if not room:
            return write(descriptor, chunk, at)
        if room[0] == 0:
            room.pop(0)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = write(descriptor, chunk[: room[0]], at)
        room[0] = 0
        return taken

    arriving = Spool(tmp_path / "spool", spool_from=1).room(len(data))
    monkeypatch.setattr(os, "pwrite", full)
    for start in range(0, len(data), CHUNK):
        chunk = memoryview(data)[start : start + CHUNK]
        while room:
            with pytest.raises(TransportError, match="No space left on device"):
                arriving.append(chunk)
        arriving.append(chunk)
    assert room == []
    assert join(arriving.finish()) == data


def test_a_disk_that_takes_no_file_breaks_the_connection_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(**_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(TransportError, match="no room for a payload: Too many open files"):
        Spool(tmp_path / "spool", spool_from=1).room(10)
