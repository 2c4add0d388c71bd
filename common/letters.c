#include "common/letters.h"
#include "common/util.h"

#include <stdlib.h>
#include <string.h>

void letters_init(struct letters *letters, struct journal *journal, int limit)
{
    *letters = (struct letters){.journal = journal, .limit = limit};
    TAILQ_INIT(&letters->list);
}

/* --- what stands in the journal: "event TARGET" or "dead ATTEMPTS TARGET REASON" -------------- */

static void describe(struct letter *letter)
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

bool letters_read(const struct journal_record *record, struct recovered *found)
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

int letters_note(struct letters *letters, const struct program *program, struct note **note)
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
        letters_done(letters, made);
        return error;
    }
    *note = made;
    return 0;
}

void letters_done(struct letters *letters, struct note *note)
{
    if (note)
        journal_remove(letters->journal, &note->entry);
    free(note);
}

/* --- letters ---------------------------------------------------------------------------------- */

static bool make_room(struct letters *letters)
{
    struct letter *letter;
    if (letters->count < letters->limit)
        return true;
    letters->lost++;
    TAILQ_FOREACH (letter, &letters->list, link) {
        if (!letter->pinned) {
            letters_remove(letters, letter);
            return true;
        }
    }
    return false;
}

static struct letter *new_letter(const char *function, const struct program *program,
                                 const char *reason, int attempts)
{
    struct letter *letter = must_calloc(1, sizeof *letter);
    *letter = (struct letter){.function = function,
                              .program = *program,
                              .reason = reason,
                              .attempts = attempts,
                              .died_ns = now_ns()};
    return letter;
}

static void append(struct letters *letters, struct letter *letter)
{
    TAILQ_INSERT_TAIL(&letters->list, letter, link);
    letters->count++;
}

/* If it cannot be written, the note of the event stays on the disk: found anew, it is a letter. */
void letters_add(struct letters *letters, struct note *note, const char *function,
                 const struct program *program, const char *reason, int attempts)
{
    if (!make_room(letters)) {
        letters_done(letters, note);
        return;
    }
    struct letter *letter = new_letter(function, program, reason, attempts);
    if (note) {
        describe(letter);
        journal_replace(letters->journal, &note->entry, &letter->entry);
        free(note);
    } else {
        journal_put(letters->journal, &letter->entry);
    }
    append(letters, letter);
}

void letters_recover(struct letters *letters, uint64_t id, const char *function,
                     const struct recovered *found, const char *reason)
{
    if (!make_room(letters))
        return;
    struct letter *letter = new_letter(function, &found->program, reason, found->attempts);
    letter->entry.id = id;
    describe(letter);
    journal_put(letters->journal, &letter->entry);
    append(letters, letter);
}

static void discard(struct letters *letters, struct letter *letter)
{
    TAILQ_REMOVE(&letters->list, letter, link);
    letters->count--;
    free(letter->text);
    free(letter);
}

void letters_remove(struct letters *letters, struct letter *letter)
{
    journal_remove(letters->journal, &letter->entry);
    discard(letters, letter);
}

void letters_update(struct letters *letters, struct letter *letter)
{
    if (!journal_is_kept(letters->journal))
        return;
    free(letter->text);
    describe(letter);
    journal_put(letters->journal, &letter->entry);
}

void letters_free(struct letters *letters)
{
    while (!TAILQ_EMPTY(&letters->list))
        discard(letters, TAILQ_FIRST(&letters->list));
}

static void print(const struct letter *letter, FILE *out)
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

void letters_print(const struct letters *letters, FILE *out)
{
    const struct letter *letter;
    fputc('[', out);
    TAILQ_FOREACH (letter, &letters->list, link) {
        print(letter, out);
        if (TAILQ_NEXT(letter, link))
            fputs(",\n", out);
    }
    fputs("]\n", out);
}
