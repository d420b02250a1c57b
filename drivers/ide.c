/* SPDX-License-Identifier: BSD-2-Clause */
#include "drivers/ide_private.h"
#include "drivers/pci.h"
#include "lib/errno.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/x86.h"

/* Of the class's programming interface. */
#define PROG_IF_NATIVE(channel) (1u << 2 * (channel))
#define PROG_IF_MASTER          0x80u

#define MASTER_PORTS            8 /* of each channel */
#define CMD_IDENTIFY            0xec
#define IDENTIFY_WORDS          256
#define IDENTIFY_MS             2000
#define SETTLE_READS            16

/* Words of IDENTIFY DEVICE's answer. */
enum {
	ID_GENERAL = 0, /* bit 15: it is no ATA device */
	ID_SERIAL = 10,
	ID_MODEL = 27,
	ID_CAPS = 49, /* bit 8: DMA, bit 9: LBA */
	ID_SECTORS_28 = 60,
	ID_COMMANDS =
		83, /* bit 10: 48-bit addresses, bit 12: FLUSH CACHE, bit 13: FLUSH CACHE EXT */
	ID_SECTORS_48 = 100,
	ID_SECTOR_SIZE = 106, /* valid if bits 15:14 are 01 */
	ID_LOGICAL_WORDS = 117,
};

#define ID_CAPS_DMA_LBA    0x0300
#define ID_COMMANDS_LBA48  0x0400
#define ID_COMMANDS_FLUSH  0x1000
#define ID_COMMANDS_FLUSHX 0x2000
#define ID_VALID_MASK      0xc000
#define ID_VALID           0x4000
#define ID_SIZE_LOGICAL    0x1000 /* a logical sector is larger than 512 bytes */
#define ID_SIZE_PHYSICAL   0x2000 /* 2^(bits 3:0) of them are a physical one */

static u8 port_read8(u16 port)
{
	return inb(port);
}

static u16 port_read16(u16 port)
{
	return inw(port);
}

static void port_write8(u16 port, u8 value)
{
	outb(port, value);
}

static void port_write32(u16 port, u32 value)
{
	outl(port, value);
}

static const struct ide_ports real_ports = { port_read8, port_read16, port_write8, port_write32 };
const struct ide_ports *ide_ports = &real_ports;

static unsigned int nr_channels; /* for names: ide0.0 is the first drive of the first one */

void ide_use_ports(const struct ide_ports *ports)
{
	ide_ports = ports;
	nr_channels = 0;
}

static u8 status_of(const struct ide_channel *ch)
{
	return ide_ports->read8(ch->control);
}

/* The status once the drive is not busy any more; IDE_ABSENT if that takes too long. */
static u8 wait_ready(const struct ide_channel *ch)
{
	u64 end = ch->env->now() + IDENTIFY_MS * ch->env->tsc_hz / 1000;
	u8 status;

	do {
		status = status_of(ch);
		if (!(status & IDE_STATUS_BSY))
			return status;
	} while (ch->env->now() < end && status != IDE_ABSENT);
	return IDE_ABSENT;
}

/* Ask drive @index who it is. False: it is not there, or no ATA device. */
static bool identify(const struct ide_channel *ch, unsigned int index, u16 *id)
{
	u8 status;

	ide_ports->write8((u16)(ch->command + IDE_DEVICE),
			  (u8)(IDE_DEVICE_FIXED | (index ? IDE_DEVICE_1 : 0)));
	for (unsigned int i = 0; i < SETTLE_READS; i++)
		status_of(ch);
	status = wait_ready(ch);
	if (status == IDE_ABSENT || !status)
		return false;
	ide_ports->write8((u16)(ch->command + IDE_STATUS), CMD_IDENTIFY);
	for (unsigned int i = 0; i < SETTLE_READS; i++)
		status_of(ch);
	status = wait_ready(ch);
	if (status == IDE_ABSENT || (status & (IDE_STATUS_ERR | IDE_STATUS_DF)) ||
	    !(status & IDE_STATUS_DRQ))
		return false;
	for (unsigned int i = 0; i < IDENTIFY_WORDS; i++)
		id[i] = ide_ports->read16((u16)(ch->command + IDE_DATA));
	ide_ports->read8((u16)(ch->command + IDE_STATUS));
	return !(id[ID_GENERAL] & 0x8000);
}

/* Text is in words, the first character in the upper byte, padded with blanks. */
static void copy_text(char *text, size_t max, const u16 *words)
{
	size_t len = 0;

	for (size_t i = 0; i < max; i++) {
		char c = (char)(i & 1 ? words[i / 2] : words[i / 2] >> 8);

		text[i] = c >= ' ' && c < 0x7f ? c : ' ';
		if (text[i] != ' ')
			len = i + 1;
	}
	text[len] = 0;
}

static u32 two_words(const u16 *words)
{
	return (u32)words[1] << 16 | words[0];
}

/* The block sizes that @id tells; false where they are none that anybody here can deal with. */
static bool block_sizes(struct block_device *dev, const u16 *id)
{
	u16 size = id[ID_SECTOR_SIZE];
	u64 logical = BLOCK_SECTOR, physical;

	if ((size & ID_VALID_MASK) != ID_VALID)
		size = 0;
	if (size & ID_SIZE_LOGICAL)
		logical = 2ULL * two_words(&id[ID_LOGICAL_WORDS]);
	physical = size & ID_SIZE_PHYSICAL ? logical << (size & 0xf) : logical;
	dev->block_size = (u32)logical;
	dev->physical_block_size = (u32)physical;
	return logical >= BLOCK_SECTOR && logical <= 4096 && !(logical & (logical - 1)) &&
	       physical <= MIB(1);
}

static bool describe(struct ide_drive *drive, const u16 *id)
{
	struct block_device *dev = &drive->dev;
	bool valid = (id[ID_COMMANDS] & ID_VALID_MASK) == ID_VALID;
	u16 commands = valid ? id[ID_COMMANDS] : 0;
	u64 blocks = two_words(&id[ID_SECTORS_28]);

	copy_text(dev->serial, BLOCK_SERIAL_LEN, &id[ID_SERIAL]);
	copy_text(dev->model, BLOCK_MODEL_LEN, &id[ID_MODEL]);
	if ((id[ID_CAPS] & ID_CAPS_DMA_LBA) != ID_CAPS_DMA_LBA || !block_sizes(dev, id))
		return false;
	drive->lba48 = commands & ID_COMMANDS_LBA48;
	drive->flush_ext = drive->lba48 && (commands & ID_COMMANDS_FLUSHX);
	if (drive->lba48)
		blocks = make_64(two_words(&id[ID_SECTORS_48 + 2]), two_words(&id[ID_SECTORS_48]));
	else if (blocks > BIT(28))
		return false;
	if (!blocks || blocks > BIT(48))
		return false;
	dev->sectors = blocks * (dev->block_size / BLOCK_SECTOR);
	dev->max_sectors = drive->lba48 ? IDE_SECTORS_48 : IDE_SECTORS_28;
	dev->write_cache = drive->flush_ext || (commands & ID_COMMANDS_FLUSH);
	return true;
}

static void probe_drive(struct ide_channel *ch, unsigned int index)
{
	struct ide_drive *drive = &ch->drive[index];
	u16 id[IDENTIFY_WORDS];

	drive->channel = ch;
	drive->index = index;
	if (!identify(ch, index, id))
		return;
	drive->dev.ctx = drive;
	scnprintf(drive->dev.name, sizeof(drive->dev.name), "ide%u.%u", nr_channels, index);
	if (!describe(drive, id)) {
		pr_warn("disk: %s: %s: no DMA, or a size that makes no sense: not used\n",
			drive->dev.name, drive->dev.model);
		return;
	}
	drive->dev.ops = &ide_block_ops;
}

/* Drives by polling, then its interrupt, then others may know of it. */
static void start_channel(struct ide_channel *ch, const struct pci_device *pci,
			  unsigned int isa_irq)
{
	const struct hostdev_env *env = ch->env;

	ide_ports->write8(ch->control, IDE_CONTROL_NIEN);
	for (unsigned int i = 0; i < 2; i++)
		probe_drive(ch, i);
	nr_channels++;
	if (!ch->drive[0].dev.ops && !ch->drive[1].dev.ops)
		return;
	if (isa_irq ? env->isa_irq(isa_irq, ide_channel_irq, ch)
		    : env->irq(pci, 0, ide_channel_irq, ch))
		pr_warn("disk: %s: no interrupt: it is polled\n", ch->drive[0].dev.name);
	ide_ports->write8(ch->control, 0);
	for (unsigned int i = 0; i < 2; i++) {
		if (ch->drive[i].dev.ops)
			env->add_disk(&ch->drive[i].dev);
	}
}

/* The ports of channel @n; false: in native mode, and not placed. */
static bool find_ports(struct ide_channel *ch, const struct pci_device *pci, unsigned int n)
{
	static const u16 compatible[] = { 0x1f0, 0x170 };
	const struct pci_bar *command = &pci->bar[2 * n], *control = &pci->bar[2 * n + 1];

	ch->master = (u16)(pci->bar[4].base + n * MASTER_PORTS);
	if (!(pci->class & PROG_IF_NATIVE(n))) {
		ch->command = compatible[n];
		ch->control = (u16)(compatible[n] + 0x206);
		return true;
	}
	ch->command = (u16)command->base;
	ch->control = (u16)(control->base + 2);
	return command->io && command->base && control->io && control->base;
}

int ide_probe(const struct pci_device *pci, const struct hostdev_env *env)
{
	static const unsigned int isa_irqs[] = { 14, 15 };
	char name[16];

	pci_name(pci, name, sizeof(name));
	if (!(pci->class & PROG_IF_MASTER) || !pci->bar[4].io || !pci->bar[4].base) {
		pr_warn("pci: %s: an IDE controller without bus-master DMA: not used\n", name);
		return -ENODEV;
	}
	pci_enable(pci, true);
	for (unsigned int n = 0; n < 2; n++) {
		struct ide_channel *ch = env->dma_alloc(sizeof(*ch));

		if (!ch)
			return -ENOMEM;
		ch->env = env;
		ch->prd = env->dma_alloc(IDE_PRDS * sizeof(*ch->prd));
		if (!ch->prd)
			return -ENOMEM;
		if (find_ports(ch, pci, n))
			start_channel(ch, pci, pci->class & PROG_IF_NATIVE(n) ? 0 : isa_irqs[n]);
	}
	return 0;
}
