/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: a virtio device over PCI lives as the specification says, and as nothing else. */
#include "tests/unit/fake_virtio.h"
#include "virtio/virtio_pci.h"

#define COMMON  0x000
#define ISR     0x100
#define NOTIFY  0x200
#define DEVICE  0x400
#define FEATURE BIT(5) /* of the test's device */
#define DATA    0x20000ULL

static struct virtio_device dev;
static struct virtio_pci vp;
static struct virtqueue queues[2];
static struct driver_queue driver[2];
static u8 config[6];
static struct {
	unsigned int starts, resets, kicks, kicked, writes;
} seen;

static void on_start(void *ctx)
{
	assert_ptr_equal(ctx, &seen);
	seen.starts++;
}

static void on_reset(void *ctx)
{
	assert_ptr_equal(ctx, &seen);
	seen.resets++;
}

static void on_kick(void *ctx, unsigned int queue)
{
	assert_ptr_equal(ctx, &seen);
	assert_true(queue < 2);
	seen.kicks++;
	seen.kicked = queue;
}

static void on_config_write(void *ctx, u32 off, u8 size, u32 value)
{
	assert_ptr_equal(ctx, &seen);
	assert_true(off + size <= sizeof(config));
	memcpy(config + off, &value, size);
	seen.writes++;
}

static const struct virtio_ops ops = { on_start, on_reset, on_kick, on_config_write };
static const u16 sizes[] = { 16, 8 };
static const struct virtio_type type = { 42, 0x00ff00, &ops, 2, sizes };

static int setup(void **state)
{
	(void)state;
	fake_virtio_start();
	memset(&seen, 0, sizeof(seen));
	virtio_init(&dev, &type, &fake_host, &seen, queues, FEATURE);
	memcpy(config, "\1\2\3\4\5\6", 6);
	dev.config = config;
	dev.config_size = sizeof(config);
	virtio_pci_init(&vp, &dev);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_virtio_stop();
	return 0;
}

static u64 get(u64 off, u8 size)
{
	u64 value = virtio_pci_register_mmio.read(&vp, off, size);

	return size < 8 ? value & (BIT(8 * size) - 1) : value;
}

static void put(u64 off, u8 size, u64 value)
{
	virtio_pci_register_mmio.write(&vp, off, size, value);
}

static u8 device_status(void)
{
	return (u8)get(20, 1);
}

static void add_status(u8 bit)
{
	put(20, 1, (u64)device_status() | bit);
}

static void accept_features(u64 features)
{
	put(8, 4, 0);
	put(12, 4, (u32)features);
	put(8, 4, 1);
	put(12, 4, features >> 32);
}

static void set_up_queue(u16 index, u16 size)
{
	struct driver_queue *d = &driver[index];

	driver_queue_init(d, 0x1000 + 0x8000ULL * index, size);
	put(22, 2, index);
	put(24, 2, size);
	put(32, 4, d->desc);
	put(36, 4, 0);
	put(40, 8, d->avail);
	put(48, 8, d->used);
	put(28, 2, 1);
}

/* As a driver does it, up to DRIVER_OK. */
static void bring_up(u64 features)
{
	put(20, 1, 0);
	add_status(VIRTIO_ACKNOWLEDGE);
	add_status(VIRTIO_DRIVER);
	accept_features(features | VIRTIO_F_VERSION_1);
	add_status(VIRTIO_FEATURES_OK);
	assert_int_equal(device_status(), 0x0b);
	set_up_queue(0, 16);
	set_up_queue(1, 8);
	add_status(VIRTIO_DRIVER_OK);
	assert_int_equal(device_status(), 0x0f);
}

static u32 config_get(u8 reg, u8 size)
{
	return virtio_pci_config_read(&vp, reg, size);
}

/* The @n-th vendor capability of @cfg_type, or 0. */
static u8 find_cap(u8 cfg_type, unsigned int n)
{
	for (u8 at = (u8)config_get(PCI_CAPABILITIES, 1); at; at = (u8)config_get(at + 1, 1)) {
		if (config_get(at, 1) == PCI_CAP_VENDOR && config_get(at + 3, 1) == cfg_type &&
		    !n--)
			return at;
	}
	return 0;
}

static u8 find_msix(void)
{
	u8 at = (u8)config_get(PCI_CAPABILITIES, 1);

	while (at && config_get(at, 1) != PCI_CAP_MSIX)
		at = (u8)config_get(at + 1, 1);
	return at;
}

/* Claim: the IDs are a modern device's, and each structure is where a capability says, within its BAR. */
static void capabilities(void **state)
{
	static const struct {
		u8 type, n, bar;
		u32 offset, length;
	} caps[] = {
		{ 1, 0, 1, COMMON, 56 }, { 2, 0, 0, 0, 2 },      { 2, 1, 1, NOTIFY, 8 },
		{ 3, 0, 1, ISR, 1 },     { 4, 0, 1, DEVICE, 6 }, { 5, 0, 0, 0, 0 },
	};

	(void)state;
	assert_int_equal(config_get(0, 4), 0x106a1af4);
	assert_int_equal(config_get(8, 4), 0x00ff0001);
	assert_int_equal(config_get(PCI_INTERRUPT_PIN, 1), 1);
	for (unsigned int i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		u8 at = find_cap(caps[i].type, caps[i].n);

		assert_true(at);
		assert_true(config_get(at + 2, 1) >= 16);
		assert_int_equal(config_get(at + 4, 1), caps[i].bar);
		assert_int_equal(config_get(at + 8, 4), caps[i].offset);
		assert_int_equal(config_get(at + 12, 4), caps[i].length);
		assert_true(caps[i].offset + caps[i].length <= vp.pci.bar_size[caps[i].bar]);
	}
	assert_int_equal(config_get(find_cap(2, 0) + 16, 4), 0);
	assert_int_equal(config_get(find_cap(2, 1) + 16, 4), 4);
	assert_int_equal(find_cap(1, 1), 0);
	assert_int_equal(config_get(find_msix() + 2, 2), 2); /* three vectors */
	assert_int_equal(config_get(find_msix() + 4, 4), 2);
	assert_int_equal(config_get(find_msix() + 8, 4), 0x802);
}

/* Claim: the handshake ends in DRIVER_OK, and the device starts once; 0 resets it at any moment. */
static void handshake(void **state)
{
	(void)state;
	assert_int_equal(get(18, 2), 2);
	assert_int_equal(device_status(), 0);
	put(0, 4, 0);
	assert_int_equal(get(4, 4), FEATURE | 3u << 28);
	put(0, 4, 1);
	assert_int_equal(get(4, 4), 1);
	put(0, 4, 2);
	assert_int_equal(get(4, 4), 0);
	bring_up(FEATURE);
	assert_int_equal(seen.starts, 1);
	assert_true(virtio_has_feature(&dev, FEATURE));
	add_status(VIRTIO_DRIVER_OK);
	assert_int_equal(seen.starts, 1);
	for (unsigned int stage = 0; stage < 5; stage++) {
		put(20, 1, (1u << stage) - 1);
		put(20, 1, 0);
		assert_int_equal(device_status(), 0);
		put(22, 2, 0);
		assert_int_equal(get(28, 2), 0);
		assert_int_equal(get(24, 2), 16);
		assert_true(get(32, 8) == 0);
	}
	bring_up(0);
	assert_int_equal(seen.starts, 2);
	assert_false(virtio_has_feature(&dev, FEATURE));
}

/* Claim: features that are not offered, or a legacy driver's, are refused; so is all that comes too early. */
static void refusals(void **state)
{
	static const u64 bad[] = { 0, FEATURE, VIRTIO_F_VERSION_1 | BIT(6),
				   VIRTIO_F_VERSION_1 | BIT(63) };

	(void)state;
	for (unsigned int i = 0; i < 4; i++) {
		put(20, 1, 0);
		add_status(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
		accept_features(bad[i]);
		add_status(VIRTIO_FEATURES_OK);
		assert_int_equal(device_status(), 3);
		add_status(VIRTIO_DRIVER_OK);
		assert_int_equal(device_status(), 3);
	}
	assert_int_equal(seen.starts, 0);
	accept_features(VIRTIO_F_VERSION_1);
	add_status(VIRTIO_FEATURES_OK);
	accept_features(VIRTIO_F_VERSION_1 | FEATURE);
	put(8, 4, 2);
	put(12, 4, ~0u);
	assert_true(dev.driver_features == VIRTIO_F_VERSION_1);
	assert_int_equal(device_status(), 0x0b);
	put(20, 1, 3); /* bits stay once they are set */
	assert_int_equal(device_status(), 0x0b);
	put(20, 1, 0x7b); /* and those of the device are not the driver's */
	assert_int_equal(device_status(), 0x0b);
}

/* Claim: queues have the size that was agreed on; once enabled they stay, until the reset. */
static void queue_registers(void **state)
{
	(void)state;
	put(22, 2, 1);
	assert_int_equal(get(24, 2), 8);
	assert_int_equal(get(30, 2), 1);
	for (unsigned int bad = 0; bad < 4; bad++) {
		static const u16 size[] = { 0, 3, 16, 0x8000 };

		put(24, 2, size[bad]);
		assert_int_equal(get(24, 2), 8);
	}
	put(24, 2, 4);
	assert_int_equal(get(24, 2), 4);
	put(32, 4, 0x1000);
	put(36, 4, 0x12345678);
	assert_true(get(32, 8) == 0x1234567800001000);
	put(36, 4, 0);
	put(40, 8, 0x3000);
	put(48, 8, 0x4000);
	put(28, 2, 0);
	assert_int_equal(get(28, 2), 0);
	put(28, 2, 1);
	assert_int_equal(get(28, 2), 1);
	put(24, 2, 8);
	put(32, 4, 0x2000);
	put(28, 2, 0);
	assert_int_equal(get(24, 2), 4);
	assert_true(get(32, 8) == 0x1000);
	assert_int_equal(get(28, 2), 1);
	put(22, 2, 2); /* no such queue */
	for (u64 off = 24; off < 56; off += 4)
		put(off, 4, ~0u), put(off, 2, 0xffff), put(off + 2, 2, 1);
	assert_int_equal(get(24, 2), 0);
	assert_int_equal(get(28, 2), 0);
	assert_int_equal(get(22, 2), 2);
}

/* Claim: a kick reaches the device by the port and by the memory, for its queue, once it is live. */
static void kicks(void **state)
{
	(void)state;
	virtio_pci_notify_pio.write(&vp, 0, 2, 0);
	put(NOTIFY, 2, 1);
	assert_int_equal(seen.kicks, 0);
	bring_up(0);
	virtio_pci_notify_pio.write(&vp, 0, 2, 1);
	assert_int_equal(seen.kicks, 1);
	assert_int_equal(seen.kicked, 1);
	put(NOTIFY, 2, 0);
	assert_int_equal(seen.kicks, 2);
	assert_int_equal(seen.kicked, 0);
	virtio_pci_notify_pio.write(&vp, 0, 2, 2);
	virtio_pci_notify_pio.write(&vp, 2, 2, 0);
	virtio_pci_notify_pio.write(&vp, 0, 4, 0);
	put(NOTIFY, 4, 0);
	put(NOTIFY, 2, 0xffff);
	assert_int_equal(seen.kicks, 2);
	assert_int_equal(virtio_pci_notify_pio.read(&vp, 0, 2), ~0u);
	put(20, 1, 0);
	virtio_pci_notify_pio.write(&vp, 0, 2, 0);
	assert_int_equal(seen.kicks, 2);
}

static void enable_msix(void)
{
	for (unsigned int i = 0; i < 3; i++) {
		virtio_pci_msix_mmio.write(&vp, 16 * i, 8, 0xfee00000);
		virtio_pci_msix_mmio.write(&vp, 16 * i + 8, 8, 0x30 + i);
	}
	virtio_pci_config_write(&vp, find_msix() + 2, 2, PCI_MSIX_ENABLE);
}

static struct virtq_chain chain;

static void use_one(unsigned int q)
{
	driver_add(&driver[q], DATA, 4, true);
	assert_true(virtio_pop(&dev, q, &chain));
	virtio_push(&dev, q, &chain, 4);
	virtio_interrupt(&dev, q);
}

/* Claim: with MSI-X each queue and the configuration have the vector that the driver gave them, or none. */
static void msix_interrupts(void **state)
{
	(void)state;
	enable_msix();
	bring_up(0);
	use_one(0);
	assert_int_equal(told.messages, 0); /* no vector yet */
	put(16, 2, 0);
	put(22, 2, 0);
	put(26, 2, 1);
	put(22, 2, 1);
	put(26, 2, 2);
	use_one(0);
	assert_int_equal(told.messages, 1);
	assert_int_equal(told.data, 0x31);
	use_one(1);
	assert_int_equal(told.data, 0x32);
	virtio_config_changed(&dev);
	assert_int_equal(told.messages, 3);
	assert_int_equal(told.data, 0x30);
	assert_int_equal(get(21, 1), 1);
	put(26, 2, 3); /* there are three: it cannot be had, and reads back so */
	assert_int_equal(get(26, 2), 0xffff);
	put(16, 2, 0x1000);
	assert_int_equal(get(16, 2), 0xffff);
	use_one(1);
	virtio_config_changed(&dev);
	assert_int_equal(told.messages, 3);
	assert_int_equal(told.pin_rises, 0);
	assert_int_equal(get(ISR, 1), 0);
	put(20, 1, 0);
	put(22, 2, 0);
	assert_int_equal(get(26, 2), 0xffff);
}

/* Claim: without MSI-X the pin is held until ISR is read, which says why; it can be switched off. */
static void pin_interrupts(void **state)
{
	(void)state;
	bring_up(0);
	use_one(1);
	assert_true(told.pin);
	assert_true(config_get(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	virtio_config_changed(&dev);
	assert_int_equal(get(ISR, 1), 3);
	assert_false(told.pin);
	assert_int_equal(get(ISR, 1), 0);
	assert_false(config_get(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT);
	virtio_pci_config_write(&vp, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX);
	use_one(1);
	assert_false(told.pin);
	virtio_pci_config_write(&vp, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	assert_true(told.pin);
	enable_msix();
	assert_false(told.pin);
	virtio_pci_config_write(&vp, find_msix() + 2, 2, 0);
	assert_true(told.pin);
	put(20, 1, 0);
	assert_false(told.pin);
	assert_int_equal(told.messages, 0);
}

/* Claim: a function that is no bus master touches no queue and sends no message; what came meanwhile is done as soon as it is one again. */
static void bus_master(void **state)
{
	struct virtq_chain got;

	(void)state;
	assert_true(config_get(PCI_COMMAND, 2) & PCI_COMMAND_MASTER); /* as firmware leaves it */
	bring_up(0);
	enable_msix();
	virtio_pci_config_write(&vp, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
	assert_int_equal(device_status(), 0x0f);
	driver_add(&driver[1], DATA, 4, true);
	put(NOTIFY, 2, 1);
	assert_int_equal(seen.kicks, 0);
	assert_false(virtio_pop(&dev, 1, &got));
	virtio_push_head(&dev, 1, 0, 0);
	virtio_interrupt(&dev, 1);
	virtio_config_changed(&dev);
	assert_int_equal(driver_take(&driver[1]), -1);
	assert_int_equal(told.messages, 0);
	/* Nor does a reset make it one. */
	put(20, 1, 0);
	assert_int_equal(device_status(), 0);
	bring_up(0);
	driver_add(&driver[1], DATA, 4, true);
	put(NOTIFY, 2, 1);
	assert_int_equal(seen.kicks, 0);
	put(16, 2, 0);
	virtio_config_changed(&dev);
	assert_int_equal(told.messages, 0);
	virtio_pci_config_write(&vp, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(seen.kicks, 2); /* one for each queue */
	assert_true(virtio_pop(&dev, 1, &got));
	assert_int_equal(told.messages, 1); /* the change of configuration */
}

/* Claim: a feature that is hidden is not offered, refused when a driver takes it all the same, and the rest is as before. */
static void hidden(void **state)
{
	static struct virtio_host host;
	static const u64 hide[] = { VIRTIO_F_EVENT_IDX, VIRTIO_F_INDIRECT_DESC };

	(void)state;
	for (unsigned int i = 0; i < 2; i++) {
		host = fake_host;
		host.hidden = hide[i];
		virtio_init(&dev, &type, &host, &seen, queues, FEATURE);
		virtio_pci_init(&vp, &dev);
		put(0, 4, 0);
		assert_int_equal(get(4, 4), (FEATURE | 3u << 28) & ~hide[i]);
		add_status(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
		accept_features(VIRTIO_F_VERSION_1 | hide[i]);
		add_status(VIRTIO_FEATURES_OK);
		assert_int_equal(device_status(), 3);
		bring_up(FEATURE | (3u << 28 & ~hide[i]));
		assert_int_equal(queues[0].event_idx, hide[i] != VIRTIO_F_EVENT_IDX);
		assert_true(virtio_has_feature(&dev, FEATURE));
		use_one(1);
		assert_int_equal(driver_take(&driver[1]), 0);
		assert_true(told.pin);
		put(20, 1, 0);
	}
	assert_int_equal(virtio_hide_bits("virtio-version-1"), 0);
}

/* Claim: the device's own space is read in any width, within its end; writes are the device's to see. */
static void device_config(void **state)
{
	(void)state;
	assert_int_equal(get(DEVICE, 4), 0x04030201);
	assert_int_equal(get(DEVICE + 4, 2), 0x0605);
	assert_int_equal(get(DEVICE + 5, 1), 6);
	assert_int_equal(get(DEVICE + 4, 4), ~0u);
	assert_int_equal(get(DEVICE + 6, 1), 0xff);
	put(DEVICE + 2, 2, 0xbbaa);
	assert_int_equal(get(DEVICE, 4), 0xbbaa0201);
	put(DEVICE + 4, 4, 0);
	put(DEVICE + 6, 1, 0);
	assert_int_equal(seen.writes, 1);
}

/* Claim: a broken queue makes the device need a reset: it says so, interrupts, and stands still. */
static void needs_reset(void **state)
{
	(void)state;
	enable_msix();
	bring_up(0);
	put(16, 2, 0);
	driver_avail(&driver[0], 99);
	assert_false(virtio_pop(&dev, 0, &chain));
	assert_int_equal(device_status(), 0x4f);
	assert_int_equal(told.messages, 1);
	assert_int_equal(told.data, 0x30);
	driver_add(&driver[1], DATA, 1, false);
	assert_false(virtio_pop(&dev, 1, &chain));
	assert_false(virtio_has_chain(&dev, 1));
	assert_false(virtio_enable_kicks(&dev, 1));
	virtio_pci_notify_pio.write(&vp, 0, 2, 1);
	assert_int_equal(seen.kicks, 0);
	virtio_fail(&dev);
	assert_int_equal(told.messages, 1);
	bring_up(0);
	assert_true(virtio_live(&dev));
	/* Areas outside of RAM are found out at DRIVER_OK. */
	put(20, 1, 0);
	add_status(3);
	accept_features(VIRTIO_F_VERSION_1);
	add_status(VIRTIO_FEATURES_OK);
	put(22, 2, 0);
	put(32, 8, 0x80000000);
	put(28, 2, 1);
	add_status(VIRTIO_DRIVER_OK);
	assert_int_equal(device_status(), 0x4f);
	assert_int_equal(seen.starts, 2);
}

/* Claim: what is put off happens in an alarm, once for each queue, and never after a reset. */
static void deferred(void **state)
{
	(void)state;
	bring_up(0);
	virtio_defer(&dev, 1);
	virtio_defer(&dev, 1);
	assert_int_equal(seen.kicks, 0);
	fake_pass_us(1);
	assert_int_equal(seen.kicks, 1);
	assert_int_equal(seen.kicked, 1);
	fake_pass_us(1000);
	assert_int_equal(seen.kicks, 1);
	virtio_defer(&dev, 0);
	put(20, 1, 0);
	bring_up(0);
	fake_pass_us(1000);
	assert_int_equal(seen.kicks, 1);
}

static void window_set(u8 bar, u32 off, u32 len)
{
	u8 at = find_cap(5, 0);

	virtio_pci_config_write(&vp, at + 4, 1, bar);
	virtio_pci_config_write(&vp, at + 8, 4, off);
	virtio_pci_config_write(&vp, at + 12, 4, len);
}

/* Claim: the window of the configuration space reaches every BAR, and nothing beyond. */
static void window(void **state)
{
	u8 data = find_cap(5, 0) + 16;

	(void)state;
	window_set(1, 18, 2);
	assert_int_equal(config_get(data, 2), 2);
	window_set(1, 22, 2);
	virtio_pci_config_write(&vp, data, 2, 1);
	window_set(1, 24, 2);
	assert_int_equal(config_get(data, 2), 8);
	window_set(2, 12, 4);
	assert_int_equal(config_get(data, 4), 1);
	virtio_pci_config_write(&vp, data, 4, 0);
	assert_int_equal(vp.msix.entry[0].control, 0);
	bring_up(0);
	window_set(0, 0, 2);
	virtio_pci_config_write(&vp, data, 2, 1);
	assert_int_equal(seen.kicks, 1);
	window_set(1, NOTIFY, 2);
	virtio_pci_config_write(&vp, data, 2, 0);
	assert_int_equal(seen.kicks, 2);
	/* Another width, no alignment, no such BAR, behind its end. */
	window_set(1, 20, 1);
	virtio_pci_config_write(&vp, data, 4, 0);
	assert_int_equal(device_status(), 0x0f);
	window_set(1, 21, 2);
	assert_int_equal(config_get(data, 2), 0);
	window_set(3, 0, 4);
	assert_int_equal(config_get(data, 4), 0);
	window_set(1, 4096, 4);
	assert_int_equal(config_get(data, 4), 0);
	window_set(255, 0xfffffffc, 4);
	virtio_pci_config_write(&vp, data, 4, ~0u);
}

/* Claim: registers have one width; other accesses read as ones and change nothing but the window does. */
static void widths(void **state)
{
	(void)state;
	assert_int_equal(get(20, 4), ~0u);
	assert_int_equal(get(24, 1), 0xff);
	assert_int_equal(get(1, 1), 0xff);
	assert_int_equal(get(56, 4), ~0u);
	assert_int_equal(get(ISR, 4), ~0u);
	put(20, 4, 0x01010101);
	put(20, 2, 1);
	assert_int_equal(device_status(), 0);
}

/* Claim: no access of any kind reaches out of bounds or hangs, whatever the state. */
static void random_accesses(void **state)
{
	u64 random = 7;

	(void)state;
	for (unsigned int i = 0; i < 300000; i++) {
		u64 off, value;
		u8 size;

		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		off = random >> 40 & 0xfff;
		size = (u8)(1 << (random >> 30) % 4);
		value = random >> 20 & (random >> 63 ? 0xff : ~0ULL);
		switch (random >> 33 & 7) {
		case 0: virtio_pci_config_write(&vp, (u8)off, size & 3 ? 1 : 4, (u32)value); break;
		case 1: (void)virtio_pci_config_read(&vp, off & 0xfc, 4); break;
		case 2: virtio_pci_msix_mmio.write(&vp, off, size, value); break;
		case 3: (void)virtio_pci_msix_mmio.read(&vp, off, size); break;
		case 4: (void)get(off, size); break;
		case 5: virtio_pci_notify_pio.write(&vp, off & 15, 2, (u32)value); break;
		default: put(random >> 62 ? off & 63 : off, size, value); break;
		}
		if (virtio_pop(&dev, off & 1, &chain))
			virtio_push(&dev, off & 1, &chain, 1);
		virtio_interrupt(&dev, off & 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(capabilities),  TEST(handshake),       TEST(refusals),
		TEST(hidden),        TEST(bus_master),      TEST(queue_registers),
		TEST(kicks),         TEST(msix_interrupts), TEST(pin_interrupts),
		TEST(device_config), TEST(needs_reset),     TEST(deferred),
		TEST(window),        TEST(widths),          TEST(random_accesses),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
