/* What survives a process: all that was put and not removed, wherever its last write was cut. */
#include "servers/serverless/journal.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *temporary_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/archbench-journal-%d", getpid());
    unlink(path);
    return path;
}

static void open_empty(struct journal *journal, const char *path)
{
    struct journal_record *records;
    cr_assert_eq(journal_open(journal, path, &records), 0);
    free(records);
    cr_assert_eq(journal_settle(journal), 0);
}

static void put(struct journal *journal, struct journal_entry *entry, const char *text)
{
    entry->text = text;
    entry->len = strlen(text);
    cr_assert_eq(journal_put(journal, entry), 0);
}

/* The ids and texts that are in the file, as one string. */
static char *content(const char *path)
{
    static char text[4096];
    struct journal journal;
    struct journal_record *records;
    long count = journal_open(&journal, path, &records);
    size_t len = 0;

    text[0] = 0;
    cr_assert_geq(count, 0, "%s", strerror((int)-count));
    for (long i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%d:%.*s ", (int)records[i].id,
                                (int)records[i].len, records[i].text);
    free(records);
    journal_close(&journal);
    return text;
}

Test(journal, keeps_what_was_put_and_not_removed)
{
    const char *path = temporary_path();
    struct journal journal;
    struct journal_entry a = {0}, b = {0}, c = {0};

    open_empty(&journal, path);
    put(&journal, &a, "first");
    put(&journal, &b, "second, with + and - and blanks ");
    put(&journal, &c, "");
    put(&journal, &a, "changed");
    cr_assert_eq(journal_remove(&journal, &b), 0);
    journal_close(&journal); /* as the end of the process does */
    cr_assert_str_eq(content(path), "1:changed 3: ");
    unlink(path);
}

Test(journal, one_takes_the_place_of_another)
{
    const char *path = temporary_path();
    struct journal journal;
    struct journal_entry a = {0}, b = {0}, instead = {.text = "letter", .len = 6};

    open_empty(&journal, path);
    put(&journal, &a, "event");
    put(&journal, &b, "other");
    cr_assert_eq(journal_replace(&journal, &a, &instead), 0);
    cr_assert_eq(instead.id, 1);
    cr_assert_eq(TAILQ_FIRST(&journal.live), &instead);
    cr_assert_eq(journal_remove(&journal, &b), 0);
    journal_close(&journal);
    cr_assert_str_eq(content(path), "1:letter ");
    unlink(path);
}

Test(journal, goes_on_with_the_ids_of_before)
{
    const char *path = temporary_path();
    struct journal journal;
    struct journal_entry a = {0}, b = {0};
    struct journal_record *records;

    open_empty(&journal, path);
    put(&journal, &a, "old");
    put(&journal, &b, "gone");
    journal_remove(&journal, &b);
    journal_close(&journal);

    cr_assert_eq(journal_open(&journal, path, &records), 1);
    struct journal_entry again = {.id = records[0].id}, fresh = {0};
    put(&journal, &again, "recovered");
    put(&journal, &fresh, "new");
    cr_assert_eq(fresh.id, 3, "an id is never given twice");
    free(records);
    cr_assert_eq(journal_settle(&journal), 0);
    journal_close(&journal);
    cr_assert_str_eq(content(path), "1:recovered 3:new ");
    unlink(path);
}

Test(journal, is_as_it_was_until_recovery_is_over)
{
    const char *path = temporary_path();
    struct journal journal;
    struct journal_entry a = {0}, again = {.id = 1}, fresh = {0};
    struct journal_record *records;

    open_empty(&journal, path);
    put(&journal, &a, "old");
    journal_close(&journal);
    cr_assert_eq(journal_open(&journal, path, &records), 1);
    put(&journal, &again, "changed");
    put(&journal, &fresh, "new");
    journal_remove(&journal, &fresh);
    free(records);
    journal_close(&journal); /* died in between */
    cr_assert_str_eq(content(path), "1:old ");
    unlink(path);
}

/* Cut anywhere, the file gives what stood before the line that was cut. */
Test(journal, cut_at_every_byte)
{
    const char *path = temporary_path();
    struct journal journal;
    struct journal_entry a = {0}, b = {0};
    const char *expected[] = {"", "1:x ", "1:x 2:yy ", "1:z 2:yy ", "2:yy "};
    size_t lines = 0;
    struct stat status;
    char text[256] = {0};

    open_empty(&journal, path);
    put(&journal, &a, "x");
    put(&journal, &b, "yy");
    put(&journal, &a, "z");
    journal_remove(&journal, &a);
    journal_close(&journal);
    int fd = open(path, O_RDONLY);
    cr_assert_gt(read(fd, text, sizeof text), 0);
    close(fd);
    stat(path, &status);
    cr_assert_eq(status.st_size, 20 + 5 + 6 + 5 + 3);
    for (off_t cut = 0; cut <= status.st_size; cut++) {
        fd = open(path, O_WRONLY | O_TRUNC);
        cr_assert_eq(write(fd, text, (size_t)cut), cut);
        close(fd);
        if (cut > 20 && text[cut - 1] == '\n')
            lines++;
        cr_assert_str_eq(content(path), expected[lines], "cut at %d", (int)cut);
    }
    unlink(path);
}

Test(journal, refuses_what_is_no_journal)
{
    const char *bad[] = {"archbench-journal/2\n",
                         "hello",
                         "archbench-journal/1\n*1 x\n",
                         "archbench-journal/1\n+0 x\n",
                         "archbench-journal/1\n+1\n",
                         "archbench-journal/1\n-1 x\n",
                         "archbench-journal/1\n+1 x\n\n",
                         "archbench-journal/1\n+1x\n+2 y\n",
                         "archbench-journal/1\n+99999999999999999999 x\n"};
    const char *path = temporary_path();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct journal journal;
        struct journal_record *records;
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        cr_assert_gt(write(fd, bad[i], strlen(bad[i])), 0);
        close(fd);
        cr_assert_eq(journal_open(&journal, path, &records), -EILSEQ, "%s", bad[i]);
    }
    unlink(path);
    struct journal journal;
    struct journal_record *records;
    cr_assert_eq(journal_open(&journal, "/nowhere/journal", &records), -ENOENT);
}

Test(journal, has_one_owner_at_a_time)
{
    const char *path = temporary_path();
    struct journal journal, other;
    struct journal_record *records;

    open_empty(&journal, path);
    cr_assert_eq(journal_open(&other, path, &records), -EWOULDBLOCK);
    journal_close(&journal);
    cr_assert_eq(journal_open(&other, path, &records), 0);
    free(records);
    journal_close(&other);
    unlink(path);
}

Test(journal, grows_no_further_than_what_is_left)
{
    const char *path = temporary_path();
    struct journal journal;
    struct journal_entry stays = {0}, comes = {0};
    struct stat status;
    off_t largest = 0;

    open_empty(&journal, path);
    put(&journal, &stays, "stays");
    for (int i = 0; i < 400000; i++) {
        comes.id = 0;
        put(&journal, &comes, "/work?class=a&cpu=hash:5ms");
        cr_assert_eq(journal_remove(&journal, &comes), 0);
        if (i % 1000 == 0 && stat(path, &status) == 0 && status.st_size > largest)
            largest = status.st_size;
    }
    cr_assert_gt(largest, 3 << 20);
    cr_assert_lt(largest, 5 << 20);
    journal_close(&journal);
    cr_assert_str_eq(content(path), "1:stays ");
    unlink(path);
}

/* A disk that is full in the middle of a record: the record is refused, the file stays whole. */
Test(journal, a_record_that_does_not_fit_leaves_no_trace)
{
    const char *path = temporary_path();
    struct journal journal;
    struct journal_entry a = {0}, b = {.text = "0123456789", .len = 10}, c = {0};

    open_empty(&journal, path);
    put(&journal, &a, "one");
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){32, 1000});
    cr_assert_lt(journal_put(&journal, &b), 0);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, 1000});
    put(&journal, &c, "three");
    journal_close(&journal);
    cr_assert_str_eq(content(path), "1:one 3:three ");
    unlink(path);
}

Test(journal, without_a_file_it_is_a_set_in_memory)
{
    struct journal journal;
    struct journal_record *records;
    struct journal_entry a = {0}, b = {0};

    cr_assert_eq(journal_open(&journal, NULL, &records), 0);
    cr_assert_null(records);
    put(&journal, &a, "x");
    put(&journal, &b, "y");
    cr_assert_eq(journal_remove(&journal, &a), 0);
    cr_assert_eq(TAILQ_FIRST(&journal.live), &b);
    cr_assert_eq(journal_settle(&journal), 0);
    journal_close(&journal);
}

/* Killed at any moment: whoever was told that a put had returned finds it again. */
Test(journal, a_kill_loses_nothing, .timeout = 60)
{
    const char *path = temporary_path();
    for (int round = 0; round < 50; round++) {
        int told[2];
        uint64_t id, last = 0;
        unlink(path);
        cr_assert_eq(pipe(told), 0);
        pid_t pid = fork();
        if (pid == 0) {
            struct journal journal;
            static struct journal_entry entries[100000];
            open_empty(&journal, path);
            for (int i = 0; i < 100000; i++) {
                put(&journal, &entries[i], "an event");
                if (write(told[1], &entries[i].id, sizeof id) < 0)
                    _exit(1);
            }
            _exit(0);
        }
        close(told[1]);
        usleep(1000 + (useconds_t)round * 300);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        while (read(told[0], &id, sizeof id) == sizeof id)
            last = id;
        close(told[0]);

        struct journal journal;
        struct journal_record *records;
        long count = journal_open(&journal, path, &records);
        cr_assert_geq(count, (long)last, "%ld in the file, %ld were told", count, (long)last);
        cr_assert_leq(count, (long)last + 1);
        free(records);
        journal_close(&journal);
    }
    unlink(path);
}
