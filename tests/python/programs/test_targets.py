"""The load generator: where it sends to, as people write it."""
import base64
import socket
import unittest

from generator_case import Case, OK, Server, always


class Targets(Case):
    def heads(self, url, server):
        result = self.load(url, "-c", 2, "-r", 50)
        self.only_errors(result)
        self.assertGreater(result["good"], 0)
        return server.requests

    def test_a_fragment_is_not_sent_and_a_scheme_has_no_case(self):
        with Server(always(OK)) as server:
            for head in self.heads(f"HTTP://127.0.0.1:{server.port}/a?b=c#part", server):
                self.assertEqual(head.split("\r\n")[:2],
                                 ["GET /a?b=c HTTP/1.1", f"Host: 127.0.0.1:{server.port}"])

    def test_a_name_and_a_password_become_a_header_and_are_not_shown(self):
        with Server(always(OK)) as server:
            url = f"http://ann:s%40cret@127.0.0.1:{server.port}/"
            word = base64.b64encode(b"ann:s@cret").decode()
            for head in self.heads(url, server):
                self.assertIn(f"\r\nAuthorization: Basic {word}", head)
            self.assertNotIn("cret", self.load(url, "-c", 1, "-r", 50)["url"])

    def test_ipv6(self):
        try:
            listener = socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=128)
        except OSError:
            self.skipTest("this machine has no IPv6")
        with Server(always(OK), listener) as server:
            for head in self.heads(f"http://[::1]:{server.port}/x", server):
                self.assertEqual(head.split("\r\n")[:2],
                                 ["GET /x HTTP/1.1", f"Host: [::1]:{server.port}"])


class Agreement(Case):
    """What the file leaves open the command line may say, and the other way round."""

    FILE = "[workload]\n{}\n[class a]\nrequest = /\n"
    URL = "http://127.0.0.1:1/"  # where nobody listens: a good plan fails only there
    PAIRS = (
        # the file's lines, the options, what is wrong (None: nothing)
        ("arrivals = poisson", ("-r", "100"), None),
        ("arrivals = constant", ("-r", "100"), None),
        ("arrivals = bursts\nburst = 5", ("-r", "100"), None),
        ("arrivals = bursts\nrate = 100", ("--burst", "5"), None),
        ("rate = 100", ("--arrivals", "bursts", "--burst", "5"), None),
        ("rate = 100", ("--arrivals", "constant"), None),
        ("arrivals = closed", ("--think", "1ms"), None),
        ("think = 1ms", ("--arrivals", "closed"), None),
        ("arrivals = closed", ("--arrivals", "poisson", "-r", "100"), None),
        ("arrivals = poisson", (), "rate"),
        ("arrivals = poisson", ("--burst", "5", "-r", "100"), "burst"),
        ("arrivals = closed", ("-r", "100"), None),  # as without a file: a rate opens the loop
        ("arrivals = closed", ("--arrivals", "closed", "-r", "100"), "closed loop has no rate"),
        ("arrivals = poisson\nrate = 100", ("--arrivals", "closed"), None),
        ("arrivals = bursts\nburst = 5\nrate = 9", ("--arrivals", "constant"), None),
        ("rate = 100", (), "a rate needs"),
        ("rate = 100", ("--think", "1ms"), "a rate needs"),
        ("arrivals = poisson\nrate = 100", ("--think", "1ms"), "think"),
        ("arrivals = poisson\nrate = 100\nburst = 5", (), "burst"),
        ("think = 1ms", ("-r", "100"), "think"),
    )

    def test_every_pair_of_an_option_and_a_key(self):
        for lines, options, wrong in self.PAIRS:
            with self.subTest(lines=lines, options=options):
                path = self.path("pair.ini", self.FILE.format(lines))
                said = self.refused("--workload", path, *options, self.URL)
                self.assertIn(wrong or "cannot connect", said)
