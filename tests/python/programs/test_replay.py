#!/usr/bin/python3
"""build/replay against an implementation of order books that shares no code with it, and on journals that
are damaged."""

import json
import os
import random
import subprocess
import tempfile
import unittest

import harness
from harness import order_books

REPLAY = os.path.join(harness.BUILD, "replay")


def replay(data):
    """Of a journal with these bytes."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        return subprocess.run([REPLAY, file.name], capture_output=True, text=True, check=False,
                              timeout=60 * harness.SLOW)


def replayed(data):
    done = replay(data)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Replay(unittest.TestCase):
    def agrees(self, symbols, operations):
        market = order_books.Market(symbols)
        for operation, seed in operations:
            market.apply(operation, seed)
        found = replayed(order_books.packed_journal(symbols, operations))
        self.assertEqual(found, {**market.total(), "skipped": 0})
        return found

    @staticmethod
    def drawn(source, count, trades):
        return [(order_books.TRADE if source.random() < trades else order_books.UPDATE,
                 source.randrange(1 << 64)) for _ in range(count)]

    def test_random_journals(self):
        """Few trades, as many as updates, and so many that a side of the book is empty."""
        for number, trades in enumerate((0, 0.02, 0.3, 0.7, 0.95, 1)):
            for symbols in (1, 3):
                with self.subTest(trades=trades, symbols=symbols):
                    source = random.Random(number)
                    self.agrees(symbols, self.drawn(source, 2500, trades))

    def test_a_full_book(self):
        """Only new orders, until there is no room for another."""
        seeds = (seed for seed in range(10**6) if order_books.Draw(seed).percent < 9)
        self.agrees(1, [(order_books.UPDATE, next(seeds)) for _ in range(6000)])

    def test_seeds_at_the_edges(self):
        seeds = (0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - order_books.GOLDEN)
        found = self.agrees(1024, [(operation, seed) for seed in seeds for operation in (0, 1)])
        self.assertEqual(found["entries"], 12)

    def test_nothing(self):
        self.assertEqual(self.agrees(16, [])["digest"], "0" * 16)

    def test_the_order_counts(self):
        operations = self.drawn(random.Random(1), 500, 0.1)
        digests = {self.agrees(1, each)["digest"] for each in (operations, operations[::-1],
                                                              operations[1:], operations[:-1])}
        self.assertEqual(len(digests), 4)

    def test_gaps(self):
        """Those of processes that were killed before they wrote."""
        operations = self.drawn(random.Random(2), 300, 0.1)
        whole = replayed(order_books.packed_journal(2, operations))
        holes = [None] + [each for pair in zip(operations, [None] * 300) for each in pair]
        self.assertEqual(replayed(order_books.packed_journal(2, holes)), {**whole, "skipped": 301})

    def test_a_torn_entry(self):
        """Any byte of it that is another makes it no entry; what comes before and after counts."""
        operations = self.drawn(random.Random(3), 40, 0.1)
        without = replayed(order_books.packed_journal(2, operations[:20] + [None] +
                                                      operations[21:]))
        data = order_books.packed_journal(2, operations)
        begin = order_books.HEAD_BYTES + 20 * 16
        for at in range(begin, begin + 16):
            with self.subTest(byte=at - begin):
                torn = data[:at] + bytes([data[at] ^ 0x11]) + data[at + 1:]
                self.assertEqual(replayed(torn), without)

    def test_a_cut_file(self):
        operations = self.drawn(random.Random(4), 40, 0.1)
        data = order_books.packed_journal(2, operations)
        for cut in range(1, 40):
            with self.subTest(cut=cut):
                kept = 40 - (cut + 15) // 16
                expected = replayed(order_books.packed_journal(2, operations[:kept]))
                self.assertEqual(replayed(data[:-cut]), expected)

    def test_no_journal(self):
        for data in (b"", b"x", b"x" * 5000, order_books.packed_head(16, 0)[:4000],
                     order_books.packed_head(0, 0), order_books.packed_head(1025, 0)):
            with self.subTest(size=len(data)):
                done = replay(data)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        for arguments in ([], ["a", "b"], ["/nowhere/at/all"]):
            done = subprocess.run([REPLAY, *arguments], capture_output=True, check=False)
            self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
