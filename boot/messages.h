/* SPDX-License-Identifier: BSD-2-Clause */
/* Where Lintel's messages go, from the first line on: to its own drivers, not the firmware's. */
#ifndef BOOT_MESSAGES_H
#define BOOT_MESSAGES_H

#include "vmm/boot_info.h"

/*
 * Before lintel.conf has been read: COM1 if it answers, and the framebuffer; where there is
 * neither, the firmware's console. Needs @info->fb; sets @info->uart, uart_port and fbtext.
 */
void messages_start(struct boot_info *info);

/* The same again, as `console` and `log` of @info->config ask for. */
void messages_configure(struct boot_info *info);

/* Wait until all of them are out: nobody feeds the UART while we read files or are gone. */
void messages_flush(void);

/* The firmware's console ends with the firmware: call it before ExitBootServices. */
void messages_leave_firmware(void);

#endif
