#include "common/work/disk.h"
#include "common/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 1 << 20 };

void disk_init(struct disk *disk, const char *path)
{
    *disk = (struct disk){.opening = PTHREAD_MUTEX_INITIALIZER, .fd = -1};
    if (path)
        snprintf(disk->path, sizeof disk->path, "%s", path);
    else
        build_file("disk.data", "ARCHBENCH_DATA", disk->path, sizeof disk->path);
}

/* SplitMix64: neighbours in, unrelated numbers out. */
static uint64_t scramble(uint64_t z)
{
    z += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Bytes that do not compress, should the device try. */
static int fill(int fd)
{
    uint64_t *chunk = malloc(CHUNK);
    int error = chunk ? 0 : -ENOMEM;

    for (uint64_t mib = 0; mib < DISK_FILE_MIB && !error; mib++) {
        for (size_t i = 0; i < CHUNK / sizeof *chunk; i++)
            chunk[i] = scramble(mib * CHUNK + i);
        ssize_t n = write(fd, chunk, CHUNK);
        if (n != CHUNK)
            error = n < 0 ? -errno : -ENOSPC;
    }
    free(chunk);
    return error || fsync(fd) == 0 ? error : -errno;
}

static bool is_whole(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_size >= (off_t)DISK_FILE_MIB * CHUNK;
}

/* Several processes may get here at once: the first one holds the lock while it writes. */
static int make_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644), error = 0;

    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX) != 0)
        error = -errno;
    else if (!is_whole(fd))
        error = fill(fd);
    close(fd);
    return error;
}

/* O_DIRECT goes past the page cache. A file system without it is used all the same, and said so:
 * then the kernel is asked to forget the file, which it need not. */
static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd >= 0 || errno != EINVAL)
        return fd >= 0 ? fd : -errno;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    fprintf(stderr, "%s: no O_DIRECT on this file system: reads may come from memory\n", path);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    return fd;
}

static int open_disk(struct disk *disk)
{
    int fd, error = make_file(disk->path);

    if (error)
        return error;
    fd = open_file(disk->path);
    if (fd < 0)
        return fd;
    disk->blocks = (uint64_t)DISK_FILE_MIB * CHUNK / DISK_BLOCK;
    disk->reads = scramble((uint64_t)now_ns() ^ (uint64_t)getpid());
    __atomic_store_n(&disk->fd, fd, __ATOMIC_RELEASE);
    return fd;
}

static int open_once(struct disk *disk)
{
    int fd = __atomic_load_n(&disk->fd, __ATOMIC_ACQUIRE);

    if (fd >= 0)
        return fd;
    pthread_mutex_lock(&disk->opening);
    fd = disk->fd >= 0 ? disk->fd : open_disk(disk);
    pthread_mutex_unlock(&disk->opening);
    return fd;
}

int disk_begin(struct disk *disk, size_t bytes, struct disk_read *read)
{
    uint64_t count = (bytes + DISK_BLOCK - 1) / DISK_BLOCK, place;
    int fd = open_once(disk);

    if (fd < 0)
        return fd;
    *read = (struct disk_read){.fd = fd, .len = count * DISK_BLOCK};
    read->buffer = aligned_alloc(DISK_BLOCK, read->len);
    if (!read->buffer)
        return -ENOMEM;
    place = scramble(__atomic_fetch_add(&disk->reads, 1, __ATOMIC_RELAXED));
    read->offset = (off_t)(place % (disk->blocks - count + 1)) * DISK_BLOCK;
    return 0;
}

ssize_t disk_perform(const struct disk_read *read)
{
    size_t done = 0;

    while (done < read->len) {
        ssize_t n = pread(read->fd, (char *)read->buffer + done, read->len - done,
                          read->offset + (off_t)done);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -EIO; /* the file has been cut */
        done += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)done;
}

void disk_end(struct disk_read *read)
{
    free(read->buffer);
    read->buffer = NULL;
}
