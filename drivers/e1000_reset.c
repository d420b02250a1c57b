/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An e1000 is reset and started, at the beginning and when it hangs. Whether it is there at all, and its link up, is
 * looked after here, too.
 */
#include "drivers/e1000_private.h"
#include "lib/errno.h"
#include "lib/printk.h"

#define ITR_INTERVAL 195 /* 50 us */

static void delay_us(struct e1000 *e, u64 us)
{
	u64 start = e->env.now();

	while (!e1000_is_past(e, start, e->env.tsc_hz / 1000000 * us))
		__asm__ volatile("pause");
}

bool e1000_wait_for(struct e1000 *e, u32 reg, u64 bits, u64 value, u64 us)
{
	u64 start = e->env.now();

	while ((e1000_rd(e, reg) & bits) != value) {
		if (e1000_is_past(e, start, e->env.tsc_hz / 1000000 * us))
			return false;
		__asm__ volatile("pause");
	}
	return true;
}

/* --- reset and start; nobody else uses the device meanwhile */

void e1000_mask_interrupts(struct e1000 *e)
{
	e1000_wr(e, E1000_IMC, E1000_ALL_ONES);
	(void)e1000_rd(e, E1000_ICR);
}

/*
 * "General Initialization": everything off, reset, and until the EEPROM has been read again. Some emulated
 * cards only pretend: what is relied upon is written by start.
 */
int e1000_reset(struct e1000 *e)
{
	e1000_mask_interrupts(e);
	e1000_wr(e, E1000_RCTL, 0);
	e1000_wr(e, E1000_TCTL, E1000_TCTL_PSP);
	if (e->model->express) {
		/* "Master Disable": no DMA is under way when it is reset. If some stays, so be it. */
		e1000_wr(e, E1000_CTRL, e1000_rd(e, E1000_CTRL) | E1000_CTRL_GIO_MASTER_DISABLE);
		(void)e1000_wait_for(e, E1000_STATUS, E1000_STATUS_GIO_MASTER, 0, 10000);
	}
	e1000_wr(e, E1000_CTRL, e1000_rd(e, E1000_CTRL) | E1000_CTRL_RST);
	delay_us(e, 1000);
	if (!e1000_wait_for(e, E1000_CTRL, E1000_CTRL_RST, 0, 20000))
		return -EIO;
	delay_us(e, 5000);
	e1000_mask_interrupts(e);
	return 0;
}

/* Registers whose values depend on nothing. Pause frames are neither sent nor obeyed. */
static const struct {
	u32 reg, value;
} start_values[] = {
	{ E1000_FCAL, 0 },
	{ E1000_FCAH, 0 },
	{ E1000_FCT, 0 },
	{ E1000_FCTTV, 0 },
	{ E1000_VET, 0x8100 },
	{ E1000_RXCSUM, 0 },
	{ E1000_RDTR, 0 },
	{ E1000_RADV, 0 },
	{ E1000_TIDV, 0 },
	{ E1000_TADV, 0 },
	{ E1000_TIPG, E1000_TIPG_COPPER },
	{ E1000_ITR, ITR_INTERVAL },
};

/* In MSI-X mode everything is entry 0's. Frames that were sent interrupt nobody. */
static void start_interrupts(struct e1000 *e)
{
	if (e->msix) {
		e1000_wr(e, E1000_CTRL_EXT,
			 (e1000_rd(e, E1000_CTRL_EXT) & ~E1000_CTRL_EXT_IAME) | E1000_CTRL_EXT_PBA);
		e1000_wr(e, E1000_IVAR,
			 E1000_IVAR_VALID << E1000_IVAR_RXQ0_SHIFT |
				 E1000_IVAR_VALID << E1000_IVAR_TXQ0_SHIFT |
				 E1000_IVAR_VALID << E1000_IVAR_OTHER_SHIFT);
		e1000_wr(e, E1000_EITR0, ITR_INTERVAL);
	}
	if (e->active && e->causes)
		e1000_wr(e, E1000_IMS, e->causes);
}

void e1000_start(struct e1000 *e)
{
	const u8 *mac = e->nic.mac;
	u64 ctrl = e1000_rd(e, E1000_CTRL);

	ctrl &= ~(E1000_CTRL_GIO_MASTER_DISABLE | E1000_CTRL_LRST | E1000_CTRL_ILOS |
		  E1000_CTRL_FRCSPD | E1000_CTRL_FRCDPLX | E1000_CTRL_RFCE | E1000_CTRL_TFCE |
		  E1000_CTRL_VME | E1000_CTRL_PHY_RST);
	e1000_wr(e, E1000_CTRL, ctrl | E1000_CTRL_SLU | E1000_CTRL_ASDE);
	for (size_t i = 0; i < ARRAY_SIZE(start_values); i++)
		e1000_wr(e, start_values[i].reg, start_values[i].value);
	e1000_wr(e, E1000_RAL0,
		 (u32)mac[0] | (u32)mac[1] << 8 | (u32)mac[2] << 16 | (u32)mac[3] << 24);
	e1000_wr(e, E1000_RAH0, (u32)mac[4] | (u32)mac[5] << 8 | E1000_RAH_AV);
	e1000_start_transmit(e);
	e1000_start_receive(e);
	start_interrupts(e);
}

/* --- the link */

bool e1000_read_link(struct e1000 *e)
{
	u32 status = e1000_rd(e, E1000_STATUS);

	if (status == E1000_ALL_ONES) {
		if (!atomic_exchange(&e->gone, true))
			pr_err("%s: the device is gone\n", e->nic.name);
		return false;
	}
	return status & E1000_STATUS_LU;
}

void e1000_check_link(struct e1000 *e)
{
	bool changed, say;

	spin_lock(&e->lock);
	bool link = !e->gone && e1000_read_link(e);

	changed = link != e->nic.link;
	e->nic.link = link;
	e->link_checked = e->env.now();
	if (changed) /* what was waiting for the link has not been hanging */
		e->tx_since = e->link_checked;
	/* A link that flaps is told once a second; how it is in the end is told by the next poll. */
	say = link != e->link_told && e1000_is_past(e, e->link_said, e->env.tsc_hz);
	if (say) {
		e->link_said = e->link_checked;
		e->link_told = link;
	}
	spin_unlock(&e->lock);
	if (say)
		pr_info("%s: link %s\n", e->nic.name, link ? "up" : "down");
	if (changed && e->nic.link_changed)
		e->nic.link_changed(e->nic.user);
}

/* --- a device that hangs */

/* A frame has not been sent for too long: reset it. What was in the rings is lost. */
void e1000_recover(struct e1000 *e)
{
	if (atomic_exchange(&e->rx_busy, true))
		return; /* then by the next poll */
	spin_lock(&e->lock);
	if (!e->gone && e1000_hangs(e)) {
		e->counters.resets++;
		pr_warn("%s: has sent nothing for %d s: reset (number %llu)\n", e->nic.name,
			E1000_TX_SECONDS, (unsigned long long)e->counters.resets);
		if (e1000_reset(e) < 0)
			pr_err("%s: does not come out of its reset\n", e->nic.name);
		e1000_start(e);
	}
	spin_unlock(&e->lock);
	atomic_store(&e->rx_busy, false);
}
