#include "common/serve/server.h"
#include "common/serve/calibrate.h"
#include "common/serve/copies.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/* Generated from the header lines of the server's file. */
extern const char server_about[], server_name[], server_summary[];

/* What a signal handler must reach, and nothing else. */
static struct server *volatile stop_server;
static pthread_t stop_thread; /* the one that accepts */
static volatile sig_atomic_t stop_accepts, stop_fd = -1;

static bool holds_signals; /* since server_hold_signals() */

void server_stop(struct server *server)
{
    if (atomic_exchange(&server->service.draining, true))
        return;
    fcntl(server->listener, F_SETFL, O_NONBLOCK);
    *server->waiting = net_waiting(server->listener);
    if (*server->waiting == 0)
        shutdown(server->listener, SHUT_RD);
}

/* Count what came instead of a peer. */
static void note_refusal(struct server *server, int error)
{
    if (error == -EMFILE)
        count_add(server->counters, COUNTER_refused, 1);
}

/* In a drain: accept one of those that waited at its beginning. When the last of them is in, those
 * that came later are refused at once, not when the last process closes the listener. */
static int accept_last(struct server *server)
{
    while (*server->waiting > 0) {
        int fd = net_accept(server->listener, 0, &server->reserve);
        note_refusal(server, fd);
        if (fd == -EAGAIN)
            *server->waiting = 0;
        if (atomic_fetch_sub(server->waiting, 1) <= 1)
            shutdown(server->listener, SHUT_RD);
        if (fd >= 0)
            return fd;
    }
    return -ESHUTDOWN;
}

static void grant_grace(void)
{
    struct itimerval grace = {.it_value.tv_usec = SERVER_GRACE_NS / NSEC_PER_USEC};
    setitimer(ITIMER_REAL, &grace, NULL);
}

static void on_grace_over(int signal)
{
    int error = errno;
    (void)signal;
    shutdown(stop_fd, SHUT_RD);
    errno = error;
}

/* An accept that blocks on another thread is interrupted as well: the system chose this one. */
static void on_stop(int signal)
{
    int error = errno;
    if (stop_accepts)
        server_stop(stop_server);
    else
        stop_server->service.draining = true;
    if (stop_fd >= 0)
        grant_grace();
    if (!pthread_equal(pthread_self(), stop_thread))
        pthread_kill(stop_thread, signal);
    errno = error;
}

void server_stop_on_signal(struct server *server, bool accepts)
{
    stop_server = server;
    stop_thread = pthread_self();
    stop_accepts = accepts;
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_grace_over}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_stop}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_stop}, NULL);
}

void server_serves(struct server *server, int fd)
{
    stop_fd = fd;
    if (fd >= 0 && server->service.draining) /* the signal came before there was this one */
        grant_grace();
}

/* Those that a parent takes one by one. */
static void name_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGCHLD);
}

void server_hold_signals(sigset_t *signals)
{
    name_signals(signals);
    sigprocmask(SIG_BLOCK, signals, NULL);
    holds_signals = true;
}

void server_become_copy(struct server *server)
{
    server->is_copy = true;
    holds_signals = false;
}

int server_take_signal(const sigset_t *signals, int64_t until_ns)
{
    int64_t left_ns = until_ns - now_ns();
    if (left_ns < 0)
        left_ns = 0;
    struct timespec left = {left_ns / NSEC_PER_SEC, left_ns % NSEC_PER_SEC};
    int signal = sigtimedwait(signals, NULL, until_ns == INT64_MAX ? NULL : &left);
    return signal < 0 ? 0 : signal;
}

void server_end_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it died before the line above took effect */
        _exit(1);
}

static void answer_about(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--about") == 0) {
            puts(server_about);
            exit(0);
        }
    }
}

/* What the command line says of a server, beside what struct server holds itself. */
struct settings {
    const char *host, *calibration, *data, *stats_file, *journal;
    int port, backlog, symbols;
    int64_t idle_ns, header_ns, request_ns;
    struct call_options calls;
    bool about;
    int processes;
};

static void check_settings(const struct server *server, const struct settings *s)
{
    if (s->idle_ns <= 0 || s->header_ns <= 0)
        die("timeouts must be longer than 0");
    if (s->calls.follows && strstr(server_about, "\"push\":null"))
        die("--feed: this architecture pushes nothing");
    if (server->stack_bytes < 65536)
        die("--stack: a thread needs 64k at least");
}

static void read_settings(struct server *server, struct settings *s, int argc, char **argv,
                          const struct option_row *own)
{
    const struct option_row common[] = {
        {"host", 'H', OPTION_TEXT, &s->host, "ADDRESS", "address to listen on", 0, 0},
        {"port", 'p', OPTION_INT, &s->port, "PORT", "port to listen on, 0: a free one", 0, 65535},
        {"workers", 'w', OPTION_INT, &server->workers, "N",
         "workers, where the architecture has a fixed number", 1, 32000},
        {"processes", 0, OPTION_INT, &s->processes, "N",
         "copies of the whole server behind one port, a process each", 1, 1000},
        {"backlog", 0, OPTION_INT, &s->backlog, "N", "connections the kernel may keep waiting", 1,
         65535},
        {"stack", 0, OPTION_SIZE, &server->stack_bytes, "SIZE", "stack of each thread", 0, 0},
        {"idle-timeout", 0, OPTION_DURATION, &s->idle_ns, "TIME", "patience with a silent peer", 0,
         0},
        {"header-timeout", 0, OPTION_DURATION, &s->header_ns, "TIME",
         "patience with an unfinished request head", 0, 0},
        {"request-timeout", 0, OPTION_DURATION, &s->request_ns, "TIME",
         "patience with a whole request that keeps coming; 0: no bound", 0, 0},
        {"calibration", 0, OPTION_TEXT, &s->calibration, "FILE",
         "how much work a millisecond is (see docs/formats.md)", 0, 0},
        {"data", 0, OPTION_TEXT, &s->data, "FILE",
         "what io=disk reads; made at first use (disk.data in the build folder)", 0, 0},
        {"outbox", 0, OPTION_SIZE, &server->outbox_bytes, "SIZE",
         "bytes that may wait for a subscriber; beyond, its connection ends", 0, 0},
        {"feed", 0, OPTION_FLAG, &s->calls.follows, NULL,
         "push what io=redis:publish tells the upstream, by whichever server", 0, 0},
        {"upstream-address", 0, OPTION_TEXT, &s->calls.upstream, "HOST:PORT",
         "what io=upstream and io=redis call: build/upstream, or a Redis ($ARCHBENCH_UPSTREAM)", 0,
         0},
        {"upstream-pool", 0, OPTION_INT, &s->calls.upstream_pool, "N",
         "connections to it at most, for each process", 1, 10000},
        {"upstream-timeout", 0, OPTION_DURATION, &s->calls.upstream_ns, "TIME",
         "patience with a call, its wait for a connection included", 0, 0},
        {"sql", 0, OPTION_TEXT, &s->calls.sql, "FILE", "the statements of io=sql", 0, 0},
        {"database", 0, OPTION_TEXT, &s->calls.database, "CONNINFO",
         "the PostgreSQL that executes them ($ARCHBENCH_DATABASE); none: the upstream stands in", 0,
         0},
        {"database-pool", 0, OPTION_INT, &s->calls.database_pool, "N",
         "connections to it at most, for each process", 1, 10000},
        {"database-timeout", 0, OPTION_DURATION, &s->calls.database_ns, "TIME",
         "patience with a statement, its wait for a connection included", 0, 0},
        {"symbols", 0, OPTION_INT, &s->symbols, "N", "order books", 1, MARKET_SYMBOLS_MAX},
        {"book-journal", 0, OPTION_TEXT, &s->journal, "FILE", "what changes the order books", 0, 0},
        {"stats-file", 0, OPTION_TEXT, &s->stats_file, "FILE", "share the live counters as a file",
         0, 0},
        {"about", 0, OPTION_FLAG, &s->about, NULL, "describe this architecture in JSON", 0, 0},
        {0},
    };
    int operand =
        options_parse(&(struct options){server_name, "", server_summary, own, common}, argc, argv);
    if (operand < argc)
        die("'%s' is not an option (see --help)", argv[operand]);
    check_settings(server, s);
}

/* As many descriptors as we may have: a shell's usual 1,024 are few. */
static void take_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void server_setup(struct server *server, int argc, char **argv, const struct option_row *own)
{
    struct settings s = {
        .host = "127.0.0.1",
        .port = 8080,
        .backlog = 4096,
        .idle_ns = 60 * NSEC_PER_SEC,
        .header_ns = 10 * NSEC_PER_SEC,
        .calls = call_options_default(),
        .processes = 1,
        .symbols = 16,
    };

    server->workers = usable_cores();
    server->is_copy = false;
    server->stack_bytes = 128 * 1024;
    server->outbox_bytes = 256 * 1024;
    answer_about(argc, argv);
    read_settings(server, &s, argc, argv, own);
    server->feeds = s.calls.follows;
    signal(SIGPIPE, SIG_IGN);
    take_descriptors();
    server->listener = net_listen(s.host, &s.port, s.backlog);
    server->reserve = net_reserve();
    server->service = (struct service){
        .calibration = calibration_load(s.calibration),
        .counters = counters_create(s.stats_file),
        .idle_timeout_ns = s.idle_ns,
        .header_timeout_ns = s.header_ns,
        .request_timeout_ns = s.request_ns,
    };
    server->waiting = &server->own_waiting;
    *server->waiting = 0;
    exchanges_init(&server->service.exchanges);
    disk_init(&server->service.disk, s.data);
    calls_init(&server->service.calls, &s.calls);
    market_open(&server->service.market, (uint32_t)s.symbols, s.journal);
    server->counters = counters_claim(server->service.counters);
    server->threads = (struct thread_count){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    if (s.processes > 1)
        copies_make(server, s.processes);
}

void server_push(struct server *server)
{
    topics_init(&server->topics, server->outbox_bytes);
    server->service.topics = &server->topics;
}

struct feed *server_feed(const struct server *server)
{
    return server->feeds
               ? feed_new(&server->service.calls.upstream.target.address, server->counters)
               : NULL;
}

void server_ready(const struct server *server)
{
    struct net_address address = net_own_address(server->listener);
    char text[NET_ADDRESS_TEXT];
    sigset_t signals;
    if (server->is_copy) {
        name_signals(&signals);
        if (!holds_signals)
            sigprocmask(SIG_UNBLOCK, &signals, NULL);
        return;
    }
    printf("ready %s %s\n", server_name, net_address_text(text, &address));
    fflush(stdout);
}

int server_accept(struct server *server)
{
    enum { LOOK_MS = 100 }; /* at the latest: a signal may have come before the sleep */
    while (!server->service.draining) {
        int fd = net_accept(server->listener, 0, &server->reserve);
        if (fd >= 0 || fd == -EINTR)
            return fd;
        note_refusal(server, fd);
        if (fd == -EINVAL) /* it has been shut down: a word from the parent that cannot get lost */
            server->service.draining = true;
        else if (fd == -EAGAIN)
            net_await(server->listener, LOOK_MS); /* no descriptor is free, and no peer waits */
        else if (fd != -EMFILE && fd != -ECONNABORTED && !server->service.draining)
            usleep(10000); /* out of memory or buffers: time may help, spinning does not */
    }
    return accept_last(server);
}

int server_accept_ready(struct server *server)
{
    for (;;) {
        int fd = net_accept(server->listener, SOCK_NONBLOCK, &server->reserve);
        if (fd >= 0)
            return fd;
        note_refusal(server, fd);
        if (fd != -EINTR && fd != -EMFILE && fd != -ECONNABORTED)
            return -EAGAIN;
    }
}

/* What a thread is to do. The thread's, which frees it. */
struct errand {
    struct server *server;
    void *(*run)(void *);
    void *argument;
    bool works; /* counted among the workers */
};

static void count_threads(struct server *server, int n)
{
    pthread_mutex_lock(&server->threads.lock);
    server->threads.alive += n;
    if (server->threads.alive == 0)
        pthread_cond_broadcast(&server->threads.ended);
    pthread_mutex_unlock(&server->threads.lock);
}

/* The usage is added first: the thread that waits for the last one then prints the sum. */
static void *run_errand(void *argument)
{
    struct errand errand = *(struct errand *)argument;
    free(argument);
    errand.run(errand.argument);
    counters_retire_thread(errand.server->counters);
    if (errand.works)
        count_add(errand.server->counters, COUNTER_workers, -1);
    count_threads(errand.server, -1);
    return NULL;
}

static bool create_thread(const struct server *server, void *(*run)(void *), void *argument,
                          pthread_t *thread)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, server->stack_bytes);
    int error = pthread_create(thread, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return error == 0;
}

static void *return_at_once(void *argument)
{
    return argument;
}

void server_try_thread(const struct server *server)
{
    pthread_t thread;
    if (!create_thread(server, return_at_once, NULL, &thread))
        die("the system has no room for a thread with such a stack");
    pthread_join(thread, NULL);
}

static bool start(struct server *server, struct errand errand)
{
    struct errand *copy = must_calloc(1, sizeof *copy);
    pthread_t thread;
    *copy = errand;
    count_threads(server, 1);
    bool started = create_thread(server, run_errand, copy, &thread);
    if (started)
        pthread_detach(thread);
    else {
        count_threads(server, -1);
        free(copy);
    }
    count_add(server->counters, COUNTER_spawned, started);
    return started;
}

bool server_start_thread(struct server *server, void *(*run)(void *), void *argument)
{
    return start(server, (struct errand){server, run, argument, false});
}

void server_start_worker(struct server *server, void *(*run)(void *), void *argument)
{
    count_add(server->counters, COUNTER_workers, 1);
    if (!start(server, (struct errand){server, run, argument, true}))
        die("the system has no room for so many threads");
}

void server_await_threads(struct server *server)
{
    pthread_mutex_lock(&server->threads.lock);
    while (server->threads.alive)
        pthread_cond_wait(&server->threads.ended, &server->threads.lock);
    pthread_mutex_unlock(&server->threads.lock);
}

int server_finish(struct server *server)
{
    calls_free(&server->service.calls);
    exchanges_free(&server->service.exchanges);
    char members[4096];
    if (server->is_copy)
        return 0;
    market_settle(&server->service.market, server->counters);
    counters_json(server->service.counters, members, sizeof members);
    printf("{\"name\":\"%s\",%s", server_name, members);
    for (const struct own_counter *own = server->service.own; own && own->name; own++)
        printf(",\"%s\":%lld", own->name, (long long)own->value);
    market_json(&server->service.market, members, sizeof members);
    printf("%s}\n", members);
    fflush(stdout);
    return 0;
}
