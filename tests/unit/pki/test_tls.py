"""The certificates do what they are for: a real handshake, in memory, by party name and by host name, and for nobody else."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from secagg.pki import TlsFiles, load_identity, load_tls
from secagg.pki.trial import make_trial


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    for name in ("pki", "strangers"):
        make_trial(folder / name, clients=["energy"], hosts=["hub.example", "127.0.0.1"], classic=True, now=datetime.now(UTC))
    return folder


def context(files: TlsFiles, side: int, folder: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(side)
    made.load_cert_chain(folder / "keys" / "certificate.pem", folder / "keys" / "tls.pem")
    made.load_verify_locations(cadata=files.authority.decode())
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def handshake(server: Path, client: Path, name: str) -> None:
    """Raises ssl.SSLError if either side refuses."""
    serving = context(load_tls(load_identity(server)), ssl.PROTOCOL_TLS_SERVER, server)
    dialling = context(load_tls(load_identity(client)), ssl.PROTOCOL_TLS_CLIENT, client)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [serving.wrap_bio(up, down, server_side=True), dialling.wrap_bio(down, up, server_hostname=name)]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("name", ["hub", "hub.example", "127.0.0.1"])
def test_the_hub_is_dialled_by_party_and_by_host(fresh: Path, name: str) -> None:
    handshake(fresh / "pki" / "hub", fresh / "pki" / "energy", name)


def test_another_name_is_refused(fresh: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(fresh / "pki" / "hub", fresh / "pki" / "energy", "evil.example")


def test_a_client_cannot_stand_in_for_the_hub(fresh: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(fresh / "pki" / "energy", fresh / "pki" / "hub", "energy")


def test_a_party_of_another_consortium_is_refused(fresh: Path) -> None:
    with pytest.raises(ssl.SSLError):
        handshake(fresh / "pki" / "hub", fresh / "strangers" / "energy", "hub")


def test_grpc_takes_the_files(fresh: Path) -> None:
    import grpc

    files = load_tls(load_identity(fresh / "pki" / "hub"))
    arguments: dict[str, Any] = files.server_arguments()
    assert grpc.ssl_channel_credentials(**files.channel_arguments()) is not None
    assert grpc.ssl_server_credentials(**arguments) is not None
