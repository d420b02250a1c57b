/* SPDX-License-Identifier: BSD-2-Clause */
/* The rings of an e1000, and the frames that go through them. */
#include "drivers/e1000_private.h"
#include "lib/packet.h"
#include "lib/string.h"

#define LINK_CHECKS_HZ 10

#define RING_MASK      (E1000_RING - 1)
_Static_assert((E1000_RING & RING_MASK) == 0, "indices wrap by a mask");
_Static_assert(E1000_RING * sizeof(struct e1000_tx_desc) % 128 == 0,
	       "xDLEN is in units of 128 bytes");
_Static_assert(E1000_MAX_FRAME <= E1000_BUFFER, "a frame fits into a buffer");

/* --- receive */

static void give_to_device(struct e1000 *e, unsigned int i)
{
	e->rx_ring[i] = (struct e1000_rx_desc){ .address = (hpa_t)(uintptr_t)e->rx_buffer[i] };
}

/* The device gets all descriptors but one: a tail that has caught up with the head means that it has none. */
void e1000_start_receive(struct e1000 *e)
{
	hpa_t ring = (hpa_t)(uintptr_t)e->rx_ring;

	for (unsigned int i = 0; i < E1000_RING; i++)
		give_to_device(e, i);
	e->rx_next = 0;
	e->rx_skip = false;
	e1000_wr(e, E1000_RDBAL, lower_32(ring));
	e1000_wr(e, E1000_RDBAH, upper_32(ring));
	e1000_wr(e, E1000_RDLEN, E1000_RING * sizeof(struct e1000_rx_desc));
	e1000_wr(e, E1000_RDH, 0);
	e1000_wr(e, E1000_RDT, 0);
	e1000_wr(e, E1000_RCTL,
		 E1000_RCTL_EN | E1000_RCTL_UPE | E1000_RCTL_MPE | E1000_RCTL_BAM |
			 E1000_RCTL_SECRC);
	e1000_wr(e, E1000_RDT, E1000_RING - 1);
}

static bool is_good(const struct e1000 *e, u8 status, u8 errors, u16 len)
{
	return status & E1000_RXD_EOP && !e->rx_skip && !(errors & E1000_RXD_BROKEN) &&
	       len >= ETH_HEADER && len <= E1000_BUFFER;
}

/* Hand out what is there, @budget frames at most; returns how many descriptors that took. */
static unsigned int receive_some(struct e1000 *e, unsigned int budget)
{
	unsigned int done;

	for (done = 0; done < budget; done++) {
		unsigned int i = e->rx_next;
		volatile struct e1000_rx_desc *desc = &e->rx_ring[i];
		u8 status = desc->status;

		if (!(status & E1000_RXD_DD))
			break;
		/* The rest of the descriptor, and the frame, were written before its status. */
		atomic_thread_fence(memory_order_acquire);
		u16 len = desc->length;

		if (!is_good(e, status, desc->errors, len)) {
			e->counters.rx_broken++;
		} else {
			e->counters.received++;
			if (e->active && e->nic.receive)
				e->nic.receive(e->nic.user, e->rx_buffer[i], len);
		}
		e->rx_skip = !(status & E1000_RXD_EOP);
		give_to_device(e, i);
		e->rx_next = (i + 1) & RING_MASK;
	}
	if (done) {
		/* Descriptors before the tail. */
		atomic_thread_fence(memory_order_release);
		e1000_wr(e, E1000_RDT, (e->rx_next - 1) & RING_MASK);
	}
	return done;
}

/*
 * On any CPU. One at a time: who comes while another is at it leaves word first and looks second, the other
 * lets go first and looks for word second, so that no frame waits because both have gone.
 */
static void receive(struct e1000 *e, unsigned int budget)
{
	do {
		atomic_store(&e->rx_again, true);
		if (atomic_exchange(&e->rx_busy, true))
			return;
		atomic_store(&e->rx_again, false);
		unsigned int done = receive_some(e, budget);

		atomic_store(&e->rx_busy, false);
		budget -= done;
	} while (budget && atomic_load(&e->rx_again));
	/* There may be more: the next interrupt, which ITR keeps off for a moment, or the next poll. */
	if (!budget && e->active && e->causes && !e->gone)
		e1000_wr(e, E1000_ICS, e->rx_cause);
}

/* --- transmit */

void e1000_start_transmit(struct e1000 *e)
{
	hpa_t ring = (hpa_t)(uintptr_t)e->tx_ring;
	u32 keep = e1000_rd(e, E1000_TCTL) & E1000_TCTL_MULR;

	memset(e->tx_ring, 0, E1000_RING * sizeof(struct e1000_tx_desc));
	e->tx_head = e->tx_tail = 0;
	e->tx_since = e->env.now();
	e1000_wr(e, E1000_TDBAL, lower_32(ring));
	e1000_wr(e, E1000_TDBAH, upper_32(ring));
	e1000_wr(e, E1000_TDLEN, E1000_RING * sizeof(struct e1000_tx_desc));
	e1000_wr(e, E1000_TDH, 0);
	e1000_wr(e, E1000_TDT, 0);
	if (e->model->express)
		e1000_wr(e, E1000_TXDCTL,
			 e1000_rd(e, E1000_TXDCTL) | E1000_TXDCTL_COUNT_DESC | E1000_TXDCTL_GRAN);
	e1000_wr(e, E1000_TCTL,
		 keep | E1000_TCTL_EN | E1000_TCTL_PSP | E1000_TCTL_CT | E1000_TCTL_COLD);
}

static void reclaim(struct e1000 *e)
{
	unsigned int head = e->tx_head;

	while (e->tx_head != e->tx_tail) {
		volatile struct e1000_tx_desc *desc = &e->tx_ring[e->tx_head];

		if (!(desc->status & E1000_TXD_DD))
			break;
		e->counters.sent++;
		e->tx_head = (e->tx_head + 1) & RING_MASK;
	}
	if (e->tx_head != head)
		e->tx_since = e->env.now();
}

static void queue_frame(struct e1000 *e, const void *data, u32 len)
{
	unsigned int i = e->tx_tail;
	u32 padded = MAX(len, (u32)ETH_MIN_FRAME);

	memcpy(e->tx_buffer[i], data, len);
	memset(e->tx_buffer[i] + len, 0, padded - len);
	e->tx_ring[i] = (struct e1000_tx_desc){
		.address = (hpa_t)(uintptr_t)e->tx_buffer[i],
		.length = (u16)padded,
		.cmd = E1000_TXD_EOP | E1000_TXD_IFCS | E1000_TXD_RS,
	};
	if (e->tx_head == i)
		e->tx_since = e->env.now();
	e->tx_tail = (i + 1) & RING_MASK;
	/* Frame and descriptor before the tail. */
	atomic_thread_fence(memory_order_release);
	e1000_wr(e, E1000_TDT, e->tx_tail);
}

/*
 * A card without a user does not interrupt anybody for frames that nobody wants. It fills its ring once; those
 * frames are old when somebody comes, and are dropped: all, since it calls nobody back, even with locks held.
 */
static void activate(struct e1000 *e)
{
	if (e->active || !e->nic.receive)
		return;
	spin_lock(&e->lock);
	if (!e->active && !atomic_exchange(&e->rx_busy, true)) {
		(void)receive_some(e, E1000_RING);
		e->active = true;
		atomic_store(&e->rx_busy, false);
		if (e->causes)
			e1000_wr(e, E1000_IMS, e->causes);
	}
	spin_unlock(&e->lock);
}

bool e1000_transmit(void *driver, const void *data, u32 len)
{
	struct e1000 *e = driver;
	bool taken = false;

	if (!e->gone)
		activate(e); /* for the answer */
	spin_lock(&e->lock);
	if (!e->gone)
		reclaim(e);
	if (e->nic.link && !e->gone && len >= ETH_HEADER && len <= E1000_MAX_FRAME &&
	    ((e->tx_tail + 1) & RING_MASK) != e->tx_head) {
		queue_frame(e, data, len);
		taken = true;
	} else {
		e->counters.tx_refused++;
	}
	spin_unlock(&e->lock);
	return taken;
}

/* With the lock. */
bool e1000_hangs(struct e1000 *e)
{
	reclaim(e);
	return e->nic.link && e->tx_head != e->tx_tail &&
	       e1000_is_past(e, e->tx_since, E1000_TX_SECONDS * e->env.tsc_hz);
}

/* --- what the machine calls */

static void deactivate(struct e1000 *e)
{
	spin_lock(&e->lock);
	e->active = false;
	e1000_mask_interrupts(e);
	spin_unlock(&e->lock);
}

void e1000_poll(void *driver)
{
	struct e1000 *e = driver;
	bool hung, check;

	if (e->gone)
		return;
	activate(e);
	receive(e, E1000_RING);
	spin_lock(&e->lock);
	check = e1000_is_past(e, e->link_checked, e->env.tsc_hz / LINK_CHECKS_HZ);
	hung = e1000_hangs(e);
	spin_unlock(&e->lock);
	if (check || hung)
		e1000_check_link(e);
	if (hung)
		e1000_recover(e);
}

void e1000_irq(void *arg)
{
	struct e1000 *e = arg;
	u32 icr;

	if (e->gone)
		return;
	icr = e1000_rd(e, E1000_ICR);
	if (icr == E1000_ALL_ONES) {
		e1000_check_link(e);
		return;
	}
	/* Before the ring is looked at: a frame that comes later is an interrupt again. */
	if (e->msix)
		e1000_wr(e, E1000_ICR, icr);
	if (icr & E1000_INT_LSC)
		e1000_check_link(e);
	if (e->nic.receive)
		receive(e, E1000_RX_BUDGET);
	else
		deactivate(e);
}
