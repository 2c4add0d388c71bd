#include "cell/system/host.h"
#include "cell/system/procfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A number of the one line "TCP: inuse A orphan B tw C alloc D mem PAGES"; 0: it is not there. */
static int64_t tcp_number(const char *name)
{
    char text[2048];
    procfs_read("/proc/net/sockstat", text, sizeof text);
    const char *line = strstr(text, "TCP:"), *number = line ? strstr(line, name) : NULL;
    return number ? strtoll(number + strlen(name), NULL, 10) : 0;
}

int host_time_waits(void)
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
    procfs_read("/proc/sys/vm/stat_refresh", flushed, sizeof flushed);
    procfs_read("/proc/meminfo", text, sizeof text);
    return procfs_field(text, "SUnreclaim:");
}

/* Pages that each core may have set aside without telling the kernel's count; see
 * Documentation/admin-guide/sysctl/net.rst, mem_pcpu_rsv. */
static int64_t reserved_pages(void)
{
    char text[32];
    bool known = procfs_read("/proc/sys/net/core/mem_pcpu_rsv", text, sizeof text) > 0;
    return (known ? strtoll(text, NULL, 10) : 256) * sysconf(_SC_NPROCESSORS_ONLN);
}

struct host_sockets host_sockets(void)
{
    int64_t page_kb = sysconf(_SC_PAGESIZE) / 1024, reserved_kb = reserved_pages() * page_kb;
    int64_t buffers_kb = tcp_number(" mem ") * page_kb - reserved_kb;
    if (buffers_kb <= 0)
        return (struct host_sockets){.kb = slab_kb()};
    return (struct host_sockets){.kb = buffers_kb + slab_kb(), .unsure_kb = reserved_kb};
}

/* /proc/stat opens with the sums over all cores: user nice system idle iowait irq softirq steal. */
static void read_ticks(struct host_counts *host)
{
    char text[512];
    enum { STEAL = 7, COLUMNS };
    procfs_read("/proc/stat", text, sizeof text);
    char *next = text + strlen("cpu ");
    for (int column = 0; column < COLUMNS; column++) {
        int64_t ticks = strtoll(next, &next, 10);
        host->all_ticks += ticks;
        if (column == STEAL)
            host->steal_ticks = ticks;
    }
}

/* /proc/net/netstat has two lines for each group: names, and their values in the same order. */
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
    procfs_read("/proc/net/netstat", text, sizeof text);
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
static void add_disk(const char *line, struct host_counts *host)
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

static void read_disks(struct host_counts *host)
{
    static char text[64 * 1024];
    procfs_read("/proc/diskstats", text, sizeof text);
    for (const char *line = text; line; line = strchr(line, '\n'))
        add_disk(line += *line == '\n', host);
}

struct host_counts host_counts(void)
{
    struct host_counts host = {.listen_overflows = read_netstat("ListenOverflows"),
                               .listen_drops = read_netstat("ListenDrops")};
    read_ticks(&host);
    read_disks(&host);
    return host;
}
