/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: whichever console a guest uses, it is typed to, loses nothing, and waits when the line is full. */
#include "tests/unit/vcpu_rig.h"
#include "vmm/host/console.h"

#define COM1     0x3f8
#define NOTIFY   0xc020
#define REGS     0xe0010000ULL
#define MSIX     0xe0011000ULL
#define RINGS    0x200000ULL /* of queue 0; those of queue 1 are behind them */
#define RING_LEN 0x3000ULL
#define BUFFER   0x210000ULL

enum { RX, TX };

static struct {
	char out[4096];
	size_t out_len, room;
	const char *typed;
} line;

static size_t line_room(void *ctx)
{
	(void)ctx;
	return line.room;
}

static size_t line_write(void *ctx, const void *data, size_t len)
{
	size_t n = MIN(len, MIN(line.room, sizeof(line.out) - line.out_len));

	(void)ctx;
	memcpy(line.out + line.out_len, data, n);
	line.out_len += n;
	line.room -= n;
	return n;
}

static size_t line_read(void *ctx, void *buf, size_t len)
{
	size_t n = MIN(len, strlen(line.typed));

	(void)ctx;
	memcpy(buf, line.typed, n);
	line.typed += n;
	return n;
}

static const struct console_line console_line = { line_room, line_write, line_read, NULL };
static u16 avail[2];

static int start(enum config_vm_console console)
{
	const struct console_hooks hooks = { .input_ready = NULL };

	rig_config.console = console;
	rig_start(NULL);
	memset(&line, 0, sizeof(line));
	line.room = 100000;
	line.typed = "";
	avail[RX] = avail[TX] = 0;
	console_init(&console_line, &hooks);
	capture_start();
	console_vm_started(0, "rig");
	capture_stop();
	line.out_len = 0;
	return 0;
}

static int start_virtio(void **state)
{
	(void)state;
	return start(VM_CONSOLE_VIRTIO);
}

static int start_uart(void **state)
{
	(void)state;
	return start(VM_CONSOLE_UART);
}

static void out(u16 port, u8 size, u32 value)
{
	rig_vcpu.regs.rax = value;
	assert_true(rig_exit(EXIT_IO_INSTRUCTION, (u64)port << 16 | (size - 1u)));
}

static u32 in(u16 port, u8 size)
{
	assert_true(rig_exit(EXIT_IO_INSTRUCTION, (u64)port << 16 | BIT(3) | (size - 1u)));
	return (u32)rig_vcpu.regs.rax & (0xffffffffu >> (32 - 8 * size));
}

static u32 pci_get(u8 slot, u8 reg)
{
	out(0xcf8, 4, 0x80000000 | (u32)slot << 11 | reg);
	return in(0xcfc, 4);
}

static void pci_put(u8 slot, u8 reg, u32 value)
{
	out(0xcf8, 4, 0x80000000 | (u32)slot << 11 | reg);
	out(0xcfc, 4, value);
}

static void put(u64 off, u8 size, u64 value)
{
	assert_true(mmio_bus_write(&rig_vm->mmio, REGS + off, size, value));
}

static u64 get(u64 off, u8 size)
{
	u64 value = 0;

	assert_true(mmio_bus_read(&rig_vm->mmio, REGS + off, size, &value));
	return value;
}

static void bring_up(void)
{
	put(20, 1, 0);
	put(20, 1, 3);
	put(8, 4, 1);
	put(12, 4, 1);
	put(20, 1, 11);
	for (u16 q = 0; q < 2; q++) {
		put(22, 2, q);
		put(32, 8, RINGS + q * RING_LEN);
		put(40, 8, RINGS + q * RING_LEN + 0x1000);
		put(48, 8, RINGS + q * RING_LEN + 0x2000);
		put(28, 2, 1);
	}
	put(20, 1, 15);
	assert_int_equal(get(20, 1), 15);
}

static void add(unsigned int q, const char *text, u32 len)
{
	struct virtq_desc desc = { BUFFER + 0x100 * q, len, q == RX ? VIRTQ_DESC_WRITE : 0, 0 };
	gpa_t ring = RINGS + q * RING_LEN;
	u16 zero = 0;

	assert_true(guest_write(&rig_vm->mem, desc.addr, text, strlen(text)));
	assert_true(guest_write(&rig_vm->mem, ring, &desc, sizeof(desc)));
	assert_true(guest_write(&rig_vm->mem, ring + 0x1004 + 2 * (avail[q] % 64), &zero, 2));
	avail[q]++;
	assert_true(guest_write(&rig_vm->mem, ring + 0x1002, &avail[q], 2));
}

static u16 used(unsigned int q)
{
	u16 idx = 0;

	assert_true(guest_read(&rig_vm->mem, RINGS + q * RING_LEN + 0x2002, &idx, 2));
	return idx;
}

static void assert_line(const char *text)
{
	assert_int_equal(line.out_len, strlen(text));
	assert_memory_equal(line.out, text, line.out_len);
	line.out_len = 0;
}

static void type(const char *text)
{
	line.typed = text;
	console_poll();
	machine_console_input(rig_vm);
}

static void assert_buffer(const char *text)
{
	char got[16] = "";

	assert_true(guest_read(&rig_vm->mem, BUFFER, got, strlen(text)));
	assert_string_equal(got, text);
}

/* Claim: both consoles are there and both reach the line; with `uart' there is no PCI device at all. */
static void both_print(void **state)
{
	(void)state;
	out(COM1, 1, 'u');
	assert_line("u");
	assert_int_equal(pci_get(1, 0), 0x10431af4);
	bring_up();
	add(TX, "virtio", 6);
	out(NOTIFY, 2, TX);
	assert_line("virtio");
	assert_int_equal(used(TX), 1);
	out(COM1, 1, 'u');
	assert_line("u");
}

static void uart_alone(void **state)
{
	(void)state;
	out(COM1, 1, 'u');
	assert_line("u");
	assert_int_equal(pci_get(1, 0), ~0u);
	type("a");
	assert_int_equal(in(COM1, 1), 'a');
}

/* Claim: input is the UART's until the virtio console is used: listened to, and written to. */
static void input_follows_use(void **state)
{
	(void)state;
	type("a");
	assert_int_equal(in(COM1, 1), 'a');
	out(COM1 + 1, 1, 1); /* a program has ttyS0 open */
	bring_up();
	type("b");
	assert_int_equal(in(COM1, 1), 'b');
	add(RX, "", 16);
	out(NOTIFY, 2, RX);
	type("c");
	assert_int_equal(in(COM1, 1), 'c');
	assert_int_equal(used(RX), 0);
	add(TX, "login:", 6);
	out(NOTIFY, 2, TX);
	type("d");
	assert_int_equal(in(COM1 + 5, 1) & 1, 0);
	assert_int_equal(used(RX), 1);
	assert_buffer("d");
	/* Without a buffer it waits, and is not the UART's. */
	type("e");
	assert_int_equal(in(COM1 + 5, 1) & 1, 0);
	add(RX, "", 16);
	out(NOTIFY, 2, RX);
	assert_buffer("e");
	put(20, 1, 0); /* the driver goes */
	type("f");
	assert_int_equal(in(COM1, 1), 'f');
}

/* Claim: where nobody listens to the UART, the virtio console need not print first. */
static void input_to_who_listens(void **state)
{
	(void)state;
	bring_up();
	add(RX, "", 16);
	out(NOTIFY, 2, RX);
	type("x");
	assert_buffer("x");
}

/* Claim: who fills a transmitter waits until the line has room, by port and by memory; others do not. */
static void full_line(void **state)
{
	(void)state;
	bring_up();
	line.room = CONSOLE_RESERVE + 3;
	add(TX, "abcdef", 6);
	out(NOTIFY, 2, TX);
	assert_line("abc");
	assert_true(rig_vcpu.held);
	assert_true(machine_console_pending(rig_vm));
	rig_vcpu.held = false; /* as another vCPU: */
	out(0x80, 1, 0);
	(void)pci_get(1, 0);
	assert_false(rig_vcpu.held);
	rig_vcpu.held = true;
	machine_console_output(rig_vm);
	assert_true(rig_vcpu.held);
	line.room = 100000;
	machine_console_output(rig_vm);
	assert_line("def");
	assert_false(rig_vcpu.held);
	assert_false(machine_console_pending(rig_vm));
	assert_int_equal(used(TX), 1);
}

static void full_line_of_uart(void **state)
{
	(void)state;
	line.room = CONSOLE_RESERVE;
	for (unsigned int i = 0; i < VUART_FIFO; i++) {
		assert_false(rig_vcpu.held);
		out(COM1, 1, 'a' + i);
	}
	assert_true(rig_vcpu.held);
	line.room = 100000;
	machine_console_output(rig_vm);
	assert_false(rig_vcpu.held);
	assert_line("abcdefghijklmnop");
}

/* Claim: a message is an interrupt of the local APIC that it names, and nothing if it is to no APIC. */
static void messages(void **state)
{
	static const struct {
		u64 address;
		u32 data;
		bool taken;
	} table[] = {
		{ 0xfee00000, 0x51, true },   { 0xfee0000c, 0x52, false }, /* logical 0 */
		{ 0xfee01000, 0x53, false },  { 0xfeeff000, 0x54, true },  /* everybody */
		{ 0x1fee00000, 0x55, false }, { 0xfed00000, 0x56, false },
		{ 0xfee00000, 0x5157, true }, { 0xfee00000, 0xffff0058, true },
	};

	(void)state;
	pci_put(1, 0x70, 0); /* whatever lies there */
	bring_up();
	for (unsigned int i = 0; i < ARRAY_SIZE(table); i++) {
		const struct virtio_host *host = &rig_vm->machine->console.card->slot.host;
		u8 vector = table[i].data & 0xff;

		host->msi(host->ctx, table[i].address, table[i].data);
		vlapic_sync(&rig_vcpu.lapic);
		assert_int_equal(
			rig_vcpu.lapic.regs[(APIC_IRR + vector / 32 * 16) / 4] >> vector % 32 & 1,
			table[i].taken);
	}
}

/* Claim: BARs answer where the guest puts them, and a port beyond the last does not wrap around. */
static void bars(void **state)
{
	u64 value = 0;

	(void)state;
	assert_int_equal(pci_get(1, 0x10), NOTIFY | 1);
	assert_int_equal(pci_get(1, 0x14), REGS);
	assert_int_equal(pci_get(1, 0x18), MSIX);
	pci_put(1, 0x14, 0xe0500000);
	assert_false(mmio_bus_read(&rig_vm->mmio, REGS, 4, &value));
	assert_true(mmio_bus_read(&rig_vm->mmio, 0xe0500012, 2, &value));
	assert_int_equal(value, 2);
	pci_put(1, 0x14, REGS);
	bring_up();
	add(TX, "x", 1);
	pci_put(1, 0x10, 0x10000 | NOTIFY | 1);
	out(NOTIFY, 2, TX);
	assert_line("");
	pci_put(1, 0x10, 0xd001);
	out(0xd000, 2, TX);
	assert_line("x");
	pci_put(1, 4, 0);
	assert_false(mmio_bus_read(&rig_vm->mmio, REGS, 4, &value));
	assert_int_equal(in(0xd000, 2), 0xffff);
}

/* A key that was pressed as its VM ended does not reach devices that are gone with the VM's memory. */
static void too_late(void **state)
{
	(void)state;
	rig_vm->state = VM_OFF;
	rig_vm->machine->console.card = (struct virtio_console_card *)0x10;
	atomic_store(&rig_vm->events, VM_EVENT_INPUT | VM_EVENT_OUTPUT);
	vm_handle_events(rig_vm);
	assert_int_equal(atomic_load(&rig_vm->events), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(both_print, start_virtio),
		cmocka_unit_test_setup(uart_alone, start_uart),
		cmocka_unit_test_setup(input_follows_use, start_virtio),
		cmocka_unit_test_setup(input_to_who_listens, start_virtio),
		cmocka_unit_test_setup(full_line, start_virtio),
		cmocka_unit_test_setup(full_line_of_uart, start_uart),
		cmocka_unit_test_setup(messages, start_virtio),
		cmocka_unit_test_setup(bars, start_virtio),
		cmocka_unit_test_setup(too_late, start_virtio),
	};

	return cmocka_run_group_tests_name("machine_console", tests, NULL, NULL);
}
