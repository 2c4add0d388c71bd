/* behaviour: how long calls take and which go wrong; what CONFIG SET changes while it runs. */
#ifndef ARCHBENCH_BEHAVIOUR_H
#define ARCHBENCH_BEHAVIOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct behaviour {
    int64_t delay_ns;         /* added to every call */
    double fail_percent;      /* of the calls are answered with an error */
    double drop_percent;      /* of the calls end with the connection, unanswered */
    bool stall;               /* nothing but CONFIG is answered; connections stay */
    unsigned short random[3]; /* state of erand48(): which calls go wrong */
};

/* Decided when a call begins, carried out when it is over. */
enum fate { FATE_GOOD, FATE_FAIL, FATE_DROP };

/* The same calls go wrong for the same seed. */
void behaviour_seed(struct behaviour *, int seed);
enum fate behaviour_draw_fate(struct behaviour *);
/* One draw decides between the two faults, so together they are at most 100 %. */
bool behaviour_is_possible(const struct behaviour *);
/* False: there is no such setting, or this cannot be its value; then nothing has changed. */
bool behaviour_set(struct behaviour *, const char *name, const char *value);
/* The value as CONFIG SET takes it. False: there is no such setting. */
bool behaviour_get(const struct behaviour *, const char *name, char *value, size_t size);

#endif
