"""What a Flower deployment needs in a test: certificates for this machine, and an app without torch, so that processes start fast."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_PYPROJECT = """
[project]
name = "deployed"
version = "1.0.0"
description = "A Flower app of a test"
license = "Apache-2.0"
dependencies = []
[tool.flwr.app]
publisher = "secagg"
[tool.flwr.app.components]
serverapp = "server:app"
clientapp = "client:app"
[tool.flwr.app.config]
secagg-pki = ""
"""

_CLIENT = """
import os
import signal
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from secagg.adapters.flower import SecureMod

app = ClientApp(mods=[SecureMod()])

@app.train()
def train(message, context):
    number = int(context.node_config["partition-id"])
    if (number, message.content["config"]["server-round"]) == (3, 2):
        os.killpg(0, signal.SIGKILL)  # the SuperNode and all that it has started
    model = message.content["arrays"]["w"].numpy()
    moved = ArrayRecord({"w": Array(model + 0.1 * (number - model))})
    return Message(RecordDict({"arrays": moved, "metrics": MetricRecord({"num-examples": 10 + number})}), reply_to=message)
"""

_SERVER = """
import time
from pathlib import Path
import numpy as np
from flwr.app import Array, ArrayRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from protocols import additive
from secagg import Identity
from secagg.adapters.flower import SecureStrategy

app = ServerApp()

class Told(SecureStrategy):
    def aggregate_train(self, server_round, replies):
        updated = super().aggregate_train(server_round, replies)
        print("in the sum:", *self.last.included if self.last else ())
        return updated

@app.main()
def main(grid, context):
    pki = Path(context.run_config["secagg-pki"])
    while len(list(grid.get_node_ids())) < 6:
        time.sleep(0.2)
    inner = FedAvg(fraction_evaluate=0.0, min_train_nodes=4, min_available_nodes=4)
    strategy = Told(inner, additive.Plan(clients=5, clip=8.0), Identity.load(pki / "hub"), beside=[Identity.load(pki / "leader")])
    result = strategy.start(grid, ArrayRecord({"w": Array(np.zeros((4, 4), np.float32))}), num_rounds=3)
    expected = 0.0
    for there in ((0, 1, 2, 3, 4), (0, 1, 2, 4), (0, 1, 2, 4)):
        expected += 0.1 * (sum((10 + n) * n for n in there) / sum(10 + n for n in there) - expected)
    print("close to FedAvg:", bool(np.abs(result.arrays["w"].numpy() - expected).max() < 3 * 8.0 / 2**15))
"""


def make_app(folder: Path, port: int) -> Path:
    """The app, and Flower's own configuration that names the SuperLink."""
    app = folder / "app"
    app.mkdir()
    for name, text in {"pyproject.toml": _PYPROJECT, "client.py": _CLIENT, "server.py": _SERVER}.items():
        (app / name).write_text(text, encoding="utf-8")
    (folder / "home").mkdir()
    here = f'[superlink.here]\naddress = "127.0.0.1:{port}"\nroot-certificates = "{folder}/ca.pem"\n'
    (folder / "home" / "config.toml").write_text('[superlink]\ndefault = "here"\n' + here, encoding="utf-8")
    return app


def make_certificates(folder: Path) -> None:
    """`ca.pem`, and `server.pem` with `server.key` for this machine."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test ca")])
    now = datetime.datetime.now(datetime.UTC)

    def certificate(name: str, public: ec.EllipticCurvePublicKey, *, ca: bool) -> x509.Certificate:
        made = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])).issuer_name(issuer)
        made = made.public_key(public).serial_number(x509.random_serial_number())
        made = made.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if not ca:
            there = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            made = made.add_extension(x509.SubjectAlternativeName(there), critical=False)
        return made.sign(ca_key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(certificate("test ca", ca_key.public_key(), ca=True).public_bytes(pem))
    (folder / "server.pem").write_bytes(certificate("localhost", key.public_key(), ca=False).public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "server.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
