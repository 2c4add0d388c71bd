"""Reads past the page cache."""

from harness import ServerCase, request

from .helpers import together


class Disk(ServerCase):
    """Reads that really block."""

    def test_read(self):
        peer = self.peer()
        for query in ("io=disk:4096", "io=disk:1", "io=disk:1m&body=3", "io=disk:64k&io=disk:64k",
                      "cpu=hash:1ms&io=disk:4096&io=timer:1ms&io=disk:4096"):
            with self.subTest(query=query):
                self.assertEqual(peer.get("/work?" + query).status, 200)

    def test_many_at_once(self):
        def read(_):
            with self.server.peer() as peer:
                return [peer.get("/work?io=disk:16k").status for _ in range(20)]
        self.assertEqual(together(8, read), [[200] * 20] * 8)

    def test_pipelined(self):
        peer = self.peer()
        peer.send(b"".join(request(f"/work?io=disk:4096&body={n}") for n in range(10)))
        self.assertEqual([len(peer.reply().body) for _ in range(10)], list(range(10)))


class DiskWithoutFile(ServerCase):
    options = ("--data", "/nowhere/disk.data")

    def test_the_request_fails_and_nothing_else(self):
        peer = self.peer()
        for _ in range(3):
            reply = peer.get("/work?cpu=hash:1ms&io=disk:4096&io=timer:50s")
            self.assertEqual(reply.status, 500)
            self.assertNotIn("x-work-digest", reply.headers)
            self.assertEqual(peer.get().status, 200)
