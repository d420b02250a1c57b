/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: control registers follow the manual's rules, and the guest sees what it wrote. */
#include "tests/unit/vcpu_rig.h"
#include "vmm/vcpu/cr.h"

enum { TO = 0, FROM = 1, CLTS = 2, LMSW = 3 };
enum { RAX, RCX, RDX, RBX, RSP };

static bool cr_exit(unsigned int what, unsigned int cr, unsigned int reg, u64 lmsw)
{
	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	rig_vcpu.event.info = 0;
	return rig_exit(EXIT_CR_ACCESS, cr | what << 4 | reg << 8 | lmsw << 16);
}

/* Is MOV @value to CR@cr done (else it was #GP)? */
static bool mov(unsigned int cr, u64 value)
{
	rig_vcpu.regs.rdx = value;
	assert_true(cr_exit(TO, cr, RDX, 0));
	if (rig_advanced()) {
		assert_no_exception();
		return true;
	}
	assert_gp();
	return false;
}

/* #GP, and no control register, shadow, EFER or entry control has changed. */
static void refused(unsigned int cr, u64 value)
{
	static const enum vmcs_field kept[] = { GUEST_CR0,       GUEST_CR4,       CR0_READ_SHADOW,
						CR4_READ_SHADOW, GUEST_IA32_EFER, VM_ENTRY_CONTROLS,
						GUEST_PDPTE0,    GUEST_PDPTE3 };
	u64 before[ARRAY_SIZE(kept)];

	for (unsigned int i = 0; i < ARRAY_SIZE(kept); i++)
		before[i] = fake_vmcs_get(kept[i]);
	assert_false(mov(cr, value));
	for (unsigned int i = 0; i < ARRAY_SIZE(kept); i++)
		assert_int_equal(fake_vmcs_get(kept[i]), before[i]);
}

static void use_prot32(void)
{
	rig_start_mode(GUEST_PROT32);
}

/* In a mode with 64-bit operands, but outside of 64-bit code. */
static void use_compatibility(void)
{
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, fake_vmcs_get(GUEST_CS_ACCESS_RIGHTS) & ~(u64)AR_L);
}

/* Claim: CD, NW and NE of CR0, VMXE and MCE of CR4 and all that does not exist are the VMM's. */
static void ownership(void **state)
{
	u64 cr0 = fake_vmcs_get(CR0_GUEST_HOST_MASK), cr4 = fake_vmcs_get(CR4_GUEST_HOST_MASK);

	(void)state;
	assert_int_equal(~cr0,
			 CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_WP | CR0_AM | CR0_PG);
	assert_int_equal(~cr4, rig_vcpu.cpuid.cr4_allowed & ~(CR4_VMXE | CR4_MCE));
	assert_false(rig_vcpu.cpuid.cr4_allowed &
		     (CR4_VMXE | CR4_SMXE | CR4_LA57 | CR4_PKE | CR4_CET | CR4_PKS));
}

/* Claim: what the guest wrote is what it sees; caches stay on, NE and VMXE and MCE set. */
static void shadows(void **state)
{
	u64 cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_CD | CR0_NW | CR0_WP | CR0_TS;

	(void)state;
	assert_true(mov(0, cr0));
	assert_int_equal(cr0_seen(), cr0);
	assert_int_equal(fake_vmcs_get(GUEST_CR0), (cr0 & ~(CR0_CD | CR0_NW)) | CR0_NE);
	assert_true(mov(0, CR0_PE | CR0_PG | CR0_NE)); /* ET is always 1 */
	assert_int_equal(cr0_seen(), CR0_PE | CR0_PG | CR0_NE | CR0_ET);

	assert_true(mov(4, CR4_PAE | CR4_PGE));
	assert_int_equal(cr4_seen(), CR4_PAE | CR4_PGE);
	assert_int_equal(fake_vmcs_get(GUEST_CR4), CR4_PAE | CR4_PGE | CR4_VMXE | CR4_MCE);
	/* The guest's own bits it changes without an exit: they are seen where they are. */
	fake_vmcs_set(GUEST_CR4, fake_vmcs_get(GUEST_CR4) & ~CR4_PGE);
	assert_int_equal(cr4_seen(), CR4_PAE);
	fake_vmcs_set(GUEST_CR0, fake_vmcs_get(GUEST_CR0) | CR0_TS);
	assert_int_equal(cr0_seen(), CR0_PE | CR0_PG | CR0_NE | CR0_ET | CR0_TS);
}

/* Claim: each #GP rule of MOV to CR0. Reserved bits below 32 are ignored. */
static void cr0_rules(void **state)
{
	(void)state;
	refused(0, CR0_PE | CR0_PG | BIT(32));
	refused(0, CR0_PE | CR0_PG | BIT(63));
	refused(0, CR0_PG);
	refused(0, CR0_PE | CR0_PG | CR0_NW);
	refused(0, CR0_PE); /* leaves IA-32e mode in 64-bit code */
	assert_true(mov(0, CR0_PE | CR0_PG | BIT(6) | BIT(28)));
	assert_int_equal(cr0_seen(), CR0_PE | CR0_PG | CR0_ET);

	use_compatibility();
	fake_vmcs_set(GUEST_CR4, fake_vmcs_get(GUEST_CR4) | CR4_PCIDE);
	refused(0, CR0_PE);
}

/* Claim: each #GP rule of MOV to CR4. */
static void cr4_rules(void **state)
{
	u64 allowed = rig_vcpu.cpuid.cr4_allowed;

	(void)state;
	for (unsigned int bit = 0; bit < 64; bit++) {
		bool ok = allowed & BIT(bit);

		if (bit == 17) /* PCIDE: below */
			continue;
		assert_int_equal(mov(4, CR4_PAE | BIT(bit)), ok);
	}
	refused(4, 0); /* PAE off in IA-32e mode */
	if (!(allowed & CR4_PCIDE))
		return;
	assert_true(mov(4, CR4_PAE));
	fake_vmcs_set(GUEST_CR3, 0x5001);
	refused(4, CR4_PAE | CR4_PCIDE);
	fake_vmcs_set(GUEST_CR3, 0x5000);
	assert_true(mov(4, CR4_PAE | CR4_PCIDE));
	fake_vmcs_set(GUEST_CR3, 0x5001);
	assert_true(mov(4, CR4_PAE | CR4_PCIDE | CR4_PGE)); /* on already: CR3 is free */
	use_prot32();
	refused(4, CR4_PAE | CR4_PCIDE);
}

/* Claim: outside of 64-bit mode the operand has 32 bits. */
static void operand_size(void **state)
{
	(void)state;
	use_compatibility();
	assert_true(mov(0, CR0_PE | CR0_PG | BIT(32)));
	assert_true(mov(4, CR4_PAE | BIT(40)));
	assert_true(mov(8, 7 | BIT(40)));
	assert_int_equal(vlapic_cr8(&rig_vcpu.lapic), 7);
}

/* Claim: CR8 is the TPR's class, 0 to 15, in both directions and from any register. */
static void cr8(void **state)
{
	(void)state;
	for (u64 v = 0; v < 16; v++) {
		assert_true(mov(8, v));
		assert_int_equal(rig_vcpu.lapic.regs[APIC_TPR / 4], v << 4);
		rig_vcpu.regs.rbx = ~0ULL;
		cr_exit(FROM, 8, RBX, 0);
		assert_true(rig_advanced());
		assert_int_equal(rig_vcpu.regs.rbx, v);
	}
	refused(8, 16);
	refused(8, BIT(63));
	assert_int_equal(vlapic_cr8(&rig_vcpu.lapic), 15);
	fake_vmcs_set(GUEST_RSP, 3);
	cr_exit(TO, 8, RSP, 0);
	assert_int_equal(vlapic_cr8(&rig_vcpu.lapic), 3);
}

/* Claim: registers that do not exist, and reads that cannot exit, are #GP. */
static void no_such_register(void **state)
{
	(void)state;
	for (unsigned int cr = 0; cr < 16; cr++) {
		if (cr != 0 && cr != 4 && cr != 8)
			refused(cr, 0);
		if (cr == 8)
			continue;
		cr_exit(FROM, cr, RAX, 0);
		assert_gp();
	}
}

/* Claim: LMSW sets PE and never clears it; it and CLTS touch nothing else. */
static void lmsw_clts(void **state)
{
	use_prot32();
	(void)state;
	cr_exit(LMSW, 0, 0, 0xe);
	assert_int_equal(cr0_seen(), CR0_PE | CR0_ET | CR0_MP | CR0_EM | CR0_TS);
	cr_exit(CLTS, 0, 0, 0);
	assert_true(rig_advanced());
	assert_int_equal(cr0_seen(), CR0_PE | CR0_ET | CR0_MP | CR0_EM);
	cr_exit(LMSW, 0, 0, 0);
	assert_int_equal(cr0_seen(), CR0_PE | CR0_ET);
	assert_true(mov(0, CR0_CD));
	cr_exit(LMSW, 0, 0, 1);
	assert_int_equal(cr0_seen(), CR0_PE | CR0_ET | CR0_CD);
}

/* Claim: EFER.LMA and the entry control go with CR0.PG when EFER.LME is set. */
static void long_mode_switch(void **state)
{
	u64 entry;

	(void)state;
	use_prot32();
	entry = fake_vmcs_get(VM_ENTRY_CONTROLS);
	fake_vmcs_set(GUEST_IA32_EFER, EFER_LME | EFER_NXE);
	refused(0, CR0_PE | CR0_PG); /* without PAE */
	assert_true(mov(4, CR4_PAE));
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, fake_vmcs_get(GUEST_CS_ACCESS_RIGHTS) | AR_L);
	refused(0, CR0_PE | CR0_PG); /* with a 64-bit CS */
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, fake_vmcs_get(GUEST_CS_ACCESS_RIGHTS) & ~(u64)AR_L);

	assert_true(mov(0, CR0_PE | CR0_PG));
	assert_int_equal(fake_vmcs_get(GUEST_IA32_EFER), EFER_LME | EFER_LMA | EFER_NXE);
	assert_int_equal(fake_vmcs_get(VM_ENTRY_CONTROLS), entry | ENTRY_IA32E_MODE_GUEST);
	assert_true(mov(0, CR0_PE));
	assert_int_equal(fake_vmcs_get(GUEST_IA32_EFER), EFER_LME | EFER_NXE);
	assert_int_equal(fake_vmcs_get(VM_ENTRY_CONTROLS), entry);
}

static void put_pdptes(gpa_t gpa, u64 a, u64 b, u64 c, u64 d)
{
	u64 pdpte[] = { a, b, c, d };

	assert_true(guest_write(&rig_vm->mem, gpa, pdpte, sizeof(pdpte)));
}

/* Claim: in PAE mode the four entries are loaded from CR3, bits 31:5, or it is #GP. */
static void pdptes(void **state)
{
	(void)state;
	use_prot32();
	assert_true(mov(4, CR4_PAE));
	fake_vmcs_set(GUEST_CR3, 0xffff00000000301fULL); /* the rest is ignored */
	put_pdptes(0x3000, 0x10001, 0x20001, 0, 0x40001 | 0xe00);
	assert_true(mov(0, CR0_PE | CR0_PG));
	assert_int_equal(fake_vmcs_get(GUEST_PDPTE0), 0x10001);
	assert_int_equal(fake_vmcs_get(GUEST_PDPTE1), 0x20001);
	assert_int_equal(fake_vmcs_get(GUEST_PDPTE2), 0);
	assert_int_equal(fake_vmcs_get(GUEST_PDPTE3), 0x40e01);

	put_pdptes(0x3000, 0x10001, 0x20001, 0x3e6, 0x40003); /* reserved bit 1, and present */
	refused(0, CR0_PE | CR0_PG);
	refused(4, CR4_PAE | CR4_PGE);
	for (unsigned int bit = 0; bit < 64; bit++) {
		/* The fake processor has 46 bits of physical address. */
		bool reserved = bit == 1 || bit == 2 || (bit >= 5 && bit <= 8) || bit >= 46;

		put_pdptes(0x3000, 0x10001, BIT(bit) | 1, 0, 0);
		if (reserved)
			refused(0, CR0_PE | CR0_PG);
		else
			assert_true(mov(0, CR0_PE | CR0_PG));
	}
	put_pdptes(0x3000, 0x10001, 0xfe6, 0, 0); /* not present: anything goes */
	assert_true(mov(0, CR0_PE | CR0_PG));

	fake_vmcs_set(GUEST_CR3, RIG_RAM); /* outside of RAM */
	refused(0, CR0_PE | CR0_PG);
	fake_vmcs_set(GUEST_CR3, RIG_RAM - 32);
	assert_true(mov(0, CR0_PE | CR0_PG));
	fake_vmcs_set(GUEST_CR3, 0xffffffe0);
	refused(0, CR0_PE | CR0_PG);
}

/* Claim: a change flushes the guest's translations where it has a tag; without VPID an exit does. */
static void flush(void **state)
{
	(void)state;
	for (unsigned int vpid = 0; vpid < 2; vpid++) {
		rig_mask = RIG_SOFTWARE | (vpid ? 0 : BIT(VMX_VPID));
		rig_restart();
		fake_invvpids = 0;
		assert_true(mov(4, CR4_PAE | CR4_PGE));
		assert_int_equal(fake_invvpids, vpid);
		assert_true(mov(0, CR0_PE | CR0_PG | CR0_CD));
		assert_int_equal(fake_invvpids, 2 * vpid);
	}
}

static bool do_xsetbv(u64 rcx, u64 value)
{
	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	rig_vcpu.event.info = 0;
	rig_vcpu.regs.rcx = rcx;
	rig_vcpu.regs.rax = (value & 0xffffffff) | 0xdead00000000ULL; /* upper halves are ignored */
	rig_vcpu.regs.rdx = value >> 32 | 0xdead00000000ULL;
	assert_true(rig_exit(EXIT_XSETBV, 0));
	if (rig_advanced()) {
		assert_int_equal(rig_vcpu.xcr0, value);
		assert_int_equal(fake_x86.xcr0, value);
		return true;
	}
	assert_gp();
	return false;
}

/* Claim: all values of the defined components: those that the manual allows, of those offered. */
static void xsetbv_rules(void **state)
{
	static const u64 offers[] = { 1, 3, 7, 0xe7, 0 };

	(void)state;
	for (unsigned int o = 0; o < ARRAY_SIZE(offers); o++) {
		rig_vcpu.cpuid.xcr0_allowed = offers[o];
		for (u64 v = 0; v < 0x400; v++) {
			bool avx512 = v & 0xe0;
			bool ok = (v & 1) && !(v & ~offers[o]) && (!(v & 4) || (v & 2)) &&
				  (!avx512 || ((v & 0xe0) == 0xe0 && (v & 4)));

			assert_int_equal(do_xsetbv(0xdead00000000ULL, v), ok);
		}
		assert_false(do_xsetbv(1, 1));
		assert_false(do_xsetbv(0xffffffff, 1));
		assert_false(do_xsetbv(0, BIT(63) | 1));
		assert_false(do_xsetbv(0, BIT(32) | 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ownership, rig_start),
		cmocka_unit_test_setup(shadows, rig_start),
		cmocka_unit_test_setup(cr0_rules, rig_start),
		cmocka_unit_test_setup(cr4_rules, rig_start),
		cmocka_unit_test_setup(operand_size, rig_start),
		cmocka_unit_test_setup(cr8, rig_start),
		cmocka_unit_test_setup(no_such_register, rig_start),
		cmocka_unit_test_setup(lmsw_clts, rig_start),
		cmocka_unit_test_setup(long_mode_switch, rig_start),
		cmocka_unit_test_setup(pdptes, rig_start),
		cmocka_unit_test_setup(flush, rig_start),
		cmocka_unit_test_setup(xsetbv_rules, rig_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
