/* Replays tests/fuzz/corpus through the fuzz target, each input with every option and every way
 * to cut it, and checks that the replies end as the names of the files say. */
#include "loadgen/worker/reply.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

static const char folder[] = "tests/fuzz/corpus";

enum { OPTIONS = 4, INPUT_MAX = 8192 }; /* as tests/fuzz/fuzz_reply.c has them */

struct input {
    char name[300];
    uint8_t bytes[INPUT_MAX + 1]; /* terminated */
    size_t len;
};

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

/* The next file of the corpus; false: there is none. */
static bool next_input(DIR *directory, struct input *input)
{
    struct dirent *entry;
    char path[sizeof folder + sizeof input->name];
    FILE *file;

    do {
        entry = readdir(directory);
    } while (entry && entry->d_name[0] == '.');
    if (!entry)
        return false;
    snprintf(input->name, sizeof input->name, "%s", entry->d_name);
    snprintf(path, sizeof path, "%s/%s", folder, input->name);
    file = fopen(path, "rb");
    cr_assert_not_null(file, "cannot open %s", path);
    input->len = fread(input->bytes, 1, INPUT_MAX, file);
    input->bytes[input->len] = '\0';
    fclose(file);
    return true;
}

static int for_each_input(void (*check)(struct input *))
{
    DIR *directory = opendir(folder);
    struct input input;
    int count = 0;

    cr_assert_not_null(directory, "cannot open %s", folder);
    for (; next_input(directory, &input); count++)
        check(&input);
    closedir(directory);
    return count;
}

/* A difference aborts. */
static void replay(struct input *input)
{
    for (const char *method = "GH"; *method; method++) {
        for (const char *digest = "-d"; *digest; digest++) {
            for (int pieces = 0; pieces < 40; pieces++) {
                input->bytes[0] = (uint8_t)*method;
                input->bytes[1] = (uint8_t)*digest;
                input->bytes[2] = (uint8_t)('0' + pieces);
                LLVMFuzzerTestOneInput(input->bytes, input->len);
            }
        }
    }
}

Test(fuzz, the_corpus_holds_however_it_is_cut)
{
    cr_assert_geq(for_each_input(replay), 40);
}

static const char *last_reply(const struct input *input)
{
    const char *reply = (const char *)input->bytes + OPTIONS, *next;

    while ((next = strstr(reply, "\n--\n")))
        reply = next + strlen("\n--\n");
    return reply;
}

/* done-, more-, bad-; end-: done when the peer closes. */
static void check_name(struct input *input)
{
    struct reply_kind kind = {.head = input->bytes[0] == 'H', .want_digest = true};
    const char *text = last_reply(input);
    struct reply reply;
    enum reply_state state, ended;

    reply_begin(&reply, &kind);
    state = reply_feed(&reply, text, strlen(text));
    ended = reply_end(&reply);
    switch (input->name[0]) {
    case 'd': cr_assert_eq(state, REPLY_DONE, "%s", input->name); break;
    case 'b': cr_assert_eq(state, REPLY_BAD, "%s", input->name); break;
    case 'm': cr_assert(state == REPLY_MORE && ended == REPLY_BAD, "%s", input->name); break;
    case 'e': cr_assert(state == REPLY_MORE && ended == REPLY_DONE, "%s", input->name); break;
    default: cr_assert(false, "%s: not a name of the corpus", input->name);
    }
}

Test(fuzz, each_reply_ends_as_its_file_is_named)
{
    for_each_input(check_name);
}
