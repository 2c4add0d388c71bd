/* display: see display.h. */
#include "loadgen/output/display.h"
#include "common/base/util.h"
#include "loadgen/output/pretty.h"

#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    HISTORY = 512,      /* intervals that the curve remembers: more than a terminal is wide */
    DEFAULT_WIDTH = 80, /* where the terminal does not say */
    BAR_BYTES = 3,      /* of a Unicode block in UTF-8 */
    LEVELS = 8,         /* of a bar */
};

static const double REDRAW_S = 0.09; /* nobody reads faster; below 0.1, which sums only roughly */

struct display {
    int fd;
    bool unicode, drawn;
    double total_s, drawn_s;
    int count;              /* of the values below; the newest is the last */
    double p99_ns[HISTORY]; /* of each interval */
};

/* What the user's locale says, without making it that of the process. */
static bool locale_is_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    bool utf8 = locale && strcmp(nl_langinfo_l(CODESET, locale), "UTF-8") == 0;

    if (locale)
        freelocale(locale);
    return utf8;
}

struct display *display_create(int fd, double total_s)
{
    struct display *d = must_calloc(1, sizeof *d);

    d->fd = fd;
    d->total_s = total_s;
    d->unicode = locale_is_utf8();
    return d;
}

/* It may change while we run. */
static int width_of(int fd)
{
    struct winsize size = {0};

    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_WIDTH;
}

static double largest(const double *values, int count)
{
    double max = 0;

    for (int i = 0; i < count; i++) {
        if (isfinite(values[i]) && values[i] > max)
            max = values[i];
    }
    return max;
}

/* The character of one value, 1 to BAR_BYTES bytes. */
static const char *bar_of(double value, double max, bool unicode)
{
    static const char *const blocks[LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const letters[LEVELS] = {".", ":", "-", "=", "+", "*", "%", "#"};
    int level;

    if (!isfinite(value))
        return isnan(value) ? " " : "!";
    level = max > 0 ? (int)ceil(value / max * LEVELS) - 1 : 0;
    if (level < 0)
        level = 0;
    return unicode ? blocks[level] : letters[level];
}

void display_bars(char *text, size_t size, const double *values, int count, bool unicode)
{
    double max = largest(values, count);

    *text = '\0';
    for (int i = 0; i < count; i++) {
        const char *bar = bar_of(values[i], max, unicode);
        size_t length = strlen(bar);

        if (length >= size)
            return;
        memcpy(text, bar, length + 1);
        text += length;
        size -= length;
    }
}

static void remember(struct display *d, double p99_ns)
{
    if (d->count == HISTORY)
        memmove(d->p99_ns, d->p99_ns + 1, (HISTORY - 1) * sizeof *d->p99_ns);
    else
        d->count++;
    d->p99_ns[d->count - 1] = p99_ns;
}

/* As many of the newest values as there is room for. A line as wide as the terminal could wrap, and
 * the next drawing would begin in the wrong place. */
static void format_curve(const struct display *d, int width, char *text, size_t size)
{
    char lead[64], peak[PRETTY_TIME], bars[HISTORY * BAR_BYTES + 1];
    int used, shown;

    snprintf(lead, sizeof lead, "  p99 up to %s ", pretty_time(peak, largest(d->p99_ns, d->count)));
    used = (int)strlen(lead) + 1;
    shown = width > used ? width - used : 0;
    if (shown > d->count)
        shown = d->count;
    display_bars(bars, sizeof bars, d->p99_ns + d->count - shown, shown, d->unicode);
    snprintf(text, size, "%.*s%s", width - 1, lead, bars);
}

/* In one write, so that nothing half drawn is seen. A terminal that is gone is no reason to end. */
static void put(const struct display *d, const char *text)
{
    ssize_t ignored = write(d->fd, text, strlen(text));

    (void)ignored;
}

void display_draw(struct display *d, double time_s, const struct period *p, uint64_t errors)
{
    char line[256], curve[HISTORY * BAR_BYTES + 128], all[sizeof line + sizeof curve + 64];
    char p50[PRETTY_TIME], p99[PRETTY_TIME];
    int width = width_of(d->fd);

    remember(d, p->p99_ns);
    if (d->drawn && time_s - d->drawn_s < REDRAW_S)
        return;
    snprintf(line, sizeof line,
             "%6.1f of %.1f s  %.0f/s offered  %.0f/s good  %llu errors  p50 %s  p99 %s%s", time_s,
             d->total_s, p->offered, p->achieved, (unsigned long long)errors,
             pretty_time(p50, p->p50_ns), p->p99_known ? "" : "~", pretty_time(p99, p->p99_ns));
    format_curve(d, width, curve, sizeof curve);
    snprintf(all, sizeof all, "%s\r%.*s\033[K\n%s\033[K", d->drawn ? "\033[A" : "", width - 1, line,
             curve);
    put(d, all);
    d->drawn = true;
    d->drawn_s = time_s;
}

void display_free(struct display *d)
{
    if (d->drawn)
        put(d, "\r\033[A\033[J");
    free(d);
}
