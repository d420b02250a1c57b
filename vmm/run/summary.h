/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine and what has run on it, in lines that fit a photograph: `summary = SECONDS`. */
#ifndef VMM_RUN_SUMMARY_H
#define VMM_RUN_SUMMARY_H

/* Print it. @firmware: in its own words. On the boot CPU, when no VM runs. */
void summary_print(const char *firmware);

#endif
