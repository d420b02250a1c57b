/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The PC's two 8259A interrupt controllers.
 *
 * The slave's INT output is modelled as a level-triggered input of the master: it then cannot
 * miss a second request that comes while the first is being acknowledged.
 */
#include "vioapic/vpic.h"

enum { MASTER, SLAVE };
enum { PORT_COMMAND, PORT_DATA };

#define CASCADE               2 /* the slave's place on the master */
#define SPURIOUS              7
#define CASCADE_BIT           0x04
#define VECTOR_BITS           0xf8

#define ICW1_SELECT           0x10 /* marks a command byte as ICW1 */
#define ICW1_ICW4             0x01
#define ICW1_SINGLE           0x02
#define ICW1_LEVEL            0x08
#define ICW4_AUTO_EOI         0x02
#define ICW4_SPECIAL_NESTED   0x10

#define OCW3_SELECT           0x08 /* marks a command byte as OCW3 */
#define OCW3_POLL             0x04
#define OCW3_READ             0x02
#define OCW3_READ_ISR         0x01
#define OCW3_SET_SPECIAL_MASK 0x40
#define OCW3_SPECIAL_MASK     0x20

#define POLL_REQUEST          0x80

/* Inputs that are edge-triggered on every PC: timer, keyboard, cascade; RTC, coprocessor. */
static const u8 elcr_writable[] = { [MASTER] = 0xf8, [SLAVE] = 0xde };

static bool is_master(const struct vpic *pic, const struct vpic_chip *c)
{
	return c == &pic->chip[MASTER];
}

static u8 level_inputs(const struct vpic *pic, const struct vpic_chip *c)
{
	if (c->icw1 & ICW1_LEVEL)
		return 0xff;
	return is_master(pic, c) ? c->elcr | CASCADE_BIT : c->elcr;
}

static u8 requests(const struct vpic *pic, const struct vpic_chip *c)
{
	u8 level = level_inputs(pic, c);

	return (u8)((c->latch & ~level) | (c->lines & level));
}

/* How far input @n of @c stands behind the highest priority: 0-7. */
static unsigned int rank(const struct vpic_chip *c, unsigned int n)
{
	return (n - c->lowest - 1u) & 7;
}

/* The input of @set with the highest priority, or -1. */
static int highest(const struct vpic_chip *c, u8 set)
{
	for (unsigned int i = 1; i <= 8; i++) {
		unsigned int n = (c->lowest + i) & 7;

		if (set >> n & 1)
			return (int)n;
	}
	return -1;
}

/* The input that @c asks to be served, or -1. During initialization it asks for none. */
static int request(const struct vpic *pic, const struct vpic_chip *c)
{
	u8 asking = requests(pic, c) & (u8)~c->imr, blocking = c->isr;
	int wanted, serving;

	if (!asking || c->icw)
		return -1;
	wanted = highest(c, asking);
	if (c->special_mask)
		blocking &= (u8)~c->imr;
	if (c->special_nested && is_master(pic, c))
		blocking &= (u8)~CASCADE_BIT;
	serving = highest(c, blocking);
	if (serving >= 0 && rank(c, (unsigned int)wanted) >= rank(c, (unsigned int)serving))
		return -1;
	return wanted;
}

/* Propagate a change: slave's output to the master's input, master's output to the CPU. */
static void update(struct vpic *pic)
{
	struct vpic_chip *master = &pic->chip[MASTER];
	bool output;

	master->lines &= (u8)~CASCADE_BIT;
	if (request(pic, &pic->chip[SLAVE]) >= 0)
		master->lines |= CASCADE_BIT;
	output = request(pic, master) >= 0;
	if (output == pic->output)
		return;
	pic->output = output;
	if (pic->intr)
		pic->intr(pic->ctx, output);
}

void vpic_init(struct vpic *pic, void (*intr)(void *ctx, bool level), void *ctx)
{
	*pic = (struct vpic){ .intr = intr, .ctx = ctx };
	vpic_reset(pic);
}

void vpic_reset(struct vpic *pic)
{
	for (unsigned int i = MASTER; i <= SLAVE; i++) {
		struct vpic_chip *c = &pic->chip[i];

		*c = (struct vpic_chip){ .lines = c->lines,
					 .imr = 0xff,
					 .base = i == MASTER ? 0x08 : 0x70,
					 .lowest = 7 };
	}
	update(pic);
}

void vpic_set_line(struct vpic *pic, unsigned int line, bool level)
{
	struct vpic_chip *c = &pic->chip[line / 8 & 1];
	u8 bit = (u8)(1u << (line & 7));

	if (line >= VPIC_LINES || line == CASCADE || !(c->lines & bit) == !level)
		return;
	if (level) {
		c->lines |= bit;
		c->latch |= bit;
	} else {
		c->lines &= (u8)~bit;
	}
	update(pic);
}

/* @c's input @n goes into service. */
static void acknowledge(struct vpic_chip *c, unsigned int n)
{
	u8 bit = (u8)(1u << n);

	c->latch &= (u8)~bit;
	if (!c->auto_eoi)
		c->isr |= bit;
	else if (c->rotate_auto_eoi)
		c->lowest = (u8)n;
}

/* The vector of @c's request, which goes into service; the spurious one if there is none. */
static int take(struct vpic *pic, struct vpic_chip *c)
{
	int n = request(pic, c);

	if (n < 0)
		return c->base + SPURIOUS;
	acknowledge(c, (unsigned int)n);
	if (is_master(pic, c) && n == CASCADE)
		return take(pic, &pic->chip[SLAVE]);
	return c->base + n;
}

int vpic_ack(struct vpic *pic)
{
	int vector = take(pic, &pic->chip[MASTER]);

	update(pic);
	return vector;
}

static void write_icw1(struct vpic_chip *c, u8 value)
{
	c->icw1 = value;
	c->icw = 2;
	c->latch = 0;
	c->isr = 0;
	c->imr = 0;
	c->lowest = 7;
	c->special_mask = c->special_nested = false;
	c->auto_eoi = c->rotate_auto_eoi = false;
	c->read_isr = c->poll = false;
}

/* ICW2 to ICW4, as many as ICW1 announced. ICW3 can only say how the PC is wired. */
static void write_icw(struct vpic_chip *c, u8 value)
{
	u8 last = c->icw1 & ICW1_ICW4 ? 4 : c->icw1 & ICW1_SINGLE ? 2 : 3;

	if (c->icw == 2) {
		c->base = value & VECTOR_BITS;
	} else if (c->icw == 4) {
		c->auto_eoi = value & ICW4_AUTO_EOI;
		c->special_nested = value & ICW4_SPECIAL_NESTED;
	}
	if (c->icw >= last)
		c->icw = 0;
	else
		c->icw = c->icw == 2 && c->icw1 & ICW1_SINGLE ? 4 : c->icw + 1;
}

/* In special mask mode a masked input in service is nobody's to end but by its name. */
static void end_highest(struct vpic_chip *c, bool rotate)
{
	int n = highest(c, c->special_mask ? c->isr & (u8)~c->imr : c->isr);

	if (n < 0)
		return;
	c->isr &= (u8) ~(1u << n);
	if (rotate)
		c->lowest = (u8)n;
}

/* The upper three bits are Rotate, Specific and EOI; with Specific the lower three name an input. */
static void write_ocw2(struct vpic_chip *c, u8 value)
{
	u8 n = value & 7;

	switch (value >> 5) {
	case 0: c->rotate_auto_eoi = false; break;
	case 1: end_highest(c, false); break;
	case 2: break;
	case 3: c->isr &= (u8) ~(1u << n); break;
	case 4: c->rotate_auto_eoi = true; break;
	case 5: end_highest(c, true); break;
	case 6: c->lowest = n; break;
	case 7:
		c->isr &= (u8) ~(1u << n);
		c->lowest = n;
		break;
	}
}

static void write_ocw3(struct vpic_chip *c, u8 value)
{
	if (value & OCW3_SET_SPECIAL_MASK)
		c->special_mask = value & OCW3_SPECIAL_MASK;
	if (value & OCW3_POLL)
		c->poll = true;
	else if (value & OCW3_READ)
		c->read_isr = value & OCW3_READ_ISR;
}

static void write_chip(struct vpic *pic, struct vpic_chip *c, u16 port, u8 value)
{
	if (port == PORT_COMMAND) {
		if (value & ICW1_SELECT)
			write_icw1(c, value);
		else if (value & OCW3_SELECT)
			write_ocw3(c, value);
		else
			write_ocw2(c, value);
	} else if (c->icw) {
		write_icw(c, value);
	} else {
		c->imr = value;
	}
	update(pic);
}

/* A poll is an acknowledge through a port, of this chip alone. */
static u8 read_poll(struct vpic *pic, struct vpic_chip *c)
{
	int n = request(pic, c);

	c->poll = false;
	if (n < 0)
		return SPURIOUS;
	acknowledge(c, (unsigned int)n);
	update(pic);
	return (u8)(POLL_REQUEST | n);
}

static u8 read_chip(struct vpic *pic, struct vpic_chip *c, u16 port)
{
	if (c->poll)
		return read_poll(pic, c);
	if (port == PORT_DATA)
		return c->imr;
	return c->read_isr ? c->isr : requests(pic, c);
}

/* A wider access to the two ports is two accesses. */
static u32 read_ports(struct vpic *pic, struct vpic_chip *c, u16 off, u8 size)
{
	u32 value = 0;

	for (u16 i = 0; i < size; i++)
		value |= (u32)read_chip(pic, c, (off + i) & 1) << i * 8;
	return value;
}

static void write_ports(struct vpic *pic, struct vpic_chip *c, u16 off, u8 size, u32 value)
{
	for (u16 i = 0; i < size; i++)
		write_chip(pic, c, (off + i) & 1, (u8)(value >> i * 8));
}

static u32 master_read(void *dev, u16 off, u8 size)
{
	struct vpic *pic = dev;

	return read_ports(pic, &pic->chip[MASTER], off, size);
}

static void master_write(void *dev, u16 off, u8 size, u32 value)
{
	struct vpic *pic = dev;

	write_ports(pic, &pic->chip[MASTER], off, size, value);
}

static u32 slave_read(void *dev, u16 off, u8 size)
{
	struct vpic *pic = dev;

	return read_ports(pic, &pic->chip[SLAVE], off, size);
}

static void slave_write(void *dev, u16 off, u8 size, u32 value)
{
	struct vpic *pic = dev;

	write_ports(pic, &pic->chip[SLAVE], off, size, value);
}

static u32 elcr_read(void *dev, u16 off, u8 size)
{
	struct vpic *pic = dev;
	u32 value = 0;

	for (unsigned int i = 0; i < size; i++)
		value |= (u32)pic->chip[(off + i) & 1].elcr << i * 8;
	return value;
}

static void elcr_write(void *dev, u16 off, u8 size, u32 value)
{
	struct vpic *pic = dev;

	for (unsigned int i = 0; i < size; i++) {
		unsigned int chip = (off + i) & 1;

		pic->chip[chip].elcr = (u8)(value >> i * 8) & elcr_writable[chip];
	}
	update(pic);
}

const struct pio_ops vpic_master_ops = { .read = master_read, .write = master_write };
const struct pio_ops vpic_slave_ops = { .read = slave_read, .write = slave_write };
const struct pio_ops vpic_elcr_ops = { .read = elcr_read, .write = elcr_write };
