/* disk: one large file to read from at random places, past the page cache, so that a read really
 * waits for the device.
 *
 * The file is made at first use and stays (`make clean-data` removes it). It is written, not only
 * allocated: a file system answers reads of space that was never written without the device.
 *
 * A read that fails fails its request (500), not the server. On a file system without O_DIRECT the
 * program says so and goes on. */
#ifndef ARCHBENCH_DISK_H
#define ARCHBENCH_DISK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    DISK_BLOCK = 4096,       /* reads begin and end at multiples of this */
    DISK_READ_MAX = 1 << 20, /* bytes */
    DISK_FILE_MIB = 256,
};

/* All threads of a process share one. A forked child may use its parent's. */
struct disk {
    char path[1024];
    pthread_mutex_t opening; /* guards all below until fd is set */
    int fd;                  /* -1: not opened yet. Read and written atomically */
    uint64_t blocks;
    uint64_t reads; /* so far: makes each place another one. Atomic */
};

/* Where the file is or will be (NULL: $ARCHBENCH_DATA, or disk.data in the build folder). Nothing
 * is opened yet. */
void disk_init(struct disk *, const char *path);

/* A read under way. Whoever started it owns the buffer until disk_end(). */
struct disk_read {
    int fd;
    void *buffer; /* aligned as O_DIRECT wants it */
    size_t len;   /* a multiple of DISK_BLOCK */
    off_t offset;
};

/* Choose a random place for `bytes` (1 to DISK_READ_MAX, rounded up to blocks) and get a buffer.
 * Opens the file, or makes it, which takes about a second. Returns 0 or -errno. */
int disk_begin(struct disk *, size_t bytes, struct disk_read *);
/* Perform it on this thread. Returns the bytes read, all of them, or -errno. */
ssize_t disk_perform(const struct disk_read *);
void disk_end(struct disk_read *);

#endif
