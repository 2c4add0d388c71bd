/* program_cpu: the computing steps of a program. See program.h. */
#include "common/base/util.h"
#include "common/work/program.h"

static bool is_cpu(enum step_kind kind)
{
    switch (kind) {
    case STEP_COUNT: return false; /* how long that takes is not known beforehand */
    case STEP_BOOK:
    case STEP_PUBLISH:
    case STEP_SUBSCRIBE:
    case STEP_UNSUBSCRIBE:
    case STEP_TIMER:
    case STEP_DISK:
    case STEP_UPSTREAM:
    case STEP_REDIS:
    case STEP_SQL: return false;
    case STEP_WORK: return true;
    }
    return false;
}

bool program_has_cpu(const struct program *program)
{
    for (int i = 0; i < program->steps; i++)
        if (is_cpu(program->step[i].kind))
            return true;
    return false;
}

double program_cpu_seconds(const struct program *program)
{
    int64_t sum_ns = 0;
    for (int i = 0; i < program->steps; i++)
        if (is_cpu(program->step[i].kind))
            sum_ns += program->step[i].amount_ns;
    return (double)sum_ns / (double)NSEC_PER_SEC;
}

uint64_t program_compute(const struct step *step, const struct calibration *calibration,
                         uint64_t digest)
{
    double ms = (double)step->amount_ns / (double)NSEC_PER_MSEC;
    switch (step->kind) {
    case STEP_BOOK:
    case STEP_COUNT:
    case STEP_PUBLISH:
    case STEP_SUBSCRIBE:
    case STEP_UNSUBSCRIBE:
    case STEP_TIMER:
    case STEP_DISK:
    case STEP_UPSTREAM:
    case STEP_REDIS:
    case STEP_SQL: return digest;
    case STEP_WORK:
        return work_perform(step->work, digest,
                            (uint64_t)(ms * calibration->units_per_ms[step->work] + 0.5));
    }
    return digest;
}

uint64_t program_digest(const struct program *program, const struct calibration *calibration)
{
    uint64_t digest = 0;
    for (int i = 0; i < program->steps; i++)
        digest = program_compute(&program->step[i], calibration, digest);
    return digest;
}
