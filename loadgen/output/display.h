/* display: how the run goes, on two lines of a terminal that are drawn over again. */
#ifndef ARCHBENCH_DISPLAY_H
#define ARCHBENCH_DISPLAY_H

#include "loadgen/books/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct display;

/* On the terminal `fd`, about a run whose window lasts `total_s` seconds. The caller owns the
 * result. */
struct display *display_create(int fd, double total_s);

/* One more interval is over, `time_s` after the start of the window; `errors` is their sum so far.
 * Intervals shorter than a tenth of a second are kept for the curve and shown together. */
void display_draw(struct display *, double time_s, const struct period *, uint64_t errors);

/* Erase the lines: what follows on the terminal begins where they stood. */
void display_free(struct display *);

/* `values` as a row of bars, one character each, the highest for the largest finite one: Unicode
 * blocks, or ASCII characters of growing weight. An infinite value becomes '!', NAN a blank. Cuts
 * off what does not fit into `size` bytes with the 0. */
void display_bars(char *text, size_t size, const double *values, int count, bool unicode);

#endif
