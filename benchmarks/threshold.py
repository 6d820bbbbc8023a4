"""`ckks-threshold` on one core: what a client, a key holder and the coordinator do in a round, and its arithmetic beside SEAL's.

SEAL encrypts as many coefficients under its own parameters for this degree (two primes of 54 and 55 bits) and transforms the same
polynomials; it is C++, this library's arithmetic is NumPy.
"""

from __future__ import annotations

import os

import numpy as np
from tenseal import sealapi

from benchmarks.measure import Line, Work, arguments, best, on_threads, show
from protocols.ckks import threshold
from protocols.ckks.cipher import DEGREE, GROUP, PRIMES, Packing
from protocols.ckks.threshold import client, keyholder, server
from protocols.ckks.threshold.messages import Fixed, Report
from protocols.ckks.threshold.params import DRAWS, Params
from secagg.identity import Identity
from secagg.ledger import Ledger
from secagg.math.ntt import Ntt
from secagg.policy import Policy
from secagg.round import Round, open_round, sign_round
from secagg.testing.consortium import consortium
from secagg.testing.table import NOW, terms

CLIENTS, HOLDERS = 3, 3
CLIENT_GOAL, SHARE_GOAL, BYTES_GOAL = 150.0, 100.0, 3.0


class Setting:
    """One round of three clients and three key holders over `values` coordinates, up to the moment that each work starts from."""

    def __init__(self, values: int, ring_bits: int) -> None:
        self.plan = threshold.Plan(clients=CLIENTS, keyholders=HOLDERS, bits=12, max_weight=1, ring_bits=ring_bits)
        parties = consortium(CLIENTS, keyholders=HOLDERS, now=NOW, entropy=os.urandom)
        signed = sign_round(self.plan.describe(terms(values=values), parties.roster), parties.coordinator).signed()
        self.opened: Round = open_round(signed, parties.clients[0], Policy(), now=NOW)
        self.params = Params.of(self.opened)
        self.hub: Identity = parties.coordinator
        self.seats = [keyholder.Seat(one, self.params, self.opened) for one in parties.keyholders]
        offered = [keyholder.offer(seat=seat, ledger=Ledger(), entropy=os.urandom) for seat in self.seats]
        self.offering = [state for state, _ in offered]
        offers = {seat.me.party: state.key.seal_key().raw for seat, state in zip(self.seats, self.offering, strict=True)}
        words = np.random.default_rng(0).integers(0, 4000, values + 2).astype(self.params.packing.ring.dtype)
        self.holding = client.Holding(offers, words, 0)
        self.desk = server.Desk(self.hub, self.params, self.opened)
        self.clients = parties.clients
        state = server.gathering(self.params)
        for one in self.clients:
            state = server.add(state, self.report(one), one.party, desk=self.desk)
        opening, sent = server.fix(state, desk=self.desk)
        self.fixed = [item.message for item in sent if isinstance(item.message, Fixed)]
        committing = [self.commit(index) for index in range(HOLDERS)]
        self.complete = server.Opening(
            opening.total,
            opening.imprints,
            opening.included,
            opening.roots,
            {seat.me.party: one.own for seat, one in zip(self.seats, committing, strict=True)},
            {seat.me.party: one.share for seat, one in zip(self.seats, committing, strict=True)},
        )
        opened = server.finish(self.complete, desk=self.desk).total.vector
        if not np.array_equal(opened, words * CLIENTS):
            raise SystemExit("the opened sum is not the sum")

    def report(self, one: Identity) -> Report:
        _, (sent,) = client.report(self.holding, me=one, params=self.params, ctx=self.opened.ctx, entropy=os.urandom)
        if not isinstance(sent.message, Report):
            raise TypeError(f"{type(sent.message).__name__} in the place of a report")
        return sent.message

    def commit(self, index: int) -> keyholder.Committing:
        keyholder.check_fixed(self.fixed[index], seat=self.seats[index])
        state, _ = keyholder.commit(self.offering[index], self.fixed[index], seat=self.seats[index], ledger=Ledger(), entropy=os.urandom)
        return state

    @property
    def bytes_up(self) -> int:
        """What one client sends: message and ciphertext."""
        body, payload = self.report(self.clients[0]).to_wire()
        return len(body) + (payload.size if payload is not None else 0)


def seal_context(primes: list[int]) -> sealapi.SEALContext:
    numbers = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.BFV)
    numbers.set_poly_modulus_degree(DEGREE)
    numbers.set_coeff_modulus([sealapi.Modulus(prime) for prime in primes] if primes else sealapi.CoeffModulus.Create(DEGREE, [54, 55]))
    numbers.set_plain_modulus(1 << 20 if primes else 1 << 40)
    return sealapi.SEALContext(numbers, True, sealapi.SEC_LEVEL_TYPE.TC128)


def polynomial() -> sealapi.Plaintext:
    values = np.random.default_rng(1).integers(1, 1 << 19, DEGREE)
    return sealapi.Plaintext(" + ".join(f"{int(value):X}x^{power}" for power, value in reversed(list(enumerate(values))) if power))


def seal_encrypts(count: int) -> Work:
    """`count` symmetric encryptions of one polynomial."""
    context, plain = seal_context([]), polynomial()
    maker = sealapi.KeyGenerator(context)
    encryptor = sealapi.Encryptor(context, maker.secret_key())

    def run() -> None:
        for _ in range(count):
            encryptor.encrypt_symmetric(plain)

    return run


def seal_transforms(count: int) -> Work:
    """`count` transforms of one polynomial modulo both primes."""
    context, plain, out = seal_context(list(PRIMES)), polynomial(), sealapi.Plaintext()
    evaluator, where = sealapi.Evaluator(context), context.key_parms_id()

    def run() -> None:
        for _ in range(count):
            evaluator.transform_to_ntt(plain, where, out)

    return run


def transforms(count: int) -> Work:
    ours = [Ntt(prime, DEGREE) for prime in PRIMES]
    values = np.random.default_rng(1).integers(0, PRIMES[1], (DEGREE, count), dtype=np.uint64)

    def run() -> None:
        for transform in ours:
            transform.forward(values)

    return run


def main() -> None:
    options = arguments(__doc__, 1e6).parse_args()
    lines, sizes = [], {}
    millions = options.values / 1e6
    with on_threads(1):
        for ring_bits in (16, 24, 32):
            setting = Setting(options.values, ring_bits)
            packing = Packing.of(setting.opened.description, DRAWS)
            sizes[f"ring {ring_bits}, x float32"] = round(setting.bytes_up / (4 * options.values), 3)
            works = {
                "client": lambda setting=setting: setting.report(setting.clients[0]),
                "holder": lambda setting=setting: setting.commit(0),
                "open": lambda setting=setting: server.finish(setting.complete, desk=setting.desk),
                "seal": seal_encrypts(packing.blocks),
            }
            fastest = best(works, options.repeats).cpu
            name = f"{ring_bits}-bit ring"
            lines += [
                Line(f"client, {name}", fastest["client"], "150 ms per 1e6 values", CLIENT_GOAL * millions, 1.0),
                Line(f"client, {name}", fastest["client"], f"SEAL, {packing.blocks} symmetric BFV ciphertexts", fastest["seal"]),
                Line(f"key holder's part, {name}", fastest["holder"], "100 ms per 1e6 values", SHARE_GOAL * millions, 1.0),
                Line(f"coordinator opens, {name}", fastest["open"]),
            ]
        fastest = best({"ours": transforms(GROUP), "seal": seal_transforms(GROUP)}, options.repeats).cpu
        lines.append(Line(f"{GROUP} transforms modulo both primes", fastest["ours"], "SEAL", fastest["seal"]))
    facts = {"values": options.values, "key holders": HOLDERS, **sizes, "goal, x float32": BYTES_GOAL}
    show("Threshold", lines, facts=facts, as_json=options.json)


if __name__ == "__main__":
    main()
