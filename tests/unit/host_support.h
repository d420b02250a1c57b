/* SPDX-License-Identifier: BSD-2-Clause */
/* What the image's other folders supply to lib/ and to everything under test, on the host. */
#ifndef TESTS_UNIT_HOST_SUPPORT_H
#define TESTS_UNIT_HOST_SUPPORT_H

/*
 * Keep the messages that printk prints from here on, instead of showing them on stderr.
 * Starts with nothing kept; the last 64 KiB at most.
 */
void capture_start(void);

/* What has been printed since, as one string, valid until the next capture_start. */
const char *capture_text(void);

/* Back to stderr. */
void capture_stop(void);

/* Neither kept nor shown, until the next call of one of the two: for tests with sinks of their own. */
void capture_nothing(void);

#endif
