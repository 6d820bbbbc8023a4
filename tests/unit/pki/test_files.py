"""Private files: whole or absent, mode 0600 under any umask, never replaced, refused when others can read them."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from secagg.errors import ConfigError
from secagg.pki.files import new_private_folder, read_private, write_private, write_public


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_private_file_has_mode_0600_under_any_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_private(tmp_path / "key.pem", b"secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600


def test_a_private_file_is_never_replaced(tmp_path: Path) -> None:
    write_private(tmp_path / "key.pem", b"first")
    with pytest.raises(ConfigError, match="not overwritten"):
        write_private(tmp_path / "key.pem", b"second")
    assert (tmp_path / "key.pem").read_bytes() == b"first"


def test_a_private_file_is_not_written_through_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="not overwritten"):
        write_private(tmp_path / "key.pem", b"secret")
    assert not (tmp_path / "elsewhere").exists()


def test_of_many_writers_at_once_exactly_one_wins(tmp_path: Path) -> None:
    won: list[int] = []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        try:
            write_private(tmp_path / "key.pem", b"%d" % number)
        except ConfigError:
            return
        won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [b"%d" % number for number in won] == [(tmp_path / "key.pem").read_bytes()]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    def fill() -> None:
        with new_private_folder(tmp_path / "keys", refusal="is in use") as partial:
            write_private(partial / "one.pem", b"secret")
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_a_private_folder_appears_whole_and_closed(tmp_path: Path) -> None:
    with new_private_folder(tmp_path / "keys", refusal="is in use") as partial:
        write_private(partial / "one.pem", b"secret")
        assert not (tmp_path / "keys").exists()
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    with pytest.raises(ConfigError, match="is in use"), new_private_folder(tmp_path / "keys", refusal="is in use"):
        pass


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_a_key_that_others_can_read_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    write_private(tmp_path / "key.pem", b"secret")
    (tmp_path / "key.pem").chmod(mode)
    with pytest.raises(ConfigError, match=r"chmod 600 .*key\.pem"):
        read_private(tmp_path / "key.pem", "signing key")


def test_a_public_file_is_replaced_and_readable(tmp_path: Path) -> None:
    write_public(tmp_path / "roster", b"one")
    write_public(tmp_path / "roster", b"two")
    assert (tmp_path / "roster").read_bytes() == b"two"
    assert stat.S_IMODE((tmp_path / "roster").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["roster"]
