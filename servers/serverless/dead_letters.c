#include "servers/serverless/dead_letters.h"
#include "common/base/util.h"

#include <stdlib.h>
#include <string.h>

void dead_letters_init(struct dead_letters *letters, struct journal *journal, int limit)
{
    *letters = (struct dead_letters){.journal = journal, .limit = limit};
    TAILQ_INIT(&letters->list);
}

/* --- what stands in the journal: "event TARGET" or "dead ATTEMPTS TARGET REASON" -------------- */

static void describe(struct dead_letter *letter)
{
    char target[PROGRAM_TEXT_MAX];
    program_format(&letter->program, target);
    int len = asprintf(&letter->text, "dead %d %s %s", letter->attempts, target, letter->reason);
    if (len < 0)
        die("out of memory");
    letter->entry.text = letter->text;
    letter->entry.len = (size_t)len;
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

/* --- events ----------------------------------------------------------------------------------- */

int dead_letters_note(struct dead_letters *letters, const struct program *program,
                      struct note **note)
{
    char target[PROGRAM_TEXT_MAX];
    *note = NULL;
    if (!journal_is_kept(letters->journal))
        return 0;
    program_format(program, target);
    struct note *made = must_calloc(1, sizeof *made + sizeof "event " + strlen(target));
    made->entry.len = (size_t)sprintf(made->text, "event %s", target);
    made->entry.text = made->text;
    int error = journal_put(letters->journal, &made->entry);
    if (error) {
        dead_letters_done(letters, made);
        return error;
    }
    *note = made;
    return 0;
}

void dead_letters_done(struct dead_letters *letters, struct note *note)
{
    if (note)
        journal_remove(letters->journal, &note->entry);
    free(note);
}

/* --- letters ---------------------------------------------------------------------------------- */

static bool make_room(struct dead_letters *letters)
{
    struct dead_letter *letter;
    if (letters->count < letters->limit)
        return true;
    letters->lost++;
    TAILQ_FOREACH (letter, &letters->list, link) {
        if (!letter->pinned) {
            dead_letters_remove(letters, letter);
            return true;
        }
    }
    return false;
}

static struct dead_letter *new_letter(const char *function, const struct program *program,
                                      const char *reason, int attempts)
{
    struct dead_letter *letter = must_calloc(1, sizeof *letter);
    *letter = (struct dead_letter){.function = function,
                                   .program = *program,
                                   .reason = reason,
                                   .attempts = attempts,
                                   .died_ns = now_ns()};
    return letter;
}

static void append(struct dead_letters *letters, struct dead_letter *letter)
{
    TAILQ_INSERT_TAIL(&letters->list, letter, link);
    letters->count++;
}

/* If it cannot be written, the note of the event stays on the disk: found anew, it is a letter. */
void dead_letters_add(struct dead_letters *letters, struct note *note, const char *function,
                      const struct program *program, const char *reason, int attempts)
{
    if (!make_room(letters)) {
        dead_letters_done(letters, note);
        return;
    }
    struct dead_letter *letter = new_letter(function, program, reason, attempts);
    if (note) {
        describe(letter);
        journal_replace(letters->journal, &note->entry, &letter->entry);
        free(note);
    } else {
        journal_put(letters->journal, &letter->entry);
    }
    append(letters, letter);
}

void dead_letters_recover(struct dead_letters *letters, uint64_t id, const char *function,
                          const struct recovered *found, const char *reason)
{
    if (!make_room(letters))
        return;
    struct dead_letter *letter = new_letter(function, &found->program, reason, found->attempts);
    letter->entry.id = id;
    describe(letter);
    journal_put(letters->journal, &letter->entry);
    append(letters, letter);
}

static void discard(struct dead_letters *letters, struct dead_letter *letter)
{
    TAILQ_REMOVE(&letters->list, letter, link);
    letters->count--;
    free(letter->text);
    free(letter);
}

void dead_letters_remove(struct dead_letters *letters, struct dead_letter *letter)
{
    journal_remove(letters->journal, &letter->entry);
    discard(letters, letter);
}

void dead_letters_update(struct dead_letters *letters, struct dead_letter *letter)
{
    if (!journal_is_kept(letters->journal))
        return;
    free(letter->text);
    describe(letter);
    journal_put(letters->journal, &letter->entry);
}

void dead_letters_free(struct dead_letters *letters)
{
    while (!TAILQ_EMPTY(&letters->list))
        discard(letters, TAILQ_FIRST(&letters->list));
}

static void print(const struct dead_letter *letter, FILE *out)
{
    char target[PROGRAM_TEXT_MAX];
    program_format(&letter->program, target);
    fprintf(out,
            "{\"id\":%llu,\"function\":\"%s\",\"target\":\"%s\",\"reason\":\"%s\","
            "\"attempts\":%d,\"age_s\":%.3f,\"replaying\":%s}",
            (unsigned long long)letter->entry.id, letter->function, target, letter->reason,
            letter->attempts, (double)(now_ns() - letter->died_ns) / NSEC_PER_SEC,
            letter->pinned ? "true" : "false");
}

void dead_letters_print(const struct dead_letters *letters, FILE *out)
{
    const struct dead_letter *letter;
    fputc('[', out);
    TAILQ_FOREACH (letter, &letters->list, link) {
        print(letter, out);
        if (TAILQ_NEXT(letter, link))
            fputs(",\n", out);
    }
    fputs("]\n", out);
}
