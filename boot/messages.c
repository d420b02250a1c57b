/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot/messages.h"
#include "boot/config.h"
#include "boot/efi.h"
#include "drivers/fbtext.h"
#include "drivers/uart.h"
#include "lib/printk.h"

static struct uart uart;
static struct fbtext fbtext;
static bool has_uart, has_framebuffer;

static void firmware_write(struct printk_sink *sink, const char *text, size_t len)
{
	(void)sink;
	for (size_t i = 0; i < len; i++) {
		CHAR16 c[3] = { (u8)text[i], 0, 0 };

		if (text[i] == '\n') {
			c[0] = '\r';
			c[1] = '\n';
		}
		efi->ConOut->OutputString(efi->ConOut, c);
	}
}

static struct printk_sink firmware_sink = { .write = firmware_write };
static bool firmware_only; /* neither a UART nor a framebuffer */

static bool use_uart(struct boot_info *info, u16 port, enum log_level level)
{
	struct uart_regs regs = uart_at_port(port);

	if (!uart_probe(&regs))
		return false;
	uart_init(&uart, regs);
	uart_add_sink(&uart, level);
	has_uart = true;
	info->uart = &uart;
	info->uart_port = port;
	return true;
}

static bool use_framebuffer(struct boot_info *info, enum log_level level)
{
	if (!has_framebuffer)
		return false;
	fbtext_add_sink(&fbtext, level);
	info->fbtext = &fbtext;
	return true;
}

static void use_firmware(enum log_level level)
{
	if (!efi->ConOut)
		return;
	firmware_only = true;
	firmware_sink.level = level;
	printk_add_sink(&firmware_sink);
}

static void remove_all(struct boot_info *info)
{
	messages_flush();
	printk_remove_sink(&uart.sink);
	has_uart = false;
	info->uart = NULL;
	info->uart_port = 0;
	printk_remove_sink(&fbtext.sink);
	info->fbtext = NULL;
	firmware_only = false;
	printk_remove_sink(&firmware_sink);
}

static bool use(struct boot_info *info, enum config_console console, enum log_level level)
{
	bool any = false;

	if (console == CONSOLE_AUTO || console == CONSOLE_COM1)
		any |= use_uart(info, UART_COM1, level);
	if (console == CONSOLE_COM2)
		any |= use_uart(info, UART_COM2, level);
	if (console == CONSOLE_AUTO || console == CONSOLE_FRAMEBUFFER)
		any |= use_framebuffer(info, level);
	return any;
}

static bool open_framebuffer(const struct boot_framebuffer *fb)
{
	struct framebuffer text = {
		.base = (void *)fb->base,
		.size = fb->size,
		.width = fb->width,
		.height = fb->height,
		.stride = fb->stride,
		.bgr = fb->bgr,
	};

	return fb->base && !fbtext_init(&fbtext, &text);
}

void messages_start(struct boot_info *info)
{
	has_framebuffer = open_framebuffer(&info->fb);
	if (!use(info, CONSOLE_AUTO, LOG_INFO))
		use_firmware(LOG_INFO);
}

void messages_configure(struct boot_info *info)
{
	const struct host_config *host = &info->config.host;
	enum log_level level = host->log_level;

	remove_all(info);
	if (use(info, host->console, level))
		return;
	if (!use(info, CONSOLE_AUTO, level))
		use_firmware(level);
	if (host->console != CONSOLE_AUTO)
		pr_warn("boot: the console that " CONFIG_FILE " asks for does not answer: "
			"using what does\n");
}

void messages_flush(void)
{
	if (has_uart)
		uart_flush(&uart);
}

void messages_leave_firmware(void)
{
	if (!firmware_only)
		return;
	pr_warn("boot: there is no UART and no framebuffer: these are the last words\n");
	printk_remove_sink(&firmware_sink);
}
