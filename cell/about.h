/* about: what this program decides of a measurement, for whatever plans cells or reads them. */
#ifndef ARCHBENCH_CELL_ABOUT_H
#define ARCHBENCH_CELL_ABOUT_H

/* A cell during which more of the machine's time was stolen is invalid: a share of all cores. */
#define STEAL_LIMIT 0.02

/* Print it as a line of JSON: see docs/formats.md. */
void about_print(void);

#endif
