#include "servers/serverless/journal.h"
#include "common/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The file: a heading, then "+ID TEXT" for what is put and "-ID" for what is removed. */
static const char heading[] = "archbench-journal/1\n";
enum { HEADING = sizeof heading - 1, PREFIX_MAX = 32, COMPACT_BYTES = 4 << 20 };
enum { LOCK_TRIES = 50, LOCK_PAUSE_US = 10000 };

/* --- reading --------------------------------------------------------------------------------- */

/* One line of the file, in the order of the file. */
struct line {
    struct journal_record record; /* text NULL: removed */
    size_t place;
};

static int by_id(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    if (x->record.id != y->record.id)
        return x->record.id < y->record.id ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

static bool read_line(char *text, size_t len, struct line *line)
{
    char *end;
    if (len < 2 || (text[0] != '+' && text[0] != '-') || text[1] < '1' || text[1] > '9')
        return false;
    errno = 0;
    line->record.id = strtoull(text + 1, &end, 10);
    if (errno)
        return false;
    if (text[0] == '-')
        return end == text + len;
    line->record.text = end + 1;
    line->record.len = len - (size_t)(end + 1 - text);
    return end < text + len && *end == ' ';
}

static size_t count_lines(const char *text, size_t len)
{
    size_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    return lines;
}

/* The last line of each id decides. The ids whose last line is a put remain, in ascending order. */
static long keep_last(struct line *lines, size_t count, struct journal_record *records)
{
    long kept = 0;
    qsort(lines, count, sizeof *lines, by_id);
    for (size_t i = 0; i < count; i++)
        if (lines[i].record.text &&
            (i + 1 == count || lines[i + 1].record.id != lines[i].record.id))
            records[kept++] = lines[i].record;
    return kept;
}

/* Turn whole lines into records. Returns their number, or -EILSEQ. */
static long parse(char *text, size_t len, struct journal_record *records, uint64_t *last_id)
{
    struct line *lines = must_calloc(count_lines(text, len) + 1, sizeof *lines);
    size_t count = 0;
    long result = 0;
    char *begin = text, *end;

    for (; (end = memchr(begin, '\n', len - (size_t)(begin - text))); begin = end + 1) {
        struct line *line = &lines[count];
        if (!read_line(begin, (size_t)(end - begin), line)) {
            result = -EILSEQ;
            break;
        }
        line->place = count++;
        if (line->record.id > *last_id)
            *last_id = line->record.id;
    }
    if (!result)
        result = keep_last(lines, count, records);
    free(lines);
    return result;
}

static ssize_t read_all(int fd, char *text, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = pread(fd, text + len, size - len, (off_t)len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    return (ssize_t)len;
}

/* Read the whole file. The allocation has room for the records, and behind them the text that they
 * will point into. */
static long recover(struct journal *journal, struct journal_record **records)
{
    struct stat status;
    if (fstat(journal->fd, &status) != 0)
        return -errno;
    size_t size = (size_t)status.st_size;
    /* A record takes a line of four bytes at least. */
    size_t room = (size / 4 + 1) * sizeof **records;
    *records = must_calloc(room + size + 1, 1);
    char *text = (char *)*records + room;
    ssize_t len = read_all(journal->fd, text, size);

    if (len < 0)
        return len;
    if (memcmp(text, heading, (size_t)len < HEADING ? (size_t)len : HEADING) != 0)
        return -EILSEQ;
    if (len < HEADING) /* new, or its first writer died */
        return 0;
    return parse(text + HEADING, (size_t)len - HEADING, *records, &journal->last_id);
}

/* --- writing --------------------------------------------------------------------------------- */

/* Write all parts, or nothing: what was written of them in part is cut off again. */
static int append(struct journal *journal, const struct iovec *part, int parts)
{
    size_t len = 0;
    for (int i = 0; i < parts; i++)
        len += part[i].iov_len;
    ssize_t n = writev(journal->fd, part, parts);
    if (n == (ssize_t)len) {
        journal->bytes += len;
        return 0;
    }
    int error = n < 0 ? -errno : -ENOSPC;
    if (n > 0 && ftruncate(journal->fd, (off_t)journal->bytes) != 0)
        error = -EIO;
    return error;
}

static int write_entry(struct journal *journal, struct journal_entry *entry)
{
    char prefix[PREFIX_MAX];
    size_t n = (size_t)snprintf(prefix, sizeof prefix, "+%" PRIu64 " ", entry->id);
    struct iovec part[] = {{prefix, n}, {(char *)entry->text, entry->len}, {(char *)"\n", 1}};
    journal->live_bytes += n + entry->len + 1 - entry->written;
    entry->written = n + entry->len + 1;
    return journal->settled && journal->fd >= 0 ? append(journal, part, 3) : 0;
}

/* Children that an earlier owner forked just before it was killed may hold its lock for a moment
 * longer: try several times. */
static int open_locked(const char *path, int flags)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | flags, 0644);
    if (fd < 0)
        return -errno;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        usleep(LOCK_PAUSE_US);
    }
    close(fd);
    return -EWOULDBLOCK;
}

static int write_set(struct journal *journal)
{
    struct journal_entry *entry;
    int error = append(journal, &(struct iovec){(char *)heading, HEADING}, 1);
    TAILQ_FOREACH (entry, &journal->live, link)
        if (!error)
            error = write_entry(journal, entry);
    return error;
}

/* Write the set into a new file, which takes the place of the old one when it is complete. */
static int compact(struct journal *journal)
{
    struct journal old = *journal;
    char fresh[4096];
    if (snprintf(fresh, sizeof fresh, "%s.new", journal->path) >= (int)sizeof fresh)
        return -ENAMETOOLONG;
    int fd = open_locked(fresh, O_TRUNC);
    if (fd < 0)
        return fd;
    journal->fd = fd;
    journal->bytes = 0;
    journal->settled = true;
    int error = write_set(journal);
    if (!error && rename(fresh, journal->path) != 0)
        error = -errno;
    if (error) {
        unlink(fresh);
        journal->fd = old.fd;
        journal->bytes = old.bytes;
        journal->settled = old.settled;
    }
    close(error ? fd : old.fd);
    return error;
}

/* --- the set --------------------------------------------------------------------------------- */

long journal_open(struct journal *journal, const char *path, struct journal_record **records)
{
    *journal = (struct journal){.fd = -1, .settled = !path};
    *records = NULL;
    TAILQ_INIT(&journal->live);
    if (!path)
        return 0;
    signal(SIGXFSZ, SIG_IGN);
    journal->path = strdup(path);
    if (!journal->path)
        return -ENOMEM;
    journal->fd = open_locked(path, 0);
    long count = journal->fd < 0 ? journal->fd : recover(journal, records);
    if (count < 0) {
        free(*records);
        *records = NULL;
        journal_close(journal);
    }
    return count;
}

int journal_settle(struct journal *journal)
{
    return journal->fd < 0 ? 0 : compact(journal);
}

void journal_close(struct journal *journal)
{
    if (journal->fd >= 0)
        close(journal->fd);
    free(journal->path);
    journal->fd = -1;
    journal->path = NULL;
}

int journal_put(struct journal *journal, struct journal_entry *entry)
{
    if (!entry->id)
        entry->id = ++journal->last_id;
    if (!entry->written)
        TAILQ_INSERT_TAIL(&journal->live, entry, link);
    return write_entry(journal, entry);
}

int journal_replace(struct journal *journal, struct journal_entry *old, struct journal_entry *fresh)
{
    fresh->id = old->id;
    fresh->written = old->written;
    TAILQ_INSERT_AFTER(&journal->live, old, fresh, link);
    TAILQ_REMOVE(&journal->live, old, link);
    old->written = 0;
    return write_entry(journal, fresh);
}

int journal_remove(struct journal *journal, struct journal_entry *entry)
{
    char line[PREFIX_MAX];
    size_t n = (size_t)snprintf(line, sizeof line, "-%" PRIu64 "\n", entry->id);
    TAILQ_REMOVE(&journal->live, entry, link);
    journal->live_bytes -= entry->written;
    entry->written = 0;
    if (journal->fd < 0 || !journal->settled)
        return 0;
    if (journal->bytes > COMPACT_BYTES && journal->bytes / 4 > journal->live_bytes &&
        compact(journal) == 0)
        return 0;
    return append(journal, &(struct iovec){line, n}, 1);
}
