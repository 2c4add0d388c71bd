/* journal: a small set of texts that survives the process, as lines appended to a file.
 *
 * A record is with the kernel when the call that wrote it returns: the end of the process by any
 * signal, at any moment, loses none; the end of the machine may lose the last seconds. */
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
    size_t written; /* what it takes in the file; 0: it is not in the set */
    TAILQ_ENTRY(journal_entry) link;
};

/* One thread's at a time. */
struct journal {
    char *path;
    int fd; /* -1: kept in memory only; all calls work, and nothing survives */
    bool settled;
    uint64_t last_id;
    size_t bytes, live_bytes; /* in the file; of the records that count */
    TAILQ_HEAD(journal_entries, journal_entry) live;
};

/* What an earlier process left: freed by the caller, texts with it, in one free(). */
struct journal_record {
    uint64_t id;
    const char *text;
    size_t len;
};

/* Open or make the file (NULL: memory only). *records: what is in it, by age, for the caller to
 * put() again, changed or not, with the same ids. Returns their number, or -errno: -EWOULDBLOCK when
 * another process keeps it open, -EILSEQ when it is no journal. A last line that was cut short does
 * not count: its writer died before it could act on it. */
long journal_open(struct journal *, const char *path, struct journal_record **records);
/* Recovery is over: from one moment to the next the file holds what has been put, and nothing else.
 * Until then it stays as it was. 0 or -errno. */
int journal_settle(struct journal *);
void journal_close(struct journal *);
/* Is there a file? Without one texts need not be made. */
static inline bool journal_is_kept(const struct journal *journal)
{
    return journal->fd >= 0;
}

/* Add the entry, or write its changed text under the same id. 0, or -errno when it could not be
 * written; it is in the set all the same. */
int journal_put(struct journal *, struct journal_entry *);
/* The second takes the place and the id of the first, with its own text, as journal_put() would
 * write it: whoever reads the file finds the one or the other. */
int journal_replace(struct journal *, struct journal_entry *old, struct journal_entry *fresh);
/* It is over. From time to time this writes the file anew, without what is over: that takes as long
 * as what is left is large. 0 or -errno. */
int journal_remove(struct journal *, struct journal_entry *);

#endif
