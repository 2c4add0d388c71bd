/* Streams of frames that chance makes up, most of them nearly right, through the fuzz target: its oracle
 * aborts at the first difference. */
#include "tests/unit/common/client_frames.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { STREAMS = 100000 };

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

static int below(unsigned *seed, int n)
{
    return rand_r(seed) % n;
}

/* Mostly a first byte that may come next. */
static int first_byte(unsigned *seed)
{
    static const uint8_t usual[] = {0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88};
    return below(seed, 20) ? usual[below(seed, sizeof usual)] : below(seed, 256);
}

static size_t payload_of(unsigned *seed, char *payload)
{
    static const char *const texts[] = {"",         "a /",
                                        "\xc3\xa4", "\xc3",
                                        "\xa4",     "\xf0\x9f\x98\x80",
                                        "\x03\xe8", "\x03\xe8\xc3\xa4",
                                        "\x03\xed", "\xff",
                                        "x"};
    size_t len = 0;
    for (int parts = below(seed, 4); parts > 0; parts--) {
        const char *text = texts[below(seed, sizeof texts / sizeof *texts)];
        memcpy(payload + len, text, strlen(text));
        len += strlen(text);
    }
    for (int more = below(seed, 10) ? 0 : below(seed, 300); more > 0; more--)
        payload[len++] = 'y';
    return len;
}

Test(fuzz, streams_of_chance_are_read_as_the_rfc_says)
{
    static struct stream stream;
    for (unsigned i = 0; i < STREAMS; i++) {
        unsigned seed = i;
        stream.len = 1;
        for (int frames = 1 + below(&seed, 6); frames > 0; frames--) {
            char payload[400];
            size_t len = payload_of(&seed, payload);
            add_frame(&stream, first_byte(&seed), below(&seed, 40) ? len : len + 1, payload, len);
        }
        stream.bytes[0] = (char)('0' + below(&seed, 30));
        cr_assert_eq(LLVMFuzzerTestOneInput((uint8_t *)stream.bytes, stream.len), 0);
    }
}
