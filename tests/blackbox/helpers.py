"""What several topics of the suite use."""

import os
import re
import struct
import threading

from harness import request

MIB = 1 << 20
REPLY_FIELDS = ("date", "content-length", "server")


def chunked(*chunks):
    """A body in chunked coding, its last chunk included."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks + (b"",))


def post_chunked(*chunks, target="/"):
    return request(target, "POST", "1.1", b"", "Transfer-Encoding: chunked") + chunked(*chunks)


def counters_header():
    path = os.path.join(os.path.dirname(__file__), "..", "..", "common", "base", "counters.h")
    with open(path, encoding="utf-8") as file:
        return file.read()


def counter_names():
    """The counters in the order of their layout, from the list in the header."""
    return re.findall(r"^    X\((\w+), (?:counter|gauge),", counters_header(), re.MULTILINE)


def read_slots(path):
    """The slots of a --stats-file, each a dictionary."""
    names = counter_names()
    slots = int(re.search(r"COUNTER_SLOTS = (\d+)", counters_header())[1])
    size = (8 * len(names) + 63) // 64 * 64
    with open(path, "rb") as file:
        data = file.read()
    return [dict(zip(names, struct.unpack_from(f"{len(names)}q", data, at)))
            for at in range(64, 64 + slots * size, size)]


def together(count, work):
    """Run work(0), work(1)... at the same time; their results in order."""
    results = [None] * count
    start = threading.Barrier(count)

    def run(index):
        start.wait()
        try:
            results[index] = work(index)
        except Exception as error:  # pylint: disable=broad-except
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results
