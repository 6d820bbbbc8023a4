"""What this machine allows, measured beside the cases: every cost is read as a ratio to one of these."""

from __future__ import annotations

import os
import platform
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from secagg.bench.record import Limits, Machine
from secagg.pki.keys import TLS
from secagg.pki.tls import CERTIFICATE
from secagg.pki.trial import make_trial

_PIECE, _VOLUME, _COPIED, _SENT = 1 << 18, 1 << 27, 1 << 26, 1 << 27
_PACKAGES = ("secagg", "numpy", "cryptography", "grpcio", "protobuf", "torch", "tenseal", "opacus", "flwr", "nvflare")


def limits() -> Limits:
    """Measure them all: about a second."""
    return Limits(
        keystream=_rate(_keystream, _VOLUME),
        copy_rate=_rate(_copy(), _COPIED),
        tls=_tls(),
        agreements=_rate(_agreements, 200),
        verifications=_rate(_verifications, 200),
    )


def machine() -> Machine:
    """What the numbers are measured on."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=platform.platform(),
        python=platform.python_version(),
        versions={name: found for name in _PACKAGES if (found := _version(name))},
    )


def _rate(work: Callable[[int], None], amount: int) -> float:
    """Amount a second of processor time, the best of three runs."""
    fastest = float("inf")
    for _ in range(3):
        began = time.process_time()
        work(amount)
        fastest = min(fastest, time.process_time() - began)
    return amount / fastest


def _keystream(volume: int) -> None:
    cipher = Cipher(algorithms.AES(bytes(32)), modes.CTR(bytes(16))).encryptor()
    zeros, buffer = bytes(_PIECE), bytearray(_PIECE)
    for _ in range(volume // _PIECE):
        cipher.update_into(zeros, buffer)


def _copy() -> Callable[[int], None]:
    source = np.ones(_COPIED // 4, np.uint32)
    target = np.zeros_like(source)
    return lambda _: np.copyto(target, source)


def _agreements(count: int) -> None:
    private, public = X25519PrivateKey.generate(), X25519PrivateKey.generate().public_key()
    for _ in range(count):
        private.exchange(public)


def _verifications(count: int) -> None:
    signer, message = Ed25519PrivateKey.generate(), bytes(200)
    public, signature = signer.public_key(), signer.sign(message)
    for _ in range(count):
        public.verify(signature, message)


def _tls() -> float:
    """Bytes a second of wall time through one TLS socket between two threads, with a certificate made for the purpose."""
    with tempfile.TemporaryDirectory() as folder:
        trial = make_trial(Path(folder) / "pki", clients=["a", "b", "c"])
        inner, outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        certificate = next((trial.folder / "hub").rglob(CERTIFICATE))
        inner.load_cert_chain(certificate, certificate.with_name(TLS))
        outer.check_hostname, outer.verify_mode = False, ssl.CERT_NONE  # both ends are this function: only throughput is asked
        return _throughput(inner, outer)


def _throughput(inner: ssl.SSLContext, outer: ssl.SSLContext) -> float:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            raw, _ = listener.accept()
            with inner.wrap_socket(raw, server_side=True) as incoming:
                buffer, got = bytearray(_PIECE), 0
                while got < _SENT:
                    got += incoming.recv_into(buffer)
                incoming.sendall(b"!")

        taker = threading.Thread(target=take)
        taker.start()
        with socket.create_connection(listener.getsockname()) as raw, outer.wrap_socket(raw) as outgoing:
            piece, began = bytes(_PIECE), time.perf_counter()
            for _ in range(_SENT // _PIECE):
                outgoing.sendall(piece)
            outgoing.recv(1)
            took = time.perf_counter() - began
        taker.join()
    return _SENT / took


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
