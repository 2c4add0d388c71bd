"""What the benchmarks share: servers on the first usable core, generators on the last one, and
measurements taken in pairs."""

import contextlib
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import typing

from archbench.bench.proc import cpu_s

CORES = sorted(os.sched_getaffinity(0))
CONNECTIONS = 64
WARMUP = "200ms"
PATIENCE_S = 60  # for what should take no time
NGINX_PORT = 18999
APACHE_PORT = 18998
NGINX_CONFIG = """
daemon off; worker_processes {workers}; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}{reuseport}; location / {{ return 200 "ok\\n"; }} }}
}}
"""
# One process whose threads serve a connection each. What comes out is a file of 3 bytes: Apache has
# no reply without one that needs no further module.
APACHE_CONFIG = """
ServerRoot {folder}
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
LoadModule mpm_worker_module {modules}/mod_mpm_worker.so
LoadModule authz_core_module {modules}/mod_authz_core.so
User nobody
Group nogroup
PidFile {folder}/pid
DefaultRuntimeDir {folder}
ErrorLog {folder}/error.log
DocumentRoot {folder}/site
StartServers 1
ServerLimit 1
ThreadsPerChild {threads}
ThreadLimit {threads}
MaxRequestWorkers {threads}
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
"""


# ---------------------------------------------------------------- processes


def pinned(*cores):
    return lambda: os.sched_setaffinity(0, cores)


def end(process, seconds):
    """Ask the process to end; insist when it has not after so many seconds."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Server:
    """A server, on the first core by default, for a `with` statement. Its URL is `url`."""

    def __init__(self, command, port=None, cores=CORES[:1]):
        self.command, self.port, self.cores = command, port, cores

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True,
                                        stderr=subprocess.DEVNULL, preexec_fn=pinned(*self.cores))
        try:
            self.await_ready()
        except BaseException:
            end(self.process, 5)
            raise
        return self

    def await_ready(self):
        if self.port is None:
            ready = self.process.stdout.readline()
            if not ready.startswith("ready "):
                sys.exit(f"{' '.join(self.command)}: not ready: {ready!r}")
            self.port = int(ready.rsplit(":", 1)[1])
        self.url = f"http://127.0.0.1:{self.port}/"
        subprocess.run(["curl", "-s", "--retry", "20", "--retry-connrefused", "--retry-delay", "1",
                        "-o", os.devnull, self.url], check=True)

    def __exit__(self, *_):
        end(self.process, 20)


def architecture(build, name, *options, cores=CORES[:1]):
    """One of build/servers."""
    return Server([f"{build}/servers/{name}", "--port", "0", *options], cores=cores)


def event(build, *options):
    return architecture(build, "event", *options)


def raw_reply(port, path):
    """The bytes of a small reply, as they come."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        return sock.recv(65536)


@contextlib.contextmanager
def answer(build, path):
    """A server that does no more than send, over and over, what `event` answers to this path. Faster
    than any generator: so the generator is what is measured."""
    with tempfile.NamedTemporaryFile("wb") as file:
        with event(build) as real:
            file.write(raw_reply(real.port, path))
        file.flush()
        with Server([f"{build}/bench/answer", file.name]) as server:
            yield server


def write(folder, name, text):
    """A file that a server without our rights may read, too. Returns its path."""
    path = os.path.join(folder, name)
    os.chmod(folder, 0o755)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def nginx(folder, workers=1, reuseport=False, cores=CORES[:1]):
    path = write(folder, "nginx.conf",
                 NGINX_CONFIG.format(folder=folder, port=NGINX_PORT, workers=workers,
                                     reuseport=" reuseport" if reuseport else ""))
    return Server([shutil.which("nginx") or "/usr/sbin/nginx", "-p", folder, "-c", path],
                  NGINX_PORT, cores)


def apache(folder, threads, modules="/usr/lib/apache2/modules"):
    """Its path `ok` is the file."""
    site = os.path.join(folder, "site")
    os.mkdir(site)
    write(site, "ok", "ok\n")
    path = write(folder, "apache.conf",
                 APACHE_CONFIG.format(folder=folder, port=APACHE_PORT, threads=threads,
                                      modules=modules))
    return Server([shutil.which("apache2") or "/usr/sbin/apache2", "-D", "FOREGROUND", "-f", path],
                  APACHE_PORT)


def unwind_on_sigterm():
    """Let SIGTERM run the `with` statements to their ends, as SIGINT does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


# ---------------------------------------------------------------- generators


class Speed(typing.NamedTuple):
    """What was reached, and the CPU time that each request cost: the generator, or, where servers
    are compared, the server."""

    rate: float  # requests per second
    cpu_us: float


def generate(command):
    """Run it on the last core. Returns what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          preexec_fn=pinned(CORES[-1]), check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
    return done.stdout


def speed(command, read_rate):
    """Run it; `read_rate` finds the requests/s in what it printed. Its whole life is taken to go at
    that rate, so start and end count as requests: some milliseconds of seconds."""
    before, begin_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    rate = read_rate(generate(command))
    after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begin_s
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Speed(rate, cpu_s / (rate * wall_s) * 1e6)


def wrk(url, seconds):
    def read_rate(out):
        if "Socket errors" in out or "Non-2xx" in out:
            sys.exit(f"wrk met errors:\n{out}")
        return float(re.search(r"Requests/sec:\s*([\d.]+)", out)[1])

    return speed(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url], read_rate)


def h2load(url, seconds):
    """With a warm-up: without one its -D counts the time it takes to connect."""
    def read_rate(out):
        if not re.search(r" 0 failed, 0 errored, 0 timeout$", out, re.MULTILINE):
            sys.exit(f"h2load met errors:\n{out}")
        return float(re.search(r"([\d.]+) req/s", out)[1])

    return speed(["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-D{seconds}s",
                  f"--warm-up-time={WARMUP}", url], read_rate)


def bare(build, port, seconds):
    return speed([f"{build}/bench/bare", f"-c{CONNECTIONS}", f"-d{seconds}s", "--warmup", WARMUP,
                  str(port)], lambda out: float(out.split()[0]))


def loadgen_command(build, url, seconds, *options):
    """One worker, 64 connections and a closed loop unless `options` say otherwise."""
    return [f"{build}/loadgen", "-w1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--warmup", WARMUP,
            "--quiet", "--json", "-", *options, url]


def all_good(result):
    """The result, when every request went well."""
    if result["good"] != result["requests"]:
        sys.exit(f"loadgen met errors: {result['errors']}")
    return result


def read_result(out):
    """The generator's JSON, when every request went well."""
    return all_good(json.loads(out))


def loadgen(build, url, seconds, *options):
    return read_result(generate(loadgen_command(build, url, seconds, *options)))


def loadgen_speed(build, url, seconds, *options):
    return speed(loadgen_command(build, url, seconds, *options),
                 lambda out: read_result(out)["achieved_rate"])


class Generator:
    """A loadgen that tells of its window, for a `with` statement (--control, docs/formats.md). Its
    command writes the result to stdout, and takes `seconds` or a little more."""

    def __init__(self, command, seconds, cores=CORES[-1:]):
        self.limit_s = seconds + PATIENCE_S
        self.cores = cores
        self.ours, self.theirs = socket.socketpair()
        self.out, self.log = (tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2))
        self.command = [command[0], "--control", str(self.theirs.fileno()), *command[1:]]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, pass_fds=[self.theirs.fileno()],
                                        stdout=self.out, stderr=self.log,
                                        preexec_fn=pinned(*self.cores))
        self.theirs.close()  # so that its end reads as end-of-file
        return self

    def expect(self, word):
        """Wait for the generator to say `word`."""
        text, deadline = b"", time.monotonic() + self.limit_s
        while not text.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self.ours], [], [], left_s)[0]:
                sys.exit(f"loadgen has not said {word!r} after {self.limit_s:.0f} s")
            byte = self.ours.recv(1)
            if not byte:
                sys.exit(f"loadgen ended before it said {word!r}: {self.complaints()}")
            text += byte
        if text.decode().strip() != word:
            sys.exit(f"loadgen said {text!r} instead of {word!r}")

    def release(self):
        """Let it close its connections, and wait for its result."""
        self.ours.sendall(b"\n")
        if self.process.wait(PATIENCE_S):
            sys.exit(f"loadgen failed: {self.complaints()}")
        self.out.seek(0)
        return json.load(self.out)

    def complaints(self):
        self.log.seek(0)
        return self.log.read().strip()

    def __exit__(self, *_):
        end(self.process, 5)
        self.ours.close()
        self.out.close()
        self.log.close()


def window(command, seconds, sample, cores=CORES[-1:]):
    """Run a loadgen; sample() when its window opens and when it closes. Returns its result and
    both samples."""
    with Generator(command, seconds, cores) as generator:
        generator.expect("begin")
        before = sample()
        generator.expect("end")
        after = sample()
        return generator.release(), before, after


def server_speed(build, server, seconds, *options, path="", cores=CORES[-1:]):
    """What a server reaches under loadgen, and the CPU time of its processes for each request."""
    command = loadgen_command(build, server.url + path, seconds, *options)
    result, before_s, after_s = window(command, seconds, lambda: cpu_s(server.process.pid), cores)
    all_good(result)
    replies = result["achieved_rate"] * result["duration_s"]
    return Speed(result["achieved_rate"], (after_s - before_s) / replies * 1e6)


# ---------------------------------------------------------------- pairs


def in_turns(first, second, rounds):
    """Measure both `rounds` times, each time one right after the other: a list of pairs."""
    pairs = []
    for i in range(rounds + 1):
        if i % 2:  # neither is always the first
            pair = (first(), second())
        else:
            pair = (second(), first())[::-1]
        if i:  # the first pair warms up
            pairs.append(pair)
    return pairs


def median_and_range(values, form):
    return (f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}} "
            f"in {len(values)} pairs)")


def line(name, text):
    print(f"  {name:12} {text}", flush=True)


def bound(value, low, high, unit=""):
    """Say whether the value lies where it must. None: no bound on that side."""
    holds = (low is None or value >= low) and (high is None or value <= high)
    wanted = " and ".join(([f"at least {low:g}{unit}"] if low is not None else []) +
                          ([f"at most {high:g}{unit}"] if high is not None else []))
    line("bound", f"{wanted}: {'holds' if holds else 'MISSED'}")
    return holds


def ratios(pairs):
    return [a / b for a, b in pairs]


def medians(names, pairs, form, unit):
    for name, values in zip(names, zip(*pairs)):
        line(name, f"{statistics.median(values):{form}} {unit}")


def compare(title, ours, peer, rounds, unit, form=",.0f", low=None, high=None):
    """ours and peer: (name, function that measures one number). Prints both medians and the ratio
    taken pair by pair. Returns whether the median ratio keeps its bounds."""
    print(title)
    pairs = in_turns(ours[1], peer[1], rounds)
    medians((ours[0], peer[0]), pairs, "12" + form, unit)
    line("ratio", median_and_range(ratios(pairs), ".3f"))
    if low is None and high is None:
        return True
    return bound(statistics.median(ratios(pairs)), low, high)


def compare_speed(title, ours, peer, rounds, low):
    """The same for functions that return a Speed, by rate. Where the server is the slower end the
    rates are alike, whatever the generators need; so their CPU time is shown beside it."""
    print(title)
    pairs = in_turns(ours[1], peer[1], rounds)
    names, rates = (ours[0], peer[0]), [(a.rate, b.rate) for a, b in pairs]
    costs = [(a.cpu_us, b.cpu_us) for a, b in pairs]
    medians(names, rates, "12,.0f", "requests/s")
    line("ratio", median_and_range(ratios(rates), ".3f"))
    medians(names, costs, "12.2f", "us of CPU per request")
    line("ratio", median_and_range(ratios(costs), ".3f"))
    return bound(statistics.median(ratios(rates)), low, None)
