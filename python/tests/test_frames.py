"""The frame reader, cut at every byte, and against bytes that no server sends."""

from __future__ import annotations

import random
import time

import pytest
from driver import (
    ACK,
    AGENTS,
    CANCEL,
    CRITICAL,
    DRAIN,
    HELLO,
    PING,
    START,
    frame,
    header,
    running,
    start_frame,
    zygote,
)

from dockrion_worker.frames import BadFrame, FrameReader, split_start

STREAM = b"".join(
    [
        frame(HELLO, 0, b'{"v":1,"agent":{}}'),
        start_frame(1, {"a": "é"}),
        frame(ACK, 1, b"\1\0\0\0"),
        frame(CANCEL, 1, b"reason"),
        frame(PING, 0, b"12345678"),
        frame(DRAIN),
    ]
)


def whole(data: bytes, size: int) -> list[tuple[int, int, bytes]]:
    reader = FrameReader()
    found = []
    for at in range(0, len(data), size):
        found += list(reader.feed(data[at : at + size]))
    assert reader.pending == 0
    return found


def test_frames_come_whole_however_they_are_cut() -> None:
    expected = whole(STREAM, len(STREAM))
    assert [kind for kind, _, _ in expected] == [HELLO, START, ACK, CANCEL, PING, DRAIN]
    for size in range(1, 40):
        assert whole(STREAM, size) == expected
    for at in range(len(STREAM)):
        reader = FrameReader()
        assert [*reader.feed(STREAM[:at]), *reader.feed(STREAM[at:])] == expected


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (header(0, 0x07), "type 0x07 is not known"),
        (header(0, 0x41), "type 0x41 is not known"),
        (header((16 << 20) + 1, START, run=1), "START announces 16777217 bytes"),
        (header(0, START, run=0), "START is for run 0"),
        (header(0, HELLO, run=1), "HELLO is for run 1"),
        (header(3, ACK, run=1), "ACK announces 3 bytes, 4 are right"),
        (header(1, DRAIN), "DRAIN announces 1 bytes"),
        (header(0, CANCEL, a=1, run=1), "CANCEL has 1 and 0"),
        (header(0, CANCEL, b=1, run=1), "CANCEL has 0 and 1"),
    ],
)
def test_a_bad_header_is_known_before_its_payload(data: bytes, why: str) -> None:
    with pytest.raises(BadFrame, match=why):
        list(FrameReader().feed(data))


@pytest.mark.parametrize("payload", [b"", b"\1\0\0", b"\5\0\0\0{}", b"\2\0\0\0[]", b"\1\0\0\0\xff", b"\2\0\0\0{]"])
def test_a_bad_start_is_a_bad_frame(payload: bytes) -> None:
    with pytest.raises(BadFrame, match="START"):
        split_start(payload)


def test_mutated_streams_give_frames_or_a_bad_frame() -> None:
    """20,000 streams with bits turned, bytes dropped and doubled: the reader gives frames or says no."""
    chance = random.Random(1)
    good = bad = 0
    for _ in range(20_000):
        data = bytearray(STREAM)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data))
            what = chance.randrange(3)
            if what == 0:
                data[at] ^= 1 << chance.randrange(8)
            elif what == 1:
                del data[at : at + chance.randint(1, 8)]
            else:
                data[at:at] = data[at : at + chance.randint(1, 8)]
        reader = FrameReader()
        try:
            for kind, run, payload in reader.feed(bytes(data)):
                assert len(payload) <= 16 << 20
                if kind == START:
                    assert run > 0
                    split_start(payload)
            good += 1
        except BadFrame:
            bad += 1
    assert good > 200
    assert bad > 200


#: What ends a worker, behind HELLO and READY.
WRONG = {
    "type 0x07 is not known": header(0, 0x07),
    "START announces 4294967295 bytes": header(0xFFFFFFFF, START, run=1),
    "START announces 99 bytes of JSON": frame(START, 5, b"\x63\0\0\0{}"),
    "START has no run_id": frame(START, 5, b"\2\0\0\0{}{}"),
    "START has the mode 'other'": start_frame(5, {}, mode="other"),
    "START of run 1, which runs": start_frame(1, {}),
    "ACK of run 1 says 9, sent are 1": frame(ACK, 1, b"\x09\0\0\0"),
    "a second HELLO": frame(HELLO, 0, b'{"v":1,"agent":{}}'),
    "START after DRAIN": frame(DRAIN) + start_frame(6, {}),
}


@pytest.mark.parametrize("why", WRONG)
def test_a_worker_that_gets_a_bad_frame_says_why_and_ends(why: str) -> None:
    with zygote(AGENTS, {"handler": "plain:wait"}) as started:
        started.wait_for("ready")
        worker = started.worker()
        worker.start(1)
        worker.wait_events(1, 1)
        worker.send(WRONG[why])
        worker.wait_closed()
        assert why in worker.logs(0)[-1][2]
        assert worker.logs(0)[-1][:2] == (CRITICAL, "dockrion.worker")
        assert why in worker.err.whole()
        assert started.wait_for("exited", worker=worker.number)["status"] == 2 << 8


@pytest.mark.parametrize(
    "hello",
    [
        b"{}",
        b"[]",
        b'{"v":2,"agent":{}}',
        b'{"v":1}',
        b'{"v":1,"agent":{},"filter":"chatty"}',
        b'{"v":1,"agent":{},"window":0}',
        b'{"v":1,"agent":{},"threads":"many"}',
        b'{"v":1,"agent":{},"log_level":"loud"}',
        b"\xff",
    ],
)
def test_a_bad_hello_ends_a_worker(hello: bytes) -> None:
    with zygote(AGENTS, {"handler": "plain:echo"}, preload="false") as started:
        started.wait_for("ready")
        worker = started.fork()
        worker.send(frame(HELLO, 0, hello))
        worker.wait_closed()
        assert "HELLO" in worker.err.whole()
        assert started.wait_for("exited", worker=worker.number)["status"] == 2 << 8


def test_a_worker_takes_frames_byte_by_byte() -> None:
    with running(AGENTS, {"handler": "plain:echo"}) as worker:
        for byte in start_frame(1, {"a": "é"}):
            worker.send(bytes([byte]))
        assert worker.output(1) == {"a": "é"}


def test_streams_cut_at_every_byte_end_a_worker_quietly() -> None:
    """The server dies in the middle of a frame: status 0, whatever runs."""
    data = start_frame(2, {"a": 1})
    with zygote(AGENTS, {"handler": "plain:wait"}) as started:
        started.wait_for("ready")
        for at in range(0, len(data) + 1, 8):
            worker = started.worker()
            worker.start(1)
            worker.wait_events(1, 1)
            worker.send(data[:at])
            worker.socket.shutdown(1)
            assert started.wait_for("exited", worker=worker.number)["status"] == 0
            worker.socket.close()


def test_workers_survive_or_end_at_mutated_frames_but_never_hang() -> None:
    chance = random.Random(2)
    good = start_frame(1, {"tokens": 1, "pause": 0}) + frame(ACK, 1, b"\1\0\0\0") + frame(PING, 0, b"12345678")
    with zygote(AGENTS, {"handler": "plain:wait"}) as started:
        started.wait_for("ready")
        ended = 0
        for _ in range(60):
            worker = started.worker()
            data = bytearray(good)
            for _ in range(chance.randint(1, 3)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            worker.send(bytes(data))
            # It ends, or it waits for more, and then the end of file ends it.
            deadline = time.monotonic() + 0.03
            while time.monotonic() < deadline and not worker.closed:
                time.sleep(0.002)
            if not worker.closed:
                worker.socket.shutdown(1)
            status = started.wait_for("exited", worker=worker.number)["status"]
            assert status in (0, 2 << 8)
            ended += status == 2 << 8
            worker.socket.close()
        assert ended > 10
