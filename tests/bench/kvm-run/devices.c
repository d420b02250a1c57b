/* SPDX-License-Identifier: BSD-2-Clause */
/* Devices in user space: a serial port, ACPI's registers, the debug exit. All else reads as ones. */
#include "kvm-run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

#define COM1        0x3f8
#define COM1_LINE   4
#define PM_TIMER_HZ 3579545ull

/* --- a 16450 whose transmitter is always empty --- */

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define IER_THRI  2
#define IIR_NONE  1
#define IIR_THRI  2
#define LCR_DLAB  0x80
#define LSR_EMPTY 0x60 /* THRE, TEMT */

static uint8_t registers[8];
static bool emptied, line;

static void update_line(struct machine *m)
{
	bool level = emptied && registers[IER] & IER_THRI;
	struct kvm_irq_level event = { .irq = COM1_LINE, .level = level };

	if (level == line)
		return;
	line = level;
	if (ioctl(m->vm, KVM_IRQ_LINE, &event))
		fail(errno, "KVM_IRQ_LINE");
}

static void uart_write(struct machine *m, unsigned int reg, uint8_t value)
{
	bool divisor = registers[LCR] & LCR_DLAB && reg <= IER;

	if (divisor)
		return;
	if (reg == DATA) {
		putchar(value);
		if (value == '\n')
			fflush(stdout);
		count_output(value);
		emptied = true;
	} else {
		/* Asking for it while there is nothing to send is answered at once. */
		if (reg == IER && value & ~registers[IER] & IER_THRI)
			emptied = true;
		registers[reg] = value;
	}
	update_line(m);
}

static uint8_t uart_read(struct machine *m, unsigned int reg)
{
	bool due = emptied && registers[IER] & IER_THRI;

	switch (reg) {
	case DATA: return 0;
	case IIR:
		if (due)
			emptied = false;
		update_line(m);
		return due ? IIR_THRI : IIR_NONE;
	case LSR: return LSR_EMPTY;
	case MSR: return 0;
	default: return registers[reg];
	}
}

/* --- ACPI: no events, so that there is never an SCI; soft-off; the timer --- */

#define PM1_SCI_EN 1
#define PM1_SLP_EN 0x2000

static uint32_t pm1_enable;

static void pm1_write(uint16_t port, uint32_t value)
{
	if (port == PM1_EVENT_PORT + 2)
		pm1_enable = value;
	if (port != PM1_CONTROL_PORT || !(value & PM1_SLP_EN) || (value >> 10 & 7) != SOFT_OFF)
		return;
	count_show("end");
	show_exits();
	_Exit(0);
}

static uint32_t pm1_read(uint16_t port)
{
	if (port == PM1_EVENT_PORT + 2)
		return pm1_enable;
	return port == PM1_CONTROL_PORT ? PM1_SCI_EN : 0;
}

static uint32_t pm_timer(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint32_t)((uint64_t)now.tv_sec * PM_TIMER_HZ +
			  (uint64_t)now.tv_nsec * PM_TIMER_HZ / 1000000000);
}

/* --- what is where --- */

static bool is_pm1(uint16_t port, unsigned int size)
{
	return port >= PM1_EVENT_PORT && port <= PM1_CONTROL_PORT && size == 2;
}

void port_write(struct machine *m, uint16_t port, unsigned int size, uint32_t value)
{
	if (port == DEBUG_EXIT_PORT) {
		show_exits();
		fflush(stdout);
		_Exit((int)(value & 0xff));
	}
	if (is_pm1(port, size))
		pm1_write(port, value);
	if (port >= COM1 && port < COM1 + 8 && size == 1)
		uart_write(m, port - COM1, (uint8_t)value);
}

uint32_t port_read(struct machine *m, uint16_t port, unsigned int size)
{
	if (port == PM_TIMER_PORT && size == 4)
		return pm_timer();
	if (is_pm1(port, size))
		return pm1_read(port);
	if (port >= COM1 && port < COM1 + 8 && size == 1)
		return uart_read(m, port - COM1);
	return 0xffffffff;
}
