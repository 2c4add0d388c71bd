#include "servers/serverless/functions.h"
#include "common/base/util.h"

#include <stdlib.h>
#include <string.h>

void function_init(struct function *function, const char *name,
                   const struct performer_manner *manner)
{
    *function = (struct function){.manner = *manner};
    memcpy(function->name, name, strlen(name) + 1);
    TAILQ_INIT(&function->waiting);
    LIST_INIT(&function->idle);
}

void functions_init(struct functions *functions, int64_t cold_start_ns, const char *crash)
{
    const char *colon = crash ? strchr(crash, ':') : NULL;
    long percent;
    if (crash && (!colon || !parse_integer(colon + 1, 0, 100, &percent)))
        die("--crash takes CLASS:PERCENT, as in bad:100");
    *functions = (struct functions){.cold_start_ns = cold_start_ns, .crash = crash};
    functions->function = must_calloc(FUNCTIONS_MAX, sizeof *functions->function);
}

static int crash_percent(const char *crash, const char *name)
{
    size_t len = strlen(name);
    if (!crash || strncmp(crash, name, len) != 0 || crash[len] != ':')
        return 0;
    return atoi(crash + len + 1);
}

static struct function *add(struct functions *functions, const char *name)
{
    struct function *function = &functions->function[functions->count++];
    struct performer_manner manner = {.start_up_ns = functions->cold_start_ns,
                                      .crash_percent = crash_percent(functions->crash, name)};
    function_init(function, name, &manner);
    return function;
}

struct function *functions_find(struct functions *functions, const struct program *program)
{
    const char *name = *program->class_name ? program->class_name : "default";
    for (int i = 0; i < functions->count; i++)
        if (strcmp(functions->function[i].name, name) == 0)
            return &functions->function[i];
    return functions->count < FUNCTIONS_MAX ? add(functions, name) : NULL;
}

double functions_sum(const struct functions *functions, enum account account)
{
    double sum = 0;
    for (int i = 0; i < functions->count; i++)
        sum += functions->function[i].account[account];
    return sum;
}
