/* The dead-letter queue: its order, its bound, and how it is told. */
#include "common/letters.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct program program_of(const char *target)
{
    struct program program;
    const char *reason;
    cr_assert(program_parse(&program, target, strlen(target), &reason), "%s", target);
    return program;
}

/* `count` letters whose bodies are 1, 2, ... bytes. */
static void fill(struct letters *letters, int limit, int count)
{
    struct program program = program_of("/work?body=0&class=f");
    letters_init(letters, limit);
    while (count-- > 0) {
        program.body_bytes++;
        letters_add(letters, "f", &program, "crashed", 4);
    }
}

static void assert_ids(const struct letters *letters, const unsigned *ids)
{
    const struct letter *letter;
    int n = 0;
    TAILQ_FOREACH (letter, &letters->list, link) {
        cr_assert_eq(letter->id, ids[n]);
        cr_assert_eq(letter->program.body_bytes, ids[n++]);
    }
    cr_assert_eq(letters->count, n);
    cr_assert_eq(ids[n], 0);
}

Test(letters, the_oldest_goes)
{
    struct letters letters;
    fill(&letters, 3, 5);
    assert_ids(&letters, (unsigned[]){3, 4, 5, 0});
    cr_assert_eq(letters.lost, 2);
    letters_free(&letters);
    cr_assert(letters.count == 0 && TAILQ_EMPTY(&letters.list));
}

Test(letters, a_pinned_one_stays)
{
    struct letters letters;
    struct program program = program_of("/work?body=4");
    fill(&letters, 3, 3);
    TAILQ_FIRST(&letters.list)->pinned = true;
    letters_add(&letters, "f", &program, "crashed", 1);
    assert_ids(&letters, (unsigned[]){1, 3, 4, 0});
    letters_free(&letters);
}

Test(letters, the_new_one_goes_where_all_are_pinned)
{
    struct letters letters;
    struct letter *letter;
    struct program program = program_of("/work?body=3");
    fill(&letters, 2, 2);
    TAILQ_FOREACH (letter, &letters.list, link)
        letter->pinned = true;
    letters_add(&letters, "f", &program, "crashed", 1);
    assert_ids(&letters, (unsigned[]){1, 2, 0});
    cr_assert_eq(letters.lost, 1);
    letters_free(&letters);
    fill(&letters, 0, 1);
    cr_assert_eq(letters.lost, 1);
}

Test(letters, a_removed_one_is_no_loss)
{
    struct letters letters;
    fill(&letters, 3, 3);
    letters_remove(&letters, TAILQ_NEXT(TAILQ_FIRST(&letters.list), link));
    assert_ids(&letters, (unsigned[]){1, 3, 0});
    cr_assert_eq(letters.lost, 0);
    letters_free(&letters);
}

static json_t *printed(const struct letters *letters)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    letters_print(letters, out);
    fclose(out);
    json_t *json = json_loads(text, 0, NULL);
    cr_assert(json_is_array(json), "%s", text);
    free(text);
    return json;
}

Test(letters, print_as_json)
{
    struct letters letters;
    const char *function, *target, *reason;
    int id, attempts, replaying;
    double age_s;
    for (int count = 0; count < 3; count++) {
        fill(&letters, 10, count);
        json_t *json = printed(&letters);
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
        letters_free(&letters);
    }
}
