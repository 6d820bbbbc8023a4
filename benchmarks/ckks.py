"""`ckks` on one core: what a client, the coordinator and the key holder do, beside TenSEAL's default path and NVFlare's.

All encrypt the same LoRA state of 64 tensors. TenSEAL as its tutorial has it: N = 8192, four primes, a vector for each tensor, serialised.
NVFlare: its own encryptor with the context that its provisioning makes, and each vector serialised as it travels.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import tenseal as ts

from benchmarks.measure import Line, Work, arguments, best, on_threads, show
from protocols import ckks
from protocols.ckks import client, keyholder, server
from protocols.ckks.messages import Added, Encrypted, Seed
from protocols.ckks.params import Params
from secagg import simulate
from secagg.crypto import ckks_workers
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.payload import Payload
from secagg.policy import Policy
from secagg.roles import Message
from secagg.round import Round, open_round, sign_round
from secagg.testing.consortium import consortium
from secagg.testing.table import NOW, terms

M = TypeVar("M")
CLIENTS, TENSORS = 3, 64
SLOTS_GOAL, PACKED_GOAL, APART_GOAL = 800.0, 150.0, 1 / 1.8
MODES: dict[str, dict[str, object]] = {
    "packed, 16-bit words": {"bits": 12, "ring_bits": 16},
    "packed, 24-bit words": {"bits": 16, "ring_bits": 24},
    "packed, 32-bit words": {"bits": 20, "ring_bits": 32},
    "slots n4096-q56": {"bits": 24, "ring_bits": 32, "slots": "n4096-q56"},
    "slots n4096-q60": {"bits": 24, "ring_bits": 32, "slots": "n4096-q60"},
}


class Setting:
    """One round of three clients, up to the moment that each work starts from."""

    def __init__(self, values: int, numbers: dict[str, object]) -> None:
        plan = ckks.Plan(clients=CLIENTS, max_weight=1, **numbers)  # type: ignore[arg-type]
        parties = consortium(CLIENTS, keyholders=1, now=NOW, entropy=os.urandom)
        signed = sign_round(plan.describe(terms(values=values), parties.roster), parties.coordinator).signed()
        self.opened: Round = open_round(signed, parties.clients[0], Policy(), now=NOW)
        self.params, self.clients = Params.of(self.opened), parties.clients
        self.words = self.params.scheme.ring.from_signed(np.random.default_rng(0).integers(-2000, 2000, values + 2))
        self.seat = keyholder.Seat(parties.keyholders[0], self.params, self.opened)
        self.desk = server.Desk(parties.coordinator, self.params, self.opened)
        self.keeping, _ = keyholder.make_key(seat=self.seat, ledger=Ledger(), entropy=os.urandom)
        self.reports = {one.party: self.report(one) for one in self.clients}
        for name, (seed, _) in self.reports.items():
            self.keeping = keyholder.keep_seed(self.keeping, _as(Seed, seed), name, seat=self.seat)
        self.added = self.add()
        if not np.array_equal(self.open(), self.params.scheme.ring.from_signed(CLIENTS * self.params.scheme.ring.center(self.words))):
            raise SystemExit("the opened sum is not the sum")

    def report(self, one: Identity) -> tuple[Message, Message]:
        """Seed and ciphertext of a client."""
        _, (seed, encrypted) = client.report(
            self.keeping.key, self.words, 0, me=one, params=self.params, ctx=self.opened.ctx, entropy=os.urandom
        )
        return seed.message, encrypted.message

    def add(self) -> Added:
        state = server.Gathering(self.params.scheme.zero(), {})
        for name, (_, encrypted) in self.reports.items():
            state = server.add(state, _as(Encrypted, encrypted), name, desk=self.desk)
        return _as(Added, server.close(state, desk=self.desk)[1][0].message)

    def open(self) -> np.ndarray:
        seeds = [(name, _as(Seed, seed)) for name, (seed, _) in self.reports.items()]
        return self.params.scheme.decrypt(self.added.payload, seeds, self.keeping.key, self.opened.ctx)

    @property
    def bytes_up(self) -> int:
        """What one client sends to both servers: messages and payloads."""
        return sum(
            len(body) + (payload.size if payload is not None else 0) for body, payload in map(_wire, self.reports[self.clients[0].party])
        )


def _wire(message: Message) -> tuple[bytes, Payload | None]:
    return message.to_wire()


def _as(kind: type[M], message: object) -> M:
    if not isinstance(message, kind):
        raise TypeError(f"{type(message).__name__} in the place of {kind.__name__}")
    return message


def state_of(values: int) -> dict[str, np.ndarray]:
    whole = np.random.default_rng(1).normal(0, 1e-3, values).astype(np.float32)
    return {f"layer.{index}": part for index, part in enumerate(np.array_split(whole, TENSORS))}


class Peers:
    """What others do with the same state; `bytes` after a run."""

    def __init__(self, state: dict[str, np.ndarray]) -> None:
        self.state, self.bytes = state, dict[str, int]()
        self.default = ts.context(ts.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40, 60])
        self.default.global_scale = 2**40

    def tenseal(self) -> None:
        self.bytes["TenSEAL"] = sum(len(ts.ckks_vector(self.default, part).serialize()) for part in self.state.values())

    def works(self) -> dict[str, Work]:
        found: dict[str, Work] = {"TenSEAL, default, tensor by tensor": self.tenseal}
        try:
            from nvflare.apis.fl_context import FLContext
            from nvflare.app_opt.he.model_encryptor import HEModelEncryptor
        except ImportError:
            return found
        logging.disable(logging.INFO)
        encryptor = HEModelEncryptor()
        encryptor.encrypt_layers, encryptor.n_iter = [True], 1
        encryptor.tenseal_context = ts.context(ts.SCHEME_TYPE.CKKS, poly_modulus_degree=8192, coeff_mod_bit_sizes=[60, 40, 40])
        encryptor.tenseal_context.global_scale = 2**40

        def nvflare() -> None:
            made, _ = encryptor.encryption(dict(self.state), FLContext())
            self.bytes["NVFlare"] = sum(len(vector.serialize()) for vector in made.values())

        return {**found, "NVFlare, HEModelEncryptor": nvflare}


def quiet(work: Work) -> Work:
    """TenSEAL warns on standard output, which is the results'."""

    def run() -> None:
        kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        try:
            work()
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            os.close(nowhere)

    return run


def hashing(threads: int) -> Work:
    """A work that does nothing but compute, on so many cores: what the machine makes of a second one."""
    block = bytes(1 << 24)
    share = 8 // threads

    def run() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: [hashlib.sha256(block).digest() for _ in range(share)], range(threads)))

    return run


def error_of_the_mean(values: int) -> float:
    """Largest error of an opened mean, as a fraction of the clip, with 24-bit values and weights of 2."""
    state = state_of(values)
    plan = ckks.Plan(clients=CLIENTS, clip=4.0, bits=24, max_weight=2, slots="n4096-q60")
    result = simulate(plan, [state] * CLIENTS, [2] * CLIENTS)
    return max(float(np.abs(result.mean[name] - part).max()) for name, part in state.items()) / 4.0


def parts(options: argparse.Namespace) -> tuple[list[Line], dict[str, object]]:
    settings = {name: Setting(options.values, numbers) for name, numbers in MODES.items()}
    peers = Peers(state_of(options.values))
    works: dict[str, Work] = {}
    for name, setting in settings.items():
        works[f"client, {name}"] = lambda setting=setting: setting.report(setting.clients[0])
        works[f"coordinator adds 3, {name}"] = setting.add
        works[f"key holder opens 3, {name}"] = setting.open
    others = {name: quiet(work) for name, work in peers.works().items()}
    with on_threads(1):
        times = best({**works, **others}, options.repeats).cpu
    millions, reference = options.values / 1e6, times["TenSEAL, default, tensor by tensor"]
    lines = []
    for name in works:
        goal = SLOTS_GOAL if "slots" in name else PACKED_GOAL
        if name.startswith("client"):
            lines += [
                Line(name, times[name], f"{goal:.0f} ms per 1e6 values", goal * millions, 1.0),
                Line(name, times[name], "TenSEAL", reference),
            ]
        else:
            lines.append(Line(name, times[name], "TenSEAL's client", reference))
    lines += [Line(name, times[name], "TenSEAL", reference) for name in others]
    if "NVFlare, HEModelEncryptor" in others:
        lines.append(Line("client, slots n4096-q56", times["client, slots n4096-q56"], "NVFlare", times["NVFlare, HEModelEncryptor"]))
    floats = 4 * options.values
    facts: dict[str, object] = {f"{name}: × float32": f"{setting.bytes_up / floats:.3f}" for name, setting in settings.items()}
    facts |= {f"{name}: × float32": f"{size / floats:.1f}" for name, size in peers.bytes.items()}
    facts["error of the mean / clip"] = f"{error_of_the_mean(options.values):.1e}"
    return lines, facts


def apart(options: argparse.Namespace) -> tuple[list[Line], dict[str, object]]:
    setting = Setting(options.values, MODES["slots n4096-q56"])
    ckks_workers.prepare(2)

    def on(count: int) -> Work:
        def run() -> None:
            with on_threads(count):
                setting.report(setting.clients[0])

        return run

    times = best({"one": on(1), "two": on(2), "hash": hashing(1), "hashes": hashing(2)}, options.repeats).wall
    lines = [
        Line("slots, two processes", times["two"], "one", times["one"], APART_GOAL, "wall"),
        Line("this machine: SHA-256 on two cores", times["hashes"], "one", times["hash"], None, "wall"),
    ]
    return lines, {"speed-up": f"{times['one'] / times['two']:.2f}", "of the machine": f"{times['hash'] / times['hashes']:.2f}"}


def main() -> None:
    parser = arguments(__doc__, 1e6)
    parser.add_argument("--part", choices=["core", "processes"], default="core", help="one core beside peers, or two processes beside one")
    options = parser.parse_args()
    lines, facts = (parts if options.part == "core" else apart)(options)
    show(f"ckks: {options.values:.0e} values, {options.part}", lines, facts={"values": options.values, **facts}, as_json=options.json)


if __name__ == "__main__":
    main()
