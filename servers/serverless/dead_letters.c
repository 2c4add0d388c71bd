#include "servers/serverless/dead_letters.h"
#include "common/base/util.h"

#include <stdlib.h>
#include <string.h>

void dead_letters_init(struct dead_letters *dead_letters, struct journal *journal, int limit)
{
    *dead_letters = (struct dead_letters){.journal = journal, .limit = limit};
    TAILQ_INIT(&dead_letters->list);
}

/* --- texts in the journal: "event TARGET" or "dead ATTEMPTS TARGET REASON" -------------------- */

static void describe(struct dead_letter *dead_letter)
{
    char target[PROGRAM_TEXT_MAX];
    program_format(&dead_letter->program, target);
    int len = asprintf(&dead_letter->text, "dead %d %s %s", dead_letter->attempts, target,
                       dead_letter->reason);
    if (len < 0)
        die("out of memory");
    dead_letter->entry.text = dead_letter->text;
    dead_letter->entry.len = (size_t)len;
}

static struct span word(struct span *rest)
{
    char *blank = memchr(rest->data, ' ', rest->len);
    size_t len = blank ? (size_t)(blank - rest->data) : rest->len;
    struct span found = {rest->data, len};
    rest->data += blank ? len + 1 : len;
    rest->len -= blank ? len + 1 : len;
    return found;
}

static bool is(struct span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.data, text, span.len) == 0;
}

bool dead_letters_read(const struct journal_record *record, struct recovered *found)
{
    struct span rest = {(char *)record->text, record->len}, kind = word(&rest);
    const char *complaint;

    *found = (struct recovered){.attempts = 0};
    if (is(kind, "dead"))
        found->attempts = atoi(word(&rest).data);
    else if (!is(kind, "event"))
        return false;
    struct span target = word(&rest);
    found->reason = rest;
    return program_parse(&found->program, target.data, target.len, &complaint);
}

/* --- accepted events -------------------------------------------------------------------------- */

int dead_letters_accept(struct dead_letters *dead_letters, const struct program *program,
                        struct accepted_event **accepted)
{
    char target[PROGRAM_TEXT_MAX];
    *accepted = NULL;
    if (!journal_is_kept(dead_letters->journal))
        return 0;
    program_format(program, target);
    struct accepted_event *made = must_calloc(1, sizeof *made + sizeof "event " + strlen(target));
    made->entry.len = (size_t)sprintf(made->text, "event %s", target);
    made->entry.text = made->text;
    int error = journal_put(dead_letters->journal, &made->entry);
    if (error) {
        dead_letters_done(dead_letters, made);
        return error;
    }
    *accepted = made;
    return 0;
}

void dead_letters_done(struct dead_letters *dead_letters, struct accepted_event *accepted)
{
    if (accepted)
        journal_remove(dead_letters->journal, &accepted->entry);
    free(accepted);
}

/* --- dead letters ----------------------------------------------------------------------------- */

static bool make_room(struct dead_letters *dead_letters)
{
    struct dead_letter *dead_letter;
    if (dead_letters->count < dead_letters->limit)
        return true;
    dead_letters->lost++;
    TAILQ_FOREACH (dead_letter, &dead_letters->list, link) {
        if (!dead_letter->pinned) {
            dead_letters_remove(dead_letters, dead_letter);
            return true;
        }
    }
    return false;
}

static struct dead_letter *new_dead_letter(const char *function, const struct program *program,
                                           const char *reason, int attempts)
{
    struct dead_letter *dead_letter = must_calloc(1, sizeof *dead_letter);
    *dead_letter = (struct dead_letter){.function = function,
                                        .program = *program,
                                        .reason = reason,
                                        .attempts = attempts,
                                        .died_ns = now_ns()};
    return dead_letter;
}

static void append(struct dead_letters *dead_letters, struct dead_letter *dead_letter)
{
    TAILQ_INSERT_TAIL(&dead_letters->list, dead_letter, link);
    dead_letters->count++;
}

/* If the dead letter cannot be written, the accepted event stays in the file: the next process
 * that reads it makes a dead letter of it. */
void dead_letters_add(struct dead_letters *dead_letters, struct accepted_event *accepted,
                      const char *function, const struct program *program, const char *reason,
                      int attempts)
{
    if (!make_room(dead_letters)) {
        dead_letters_done(dead_letters, accepted);
        return;
    }
    struct dead_letter *dead_letter = new_dead_letter(function, program, reason, attempts);
    if (accepted) {
        describe(dead_letter);
        journal_replace(dead_letters->journal, &accepted->entry, &dead_letter->entry);
        free(accepted);
    } else {
        journal_put(dead_letters->journal, &dead_letter->entry);
    }
    append(dead_letters, dead_letter);
}

void dead_letters_recover(struct dead_letters *dead_letters, uint64_t id, const char *function,
                          const struct recovered *found, const char *reason)
{
    if (!make_room(dead_letters))
        return;
    struct dead_letter *dead_letter =
        new_dead_letter(function, &found->program, reason, found->attempts);
    dead_letter->entry.id = id;
    describe(dead_letter);
    journal_put(dead_letters->journal, &dead_letter->entry);
    append(dead_letters, dead_letter);
}

static void discard(struct dead_letters *dead_letters, struct dead_letter *dead_letter)
{
    TAILQ_REMOVE(&dead_letters->list, dead_letter, link);
    dead_letters->count--;
    free(dead_letter->text);
    free(dead_letter);
}

void dead_letters_remove(struct dead_letters *dead_letters, struct dead_letter *dead_letter)
{
    journal_remove(dead_letters->journal, &dead_letter->entry);
    discard(dead_letters, dead_letter);
}

void dead_letters_update(struct dead_letters *dead_letters, struct dead_letter *dead_letter)
{
    if (!journal_is_kept(dead_letters->journal))
        return;
    free(dead_letter->text);
    describe(dead_letter);
    journal_put(dead_letters->journal, &dead_letter->entry);
}

void dead_letters_free(struct dead_letters *dead_letters)
{
    while (!TAILQ_EMPTY(&dead_letters->list))
        discard(dead_letters, TAILQ_FIRST(&dead_letters->list));
}

static void print(const struct dead_letter *dead_letter, FILE *out)
{
    char target[PROGRAM_TEXT_MAX];
    program_format(&dead_letter->program, target);
    fprintf(out,
            "{\"id\":%llu,\"function\":\"%s\",\"target\":\"%s\",\"reason\":\"%s\","
            "\"attempts\":%d,\"age_s\":%.3f,\"replaying\":%s}",
            (unsigned long long)dead_letter->entry.id, dead_letter->function, target,
            dead_letter->reason, dead_letter->attempts,
            (double)(now_ns() - dead_letter->died_ns) / NSEC_PER_SEC,
            dead_letter->pinned ? "true" : "false");
}

void dead_letters_print(const struct dead_letters *dead_letters, FILE *out)
{
    const struct dead_letter *dead_letter;
    fputc('[', out);
    TAILQ_FOREACH (dead_letter, &dead_letters->list, link) {
        print(dead_letter, out);
        if (TAILQ_NEXT(dead_letter, link))
            fputs(",\n", out);
    }
    fputs("]\n", out);
}
