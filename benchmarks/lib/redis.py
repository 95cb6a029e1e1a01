"""A redis-server of the benchmark's own, and what it says of itself."""

import os
import socket
import subprocess
import time

import machine

# A core of its own, or the client's: the figures are those of one dockrion on one core.
CORE = 2 if (os.cpu_count() or 1) > 2 else 1


class Failed(Exception):
    """A Redis that does not start, or refuses a command."""


class Server:
    """Runs in a `with`; nothing is written to disk."""

    def __init__(self, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        self.log = directory / "redis-server.log"

    def __enter__(self):
        with open(self.log, "wb") as file:
            self.process = subprocess.Popen(
                machine.pinned(CORE, ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                                      "--save", "", "--appendonly", "no"]),
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=self.log.parent)
        deadline = time.monotonic() + 10
        while True:
            try:
                self.command("PING")
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise Failed(f"redis-server does not start: {self.log.read_text()[-400:]}") from None
                time.sleep(0.02)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def command(self, *words):
        """One command on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            parts = [f"*{len(words)}\r\n"] + [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
            connection.sendall("".join(parts).encode())
            with connection.makefile("rb") as file:
                return reply(file)

    def cpu_seconds(self):
        lines = dict(line.split(":", 1) for line in self.command("INFO", "cpu").splitlines() if ":" in line)
        return float(lines["used_cpu_user"]) + float(lines["used_cpu_sys"])

    def bytes_of(self, run):
        """What the keys of a run take."""
        return sum(self.command("MEMORY", "USAGE", f"dockrion:{{{run}}}:{part}", "SAMPLES", "0")
                   for part in ("run", "events"))


def reply(file):
    line = file.readline()
    if not line:
        raise ConnectionError("Redis closed the connection")
    kind, rest = line[:1], line[1:].strip().decode()
    if kind == b"-":
        raise Failed(f"Redis: {rest}")
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == "-1" else file.read(int(rest) + 2)[:-2].decode()
    if kind == b"*":
        return None if rest == "-1" else [reply(file) for _ in range(int(rest))]
    return rest
