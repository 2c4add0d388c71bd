"""Order books as simply as they can be written: lists and dictionaries, after docs/formats.md. The servers'
own are put against it. Also the journal that a server writes, and one made here."""

import struct

LEVELS, MIDDLE, ORDERS_MAX, TARGET = 1024, 512, 4096, 1024
BID, ASK = 0, 1
UPDATE, TRADE = 0, 1
MASK = (1 << 64) - 1
GOLDEN = 0x9e3779b97f4a7c15
HEAD_BYTES = 4096
MAGIC = b"archbench-book/1"


def mix(seed):
    """The step of SplitMix64."""
    z = (seed + GOLDEN) & MASK
    z = ((z ^ z >> 30) * 0xbf58476d1ce4e5b9) & MASK
    z = ((z ^ z >> 27) * 0x94d049bb133111eb) & MASK
    return z ^ z >> 31


def symbol_of(seed, symbols):
    return mix(seed) % symbols


class Draw:
    """What a seed says."""

    def __init__(self, seed):
        a, b = mix((seed + GOLDEN) & MASK), mix((seed + 2 * GOLDEN) & MASK)
        self.percent = a % (1 << 32) % 100
        self.side = a >> 32 & 1
        self.quantity = 1 + (a >> 33) % 100
        self.pick = b % (1 << 32)
        self.distance = min(b >> 32 & 255, b >> 40 & 255)


class Order:
    def __init__(self, side, price, quantity):
        self.side, self.price, self.quantity = side, price, quantity


class Book:
    """One symbol."""

    def __init__(self, symbol):
        self.queues = {}   # (side, price): orders, the oldest first
        self.resting = []  # in the order by which updates pick
        self.applied = self.fresh = self.filled = self.unfilled = 0
        number = 0
        while len(self.resting) < TARGET:
            draw = Draw((symbol << 32) + number)
            self.place(draw.side, draw)
            number += 1

    @staticmethod
    def limit(side, distance):
        return MIDDLE + 1 - distance if side == BID else MIDDLE - 1 + distance

    def best(self, side):
        prices = [price for its, price in self.queues if its == side]
        return (max(prices) if side == BID else min(prices)) if prices else None

    def leave_queue(self, order):
        queue = self.queues[order.side, order.price]
        queue.remove(order)
        if not queue:
            del self.queues[order.side, order.price]

    def leave_list(self, order):
        """The last one takes its place."""
        last = self.resting.pop()
        if last is not order:
            self.resting[self.resting.index(order)] = last

    def fill(self, side, limit, quantity):
        """Of an order that comes in. What is left of its quantity."""
        while quantity:
            price = self.best(1 - side)
            if price is None or (price > limit if side == BID else price < limit):
                break
            order = self.queues[1 - side, price][0]
            shares = min(order.quantity, quantity)
            quantity -= shares
            order.quantity -= shares
            if not order.quantity:
                self.leave_queue(order)
                self.leave_list(order)
        return quantity

    def rest(self, order):
        self.queues.setdefault((order.side, order.price), []).append(order)

    def place(self, side, draw):
        price = self.limit(side, draw.distance)
        left = self.fill(side, price, draw.quantity)
        if left:
            order = Order(side, price, left)
            self.resting.append(order)
            self.rest(order)

    def move(self, order, distance):
        self.leave_queue(order)
        order.price = self.limit(order.side, distance)
        order.quantity = self.fill(order.side, order.price, order.quantity)
        if order.quantity:
            self.rest(order)
        else:
            self.leave_list(order)

    def update(self, draw):
        picked = self.resting[draw.pick % len(self.resting)] if self.resting else None
        bids = sum(order.side == BID for order in self.resting)
        kind = "new" if draw.percent < 9 else "ioc" if draw.percent < 12 else \
            "cancel" if draw.percent < 18 else "move"
        if kind == "ioc":
            self.fill(draw.side, MIDDLE + 16 if draw.side == BID else MIDDLE - 16, draw.quantity)
        elif kind == "new" and len(self.resting) < ORDERS_MAX:
            self.place(draw.side, draw)
        elif kind == "cancel" and len(self.resting) < TARGET:
            self.place(BID if bids <= len(self.resting) - bids else ASK, draw)
        elif kind in ("new", "cancel"):
            self.leave_queue(picked)
            self.leave_list(picked)
        elif picked:
            self.move(picked, draw.distance)

    def apply(self, operation, seed):
        draw = Draw(seed)
        self.applied += 1
        if operation == UPDATE:
            self.fresh = max(self.fresh, seed)
            self.update(draw)
        else:
            left = self.fill(draw.side, LEVELS - 1 if draw.side == BID else 0, draw.quantity)
            self.filled += draw.quantity - left
            self.unfilled += left

    def digest(self):
        found = 0
        for word in (self.applied, self.fresh, self.filled, self.unfilled):
            found = mix(found ^ word)
        place = {id(order): index for index, order in enumerate(self.resting)}
        for side, price in sorted(self.queues, key=lambda key: key[1]):
            for order in self.queues[side, price]:
                found = mix(found ^ (side << 63 | price << 48 | place[id(order)] << 32 |
                                     order.quantity))
        return found


class Market:
    """All symbols."""

    def __init__(self, symbols):
        self.symbols, self.books = symbols, {}

    def apply(self, operation, seed):
        symbol = symbol_of(seed, self.symbols)
        if symbol not in self.books:
            self.books[symbol] = Book(symbol)
        self.books[symbol].apply(operation, seed)

    def total(self):
        """What build/replay prints, but for what it skipped."""
        digest = 0
        for symbol, book in self.books.items():
            digest ^= mix(book.digest() + symbol & MASK)
        books = self.books.values()
        return {"digest": f"{digest:016x}", "entries": sum(book.applied for book in books),
                "filled": sum(book.filled for book in books),
                "unfilled": sum(book.unfilled for book in books)}


def packed_entry(number, operation, seed, symbols):
    what = symbol_of(seed, symbols) << 16 | operation + 1
    check = mix(mix(seed) ^ mix(number) ^ what) >> 32
    return struct.pack("<QQ", seed, check << 32 | what)


def packed_head(symbols, length):
    return struct.pack("<24sI4xQQ", MAGIC, symbols, length, length).ljust(HEAD_BYTES, b"\0")


def packed_journal(symbols, operations):
    """A journal of these (operation, seed); None in their place leaves a gap."""
    entries = [packed_entry(number, *each, symbols) if each else bytes(16)
               for number, each in enumerate(operations)]
    return packed_head(symbols, len(entries)) + b"".join(entries)


def read_journal(path):
    """(symbols, [(operation, seed)]) of a journal, in its order, without gaps."""
    with open(path, "rb") as file:
        magic, symbols, length, _ = struct.unpack("<24sI4xQQ", file.read(48))
        assert magic.rstrip(b"\0") == MAGIC, magic
        file.seek(HEAD_BYTES)
        data = file.read(16 * length)
    found = []
    for number in range(len(data) // 16):
        entry = data[16 * number:16 * number + 16]
        seed, rest = struct.unpack("<QQ", entry)
        operation = (rest & 0xffff) - 1
        if operation in (UPDATE, TRADE) and entry == packed_entry(number, operation, seed, symbols):
            found.append((operation, seed))
    return symbols, found


def replayed(path):
    """What the books of a journal come to by this implementation."""
    symbols, operations = read_journal(path)
    market = Market(symbols)
    for operation, seed in operations:
        market.apply(operation, seed)
    return market.total()
