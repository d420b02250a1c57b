/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of Intel's network cards it is, its MAC address and PHY, memory and interrupts: until it runs and is shown. */
#include "drivers/e1000_private.h"
#include "drivers/pci.h"
#include "lib/errno.h"
#include "lib/packet.h"
#include "lib/print.h"
#include "lib/printk.h"

#define MSIX_CONTROL 2 /* in the MSI-X capability */
#define MSIX_ENABLE  BIT(15)

static const struct e1000_model models[] = {
	{ 0x100e, false, 8, 4, "82540EM" }, { 0x1015, false, 8, 4, "82540EM" },
	{ 0x1016, false, 8, 4, "82540EP" }, { 0x1017, false, 8, 4, "82540EP" },
	{ 0x101e, false, 8, 4, "82540EP" }, { 0x100f, false, 8, 4, "82545EM" },
	{ 0x1026, false, 8, 4, "82545GM" }, { 0x10d3, true, 2, 1, "82574L" },
	{ 0x10f6, true, 2, 1, "82574LA" },  { 0x150c, true, 2, 1, "82583V" },
};

static bool is_station_address(const u8 *mac)
{
	u8 any = 0;

	for (int i = 0; i < ETH_ALEN; i++)
		any |= mac[i];
	return any && !(mac[0] & 1);
}

static bool mac_from_registers(struct e1000 *e)
{
	u32 low = e1000_rd(e, E1000_RAL0), high = e1000_rd(e, E1000_RAH0);

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
		e1000_wr(e, E1000_EERD, word << m->eerd_shift | E1000_EERD_START);
		if (!e1000_wait_for(e, E1000_EERD, BIT(m->eerd_done), BIT(m->eerd_done), 10000))
			return false;
		u32 value = e1000_rd(e, E1000_EERD) >> E1000_EERD_DATA_SHIFT;

		e->nic.mac[2 * word] = (u8)value;
		e->nic.mac[2 * word + 1] = (u8)(value >> 8);
	}
	return is_station_address(e->nic.mac);
}

static bool phy_access(struct e1000 *e, u64 command)
{
	e1000_wr(e, E1000_MDIC, command | PHY_CONTROL << E1000_MDIC_REG_SHIFT | E1000_MDIC_PHY);
	return e1000_wait_for(e, E1000_MDIC, E1000_MDIC_READY, E1000_MDIC_READY, 10000) &&
	       !(e1000_rd(e, E1000_MDIC) & E1000_MDIC_ERROR);
}

/* A firmware or system before us may have put the PHY to sleep; a reset of the controller does not wake it. */
static void wake_phy(struct e1000 *e)
{
	if (phy_access(e, E1000_MDIC_READ) && e1000_rd(e, E1000_MDIC) & PHY_CONTROL_POWER_DOWN)
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
	if (e1000_rd(e, E1000_STATUS) == E1000_ALL_ONES || e1000_reset(e) < 0) {
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
	e1000_start(e);
	e->nic.link = e->link_told = e1000_read_link(e);
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
