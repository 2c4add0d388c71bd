/* Fuzz target for common/websocket. Whatever a client sends, however it is cut, the outcome must be the
 * one that a plain reading of RFC 6455 finds over the whole.
 *
 * An input is a character and then frames as a client sends them. The character says how to cut: `0` not
 * at all, `1` into single bytes, `2` into pieces of two... */
#include "common/websocket/websocket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What has come of a stream, as text: "m1 LENGTH SUM" for a text message, "p LENGTH SUM" for a pong,
 * "c CODE" for the close that ends it. */
struct outcome {
    char text[4096];
    size_t len;
    bool closed;
};

static void note(struct outcome *outcome, char kind, unsigned n, const uint8_t *data, size_t len)
{
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = sum * 31 + data[i];
    if (outcome->len < sizeof outcome->text - 64)
        outcome->len +=
            (size_t)sprintf(outcome->text + outcome->len, "%c%u %zu %u\n", kind, n, len, sum);
}

static void note_close(struct outcome *outcome, unsigned code)
{
    if (!outcome->closed)
        note(outcome, 'c', code, NULL, 0);
    outcome->closed = true;
}

/* --- the oracle -------------------------------------------------------------------------------- */

/* Of a message under way. */
struct oracle {
    struct outcome outcome;
    uint8_t *text;
    size_t len;
    int opcode; /* 0: none is */
};

/* RFC 3629: the length of the character that begins here; 0: none does. `cut`: it may go on later. */
static size_t utf8_length(const uint8_t *at, size_t left, bool *cut)
{
    static const struct {
        uint8_t first, last, second_first, second_last;
        size_t len;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        if (at[0] < forms[f].first || at[0] > forms[f].last)
            continue;
        for (size_t i = 1; i < forms[f].len; i++) {
            if (i == left) {
                *cut = true;
                return left;
            }
            if (at[i] < (i == 1 ? forms[f].second_first : 0x80) ||
                at[i] > (i == 1 ? forms[f].second_last : 0xbf))
                return 0;
        }
        return forms[f].len;
    }
    return 0;
}

static bool is_utf8(const uint8_t *text, size_t len, bool may_be_cut)
{
    bool cut = false;
    for (size_t i = 0, n; i < len; i += n)
        if (!(n = utf8_length(text + i, len - i, &cut)))
            return false;
    return !cut || may_be_cut;
}

static unsigned code_of_close(const uint8_t *payload, size_t len)
{
    unsigned code = len >= 2 ? (unsigned)payload[0] << 8 | payload[1] : 0;
    bool known = (code >= 1000 && code <= 1011 && code != 1004 && code != 1005 && code != 1006) ||
                 (code >= 3000 && code <= 4999);
    if (len == 0)
        return 0;
    if (len > 2 && !is_utf8(payload + 2, len - 2, false))
        return 1007;
    return len == 1 || !known ? 1002 : code;
}

static void oracle_control(struct oracle *oracle, int opcode, const uint8_t *payload, size_t len)
{
    if (opcode == OPCODE_PING)
        note(&oracle->outcome, 'p', 0, payload, len);
    if (opcode == OPCODE_CLOSE)
        note_close(&oracle->outcome, code_of_close(payload, len));
}

/* `got`: so many bytes of the frame's payload have come. */
static void oracle_data(struct oracle *oracle, bool fin, const uint8_t *payload, size_t len,
                        size_t got)
{
    memcpy(oracle->text + oracle->len, payload, got);
    oracle->len += got;
    bool whole = fin && got == len;
    if (oracle->opcode == OPCODE_TEXT && !is_utf8(oracle->text, oracle->len, !whole)) {
        note_close(&oracle->outcome, 1007);
    } else if (whole) {
        note(&oracle->outcome, 'm', (unsigned)oracle->opcode, oracle->text, oracle->len);
        oracle->opcode = 0;
        oracle->len = 0;
    }
}

/* One frame. Returns its bytes; 0: it has not come as a whole, or nothing after it counts. */
static size_t oracle_frame(struct oracle *oracle, const uint8_t *in, size_t left)
{
    if (left < 2)
        return 0;
    int opcode = in[0] & 15;
    bool fin = in[0] & 0x80, control = opcode & 8, masked = in[1] & 0x80;
    uint64_t len = in[1] & 0x7f;
    size_t extended = len < 126 ? 0 : len == 126 ? 2 : 8, head = 2 + extended + (masked ? 4 : 0);
    if (left < head)
        return 0;
    if (extended)
        len = 0;
    for (size_t i = 0; i < extended; i++)
        len = len << 8 | in[2 + i];
    bool shortest = extended == 0 || (extended == 2 ? len > 125 : len > 65535 && len >> 63 == 0);
    bool known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
    bool fits = control || (opcode == 0) == (oracle->opcode != 0);
    size_t got = left - head < len ? left - head : (size_t)len;
    if (control && !extended && got < len)
        return 0;
    if (!shortest || (control && (!fin || extended))) {
        note_close(&oracle->outcome, 1002);
        return 0;
    }
    if (got == 0 && len > 0) /* a head is judged when the first byte behind it is there */
        return 0;
    if (in[0] & 0x70 || !masked || !known || !fits) {
        note_close(&oracle->outcome, 1002);
        return 0;
    }
    if (!control && oracle->len + len > WEBSOCKET_MESSAGE_MAX) {
        note_close(&oracle->outcome, 1009);
        return 0;
    }
    uint8_t *payload = malloc(got + 1);
    for (size_t i = 0; i < got; i++)
        payload[i] = in[head + i] ^ in[head - 4 + i % 4];
    if (opcode && !control)
        oracle->opcode = opcode;
    if (control)
        oracle_control(oracle, opcode, payload, got);
    else
        oracle_data(oracle, fin, payload, (size_t)len, got);
    free(payload);
    return oracle->outcome.closed || got < len ? 0 : head + got;
}

static struct outcome expect(const uint8_t *in, size_t len)
{
    struct oracle oracle = {.text = malloc(len + 1)};
    for (size_t used; (used = oracle_frame(&oracle, in, len)); in += used, len -= used) {
    }
    free(oracle.text);
    return oracle.outcome;
}

/* --- what is tested ---------------------------------------------------------------------------- */

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void note_reply(struct outcome *outcome, struct websocket *websocket)
{
    uint8_t reply[WEBSOCKET_REPLY_MAX];
    size_t len = websocket_reply(websocket, (char *)reply);
    check(len >= 2 && reply[1] == len - 2 && len <= 2 + 125, "a reply is one frame");
    if (reply[0] == (0x80 | OPCODE_PONG))
        note(outcome, 'p', 0, reply + 2, len - 2);
    else
        note_close(outcome, len >= 4 ? (unsigned)reply[2] << 8 | reply[3] : 0);
}

/* As a connection does: what is not taken is given again. Each piece is a block of its own. */
static struct outcome outcome_of(const uint8_t *in, size_t len, size_t piece)
{
    struct outcome outcome = {.len = 0};
    struct websocket websocket;
    websocket_init(&websocket);
    for (size_t begin = 0, end = 0; end < len && !outcome.closed;) {
        end = piece && piece < len - end ? end + piece : len;
        char *block = malloc(end - begin + 1);
        memcpy(block, in + begin, end - begin);
        size_t used = 1;
        for (size_t at = 0, left = end - begin; left && used && !outcome.closed;
             at += used, left -= used) {
            enum websocket_event event = websocket_feed(&websocket, block + at, left, &used);
            check(used <= left, "no more is taken than is given");
            if (event == WEBSOCKET_MESSAGE)
                note(&outcome, 'm', websocket.opcode, (const uint8_t *)websocket.message.data,
                     websocket.message.len);
            else if (event != WEBSOCKET_MORE)
                note_reply(&outcome, &websocket);
            check(outcome.closed == (event == WEBSOCKET_CLOSE),
                  "a close is sent with the last event");
            begin += used;
        }
        check(outcome.closed || end - begin <= WEBSOCKET_PART_MAX, "what is left has its limit");
        free(block);
    }
    websocket_free(&websocket);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    if (len == 0)
        return 0;
    struct outcome expected = expect(input + 1, len - 1);
    struct outcome outcome = outcome_of(input + 1, len - 1, (uint8_t)(input[0] - '0'));
    if (strcmp(outcome.text, expected.text) != 0)
        fprintf(stderr, "--- expected\n%s--- found\n%s", expected.text, outcome.text);
    check(strcmp(outcome.text, expected.text) == 0, "the outcome is that of the whole");
    return 0;
}
