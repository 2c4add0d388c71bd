#include "cell/system/procfs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t procfs_read(const char *path, char *text, size_t size)
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

int64_t procfs_field(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0)
            return strtoll(line + len, NULL, 10);
    }
    return 0;
}
