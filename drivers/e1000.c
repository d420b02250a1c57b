#include "drivers/e1000.h"

#include "drivers/pci.h"
#include "lib/errno.h"
#include "lib/packet.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"

#define ALL_ONES       0xffffffffU /* what is read from a device that is gone */
#define ITR_INTERVAL   195         /* 50 us */
#define MSIX_CONTROL   2           /* in the MSI-X capability */
#define MSIX_ENABLE    BIT(15)
#define LINK_CHECKS_HZ 10

#define RING_MASK      (E1000_RING - 1)
_Static_assert((E1000_RING & RING_MASK) == 0, "indices wrap by a mask");
_Static_assert(E1000_RING * sizeof(struct e1000_tx_desc) % 128 == 0,
	       "xDLEN is in units of 128 bytes");
_Static_assert(E1000_MAX_FRAME <= E1000_BUFFER, "a frame fits into a buffer");

struct e1000_model {
	u16 device;
	bool express;  /* a PCI Express device, of the 82574 family */
	u8 eerd_shift; /* of the word's address in EERD */
	u8 eerd_done;  /* EERD's bit that says so */
	const char *name;
};

static const struct e1000_model models[] = {
	{ 0x100e, false, 8, 4, "82540EM" }, { 0x1015, false, 8, 4, "82540EM" },
	{ 0x1016, false, 8, 4, "82540EP" }, { 0x1017, false, 8, 4, "82540EP" },
	{ 0x101e, false, 8, 4, "82540EP" }, { 0x100f, false, 8, 4, "82545EM" },
	{ 0x1026, false, 8, 4, "82545GM" }, { 0x10d3, true, 2, 1, "82574L" },
	{ 0x10f6, true, 2, 1, "82574LA" },  { 0x150c, true, 2, 1, "82583V" },
};

static u32 reg_read(struct e1000 *e, u32 reg)
{
	return e->regs.read(e->regs.chip, reg);
}

static void reg_write(struct e1000 *e, u32 reg, u64 value)
{
	e->regs.write(e->regs.chip, reg, (u32)value);
}

/* --- time */

static bool is_past(struct e1000 *e, u64 since, u64 ticks)
{
	/* Another CPU's TSC may be a little behind. */
	return (s64)(e->env.now() - since) > (s64)ticks;
}

static void delay_us(struct e1000 *e, u64 us)
{
	u64 start = e->env.now();

	while (!is_past(e, start, e->env.tsc_hz / 1000000 * us))
		__asm__ volatile("pause");
}

/* Until @reg has @bits as in @value, for @us at most. */
static bool wait_for(struct e1000 *e, u32 reg, u64 bits, u64 value, u64 us)
{
	u64 start = e->env.now();

	while ((reg_read(e, reg) & bits) != value) {
		if (is_past(e, start, e->env.tsc_hz / 1000000 * us))
			return false;
		__asm__ volatile("pause");
	}
	return true;
}

/* --- reset and start; nobody else uses the device meanwhile */

static void mask_interrupts(struct e1000 *e)
{
	reg_write(e, E1000_IMC, ALL_ONES);
	(void)reg_read(e, E1000_ICR);
}

/*
 * "General Initialization": everything off, reset, and until the EEPROM has been read again. Some emulated
 * cards only pretend: what is relied upon is written by start.
 */
static int reset(struct e1000 *e)
{
	mask_interrupts(e);
	reg_write(e, E1000_RCTL, 0);
	reg_write(e, E1000_TCTL, E1000_TCTL_PSP);
	if (e->model->express) {
		/* "Master Disable": no DMA is under way when it is reset. If some stays, so be it. */
		reg_write(e, E1000_CTRL, reg_read(e, E1000_CTRL) | E1000_CTRL_GIO_MASTER_DISABLE);
		(void)wait_for(e, E1000_STATUS, E1000_STATUS_GIO_MASTER, 0, 10000);
	}
	reg_write(e, E1000_CTRL, reg_read(e, E1000_CTRL) | E1000_CTRL_RST);
	delay_us(e, 1000);
	if (!wait_for(e, E1000_CTRL, E1000_CTRL_RST, 0, 20000))
		return -EIO;
	delay_us(e, 5000);
	mask_interrupts(e);
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

static void give_to_device(struct e1000 *e, unsigned int i)
{
	e->rx_ring[i] = (struct e1000_rx_desc){ .address = (hpa_t)(uintptr_t)e->rx_buffer[i] };
}

/* The device gets all descriptors but one: a tail that has caught up with the head means that it has none. */
static void start_receive(struct e1000 *e)
{
	hpa_t ring = (hpa_t)(uintptr_t)e->rx_ring;

	for (unsigned int i = 0; i < E1000_RING; i++)
		give_to_device(e, i);
	e->rx_next = 0;
	e->rx_skip = false;
	reg_write(e, E1000_RDBAL, lower_32(ring));
	reg_write(e, E1000_RDBAH, upper_32(ring));
	reg_write(e, E1000_RDLEN, E1000_RING * sizeof(struct e1000_rx_desc));
	reg_write(e, E1000_RDH, 0);
	reg_write(e, E1000_RDT, 0);
	reg_write(e, E1000_RCTL,
		  E1000_RCTL_EN | E1000_RCTL_UPE | E1000_RCTL_MPE | E1000_RCTL_BAM |
			  E1000_RCTL_SECRC);
	reg_write(e, E1000_RDT, E1000_RING - 1);
}

static void start_transmit(struct e1000 *e)
{
	hpa_t ring = (hpa_t)(uintptr_t)e->tx_ring;
	u32 keep = reg_read(e, E1000_TCTL) & E1000_TCTL_MULR;

	memset(e->tx_ring, 0, E1000_RING * sizeof(struct e1000_tx_desc));
	e->tx_head = e->tx_tail = 0;
	e->tx_since = e->env.now();
	reg_write(e, E1000_TDBAL, lower_32(ring));
	reg_write(e, E1000_TDBAH, upper_32(ring));
	reg_write(e, E1000_TDLEN, E1000_RING * sizeof(struct e1000_tx_desc));
	reg_write(e, E1000_TDH, 0);
	reg_write(e, E1000_TDT, 0);
	if (e->model->express)
		reg_write(e, E1000_TXDCTL,
			  reg_read(e, E1000_TXDCTL) | E1000_TXDCTL_COUNT_DESC | E1000_TXDCTL_GRAN);
	reg_write(e, E1000_TCTL,
		  keep | E1000_TCTL_EN | E1000_TCTL_PSP | E1000_TCTL_CT | E1000_TCTL_COLD);
}

/* In MSI-X mode everything is entry 0's. Frames that were sent interrupt nobody. */
static void start_interrupts(struct e1000 *e)
{
	if (e->msix) {
		reg_write(e, E1000_CTRL_EXT,
			  (reg_read(e, E1000_CTRL_EXT) & ~E1000_CTRL_EXT_IAME) |
				  E1000_CTRL_EXT_PBA);
		reg_write(e, E1000_IVAR,
			  E1000_IVAR_VALID << E1000_IVAR_RXQ0_SHIFT |
				  E1000_IVAR_VALID << E1000_IVAR_TXQ0_SHIFT |
				  E1000_IVAR_VALID << E1000_IVAR_OTHER_SHIFT);
		reg_write(e, E1000_EITR0, ITR_INTERVAL);
	}
	if (e->active && e->causes)
		reg_write(e, E1000_IMS, e->causes);
}

static void start(struct e1000 *e)
{
	const u8 *mac = e->nic.mac;
	u64 ctrl = reg_read(e, E1000_CTRL);

	ctrl &= ~(E1000_CTRL_GIO_MASTER_DISABLE | E1000_CTRL_LRST | E1000_CTRL_ILOS |
		  E1000_CTRL_FRCSPD | E1000_CTRL_FRCDPLX | E1000_CTRL_RFCE | E1000_CTRL_TFCE |
		  E1000_CTRL_VME | E1000_CTRL_PHY_RST);
	reg_write(e, E1000_CTRL, ctrl | E1000_CTRL_SLU | E1000_CTRL_ASDE);
	for (size_t i = 0; i < ARRAY_SIZE(start_values); i++)
		reg_write(e, start_values[i].reg, start_values[i].value);
	reg_write(e, E1000_RAL0,
		  (u32)mac[0] | (u32)mac[1] << 8 | (u32)mac[2] << 16 | (u32)mac[3] << 24);
	reg_write(e, E1000_RAH0, (u32)mac[4] | (u32)mac[5] << 8 | E1000_RAH_AV);
	start_transmit(e);
	start_receive(e);
	start_interrupts(e);
}

/* --- the link */

static bool read_link(struct e1000 *e)
{
	u32 status = reg_read(e, E1000_STATUS);

	if (status == ALL_ONES) {
		if (!atomic_exchange(&e->gone, true))
			pr_err("%s: the device is gone\n", e->nic.name);
		return false;
	}
	return status & E1000_STATUS_LU;
}

static void check_link(struct e1000 *e)
{
	bool changed, say;

	spin_lock(&e->lock);
	bool link = !e->gone && read_link(e);

	changed = link != e->nic.link;
	e->nic.link = link;
	e->link_checked = e->env.now();
	if (changed) /* what was waiting for the link has not been hanging */
		e->tx_since = e->link_checked;
	/* A link that flaps is told once a second; how it is in the end is told by the next poll. */
	say = link != e->link_told && is_past(e, e->link_said, e->env.tsc_hz);
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

/* --- receive */

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
		reg_write(e, E1000_RDT, (e->rx_next - 1) & RING_MASK);
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
		reg_write(e, E1000_ICS, e->rx_cause);
}

/* --- transmit */

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
	reg_write(e, E1000_TDT, e->tx_tail);
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
			reg_write(e, E1000_IMS, e->causes);
	}
	spin_unlock(&e->lock);
}

static bool e1000_transmit(void *driver, const void *data, u32 len)
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
static bool hangs(struct e1000 *e)
{
	reclaim(e);
	return e->nic.link && e->tx_head != e->tx_tail &&
	       is_past(e, e->tx_since, E1000_TX_SECONDS * e->env.tsc_hz);
}

/* A frame has not been sent for too long: reset it. What was in the rings is lost. */
static void recover(struct e1000 *e)
{
	if (atomic_exchange(&e->rx_busy, true))
		return; /* then by the next poll */
	spin_lock(&e->lock);
	if (!e->gone && hangs(e)) {
		e->counters.resets++;
		pr_warn("%s: has sent nothing for %d s: reset (number %llu)\n", e->nic.name,
			E1000_TX_SECONDS, (unsigned long long)e->counters.resets);
		if (reset(e) < 0)
			pr_err("%s: does not come out of its reset\n", e->nic.name);
		start(e);
	}
	spin_unlock(&e->lock);
	atomic_store(&e->rx_busy, false);
}

/* --- what the machine calls */

static void deactivate(struct e1000 *e)
{
	spin_lock(&e->lock);
	e->active = false;
	mask_interrupts(e);
	spin_unlock(&e->lock);
}

static void e1000_poll(void *driver)
{
	struct e1000 *e = driver;
	bool hung, check;

	if (e->gone)
		return;
	activate(e);
	receive(e, E1000_RING);
	spin_lock(&e->lock);
	check = is_past(e, e->link_checked, e->env.tsc_hz / LINK_CHECKS_HZ);
	hung = hangs(e);
	spin_unlock(&e->lock);
	if (check || hung)
		check_link(e);
	if (hung)
		recover(e);
}

static void e1000_irq(void *arg)
{
	struct e1000 *e = arg;
	u32 icr;

	if (e->gone)
		return;
	icr = reg_read(e, E1000_ICR);
	if (icr == ALL_ONES) {
		check_link(e);
		return;
	}
	/* Before the ring is looked at: a frame that comes later is an interrupt again. */
	if (e->msix)
		reg_write(e, E1000_ICR, icr);
	if (icr & E1000_INT_LSC)
		check_link(e);
	if (e->nic.receive)
		receive(e, E1000_RX_BUDGET);
	else
		deactivate(e);
}

/* --- set-up */

static bool is_station_address(const u8 *mac)
{
	u8 any = 0;

	for (int i = 0; i < ETH_ALEN; i++)
		any |= mac[i];
	return any && !(mac[0] & 1);
}

static bool mac_from_registers(struct e1000 *e)
{
	u32 low = reg_read(e, E1000_RAL0), high = reg_read(e, E1000_RAH0);

	for (int i = 0; i < 4; i++)
		e->nic.mac[i] = (u8)(low >> 8 * i);
	e->nic.mac[4] = (u8)high;
	e->nic.mac[5] = (u8)(high >> 8);
	return high & E1000_RAH_AV && is_station_address(e->nic.mac);
}

static bool mac_from_eeprom(struct e1000 *e)
{
	const struct e1000_model *m = e->model;

	for (u32 word = 0; word < 3; word++) {
		reg_write(e, E1000_EERD, word << m->eerd_shift | E1000_EERD_START);
		if (!wait_for(e, E1000_EERD, BIT(m->eerd_done), BIT(m->eerd_done), 10000))
			return false;
		u32 value = reg_read(e, E1000_EERD) >> E1000_EERD_DATA_SHIFT;

		e->nic.mac[2 * word] = (u8)value;
		e->nic.mac[2 * word + 1] = (u8)(value >> 8);
	}
	return is_station_address(e->nic.mac);
}

static bool phy_access(struct e1000 *e, u64 command)
{
	reg_write(e, E1000_MDIC, command | PHY_CONTROL << E1000_MDIC_REG_SHIFT | E1000_MDIC_PHY);
	return wait_for(e, E1000_MDIC, E1000_MDIC_READY, E1000_MDIC_READY, 10000) &&
	       !(reg_read(e, E1000_MDIC) & E1000_MDIC_ERROR);
}

/* A firmware or system before us may have put the PHY to sleep; a reset of the controller does not wake it. */
static void wake_phy(struct e1000 *e)
{
	if (phy_access(e, E1000_MDIC_READ) && reg_read(e, E1000_MDIC) & PHY_CONTROL_POWER_DOWN)
		(void)phy_access(e, E1000_MDIC_WRITE | PHY_CONTROL_AUTONEG | PHY_CONTROL_RESTART);
}

static bool get_memory(struct e1000 *e)
{
	e->tx_ring = e->env.dma_alloc(E1000_RING * sizeof(struct e1000_tx_desc));
	e->rx_ring = e->env.dma_alloc(E1000_RING * sizeof(struct e1000_rx_desc));
	e->tx_buffer = e->env.dma_alloc(E1000_RING * E1000_BUFFER);
	e->rx_buffer = e->env.dma_alloc(E1000_RING * E1000_BUFFER);
	return e->tx_ring && e->rx_ring && e->tx_buffer && e->rx_buffer;
}

/* Which way the interrupts come is the machine's choice; the device's registers tell MSI-X from the rest. */
static const char *get_interrupts(struct e1000 *e, const struct pci_device *pci)
{
	if (e->env.irq(pci, 0, e1000_irq, e) < 0)
		return "polled";
	e->msix = pci->msix && pci_read16(pci, (u16)(pci->msix + MSIX_CONTROL)) & MSIX_ENABLE;
	e->rx_cause = e->msix ? E1000_INT_RXQ0 : E1000_INT_RXT0;
	e->causes = E1000_INT_LSC | (e->msix ? E1000_INT_RXQ0 | E1000_INT_OTHER
					     : E1000_INT_RXT0 | E1000_INT_RXDMT0 | E1000_INT_RXO);
	return e->msix ? "MSI-X" : "interrupts";
}

static int no_memory(const struct pci_device *pci)
{
	char at[16];

	pr_err("e1000 %s: no memory for its rings and buffers\n", pci_name(pci, at, sizeof(at)));
	return -ENOMEM;
}

static const struct e1000_model *find_model(const struct pci_device *pci)
{
	for (size_t i = 0; pci->vendor == 0x8086 && i < ARRAY_SIZE(models); i++) {
		if (models[i].device == pci->device)
			return &models[i];
	}
	return NULL;
}

static int bring_up(struct e1000 *e)
{
	if (reg_read(e, E1000_STATUS) == ALL_ONES || reset(e) < 0) {
		pr_err("%s: does not answer\n", e->nic.name);
		return -EIO;
	}
	if (!mac_from_registers(e) && !mac_from_eeprom(e)) {
		pr_err("%s: has no MAC address, neither in RAL and RAH nor in its EEPROM\n",
		       e->nic.name);
		return -EIO;
	}
	wake_phy(e);
	return 0;
}

int e1000_attach(const struct pci_device *pci, const struct hostdev_env *env,
		 struct e1000_regs regs)
{
	const struct e1000_model *model = find_model(pci);
	struct e1000 *e = model ? env->dma_alloc(sizeof(struct e1000)) : NULL;
	const char *how;
	char at[16];
	int err;

	if (!e)
		return model ? no_memory(pci) : -ENODEV;
	e->env = *env;
	e->regs = regs;
	e->model = model;
	scnprintf(e->nic.name, sizeof(e->nic.name), "e1000 %s", pci_name(pci, at, sizeof(at)));
	e->nic.mtu = ETH_MTU;
	e->nic.driver = e;
	e->nic.transmit = e1000_transmit;
	e->nic.poll = e1000_poll;
	pci_enable(pci, true);
	err = bring_up(e);
	if (err < 0)
		return err;
	if (!get_memory(e))
		return no_memory(pci);
	how = get_interrupts(e, pci);
	spin_lock(&e->lock);
	start(e);
	e->nic.link = e->link_told = read_link(e);
	e->link_checked = env->now();
	spin_unlock(&e->lock);
	pr_info("%s: %s, %02x:%02x:%02x:%02x:%02x:%02x, %s, link %s\n", e->nic.name, e->model->name,
		e->nic.mac[0], e->nic.mac[1], e->nic.mac[2], e->nic.mac[3], e->nic.mac[4],
		e->nic.mac[5], how, e->nic.link ? "up" : "down");
	env->add_nic(&e->nic);
	return 0;
}

static u32 mmio_read(void *chip, u32 reg)
{
	return *(volatile u32 *)((u8 *)chip + reg);
}

static void mmio_write(void *chip, u32 reg, u32 value)
{
	*(volatile u32 *)((u8 *)chip + reg) = value;
}

int e1000_probe(const struct pci_device *pci, const struct hostdev_env *env)
{
	const struct pci_bar *bar = &pci->bar[0];
	struct e1000_regs regs = { mmio_read, mmio_write, NULL };
	char at[16];

	pci_name(pci, at, sizeof(at));
	if (!find_model(pci)) {
		pr_warn("e1000 %s: %04x:%04x is no card that this driver knows: left alone\n", at,
			pci->vendor, pci->device);
		pci_silence(pci);
		return -ENODEV;
	}
	if (!bar->base || bar->io || bar->size < E1000_BAR_SIZE) {
		pr_err("e1000 %s: its registers are nowhere in memory\n", at);
		return -EIO;
	}
	regs.chip = env->map(bar->base, E1000_BAR_SIZE);
	if (!regs.chip)
		return -ENOMEM;
	return e1000_attach(pci, env, regs);
}
