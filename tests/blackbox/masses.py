"""As many connections as descriptors allow."""

import random
import re
import socket
import struct

from harness import SLOW, ServerCase, request, wait_until


class Masses(ServerCase):
    """Ten thousand connections at a time, or as many as the architecture is made for."""

    options = None
    alone = True  # its sockets are half of the descriptors that this process may have
    COUNT = int(10_000 / SLOW)
    SAMPLE = 500
    LIMITS = {  # by label: how many it holds here, and why no more
        "iterative": (1, "one at a time"),
        "prefork": (1_000, "as many as processes, all made before the first connection"),
        "processes": (1_000, "each costs a fork and 150 KiB: 10,000 take seconds and 1.5 GB"),
        "event --multiplexer select": (1_000, "FD_SETSIZE is 1,024, the highest descriptor too"),
    }

    def setUp(self):
        self.limit, _ = self.LIMITS.get(self.target.label, (self.COUNT, None))

    def hold(self, server, count):
        """So many connections. A request on each five-hundredth waits until the server has caught
        up, so that its backlog does not run over."""
        held = []
        for index in range(count):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.settimeout(15 * SLOW)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.bind((f"127.0.0.{2 + index % 4}", 0))
            sock.connect(("127.0.0.1", server.port))
            held.append(sock)
            if index % 500 == 499:
                self.ask([sock])
        return held

    def ask(self, socks, target="/"):
        """All at once; the replies' bodies."""
        for sock in socks:
            sock.sendall(request(target))
        bodies = []
        for sock in socks:
            reply = b""
            while b"\r\n\r\n" not in reply:
                reply += self.more_of(sock)
            head, _, body = reply.partition(b"\r\n\r\n")
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
            length = int(re.search(rb"Content-Length: (\d+)", head)[1])
            while len(body) < length:
                body += self.more_of(sock)
            bodies.append(body)
        return bodies

    def more_of(self, sock):
        data = sock.recv(65536)
        self.assertTrue(data, "the server has closed it")
        return data

    def counted(self, sock, name):
        text = self.ask([sock], "/metrics")[0].decode()
        return int(re.search(rf"^archbench_{name}_total (\d+)$", text, re.MULTILINE)[1])

    def test_held_and_served(self):
        count = min(self.limit, self.COUNT)
        server = self.start("--idle-timeout", "5m", peers=count)
        held = self.hold(server, count)
        last = held[-1]
        self.assertTrue(wait_until(
            lambda: self.counted(last, "connections") - self.counted(last, "closed") == count, 10))
        sample = random.Random(1).sample(held, min(self.SAMPLE, count))
        self.assertEqual(set(self.ask(sample)), {b"ok\n"})
        self.assertEqual(self.counted(last, "refused"), 0)
        self.assertEqual(self.ask([last]), [b"ok\n"])

    def test_one_more(self):
        """--about tells how many are served: one more waits in the backlog for a place. Where
        it names none, one more is served at once."""
        server = self.start(peers=4)
        room = min(server.room, 4)
        if isinstance(self.target.about.get("peers"), int):
            self.assertEqual(server.room, self.limit)
        held = self.hold(server, room)
        self.ask(held)
        late = self.hold(server, 1)[0]
        late.sendall(request())
        if server.room == room:
            late.settimeout(0.2)
            with self.assertRaises(socket.timeout):
                late.recv(1)
            late.settimeout(15 * SLOW)
            held[0].close()
        self.assertTrue(self.more_of(late).startswith(b"HTTP/1.1 200 "))
