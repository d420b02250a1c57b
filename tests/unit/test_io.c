/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: IN, OUT, INS and OUTS do to registers, memory and devices what the CPU would. */
#include "tests/unit/guest_tables.h"

#define PORT   0x5600
#define BUFFER 0x200000ULL
#define DF     BIT(10)

enum { IN = BIT(3), STRING = BIT(4), REP = BIT(5) };
enum { ADDRESS_16, ADDRESS_32, ADDRESS_64 };

static struct {
	u32 in[512], out[512];
	unsigned int ins, outs;
} dev;

static u32 dev_read(void *ctx, u16 off, u8 size)
{
	(void)ctx, (void)off, (void)size;
	return dev.in[dev.ins++ % 512];
}

static void dev_write(void *ctx, u16 off, u8 size, u32 value)
{
	(void)ctx, (void)off, (void)size;
	dev.out[dev.outs++ % 512] = value;
}

static const struct pio_ops dev_ops = { dev_read, dev_write };

static int setup(void **state)
{
	rig_start(state);
	memset(&dev, 0, sizeof(dev));
	for (unsigned int i = 0; i < 512; i++)
		dev.in[i] = 0x91827364u * (i + 1);
	pio_register(&rig_vm->pio, PORT, 4, &dev_ops, NULL, "test");
	mode_none();
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, 0xc09b);
	return 0;
}

static void io(u64 flags, u8 size)
{
	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	assert_true(rig_exit(EXIT_IO_INSTRUCTION, (u64)PORT << 16 | flags | (size - 1u)));
}

/* A string instruction, of which the CPU tells the first linear address. */
static void string(u64 flags, u8 size, unsigned int address, u64 linear)
{
	fake_vmcs_set(VM_EXIT_INSTRUCTION_INFO, address << 7);
	fake_vmcs_set(GUEST_LINEAR_ADDRESS, linear);
	io(flags | STRING, size);
}

static u64 mask(u8 size)
{
	return BIT(8 * size) - 1;
}

/* Claim: IN changes as much of RAX as the CPU does: AL and AX alone, EAX with the upper half. */
static void in(void **state)
{
	static const u64 want[] = { 0x1111222233334464, 0x1111222233337364, 0, 0x91827364 };

	for (u8 size = 1; size <= 4; size *= 2) {
		setup(state);
		rig_vcpu.regs.rax = 0x1111222233334444;
		io(IN, size);
		assert_true(rig_advanced());
		assert_int_equal(rig_vcpu.regs.rax, want[size - 1]);
		assert_int_equal(dev.ins, 1);
	}
}

/* Claim: OUT sends as many bytes of RAX as it is wide, once, and leaves RAX. */
static void out(void **state)
{
	for (u8 size = 1; size <= 4; size *= 2) {
		setup(state);
		rig_vcpu.regs.rax = 0x1111222233334455;
		io(0, size);
		assert_true(rig_advanced());
		assert_int_equal(dev.out[0], 0x33334455 & mask(size));
		assert_int_equal(dev.outs, 1);
		assert_int_equal(rig_vcpu.regs.rax, 0x1111222233334455);
	}
}

/* Claim: single INS and OUTS, up and down: one element, RCX untouched. */
static void single(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs;

	for (unsigned int down = 0; down < 2; down++) {
		for (u8 size = 1; size <= 4; size *= 2) {
			u64 step = down ? 0 - (u64)size : size, value = ~0ULL;

			setup(state);
			fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | (down ? DF : 0));
			assert_true(guest_write(&rig_vm->mem, BUFFER, &value, 8));
			g->rdi = g->rsi = 0x1000;
			g->rcx = 5;
			string(IN, size, ADDRESS_32, BUFFER);
			assert_true(rig_advanced());
			assert_true(guest_read(&rig_vm->mem, BUFFER, &value, 8));
			assert_int_equal(value, (~0ULL & ~mask(size)) | (dev.in[0] & mask(size)));
			assert_int_equal(g->rdi, 0x1000 + step);
			assert_int_equal(g->rsi, 0x1000);

			string(0, size, ADDRESS_32, BUFFER);
			assert_true(rig_advanced());
			assert_int_equal(dev.out[0], dev.in[0] & mask(size));
			assert_int_equal(g->rsi, 0x1000 + step);
			assert_int_equal(g->rdi, 0x1000 + step);
			assert_int_equal(g->rcx, 5);
		}
	}
}

/* Claim: REP does RCX elements in order, at most 64 an exit, and comes back for the rest. */
static void repeated(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs;
	u16 got[100];

	(void)state;
	g->rcx = 100;
	g->rdi = 0x8000;
	string(IN | REP, 2, ADDRESS_32, BUFFER);
	assert_false(rig_advanced());
	assert_int_equal(g->rcx, 36);
	assert_int_equal(g->rdi, 0x8000 + 2 * 64);
	string(IN | REP, 2, ADDRESS_32, BUFFER + 2 * 64);
	assert_true(rig_advanced());
	assert_int_equal(g->rcx, 0);
	assert_int_equal(g->rdi, 0x8000 + 2 * 100);
	assert_int_equal(dev.ins, 100);
	assert_true(guest_read(&rig_vm->mem, BUFFER, got, sizeof(got)));
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(got[i], (u16)dev.in[i]);
	/* exactly a burst is done with it */
	g->rcx = 64;
	string(IN | REP, 1, ADDRESS_32, BUFFER);
	assert_true(rig_advanced());
	/* and none at all too */
	string(REP, 1, ADDRESS_32, BUFFER);
	assert_true(rig_advanced());
	assert_int_equal(dev.outs, 0);
}

/* Claim: RCX, RSI and RDI have the width of the address: 16 bits keep the rest, 32 clear it. */
static void address_sizes(void **state)
{
	static const struct {
		unsigned int address;
		u64 rcx, rdi, rcx_after, rdi_after;
	} cases[] = {
		{ ADDRESS_16, 0xaaaabbbbcccc0002, 0x1111222233334000, 0xaaaabbbbcccc0000,
		  0x1111222233334004 },
		{ ADDRESS_32, 0xaaaabbbb00000002, 0x11112222fffffffeULL, 0, 2 },
		{ ADDRESS_64, 2, 0xffff888000000000, 0, 0xffff888000000004 },
		{ ADDRESS_16, 0xaaaabbbbcccc0000, 0x5000, 0xaaaabbbbcccc0000, 0x5000 },
	};
	struct guest_regs *g = &rig_vcpu.regs;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		g->rcx = cases[i].rcx;
		g->rdi = cases[i].rdi;
		string(IN | REP, 2, cases[i].address, BUFFER);
		if (!rig_advanced())
			string(IN | REP, 2, cases[i].address, BUFFER + 2);
		assert_true(rig_advanced());
		assert_int_equal(g->rcx, cases[i].rcx_after);
		assert_int_equal(g->rdi, cases[i].rdi_after);
	}
}

/* Claim: when the index wraps, the CPU is asked again where the next element lies. */
static void index_wraps(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs;
	u16 got = 0;

	(void)state;
	g->rcx = 2;
	g->rdi = 0xfffe;
	string(IN | REP, 2, ADDRESS_16, BUFFER + 0xfffe);
	assert_false(rig_advanced());
	assert_int_equal(g->rcx, 1);
	assert_int_equal(g->rdi, 0);
	string(IN | REP, 2, ADDRESS_16, BUFFER);
	assert_true(rig_advanced());
	assert_true(guest_read(&rig_vm->mem, BUFFER, &got, 2));
	assert_int_equal(got, (u16)dev.in[1]);
	assert_true(guest_read(&rig_vm->mem, BUFFER + 0x10000, &got, 2));
	assert_int_equal(got, 0);

	setup(state); /* downwards */
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | DF);
	g->rcx = 2;
	g->rsi = 0;
	string(REP, 2, ADDRESS_16, BUFFER);
	assert_false(rig_advanced());
	assert_int_equal(g->rsi, 0xfffe);
}

/* Claim: an element may cross pages; where one is missing it is a #PF there, and the counts stand. */
static void page_faults(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs;
	u64 linear = 0x7f0000000ffcULL;
	u32 value;

	for (unsigned int user = 0; user < 2; user++) {
		setup(state);
		mode_64();
		fake_vmcs_set(GUEST_SS_ACCESS_RIGHTS, 0xc093 | AR_DPL(user ? 3 : 0));
		map_64(linear, 0x30000 | PT_P | PT_W | PT_U);
		g->rcx = 10;
		g->rdi = linear;
		string(IN | REP, 4, ADDRESS_64, linear);
		assert_exception(VECTOR_PF, true, 2 | (user ? 4 : 0));
		assert_int_equal(fake_x86.cr2, linear + 4);
		assert_int_equal(g->rcx, 9);
		assert_int_equal(g->rdi, linear + 4);
		assert_int_equal(dev.ins, 1); /* the second one is still the device's */

		rig_vcpu.event.info = 0;
		map_64(linear + 4, 0x50000 | PT_P | PT_W | PT_U);
		g->rcx = 1;
		g->rsi = linear + 2;
		string(REP, 4, ADDRESS_64, linear + 2);
		assert_true(rig_advanced());
		assert_int_equal(dev.out[0], dev.in[0] >> 16);

		put64(TABLE(1), (linear + 4) >> 12 & 511, 0);
		g->rcx = 3;
		string(REP, 4, ADDRESS_64, linear + 2);
		assert_exception(VECTOR_PF, true, user ? 4 : 0);
		assert_int_equal(fake_x86.cr2, linear + 4);
		assert_int_equal(g->rcx, 3);
		assert_int_equal(dev.outs, 1);
	}
	assert_true(guest_read(&rig_vm->mem, 0x30ffc, &value, 4));
	assert_int_equal(value, dev.in[0]);

	/* An element across pages, of which the second is not there: the device was not read. */
	g->rcx = 1;
	rig_vcpu.event.info = 0;
	string(IN | REP, 4, ADDRESS_64, linear + 1);
	assert_exception(VECTOR_PF, true, 6);
	assert_int_equal(fake_x86.cr2, linear + 4);
	assert_int_equal(dev.ins, 1);
	assert_int_equal(g->rcx, 1);
}

static void stop_write(void *ctx, u16 off, u8 size, u32 value)
{
	(void)ctx, (void)off, (void)size, (void)value;
	dev.outs++;
	vm_stop(rig_vm, VM_END_DEBUG_EXIT, "enough");
}

/* Claim: a device that ends the VM ends the string instruction, too. */
static void stopped_by_a_device(void **state)
{
	static const struct pio_ops ops = { dev_read, stop_write };

	(void)state;
	pio_register(&rig_vm->pio, 0x7700, 1, &ops, NULL, "stop");
	rig_vcpu.regs.rcx = 50;
	fake_vmcs_set(VM_EXIT_INSTRUCTION_INFO, ADDRESS_32 << 7);
	fake_vmcs_set(GUEST_LINEAR_ADDRESS, BUFFER);
	assert_false(rig_exit(EXIT_IO_INSTRUCTION, 0x7700ULL << 16 | STRING | REP));
	assert_int_equal(dev.outs, 1);
	assert_int_equal(rig_vm->end, VM_END_DEBUG_EXIT);
}

/*
 * Claim: a step over a repeated instruction traps behind each element, at the instruction until the last one; and each
 * time that it is to go on there, its own breakpoint is behind it.
 */
static void stepped(void **state)
{
	u32 db = INTR_INFO_VALID | INTR_TYPE_HW_EXCEPTION | VECTOR_DB;

	(void)state;
	rig_vcpu.regs.rcx = 3;
	rig_vcpu.regs.rsi = BUFFER;
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	fake_vmcs_set(GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS);
	fake_vmcs_set(GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS);
	for (unsigned int left = 3; left; left--) {
		rig_vcpu.event.info = 0;
		string(STRING | REP, 1, ADDRESS_32, rig_vcpu.regs.rsi);
		assert_int_equal(rig_vcpu.regs.rcx, left - 1);
		assert_int_equal(dev.outs, 4 - left);
		assert_int_equal(rig_vcpu.event.info, db);
		assert_int_equal(fake_x86.dr6, 0xffff4ff0);
		assert_int_equal(rig_advanced(), left == 1);
		assert_int_equal(fake_vmcs_get(GUEST_RFLAGS),
				 RFLAGS_FIXED | RFLAGS_TF | (left > 1 ? RFLAGS_RF : 0));
		assert_int_equal(fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE), 0);
		assert_int_equal(fake_vmcs_get(GUEST_PENDING_DEBUG_EXCEPTIONS), 0);
	}

	rig_vcpu.event.info = 0;
	rig_vcpu.regs.rcx = 100;
	rig_vcpu.regs.rsi = BUFFER;
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED);
	string(STRING | REP, 1, ADDRESS_32, BUFFER);
	assert_int_equal(rig_vcpu.regs.rcx, 36);
	assert_int_equal(fake_vmcs_get(GUEST_RFLAGS), RFLAGS_FIXED | RFLAGS_RF);
	assert_no_exception();
}

/* Claim: the status of the debug exit is all of what is written, not a byte of it. */
static void debug_exit(void **state)
{
	static const struct {
		u8 size;
		u32 status;
	} cases[] = { { 1, 0xef }, { 2, 0xcdef }, { 4, 0x89abcdef } };

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		rig_config.debug_exit = 0x7700;
		setup(state);
		rig_config.debug_exit = 0;
		rig_vcpu.regs.rax = 0x89abcdef;
		assert_false(rig_exit(EXIT_IO_INSTRUCTION, 0x7700ULL << 16 | (cases[i].size - 1u)));
		assert_int_equal(rig_vm->end, VM_END_DEBUG_EXIT);
		assert_int_equal(rig_vm->debug_exit, cases[i].status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(in, setup),
		cmocka_unit_test_setup(out, setup),
		cmocka_unit_test_setup(single, setup),
		cmocka_unit_test_setup(repeated, setup),
		cmocka_unit_test_setup(address_sizes, setup),
		cmocka_unit_test_setup(index_wraps, setup),
		cmocka_unit_test_setup(page_faults, setup),
		cmocka_unit_test_setup(stopped_by_a_device, setup),
		cmocka_unit_test_setup(stepped, setup),
		cmocka_unit_test_setup(debug_exit, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
