"""What is measured, with wrk and with dockrion-load."""

import json
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.request

import machine

HERE = pathlib.Path(__file__).resolve().parent.parent
CLIENT_CORE = 1
CONNECTIONS = 64


class Void(Exception):
    """Why a measurement does not count."""


class Scenario:
    """One measurement on one server.

    `headline` is the figure that stands in tables and charts; `goals` are (figure, peer, "ratio at least" or "ratio at
    most" or "at most", bound) with dockrion's median over the peer's.
    """

    agent = "scripted"
    goals = ()

    def run(self, server):
        raise NotImplementedError


class Wrk(Scenario):
    headline, unit = "rate", "/s"

    def __init__(self, name, title, path, script, peers, options, close=False, goals=(), agent="scripted"):
        self.name, self.title, self.path, self.script, self.peers = name, title, path, script, peers
        self.close, self.goals, self.agent, self.seconds = close, goals, agent, options.seconds
        header = " -H 'Connection: close'" if close else ""
        self.command = (f"taskset -c 1 wrk -t1 -c{CONNECTIONS} -d{self.seconds:g}s --latency"
                        f" -s benchmarks/wrk/{script}{header} URL{path}")

    def run(self, server):
        self.check_reply(server)
        self.wrk(server, max(0.3, self.seconds / 10))
        cpu, start = machine.cpu_seconds(server.pid), time.monotonic()
        text = self.wrk(server, self.seconds)
        busy = (machine.cpu_seconds(server.pid) - cpu) / (time.monotonic() - start)
        return {"rate": self.number(r"Requests/sec:\s+([\d.]+)", text), "p50_ms": self.latency("50%", text),
                "p99_ms": self.latency("99%", text), "server_cpu": round(busy, 3)}

    def wrk(self, server, seconds):
        # wrk takes whole seconds only; a tiny run is cut short by SIGINT, after which it reports as usual.
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--latency",
                   "-s", str(HERE / "wrk" / self.script)]
        if self.close:
            command += ["-H", "Connection: close"]
        process = subprocess.Popen(
            machine.pinned(CLIENT_CORE, command + [server.url + self.path]), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        try:
            text = process.communicate(timeout=seconds if seconds < 1 else seconds + 30)[0]
        except subprocess.TimeoutExpired:
            process.send_signal(2)
            text = process.communicate(timeout=30)[0]
        for sign in ("Non-2xx", "Socket errors"):
            match = re.search(sign + r".*", text)
            if match:
                raise Void(match.group(0))
        if process.returncode != 0 or "Requests/sec" not in text:
            raise Void(f"wrk: {text.strip()[-300:]}")
        return text

    def check_reply(self, server):
        """A server that answers something else is fast for nothing."""
        body = re.search(r"wrk.body = '(.*)'", (HERE / "wrk" / self.script).read_text()).group(1)
        request = urllib.request.Request(
            server.url + self.path, body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            text = reply.read().decode()
        if self.path == "/invoke" and json.loads(text)["output"]["text"] != "Hello, world!":
            raise Void(f"the reply does not hold the text: {text[:200]}")
        if self.path == "/invoke/stream":
            events, tokens = text.count("\n\n"), text.count('"content"')
            if (events, tokens) != (22, 20):
                raise Void(f"{events} events with {tokens} tokens instead of 22 with 20")
        if self.path == "/runs" and "run_id" not in json.loads(text):
            raise Void(f"the reply names no run: {text[:200]}")

    @staticmethod
    def number(pattern, text):
        return float(re.search(pattern, text).group(1))

    @staticmethod
    def latency(share, text):
        value, unit = re.search(rf"{share}\s+([\d.]+)(us|ms|s)\b", text).groups()
        return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


class Load(Scenario):
    def __init__(self, name, title, arguments, headline, unit, peers, options, goals=()):
        self.name, self.title, self.headline, self.unit, self.peers = name, title, headline, unit, peers
        self.goals = goals
        self.arguments = arguments.split()
        self.binary = HERE / "load/.build" / options.configuration / "dockrion-load"
        self.command = f"taskset -c 1 dockrion-load {arguments} --url URL --pid PID"

    def run(self, server, further=()):
        if not self.binary.exists():
            raise Void("dockrion-load is not built (make bench does)")
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [str(self.binary)] + self.arguments + list(further) + [
                "--url", server.url, "--pid", str(server.pid), "--json", file.name, "--quiet"]
            if server.peer.name == "nchan":
                command.append("--nchan")
            run = subprocess.run(
                machine.pinned(CLIENT_CORE, command), capture_output=True, text=True, timeout=300)
            if run.returncode != 0:
                raise Void((run.stderr or run.stdout).strip()[-400:])
            figures = json.load(open(file.name))["figures"]
        return {figure["name"]: figure["value"] for figure in figures}


class Persisted(Load):
    """Runs with a subscriber each: on Redis a run's end is shown once Redis has every event of it."""

    def run(self, server):
        if server.redis is None:
            return super().run(server)
        before = server.redis.cpu_seconds()
        figures = super().run(server)
        figures["Redis CPU a thousand events, ms"] = (server.redis.cpu_seconds() - before) / figures["events"] * 1e6
        return figures


class Elsewhere(Load):
    """Latency on the instance that executes the runs, and on the other one where there is one."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.command += " [--follow-url OTHER]"

    def run(self, server):
        figures = super().run(server)
        if server.other is not None:
            other = super().run(server, ["--follow-url", server.other.url])
            figures |= {f"{name}, other instance": value for name, value in other.items()
                        if name.startswith("emit to receive")}
        return figures


class RedisBytes(Scenario):
    """What Redis holds for one run: as fast as it goes, many events in an entry, and with one event in each."""

    headline, unit, peers = "bytes, tokens 2 ms apart", "", ["redis"]

    def __init__(self, name, tokens):
        self.name, self.tokens = name, tokens
        self.title = f"what Redis holds for a run of {tokens:,} tokens"
        self.command = ("redis-cli memory usage 'dockrion:{RUN}:run' samples 0; "
                        "redis-cli memory usage 'dockrion:{RUN}:events' samples 0")

    def run(self, server):
        return {"bytes, as fast as it goes": self.measure(server, 0), "bytes, tokens 2 ms apart": self.measure(server, 2)}

    def measure(self, server, interval):
        body = json.dumps({"tokens": self.tokens, "interval_ms": interval} if interval else {"tokens": self.tokens})
        request = urllib.request.Request(
            server.url + "/runs", body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as reply:
            run = json.load(reply)["run_id"]
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with urllib.request.urlopen(f"{server.url}/runs/{run}", timeout=10) as reply:
                record = json.load(reply)
            if record["status"] == "completed":
                if record["last_sequence"] != self.tokens + 2:
                    raise Void(f"{record['last_sequence']} events instead of {self.tokens + 2}")
                return server.redis.bytes_of(run)
            time.sleep(0.05)
        raise Void(f"the run has not completed: {record}")


def all_scenarios(options):
    tiny = options.smoke
    servers = ["dockrion", "evhttp", "hummingbird", "python"]
    least, most = "ratio at least", "ratio at most"

    def wrk(name, title, path, script, close=False, goals=(), agent="scripted", peers=servers):
        return Wrk(name, title, path, script, peers, options, close, goals, agent)

    def load(name, title, arguments, headline, unit, peers, goals=()):
        return Load(name, title, arguments, headline, unit, peers, options, goals)

    # Hummingbird ends a connection with a reset when asked to close it; wrk counts each as an error.
    closers = ["dockrion", "evhttp", "python"]
    few, held = (50, 200) if tiny else (2000, 5000)
    return [
        wrk("invoke", "POST /invoke, echo, keep-alive", "/invoke", "invoke.lua", agent="echo",
            goals=[("rate", "evhttp", least, 0.85), ("rate", "python", least, 20)]),
        wrk("invoke-close", "POST /invoke, echo, a connection each", "/invoke", "invoke.lua", close=True, agent="echo",
            peers=closers),
        wrk("stream", "POST /invoke/stream, 22 events, keep-alive", "/invoke/stream", "stream.lua",
            goals=[("rate", "evhttp", least, 0.85), ("rate", "python", least, 30)]),
        wrk("stream-close", "POST /invoke/stream, 22 events, a connection each", "/invoke/stream", "stream.lua",
            close=True, peers=closers),
        wrk("runs", "POST /runs, keep-alive", "/runs", "runs.lua", peers=closers),
        wrk("runs-close", "POST /runs, a connection each", "/runs", "runs.lua", close=True,
            peers=closers),
        load("slow", f"{few:,} streams of {5 if tiny else 50} tokens, 20 ms apart",
             f"streams --streams {few} --tokens {5 if tiny else 50} --interval 20", "server CPU", "s",
             ["dockrion", "evhttp"],
             [("server CPU", "evhttp", most, 1.5), ("slowest stream", None, "at most", 1.1)]),
        load("slow-runs", f"{few:,} runs of {5 if tiny else 50} tokens, 20 ms apart, one subscriber each",
             f"streams --runs --streams {few} --tokens {5 if tiny else 50} --interval 20", "server CPU", "s",
             ["dockrion"]),
        load("first", "time to the first event, one request after the other",
             f"first --requests {50 if tiny else 5000}", "first event, median", "ms", ["dockrion", "evhttp"]),
        load("latency", "emit to receive, 20 streams, a token each 5 ms",
             f"latency --streams 20 --tokens {20 if tiny else 400} --interval 5", "emit to receive, median", "ms",
             ["dockrion", "evhttp"]),
        load("latency-runs", "emit to receive, 20 runs, a token each 5 ms",
             f"latency --runs --streams 20 --tokens {20 if tiny else 400} --interval 5",
             "emit to receive, median", "ms", ["dockrion"]),
        load("held", f"{held:,} streams that wait", f"held --streams {held} --hold {0.3 if tiny else 3}",
             "memory a stream", "bytes", ["dockrion", "evhttp"], [("memory a stream", "evhttp", most, 2.5)]),
        load("fanout-100", "one run to 100 subscribers, as fast as it goes",
             f"fanout --subscribers {20 if tiny else 100} --tokens {50 if tiny else 5000}",
             "tokens delivered a second", "/s", ["dockrion", "nchan"],
             [("tokens delivered a second", "nchan", least, 2)]),
        load("fanout-1000", "one run to 1,000 subscribers, as fast as it goes",
             f"fanout --subscribers {100 if tiny else 1000} --tokens {20 if tiny else 1000}",
             "tokens delivered a second", "/s", ["dockrion", "nchan"],
             [("tokens delivered a second", "nchan", least, 2)]),
        load("fanout-paced", "one run to 500 subscribers, a token each 20 ms",
             f"fanout --stamp --subscribers {20 if tiny else 500} --tokens {10 if tiny else 150} --interval 20",
             "server CPU", "s", ["dockrion", "nchan"]),
        load("reconnect", "200 clients that reconnect all the time",
             f"reconnect --clients {20 if tiny else 200} --tokens {200 if tiny else 2000} --interval 1",
             "connections a second", "/s", ["dockrion"]),
    ] + redis_scenarios(options)


def redis_scenarios(options):
    """The Redis backend against the memory backend."""
    tiny, both, scenarios = options.smoke, ["dockrion", "redis"], []
    for runs, tokens in ((1, 90_000), (100, 4_000), (1_000, 500)):
        asked, each = (min(runs, 50), 20) if tiny else (runs, tokens)
        scenarios.append(Persisted(
            f"redis-runs-{runs}", f"{asked:,} run{'s' if asked > 1 else ''} of {each:,} tokens, as fast as it goes",
            f"streams --runs --streams {asked} --tokens {each} --interval 0", "events a second", "/s", both, options,
            [("events a second", "redis", "ratio at most", 2)]))
    scenarios.append(Elsewhere(
        "redis-latency", "emit to receive, 20 runs, a token each 5 ms",
        f"latency --runs --streams 20 --tokens {20 if tiny else 400} --interval 5", "emit to receive, median", "ms",
        both, options))
    scenarios.append(RedisBytes("redis-bytes", 100 if tiny else 1_000))
    return scenarios
