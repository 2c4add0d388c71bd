#include "common/work/book/journal.h"
#include "common/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* An entry as it is stored. The second word is written last, and says whether the first belongs to it. */
struct stored {
    _Atomic uint64_t seed;
    _Atomic uint64_t rest; /* check << 32 | symbol << 16 | operation + 1; 0: nothing is written */
};

struct book_journal_file {
    char magic[24];
    uint32_t symbols;
    _Atomic uint64_t length; /* numbers that have been taken */
    _Atomic uint64_t room;   /* entries for which the file is large enough */
    char unused[BOOK_JOURNAL_HEAD_BYTES - 48];
    struct stored entry[];
};

static const size_t BYTES_MAX =
    sizeof(struct book_journal_file) + (size_t)BOOK_JOURNAL_ENTRIES_MAX * sizeof(struct stored);

static size_t bytes_for(uint64_t entries)
{
    return sizeof(struct book_journal_file) + (size_t)entries * sizeof(struct stored);
}

/* Blocks are taken in advance: to find the disk full in a store to the mapping would be a SIGBUS. Where the
 * file system cannot do that, the file is only made longer. */
static int make_room(int fd, uint64_t entries)
{
    struct stat now;
    int failed;
    do
        failed = fallocate(fd, 0, 0, (off_t)bytes_for(entries));
    while (failed && errno == EINTR); /* a signal, which is seen to elsewhere */
    if (!failed)
        return 0;
    if (errno != EOPNOTSUPP || fstat(fd, &now))
        return -errno;
    if ((size_t)now.st_size >= bytes_for(entries))
        return 0;
    return ftruncate(fd, (off_t)bytes_for(entries)) ? -errno : 0;
}

/* NULL, or why it is no journal. */
static const char *fault(const struct book_journal_file *file, uint64_t bytes)
{
    _Static_assert(sizeof *file == BOOK_JOURNAL_HEAD_BYTES, "entries begin behind the head");
    if (bytes < sizeof *file ||
        memcmp(file->magic, BOOK_JOURNAL_MAGIC, sizeof BOOK_JOURNAL_MAGIC) != 0)
        return "it is no journal of order books";
    if (file->symbols == 0)
        return "its head is damaged";
    return NULL;
}

static void begin(struct book_journal *journal, uint32_t symbols)
{
    journal->file->symbols = symbols;
    journal->file->room = BOOK_JOURNAL_STEP;
    memcpy(journal->file->magic, BOOK_JOURNAL_MAGIC,
           sizeof BOOK_JOURNAL_MAGIC); /* from here on it is one */
}

/* Whoever made it was killed before it was one. No other file of zeros is taken for that. */
static bool is_unborn(const struct book_journal_file *file, uint64_t bytes)
{
    static const struct book_journal_file zeros;
    return bytes == bytes_for(BOOK_JOURNAL_STEP) &&
           memcmp(file->magic, zeros.magic, sizeof file->magic) == 0 && file->length == 0;
}

static void check(struct book_journal *journal, const char *path, uint32_t symbols, uint64_t bytes)
{
    const char *reason = fault(journal->file, bytes);
    if (reason)
        die("cannot use the journal '%s': %s", path, reason);
    if (journal->file->symbols != symbols)
        die("cannot use the journal '%s': it is about %u symbols", path, journal->file->symbols);
    /* What the head says of the room may be older than the file. */
    uint64_t whole = (bytes - sizeof *journal->file) / sizeof(struct stored);
    journal->file->room = whole < BOOK_JOURNAL_ENTRIES_MAX ? whole : BOOK_JOURNAL_ENTRIES_MAX;
}

/* Processes of a server that was killed may still be about to end. */
static void lock_file(int fd, const char *path)
{
    enum { LOOKS = 500, LOOK_US = 10000 };
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
        if (errno != EWOULDBLOCK)
            return; /* a file system without locks */
        if (i == LOOKS)
            die("cannot use the journal '%s': another server has it", path);
        usleep(LOOK_US);
    }
}

void book_journal_open(struct book_journal *journal, const char *path, uint32_t symbols)
{
    struct stat now;
    signal(SIGXFSZ, SIG_IGN); /* a file that must not grow is full, and no reason to die */
    journal->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (journal->fd < 0)
        die_errno("cannot open the journal '%s'", path);
    lock_file(journal->fd, path);
    if (fstat(journal->fd, &now))
        die_errno("cannot open the journal '%s'", path);
    if (now.st_size == 0 && make_room(journal->fd, BOOK_JOURNAL_STEP))
        die("cannot make room for the journal '%s'", path);
    journal->file =
        mmap(NULL, BYTES_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, journal->fd, 0);
    if (journal->file == MAP_FAILED)
        die_errno("cannot map the journal '%s'", path);
    if (now.st_size == 0 || is_unborn(journal->file, (uint64_t)now.st_size))
        begin(journal, symbols);
    else
        check(journal, path, symbols, (uint64_t)now.st_size);
}

const char *book_journal_open_to_read(struct book_journal *journal, const char *path,
                                      uint32_t *symbols)
{
    struct stat now;
    const char *reason = "it cannot be opened";
    journal->file = NULL;
    journal->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (journal->fd < 0 || fstat(journal->fd, &now))
        return reason;
    reason = "it is no journal of order books";
    if ((size_t)now.st_size >= sizeof(struct book_journal_file)) {
        journal->file =
            mmap(NULL, BYTES_MAX, PROT_READ, MAP_SHARED | MAP_NORESERVE, journal->fd, 0);
        reason = journal->file == MAP_FAILED ? "it cannot be mapped"
                                             : fault(journal->file, (uint64_t)now.st_size);
    }
    if (reason)
        return reason;
    *symbols = journal->file->symbols;
    return NULL;
}

void book_journal_close(struct book_journal *journal)
{
    if (journal->file && journal->file != MAP_FAILED)
        munmap(journal->file, BYTES_MAX);
    if (journal->fd >= 0)
        close(journal->fd);
    *journal = (struct book_journal){.fd = -1};
}

/* Whoever needs the room makes it. Two may do so at the same time, which does no harm. */
static int grow(struct book_journal *journal, uint64_t number)
{
    uint64_t room = (number / BOOK_JOURNAL_STEP + 1) * BOOK_JOURNAL_STEP;
    int error = make_room(journal->fd, room);
    uint64_t known = journal->file->room;
    while (!error && known < room &&
           !atomic_compare_exchange_weak(&journal->file->room, &known, room)) {
    }
    return error;
}

int64_t book_journal_reserve(struct book_journal *journal)
{
    struct book_journal_file *file = journal->file;
    if (file->length >= BOOK_JOURNAL_ENTRIES_MAX)
        return -ENOSPC;
    uint64_t number = atomic_fetch_add(&file->length, 1);
    if (number >= BOOK_JOURNAL_ENTRIES_MAX || (number >= file->room && grow(journal, number)))
        return -ENOSPC;
    return (int64_t)number;
}

/* What binds the parts of an entry to each other and to its place. */
static uint64_t rest_of(uint64_t number, uint64_t seed, uint64_t what)
{
    uint64_t digest = book_mix(book_mix(seed) ^ book_mix(number) ^ what);
    return digest >> 32 << 32 | what;
}

void book_journal_write(struct book_journal *journal, uint64_t number,
                        const struct book_journal_entry *entry)
{
    struct stored *stored = &journal->file->entry[number];
    uint64_t what = (uint64_t)entry->symbol << 16 | ((uint64_t)entry->operation + 1);
    atomic_store_explicit(&stored->seed, entry->seed, memory_order_relaxed);
    atomic_store_explicit(&stored->rest, rest_of(number, entry->seed, what), memory_order_release);
}

/* Never beyond the end of the file, which may have been cut. */
uint64_t book_journal_length(const struct book_journal *journal)
{
    uint64_t length = journal->file->length, whole = 0;
    struct stat now;
    if (fstat(journal->fd, &now) == 0 && (size_t)now.st_size >= bytes_for(0))
        whole = ((size_t)now.st_size - bytes_for(0)) / sizeof(struct stored);
    if (length > whole)
        length = whole;
    return length < BOOK_JOURNAL_ENTRIES_MAX ? length : BOOK_JOURNAL_ENTRIES_MAX;
}

bool book_journal_read(const struct book_journal *journal, uint64_t number,
                       struct book_journal_entry *entry)
{
    const struct stored *stored = &journal->file->entry[number];
    uint64_t rest = atomic_load_explicit(&stored->rest, memory_order_acquire);
    uint64_t seed = atomic_load_explicit(&stored->seed, memory_order_relaxed);
    uint64_t what = rest & 0xffffffff, operation = (what & 0xffff) - 1;
    uint32_t symbol = (uint32_t)(what >> 16);
    if (rest == 0 || rest != rest_of(number, seed, what) || operation >= BOOK_QUOTE ||
        symbol >= journal->file->symbols)
        return false;
    *entry = (struct book_journal_entry){seed, symbol, (enum book_operation)operation};
    return true;
}
