"""The base of all black-box tests."""

import unittest

from .servers import Server


class ServerCase(unittest.TestCase):
    """One theme, run over every server. A subclass per target is made by the runner."""

    target = None
    options = ()   # of the server that the tests of this class share; None: they start their own
    alone = False  # measures time: nothing else runs beside it

    @classmethod
    def suits(cls, target):
        """Is this theme one of this server's?"""
        return True

    @classmethod
    def setUpClass(cls):
        cls.server = None if cls.options is None else Server(cls.target, *cls.options)

    @classmethod
    def tearDownClass(cls):
        if cls.server:
            cls.server.settle()

    def start(self, *options, **more):
        """A server for this test alone, stopped and checked at its end."""
        server = Server(self.target, *options, **more)
        self.addCleanup(server.settle)
        return server

    def peer(self, server=None, **options):
        peer = (server or self.server).peer(**options)
        self.addCleanup(peer.close)
        return peer

    def websocket(self, server=None, **options):
        websocket = (server or self.server).websocket(**options)
        self.addCleanup(websocket.close)
        return websocket
