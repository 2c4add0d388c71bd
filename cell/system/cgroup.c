#include "cell/system/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OURS "archbench."

/* --- folders ---------------------------------------------------------------------------------- */

/* Where the hierarchy is mounted: "cgroup2", or "cgroup" with this controller among its options. */
static bool find_mount(const char *type, const char *controller, char *path, size_t size)
{
    char place[256], kind[32], options[512];
    bool found = false;
    FILE *file = fopen("/proc/self/mounts", "re");
    while (file && !found &&
           fscanf(file, "%*s %255s %31s %511s %*d %*d", place, kind, options) == 3) {
        found = strcmp(kind, type) == 0 && (!controller || strstr(options, controller));
        if (found)
            snprintf(path, size, "%s", place);
    }
    if (file)
        fclose(file);
    return found;
}

/* Append the place of this process in it: the line "0::/place", or "N:controller:/place". */
static bool append_place(const char *controller, char *path, size_t size)
{
    char line[512], wanted[64];
    bool found = false;
    FILE *file = fopen("/proc/self/cgroup", "re");
    snprintf(wanted, sizeof wanted, ":%s:/", controller);
    while (file && !found && fgets(line, sizeof line, file)) {
        char *place = strstr(line, wanted);
        found = place && place == strchr(line, ':');
        if (found) {
            line[strcspn(line, "\n")] = 0;
            size_t len = strlen(path);
            snprintf(path + len, size - len, "%s", place + strlen(wanted) - 1);
        }
    }
    if (file)
        fclose(file);
    return found;
}

/* Those of cells that are no more. One that is in use cannot be removed. */
static void sweep(const char *parent)
{
    char path[1024];
    struct dirent *entry;
    DIR *folder = opendir(parent);
    while (folder && (entry = readdir(folder))) {
        if (strncmp(entry->d_name, OURS, strlen(OURS)) != 0)
            continue;
        pid_t owner = (pid_t)atoi(entry->d_name + strlen(OURS));
        snprintf(path, sizeof path, "%s/%s", parent, entry->d_name);
        if (owner > 0 && kill(owner, 0) && errno == ESRCH)
            rmdir(path);
    }
    if (folder)
        closedir(folder);
}

/* False: we are not let. */
static bool make_in(const char *parent, const char *name, char *path, size_t size)
{
    sweep(parent);
    return (size_t)snprintf(path, size, "%s/%s%d.%s", parent, OURS, (int)getpid(), name) < size &&
           mkdir(path, 0755) == 0;
}

/* Beside the place of this process, or in it. `path` is left empty when neither can be had. */
static void make_folder(const char *type, const char *controller, const char *name, char *path,
                        size_t size)
{
    char place[400], parent[400];
    path[0] = 0;
    if (!find_mount(type, controller[0] ? controller : NULL, place, sizeof place) ||
        !append_place(controller, place, sizeof place))
        return;
    snprintf(parent, sizeof parent, "%s", place);
    char *last = strrchr(parent, '/');
    bool root = last[1] == 0;
    *last = 0;
    if ((root || !make_in(parent, name, path, size)) && !make_in(place, name, path, size))
        path[0] = 0;
}

/* --- files ------------------------------------------------------------------------------------ */

/* The number behind `key` (empty: the first) in a file of the folder; -1: there is none. */
static int64_t read_number(const char *folder, const char *name, const char *key)
{
    char path[600], text[1024];
    long long value = -1;
    if (!folder[0])
        return -1;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return -1;
    text[n] = 0;
    const char *at = strstr(text, key);
    if (at)
        sscanf(at + strlen(key), "%lld", &value);
    return value;
}

static bool enter(const char *folder)
{
    char path[600];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool entered = fd >= 0 && write(fd, "0", 1) == 1;
    if (fd >= 0)
        close(fd);
    return entered;
}

/* --- the interface ---------------------------------------------------------------------------- */

/* A folder that nobody may enter tells nothing. */
static bool can_be_entered(const char *folder)
{
    char path[600];
    snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    return folder[0] && access(path, W_OK) == 0;
}

static void give_up(char *folder)
{
    if (folder[0])
        rmdir(folder);
    folder[0] = 0;
}

void cgroup_open(struct cgroup *cgroup, const char *name)
{
    cgroup->memory[0] = 0;
    make_folder("cgroup2", "", name, cgroup->unified, sizeof cgroup->unified);
    if (!can_be_entered(cgroup->unified))
        give_up(cgroup->unified);
    if (read_number(cgroup->unified, "memory.peak", "") < 0)
        make_folder("cgroup", "memory", name, cgroup->memory, sizeof cgroup->memory);
    if (!can_be_entered(cgroup->memory))
        give_up(cgroup->memory);
}

/* It may still be refused, as when the kernel lets nobody leave where we are: then the numbers stay
 * 0, which cgroup_cpu_ns() takes for not known. */
void cgroup_join(const struct cgroup *cgroup)
{
    if (cgroup->unified[0])
        enter(cgroup->unified);
    if (cgroup->memory[0])
        enter(cgroup->memory);
}

void cgroup_close(struct cgroup *cgroup)
{
    give_up(cgroup->unified);
    give_up(cgroup->memory);
}

int64_t cgroup_cpu_ns(const struct cgroup *cgroup)
{
    int64_t us = read_number(cgroup->unified, "cpu.stat", "usage_usec ");
    return us > 0 ? us * 1000 : -1;
}

int64_t cgroup_memory_peak_kb(const struct cgroup *cgroup)
{
    int64_t bytes = cgroup->memory[0] ? read_number(cgroup->memory, "memory.max_usage_in_bytes", "")
                                      : read_number(cgroup->unified, "memory.peak", "");
    return bytes > 0 ? bytes / 1024 : -1;
}
