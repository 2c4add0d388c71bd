"""The kinds of clients that the load generator plays: users who think, try again or come anew,
connections that idle, are slow or come from many addresses.

What the server saw is the witness, beside what the generator says."""
import os
import socket
import statistics
import subprocess
import time

from generator_case import LOADGEN, OK, Case, Server


class Log(Server):
    """Answers at once, and remembers of each request when it came, its target and its peer."""

    def __init__(self, script=None):
        self.seen, self.peers = [], []
        self.play_script = script
        super().__init__(self.watch)

    def watch(self, peer):
        with self.lock:
            number = len(self.peers)
            self.peers.append(peer.sock.getpeername())
        for head in peer.requests():
            with self.lock:
                self.seen.append((time.monotonic(), head.split()[1], number))
            if self.play_script:
                self.play_script(peer)
            else:
                peer.send(OK)

    def times(self, target="/"):
        return [at for at, path, _ in self.seen if path == target]

    def per_connection(self):
        """How many requests each connection carried, idle ones included."""
        counts = [0] * len(self.peers)
        for _, _, number in self.seen:
            counts[number] += 1
        return counts


class Thinking(Case):
    def test_a_fixed_think_time_sets_the_pace(self):
        with Log() as server:
            result = self.load(server.url(), "-c", 4, "--think", "fixed 50ms", "-d", "1s")
        self.only_errors(result)
        self.assertAlmostEqual(result["achieved_rate"], 80, delta=8)
        self.assertLess(result["total"]["response"]["p50_us"], 20e3, "a pause is no waiting")
        self.assertGreater(result["total"]["lag"]["max_us"], 0, "but being late after it is lag")
        gaps = self.gaps_of_one_connection(server)
        self.assertAlmostEqual(statistics.median(gaps), 0.05, delta=0.01)

    def gaps_of_one_connection(self, server):
        times = [at for at, _, number in server.seen if number == 0]
        return [b - a for a, b in zip(times, times[1:])]

    def test_an_exponential_think_time_varies(self):
        with Log() as server:
            result = self.load(server.url(), "-c", 40, "--think", "100ms", "-d", "1s")
        self.assertAlmostEqual(result["achieved_rate"], 400, delta=90)
        gaps = self.gaps_of_one_connection(server)
        with server.lock:
            every = [gap for k in range(40)
                     for gap in self.gaps_between([at for at, _, n in server.seen if n == k])]
        self.assertGreater(len(gaps) + len(every), 200)
        self.assertAlmostEqual(statistics.pstdev(every) / statistics.mean(every), 1, delta=0.35)

    @staticmethod
    def gaps_between(times):
        return [b - a for a, b in zip(times, times[1:])]

    def test_users_with_a_fixed_pause_do_not_march_in_step(self):
        with Log() as server:
            self.load(server.url(), "-c", 40, "--think", "fixed 300ms", "-d", "900ms")
        slots = {int(at / 0.03) for at in server.times()}
        self.assertGreater(len(slots), 20, "in step there would be three")

    def test_a_thinking_user_does_not_notice_that_his_connection_is_lost(self):
        """The server ends silent connections after 100 ms; a user who thinks 300 ms still comes."""
        def script(peer):
            peer.sock.settimeout(0.1)
            try:
                for _ in peer.requests():
                    peer.send(OK)
            except TimeoutError:
                pass
        with Server(script) as server:
            result = self.load(server.url(), "-c", 8, "--think", "fixed 300ms", "-d", "1500ms")
        self.only_errors(result)
        self.assertAlmostEqual(result["good"], 8 * 1.5 / 0.3, delta=10)

    def test_little_s_law_counts_the_thinkers(self):
        with Log() as server:
            result = self.load(server.url(), "-c", 10, "--think", "fixed 40ms", "-d", "1s")
        self.assertLess(result["littles_law"]["error"], 0.25, "without them it would be near 1")


class Connections(Case):
    def test_churn(self):
        with Log() as server:
            result = self.load(server.url(), "-c", 4, "-r", 200, "--churn", 5, "-d", "500ms",
                               "--drain", "1s")
        self.only_errors(result)
        self.assertLessEqual(max(server.per_connection()), 5)
        self.assertAlmostEqual(len(server.peers), len(server.seen) / 5, delta=5)
        self.assertGreaterEqual(result["connect"]["count"], 10)
        self.assertGreater(result["connect"]["p50_us"], 0)

    def test_idle_connections_are_held_and_never_used(self):
        with Log() as server:
            result = self.load(server.url(), "-c", 3, "-w", 2, "--idle", 20, "-r", 100)
        self.only_errors(result)
        counts = server.per_connection()
        self.assertEqual(len(counts), 23)
        self.assertEqual(sum(n > 0 for n in counts), 3)

    def test_idle_connections_are_no_users_of_a_closed_loop(self):
        with Log() as server:
            result = self.load(server.url(), "-c", 3, "--idle", 5)
        self.only_errors(result)
        self.assertEqual(sum(n > 0 for n in server.per_connection()), 3)
        self.assertEqual(len(server.peers), 8)

    def test_every_connection_is_used_in_turn(self):
        with Log() as server:
            self.load(server.url(), "-c", 30, "-r", 300, "--arrivals", "constant", "-d", "400ms")
        self.assertEqual(len(server.peers), 30)
        self.assertGreaterEqual(min(server.per_connection()), 3)

    def test_sources(self):
        with Log() as server:
            result = self.load(server.url(), "-c", 8, "-r", 100,
                               "--sources", "127.0.0.2-127.0.0.4,127.0.1.1")
        self.only_errors(result)
        addresses = [address for address, _ in server.peers]
        self.assertEqual(sorted(set(addresses)),
                         ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.1.1"])
        self.assertEqual(addresses.count("127.0.1.1"), 2)

    def test_several_servers_share_the_connections(self):
        with Log() as first, Log() as second:
            result = self.load(first.url("/a"), "-c", 6, "-w", 2, "-r", 200, second.url("/b"))
        self.only_errors(result)
        self.assertEqual((len(first.peers), len(second.peers)), (3, 3))
        self.assertGreater(len(first.times("/a")), 10)
        self.assertGreater(len(second.times("/b")), 10)

    def test_a_slow_ramp_is_waited_for(self):
        with Log() as server:
            begin = time.monotonic()
            self.load(server.url(), "-w", 3, "-c", 6, "--ramp", 0.9, "-r", 100, "-d", "100ms")
        self.assertEqual(len(server.peers), 6)
        self.assertGreater(time.monotonic() - begin, 3, "the second of each worker comes after 3.3 s")

    def test_a_ramp_spreads_the_first_connections(self):
        accepted = []
        with Server(lambda peer: (accepted.append(time.monotonic()), *peer.requests())) as server:
            self.load(server.url(), "-c", 40, "--ramp", 100, "-r", 1, "--arrivals", "constant",
                      "-d", "50ms")
        self.assertEqual(len(accepted), 40)
        self.assertAlmostEqual(max(accepted) - min(accepted), 0.39, delta=0.15)


class Slow(Case):
    def workload(self, keys):
        return self.path("slow.ini", "[workload]\narrivals = poisson\ntimeout = 3s\n"
                                     "[class slow]\nconnections = 1\nrate = 2\nrequest = /slow\n"
                                     f"{keys}\n"
                                     "[class quick]\nrate = 100\nrequest = /quick\n")

    def test_a_slow_writer_takes_its_time(self):
        """A request of about 45 bytes at 150 bytes/s: 0.3 s."""
        pieces = []

        def script(peer):
            head = b""
            while data := peer.sock.recv(65536):
                pieces.append(len(data))
                head += data
                if head.endswith(b"\r\n\r\n"):
                    peer.send(OK)
                    head = b""

        path = self.workload("send_rate = 150")
        with Server(script) as server:
            result = self.load(server.url(), "--workload", path, "-d", "2s", "--drain", "2s")
        self.only_errors(result)
        slow, quick = result["classes"]["slow"], result["classes"]["quick"]
        self.assertGreater(slow["good"], 0)
        self.assertGreater(slow["service"]["min_us"], 150e3)
        self.assertLess(quick["service"]["p50_us"], 50e3, "the others do not wait for it")
        self.assertGreater(sum(n <= 2 for n in pieces), 20, "byte by byte")

    def test_a_slow_reader_notices_that_the_server_closed(self):
        def script(peer):
            peer.request()
            peer.send(OK)  # and closes, without having said so

        with Server(script) as server:
            result = self.load(server.url(), "--workload",
                               self.path("w.ini", "[workload]\narrivals = closed\n"
                                                  "connections = 2\n[class slow]\n"
                                                  "receive_rate = 2000\nrequest = /\n"))
        self.only_errors(result)
        self.assertGreater(result["good"], 5)

    def test_many_slow_clients_do_not_hold_the_clock_up(self):
        """One pass over all of them takes longer than the pause of each."""
        path = self.path("w.ini", "[workload]\narrivals = closed\nconnections = 6000\n"
                                  "[class slow]\nsend_rate = 100\nrequest = /\n")
        with subprocess.Popen([os.path.join(os.path.dirname(LOADGEN), "servers", "event"),
                               "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
            port = server.stdout.readline().rsplit(":", 1)[1].strip()
            begin = time.monotonic()
            self.load(f"http://127.0.0.1:{port}/", "-H", "X-Long: " + 3000 * "x",
                      "--workload", path)
            server.terminate()
        self.assertLess(time.monotonic() - begin, 10)

    def test_a_slow_writer_is_slow_on_a_new_connection_too(self):
        pieces = []

        def script(peer):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                data = peer.sock.recv(65536)
                if not data:
                    return
                pieces.append(len(data))
                head += data
            peer.send(OK)

        path = self.path("slow.ini", "[workload]\narrivals = closed\nconnections = 1\nchurn = 1\n"
                                     "[class slow]\nsend_rate = 500\nrequest = /\n")
        with Server(script) as server:
            result = self.load(server.url(), "--workload", path, "-d", "500ms", "--drain", "1s")
        self.only_errors(result)
        self.assertGreater(result["good"], 1)
        self.assertLess(max(pieces), 40, "a whole request at once")

    def test_a_slow_reader_holds_the_server_up(self):
        """Its window is small and it reads 200 kB/s, so 100 kB keep the server in send(), although
        they would fit into the buffers of a client that is only late."""
        blocked = []

        def script(peer):
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20000)
            for head in peer.requests():
                body = b"x" * 100000 if "/slow" in head else b""
                begin = time.monotonic()
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                if body:
                    blocked.append(time.monotonic() - begin)

        path = self.workload("receive_rate = 200k")
        with Server(script) as server:
            result = self.load(server.url(), "--workload", path, "-d", "2s", "--drain", "3s")
        self.only_errors(result)
        slow, quick = result["classes"]["slow"], result["classes"]["quick"]
        self.assertGreater(slow["good"], 0)
        self.assertGreater(slow["service"]["min_us"], 400e3)
        self.assertLess(quick["service"]["p50_us"], 50e3)
        self.assertGreater(max(blocked), 0.1, "send() did not have to wait")


class Refused(Case):
    """A user of a closed loop who is told 503 comes again later, as Retry-After asks of him."""
    BUSY = b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"

    def load_refused(self, *options):
        with Log(lambda peer: peer.send(self.BUSY)) as server:
            return server, self.load(server.url(), "-c", 1, "-d", "1s", *options)

    def gaps(self, server):
        times = server.times()
        return [b - a for a, b in zip(times, times[1:])]

    def test_he_pauses(self):
        server, result = self.load_refused("--retry-after", "100ms")
        gaps = self.gaps(server)
        self.assertGreater(min(gaps), 0.099)
        self.assertLess(statistics.median(gaps), 0.16)
        self.assertGreater(max(gaps) - min(gaps), 0.01, "those refused together come together")
        self.assertEqual(result["errors"]["status_5xx"], result["requests"])
        self.assertAlmostEqual(result["connection_use"]["paused"], 1, delta=0.1)
        self.assertEqual(result["retry_after_s"], 0.1)

    def test_he_pauses_for_a_second_unless_told_otherwise(self):
        self.assertGreater(min(self.gaps(self.load_refused("-d", "2s")[0])), 0.99)

    def test_or_does_not(self):
        server, result = self.load_refused("--retry-after", "0")
        self.assertLess(statistics.median(self.gaps(server)), 0.02)
        self.assertEqual((result["connection_use"]["paused"], result["retry_after_s"]), (0, None))

    def test_only_those_who_were_refused_pause(self):
        """Any other failure is no request to come later."""
        error = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
        with Log(lambda peer: peer.send(error)) as server:
            self.load(server.url(), "-c", 1, "-d", "500ms")
        self.assertLess(statistics.median(self.gaps(server)), 0.02)

    def test_the_schedule_of_an_open_loop_goes_on(self):
        with Log(lambda peer: peer.send(self.BUSY)) as server:
            result = self.load(server.url(), "-c", 1, "-r", 100, "--arrivals", "constant",
                               "-d", "1s")
        self.assertEqual((result["requests"], result["connection_use"]["paused"]), (100, 0))


class Retries(Case):
    def flaky(self, failures):
        """Fails `failures` times before each good reply, by status or by hanging up."""
        count = [0]

        def script(peer):
            count[0] += 1
            if count[0] % (failures + 1) == 0:
                peer.send(OK)
            else:
                peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        return script

    def test_a_retry_rescues_and_its_load_shows(self):
        with Log(self.flaky(1)) as server:
            result = self.load(server.url(), "-c", 1, "-r", 50, "--arrivals", "constant",
                               "-d", "1s", "--drain", "1s", "--retries", 5, "--retry-base", "1ms",
                               "--retry-budget", 300)
        total = result["total"]
        self.only_errors(result)
        self.assertEqual(total["good"], 50)
        self.assertGreater(total["rescued"], 20)
        self.assertGreaterEqual(total["retries"], 45)
        self.assertEqual(total["attempts"], total["requests"] + total["retries"])
        self.assertAlmostEqual(len(server.seen), total["attempts"], delta=2)

    def test_without_retries_a_failure_is_final(self):
        with Log(self.flaky(1)) as server:
            result = self.load(server.url(), "-c", 1, "-r", 50, "-d", "500ms")
        self.assertEqual(result["total"]["retries"], 0)
        self.assertAlmostEqual(result["errors"]["status_5xx"], result["good"], delta=1)

    def test_the_pauses_grow(self):
        def script(peer):
            peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        with Log(script) as server:
            result = self.load(server.url(), "-c", 1, "-r", 2, "--arrivals", "constant", "-d", "1s",
                               "--drain", "2s", "--retries", 4, "--retry-base", "40ms",
                               "--retry-budget", 1000)
        self.only_errors(result, status_5xx=2)
        self.assertEqual(result["total"]["attempts"], 10)
        times = server.times()
        self.assertLess(max(times) - min(times), 0.5 + 0.04 + 0.08 + 0.16 + 0.32 + 0.2)
        self.assertGreater(times[4] - times[0], 0.02, "four pauses of random length")

    def test_the_budget_limits_them(self):
        def script(peer):
            peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        with Log(script) as server:
            result = self.load(server.url(), "-c", 2, "-r", 200, "-d", "1s", "--retries", 3,
                               "--retry-base", "1ms", "--retry-budget", 10)
        total = result["total"]
        self.assertAlmostEqual(total["retries"], total["requests"] / 10, delta=3)
        self.assertGreater(total["denied"], total["requests"] / 2)
        self.assertEqual(result["errors"]["status_5xx"], result["requests"])

    def test_a_lost_connection_is_retried_on_another(self):
        hang_up = [True]

        def script(peer):
            if hang_up[0]:
                hang_up[0] = False
                raise OSError
            peer.send(OK)
        with Log(script) as server:
            result = self.load(server.url(), "-c", 2, "-r", 50, "--arrivals", "constant",
                               "--retries", 2, "--retry-base", "1ms", "--retry-budget", 100,
                               "-d", "500ms")
        self.only_errors(result)
        self.assertEqual(result["total"]["rescued"], 1)

    def test_a_closed_loop_waits_for_its_second_attempt(self):
        """A user whose request failed asks for nothing else while the retry pauses, so the server
        hears nothing from him. The seed makes the pause a long one."""
        def script(peer):
            bad = len(server.seen) == 10
            peer.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n" if bad else OK)
        with Log(script) as server:
            result = self.load(server.url(), "-c", 1, "-d", "600ms", "--retries", 5,
                               "--retry-base", "400ms", "--retry-budget", 200, "--seed", 1)
        times = server.times()
        self.assertEqual(result["total"]["rescued"], 1)
        self.assertGreater(times[10] - times[9], 0.05)
        self.assertGreater(len(times), 40, "and then he goes on")
        self.assertLess(statistics.median(self.gaps(times)), 0.02)

    @staticmethod
    def gaps(times):
        return [b - a for a, b in zip(times, times[1:])]

    def test_a_request_that_is_wrong_is_not_repeated(self):
        with Log(lambda peer: peer.send(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")) as server:
            result = self.load(server.url(), "-r", 50, "--retries", 3, "--retry-budget", 300)
        self.assertEqual(result["total"]["retries"], 0)
        self.assertEqual(result["errors"]["status_4xx"], result["requests"])
