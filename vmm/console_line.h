/* What the operator's console can be: a UART, the framebuffer (which has no keyboard), nothing. */
#ifndef VMM_CONSOLE_LINE_H
#define VMM_CONSOLE_LINE_H

#include "drivers/fbtext.h"
#include "drivers/uart.h"
#include "vmm/console.h"

/* What is passed must have been initialised, and stay. */
struct console_line console_line_uart(struct uart *u);
struct console_line console_line_fbtext(struct fbtext *t);

/* Takes all output, shows none of it. */
struct console_line console_line_none(void);

#endif
