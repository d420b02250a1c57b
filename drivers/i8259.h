/* SPDX-License-Identifier: BSD-2-Clause */
/* The two 8259 interrupt controllers of a PC, which Lintel does not use. */
#ifndef DRIVERS_I8259_H
#define DRIVERS_I8259_H

#include "lib/types.h"

/*
 * Mask all their lines, and move their vectors to @vector_base (a multiple of 8) .. + 15: a spurious
 * interrupt, which no mask stops, must not look like an exception.
 */
void i8259_disable(u8 vector_base);

#endif
