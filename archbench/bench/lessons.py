"""The experiments of docs/reading-order.md, measured.

    archbench lessons          all of them, a line each
    archbench lessons NAME...  some of them
    archbench lessons --write  and put the lines into docs/reading-order.md, where each stands as a
                               quotation below the comment `<!-- lesson: NAME -->`

Each lesson is an experiment of some seconds and, written before it was measured, a prediction: a
formula with its number, and the bounds that the number must keep. A lesson's line gives medians of
--rounds repeats (pairs that take turns where two servers are compared) and says whether the
prediction holds; one that does not is a finding, not an error, so the exit status is 0. A lesson
during which the hypervisor took more than 2 % of the machine is measured again after a rest.

Where a server's CPU time is the question it has the first usable core and the generator the last
one. Where cores are the question it has the first two, and the generator shares the last one of
the machine at real-time priority, if that is allowed.
"""
import sys
import typing

from archbench.arguments import Parser
from archbench.bench.experiments import (active_object, actors, coroutines, coroutines_memory,
                                         event, event_stall, hybrid, io_uring, io_uring_disk,
                                         iterative, leader_followers, multi_loop,
                                         multi_loop_balance, prefork, processes, serverless,
                                         serverless_crash, staged, thread_pool, threads)
from archbench.bench.lesson_tools import Skipped
from archbench.bench.measured import (block, disturbance, holds, machine, quotation, undisturbed,
                                      with_block)
from archbench.bench.rig import CORES, unwind_on_sigterm
from archbench.places import REPOSITORY
from archbench.runner import alone

PAGE = REPOSITORY / "docs" / "reading-order.md"


class Lesson(typing.NamedTuple):
    """What is measured, and what it was expected to be."""

    measure: typing.Callable  # (options) -> the number that was predicted, and a sentence
    low: float  # bounds of the number; None: no bound on that side
    high: float
    prediction: str  # formula and number


# In the order of the page.
LESSONS = {
    "iterative": Lesson(iterative, 0.8, 1.2, "the patience that is left, 1 s - 0.1 s = 0.9 s"),
    "processes": Lesson(processes, 3, None,
                        "at least 3 times, as a fork, its page faults and an exit take 100 us or "
                        "more, a reply some 30 us"),
    "prefork": Lesson(prefork, None, 0.5, "at most 0.5, for no request pays for a fork"),
    "threads": Lesson(threads, None, 0.5,
                      "at most 0.5: both have a kernel stack of 16 KiB and the connection's 8 KiB, "
                      "a process adds page tables and copied pages of some 50 KiB"),
    "event": Lesson(event, 4700, 5300,
                    "250 / 0.050 s = 5,000 requests/s, give or take a round of 250"),
    "event-stall": Lesson(event_stall, 350, 450, "what is left of it, 500 ms - 100 ms = 400 ms"),
    "io_uring": Lesson(io_uring, None, 0.25,
                       "0.02 (a call for all 64) to 0.25; with readiness at least 2, a recv and a "
                       "send"),
    "io_uring-disk": Lesson(io_uring_disk, None, 0.5,
                            "at most 0.5, as no reply waits while the 32 reads are under way"),
    "coroutines": Lesson(coroutines, 0.85, 1.15,
                         "1.0 +- 0.15: two switches of some 10 ns in a request of 10 us"),
    "coroutines-memory": Lesson(coroutines_memory, 0, 8,
                                "1 or 2 pages of 4 KiB: a stack costs what has been touched of it"),
    "multi_loop": Lesson(multi_loop, 1.7, 2.05, "2 cores / 1 core = 2 times"),
    "multi_loop-balance": Lesson(multi_loop_balance, 0.25, 0.42,
                                 "by a hash 16 of 64, and at most three standard deviations of "
                                 "sqrt(64 x 1/4 x 3/4) = 3.5 more: 25 % to 42 %"),
    "thread_pool": Lesson(thread_pool, 760, 816,
                          "16 / 0.020 s = 800 requests/s, less up to 5 % for waking up"),
    "leader_followers": Lesson(leader_followers, None, 0.85,
                               "2 switches (wait for an event, wait to be promoted) against 3 "
                               "(watcher, worker, watcher): a ratio of 0.67, at most 0.85"),
    "hybrid": Lesson(hybrid, None, 0.05, "below 1 ms, as the loop preempts its workers, in `event` "
                                         "more than one computation, 20 ms: a ratio of 0.05 at "
                                         "most, also where a hypervisor stretches both"),
    "staged": Lesson(staged, None, 6,
                     "at most 3 queues x 2 = 6 queued; a client waits 16 x 20 ms = 320 ms"),
    "active_object": Lesson(active_object, None, 20,
                            "at most the computation under way, 20 ms; in one queue that of 8 "
                            "clients on 2 cores, 8 / 2 x 20 ms = 80 ms"),
    "actors": Lesson(actors, 2, 4,
                     "3 +- 1 switches (loop, actor, loop) against 1 (a thread that waits for its "
                     "peer)"),
    "serverless": Lesson(serverless, 200, 250,
                         "0 instances; 200 ms and a fork, at most 250 ms, for the first request"),
    "serverless-crash": Lesson(serverless_crash, None, 0, "0 failures of the other function"),
}


# ---------------------------------------------------------------- the lines, and the page


def line_of(lesson, options):
    try:
        (value, sentence), stolen = undisturbed(lambda: lesson.measure(options), options.build)
    except Skipped as reason:
        return f"Not measured: {reason}."
    verdict = "It holds" if holds(lesson, value) else "It does not hold"
    return (f"{sentence[0].upper()}{sentence[1:]}. Predicted: {lesson.prediction}. "
            f"{verdict}{disturbance(stolen)}.")


def setting(options):
    return f"{machine()}; medians of {options.rounds} repeats of {options.seconds:g} s."


def mark(name):
    return f"lesson: {name}"


def quoted(page, name):
    """The quotation of a lesson: a regular expression's match."""
    return block(page, mark(name))


def write(lines, options):
    """Some lines alone only beside others that the same machine gave."""
    page, here = PAGE.read_text(encoding="utf-8"), setting(options)
    if lines.keys() != LESSONS.keys() and quoted(page, "machine")[1] != quotation(here):
        sys.exit("the other lines of the page were not measured here, or otherwise: write all")
    for name, text in {"machine": here, **lines}.items():
        page = with_block(page, mark(name), quotation(text))
    PAGE.write_text(page, encoding="utf-8")


def main(words):
    parser = Parser("lessons", __doc__)
    parser.add_argument("names", nargs="*", choices=[*LESSONS, []], metavar="NAME",
                        help="default: all")
    parser.add_argument("--build", default=str(REPOSITORY / "build"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1, help="of each run of the generator")
    parser.add_argument("--write", action="store_true", help="put the lines into the page")
    options = parser.parse_args(words)
    if len(CORES) < 2:
        sys.exit("two cores are needed")
    unwind_on_sigterm()
    lines = {}
    for name in [name for name in LESSONS if not options.names or name in options.names]:
        with alone.measuring():
            lines[name] = line_of(LESSONS[name], options)
        print(f"{name}: {lines[name]}", flush=True)
    if options.write:
        write(lines, options)
