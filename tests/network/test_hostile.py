"""What strangers and bad parties do to a hub on the network, and that the others do not notice."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from protocols import additive
from secagg.control import Abort, Describe
from secagg.envelope import pack
from secagg.errors import InvalidMessage, SessionAborted, TransportError, UnexpectedMessage
from secagg.identity import Identity
from secagg.payload import CHUNK, Blob
from secagg.pki import load_tls
from secagg.pki.authority import Authority
from secagg.pki.requests import Request
from secagg.pki.trial import make_trial
from secagg.runtime import attend, driver, join, serve
from secagg.runtime.admission import PartyAdmission, Promised
from secagg.runtime.connection import METHOD, SERVICE
from secagg.runtime.dialler import Dialler
from secagg.runtime.ending import Ending, ending_context
from secagg.runtime.frames import FRAME_LIMIT, Kind, frame, open_frame
from secagg.runtime.limits import Limits
from secagg.runtime.link import Link
from secagg.runtime.runner import Runner
from secagg.runtime.spool import Spool
from secagg.testing.insecure_plaintext import Plan as Plaintext
from secagg.testing.insecure_plaintext import Update
from secagg.types import Context, PartyId
from tests.network.conftest import CLIENTS, PLANS, Clients, mean_of, model
from tests.simulation.world import World

pytestmark = pytest.mark.network
PLAN = Plaintext(clients=4, clip=10.0, bits=20, max_weight=10)


@contextmanager
def hub(folder: Path, tmp_path: Path, *names: str, values: int = 2000, **limits: Any):
    """A hub with the named clients there; at the end it runs a round, so every test shows that the others were not held up."""
    clients, bounds = Clients(folder, tmp_path), Limits(**limits)
    with serve(
        PLAN, "127.0.0.1:0", identity=Identity.load(folder / "hub"), model=model(values), state=tmp_path / "hub", limits=bounds
    ) as server:
        clients.start(server.address, *names, values=values)
        server.wait_for(len(names), 20)
        yield server
        wait_until(lambda: set(server.connected) == {*names, "hub"})
        result = server.aggregate(10)
        assert set(names) <= set(result.included)
        np.testing.assert_allclose(result.mean["w"][:5], mean_of(*(CLIENTS.index(name) for name in result.included)), atol=1e-3)
    clients.wait()


class Raw:
    """A peer that writes whatever frames a test wants, with the certificate of `tls` in the name of `me`."""

    def __init__(self, address: str, me: Identity, tls: Any) -> None:
        self.me, self._address, self._tls = me, address, tls
        self.link = Link(me.roster.hash, Limits(), Spool(None, spool_from=1 << 40), lambda *_: None)

    async def talk(self, *frames: bytes, hello: bytes | None = None, linger: float = 5.0) -> tuple[grpc.StatusCode, str, list[bytes]]:
        """Send hello and frames; the status that the hub ends the call with, and what it said before."""
        credentials = grpc.ssl_channel_credentials(**self._tls.channel_arguments())
        options = [("grpc.ssl_target_name_override", "hub"), ("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        heard: list[bytes] = []
        async with grpc.aio.secure_channel(self._address, credentials, options=options) as channel:
            call = channel.stream_stream(f"/{SERVICE}/{METHOD}")()  # type: ignore[call-arg]
            try:
                async with asyncio.timeout(linger):
                    for sent in (hello if hello is not None else self.link.hello().to_frame(), *frames):
                        await call.write(sent)
                    while isinstance(answer := await call.read(), bytes):
                        heard.append(answer)
            except TimeoutError:
                call.cancel()
                return grpc.StatusCode.OK, "", heard
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass
            return await call.code(), str(await call.details()), heard


def raw(server: Any, folder: Path, name: str = "c3") -> Raw:
    me = Identity.load(folder / name)
    return Raw(server.address, me, load_tls(me))


def current(server: Any) -> Context:
    return server._coordinator.opened.ctx


def replayed(me: Identity, size: int = 0) -> bytes:
    """A well-signed packet of a round that there never was."""
    packet = pack(me, Context(b"\7" * 32, "default", 1, 1), me.roster.with_role("coordinator")[0].party, Abort("no", "never"))
    return open_frame(0, packet.envelope, size)


# Who is let in.


def test_an_unknown_authority_is_not_let_in(plain: Path, tmp_path: Path):
    other = make_trial(tmp_path / "other", clients=["c3"], classic=True).folder
    with hub(plain, tmp_path, "c0", "c1", "c2") as server:
        stranger = Raw(server.address, Identity.load(other / "c3"), load_tls(Identity.load(other / "c3")))
        code, details, heard = driver.call(stranger.talk())
        assert (code, heard) == (grpc.StatusCode.UNAVAILABLE, []), details
        assert "c3" not in server.connected


def test_an_expired_certificate_is_not_let_in(plain: Path, tmp_path: Path):
    with hub(plain, tmp_path, "c0", "c1", "c2") as server:
        me = Identity.load(plain / "c3")
        past = datetime.now(UTC) - timedelta(days=400)
        request = replace_validity(Request.read(plain / "c3" / "request.json"), past + timedelta(days=30))
        expired = Authority.load(plain / "ca").issue(request, now=past)
        tls = replace(load_tls(me), certificate=expired.public_bytes(Encoding.PEM))
        code, _, heard = driver.call(Raw(server.address, me, tls).talk())
        assert (code, heard) == (grpc.StatusCode.UNAVAILABLE, [])


def replace_validity(request: Request, end: datetime) -> Request:
    return request.model_copy(update={"not_after": int(end.timestamp())})


def test_nobody_is_let_in_without_a_certificate(plain: Path, tmp_path: Path):
    with hub(plain, tmp_path, "c0", "c1", "c2") as server:
        me = Identity.load(plain / "c3")
        bare = SimpleNamespace(channel_arguments=lambda: {"root_certificates": load_tls(me).authority})
        code, _, heard = driver.call(Raw(server.address, me, bare).talk())
        assert (code, heard) == (grpc.StatusCode.UNAVAILABLE, [])


def test_the_sender_of_an_envelope_is_the_party_of_the_certificate(plain: Path, tmp_path: Path):
    with hub(plain, tmp_path, "c0", "c1", "c2") as server:
        mallory, victim = raw(server, plain), Identity.load(plain / "c0")
        code, details, _ = driver.call(mallory.talk(replayed(victim)))
        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert "c3 sent an envelope in the name of c0" in details


def test_a_party_that_the_hub_refuses_is_told_and_does_not_dial_again(plain: Path, tmp_path: Path):
    with hub(plain, tmp_path, "c0", "c1", "c2") as server:
        told: list[Any] = []
        me = Identity.load(plain / "c3")

        async def dial() -> Dialler:
            dialler = Dialler(
                server.address, me, load_tls(me), limits=Limits(), spool=Spool(None, spool_from=1), wanted=lambda *_: None, over=told.append
            )
            agent: Any = SimpleNamespace(due=lambda: None, receive=lambda packet, now: [], tick=lambda now: [])
            dialler.start(Runner("c3", agent, dialler.carry))
            ctx = Context(bytes(32), "default", 1, 1)
            dialler.carry(pack(Identity.load(plain / "c0"), ctx, Identity.load(plain / "hub").party, Abort("no", "forged")))
            return dialler

        dialler = driver.call(dial())
        until = time.monotonic() + 10
        while not told and time.monotonic() < until:
            time.sleep(0.02)
        assert isinstance(told[0], TransportError)
        assert "in the name of c0" in str(told[0])
        driver.call(dialler.close())


def identify(server: Any, **seen: Any) -> str:
    return server._hub._identify(SimpleNamespace(auth_context=lambda: seen))


@pytest.mark.check("TR-H1")
def test_tls_before_1_3_is_refused(plain: Path, tmp_path: Path):
    pem = load_tls(Identity.load(plain / "c3")).certificate
    with hub(plain, tmp_path, "c0", "c1", "c2") as server:
        assert identify(server, ssl_tls_version=[b"TLSv1.3"], x509_pem_cert=[pem]) == "c3"
        for version in ([b"TLSv1.2"], []):
            with pytest.raises(InvalidMessage, match="TR-H1"):
                identify(server, ssl_tls_version=version, x509_pem_cert=[pem])


@pytest.mark.check("TR-H2")
def test_a_certificate_of_nobody_in_the_roster_and_that_of_the_hub_are_refused(plain: Path, trial: Path, tmp_path: Path):
    with hub(plain, tmp_path, "c0", "c1", "c2") as server:
        for folder, name in ((trial, "a1"), (plain, "hub")):
            pem = load_tls(Identity.load(folder / name)).certificate
            with pytest.raises(InvalidMessage, match="TR-H2"):
                identify(server, ssl_tls_version=[b"TLSv1.3"], x509_pem_cert=[pem])


@pytest.mark.check("TR-H3")
def test_another_roster_is_refused_at_both_ends(plain: Path, tmp_path: Path):
    with hub(plain, tmp_path, "c0", "c1", "c2") as server:
        other = raw(server, plain)
        code, details, _ = driver.call(other.talk(hello=replace(other.link.hello(), roster=bytes(32)).to_frame()))
        assert code == grpc.StatusCode.PERMISSION_DENIED
        assert "TR-H3" in details
    with hub(plain, tmp_path / "second", "c0", "c1", "c2") as server:
        server._hub._line(PartyId("c3")).link._roster = bytes(32)
        with (
            join(server.address, identity=Identity.load(plain / "c3"), plans=PLANS, state=tmp_path / "c3") as session,
            pytest.raises(InvalidMessage, match="TR-H3"),
        ):
            next(session.rounds(10))


# What is sent.


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b""], grpc.StatusCode.INVALID_ARGUMENT),
        ([frame(Kind.ACK, 0)[:9]], grpc.StatusCode.INVALID_ARGUMENT),
        ([frame(Kind.PART, 0, 0, bytes(CHUNK))], grpc.StatusCode.INVALID_ARGUMENT),
        ([frame(Kind.ACK, 7)], grpc.StatusCode.INVALID_ARGUMENT),
        ([bytes(FRAME_LIMIT + 1)], grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["empty", "truncated", "not due", "acknowledges the future", "oversized"],
)
def test_frames_against_the_rules_end_their_connection_only(plain: Path, tmp_path: Path, frames: list[bytes], code: grpc.StatusCode):
    with hub(plain, tmp_path, "c0", "c1", "c2") as server:
        ended, details, _ = driver.call(raw(server, plain).talk(*frames))
        assert ended == code, details


def test_a_connection_that_does_not_begin_is_closed(plain: Path, tmp_path: Path):
    with hub(plain, tmp_path, "c0", "c1", "c2", hello_seconds=0.3) as server:
        code, _, _ = driver.call(raw(server, plain).talk(hello=frame(Kind.ACK, 0)))
        assert code == grpc.StatusCode.INVALID_ARGUMENT
        silent = socket.create_connection(server.address.split(":"))
        silent.sendall(b"GET / HTTP/1.1\r\n\r\n")
        silent.close()


@pytest.mark.check("TR-A1")
def test_a_replayed_round_is_refused_and_the_connection_lives(plain: Path, tmp_path: Path):
    with hub(plain, tmp_path, "c0", "c1", "c2") as server:
        mallory = raw(server, plain)
        code, _, heard = driver.call(mallory.talk(replayed(mallory.me), linger=0.5))
        assert code == grpc.StatusCode.OK
        assert any(answer[0] == Kind.REFUSE and b"TR-A1" in answer for answer in heard)


@pytest.mark.check("TR-A2", "TR-A3")
def test_only_what_the_round_has_use_for_is_carried(plain: Path, tmp_path: Path):
    clients, begun = Clients(plain, tmp_path), threading.Event()

    def train(_: int) -> None:
        begun.set()
        time.sleep(1.0)

    plan = Plaintext(clients=4, clip=10.0, bits=20, max_weight=10)
    with serve(plan, "127.0.0.1:0", identity=Identity.load(plain / "hub"), model=model(), state=tmp_path / "hub") as server:
        clients.start(server.address, "c0", "c1", "c2", train=train)
        server.wait_for(3, 20)
        outcome: list[Any] = []
        rounds = threading.Thread(target=lambda: outcome.append(server.aggregate(10)))
        rounds.start()
        assert begun.wait(10)
        check = server._hub._wanted
        inside, outside = Identity.load(plain / "c0"), Identity.load(plain / "c3")
        ctx, coordinator = current(server), server._me.party
        stranger = pack(outside, ctx, coordinator, Abort("no", "not in this round"))
        with pytest.raises(InvalidMessage, match="TR-A2"):
            check(stranger, 0)
        large = pack(inside, ctx, coordinator, Update(1, Blob(bytes(100_000))))
        with pytest.raises(InvalidMessage, match="TR-A3"):
            check(large, 100_000)
        fitting = pack(inside, ctx, coordinator, Update(1, Blob(bytes(8024))))
        for _ in range(4):
            check(fitting, 8024)
        with pytest.raises(InvalidMessage, match="TR-A3"):
            check(fitting, 8024)
        server._hub._wanted = lambda *_: None  # what c0 used up above was not its own doing
        rounds.join(20)
        assert outcome[0].included == CLIENTS[:3]
    clients.wait()


@pytest.mark.check("TR-A4")
def test_a_party_takes_no_payload_that_its_round_does_not_imply():
    world = World(PLAN)
    name, hub_ = world.clients[0], world.parties.coordinator
    admission = PartyAdmission(world.agents[name])
    world.begin()
    opened = world.coordinator.opened
    fitting = world.coordinator.describe(name)[0]
    admission.check(fitting, fitting.payload.size)
    unfitting: list[tuple[Any, Context]] = [
        (Describe(opened.signed(), Promised(200 << 20)), opened.ctx),
        (Ending(bytes(32), Promised(200 << 20)), ending_context("world")),
        (Update(1, Promised(200 << 20)), opened.ctx),
    ]
    for message, ctx in unfitting:
        with pytest.raises(InvalidMessage, match="TR-A4"):
            admission.check(pack(hub_, ctx, name, message), 200 << 20)
    with pytest.raises(UnexpectedMessage, match="not under way"):
        admission.check(pack(hub_, ending_context("world"), name, Update(1, Promised(5))), 5)


def test_a_sender_that_stops_within_a_packet_is_cut_off(plain: Path, tmp_path: Path):
    with hub(plain, tmp_path, "c0", "c1", "c2", stall_seconds=0.3, slowest_rate=10 << 20) as server:
        server._hub._wanted = lambda *_: None
        me = Identity.load(plain / "c3")
        packet = pack(me, Context(bytes(32), "x", 1, 1), server._me.party, Update(1, Blob(bytes(3 * CHUNK))))
        began = time.monotonic()
        code, details, _ = driver.call(
            raw(server, plain).talk(open_frame(0, packet.envelope, 3 * CHUNK), frame(Kind.PART, 0, 0, bytes(CHUNK)))
        )
        assert code == grpc.StatusCode.UNAVAILABLE
        assert "in the middle of a packet" in details
        assert time.monotonic() - began < 3


def test_a_flood_of_small_frames_slows_only_its_sender(plain: Path, tmp_path: Path):
    with hub(plain, tmp_path, "c0", "c1", "c2", burst=100, packets_per_second=50.0) as server:
        mallory = raw(server, plain)
        # 300 frames past the burst take 6 seconds, so what comes after them is not read yet when this peer gives up.
        pending = driver.start(mallory.talk(*[frame(Kind.ACK, 0)] * 400, replayed(mallory.me), linger=2.5))
        result = server.aggregate(1.5)  # the flooding party is in the cohort and never reports
        assert result.included == CLIENTS[:3]
        _, _, heard = pending.result(10)
        assert [answer[0] for answer in heard if answer[0] == Kind.REFUSE] == []


# Payloads at rest.


def test_payloads_for_a_party_that_is_away_lie_in_files_and_are_freed_with_their_attempt(trial: Path, tmp_path: Path):
    plan = additive.Plan(clients=4, aggregators=2, clip=10.0, bits=20, max_weight=10)
    clients, gone, values = Clients(trial, tmp_path), threading.Event(), 50_000
    with serve(
        plan,
        "127.0.0.1:0",
        identity=Identity.load(trial / "hub"),
        model=model(values),
        state=tmp_path / "hub",
        aggregators=[Identity.load(trial / "a1")],
        limits=Limits(spool_from=1 << 16),
        attempts=1,
        finish=2.0,
    ) as server:
        leader = attend(server.address, identity=Identity.load(trial / "a0"), plans=PLANS, state=tmp_path / "a0")
        clients.start(server.address, *CLIENTS, values=values, train=lambda _: gone.wait(20))  # type: ignore[arg-type]
        server.wait_for(4, 20)
        spool, waiting = server._hub._spool, server._hub._line(PartyId("a0")).link.outbound
        outcome: list[BaseException] = []
        attempt = threading.Thread(target=lambda: outcome.append(failure(lambda: server.aggregate(4))))
        attempt.start()
        wait_until(lambda: [session.round for session in clients.sessions.values()] == [1] * 4)
        leader.close()
        wait_until(lambda: "a0" not in server.connected)
        held = {}
        gone.set()
        for count in range(1, 5):
            wait_until(lambda count=count: spool.used >= count * 4 * values)
            held[count] = waiting.held + spool.held
        assert held[4] < 40_000, "what waits in memory are envelopes"
        attempt.join(20)
        assert isinstance(outcome[0], SessionAborted)
        wait_until(lambda: spool.used == 0)
    clients.wait()


def failure(act: Any) -> BaseException:
    with pytest.raises(SessionAborted) as caught:
        act()
    return caught.value


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)
