"""A WebSocket server for tests of the load generator: a chat in which everything can go wrong."""
import base64
import hashlib
import threading


def frame(payload, opcode=1):
    size = len(payload)
    head = bytes([0x80 | opcode, size]) if size < 126 else \
        bytes([0x80 | opcode, 126]) + size.to_bytes(2, "big")
    return head + payload


class Hub:
    """A chat server. `deliver(number, frame)`: what is sent in place of the delivery with this number,
    a list of frames."""

    def __init__(self, deliver=lambda number, data: [data], answer=None):
        self.deliver, self.answer = deliver, answer or (lambda ident, target: f"{ident} 200\nok\n")
        self.lock, self.rooms, self.deliveries, self.messages = threading.Lock(), {}, 0, []
        self.paths = []

    def frames(self, peer):
        """(opcode, payload) of each frame; its key must be there."""
        def take(size):
            while len(peer.rest) < size:
                data = peer.sock.recv(65536)
                if not data:
                    return None
                peer.rest += data
            data, peer.rest = peer.rest[:size], peer.rest[size:]
            return data
        while (head := take(2)):
            assert head[1] & 0x80
            size = head[1] & 0x7f
            if size >= 126:
                size = int.from_bytes(take(2 if size == 126 else 8), "big")
            mask, payload = take(4), take(size)
            yield head[0] & 15, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))

    def publish(self, topic, ident, payload):
        for peer in self.rooms.get(topic, ()):
            self.deliveries += 1
            for data in self.deliver(self.deliveries, frame(f"*{topic} {ident}\n".encode() + payload)):
                peer.send(data)

    def handle(self, peer, message):
        line, _, payload = message.partition(b"\n")
        ident, target = line.decode().split(" ", 1)
        with self.lock:
            self.messages.append((ident, target, payload))
            if target.startswith("/subscribe?topic="):
                self.rooms.setdefault(target.partition("=")[2], []).append(peer)
                peer.send(frame(f"{ident} 200\nok\n".encode()))
                return
            if "publish=" in target:
                self.publish(target.partition("publish=")[2].partition("&")[0], ident, payload)
            if ident != "-":
                peer.send(frame(self.answer(ident, target).encode()))

    def __call__(self, peer):
        head = peer.request()
        self.paths.append(head.split()[1])
        key = [line.split(": ")[1] for line in head.split("\r\n") if "-Key" in line][0]
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Accept: " + base64.b64encode(accept) + b"\r\n\r\n")
        try:
            for opcode, payload in self.frames(peer):
                if opcode == 1:
                    self.handle(peer, payload)
                elif opcode == 9:
                    peer.send(frame(payload, 10))
        finally:
            with self.lock:
                for room in self.rooms.values():
                    if peer in room:
                        room.remove(peer)
