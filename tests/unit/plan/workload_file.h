/* A workload file made of a string. */
#ifndef ARCHBENCH_TEST_WORKLOAD_FILE_H
#define ARCHBENCH_TEST_WORKLOAD_FILE_H

#include "loadgen/plan/workload.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char error[512];

/* Load `text` as a file. The name of the file is replaced by FILE in `error`. */
static inline bool load(struct workload *w, const char *text, const char *point)
{
    char path[] = "/tmp/archbench-workload-XXXXXX", raw[512] = "";
    int fd = mkstemp(path);
    bool loaded;

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    loaded = workload_load(w, path, point, raw, sizeof raw);
    unlink(path);
    if (loaded && !workload_agrees(w, raw, sizeof raw)) {
        snprintf(error, sizeof error, "FILE: %s", raw);
        return false;
    }
    snprintf(error, sizeof error, "%s%s", *raw ? "FILE" : "",
             strncmp(raw, path, strlen(path)) == 0 ? raw + strlen(path) : raw);
    return loaded;
}

#endif
