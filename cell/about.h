/* about: what this program decides of a measurement, for whatever plans cells or reads them. */
#ifndef ARCHBENCH_CELL_ABOUT_H
#define ARCHBENCH_CELL_ABOUT_H

/* When more of the machine's time was stolen during a cell, what clients see and what CPU time says
 * is not sure: a share of all cores. */
#define STEAL_LIMIT 0.02

/* The same of time that other programs had; switches are not sure then either. */
#define OTHERS_LIMIT 0.10

/* Print it as a line of JSON: see docs/formats.md. */
void about_print(void);

#endif
