/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: an instruction that is remembered is the one that would be found anew, whatever has changed meanwhile. */
#include "tests/unit/guest_tables.h"
#include "vmm/vcpu/insn.h"

#define OTHER_PAGE 0x30000ULL
#define OTHER_TOP  0x38000ULL

/* mov (%rax),%ebx; mov %rcx,(%rax); movl $imm,8(%rax): 2, 3 and 7 bytes. */
static const struct {
	const char *bytes;
	size_t len;
	enum insn_access access;
} code[] = {
	{ "\x8b\x18", 2, INSN_READ },
	{ "\x48\x89\x08", 3, INSN_WRITE },
	{ "\xc7\x40\x08\x11\x22\x33\x44", 7, INSN_WRITE },
};

static struct insn_bytes bytes;

static int setup(void **state)
{
	rig_start(state);
	mode_64();
	map_64(RIG_RIP, RIG_RIP | PT_P | PT_W);
	fake_vmcs_set(GUEST_RIP, RIG_RIP);
	rig_vcpu.insns = (struct insn_cache){ 0 };
	return 0;
}

static void put_code(gpa_t gpa, unsigned int n)
{
	assert_true(guest_write(&rig_vm->mem, gpa, code[n].bytes, code[n].len));
}

static void assert_finds(unsigned int n)
{
	const struct mmio_insn *insn = insn_current(&rig_vcpu, insn_mode(), &bytes);

	assert_non_null(insn);
	assert_int_equal(insn->length, code[n].len);
	assert_int_equal(insn->access, code[n].access);
}

/* Claim: it is remembered at all: nothing is fetched the second time. */
static void remembered(void **state)
{
	(void)state;
	put_code(RIG_RIP, 0);
	bytes.len = 0;
	assert_finds(0);
	assert_int_equal(bytes.len, INSN_MAX_LENGTH);
	bytes.len = 0;
	assert_finds(0);
	assert_int_equal(bytes.len, 0);
}

/* Claim: new bytes in the same place count, be it only the last one. */
static void other_bytes(void **state)
{
	const struct mmio_insn *insn;

	(void)state;
	for (unsigned int n = 0; n < ARRAY_SIZE(code); n++) {
		put_code(RIG_RIP, n);
		assert_finds(n);
		assert_finds(n);
	}
	assert_true(guest_write(&rig_vm->mem, RIG_RIP + 6, "\x45", 1));
	insn = insn_current(&rig_vcpu, insn_mode(), &bytes);
	assert_non_null(insn);
	assert_int_equal(insn->imm, 0x45332211);
}

/* Claim: an entry of any level that leads elsewhere counts, though the old page still holds the old bytes. */
static void other_tables(void **state)
{
	(void)state;
	for (unsigned int level = 1; level <= 4; level++) {
		unsigned int shift = 12 + 9 * (level - 1);
		gpa_t old = level > 1 ? TABLE(level - 1) : RIG_RIP, new = OTHER_TOP;

		setup(NULL);
		put_code(RIG_RIP, 0);
		put_code(OTHER_PAGE, 1);
		assert_finds(0);
		/* Tables beside the old ones, from this level down to the other page. */
		for (unsigned int l = level - 1; l; l--, new += PAGE_SIZE)
			put64(new, RIG_RIP >> (12 + 9 * (l - 1)) & 511,
			      (l > 1 ? new + PAGE_SIZE : OTHER_PAGE) | PT_P | PT_W | PT_U);
		put64(TABLE(level), RIG_RIP >> shift & 511,
		      (level > 1 ? OTHER_TOP : OTHER_PAGE) | PT_P | PT_W | PT_U);
		assert_finds(1);
		put64(TABLE(level), RIG_RIP >> shift & 511, old | PT_P | PT_W | PT_U);
		assert_finds(0);
		put64(TABLE(level), RIG_RIP >> shift & 511, 0);
		assert_null(insn_current(&rig_vcpu, insn_mode(), &bytes));
		assert_int_equal(bytes.len, 0);
	}
}

/* Claim: another CR3, no paging, and another mode of the code count. */
static void other_mode(void **state)
{
	(void)state;
	put_code(RIG_RIP, 0);
	put_code(OTHER_PAGE, 1);
	map_64(RIG_RIP, OTHER_PAGE | PT_P);
	assert_finds(1);
	mode_none();
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, 0xc09b);
	assert_finds(0);
	assert_finds(0);
	mode_64();
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, 0xa09b);
	assert_finds(1);
	put64(OTHER_TOP, RIG_RIP >> 39 & 511, 0);
	fake_vmcs_set(GUEST_CR3, OTHER_TOP);
	assert_null(insn_current(&rig_vcpu, insn_mode(), &bytes));
	fake_vmcs_set(GUEST_CR3, TABLE(4));
	assert_finds(1);
	/* REX in 64-bit mode is DEC EAX in 32-bit mode, which touches no memory. */
	fake_vmcs_set(GUEST_IA32_EFER, 0);
	fake_vmcs_set(GUEST_CR0, CR0_PE);
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, 0xc09b);
	put_code(RIG_RIP, 1);
	assert_null(insn_current(&rig_vcpu, insn_mode(), &bytes));
}

/* Claim: one across pages is found right each time, whichever half changes. */
static void across_pages(void **state)
{
	const u64 rip = RIG_RIP + 0xffd;

	(void)state;
	put64(TABLE(1), (RIG_RIP + 0x1000) >> 12 & 511, OTHER_PAGE | PT_P);
	fake_vmcs_set(GUEST_RIP, rip);
	assert_true(guest_write(&rig_vm->mem, rip, code[2].bytes, 3));
	assert_true(guest_write(&rig_vm->mem, OTHER_PAGE, code[2].bytes + 3, 4));
	assert_finds(2);
	assert_true(guest_write(&rig_vm->mem, OTHER_PAGE + 3, "\x45", 1));
	assert_int_equal(insn_current(&rig_vcpu, insn_mode(), &bytes)->imm, 0x45332211);
	put64(TABLE(1), (RIG_RIP + 0x1000) >> 12 & 511, 0);
	assert_null(insn_current(&rig_vcpu, insn_mode(), &bytes));
	assert_int_equal(bytes.len, 3);
}

/* Claim: many places that share an entry of the cache do not get each other's instruction. */
static void many_places(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < 200; i++) {
			unsigned int n = i % ARRAY_SIZE(code);

			put_code(RIG_RIP + 16 * i, n);
			fake_vmcs_set(GUEST_RIP, RIG_RIP + 16 * i);
			assert_finds(n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(remembered, setup),
		cmocka_unit_test_setup(other_bytes, setup),
		cmocka_unit_test_setup(other_tables, setup),
		cmocka_unit_test_setup(other_mode, setup),
		cmocka_unit_test_setup(across_pages, setup),
		cmocka_unit_test_setup(many_places, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
