"""Checks a server's events against the schemas in its OpenAPI document.

    check_events.py URL

The server serves `scripted` and keeps twenty events of a run; a run takes two seconds at most, a heartbeat comes before that.
Prints what types of events have come in each pattern; ends with 1 when one does not fit.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema_rs
from httpx_sse import EventSource

SCRIPT: dict[str, Any] = {
    "emit": [
        {"type": "progress", "step": "a", "progress": 7},
        {"type": "progress", "step": "b", "progress": 0.5, "message": "half"},
        {"type": "checkpoint", "name": "c", "data": {"n": [1]}},
        {"type": "token", "content": "t", "finish_reason": "stop"},
        {"type": "step", "node_name": "n"},
        {"type": "step", "node_name": "n", "duration_ms": 1.5, "input_keys": ["i"], "output_keys": ["o"]},
        {"type": "custom", "name": "mine", "data": {"any": {"thing": None}}},
    ],
    "tokens": 2,
}
ENDINGS: list[dict[str, Any]] = [
    SCRIPT,
    {"tokens": 0, "fail": "no", "fail_details": {"page": 3}},
    {"tokens": 0, "fail": "no"},
    {"tokens": 0, "hang": True},
    {"tokens": 1000},
]


class Checker:
    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=20)
        self.document: dict[str, Any] = self.client.get("/openapi.json").json()
        self.seen: dict[str, set[str]] = {"a": set(), "b": set()}

    def fits(self, value: Any, name: str) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": self.document["components"]}
        jsonschema_rs.validator_for(schema, validate_formats=True).validate(value)

    def take(self, pattern: str, response: httpx.Response) -> Iterator[Any]:
        assert response.status_code == 200, response.status_code
        for event in EventSource(response).iter_sse():
            data = event.json()
            own = f"{event.event.capitalize()}Event"
            self.fits(data, own if own in self.document["components"]["schemas"] else "CustomEvent")
            self.fits(data, "Event")
            assert data["type"] == event.event
            self.seen[pattern].add(event.event)
            yield data

    def run(self, payload: dict[str, Any]) -> str:
        accepted = self.client.post("/runs", json=payload)
        assert accepted.status_code == 202, accepted.text
        self.fits(accepted.json(), "AcceptedRun")
        return str(accepted.json()["run_id"])

    def follow(self, identity: str, query: str = "") -> list[Any]:
        with self.client.stream("GET", f"/runs/{identity}/events{query}") as response:
            return list(self.take("b", response))

    def check(self) -> None:
        for payload in ENDINGS:
            with self.client.stream("POST", "/invoke/stream", json=payload) as response:
                list(self.take("a", response))
            identity = self.run(payload)
            self.follow(identity)
            record = self.client.get(f"/runs/{identity}").json()
            self.fits(record, "Run")
        cancelled = self.run({"tokens": 0, "hang": True})
        self.follow(cancelled, "?timeout=1&from_sequence=100")
        reply = self.client.delete(f"/runs/{self.run({'hang': True})}", params={"reason": "enough"})
        self.fits(reply.json(), "CancelledRun")
        identity = self.run({"hang": True})
        self.client.delete(f"/runs/{identity}", params={"reason": "enough"})
        self.follow(identity)
        for record in self.client.get("/runs").json()["runs"]:
            self.fits(record, "Run")


if __name__ == "__main__":
    checker = Checker(sys.argv[1])
    checker.check()
    print(json.dumps({pattern: sorted(types) for pattern, types in checker.seen.items()}))
