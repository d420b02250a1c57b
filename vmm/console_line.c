#include "vmm/console_line.h"

static size_t uart_line_room(void *ctx)
{
	return uart_tx_room(ctx);
}

static size_t uart_line_write(void *ctx, const void *data, size_t len)
{
	return uart_write(ctx, data, len);
}

static size_t uart_line_read(void *ctx, void *buf, size_t len)
{
	return uart_read(ctx, buf, len);
}

struct console_line console_line_uart(struct uart *u)
{
	return (struct console_line){ uart_line_room, uart_line_write, uart_line_read, u };
}

static size_t always_room(void *ctx)
{
	(void)ctx;
	return SIZE_MAX;
}

static size_t nothing_typed(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	(void)buf;
	(void)len;
	return 0;
}

static size_t fbtext_line_write(void *ctx, const void *data, size_t len)
{
	fbtext_write(ctx, data, len);
	return len;
}

struct console_line console_line_fbtext(struct fbtext *t)
{
	return (struct console_line){ always_room, fbtext_line_write, nothing_typed, t };
}

static size_t shown_to_nobody(void *ctx, const void *data, size_t len)
{
	(void)ctx;
	(void)data;
	return len;
}

struct console_line console_line_none(void)
{
	return (struct console_line){ always_room, shown_to_nobody, nothing_typed, NULL };
}
