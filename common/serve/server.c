#include "common/serve/server.h"
#include "common/serve/calibrate.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Generated from the header lines of the server's file. */
extern const char server_about[], server_name[], server_summary[];

/* What a signal handler must reach, and nothing else. */
static struct service *volatile stop_service;
static volatile sig_atomic_t stop_fd = -1;

static void on_stop(int signal)
{
    int error = errno;
    (void)signal;
    stop_service->draining = true;
    shutdown(stop_fd, SHUT_RD);
    errno = error;
}

void server_stop_on_signal(struct service *service, int fd)
{
    struct sigaction action = {.sa_handler = on_stop};
    stop_service = service;
    stop_fd = fd;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (service->draining) /* the signal came before there was this one to stop */
        shutdown(fd, SHUT_RD);
}

void server_hold_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, signals, NULL);
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

void server_setup(struct server *server, int argc, char **argv, const struct option_row *own)
{
    const char *host = "127.0.0.1", *calibration = NULL, *data = NULL, *stats_file = NULL;
    const char *set = getenv("ARCHBENCH_UPSTREAM"), *upstream = set ? set : "127.0.0.1:6380";
    int port = 8080, backlog = 4096, upstream_pool = 64;
    bool about = false;
    int64_t idle_ns = 60 * NSEC_PER_SEC, header_ns = 10 * NSEC_PER_SEC;
    int64_t upstream_ns = NSEC_PER_SEC;
    server->workers = usable_cores();
    server->stack_bytes = 128 * 1024;
    const struct option_row common[] = {
        {"host", 'H', OPTION_TEXT, &host, "ADDRESS", "address to listen on", 0, 0},
        {"port", 'p', OPTION_INT, &port, "PORT", "port to listen on, 0: a free one", 0, 65535},
        {"workers", 'w', OPTION_INT, &server->workers, "N",
         "workers, where the architecture has a fixed number", 1, 32000},
        {"backlog", 0, OPTION_INT, &backlog, "N", "connections the kernel may keep waiting", 1,
         65535},
        {"stack", 0, OPTION_SIZE, &server->stack_bytes, "SIZE", "stack of each thread", 0, 0},
        {"idle-timeout", 0, OPTION_DURATION, &idle_ns, "TIME", "patience with a silent peer", 0, 0},
        {"header-timeout", 0, OPTION_DURATION, &header_ns, "TIME",
         "patience with an unfinished request head", 0, 0},
        {"calibration", 0, OPTION_TEXT, &calibration, "FILE",
         "how much work a millisecond is (see docs/formats.md)", 0, 0},
        {"data", 0, OPTION_TEXT, &data, "FILE",
         "what io=disk reads; made at first use (disk.data in the build folder)", 0, 0},
        {"upstream-address", 0, OPTION_TEXT, &upstream, "HOST:PORT",
         "what io=upstream calls: build/upstream, or a Redis ($ARCHBENCH_UPSTREAM)", 0, 0},
        {"upstream-pool", 0, OPTION_INT, &upstream_pool, "N",
         "connections to it at most, for each process", 1, 10000},
        {"upstream-timeout", 0, OPTION_DURATION, &upstream_ns, "TIME",
         "patience with a call, its wait for a connection included", 0, 0},
        {"stats-file", 0, OPTION_TEXT, &stats_file, "FILE", "share the live counters as a file", 0,
         0},
        {"about", 0, OPTION_FLAG, &about, NULL, "describe this architecture in JSON", 0, 0},
        {0},
    };

    answer_about(argc, argv);
    int operand =
        options_parse(&(struct options){server_name, "", server_summary, own, common}, argc, argv);
    if (operand < argc)
        die("'%s' is not an option (see --help)", argv[operand]);
    if (idle_ns <= 0 || header_ns <= 0 || upstream_ns <= 0)
        die("timeouts must be longer than 0");
    if (server->stack_bytes < 65536)
        die("--stack: a thread needs 64k at least");
    signal(SIGPIPE, SIG_IGN);
    server->listener = net_listen(host, &port, backlog);
    server->reserve = net_reserve();
    server->service = (struct service){
        .calibration = calibration_load(calibration),
        .counters = counters_create(stats_file),
        .idle_timeout_ns = idle_ns,
        .header_timeout_ns = header_ns,
    };
    disk_init(&server->service.disk, data);
    upstream_init(&server->service.upstream, upstream, upstream_pool, upstream_ns);
    server->counters = counters_claim(server->service.counters);
    server->threads = (struct thread_count){PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
}

void server_ready(const struct server *server)
{
    struct net_address address = net_own_address(server->listener);
    char text[NET_ADDRESS_TEXT];
    printf("ready %s %s\n", server_name, net_address_text(text, &address));
    fflush(stdout);
}

/* Count what came instead of a peer. */
static void note_refusal(struct server *server, int error)
{
    if (error == -EMFILE)
        count_add(server->counters, COUNTER_refused, 1);
}

int server_accept(struct server *server)
{
    while (!server->service.draining) {
        int fd = net_accept(server->listener, 0, &server->reserve);
        if (fd >= 0 || fd == -EINTR)
            return fd;
        note_refusal(server, fd);
        if (fd == -EAGAIN) /* no descriptor is free, and nobody waits for one */
            net_await(server->listener, -1);
        else if (fd != -EMFILE && fd != -ECONNABORTED && !server->service.draining)
            usleep(10000); /* out of memory or buffers: time may help, spinning does not */
    }
    return -ESHUTDOWN;
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

static bool start(struct server *server, struct errand errand)
{
    struct errand *copy = must_calloc(1, sizeof *copy);
    pthread_attr_t attributes;
    pthread_t thread;

    *copy = errand;
    count_threads(server, 1);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, server->stack_bytes);
    int error = pthread_create(&thread, &attributes, run_errand, copy);
    pthread_attr_destroy(&attributes);
    if (error) {
        count_threads(server, -1);
        free(copy);
        return false;
    }
    count_add(server->counters, COUNTER_spawned, 1);
    return true;
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
    upstream_free(&server->service.upstream);
    char members[2048];
    counters_json(server->service.counters, members, sizeof members);
    printf("{\"name\":\"%s\",%s", server_name, members);
    for (const struct own_counter *own = server->service.own; own && own->name; own++)
        printf(",\"%s\":%lld", own->name, (long long)own->value);
    puts("}");
    fflush(stdout);
    return 0;
}
