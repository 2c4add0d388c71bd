/* journal: every operation that may change a book, in a file that is mapped into memory, written before
 * the book is changed. So whatever process is killed, and whenever: what was accepted is in the file, and
 * what is not in it has changed nothing. The kernel keeps what was stored to a mapping of a file, even when
 * the process that stored it is gone at once; a power cut may lose the last seconds.
 *
 * Several processes may append at the same time. Each takes a number and writes its entry at that place; one
 * that is killed in between leaves a gap, which readers skip. Entries of one symbol are in the order in
 * which they were applied, because whoever appends has that symbol's book (see market.h).
 *
 * The file: a head of BOOK_JOURNAL_HEAD_BYTES, then entries of 16 bytes; docs/formats.md has the layout. It grows
 * in steps and is never larger than BOOK_JOURNAL_ENTRIES_MAX entries. */
#ifndef ARCHBENCH_BOOK_JOURNAL_H
#define ARCHBENCH_BOOK_JOURNAL_H

#include "common/work/book/book.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    BOOK_JOURNAL_HEAD_BYTES = 4096,
    BOOK_JOURNAL_ENTRIES_MAX = 1 << 26, /* 1 GiB: 20 minutes of 50,000 a second */
    BOOK_JOURNAL_STEP = 1 << 16,        /* entries for which room is made at a time: 1 MiB */
};

#define BOOK_JOURNAL_MAGIC "archbench-book/1"

struct book_journal_file;

/* Of one process or of several that were forked from it. The owner frees it with book_journal_close(). */
struct book_journal {
    struct book_journal_file *file; /* the mapping; NULL: there is no journal */
    int fd;
};

struct book_journal_entry {
    uint64_t seed;
    uint32_t symbol;
    enum book_operation operation;
};

/* Open it, or begin a new one if the file is not there or is empty. Dies with one line when it cannot, or
 * when the file is something else or is about another number of symbols. */
void book_journal_open(struct book_journal *, const char *path, uint32_t symbols);
/* Open one to read only. NULL; or, in a constant sentence, why it cannot be read. *symbols: those of the
 * file. */
const char *book_journal_open_to_read(struct book_journal *, const char *path, uint32_t *symbols);
void book_journal_close(struct book_journal *);

/* Take the next number, from 0 on. -ENOSPC: the journal is full, or there is no room for the file to grow. */
int64_t book_journal_reserve(struct book_journal *);
/* Write the entry of that number: from here on it is accepted. */
void book_journal_write(struct book_journal *, uint64_t number, const struct book_journal_entry *);

/* How many numbers have been taken. */
uint64_t book_journal_length(const struct book_journal *);
/* False: a gap, or an entry that was written only in part. */
bool book_journal_read(const struct book_journal *, uint64_t number, struct book_journal_entry *);

#endif
