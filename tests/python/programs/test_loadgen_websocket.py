#!/usr/bin/python3
"""The load generator on WebSockets: messages, deliveries and what is missing of them, one-way messages, and
bodies of requests by HTTP. The server here loses, repeats and reorders what it is told to."""

import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time

from generator_case import OK, Case, Server, children_of
from websocket_hub import Hub, frame

BUILD = os.environ.get("BUILD", "build")
CHAT = """[workload]
arrivals = constant
connections = {connections}
rate = {rate}
[class chat]
protocol = websocket
rooms = {rooms}
request = /work?publish=room{{room}}
body = 80
"""
ONE_WAY = """[workload]
arrivals = constant
connections = 2
rate = 400
[class feed]
protocol = websocket
one_way = yes
request = /work
body = 300
"""


class Chat(Case):
    def chat(self, hub, connections=6, rooms=2, rate=100, *arguments):
        path = self.path("chat.ini", CHAT.format(connections=connections, rooms=rooms, rate=rate))
        with Server(hub) as server:
            result = self.load(server.url(), "--workload", path, "-d", "500ms", *arguments,
                               default_time=False)
        return result["classes"]["chat"]

    def accounts(self, chat):
        return {key: chat["deliveries"][key] for key in ("lost", "doubled", "disordered")}

    def test_a_deaf_member_reads_nothing_and_is_owed_nothing(self):
        """One of it in each room of three. The buffers of both ends are small."""
        text = CHAT.format(connections=4, rooms=2, rate=400).replace("body = 80", "body = 1000")
        deaf = ("[class deaf]\nprotocol = websocket\nrooms = 2\nrequest = /\nrate = 0\ndeaf = yes\n"
                "connections = {}\n")
        text = text.replace("rate = 400\n", "").replace("rooms = 2", "rooms = 2\nrate = 150")
        for connections, blocked in (2, True), (0, False):
            gone = []
            hub = Hub()

            def publish(topic, ident, payload, hub=hub, gone=gone):
                for peer in list(hub.rooms[topic]):  # one that takes nothing costs only itself
                    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 300_000))
                    try:
                        peer.send(frame(f"*{topic} {ident}\n".encode() + payload))
                        hub.deliveries += 1
                    except OSError:
                        hub.rooms[topic].remove(peer)
                        gone.append(peer)
            hub.publish = publish
            path = self.path("chat.ini", text + deaf.format(connections))
            with Server(hub) as server:
                result = self.load(server.url(), "--workload", path, "-d", "1500ms", "--timeout", "5s",
                                   default_time=False)
            chat = result["classes"]["chat"]
            self.assertEqual(self.accounts(chat), {"lost": 0, "doubled": 0, "disordered": 0})
            self.assertEqual(chat["deliveries"]["delivered"], 2 * chat["deliveries"]["published"])
            self.assertEqual((chat["errors"], len(gone)), (0, 2 if blocked else 0))

    def test_a_request_may_name_its_room_in_several_steps(self):
        hub = Hub()
        path = self.path("chat.ini", CHAT.format(connections=24, rooms=12, rate=200).replace(
            "publish=room{room}", "io=redis:set:room{room}&publish=room{room}&io=redis:get:room{room}"))
        with Server(hub) as server:
            chat = self.load(server.url(), "--workload", path, "-d", "300ms",
                             default_time=False)["classes"]["chat"]
        asked = {target for _, target, _ in hub.messages if "publish" in target}
        self.assertEqual(asked, {f"/work?io=redis:set:room{n}&publish=room{n}&io=redis:get:room{n}"
                                 for n in range(12)})
        self.assertEqual(chat["deliveries"]["delivered"], 2 * chat["deliveries"]["published"])
        self.assertEqual(self.accounts(chat), {"lost": 0, "doubled": 0, "disordered": 0})

    def test_every_member_of_the_room_gets_it(self):
        hub = Hub()
        chat = self.chat(hub)
        self.assertEqual(set(hub.paths), {"/ws"})
        self.assertEqual((chat["good"], chat["errors"]), (50, 0))
        self.assertEqual(chat["deliveries"]["published"], 50)
        self.assertEqual(chat["deliveries"]["delivered"], 150)
        self.assertEqual(self.accounts(chat), {"lost": 0, "doubled": 0, "disordered": 0})
        self.assertEqual(chat["deliveries"]["latency"]["count"], 150)
        self.assertGreater(chat["deliveries"]["latency"]["p50_us"], 0)
        self.assertIn("deliveries of chat: 150 of 50 published; 0 lost", self.stdout)
        payloads = {len(payload) for _, target, payload in hub.messages if "publish" in target}
        self.assertEqual(payloads, {80})

    def test_workers_hear_each_other(self):
        chat = self.chat(Hub(), 8, 1, 100, "-w", "2")
        self.assertEqual(chat["deliveries"]["delivered"], 8 * chat["deliveries"]["published"])
        self.assertEqual(self.accounts(chat), {"lost": 0, "doubled": 0, "disordered": 0})

    def test_members_speak_at_random(self):
        """In turn, all whom a server took in together would speak together."""
        hub = Hub()
        self.chat(hub, 8, 1, 200)
        said = [payload.split()[1] for _, target, payload in hub.messages if "publish" in target]
        self.assertEqual(len(set(said)), 8)
        again = sum(said[i] in said[i - 4:i] for i in range(4, len(said)))
        self.assertGreater(again, len(said) / 10, said)  # one in three at random, none in turn

    def test_what_is_lost_is_counted(self):
        chat = self.chat(Hub(lambda number, data: [] if number % 10 == 0 else [data]))
        self.assertEqual(self.accounts(chat), {"lost": 15, "doubled": 0, "disordered": 0})
        self.assertIn("subscribers lost 15 deliveries", self.stdout)
        self.assertIn("VALID", self.stdout)

    def test_the_last_ones_are_missed_too(self):
        """Nothing comes after them that would show the gap."""
        chat = self.chat(Hub(lambda number, data: [] if number > 140 else [data]))
        self.assertEqual(self.accounts(chat), {"lost": 10, "doubled": 0, "disordered": 0})

    def test_what_comes_twice_is_counted(self):
        chat = self.chat(Hub(lambda number, data: [data] * (1 + (number % 15 == 0))))
        self.assertEqual(self.accounts(chat), {"lost": 0, "doubled": 10, "disordered": 0})
        self.assertEqual(chat["deliveries"]["latency"]["count"], 150)

    def test_what_comes_late_is_counted(self):
        """Two publishers take turns; each sixth delivery to a subscriber comes after the publisher's next."""
        held = {}

        def delay(number, data):
            turn, member = divmod(number - 1, 2)
            if turn % 6 == 1:
                held[member] = data
                return []
            return [data, held.pop(member)] if turn % 6 == 3 else [data]
        chat = self.chat(Hub(delay), 2, 1, 80)
        self.assertEqual(self.accounts(chat), {"lost": 0, "doubled": 0, "disordered": 14})

    def test_latency_is_from_when_it_was_due(self):
        """Each delivery is held for 50 ms."""
        class Slow(Hub):
            def publish(self, topic, ident, payload):
                threading.Timer(0.05, super().publish, (topic, ident, payload)).start()
        chat = self.chat(Slow(), 4, 2, 40)
        self.assertEqual(self.accounts(chat), {"lost": 0, "doubled": 0, "disordered": 0})
        self.assertGreater(chat["deliveries"]["latency"]["p50_us"], 49e3)
        self.assertLess(chat["response"]["p50_us"], 40e3)

    def test_refused_messages_are_not_missed(self):
        count = [0]

        def answer(ident, _):
            count[0] += 1
            return f"{ident} {503 if count[0] % 5 == 0 else 200}\nx\n"

        class Picky(Hub):
            def publish(self, topic, ident, payload):
                if (count[0] + 1) % 5:
                    super().publish(topic, ident, payload)
        chat = self.chat(Picky(answer=answer))
        self.assertEqual((chat["good"], chat["errors"]), (40, 10))
        self.assertEqual(chat["deliveries"]["published"], 40)
        self.assertEqual(self.accounts(chat), {"lost": 0, "doubled": 0, "disordered": 0})

    def test_what_is_refused_may_have_been_delivered(self):
        """A later step fails after the message was published. Its number is not used again: nobody gets it
        twice, and it is delivered beside those that were acknowledged."""
        count = [0]

        def answer(ident, _):
            count[0] += 1
            return f"{ident} {502 if count[0] % 5 == 0 else 200}\nx\n"
        chat = self.chat(Hub(answer=answer))
        self.assertEqual((chat["good"], chat["errors"]), (40, 10))
        self.assertEqual(self.accounts(chat), {"lost": 0, "doubled": 0, "disordered": 0})
        self.assertEqual((chat["deliveries"]["published"], chat["deliveries"]["delivered"]),
                         (40, 150))

    def test_lost_connections_are_known(self):
        """A connection that breaks with a message under way: nobody knows, so nobody misses it. Its
        subscriber misses what is published until it is back."""
        count = [0]

        class Breaking(Hub):
            def handle(self, peer, message):
                count[0] += b"publish" in message
                if b"publish" in message and count[0] % 10 == 0:
                    raise OSError("enough")
                super().handle(peer, message)
        chat = self.chat(Breaking())
        self.assertGreaterEqual(chat["errors"], 4)
        self.assertEqual(self.accounts(chat), {"lost": 0, "doubled": 0, "disordered": 0})
        found = chat["deliveries"]
        self.assertEqual(found["delivered"] + found["away"], 3 * found["published"])

    def test_other_answers_are_errors(self):
        for answer in ("{0}0 200\nok\n", "nonsense", "*room0 x\n1 2 3\n"):
            with self.subTest(answer=answer):
                hub = Hub(answer=lambda ident, _, answer=answer: answer.format(ident))
                chat = self.chat(hub, 2, 1, 20)
                self.assertEqual(chat["good"], 0)

    def test_a_server_without_websockets(self):
        path = self.path("chat.ini", CHAT.format(connections=2, rooms=1, rate=20))
        with Server(lambda peer: [peer.send(OK) for _ in peer.requests()]) as server:
            error = self.refused("--workload", path, "-d", "100ms", server.url())
        self.assertIn("connect", error)


class OneWay(Case):
    def test_messages_want_no_reply(self):
        hub = Hub()
        with Server(hub) as server:
            result = self.load(server.url(), "--workload", self.path("w.ini", ONE_WAY))
        feed = result["classes"]["feed"]
        self.assertEqual((feed["good"], feed["errors"]), (120, 0))
        self.assertIsNone(feed["deliveries"])
        self.assertEqual({(ident, target, len(payload)) for ident, target, payload in hub.messages},
                         {("-", "/work", 300)})
        self.assertEqual(len(hub.messages), 120)

    def test_a_server_that_does_not_read_is_waited_for(self):
        """The messages wait for the socket, and go out when it has room."""
        class Sleepy(Hub):
            def frames(self, peer):
                time.sleep(0.4)
                yield from super().frames(peer)
        text = ONE_WAY.replace("body = 300", "body = 60000").replace("rate = 400", "rate = 1000")
        hub = Sleepy()
        with Server(hub) as server:
            result = self.load(server.url(), "--workload", self.path("w.ini", text), "--timeout", "3s",
                               "--drain", "3s")
        self.assertEqual(result["classes"]["feed"]["good"], 300)
        self.assertEqual(len(hub.messages), 300)
        self.assertGreater(result["classes"]["feed"]["response"]["max_us"], 50e3)


class Keys(Case):
    def test_contradictions(self):
        base = "[workload]\narrivals = {arrivals}\n{rate}[class a]\nrequest = /\n"
        for arrivals, keys, word in (("constant", "one_way = yes", "protocol"),
                                     ("constant", "rooms = 2", "protocol"),
                                     ("closed", "protocol = websocket\none_way = yes", "one_way"),
                                     ("constant", "protocol = websocket\nsend_rate = 10", "slow"),
                                     ("constant", "protocol = websocket\nbody = 100k", "body"),
                                     ("constant", "protocol = websocket\ndeaf = yes", "deaf"),
                                     ("constant", "protocol = websocket\nrooms = 2\ndeaf = yes", "deaf"),
                                     ("constant", "protocol = tcp", "protocol"),
                                     ("constant", "one_way = maybe", "one_way"),
                                     ("constant", "body = much", "body")):
            with self.subTest(keys=keys):
                rate = "" if arrivals == "closed" else "rate = 10\n"
                path = self.path("w.ini", base.format(arrivals=arrivals, rate=rate) + keys + "\n")
                self.assertIn(word, self.refused("--workload", path, "http://127.0.0.1:1/"))

    def test_classes_that_share_connections_agree(self):
        path = self.path("w.ini", "[workload]\narrivals = constant\nrate = 10\n[class a]\nrequest = /\n"
                                  "[class b]\nprotocol = websocket\nrequest = /\n")
        self.assertIn("share connections", self.refused("--workload", path, "http://127.0.0.1:1/"))


class Bodies(Case):
    def bodies(self, keys):
        """The bodies that a server gets with these keys."""
        seen = []

        def script(peer):
            for head in peer.requests():
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
                size = int(fields.get("content-length", 0))
                while len(peer.rest) < size:
                    peer.rest += peer.sock.recv(65536)
                seen.append((head.split()[0], peer.rest[:size]))
                peer.rest = peer.rest[size:]
                peer.send(OK)
        path = self.path("w.ini", f"[workload]\narrivals = constant\nrate = 50\n[class a]\n{keys}\n")
        with Server(script) as server:
            result = self.load(server.url(), "--workload", path)
        self.assertEqual(result["errors"]["reset"] + result["errors"]["timeout"], 0)
        self.assertEqual(len(seen), result["good"])
        return set(seen)

    def test_of_a_size(self):
        self.assertEqual(self.bodies("request = POST /\nbody = 5"), {("POST", b"xxxxx")})
        self.assertEqual(self.bodies("request = /\nbody = 200k"), {("GET", b"x" * 204800)})
        self.assertEqual(self.bodies("request = POST /"), {("POST", b"")})

    def test_of_a_file(self):
        data = os.urandom(100000)
        with open(os.path.join(self.folder, "picture"), "wb") as file:
            file.write(data)
        self.assertEqual(self.bodies("request = PUT /\nbody = @picture"), {("PUT", data)})

    def test_file_that_is_not_there(self):
        path = self.path("w.ini", "[workload]\n[class a]\nrequest = POST /\nbody = @nothing\n")
        self.assertIn("nothing", self.refused("--workload", path, "http://127.0.0.1:1/"))


class OurServers(Case):
    """Against real ones, whose counters say the same."""

    def start(self, name, *options):
        server = subprocess.Popen([os.path.join(BUILD, "servers", name), "--port", "0", *options],
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        return server, int(server.stdout.readline().rpartition(":")[2])

    def run_chat(self, name, *options, kill=False):
        server, port = self.start(name, *options)
        path = self.path("chat.ini", CHAT.format(connections=120, rooms=6, rate=300))
        timer = threading.Timer(0.4, self.kill_child, (server,))
        if kill:
            timer.start()
        result = self.load(f"http://127.0.0.1:{port}/", "--workload", path, "-w", "2", "-d", "1s",
                           "--drain", "2s", default_time=False)
        server.send_signal(signal.SIGTERM)
        final = json.loads(server.stdout.read().splitlines()[-1])
        return result["classes"]["chat"], final

    @staticmethod
    def kill_child(server):
        os.kill(children_of(server.pid)[0], signal.SIGKILL)

    def test_accounts_agree(self):
        for name in ("event", "multi_loop", "threads", "processes", "staged", "actors"):
            with self.subTest(server=name):
                chat, final = self.run_chat(name)
                deliveries = chat["deliveries"]
                self.assertEqual((deliveries["published"], deliveries["delivered"]),
                                 (final["published"], final["pushed"]))
                self.assertEqual(deliveries["delivered"], 20 * deliveries["published"])
                self.assertEqual((deliveries["lost"], deliveries["doubled"],
                                  deliveries["disordered"]), (0, 0, 0))

    def test_a_killed_worker_costs_its_own_connections(self):
        """What others publish meanwhile reaches everybody that is there."""
        for name, options in (("multi_loop", ("--workers", "3")), ("processes", ())):
            with self.subTest(server=name):
                chat, final = self.run_chat(name, *options, kill=True)
                self.assertEqual(final["crashed"], 1)
                self.assertGreater(chat["good"], 200)
                self.assertEqual((chat["deliveries"]["lost"], chat["deliveries"]["doubled"],
                                  chat["deliveries"]["disordered"]), (0, 0, 0))
