"""An upstream in this process, which answers as a Redis would or fails as it is told."""

import socket
import threading
import time

from .base import wait_until


class Upstream:
    """What io=upstream calls, in this process: answers as a Redis would, or fails as `mood` says:
    "error", "drop" (ends the connection in place of a reply), "stall" (says nothing)."""

    def __init__(self, port=0):
        self.mood, self.connections, self.most, self.ended = "well", set(), 0, False
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.connections.add(connection)
                self.most = max(self.most, len(self.connections))
                if self.ended:
                    self.hang_up(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def hang_up(connection):
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def serve(self, connection):
        with connection, connection.makefile("rb") as file:
            try:
                while self.answer(connection, self.words(file)):
                    pass
            except (OSError, ValueError):
                pass
            with self.lock:
                self.connections.discard(connection)

    @staticmethod
    def words(file):
        """A command: an array of strings."""
        count = int(file.readline()[1:])
        return [file.read(int(file.readline()[1:]) + 2)[:-2].decode() for _ in range(count)]

    def answer(self, connection, words):
        if self.mood == "drop":
            return False
        if self.mood == "error":
            connection.sendall(b"-ERR the test wants it so\r\n")
        elif self.mood == "well" and words[0] == "PING":
            connection.sendall(b"+PONG\r\n")
        elif self.mood == "well":
            time.sleep(float(words[2]))
            connection.sendall(b"*-1\r\n")
        return True

    def stop(self):
        """As if it were killed: the port is free, all connections end."""
        self.hang_up(self.listener)
        self.listener.close()
        with self.lock:
            self.ended = True
            for connection in self.connections:
                self.hang_up(connection)
        wait_until(lambda: not self.connections, 5)
