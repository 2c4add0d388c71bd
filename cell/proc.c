#include "cell/proc.h"
#include "common/base/util.h"
#include "common/work/task_cost.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
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

/* A whole small file of /proc into `text`; its length, 0 when it is gone. One read is one
 * consistent view. */
static size_t slurp(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;
    if (fd >= 0) {
        while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
            len += (size_t)n;
        close(fd);
    }
    text[len] = 0;
    return len;
}

static void breathe(size_t files_read)
{
    if (files_read % FILES_AT_A_TIME == FILES_AT_A_TIME - 1)
        nanosleep(&BREATH, NULL);
}

/* The number behind `key` in a text of lines "key number": of the first such line, or 0. */
static int64_t field(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0)
            return strtoll(line + len, NULL, 10);
    }
    return 0;
}

static bool read_stat(pid_t pid, struct process *process)
{
    char path[64], text[1024];
    long long user = 0, system = 0, reaped_user = 0, reaped_system = 0, start = 0;
    char state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    slurp(path, text, sizeof text);
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

pid_t proc_youngest_child(pid_t parent)
{
    struct tree tree = read_tree(parent);
    struct process youngest = {0};
    for (size_t i = 0; i < tree.count; i++) {
        const struct process *process = &tree.process[i];
        if (process->parent == parent && !process->ended && is_younger(process, &youngest))
            youngest = *process;
    }
    free(tree.process);
    return youngest.pid;
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

static void add_task(const char *folder, struct proc_usage *usage)
{
    char path[300], text[4096];
    snprintf(path, sizeof path, "%s/status", folder);
    if (slurp(path, text, sizeof text) == 0)
        return;
    usage->tasks++;
    usage->voluntary += field(text, "voluntary_ctxt_switches:");
    usage->involuntary += field(text, "nonvoluntary_ctxt_switches:");
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
    for (size_t i = 0; i < tree.count; i++)
        usage.cpu_ns += process_cpu_ns(&tree.process[i]);
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
        slurp(path, text, sizeof text);
        bytes += field(text, "read_bytes:") + field(text, "write_bytes:");
        breathe(i);
    }
    free(tree.process);
    return bytes;
}

static void add_user_memory(pid_t pid, struct proc_memory *memory)
{
    char path[64], text[4096];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    slurp(path, text, sizeof text);
    memory->user_kb += field(text, "Pss:");
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    slurp(path, text, sizeof text);
    memory->page_tables_kb += field(text, "VmPTE:");
}

/* A number of the one line "TCP: inuse A orphan B tw C alloc D mem PAGES"; 0: it is not there. */
static int64_t tcp_number(const char *name)
{
    char text[2048];
    slurp("/proc/net/sockstat", text, sizeof text);
    const char *line = strstr(text, "TCP:"), *number = line ? strstr(line, name) : NULL;
    return number ? strtoll(number + strlen(name), NULL, 10) : 0;
}

static int64_t tcp_buffers_kb(void)
{
    return tcp_number(" mem ") * (sysconf(_SC_PAGESIZE) / 1024);
}

int proc_time_waits(void)
{
    return (int)tcp_number(" tw ");
}

/* The kernel keeps the memory of sockets that are gone, for sockets to come. New ones would then
 * seem to cost nothing. Root may have it give back what is empty, which takes some 20 ms. */
static void shrink_slabs(void)
{
    char path[300];
    DIR *dir = opendir("/sys/kernel/slab");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "/sys/kernel/slab/%s/shrink", entry->d_name);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        bool shrunk = write(fd, "1", 1) == 1;
        close(fd);
        if (!shrunk)
            break;
    }
    if (dir)
        closedir(dir);
}

/* Sockets, and all else that the kernel keeps for its users. Reclaimable slab stays out: it holds
 * the inodes that reading /proc itself leaves behind, and with them a socket's own 1 KB inode. */
static int64_t slab_kb(void)
{
    char text[8192], flushed[8];
    shrink_slabs();
    /* The kernel counts pages in batches per core; root may have them settled by reading this. */
    slurp("/proc/sys/vm/stat_refresh", flushed, sizeof flushed);
    slurp("/proc/meminfo", text, sizeof text);
    return field(text, "SUnreclaim:");
}

struct proc_memory proc_memory(pid_t root)
{
    struct proc_memory memory = {.sockets_kb = tcp_buffers_kb() + slab_kb()};
    struct tree tree = read_tree(root);
    for (size_t i = 0; i < tree.count; i++) {
        add_user_memory(tree.process[i].pid, &memory);
        memory.kernel_stacks_kb += (int64_t)tree.process[i].threads * KERNEL_STACK_KIB;
    }
    free(tree.process);
    return memory;
}

/* /proc/stat opens with the sums over all cores: user nice system idle iowait irq softirq steal. */
static void read_ticks(struct proc_host *host)
{
    char text[512];
    enum { STEAL = 7, COLUMNS };
    slurp("/proc/stat", text, sizeof text);
    char *next = text + strlen("cpu ");
    for (int column = 0; column < COLUMNS; column++) {
        int64_t ticks = strtoll(next, &next, 10);
        host->all_ticks += ticks;
        if (column == STEAL)
            host->steal_ticks = ticks;
    }
}

/* /proc/net/netstat has a line of names and a line of values for each group, both alike numbered.
 */
static int64_t netstat_value(char *text, const char *name)
{
    char *names = strstr(text, "TcpExt:"), *save_name, *save_value;
    char *values = names ? strstr(names + 1, "TcpExt:") : NULL;
    if (!values)
        return 0;
    values[-1] = 0;
    values[strcspn(values, "\n")] = 0;
    char *key = strtok_r(names, " ", &save_name), *value = strtok_r(values, " ", &save_value);
    while (key && value && strcmp(key, name) != 0) {
        key = strtok_r(NULL, " ", &save_name);
        value = strtok_r(NULL, " ", &save_value);
    }
    return key && value ? strtoll(value, NULL, 10) : 0;
}

static int64_t read_netstat(const char *name)
{
    char text[16384];
    slurp("/proc/net/netstat", text, sizeof text);
    return netstat_value(text, name);
}

/* A disk is what has a device behind it: partitions, loops and volumes would count twice. */
static bool is_disk(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/block/%s/device", name);
    return access(path, F_OK) == 0;
}

/* A line of /proc/diskstats (Documentation/admin-guide/iostats.rst): numbers and name of the device;
 * reads, merged, sectors and ms of them; the same of writes; in flight; ms of doing any of it. */
static void add_disk(const char *line, struct proc_host *host)
{
    enum { SECTOR = 512 };
    char name[64];
    long long read = 0, written = 0, busy_ms = 0;
    if (sscanf(line, "%*d %*d %63s %*d %*d %lld %*d %*d %*d %lld %*d %*d %lld", name, &read,
               &written, &busy_ms) != 4 ||
        !is_disk(name))
        return;
    host->disk_bytes += (read + written) * SECTOR;
    host->disk_busy_ms += busy_ms;
}

static void read_disks(struct proc_host *host)
{
    static char text[64 * 1024];
    slurp("/proc/diskstats", text, sizeof text);
    for (const char *line = text; line; line = strchr(line, '\n'))
        add_disk(line += *line == '\n', host);
}

struct proc_host proc_host(void)
{
    struct proc_host host = {.listen_overflows = read_netstat("ListenOverflows"),
                             .listen_drops = read_netstat("ListenDrops")};
    read_ticks(&host);
    read_disks(&host);
    return host;
}
