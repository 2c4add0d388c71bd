#include "common/serve/calibrate.h"
#include "common/base/net.h"
#include "common/base/util.h"
#include "common/serve/serve.h"

#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUESTS = 1000, REQUEST_ROUNDS = 15 };

/* A connection to ourselves, whose serving side is measured. */
struct echo {
    int served, asking; /* descriptors of its two ends */
    struct service service;
    double cost_us; /* of a request, to the serving thread */
};

static void *ask(void *argument)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: calibration\r\n\r\n";
    const struct echo *echo = argument;
    char reply[1024];
    for (int i = 0; i < REQUESTS; i++)
        if (send(echo->asking, request, sizeof request - 1, MSG_NOSIGNAL) < 0 ||
            recv(echo->asking, reply, sizeof reply, 0) <= 0)
            break;
    shutdown(echo->asking, SHUT_WR);
    return NULL;
}

static void *serve(void *argument)
{
    struct echo *echo = argument;
    int64_t begin = thread_cpu_ns();
    serve_blocking(echo->served, &echo->service, counters_claim(echo->service.counters));
    echo->cost_us = (double)(thread_cpu_ns() - begin) / 1e3 / REQUESTS;
    return NULL;
}

static void connect_to_self(struct echo *echo)
{
    struct net_address address;
    int port = 0, reserve = -1;
    int listener = net_listen("127.0.0.1", &port, 1);
    net_resolve("127.0.0.1", port, &address);
    echo->asking = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (echo->asking < 0 || connect(echo->asking, &address.any, address.len))
        die_errno("cannot connect to myself to calibrate");
    echo->served = net_accept(listener, 0, &reserve);
    if (echo->served < 0)
        die("cannot accept myself to calibrate");
    close(listener);
}

/* CPU microseconds that a blocking server spends on a trivial request. On one and the same core it
 * costs a third of what it does across two, where each message wakes the other: where they run must
 * not be left to chance. */
static double request_cost_us(void)
{
    double cost[REQUEST_ROUNDS];
    struct echo echo = {.service = {.counters = counters_create(NULL),
                                    .idle_timeout_ns = 10 * NSEC_PER_SEC,
                                    .header_timeout_ns = 10 * NSEC_PER_SEC}};
    for (int i = 0; i < REQUEST_ROUNDS; i++) {
        connect_to_self(&echo);
        pthread_t server = calibration_start_on(usable_core(false), serve, &echo);
        pthread_t asker = calibration_start_on(usable_core(true), ask, &echo);
        pthread_join(asker, NULL);
        pthread_join(server, NULL);
        cost[i] = echo.cost_us;
        close(echo.served);
        close(echo.asking);
    }
    return calibration_median(cost, REQUEST_ROUNDS);
}

struct calibration calibration_renew(const char *path)
{
    char fallback[4096];
    build_file("calibration.json", "ARCHBENCH_CALIBRATION", fallback, sizeof fallback);
    struct calibration result = calibration_of_work();
    result.request_us = request_cost_us();
    result.connection_kib = (double)sizeof(struct conn) / 1024;
    calibration_write(path ? path : fallback, &result);
    return result;
}

struct calibration calibration_load(const char *path)
{
    char fallback[4096];
    struct calibration result = {0};
    build_file("calibration.json", "ARCHBENCH_CALIBRATION", fallback, sizeof fallback);
    if (path && access(path, R_OK))
        die_errno("cannot read the calibration '%s'", path);
    if (calibration_read(path ? path : fallback, &result))
        return result;
    return calibration_renew(path);
}
