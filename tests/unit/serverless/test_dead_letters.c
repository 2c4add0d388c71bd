/* The dead-letter queue: its order, its bound, and how it is told. */
#include "servers/serverless/dead_letters.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct program program_of(const char *target)
{
    struct program program;
    const char *reason;
    cr_assert(program_parse(&program, target, strlen(target), &reason), "%s", target);
    return program;
}

static struct journal journal; /* of each test, which is a process: in memory, or a file */

static long open_journal(const char *path, struct journal_record **records)
{
    long count = journal_open(&journal, path, records);
    cr_assert_geq(count, 0);
    return count;
}

/* `count` dead letters whose bodies are 1, 2, ... bytes. */
static void fill(struct dead_letters *dead_letters, int limit, int count)
{
    struct program program = program_of("/work?body=0&class=f");
    struct journal_record *records;
    open_journal(NULL, &records);
    dead_letters_init(dead_letters, &journal, limit);
    while (count-- > 0) {
        program.body_bytes++;
        dead_letters_add(dead_letters, NULL, "f", &program, "crashed", 4);
    }
}

static void assert_ids(const struct dead_letters *dead_letters, const unsigned *ids)
{
    const struct dead_letter *dead_letter;
    int n = 0;
    TAILQ_FOREACH (dead_letter, &dead_letters->list, link) {
        cr_assert_eq(dead_letter->entry.id, ids[n]);
        cr_assert_eq(dead_letter->program.body_bytes, ids[n++]);
    }
    cr_assert_eq(dead_letters->count, n);
    cr_assert_eq(ids[n], 0);
}

Test(dead_letters, the_oldest_goes)
{
    struct dead_letters dead_letters;
    fill(&dead_letters, 3, 5);
    assert_ids(&dead_letters, (unsigned[]){3, 4, 5, 0});
    cr_assert_eq(dead_letters.lost, 2);
    dead_letters_free(&dead_letters);
    cr_assert(dead_letters.count == 0 && TAILQ_EMPTY(&dead_letters.list));
}

Test(dead_letters, a_pinned_one_stays)
{
    struct dead_letters dead_letters;
    struct program program = program_of("/work?body=4");
    fill(&dead_letters, 3, 3);
    TAILQ_FIRST(&dead_letters.list)->pinned = true;
    dead_letters_add(&dead_letters, NULL, "f", &program, "crashed", 1);
    assert_ids(&dead_letters, (unsigned[]){1, 3, 4, 0});
    dead_letters_free(&dead_letters);
}

Test(dead_letters, the_new_one_goes_where_all_are_pinned)
{
    struct dead_letters dead_letters;
    struct dead_letter *dead_letter;
    struct program program = program_of("/work?body=3");
    fill(&dead_letters, 2, 2);
    TAILQ_FOREACH (dead_letter, &dead_letters.list, link)
        dead_letter->pinned = true;
    dead_letters_add(&dead_letters, NULL, "f", &program, "crashed", 1);
    assert_ids(&dead_letters, (unsigned[]){1, 2, 0});
    cr_assert_eq(dead_letters.lost, 1);
    dead_letters_free(&dead_letters);
    fill(&dead_letters, 0, 1);
    cr_assert_eq(dead_letters.lost, 1);
}

Test(dead_letters, a_removed_one_is_no_loss)
{
    struct dead_letters dead_letters;
    fill(&dead_letters, 3, 3);
    dead_letters_remove(&dead_letters, TAILQ_NEXT(TAILQ_FIRST(&dead_letters.list), link));
    assert_ids(&dead_letters, (unsigned[]){1, 3, 0});
    cr_assert_eq(dead_letters.lost, 0);
    dead_letters_free(&dead_letters);
}

static json_t *printed(const struct dead_letters *dead_letters)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    dead_letters_print(dead_letters, out);
    fclose(out);
    json_t *json = json_loads(text, 0, NULL);
    cr_assert(json_is_array(json), "%s", text);
    free(text);
    return json;
}

Test(dead_letters, print_as_json)
{
    struct dead_letters dead_letters;
    const char *function, *target, *reason;
    int id, attempts, replaying;
    double age_s;
    for (int count = 0; count < 3; count++) {
        fill(&dead_letters, 10, count);
        json_t *json = printed(&dead_letters);
        cr_assert_eq((int)json_array_size(json), count);
        if (count) {
            cr_assert_eq(json_unpack(json_array_get(json, 0), "{s:i,s:s,s:s,s:s,s:i,s:f,s:b !}",
                                     "id", &id, "function", &function, "target", &target, "reason",
                                     &reason, "attempts", &attempts, "age_s", &age_s, "replaying",
                                     &replaying),
                         0);
            cr_assert_eq(id, 1);
            cr_assert_str_eq(function, "f");
            cr_assert_str_eq(target, "/work?body=1&class=f");
            cr_assert_str_eq(reason, "crashed");
            cr_assert(attempts == 4 && !replaying && age_s >= 0 && age_s < 60);
        }
        json_decref(json);
        dead_letters_free(&dead_letters);
    }
}

/* --- what another process finds --------------------------------------------------------------- */

static char *temporary_path(void)
{
    static char path[64];
    snprintf(path, sizeof path, "/tmp/archbench-letters-%d", getpid());
    unlink(path);
    return path;
}

/* The queue as the next process makes it from the file. */
static void reopen(struct dead_letters *dead_letters, const char *path, int limit)
{
    struct journal_record *records;
    struct recovered found;
    long count = open_journal(path, &records);
    dead_letters_init(dead_letters, &journal, limit);
    for (long i = 0; i < count; i++) {
        cr_assert(dead_letters_read(&records[i], &found));
        dead_letters_recover(dead_letters, records[i].id, "f", &found,
                             found.reason.len ? "kept" : "new");
    }
    free(records);
    cr_assert_eq(journal_settle(&journal), 0);
}

Test(dead_letters, survive_with_what_was_under_way)
{
    const char *path = temporary_path();
    struct program program = program_of("/work?cpu=hash:5ms&body=7&class=f");
    struct dead_letters dead_letters;
    struct accepted_event *done, *dead, *under_way;

    for (int round = 0; round < 2; round++) { /* recovered twice, it is the same */
        reopen(&dead_letters, path, 10);
        if (round == 0) {
            cr_assert_eq(dead_letters_accept(&dead_letters, &program, &done), 0);
            cr_assert_eq(dead_letters_accept(&dead_letters, &program, &dead), 0);
            cr_assert_eq(dead_letters_accept(&dead_letters, &program, &under_way), 0);
            dead_letters_add(&dead_letters, dead, "f", &program, "timed out", 4);
            dead_letters_done(&dead_letters, done);
        }
        journal_close(&journal);
        dead_letters_free(&dead_letters);
    }
    reopen(&dead_letters, path, 10);
    struct dead_letter *first = TAILQ_FIRST(&dead_letters.list), *second = TAILQ_NEXT(first, link);
    cr_assert_eq(dead_letters.count, 2);
    cr_assert(first->entry.id == 2 && first->attempts == 4);
    cr_assert_str_eq(first->reason, "kept");
    cr_assert(second->entry.id == 3 && second->attempts == 0);
    cr_assert_eq(second->program.steps, 1);
    cr_assert_eq(second->program.body_bytes, 7);

    first->attempts = 9;
    dead_letters_update(&dead_letters, first);
    dead_letters_remove(&dead_letters, second);
    journal_close(&journal);
    dead_letters_free(&dead_letters);
    reopen(&dead_letters, path, 10);
    cr_assert_eq(dead_letters.count, 1);
    cr_assert_eq(TAILQ_FIRST(&dead_letters.list)->attempts, 9);
    unlink(path);
}

Test(dead_letters, a_smaller_queue_finds_the_newest)
{
    const char *path = temporary_path();
    struct program program = program_of("/work");
    struct dead_letters dead_letters;
    struct accepted_event *accepted;

    reopen(&dead_letters, path, 10);
    for (int i = 0; i < 5; i++) {
        dead_letters_accept(&dead_letters, &program, &accepted);
        dead_letters_add(&dead_letters, accepted, "f", &program, "crashed", 1);
    }
    journal_close(&journal);
    reopen(&dead_letters, path, 2);
    cr_assert_eq(TAILQ_FIRST(&dead_letters.list)->entry.id, 4);
    cr_assert(dead_letters.count == 2 && dead_letters.lost == 3);
    unlink(path);
}

Test(dead_letters, read_only_what_is_theirs)
{
    static const char *const bad[] = {"",
                                      "event",
                                      "event /other",
                                      "dead",
                                      "dead 4",
                                      "dead 4 /work?x=y crashed",
                                      "dear 4 /work crashed"};
    struct recovered found;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(
            dead_letters_read(&(struct journal_record){1, bad[i], strlen(bad[i])}, &found), "%s",
            bad[i]);
    cr_assert(dead_letters_read(&(struct journal_record){1, "dead 3 /work timed out", 22}, &found));
    cr_assert_eq(found.attempts, 3);
    cr_assert(found.reason.len == 9 && memcmp(found.reason.data, "timed out", 9) == 0);
}
