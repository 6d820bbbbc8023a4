"""What somebody who records the connections of a round has: links whose keys are agreed on with a hybrid of ML-KEM-768 and X25519."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from protocols import pairwise
from secagg.identity import Identity
from secagg.runtime import serve
from tests.network.conftest import CLIENTS, Clients, model

pytestmark = pytest.mark.network
HYBRID_SHARE = bytes.fromhex("11ec0460")
"""X25519MLKEM768 in the server's key share, and its 1,120 bytes (draft-ietf-tls-ecdhe-mlkem, section 4)."""


@contextmanager
def recorder(address: str) -> Iterator[tuple[str, list[bytearray]]]:
    """A relay before the hub: its address, and what the hub has said on each connection."""
    host, _, port = address.rpartition(":")
    heard: list[bytearray] = []
    ends: list[socket.socket] = []

    def pump(source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
        try:
            while said := source.recv(1 << 16):
                if kept is not None:
                    kept += said
                target.sendall(said)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def relay() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection((host, int(port)))
            ends.extend((near, far))
            heard.append(bytearray())
            threading.Thread(target=pump, args=(near, far, None), daemon=True).start()
            threading.Thread(target=pump, args=(far, near, heard[-1]), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=relay, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", heard
    for end in ends:
        end.close()


def test_a_recorded_round_stays_closed_to_a_quantum_computer_built_later(plain: Path, tmp_path: Path) -> None:
    """The masks of `pairwise` come from X25519: that nobody but the hub has the boxes and the uploads is the links' part."""
    clients = Clients(plain, tmp_path)
    plan = pairwise.Plan(clients=4, clip=10.0, max_weight=10)
    identity = Identity.load(plain / "hub")
    with (
        serve(plan, "127.0.0.1:0", identity=identity, model=model(), state=tmp_path / "hub") as server,
        recorder(server.address) as (address, heard),
    ):
        clients.start(address, *CLIENTS)
        server.wait_for(len(CLIENTS), 20)
        assert len(server.aggregate(20).included) == len(CLIENTS)
        server.close()
        clients.wait()
        assert len(heard) >= len(CLIENTS)
        assert all(HYBRID_SHARE in said[:2000] for said in heard if said), "a link was agreed on without ML-KEM"


def test_a_link_without_the_hybrid_is_told_apart(plain: Path, tmp_path: Path) -> None:
    """The test above can fail: a peer that speaks classical curves only gets one."""
    classic = ssl.create_default_context()
    classic.check_hostname, classic.verify_mode = False, ssl.CERT_NONE
    classic.set_ecdh_curve("prime256v1")
    classic.set_alpn_protocols(["h2"])
    identity = Identity.load(plain / "hub")
    with (
        serve(pairwise.Plan(clients=4), "127.0.0.1:0", identity=identity, model=model(), state=tmp_path / "hub") as server,
        recorder(server.address) as (address, heard),
    ):
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port))) as raw, classic.wrap_socket(raw) as link:
            assert link.version() == "TLSv1.3"
        assert heard[0]
        assert HYBRID_SHARE not in heard[0]
