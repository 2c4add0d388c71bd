"""A running serverless router, and what its pages tell, for the modules that test it."""

import json
import os
import time
import unittest

import harness
from harness import request

PATH = os.path.join(harness.BUILD, "servers", "serverless")


@unittest.skipUnless(os.access(PATH, os.X_OK), "serverless is not built")
class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.target = harness.Target(PATH)

    def start(self, *options):
        server = harness.Server(self.target, *options)
        self.addCleanup(server.errors.close)
        self.addCleanup(server.settle)
        return server

    def page(self, server, target, method="GET"):
        with server.peer() as peer:
            reply = peer.get(target, method=method)
        self.assertEqual((reply.status, reply.headers["content-type"]), (200, "application/json"))
        return json.loads(reply.body)

    def function(self, server, name):
        """The accounts and instances of one function; None: nobody has called it."""
        found = [each for each in self.page(server, "/functions") if each["name"] == name]
        return found[0] if found else None

    def pids(self, server, name, states=("starting", "idle", "busy")):
        function = self.function(server, name)
        return [each["pid"] for each in function["instances"] if each["state"] in states]

    def together(self, server, count, target):
        """Statuses of so many requests at the same time, each on its own connection."""
        peers = [server.peer() for _ in range(count)]
        for peer in peers:
            peer.send(request(target))
        statuses = [peer.reply().status for peer in peers]
        for peer in peers:
            peer.close()
        return statuses

    @staticmethod
    def timed(server, target):
        begin = time.monotonic()
        reply = server.get(target)
        return reply, time.monotonic() - begin
