#include "cell/system/proc.h"
#include "cell/system/host.h"
#include "cell/system/procfs.h"
#include "common/base/util.h"
#include "common/work/task_cost.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Whoever samples at real-time priority keeps a core from those it measures. Every so many files it
 * leaves the core to them, so that no request waits long for a sample of thousands of processes. */
enum { FILES_AT_A_TIME = 32 };
static const struct timespec BREATH = {.tv_nsec = 250 * 1000};

enum { HELD_TASKS = 256 }; /* whose waits for a core are added up: a file more for each */

/* One line of /proc/PID/stat. */
struct process {
    pid_t pid, parent;
    int64_t own_ticks;    /* CPU time, user and system */
    int64_t reaped_ticks; /* ... of children that ended and were waited for */
    int threads;
    int64_t start_ticks; /* after boot */
    bool ended;          /* and not yet waited for */
};

struct tree {
    struct process *process; /* owned; processes of the tree first, `count` of them */
    size_t count, capacity;
};

static void breathe(size_t files_read)
{
    if (files_read % FILES_AT_A_TIME == FILES_AT_A_TIME - 1)
        nanosleep(&BREATH, NULL);
}

static bool read_stat(pid_t pid, struct process *process)
{
    char path[64], text[1024];
    long long user = 0, system = 0, reaped_user = 0, reaped_system = 0, start = 0;
    char state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    procfs_read(path, text, sizeof text);
    const char *rest = strrchr(text, ')'); /* a command name may hold blanks and parentheses */
    if (!rest)
        return false;
    process->pid = pid;
    int found =
        sscanf(rest + 1,
               " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld %lld %lld %*d %*d %d %*d %lld",
               &state, &process->parent, &user, &system, &reaped_user, &reaped_system,
               &process->threads, &start);
    process->own_ticks = user + system;
    process->reaped_ticks = reaped_user + reaped_system;
    process->start_ticks = start;
    process->ended = state == 'Z' || state == 'X';
    return found == 8;
}

static void tree_add(struct tree *tree, struct process process)
{
    if (tree->count == tree->capacity) {
        tree->capacity = tree->capacity ? 2 * tree->capacity : 256;
        tree->process = realloc(tree->process, tree->capacity * sizeof *tree->process);
        if (!tree->process)
            die("out of memory");
    }
    tree->process[tree->count++] = process;
}

static int by_parent(const void *left, const void *right)
{
    const struct process *a = left, *b = right;
    return (a->parent > b->parent) - (a->parent < b->parent);
}

/* Every process of the host, sorted by parent. */
static struct tree read_all(void)
{
    struct tree all = {0};
    struct process process;
    DIR *dir = opendir("/proc");
    if (!dir)
        die_errno("cannot read /proc");
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!isdigit((unsigned char)entry->d_name[0]) ||
            !read_stat((pid_t)atoi(entry->d_name), &process))
            continue;
        tree_add(&all, process);
        breathe(all.count);
    }
    closedir(dir);
    qsort(all.process, all.count, sizeof *all.process, by_parent);
    return all;
}

/* The first process whose parent is not below `parent`, in a list sorted by parent. */
static size_t first_child(const struct tree *all, pid_t parent)
{
    size_t low = 0, high = all->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (all->process[middle].parent < parent)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Root and descendants, of a list sorted by parent. The caller frees tree.process. Parents come from a
 * scan of the host because /proc/PID/task/TID/children would be a file per thread, and not every
 * kernel has it. */
static struct tree tree_of(const struct tree *all, pid_t root)
{
    struct tree tree = {0};
    for (size_t i = 0; i < all->count; i++)
        if (all->process[i].pid == root)
            tree_add(&tree, all->process[i]);
    for (size_t next = 0; next < tree.count; next++) {
        pid_t parent = tree.process[next].pid;
        for (size_t i = first_child(all, parent);
             i < all->count && all->process[i].parent == parent; i++)
            tree_add(&tree, all->process[i]);
    }
    return tree;
}

static struct tree read_tree(pid_t root)
{
    struct tree all = read_all(), tree = tree_of(&all, root);
    free(all.process);
    return tree;
}

/* Of two that started within the same tick, the one with the higher number. */
static bool is_younger(const struct process *a, const struct process *b)
{
    return a->start_ticks > b->start_ticks || (a->start_ticks == b->start_ticks && a->pid > b->pid);
}

/* The youngest or the oldest of the children that have not ended. */
static pid_t choose_child(pid_t parent, bool youngest)
{
    struct tree tree = read_tree(parent);
    struct process chosen = {0};
    for (size_t i = 0; i < tree.count; i++) {
        const struct process *process = &tree.process[i];
        if (process->parent == parent && !process->ended &&
            (!chosen.pid || is_younger(process, &chosen) == youngest))
            chosen = *process;
    }
    free(tree.process);
    return chosen.pid;
}

pid_t proc_youngest_child(pid_t parent)
{
    return choose_child(parent, true);
}

pid_t proc_oldest_child(pid_t parent)
{
    return choose_child(parent, false);
}

static int64_t time_ns(struct timeval time)
{
    return time.tv_sec * NSEC_PER_SEC + time.tv_usec * NSEC_PER_USEC;
}

int64_t proc_rusage_cpu_ns(const struct rusage *usage)
{
    return time_ns(usage->ru_utime) + time_ns(usage->ru_stime);
}

int64_t proc_cpu_ns(pid_t pid)
{
    struct timespec used = {0};
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) == 0)
        clock_gettime(clock, &used);
    return used.tv_sec * NSEC_PER_SEC + used.tv_nsec;
}

/* Of one process, exact to the nanosecond; /proc/PID/stat knows only ticks of 10 ms. Children that
 * were reaped are known in ticks alone. */
static int64_t process_cpu_ns(const struct process *process)
{
    return proc_cpu_ns(process->pid) +
           process->reaped_ticks * (NSEC_PER_SEC / sysconf(_SC_CLK_TCK));
}

static int64_t tree_cpu_ns(const struct tree *tree)
{
    int64_t sum_ns = 0;
    for (size_t i = 0; i < tree->count; i++)
        sum_ns += process_cpu_ns(&tree->process[i]);
    return sum_ns;
}

int64_t proc_tree_cpu_ns(pid_t root)
{
    struct tree tree = read_tree(root);
    int64_t sum_ns = tree_cpu_ns(&tree);
    free(tree.process);
    return sum_ns;
}

static void add_task(const char *folder, struct proc_usage *usage)
{
    char path[300], text[4096];
    snprintf(path, sizeof path, "%s/status", folder);
    if (procfs_read(path, text, sizeof text) == 0)
        return;
    usage->tasks++;
    usage->voluntary += procfs_field(text, "voluntary_ctxt_switches:");
    usage->involuntary += procfs_field(text, "nonvoluntary_ctxt_switches:");
    snprintf(path, sizeof path, "%s/schedstat", folder);
    if (usage->tasks <= HELD_TASKS)
        usage->held_ns += held_ns_of(path);
    breathe((size_t)usage->tasks);
}

static void add_tasks(pid_t pid, struct proc_usage *usage)
{
    char path[280];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s", pid, entry->d_name);
        add_task(path, usage);
    }
    closedir(dir);
}

static int64_t ticks_of(const struct tree *tree)
{
    int64_t sum = 0;
    for (size_t i = 0; i < tree->count; i++)
        sum += tree->process[i].own_ticks + tree->process[i].reaped_ticks;
    return sum;
}

/* Of all that is not ours. */
static int64_t others_ns(const struct tree *all)
{
    struct tree ours = tree_of(all, getpid());
    int64_t ticks = ticks_of(all) - ticks_of(&ours);
    free(ours.process);
    return ticks * (NSEC_PER_SEC / sysconf(_SC_CLK_TCK));
}

struct proc_usage proc_usage(pid_t root)
{
    struct proc_usage usage = {0};
    struct tree all = read_all(), tree = tree_of(&all, root);
    usage.at_ns = now_ns();
    usage.cpu_ns = tree_cpu_ns(&tree);
    for (size_t i = 0; i < tree.count; i++)
        add_tasks(tree.process[i].pid, &usage);
    if (usage.tasks > HELD_TASKS)
        usage.held_ns = -1;
    usage.others_ns = others_ns(&all);
    free(tree.process);
    free(all.process);
    return usage;
}

int64_t proc_disk_bytes(pid_t root)
{
    struct tree tree = read_tree(root);
    int64_t bytes = 0;
    for (size_t i = 0; i < tree.count; i++) {
        char path[64], text[1024];
        snprintf(path, sizeof path, "/proc/%d/io", tree.process[i].pid);
        procfs_read(path, text, sizeof text);
        bytes += procfs_field(text, "read_bytes:") + procfs_field(text, "write_bytes:");
        breathe(i);
    }
    free(tree.process);
    return bytes;
}

static void add_user_memory(pid_t pid, struct proc_memory *memory)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    procfs_read(path, text, sizeof text);
    memory->user_kb += procfs_field(text, "Pss:");
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    procfs_read(path, text, sizeof text);
    memory->page_tables_kb += procfs_field(text, "VmPTE:");
}

struct proc_memory proc_memory(pid_t root)
{
    struct proc_memory memory = {.time_waits = host_time_waits(), .sockets = host_sockets()};
    struct tree tree = read_tree(root);
    for (size_t i = 0; i < tree.count; i++) {
        add_user_memory(tree.process[i].pid, &memory);
        memory.kernel_stacks_kb += (int64_t)tree.process[i].threads * KERNEL_STACK_KIB;
    }
    free(tree.process);
    return memory;
}
