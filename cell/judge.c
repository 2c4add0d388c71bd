/* judge: what of a trial can be trusted. docs/method.md, section 6, says why. */
#include "cell/about.h"
#include "cell/memory.h"
#include "cell/run.h"
#include "common/base/util.h"
#include "loadgen/judge/bounds.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double UPSTREAM_BUSY_LIMIT = 0.9; /* of the cores that it can use */
static const double HOLD_S = 0.001;            /* the shortest for which others take a core */
/* A look at thousands of processes takes a while. */
static const int64_t WINDOW_OFF_NS = 100 * NSEC_PER_MSEC;
static const int64_t COLD_NS = 10000; /* that a switch may cost more, or less */

static double seconds(int64_t ns)
{
    return (double)ns / NSEC_PER_SEC;
}

/* --- what held the server up ------------------------------------------------------------------- */

/* Of the components together. They are no strangers, but they take cores from the server that somebody who has them on
 * another machine would not miss. */
static int64_t components_ns(const struct run *run)
{
    int64_t sum_ns = 0;
    for (enum component i = 0; i < COMPONENTS; i++)
        sum_ns += run->trial->end.component_cpu_ns[i] - run->trial->begin.component_cpu_ns[i];
    return sum_ns;
}

/* Share of all cores of the machine that other programs had. */
static double others_share(const struct proc_usage *used)
{
    double cores_s = seconds(used->at_ns) * (double)sysconf(_SC_NPROCESSORS_ONLN);
    return cores_s > 0 ? seconds(used->others_ns) / cores_s : 0;
}

/* A server that has a core for each of its tasks, and these cores to itself, waits for nobody of its
 * own: all that its tasks waited for a core was others' doing. The tasks of another wait for each
 * other as well, or for the generator. Others held it up for at most as long as its tasks waited, and
 * for at most as long as they ran; as that is far from what it may have been, they count only when
 * they had so much of the machine that it cannot be neglected. */
struct holds judge_holds(const struct run *run)
{
    struct proc_usage used = trial_usage(run->trial);
    int cores = CPU_COUNT(&run->setup->cores.server);
    if (run->setup->cores.shared)
        used.others_ns += components_ns(run);
    bool alone = !run->setup->cores.shared && used.tasks <= cores;
    bool crowded = others_share(&used) > OTHERS_LIMIT;
    bool meant = run->setup->kill_ns > 0; /* a trial that kills is about what comes of it */
    if (meant || used.at_ns <= 0 || used.tasks < 1 || !(alone || crowded))
        return (struct holds){0};
    double cores_s = seconds(used.at_ns) * (used.tasks < cores ? used.tasks : cores);
    struct holds holds = {.share = seconds(holds_by_others(used.held_ns, used.voluntary)) / cores_s,
                          .per_s = (double)used.involuntary / cores_s,
                          .busy = seconds(used.cpu_ns) / cores_s};
    if (alone)
        return holds;
    double share = seconds(used.others_ns) / cores_s; /* if they were on these cores */
    if (used.held_ns < 0 || share < holds.share)
        holds.share = share;
    if (share / HOLD_S < holds.per_s)
        holds.per_s = share / HOLD_S;
    if (used.held_ns >= 0)
        holds.hands = seconds(used.held_ns + used.cpu_ns) / cores_s;
    return holds;
}

/* --- numbers that are refused ------------------------------------------------------------------- */

/* What is not sure: times, what was answered, and what it cost. */
enum { TIMES = 1, RATES = 2, ERRORS_TOO = 4, CPU = 8, SWITCHES = 16 };

static void refuse(struct run *run, int kinds, json_t *reason)
{
    static const struct {
        int kind;
        const char *name;
    } metrics[] = {{TIMES, "*.response_*"},     {TIMES, "*.service_*"},
                   {RATES, "achieved_rate"},    {RATES, "*.good_rate"},
                   {ERRORS_TOO, "error_share"}, {CPU, "cores_used"},
                   {CPU, "cpu_us_per_request"}, {SWITCHES, "switches_per_request"}};
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        if (kinds & metrics[i].kind)
            json_object_set(run->trial->refused, metrics[i].name, reason);
    json_decref(reason);
}

static bool is_closed(const json_t *load)
{
    const char *arrivals = json_string_value(json_object_get(load, "arrivals"));
    return !arrivals || strcmp(arrivals, "closed") == 0;
}

/* In an open loop in which (nearly) every request had its reply, what was answered is what was
 * asked, whatever held it up. */
static bool all_answered(const json_t *load)
{
    double good = json_number_value(json_object_get(load, "good"));
    double requests = json_number_value(json_object_get(load, "requests"));
    return !is_closed(load) && good >= BOUNDS_ANSWERED * requests;
}

/* When the server was held up. */
static int what_suffers(const struct run *run)
{
    const json_t *load = run->trial->load;
    bool errors = json_integer_value(json_object_get(load, "good")) <
                  json_integer_value(json_object_get(load, "requests"));
    if (all_answered(load))
        return TIMES;
    return TIMES | RATES | (errors ? ERRORS_TOO : 0); /* of errors there can only be too many */
}

/* Time that the host gave to others made the server slower, and a guest's clocks may book it as CPU
 * time of whatever ran. Counts of switches and memory are what they were. */
static void refuse_for_steal(struct run *run, double percent)
{
    refuse(run, what_suffers(run) | CPU,
           json_sprintf("%.1f %% of the CPU time was stolen by the hypervisor", percent));
}

/* The kernel drops a connection that finds the accept queue full, and the client tries again after a
 * second: so what it saw is the queue's length and TCP's clock. Where processes are killed, that the
 * others come back all at once is what the trial is about. */
static void judge_accept_queue(struct run *run)
{
    const struct host_counts *a = &run->trial->begin.host, *b = &run->trial->end.host;
    long long overflows = b->listen_overflows - a->listen_overflows;
    long long drops = b->listen_drops - a->listen_drops;
    if (run->setup->kill_ns > 0 || (overflows <= 0 && drops <= 0))
        return;
    refuse(run, what_suffers(run),
           overflows > 0 ? json_sprintf("an accept queue overflowed %lld times", overflows)
                         : json_sprintf("%lld connections were dropped before accept", drops));
}

static void judge_steal(struct run *run)
{
    const struct host_counts *a = &run->trial->begin.host, *b = &run->trial->end.host;
    int64_t all = b->all_ticks - a->all_ticks;
    double steal = all > 0 ? (double)(b->steal_ticks - a->steal_ticks) / (double)all : 0;
    if (steal > STEAL_LIMIT)
        refuse_for_steal(run, 100 * steal);
}

/* May it be wrong by a tenth? What others change is what it costs to go to sleep, to wake up, and to
 * begin with cold caches: some microseconds for each switch. */
static bool cpu_is_touched(const struct proc_usage *used)
{
    int64_t switches = used->voluntary + used->involuntary;
    return (double)(switches * COLD_NS) > BOUNDS_SHARE * (double)used->cpu_ns;
}

/* Without priority over the others it cannot tell what they did to a closed loop: see refusals.c. */
static bool generator_is_blind(const json_t *load)
{
    return is_closed(load) &&
           !json_is_true(json_object_get(json_object_get(load, "generator"), "realtime"));
}

/* A core that somebody else keeps awake, and whose caches he fills, is another core. Times and rates
 * are judged by the holds that came of it, as far as they are known. */
static void judge_others(struct run *run)
{
    struct proc_usage used = trial_usage(run->trial);
    double share = others_share(&used);
    int kinds = SWITCHES | (cpu_is_touched(&used) ? CPU : 0);
    run->trial->others = share;
    if (generator_is_blind(run->trial->load))
        kinds |= what_suffers(run);
    if (share > OTHERS_LIMIT)
        refuse(run, kinds, json_sprintf("other programs had %.0f %% of the cores", 100 * share));
}

/* Others' reads and writes are in the way of the server's: for as long as the disk was busy with
 * them, taken by their bytes. */
static void judge_disk(struct run *run)
{
    const struct observation *a = &run->trial->begin, *b = &run->trial->end;
    double all = (double)(b->host.disk_bytes - a->host.disk_bytes);
    double others = all - (double)(b->disk_bytes - a->disk_bytes);
    double busy_s = (double)(b->host.disk_busy_ms - a->host.disk_busy_ms) / 1000;
    double share = all > 0 ? busy_s * others / all / seconds(b->usage.at_ns - a->usage.at_ns) : 0;
    if (run->setup->reads_disk && share > OTHERS_LIMIT)
        refuse(run, what_suffers(run),
               json_sprintf("the disk worked for others %.0f %% of the time", 100 * share));
}

/* One without time to spare answers late, and the server would be blamed. `cores`: how many it can use. */
static void judge_called(struct run *run, const char *name, int64_t cpu_ns, int cores)
{
    const struct observation *a = &run->trial->begin, *b = &run->trial->end;
    double busy = (double)cpu_ns / (double)(b->usage.at_ns - a->usage.at_ns) / cores;
    if (busy > UPSTREAM_BUSY_LIMIT)
        run_add_reason(run, "the %s was %.0f %% busy", name, 100 * busy);
}

static void judge_upstream(struct run *run)
{
    const struct observation *a = &run->trial->begin, *b = &run->trial->end;
    const int64_t *before = a->component_cpu_ns, *after = b->component_cpu_ns;
    judge_called(run, "upstream", b->upstream_cpu_ns - a->upstream_cpu_ns, 1);
    for (enum component i = 0; i < COMPONENTS; i++)
        if (run->setup->has_component[i])
            judge_called(run, component_name(i), after[i] - before[i],
                         i == COMPONENT_REDIS ? 1 : CPU_COUNT(&run->component[i].cores));
}

/* Were the edges of the window seen when they came? Counters and CPU time are those between the two looks. */
static void judge_window(struct run *run)
{
    int64_t seen_ns = run->trial->end.usage.at_ns - run->trial->begin.usage.at_ns;
    int64_t off_ns = llabs(seen_ns - run->setup->duration_ns);
    if (off_ns > WINDOW_OFF_NS && (double)off_ns > BOUNDS_SHARE * (double)run->setup->duration_ns)
        run_add_reason(run, "of the window of %.2f s the cell saw %.2f s",
                       seconds(run->setup->duration_ns), seconds(seen_ns));
}

void judge_load(struct run *run)
{
    const json_t *validity = json_object_get(run->trial->load, "validity");
    const char *verdict = json_string_value(json_object_get(validity, "verdict"));
    json_t *reasons = json_object_get(validity, "reasons");
    if (json_array_size(reasons))
        json_array_extend(run->trial->reasons, reasons);
    else if (!verdict || strcmp(verdict, "VALID") != 0)
        run_add_reason(run, "the generator gave no verdict");
    json_object_update(run->trial->refused, json_object_get(validity, "refused"));
}

void judge_trial(struct run *run)
{
    judge_window(run);
    judge_steal(run);
    judge_others(run);
    judge_disk(run);
    judge_accept_queue(run);
    judge_upstream(run);
    memory_judge(run->trial);
}
