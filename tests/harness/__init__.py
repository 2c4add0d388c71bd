"""What the suites over the servers share: a server under test, a peer on a raw
socket, and a runner that ends with the line `N passed, N failed`.

Environment: BUILD is the build folder (default `build`), SLOW a factor on every time
limit (3 for a build with sanitizers)."""

from .base import BUILD, SANITIZER, SLOW, TICK_S, wait_until
from .processes import children, cpu_seconds, descriptors, memory_kb, proc_stat, tree, zombies
from .servers import Server, Target, find_targets, kill_servers
from .upstream import Upstream
from .postgres import Postgres, postgres_folder
from .peers import Peer, Reply, request
from .resp import Failure, RespClient, UpstreamProgram, encoded
from .websocket import (BINARY, CLOSE, CONTINUATION, NO_CODE, PING, PONG, TEXT, Answer, Delivery,
                        Ended, Message, WebSocket, accept_of, close_frame, composed, fragments,
                        frame, framed, upgrade)
from . import order_books
from .machine import Sentinel
from .suite import ATTEMPTS, REST_S, Tally, UNDECIDED_MAX, count_failed, run_suite, watch_machine
from .case import ServerCase
from .command import calibrate, is_theme, main, suite_of
