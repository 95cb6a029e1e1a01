"""The servers that are measured: how each is found, started and stopped."""

import contextlib
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import time
import urllib.request

import machine
import redis

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent
SERVER_CORE = 0


class Failed(Exception):
    """A server that does not start or dies."""


class Running:
    """A started server: where it listens, and the process that does the work."""

    def __init__(self, peer, port, pid):
        self.peer, self.port, self.pid = peer, port, pid
        self.other = self.redis = None
        self.url = f"http://127.0.0.1:{port}"


class Peer:
    name = ""
    # The peer in whose scenarios it takes part as well.
    like = ""

    def missing(self):
        """Why it cannot be measured, in a sentence; None when it can."""
        return None

    def version(self):
        return ""

    def command(self, agent, port, directory):
        raise NotImplementedError

    def directory(self, directory):
        return ROOT

    def worker(self, pid):
        """The process that serves, where the one that was started is another."""
        return pid

    @contextlib.contextmanager
    def serve(self, agent, directory):
        port = free_port()
        log = directory / f"{self.name}-{port}.log"
        with open(log, "wb") as file:
            process = subprocess.Popen(
                machine.pinned(SERVER_CORE, self.command(agent, port, directory)), stdin=subprocess.DEVNULL,
                stdout=file, stderr=file, cwd=self.directory(directory))
        try:
            wait_for(port, process, log)
            yield Running(self, port, self.worker(process.pid))
            if process.poll() is not None:
                raise Failed(f"the server ended with {process.returncode}: {tail(log)}")
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Dockrion(Peer):
    name = "dockrion"

    def __init__(self, configuration):
        self.binary = ROOT / ".build" / configuration / "dockrion"

    def missing(self):
        if not self.binary.exists():
            return f"{self.binary.relative_to(ROOT)} is not built"
        return None

    def version(self):
        lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
        release = next(line[3:] for line in lines if re.match(r"## \d", line))
        return f"{release}, {machine.first_line(['swift', '--version'])}"

    def command(self, agent, port, directory):
        return [str(self.binary), "run", str(HERE / f"{agent}.yaml"), "--host", "127.0.0.1", "--port", str(port)]


class AnotherDockrion(Dockrion):
    """Another build, or the same one in another environment."""

    like = "dockrion"

    def __init__(self, name, command):
        self.name, self.words = name, shlex.split(command)
        self.binary = self.words[-1]

    def missing(self):
        return None if shutil.which(self.words[0]) else f"{self.words[0]} cannot be run"

    def version(self):
        return shlex.join(self.words)

    def command(self, agent, port, directory):
        return self.words + super().command(agent, port, directory)[1:]


class DockrionOnRedis(Dockrion):
    """Two instances on a Redis of their own; `Running.other` is the second."""

    name = "redis"

    def missing(self):
        if not shutil.which("redis-server"):
            return "redis-server is not installed"
        return super().missing()

    def version(self):
        return machine.first_line(["redis-server", "--version"])

    @contextlib.contextmanager
    def serve(self, agent, directory):
        with redis.Server(directory) as store:
            text = (HERE / f"{agent}.yaml").read_text()
            line = "streaming:\n"
            if text.count(line) != 1:
                raise Failed(f"{agent}.yaml has no streaming section")
            member = f"  backend: redis\n  redis: {{ url: '{store.url}' }}\n"
            (directory / f"{agent}-redis.yaml").write_text(text.replace(line, line + member))
            with super().serve(agent, directory) as server, super().serve(agent, directory) as other:
                for each in (server, other):
                    wait_until_ready(each)
                server.other, server.redis = other, store
                yield server

    def command(self, agent, port, directory):
        file = directory / f"{agent}-redis.yaml"
        return [str(self.binary), "run", str(file), "--host", "127.0.0.1", "--port", str(port)]


class Evhttp(Peer):
    name = "evhttp"
    binary = HERE / "peers/evhttp/.build/evhttp-peer"

    def missing(self):
        return None if self.binary.exists() else "benchmarks/peers/evhttp is not built (make bench does)"

    def version(self):
        return "libevent " + machine.first_line(["pkg-config", "--modversion", "libevent"])

    def command(self, agent, port, directory):
        return [str(self.binary), str(port)]


class Hummingbird(Peer):
    name = "hummingbird"
    package = HERE / "peers/hummingbird-peer"
    binary = package / ".build/release/HummingbirdPeer"

    def missing(self):
        return None if self.binary.exists() else "benchmarks/peers/hummingbird-peer is not built (make bench does)"

    def version(self):
        checkout = self.package / ".build/checkouts/hummingbird"
        return machine.first_line(["git", "-C", str(checkout), "describe", "--tags"])

    def command(self, agent, port, directory):
        return [str(self.binary), str(port)]


class Original(Peer):
    """The Python original, as `dockrion run` starts it but without a line for each request in its log."""

    name = "python"
    interpreter = HERE / ".venv/bin/python"

    def missing(self):
        if not self.interpreter.exists():
            return "benchmarks/.venv does not exist (make bench makes it, from PyPI)"
        found = subprocess.run([str(self.interpreter), "-c", "import dockrion_runtime"], capture_output=True)
        return None if found.returncode == 0 else "benchmarks/.venv has no dockrion"

    def version(self):
        code = "import importlib.metadata as m, sys; print(m.version('dockrion') + ', Python ' + sys.version.split()[0])"
        return machine.first_line([str(self.interpreter), "-c", code])

    def directory(self, directory):
        return directory / "python/runtime"

    def command(self, agent, port, directory):
        project = directory / "python"
        if not (project / "runtime").exists():
            shutil.copytree(HERE / "peers/python", project)
            code = ("from dockrion_sdk.deployment.deploy import generate_runtime;"
                    "generate_runtime('Dockfile.yaml', output_dir='runtime', include_dockerfile=False)")
            made = subprocess.run(
                [str(self.interpreter), "-c", code], cwd=project, capture_output=True, text=True)
            if made.returncode != 0:
                raise Failed(f"the runtime was not made: {made.stderr[-400:]}")
        return ["env", f"PYTHONPATH={project}", str(self.interpreter), "-m", "uvicorn", "main:app", "--host",
                "127.0.0.1", "--port", str(port), "--no-access-log", "--log-level", "warning"]


class Nchan(Peer):
    name = "nchan"
    module = pathlib.Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

    def missing(self):
        if nginx() is None:
            return "nginx is not installed"
        return None if self.module.exists() else "libnginx-mod-nchan is not installed"

    def version(self):
        package = machine.first_line(["dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan"])
        return f"{package}, {machine.first_line([nginx(), '-v'])}"

    def command(self, agent, port, directory):
        place = directory / "nchan"
        place.mkdir(exist_ok=True)
        text = (HERE / "peers/nchan/nginx.conf.in").read_text()
        for name, value in (("MODULE", self.module), ("DIRECTORY", place), ("PORT", port)):
            text = text.replace(f"@{name}@", str(value))
        (place / "nginx.conf").write_text(text)
        return [nginx(), "-c", str(place / "nginx.conf"), "-e", str(place / "error.log")]

    def worker(self, pid):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                children = file.read().split()
            if children:
                return int(children[0])
            time.sleep(0.01)
        raise Failed("nginx has no worker")


def all_peers(options):
    others = [AnotherDockrion(*word.split("=", 1)) for word in options.also]
    return [Dockrion(options.configuration), *others, DockrionOnRedis(options.configuration), Evhttp(), Hummingbird(),
            Original(), Nchan()]


def nginx():
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, log):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failed(f"the server ended at its start with {process.returncode}: {tail(log)}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Failed(f"nobody listens on port {port}: {tail(log)}")


def wait_until_ready(server):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(server.url + "/ready", timeout=2):
                return
        time.sleep(0.02)
    raise Failed(f"{server.peer.name} is not ready after 10 s")


def tail(log):
    return log.read_bytes()[-400:].decode(errors="replace").strip()
