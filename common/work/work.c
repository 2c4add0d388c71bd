#include "common/work/work.h"
#include "common/base/util.h"

#include <jansson.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

enum {
    HASH_UNIT_BYTES = 1024,
    INPUTS = 32, /* of the network, and of its hidden layer */
    OUTPUTS = 16,
    SIDE = 64,  /* of the picture, in pixels of a byte */
    ORDERS = 6, /* in the text */
    DAYS = 32,  /* of a price's path */
};

const char *work_name(enum work_kind kind)
{
    static const char *const names[] = {"hash", "infer", "image", "json", "risk"};
    return names[kind];
}

/* SplitMix64: one number after the other from any beginning. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static void draw_bytes(uint64_t *state, void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
        uint64_t word = draw(state);
        memcpy((char *)bytes + i, &word, sizeof word);
    }
}

static uint64_t hash(uint64_t digest, uint64_t units)
{
    uint8_t block[HASH_UNIT_BYTES] = {0};
    struct sha256_ctx context;
    uint64_t folded;

    sha256_init(&context);
    memcpy(block, &digest, sizeof digest);
    for (uint64_t i = 0; i < units; i++) {
        sha256_update(&context, sizeof block, block);
        sha256_digest(&context, SHA256_DIGEST_SIZE, block); /* and begins anew */
    }
    memcpy(&folded, block, sizeof folded);
    return folded;
}

/* The network has whole numbers of 8 bits, as networks for inference often do, and then the result
 * does not depend on how a compiler orders additions. */
struct network {
    int8_t hidden[INPUTS][INPUTS], output[OUTPUTS][INPUTS];
};

/* One layer: weights times inputs, and what is below 0 becomes 0. */
static void layer(const int8_t weights[][INPUTS], int rows, const uint8_t *in, uint8_t *out)
{
    for (int row = 0; row < rows; row++) {
        int32_t sum = 0;
        for (int i = 0; i < INPUTS; i++)
            sum += weights[row][i] * in[i];
        sum = sum > 0 ? sum >> 8 : 0;
        out[row] = (uint8_t)(sum < 255 ? sum : 255);
    }
}

static uint64_t infer(uint64_t digest, uint64_t units)
{
    uint64_t weights = 0, state = digest;
    uint8_t in[INPUTS], hidden[INPUTS], out[OUTPUTS];
    struct network network;

    draw_bytes(&weights, &network, sizeof network); /* the same one each time */
    for (uint64_t i = 0; i < units; i++) {
        draw_bytes(&state, in, sizeof in);
        layer(network.hidden, INPUTS, in, hidden);
        layer(network.output, OUTPUTS, hidden, out);
        for (int k = 0; k < OUTPUTS; k++)
            state = state * 31 + out[k];
    }
    return state;
}

/* Each pixel becomes the mean of the nine around it, and the picture's edges meet. */
static void blur(uint8_t from[SIDE][SIDE], uint8_t to[SIDE][SIDE])
{
    for (int y = 0; y < SIDE; y++) {
        const uint8_t *above = from[(y + SIDE - 1) % SIDE], *here = from[y];
        const uint8_t *below = from[(y + 1) % SIDE];
        for (int x = 0; x < SIDE; x++) {
            int left = (x + SIDE - 1) % SIDE, right = (x + 1) % SIDE;
            int sum = above[left] + above[x] + above[right] + here[left] + here[x] + here[right] +
                      below[left] + below[x] + below[right];
            to[y][x] = (uint8_t)(sum / 9);
        }
    }
}

static uint64_t image(uint64_t digest, uint64_t units)
{
    uint8_t picture[2][SIDE][SIDE];
    uint64_t state = digest;

    draw_bytes(&state, picture[0], sizeof picture[0]);
    for (uint64_t i = 0; i < units; i++) {
        uint8_t(*from)[SIDE] = picture[i % 2], (*to)[SIDE] = picture[(i + 1) % 2];
        blur(from, to);
        state = state * 31 + to[i / SIDE % SIDE][i % SIDE];
        to[i % SIDE][i / SIDE % SIDE] = (uint8_t)state; /* or it would soon be all grey */
    }
    return state;
}

static void write_orders(uint64_t *state, char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, "{\"customer\":\"c%u\",\"orders\":[",
                                  (unsigned)(draw(state) % 1000));
    for (int i = 0; i < ORDERS; i++) {
        unsigned price = (unsigned)(draw(state) % 10000), quantity = (unsigned)(draw(state) % 9);
        len +=
            (size_t)snprintf(text + len, size - len, "%s{\"id\":%d,\"price\":%u,\"quantity\":%u}",
                             i ? "," : "", i, price, quantity);
    }
    snprintf(text + len, size - len, "]}");
}

static uint64_t add_orders(const char *text)
{
    json_t *root = json_loads(text, 0, NULL), *order;
    uint64_t sum = 0;
    size_t i;

    if (!root)
        die("out of memory");
    json_array_foreach(json_object_get(root, "orders"), i, order)
    {
        sum += (uint64_t)(json_integer_value(json_object_get(order, "price")) *
                          json_integer_value(json_object_get(order, "quantity")));
    }
    json_decref(root);
    return sum;
}

static uint64_t json(uint64_t digest, uint64_t units)
{
    uint64_t state = digest;
    char text[512];

    for (uint64_t i = 0; i < units; i++) {
        write_orders(&state, text, sizeof text);
        state = state * 31 + add_orders(text);
    }
    return state;
}

/* One path of a price that begins at 100, in units of 2^-20. Each day it changes by up to 2 %, which is
 * the sum of four draws, so that small changes are more likely than large ones. Whole numbers only: the
 * result is the same on every machine. */
static uint64_t path_end(uint64_t *state)
{
    uint64_t price = UINT64_C(100) << 20;
    for (int day = 0; day < DAYS; day++) {
        uint64_t word = draw(state);
        int64_t sum = (int64_t)(word & 0xffff) + (int64_t)(word >> 16 & 0xffff) +
                      (int64_t)(word >> 32 & 0xffff) + (int64_t)(word >> 48) - 2 * 0xffff;
        price += (uint64_t)((int64_t)price / 65536 * sum / 100);
    }
    return price;
}

/* What is paid at the end of each path, by an option to buy at 100. */
static uint64_t risk(uint64_t digest, uint64_t units)
{
    const uint64_t strike = UINT64_C(100) << 20;
    uint64_t state = digest;

    for (uint64_t i = 0; i < units; i++) {
        uint64_t price = path_end(&state), payoff = price > strike ? price - strike : 0;
        state = state * 31 + payoff;
    }
    return state;
}

uint64_t work_perform(enum work_kind kind, uint64_t digest, uint64_t units)
{
    switch (kind) {
    case WORK_HASH: return hash(digest, units);
    case WORK_INFER: return infer(digest, units);
    case WORK_IMAGE: return image(digest, units);
    case WORK_JSON: return json(digest, units);
    case WORK_RISK: return risk(digest, units);
    case WORK_KINDS: break;
    }
    return digest;
}
