/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's 16550A serial port. */
#include "lib/string.h"
#include "vmm/pc/pio_bytes.h"
#include "vmm/pc/vuart.h"

/* Offsets; the first two are the divisor latch while LCR_DLAB is set. */
enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR, REG_SCR };

#define IER_RDI      0x01 /* received data */
#define IER_THRI     0x02 /* transmitter empty */
#define IER_RLSI     0x04 /* line status */
#define IER_MSI      0x08 /* modem status */
#define IER_ALL      0x0f

#define IIR_MSI      0x00
#define IIR_NONE     0x01
#define IIR_THRI     0x02
#define IIR_RDI      0x04
#define IIR_RLSI     0x06
#define IIR_TIMEOUT  0x0c /* received data below the trigger level, and nothing follows */
#define IIR_FIFO     0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_TRIGGER  6 /* shift */

#define LCR_DLAB     0x80

#define MCR_LOOP     0x10
#define MCR_ALL      0x1f

#define LSR_DR       0x01
#define LSR_OE       0x02
#define LSR_THRE     0x20
#define LSR_TEMT     0x40

#define MSR_CTS      0x10
#define MSR_DSR      0x20
#define MSR_RI       0x40
#define MSR_DCD      0x80
#define MSR_LINES    0xf0
#define MSR_DELTAS   0x0f

#define DIVISOR_9600 12

static bool fifo_enabled(const struct vuart *v)
{
	return v->fcr & FCR_ENABLE;
}

static size_t rx_space(const struct vuart *v)
{
	size_t depth = fifo_enabled(v) ? VUART_FIFO : 1;

	return depth > v->rx.len ? depth - v->rx.len : 0;
}

static bool fifo_push(struct vuart_fifo *f, u8 byte)
{
	if (f->len >= VUART_FIFO)
		return false;
	f->data[f->len++] = byte;
	return true;
}

static void fifo_drop(struct vuart_fifo *f, size_t n)
{
	n = MIN(n, (size_t)f->len);
	f->len = (u8)(f->len - n);
	memmove(f->data, f->data + n, f->len);
}

/* The most urgent interrupt that is due and enabled, as IIR names it. */
static u8 interrupt_cause(const struct vuart *v)
{
	static const u8 trigger[] = { 1, 4, 8, 14 };

	if (v->ier & IER_RLSI && v->lsr_errors)
		return IIR_RLSI;
	if (v->ier & IER_RDI && v->rx.len) {
		/* Input comes in bursts and is not timed: what is below the level has timed out. */
		if (fifo_enabled(v) && v->rx.len < trigger[v->fcr >> FCR_TRIGGER])
			return IIR_TIMEOUT;
		return IIR_RDI;
	}
	if (v->ier & IER_THRI && v->thr_emptied)
		return IIR_THRI;
	if (v->ier & IER_MSI && v->msr & MSR_DELTAS)
		return IIR_MSI;
	return IIR_NONE;
}

/* MCR's OUT2 does not gate the line here: small kernels forget it, and nobody shares the line. */
static void update_line(struct vuart *v)
{
	bool level = interrupt_cause(v) != IIR_NONE;

	if (level == v->level)
		return;
	v->level = level;
	v->env->set_line(v->env->ctx, v->line, level);
}

/* Loopback connects the modem outputs to the inputs; otherwise somebody is there, and ready. */
static void update_modem(struct vuart *v)
{
	u8 old = v->msr & MSR_LINES, new = MSR_CTS | MSR_DSR | MSR_DCD;
	u8 delta;

	if (v->mcr & MCR_LOOP)
		new = (u8)((v->mcr & 0x02) << 3 | (v->mcr & 0x01) << 5 | (v->mcr & 0x0c) << 4);
	delta = (u8)((old ^ new) & ~MSR_RI) | (u8)(old & ~new &MSR_RI); /* RI: its end counts */
	v->msr = (u8)(new | (v->msr & MSR_DELTAS) | delta >> 4);
}

static void drain(struct vuart *v)
{
	if (!v->tx.len)
		return;
	fifo_drop(&v->tx, v->ops->tx(v->ctx, v->tx.data, v->tx.len));
	if (!v->tx.len)
		v->thr_emptied = true;
}

static void rx_room(struct vuart *v)
{
	if (!(v->mcr & MCR_LOOP) && !v->rx.len)
		v->ops->rx_room(v->ctx);
}

static u8 read_data(struct vuart *v)
{
	u8 byte;

	if (!v->rx.len)
		return 0;
	byte = v->rx.data[0];
	fifo_drop(&v->rx, 1);
	rx_room(v);
	return byte;
}

static void write_data(struct vuart *v, u8 byte)
{
	v->thr_emptied = false;
	if (v->mcr & MCR_LOOP) {
		if (!rx_space(v) || !fifo_push(&v->rx, byte))
			v->lsr_errors |= LSR_OE;
		v->thr_emptied = true;
		return;
	}
	/* Beyond the FIFO, the guest did not look at THRE: lost, as in the chip. */
	(void)fifo_push(&v->tx, byte);
	drain(v);
}

static void write_ier(struct vuart *v, u8 value)
{
	/* Enabling it anew asks anew: Linux's start-up tests for this. */
	if (value & ~v->ier & IER_THRI && !v->tx.len)
		v->thr_emptied = true;
	v->ier = value & IER_ALL;
}

static u8 read_iir(struct vuart *v)
{
	u8 cause = interrupt_cause(v);

	if (cause == IIR_THRI)
		v->thr_emptied = false;
	return cause | (fifo_enabled(v) ? IIR_FIFO : 0);
}

/* Clearing the transmit FIFO drops nothing: those bytes count as on the wire. */
static void write_fcr(struct vuart *v, u8 value)
{
	bool clear = (value & FCR_CLEAR_RX) || (value ^ v->fcr) & FCR_ENABLE;

	v->fcr = value & FCR_ENABLE ? value : 0;
	if (!clear)
		return;
	v->rx.len = 0;
	rx_room(v);
}

static void write_mcr(struct vuart *v, u8 value)
{
	bool left_loop = v->mcr & ~value & MCR_LOOP;

	v->mcr = value & MCR_ALL;
	update_modem(v);
	if (left_loop)
		rx_room(v);
}

static u8 read_lsr(struct vuart *v)
{
	u8 lsr = v->lsr_errors;

	v->lsr_errors = 0;
	if (v->rx.len)
		lsr |= LSR_DR;
	if (!v->tx.len)
		lsr |= LSR_THRE | LSR_TEMT;
	return lsr;
}

static u8 read_msr(struct vuart *v)
{
	u8 msr = v->msr;

	v->msr &= MSR_LINES;
	return msr;
}

static u8 read_reg(struct vuart *v, u16 off)
{
	bool dlab = v->lcr & LCR_DLAB;

	switch (off) {
	case REG_DATA: return dlab ? v->dll : read_data(v);
	case REG_IER: return dlab ? v->dlm : v->ier;
	case REG_IIR_FCR: return read_iir(v);
	case REG_LCR: return v->lcr;
	case REG_MCR: return v->mcr;
	case REG_LSR: return read_lsr(v);
	case REG_MSR: return read_msr(v);
	case REG_SCR: return v->scr;
	default: return 0xff;
	}
}

static u8 vuart_read_byte(void *dev, u16 off)
{
	struct vuart *v = dev;
	u8 value = read_reg(v, off);

	update_line(v);
	return value;
}

static void vuart_write_byte(void *dev, u16 off, u8 value)
{
	struct vuart *v = dev;
	bool dlab = v->lcr & LCR_DLAB;

	switch (off) {
	case REG_DATA:
		if (dlab)
			v->dll = value;
		else
			write_data(v, value);
		break;
	case REG_IER:
		if (dlab)
			v->dlm = value;
		else
			write_ier(v, value);
		break;
	case REG_IIR_FCR: write_fcr(v, value); break;
	case REG_LCR: v->lcr = value; break;
	case REG_MCR: write_mcr(v, value); break;
	case REG_SCR: v->scr = value; break;
	default: break; /* LSR and MSR are read-only */
	}
	update_line(v);
}

static u32 vuart_read(void *dev, u16 off, u8 size)
{
	return pio_read_bytes(vuart_read_byte, dev, off, size);
}

static void vuart_write(void *dev, u16 off, u8 size, u32 value)
{
	pio_write_bytes(vuart_write_byte, dev, off, size, value);
}

const struct pio_ops vuart_pio = { vuart_read, vuart_write };

void vuart_tx_resume(struct vuart *v)
{
	drain(v);
	update_line(v);
}

bool vuart_rx_wanted(const struct vuart *v)
{
	return v->ier & IER_RDI;
}

size_t vuart_rx_room(const struct vuart *v)
{
	return v->mcr & MCR_LOOP ? 0 : rx_space(v);
}

size_t vuart_rx(struct vuart *v, const u8 *data, size_t len)
{
	size_t n = MIN(len, vuart_rx_room(v));

	for (size_t i = 0; i < n; i++)
		(void)fifo_push(&v->rx, data[i]);
	update_line(v);
	return n;
}

static void power_on(struct vuart *v)
{
	v->ier = v->fcr = v->lcr = v->mcr = v->scr = v->lsr_errors = 0;
	v->msr = MSR_CTS | MSR_DSR | MSR_DCD;
	v->dll = DIVISOR_9600;
	v->dlm = 0;
	v->thr_emptied = false;
	v->rx.len = 0;
	update_line(v);
}

void vuart_reset(struct vuart *v)
{
	power_on(v);
	rx_room(v);
}

void vuart_init(struct vuart *v, const struct vdev_env *env, const struct vuart_ops *ops, void *ctx,
		unsigned int line)
{
	*v = (struct vuart){ .env = env, .ops = ops, .ctx = ctx, .line = line };
	power_on(v);
}
