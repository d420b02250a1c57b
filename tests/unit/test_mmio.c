/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: accesses to device registers are done as the instruction says; all else is refused, named. */
#include "tests/unit/guest_tables.h"
#include "vmm/vcpu/vector.h"

#define IOAPIC   VIOAPIC_MMIO_BASE
#define LAPIC    VLAPIC_MMIO_BASE
#define HOLE     0xd0000000ULL
#define IOREGSEL (IOAPIC + 0)
#define IOWIN    (IOAPIC + 0x10)

#define READ     (EPT_VIOLATION_READ | EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED)
#define WRITE    (EPT_VIOLATION_WRITE | EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED)
#define FETCH    (EPT_VIOLATION_FETCH | EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED)

/* Vector registers that the compiler of this test does not use. What the real ones do is test_vector's. */
static u8 vector[32][INSN_MAX_SIZE];

bool vector_usable(enum insn_regs regs, u64 xcr0)
{
	return regs == INSN_SSE || xcr0 == (regs == INSN_VEX ? 7 : 0xe7);
}

void vector_read(enum insn_regs regs, unsigned int reg, u8 bytes[INSN_MAX_SIZE])
{
	memcpy(bytes, vector[reg], regs == INSN_SSE ? 16 : regs == INSN_VEX ? 32 : 64);
}

void vector_write(enum insn_regs regs, unsigned int reg, const u8 bytes[INSN_MAX_SIZE])
{
	memcpy(vector[reg], bytes, regs == INSN_SSE ? 16 : 64);
}

static int setup(void **state)
{
	rig_start(state);
	mode_64();
	map_64(RIG_RIP, RIG_RIP | PT_P | PT_W);
	return 0;
}

/* An EPT violation at @gpa of the instruction @code, of @len bytes, at RIG_RIP. */
static bool violation(const void *code, size_t len, gpa_t gpa, u64 qualification)
{
	assert_true(guest_write(&rig_vm->mem, RIG_RIP, code, len));
	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	fake_vmcs_set(GUEST_PHYSICAL_ADDRESS, gpa);
	rig_vcpu.event.info = 0;
	return rig_exit(EXIT_EPT_VIOLATION, qualification);
}

/* The instruction is done, by its own length, whatever the VMCS says of it. */
static void do_access(const void *code, size_t len, gpa_t gpa, u64 qualification)
{
	assert_true(violation(code, len, gpa, qualification));
	assert_no_exception();
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP + len);
}

#define ACCESS(code, gpa, qualification) do_access(code, sizeof(code) - 1, gpa, qualification)

/* Claim: MOV of all sizes between registers and the local APIC, with the CPU's way to merge. */
static void lapic(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs;

	(void)state;
	g->rbx = ~0ULL;
	ACCESS("\x8b\x18", LAPIC + APIC_VERSION, READ); /* mov (%rax),%ebx */
	assert_int_equal(g->rbx, APIC_VERSION_VALUE);
	g->rbx = ~0ULL;
	ACCESS("\x66\x8b\x18", LAPIC + APIC_VERSION, READ); /* %bx */
	assert_int_equal(g->rbx, 0xffffffffffff0000 | (u16)APIC_VERSION_VALUE);
	g->rbx = ~0ULL;
	ACCESS("\x8a\x18", LAPIC + APIC_VERSION, READ); /* %bl */
	assert_int_equal(g->rbx, 0xffffffffffffff00 | (u8)APIC_VERSION_VALUE);
	ACCESS("\x48\x8b\x18", LAPIC + APIC_VERSION, READ); /* %rbx */
	assert_int_equal(g->rbx, APIC_VERSION_VALUE);
	assert_int_equal(rig_vcpu.lapic_accesses, 4);

	g->rcx = 0x1234567890;
	ACCESS("\x89\x08", LAPIC + APIC_TPR, WRITE); /* mov %ecx,(%rax) */
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], 0x90);
	ACCESS("\xc7\x00\x20\x00\x00\x00", LAPIC + APIC_TPR, WRITE); /* movl $0x20,(%rax) */
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], 0x20);
	ACCESS("\x88\x08", LAPIC + APIC_TPR, WRITE); /* a byte does not count */
	ACCESS("\x66\x89\x08", LAPIC + APIC_TPR, WRITE);
	ACCESS("\x48\x89\x08", LAPIC + APIC_TPR, WRITE);
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], 0x20);
}

/* Claim: read-modify-write is one read and one write, and sets the flags. */
static void modify(void **state)
{
	(void)state;
	rig_vcpu.lapic.regs[APIC_TPR / 4] = 0x30;
	ACCESS("\x83\x08\x0f", LAPIC + APIC_TPR, READ | WRITE); /* orl $0xf,(%rax) */
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], 0x3f);
	assert_int_equal(rig_vcpu.lapic_accesses, 2);
	ACCESS("\x83\x38\x3f", LAPIC + APIC_TPR, READ); /* cmpl $0x3f,(%rax) */
	assert_true(fake_vmcs_get(GUEST_RFLAGS) & BIT(6));
	assert_int_equal(rig_vcpu.lapic_accesses, 3);
}

/* Claim: the I/O APIC's registers, through its window. */
static void ioapic(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs;

	(void)state;
	g->rcx = 0x10 + 2 * 5;
	ACCESS("\x89\x08", IOREGSEL, WRITE);
	g->rcx = 0x10051;
	ACCESS("\x89\x08", IOWIN, WRITE);
	g->rbx = 0;
	ACCESS("\x8b\x18", IOWIN, READ);
	assert_int_equal(g->rbx, 0x10051);
	assert_int_equal(rig_vm->mmio.range[0].accesses, 3);
	assert_int_equal(rig_vm->mmio.unclaimed, 0);
}

/* Claim: where nothing is, and across the end of a device, reads are ones and writes vanish. */
static void nothing_there(void **state)
{
	static const gpa_t at[] = { HOLE,      IOAPIC - 4, IOAPIC + 0x1000, LAPIC + 0xffe,
				    LAPIC - 2, RIG_RAM,    GIB(64) };
	struct guest_regs *g = &rig_vcpu.regs;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(at); i++) {
		g->rbx = 0;
		ACCESS("\x8b\x18", at[i], READ);
		assert_int_equal(g->rbx, 0xffffffff);
		ACCESS("\x89\x18", at[i], WRITE);
	}
	assert_int_equal(rig_vm->mmio.unclaimed, 2 * ARRAY_SIZE(at));
	g->rbx = 0;
	ACCESS("\x48\x8b\x18", HOLE, READ);
	assert_int_equal(g->rbx, ~0ULL);
	ACCESS("\x0f\xb6\x18", HOLE, READ); /* movzbl (%rax),%ebx */
	assert_int_equal(g->rbx, 0xff);
	assert_int_equal(rig_vcpu.lapic_accesses, 0);
}

/* Claim: in x2APIC mode there is no register page. */
static void no_page_in_x2apic_mode(void **state)
{
	(void)state;
	assert_true(
		vlapic_set_base(&rig_vcpu.lapic, vlapic_base(&rig_vcpu.lapic) | APIC_BASE_EXTD));
	ACCESS("\x8b\x18", LAPIC + APIC_VERSION, READ);
	assert_int_equal(rig_vcpu.regs.rbx, 0xffffffff);
}

/* Claim: what decides are the mode and the segments: 32-bit code, 16-bit real mode with a CS base. */
static void modes(void **state)
{
	(void)state;
	mode_none();
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, 0xc09b);
	ACCESS("\x8b\x18", LAPIC + APIC_VERSION, READ);
	assert_int_equal(rig_vcpu.regs.rbx, APIC_VERSION_VALUE);

	fake_vmcs_set(GUEST_CR0, 0);
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, 0x9b);
	fake_vmcs_set(GUEST_CS_BASE, RIG_RIP - 0x1000);
	assert_true(guest_write(&rig_vm->mem, RIG_RIP, "\x66\x67\x8b\x18", 4));
	fake_vmcs_set(GUEST_RIP, 0x1000);
	fake_vmcs_set(GUEST_PHYSICAL_ADDRESS, HOLE);
	assert_true(rig_exit(EXIT_EPT_VIOLATION, READ));
	assert_int_equal(rig_vcpu.regs.rbx, 0xffffffff);
	assert_int_equal(fake_vmcs_get(GUEST_RIP), 0x1004);
}

/* Claim: MOVS copies between RAM and a device, in both directions, one element an exit with REP. */
static void movs(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs;
	u32 value = 0x40;

	(void)state;
	assert_true(guest_write(&rig_vm->mem, RIG_RIP + 0x800, &value, 4));
	g->rsi = RIG_RIP + 0x800;
	g->rdi = LAPIC + APIC_TPR;
	ACCESS("\xa5", LAPIC + APIC_TPR, WRITE); /* movsl */
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], 0x40);
	assert_int_equal(g->rsi, RIG_RIP + 0x804);
	assert_int_equal(g->rdi, LAPIC + APIC_TPR + 4);

	g->rsi = LAPIC + APIC_VERSION;
	g->rdi = RIG_RIP + 0x900;
	g->rcx = 2;
	assert_true(violation("\xf3\xa5", 2, LAPIC + APIC_VERSION, READ));
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP);
	assert_int_equal(g->rcx, 1);
	ACCESS("\xf3\xa5", HOLE, READ);
	assert_int_equal(g->rcx, 0);
	assert_true(guest_read(&rig_vm->mem, RIG_RIP + 0x900, &value, 4));
	assert_int_equal(value, APIC_VERSION_VALUE);
	assert_true(guest_read(&rig_vm->mem, RIG_RIP + 0x904, &value, 4));
	assert_int_equal(value, 0xffffffff);

	/* The RAM side is not there: a page fault, and nothing has moved. */
	g->rdi = 0x7f0000000000;
	assert_true(violation("\xa5", 1, LAPIC + APIC_VERSION, READ));
	assert_exception(VECTOR_PF, true, 2);
	assert_int_equal(fake_x86.cr2, 0x7f0000000000);
	assert_int_equal(g->rdi, 0x7f0000000000);
	g->rsi = 0x7f0000000000;
	assert_true(violation("\xa5", 1, LAPIC + APIC_TPR, WRITE));
	assert_exception(VECTOR_PF, true, 0);
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], 0x40);
}

/* Claim: STOS fills a register and steps. */
static void stos(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs;

	(void)state;
	g->rax = 0x70, g->rdi = 0x1000, g->rcx = 1;
	ACCESS("\xf3\xab", LAPIC + APIC_TPR, WRITE);
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], 0x70);
	assert_int_equal(g->rdi, 0x1004);
	assert_int_equal(g->rcx, 0);
}

/* Claim: an instruction that is not known is #UD for the guest, which lives on; the first few are told, with their bytes. */
static void unknown(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 20; i++) {
		assert_true(violation("\x0f\x58\x00\xcc", 4, HOLE, READ)); /* addps (%rax),%xmm0 */
		assert_exception(VECTOR_UD, false, 0);
		assert_true(!strstr(capture_text(),
				    "0xd0000000 by an instruction not known: 0f 58 00 cc") ==
			    (i >= 8));
	}
	assert_int_equal(rig_vm->mmio.refused, 20);
	assert_int_equal(rig_vm->mmio.unclaimed, 0);
}

static struct vm_config *stop_at_unknown(void)
{
	static struct vm_config config;

	config = *rig_vm->config;
	config.unknown_access = UNKNOWN_ACCESS_STOP;
	rig_vm->config = &config;
	return &config;
}

/* Claim: or it ends the VM, with its address and its bytes, if its configuration says so. */
static void unknown_stops(void **state)
{
	(void)state;
	stop_at_unknown();
	assert_false(violation("\x0f\x58\x00\xcc", 4, HOLE, READ));
	assert_stopped("device access to 0xd0000000 by an instruction not known: 0f 58 00 cc");
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP);
}

/* Claim: the bytes stop where the page does, if the next one is missing. */
static void unknown_at_the_end(void **state)
{
	(void)state;
	stop_at_unknown();
	assert_true(guest_write(&rig_vm->mem, RIG_RIP + 0xffe, "\x0f\x11", 2));
	fake_vmcs_set(GUEST_RIP, RIG_RIP + 0xffe);
	fake_vmcs_set(GUEST_PHYSICAL_ADDRESS, HOLE);
	assert_false(rig_exit(EXIT_EPT_VIOLATION, WRITE));
	assert_stopped("not known: 0f 11");
	assert_true(strlen(rig_vm->reason) < sizeof(rig_vm->reason) - 1);
	assert_string_equal(strstr(rig_vm->reason, "known:"), "known: 0f 11");
}

/* Claim: a vector comes from memory 8 bytes at a time, ones where nothing is, and goes there likewise. */
static void vectors(void **state)
{
	u8 xmm3[INSN_MAX_SIZE];
	u64 halves[2] = { 0x1111111111111111, 0x2222222222222222 };

	(void)state;
	memcpy(xmm3, halves, 16);
	vector_write(INSN_SSE, 3, xmm3);
	ACCESS("\x0f\x12\x18", HOLE, READ); /* movlps (%rax),%xmm3 */
	vector_read(INSN_SSE, 3, xmm3);
	memcpy(halves, xmm3, 16);
	assert_int_equal(halves[0], ~0ULL);
	assert_int_equal(halves[1], 0x2222222222222222);
	ACCESS("\xf3\x0f\x6f\x18", LAPIC + APIC_VERSION, READ); /* movdqu */
	vector_read(INSN_SSE, 3, xmm3);
	memcpy(halves, xmm3, 16);
	assert_int_equal(halves[0], APIC_VERSION_VALUE);
	assert_int_equal(halves[1], 0);
	assert_int_equal(rig_vcpu.lapic_accesses, 2);

	halves[0] = 0, halves[1] = 0x70;
	memcpy(xmm3, halves, 16);
	vector_write(INSN_SSE, 3, xmm3);
	ACCESS("\x66\x0f\x6e\x18", LAPIC + APIC_VERSION, READ); /* movd (%rax),%xmm3 */
	ACCESS("\x66\x0f\x7e\x18", LAPIC + APIC_TPR, WRITE);    /* movd %xmm3,(%rax) */
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], APIC_VERSION_VALUE & 0xff);
	ACCESS("\x0f\x11\x18", HOLE, WRITE);
	assert_int_equal(rig_vm->mmio.unclaimed, 3);
}

/* Claim: what XCR0 does not allow was not what the CPU executed; the guest tries again, and no register is touched. */
static void vectors_not_allowed(void **state)
{
	(void)state;
	rig_vcpu.xcr0 = 3;
	assert_true(violation("\xc5\xfe\x6f\x00", 4, HOLE, READ)); /* vmovdqu (%rax),%ymm0 */
	assert_no_exception();
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP);
	rig_vcpu.xcr0 = 7;
	assert_true(
		violation("\x62\xf1\x7e\x48\x6f\x00", 6, HOLE, READ)); /* vmovdqu32 (%rax),%zmm0 */
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP);
	assert_int_equal(rig_vm->mmio.unclaimed, 0);
	ACCESS("\xc5\xfe\x6f\x00", HOLE, READ);
	assert_int_equal(rig_vm->mmio.unclaimed, 4);
}

/* Claim: CMPXCHG exchanges if the register is what RAX says, and else loads RAX. */
static void compare_exchange(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs;

	(void)state;
	rig_vcpu.lapic.regs[APIC_TPR / 4] = 0x30;
	g->rax = 0x31, g->rcx = 0x50;
	ACCESS("\xf0\x0f\xb1\x0f", LAPIC + APIC_TPR, READ | WRITE);
	assert_int_equal(g->rax, 0x30);
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], 0x30);
	ACCESS("\xf0\x0f\xb1\x0f", LAPIC + APIC_TPR, READ | WRITE);
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], 0x50);
	assert_int_equal(g->rax, 0x30);
	assert_int_equal(g->rcx, 0x50);
}

/* Claim: CMPS compares RAM with a device, on either side, and REPE ends at the first difference. */
static void compare_strings(void **state)
{
	struct guest_regs *g = &rig_vcpu.regs;
	u32 value = APIC_VERSION_VALUE;

	(void)state;
	assert_true(guest_write(&rig_vm->mem, RIG_RIP + 0x800, &value, 4));
	map_64(LAPIC, LAPIC | PT_P | PT_W);
	g->rsi = RIG_RIP + 0x800;
	g->rdi = LAPIC + APIC_VERSION;
	g->rcx = 3;
	assert_true(violation("\xf3\xa7", 2, LAPIC + APIC_VERSION, READ));
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP);
	assert_true(fake_vmcs_get(GUEST_RFLAGS) & BIT(6));
	assert_int_equal(g->rcx, 2);
	g->rsi = LAPIC + APIC_VERSION;
	g->rdi = RIG_RIP + 0x804;
	ACCESS("\xf3\xa7", LAPIC + APIC_VERSION, READ);
	assert_false(fake_vmcs_get(GUEST_RFLAGS) & BIT(6));
	assert_int_equal(g->rcx, 1);

	g->rdi = 0x7f0000000000;
	assert_true(violation("\xa6", 1, LAPIC + APIC_VERSION, READ));
	assert_exception(VECTOR_PF, true, 0);
}

/* Claim: an instruction across pages that are not neighbours in RAM is put together. */
static void across_pages(void **state)
{
	(void)state;
	put64(TABLE(1), (RIG_RIP + 0x1000) >> 12 & 511, 0x30000 | PT_P);
	assert_true(guest_write(&rig_vm->mem, RIG_RIP + 0xffd, "\xc7\x00\x50", 3));
	assert_true(guest_write(&rig_vm->mem, 0x30000, "\x00\x00\x00", 3));
	fake_vmcs_set(GUEST_RIP, RIG_RIP + 0xffd);
	fake_vmcs_set(GUEST_PHYSICAL_ADDRESS, LAPIC + APIC_TPR);
	assert_true(rig_exit(EXIT_EPT_VIOLATION, WRITE));
	assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], 0x50);
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP + 0xffd + 6);
}

/* Claim: when the bytes have changed since, so that the direction differs, the CPU tries again. */
static void changed_since(void **state)
{
	(void)state;
	assert_true(violation("\x8b\x18", 2, LAPIC + APIC_TPR, WRITE));
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP);
	assert_true(violation("\x89\x18", 2, LAPIC + APIC_TPR, READ));
	assert_int_equal(fake_vmcs_get(GUEST_RIP), RIG_RIP);
	assert_int_equal(rig_vcpu.lapic_accesses, 0);
}

/* Claim: code must be in RAM, or the guest has #UD, or the VM ends if it says so. */
static void code_not_in_ram(void **state)
{
	(void)state;
	assert_true(violation("\x8b\x18", 2, HOLE, FETCH));
	assert_exception(VECTOR_UD, false, 0);
	assert_non_null(strstr(capture_text(), "code at 0xd0000000, where there is no memory"));
	stop_at_unknown();
	assert_false(violation("\x8b\x18", 2, HOLE, FETCH));
	assert_stopped("code at 0xd0000000, where there is no memory");
}

/* Claim: who jumps to the reset vector has the VM reset. */
static void reset_vector(void **state)
{
	(void)state;
	assert_false(violation("\x8b\x18", 2, 0xfffffff0, FETCH));
	assert_int_equal(rig_vm->end, VM_END_RESET);
	assert_string_equal(rig_vm->reason, "reset");
}

/* Claim: page tables, and a stack or IDT in mid-delivery must be in RAM, or the VM ends. */
static void not_in_ram(void **state)
{
	assert_false(
		violation("\x8b\x18", 2, HOLE, EPT_VIOLATION_READ | EPT_VIOLATION_LINEAR_VALID));
	assert_stopped("a page table or stack at 0xd0000000, where there is no memory");
	setup(state);
	fake_vmcs_set(IDT_VECTORING_INFO, INTR_INFO_VALID | INTR_TYPE_EXTERNAL | 0x41);
	assert_false(violation("\x8b\x18", 2, LAPIC, READ));
	assert_stopped("a page table or stack at 0xfee00000");
}

/* Claim: an IRET that a violation ended finds NMIs blocked again. */
static void iret(void **state)
{
	(void)state;
	ACCESS("\x8b\x18", HOLE, READ | BIT(12));
	assert_int_equal(fake_vmcs_get(GUEST_INTERRUPTIBILITY_STATE), BLOCKING_BY_NMI);
}

/* Claim: any bytes at any place in any mode end in a done instruction, a fault or a stopped VM. */
static void random_code(void **state)
{
	for (unsigned int i = 0; i < 20000; i++) {
		u8 code[15];

		if (i % 500 == 0)
			setup(state);
		rig_vm->state = VM_RUNNING;
		for (unsigned int j = 0; j < sizeof(code); j++)
			code[j] = (u8)(rig_random() >> 40);
		for (u64 *reg = &rig_vcpu.regs.r15; reg <= &rig_vcpu.regs.rax; reg++)
			*reg = rig_random() >> (rig_random() & 63);
		fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, rig_random() & 1 ? 0xa09b : 0xc09b);
		(void)violation(code, sizeof(code),
				rig_random() & 1 ? LAPIC + (rig_random() & 0xfff)
						 : IOAPIC + (rig_random() & 0xfff),
				rig_random() & 1 ? READ : WRITE);
		assert_in_range(fake_vmcs_get(GUEST_RIP) - RIG_RIP, 0, 15);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lapic, setup),
		cmocka_unit_test_setup(modify, setup),
		cmocka_unit_test_setup(ioapic, setup),
		cmocka_unit_test_setup(nothing_there, setup),
		cmocka_unit_test_setup(no_page_in_x2apic_mode, setup),
		cmocka_unit_test_setup(modes, setup),
		cmocka_unit_test_setup(movs, setup),
		cmocka_unit_test_setup(stos, setup),
		cmocka_unit_test_setup(unknown, setup),
		cmocka_unit_test_setup(unknown_stops, setup),
		cmocka_unit_test_setup(unknown_at_the_end, setup),
		cmocka_unit_test_setup(vectors, setup),
		cmocka_unit_test_setup(vectors_not_allowed, setup),
		cmocka_unit_test_setup(compare_exchange, setup),
		cmocka_unit_test_setup(compare_strings, setup),
		cmocka_unit_test_setup(code_not_in_ram, setup),
		cmocka_unit_test_setup(reset_vector, setup),
		cmocka_unit_test_setup(across_pages, setup),
		cmocka_unit_test_setup(changed_since, setup),
		cmocka_unit_test_setup(not_in_ram, setup),
		cmocka_unit_test_setup(iret, setup),
		cmocka_unit_test_setup(random_code, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
