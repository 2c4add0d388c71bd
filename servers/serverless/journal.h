/* journal: a small set of texts that survives the process, as lines appended to a file.
 *
 * When a call that writes a record returns, the kernel has the record. If the process is killed, at
 * whatever moment, no record is lost; if the machine fails, those of the last seconds may be. */
#ifndef ARCHBENCH_JOURNAL_H
#define ARCHBENCH_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* One text of the set. The caller owns it, and the text, until journal_remove(). Zero at first. */
struct journal_entry {
    uint64_t id; /* 0: journal_put() gives one, greater than any before */
    const char *text;
    size_t len;     /* any bytes but line ends */
    size_t written; /* bytes that it takes in the file; 0: it is not in the set */
    TAILQ_ENTRY(journal_entry) link;
};

/* One thread's at a time. */
struct journal {
    char *path;
    int fd;       /* -1: kept in memory only; all calls work, and nothing survives */
    bool settled; /* recovery is over: puts and removals are written */
    uint64_t last_id;
    size_t bytes, live_bytes; /* in the file; of the records that count */
    TAILQ_HEAD(journal_entries, journal_entry) live;
};

/* What an earlier process left. The caller frees the array; the texts go with it. */
struct journal_record {
    uint64_t id;
    const char *text;
    size_t len;
};

/* Open or make the file (NULL: memory only). *records: what is in it, the oldest first. The caller
 * puts each of them again with the same id, changed or not. Returns their number, or -errno:
 * -EWOULDBLOCK when another process has the file open, -EILSEQ when it is no journal. A last line
 * that was cut short does not count: its writer died before it could act on it. From here on the
 * process ignores SIGXFSZ, so that a limit on the size of files is an error of the write. */
long journal_open(struct journal *, const char *path, struct journal_record **records);
/* Recovery is over: replace the file, in one step, by one that holds what has been put and nothing
 * else. Until then it stays as it was. 0 or -errno. */
int journal_settle(struct journal *);
void journal_close(struct journal *);
/* Is there a file? Without one texts need not be made. */
static inline bool journal_is_kept(const struct journal *journal)
{
    return journal->fd >= 0;
}

/* Add the entry, or write its changed text under the same id. 0, or -errno when it could not be
 * written; the entry is in the set nevertheless. */
int journal_put(struct journal *, struct journal_entry *);
/* `fresh` takes the place and the id of `old`, with its own text. A reader of the file finds either
 * the one or the other. Returns what journal_put() would. */
int journal_replace(struct journal *, struct journal_entry *old, struct journal_entry *fresh);
/* Take the entry out of the set. From time to time this writes the file anew, without what has been
 * removed; that takes time in proportion to what is left. 0 or -errno. */
int journal_remove(struct journal *, struct journal_entry *);

#endif
