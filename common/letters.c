#include "common/letters.h"
#include "common/util.h"

#include <stdlib.h>

void letters_init(struct letters *letters, int limit)
{
    *letters = (struct letters){.limit = limit};
    TAILQ_INIT(&letters->list);
}

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

void letters_add(struct letters *letters, const char *function, const struct program *program,
                 const char *reason, int attempts)
{
    if (!make_room(letters))
        return;
    struct letter *letter = must_calloc(1, sizeof *letter);
    *letter = (struct letter){.function = function,
                              .program = *program,
                              .reason = reason,
                              .attempts = attempts,
                              .id = ++letters->ever,
                              .died_ns = now_ns()};
    TAILQ_INSERT_TAIL(&letters->list, letter, link);
    letters->count++;
}

void letters_remove(struct letters *letters, struct letter *letter)
{
    TAILQ_REMOVE(&letters->list, letter, link);
    letters->count--;
    free(letter);
}

void letters_free(struct letters *letters)
{
    while (!TAILQ_EMPTY(&letters->list))
        letters_remove(letters, TAILQ_FIRST(&letters->list));
}

static void print(const struct letter *letter, FILE *out)
{
    char target[PROGRAM_TEXT_MAX];
    program_format(&letter->program, target);
    fprintf(out,
            "{\"id\":%u,\"function\":\"%s\",\"target\":\"%s\",\"reason\":\"%s\","
            "\"attempts\":%d,\"age_s\":%.3f,\"replaying\":%s}",
            letter->id, letter->function, target, letter->reason, letter->attempts,
            (double)(now_ns() - letter->died_ns) / NSEC_PER_SEC, letter->pinned ? "true" : "false");
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
