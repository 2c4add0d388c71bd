/* batch: see batch.h. */
#include "loadgen/worker/batch.h"
#include "common/base/util.h"
#include "loadgen/plan/moment.h"

#include <stdlib.h>
#include <string.h>

size_t batch_room(size_t longest)
{
    return longest > BATCH_BYTES ? longest : BATCH_BYTES;
}

void batch_prepare(struct batch *b, int class, const char *bytes, size_t len, size_t time_at)
{
    b->form[class] = (struct form){.bytes = must_calloc(1, len), .len = len, .time_at = time_at};
    memcpy(b->form[class].bytes, bytes, len);
}

void batch_begin(struct batch *b)
{
    b->count = b->written = 0;
}

bool batch_add(struct batch *b, char *out, size_t *len, const struct arrival *arrival)
{
    const struct form *form = &b->form[arrival->class];

    if (b->count == BATCH_MESSAGES || (b->count > 0 && *len + form->len > BATCH_BYTES))
        return false;
    memcpy(out + *len, form->bytes, form->len);
    if (form->time_at > 0)
        moment_write(out + *len + form->time_at, arrival->intended_ns);
    *len += form->len;
    b->message[b->count++] = (struct batch_message){.arrival = *arrival, .end = *len};
    return true;
}

const struct batch_message *batch_written(struct batch *b, size_t bytes)
{
    if (b->written == b->count || b->message[b->written].end > bytes)
        return NULL;
    return &b->message[b->written++];
}

const struct batch_message *batch_unwritten(struct batch *b)
{
    if (b->written < b->count)
        return &b->message[b->written++];
    batch_begin(b);
    return NULL;
}

void batch_free(struct batch *b)
{
    for (int i = 0; i < WORKLOAD_CLASSES; i++)
        free(b->form[i].bytes);
}
