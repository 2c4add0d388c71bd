/* rates: see rates.h. */
#include "loadgen/plan/rates.h"
#include "common/base/util.h"
#include "common/serve/calibrate.h"
#include "common/work/program.h"
#include "loadgen/plan/arrivals.h"
#include "loadgen/plan/moment.h"

#include <string.h>

/* What the calibrated server needs for requests, per class. Requests that are not ours (another
 * server's URL) have no steps and count as trivial. */
struct costs {
    char target[WORKLOAD_CLASSES][MOMENT_TARGET]; /* as a server may get it */
    bool is_program[WORKLOAD_CLASSES];
    struct program program[WORKLOAD_CLASSES];
    double cpu_s[WORKLOAD_CLASSES];
    double cores;
};

static void read_programs(const struct plan *plan, struct costs *costs)
{
    const char *reason;

    for (int i = 0; i < plan->class_count; i++) {
        const char *target = costs->target[i];

        moment_expand(costs->target[i], plan->workload.class[i].target);
        costs->is_program[i] = strncmp(target, "/work", strlen("/work")) == 0 &&
                               program_parse(&costs->program[i], target, strlen(target), &reason);
    }
}

static bool needs_calibration(const struct plan *plan, const struct costs *costs)
{
    bool needed = plan->workload.rate.percent;

    for (int i = 0; i < plan->class_count; i++) {
        needed |= plan->workload.class[i].rate.percent;
        needed |= costs->is_program[i] && program_has_cpu(&costs->program[i]);
    }
    return needed;
}

static void compute_digests(struct plan *plan, const struct costs *costs,
                            const struct calibration *calibration)
{
    for (int i = 0; i < plan->class_count; i++) {
        struct plan_class *class = &plan->class[i];

        if (!costs->is_program[i] || !program_has_cpu(&costs->program[i]) || class->head)
            continue;
        class->has_digest = true;
        class->digest = program_digest(&costs->program[i], calibration);
    }
}

static void compute_costs(const struct plan *plan, struct costs *costs,
                          const struct calibration *calibration)
{
    for (int i = 0; i < plan->class_count; i++) {
        costs->cpu_s[i] = calibration->request_us * 1e-6;
        if (costs->is_program[i])
            costs->cpu_s[i] += program_cpu_seconds(&costs->program[i]);
    }
}

static double requests_per_s(const struct rate *rate, double cores, double mean_cpu_s)
{
    return rate->percent ? rate->value / 100 * cores / mean_cpu_s : rate->value;
}

/* Classes with rates of their own: a percentage of one is of the capacity for this class alone, so
 * that percentages of several classes add up to the share of the machine they use. */
static void set_class_rates(struct plan *plan, const struct costs *costs)
{
    for (int i = 0; i < plan->class_count; i++) {
        struct plan_class *class = &plan->class[i];

        class->rate = requests_per_s(&plan->workload.class[i].rate, costs->cores, costs->cpu_s[i]);
        class->weight = class->rate;
        plan->base_rate += class->rate;
    }
}

static double total_rate(const struct plan *plan, const struct costs *costs)
{
    double weights = 0, cpu_s = 0;

    for (int i = 0; i < plan->class_count; i++) {
        weights += plan->class[i].weight;
        cpu_s += plan->class[i].weight * costs->cpu_s[i];
    }
    return requests_per_s(&plan->workload.rate, costs->cores, cpu_s / weights);
}

static void scale_rates(struct plan *plan, double factor)
{
    for (int i = 0; i < plan->class_count; i++)
        plan->class[i].rate *= factor;
    plan->base_rate *= factor;
    plan->rate *= factor;
}

/* What the phases make of the base rate, on average over the window. */
static double mean_rate(const struct plan *plan)
{
    const struct workload *w = &plan->workload;
    double weights = 0, weighted = 0;

    for (int i = 0; i < plan->class_count; i++) {
        double weight = plan->class[i].weight;

        weights += weight;
        weighted +=
            weight * phases_mean_load(w->phase, w->phase_count, i, (double)plan->duration_ns / 1e9);
    }
    return plan->base_rate * weighted / weights;
}

/* The recorded arrivals that fall into the window. */
static double trace_rate(const struct plan *plan)
{
    size_t count = 0;

    while (count < plan->trace.count && plan->trace.entry[count].at_ns < plan->duration_ns)
        count++;
    return (double)count / ((double)plan->duration_ns / 1e9);
}

static void set_rates(struct plan *plan, const struct wishes *wishes, const struct costs *costs)
{
    if (plan->arrivals == ARRIVALS_CLOSED)
        return;
    if (plan->arrivals == ARRIVALS_TRACE) {
        plan->base_rate = plan->rate = trace_rate(plan);
        return;
    }
    if (!workload_has_class_rates(&plan->workload)) {
        plan->base_rate = total_rate(plan, costs);
    } else {
        set_class_rates(plan, costs);
        if (wishes->rate) /* -r over such a workload scales it: the shares stay */
            scale_rates(plan, total_rate(plan, costs) / plan->base_rate);
    }
    plan->rate = mean_rate(plan);
}

void plan_set_rate(struct plan *plan, double rate)
{
    scale_rates(plan, rate / plan->rate);
}

void rates_set(struct plan *plan, const struct wishes *wishes)
{
    struct costs costs = {.cores = wishes->server_cores ? wishes->server_cores : usable_cores()};
    struct calibration calibration;

    read_programs(plan, &costs);
    if (needs_calibration(plan, &costs)) {
        calibration = calibration_load(wishes->calibration);
        compute_costs(plan, &costs, &calibration);
        compute_digests(plan, &costs, &calibration);
    }
    set_rates(plan, wishes, &costs);
}
