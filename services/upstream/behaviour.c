#include "services/upstream/behaviour.h"
#include "common/base/util.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* As srand48(3) does: the bits of a small seed alone would make the first draws small. */
void behaviour_seed(struct behaviour *behaviour, int seed)
{
    behaviour->random[0] = 0x330e;
    behaviour->random[1] = (unsigned short)seed;
    behaviour->random[2] = (unsigned short)(seed >> 16);
}

enum fate behaviour_draw_fate(struct behaviour *behaviour)
{
    double draw = 100 * erand48(behaviour->random);
    if (draw < behaviour->drop_percent)
        return FATE_DROP;
    return draw < behaviour->drop_percent + behaviour->fail_percent ? FATE_FAIL : FATE_GOOD;
}

static bool set_delay(struct behaviour *behaviour, const char *value)
{
    return parse_duration(value, strlen(value), &behaviour->delay_ns);
}

static bool set_percent(double *percent, const char *value)
{
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end || !(number >= 0 && number <= 100))
        return false;
    *percent = number;
    return true;
}

static bool set_stall(struct behaviour *behaviour, const char *value)
{
    behaviour->stall = strcasecmp(value, "yes") == 0;
    return behaviour->stall || strcasecmp(value, "no") == 0;
}

/* One draw decides between the two faults, so they must leave room for each other. */
bool behaviour_is_possible(const struct behaviour *behaviour)
{
    return behaviour->fail_percent + behaviour->drop_percent <= 100;
}

/* False: there is no such setting, or this cannot be its value; then nothing has changed. */
bool behaviour_set(struct behaviour *behaviour, const char *name, const char *value)
{
    struct behaviour changed = *behaviour;
    bool known = false;
    if (strcasecmp(name, "delay") == 0)
        known = set_delay(&changed, value);
    else if (strcasecmp(name, "fail") == 0)
        known = set_percent(&changed.fail_percent, value);
    else if (strcasecmp(name, "drop") == 0)
        known = set_percent(&changed.drop_percent, value);
    else if (strcasecmp(name, "stall") == 0)
        known = set_stall(&changed, value);
    if (!known || !behaviour_is_possible(&changed))
        return false;
    *behaviour = changed;
    return true;
}

/* The value as CONFIG SET takes it. False: there is no such setting. */
bool behaviour_get(const struct behaviour *behaviour, const char *name, char *value, size_t size)
{
    if (strcasecmp(name, "delay") == 0)
        snprintf(value, size, "%.15gus", (double)behaviour->delay_ns / NSEC_PER_USEC);
    else if (strcasecmp(name, "fail") == 0)
        snprintf(value, size, "%g", behaviour->fail_percent);
    else if (strcasecmp(name, "drop") == 0)
        snprintf(value, size, "%g", behaviour->drop_percent);
    else if (strcasecmp(name, "stall") == 0)
        snprintf(value, size, "%s", behaviour->stall ? "yes" : "no");
    else
        return false;
    return true;
}
