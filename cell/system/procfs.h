/* procfs: the small files in which the kernel says what it has counted. */
#ifndef ARCHBENCH_PROCFS_H
#define ARCHBENCH_PROCFS_H

#include <stddef.h>
#include <stdint.h>

/* A whole file into `text`, terminated and cut at `size`; its length, 0 when it is gone. One read is
 * one consistent view. */
size_t procfs_read(const char *path, char *text, size_t size);

/* The number behind `key` in a text of lines "key number": of the first such line, or 0. */
int64_t procfs_field(const char *text, const char *key);

#endif
