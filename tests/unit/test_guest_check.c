/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: after a failed VM entry the check that failed is named, and a good VMCS passes them all. */
#include "tests/unit/vcpu_rig.h"

#define GOOD "no check that Lintel knows"

static const char *verdict(void)
{
	return vmx_guest_state_fault(&vmm.caps);
}

/* What VCPU set-up makes, completed by what a guest would: passes. */
static void good(void **state)
{
	(void)state;
	rig_start_mode(GUEST_LONG64);
	assert_string_equal(verdict(), GOOD);
	rig_start_mode(GUEST_PROT32);
	assert_string_equal(verdict(), GOOD);
}

/* Fields that make the VMCS of set-up (in 64-bit or 32-bit mode) fail just the check @what. */
struct violation {
	const char *what;
	enum guest_mode mode;
	struct {
		enum vmcs_field field;
		u64 value;
	} set[4];
};

#define L        GUEST_LONG64
#define S        GUEST_PROT32
#define EXTERNAL (INTR_INFO_VALID | INTR_TYPE_EXTERNAL | 0x41)

static const struct violation violations[] = {
	{ "CR0 has a bit", L, { { GUEST_CR0, CR0_PE | CR0_PG } } },
	{ "CR0.PG without CR0.PE", S, { { GUEST_CR0, CR0_PG | CR0_NE } } },
	{ "CR4 has a bit", L, { { GUEST_CR4, CR4_PAE } } },
	{ "CR4 has a bit", L, { { GUEST_CR4, CR4_VMXE | CR4_PAE | BIT(31) } } },
	{ "IA-32e mode without", L, { { GUEST_CR4, CR4_VMXE } } },
	{ "IA-32e mode without", L, { { GUEST_CR0, CR0_PE | CR0_NE } } },
	{ "CR4.PCIDE outside", S, { { GUEST_CR4, CR4_VMXE | CR4_PCIDE } } },
	{ "CR3 beyond", L, { { GUEST_CR3, BIT(52) } } },
	{ "IA32_SYSENTER", L, { { GUEST_IA32_SYSENTER_ESP, BIT(63) } } },
	{ "IA32_SYSENTER", L, { { GUEST_IA32_SYSENTER_EIP, BIT(47) } } },
	{ "IA32_PAT", L, { { GUEST_IA32_PAT, 2 } } },
	{ "IA32_PAT", L, { { GUEST_IA32_PAT, 3ULL << 56 } } },
	{ "IA32_PAT", L, { { GUEST_IA32_PAT, 8ULL << 48 } } },
	{ "IA32_EFER", L, { { GUEST_IA32_EFER, EFER_LME | EFER_LMA | BIT(12) } } },
	{ "IA32_EFER", L, { { GUEST_IA32_EFER, EFER_LME } } },
	{ "IA32_EFER", L, { { GUEST_IA32_EFER, EFER_LMA } } },
	{ "IA32_EFER", S, { { GUEST_IA32_EFER, EFER_LME | EFER_LMA } } },
	{ "TR or LDTR selector", L, { { GUEST_TR_SELECTOR, 4 } } },
	{ "TR or LDTR selector",
	  L,
	  { { GUEST_LDTR_SELECTOR, 4 }, { GUEST_LDTR_ACCESS_RIGHTS, AR_P | AR_TYPE_LDT } } },
	{ "a segment base", L, { { GUEST_TR_BASE, BIT(47) } } },
	{ "a segment base", L, { { GUEST_FS_BASE, BIT(63) } } },
	{ "a segment base", L, { { GUEST_GS_BASE, BIT(48) } } },
	{ "a segment base", L, { { GUEST_CS_BASE, BIT(32) } } },
	{ "a segment base", L, { { GUEST_DS_BASE, BIT(32) } } },
	{ "segments not as virtual-8086", S, { { GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_VM } } },
	{ "CS access", L, { { GUEST_CS_ACCESS_RIGHTS, 0xa08b } } },
	{ "CS access", L, { { GUEST_CS_ACCESS_RIGHTS, 0xa01b } } },
	{ "CS access", L, { { GUEST_CS_ACCESS_RIGHTS, 0xe09b } } },
	{ "CS access", L, { { GUEST_CS_ACCESS_RIGHTS, 0xa0fb } } },
	{ "CS access", L, { { GUEST_CS_ACCESS_RIGHTS, 0xa09a } } },
	{ "SS access", L, { { GUEST_SS_ACCESS_RIGHTS, 0xc091 } } },
	{ "SS access", L, { { GUEST_SS_ACCESS_RIGHTS, 0xc013 } } },
	{ "access rights of DS", L, { { GUEST_DS_ACCESS_RIGHTS, 0xc092 } } },
	{ "access rights of DS", L, { { GUEST_ES_ACCESS_RIGHTS, 0xc083 } } },
	{ "access rights of DS", L, { { GUEST_FS_ACCESS_RIGHTS, 0xc013 } } },
	{ "access rights of DS", L, { { GUEST_GS_ACCESS_RIGHTS, 0xc099 } } },
	{ "TR access", L, { { GUEST_TR_ACCESS_RIGHTS, 0x83 } } },
	{ "TR access", S, { { GUEST_TR_ACCESS_RIGHTS, AR_UNUSABLE } } },
	{ "TR access", S, { { GUEST_TR_ACCESS_RIGHTS, 0x89 } } },
	{ "LDTR access", L, { { GUEST_LDTR_ACCESS_RIGHTS, 0x83 } } },
	{ "LDTR access", L, { { GUEST_LDTR_ACCESS_RIGHTS, 0x02 } } },
	{ "GDTR or IDTR", L, { { GUEST_GDTR_BASE, BIT(63) } } },
	{ "GDTR or IDTR", L, { { GUEST_IDTR_BASE, BIT(63) } } },
	{ "GDTR or IDTR", L, { { GUEST_GDTR_LIMIT, 0x10000 } } },
	{ "GDTR or IDTR", L, { { GUEST_IDTR_LIMIT, 0x10000 } } },
	{ "RIP not canonical", L, { { GUEST_RIP, BIT(47) } } },
	{ "RIP not canonical", S, { { GUEST_RIP, BIT(32) } } },
	{ "RFLAGS", L, { { GUEST_RFLAGS, 0 } } },
	{ "RFLAGS", L, { { GUEST_RFLAGS, RFLAGS_FIXED | BIT(3) } } },
	{ "RFLAGS", L, { { GUEST_RFLAGS, RFLAGS_FIXED | BIT(22) } } },
	{ "RFLAGS", L, { { VM_ENTRY_INTERRUPTION_INFO, EXTERNAL } } },
	{ "activity state", L, { { GUEST_ACTIVITY_STATE, 4 } } },
	{ "activity state",
	  L,
	  { { GUEST_ACTIVITY_STATE, ACTIVITY_HLT },
	    { GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS } } },
	{ "activity state",
	  L,
	  { { GUEST_ACTIVITY_STATE, ACTIVITY_HLT },
	    { GUEST_SS_ACCESS_RIGHTS, 0xc0f3 },
	    { GUEST_CS_ACCESS_RIGHTS, 0xa0fb } } },
	{ "interruptibility state", L, { { GUEST_INTERRUPTIBILITY_STATE, BIT(5) } } },
	{ "interruptibility state", L, { { GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_STI } } },
	{ "interruptibility state",
	  L,
	  { { GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF },
	    { GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_STI | BLOCKING_BY_MOV_SS } } },
	{ "interruptibility state",
	  L,
	  { { GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF },
	    { GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS },
	    { VM_ENTRY_INTERRUPTION_INFO, EXTERNAL } } },
	{ "pending debug exceptions",
	  L,
	  { { GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF },
	    { GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS } } },
	{ "pending debug exceptions",
	  L,
	  { { GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS },
	    { GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS } } },
	{ "VMCS link pointer", L, { { VMCS_LINK_POINTER, 0x1000 } } },
};

/* Claim: each way to be wrong is told by its own check. */
static void each_violation(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(violations); i++) {
		const struct violation *v = &violations[i];

		rig_start_mode(v->mode);
		for (unsigned int j = 0; j < ARRAY_SIZE(v->set) && v->set[j].field; j++)
			fake_vmcs_set(v->set[j].field, v->set[j].value);
		if (strncmp(verdict(), v->what, strlen(v->what))) {
			print_error("%u: \"%s\" instead of \"%s\"\n", i, verdict(), v->what);
			fail();
		}
	}
}

/* Claim: states that are unusual, but that a CPU takes, are not accused. */
static void unusual_but_good(void **state)
{
	static const struct violation fine[] = {
		{ GOOD, S, { { GUEST_CR0, CR0_NE } } },
		{ GOOD, S, { { GUEST_CS_ACCESS_RIGHTS, 0x93 } } },
		{ GOOD, L, { { GUEST_DS_ACCESS_RIGHTS, AR_UNUSABLE } } },
		{ GOOD, L, { { GUEST_SS_ACCESS_RIGHTS, AR_UNUSABLE } } },
		{ GOOD, L, { { GUEST_FS_BASE, 0xffff800000000000 } } },
		{ GOOD, L, { { GUEST_RIP, 0xffffffff81000000 } } },
		{ GOOD, L, { { GUEST_IA32_PAT, 0x0706050401000706 } } },
		{ GOOD, S, { { GUEST_TR_ACCESS_RIGHTS, 0x83 } } },
		{ GOOD, S, { { GUEST_IA32_EFER, EFER_LME } } },
		{ GOOD,
		  L,
		  { { GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_IF },
		    { VM_ENTRY_INTERRUPTION_INFO, EXTERNAL },
		    { GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_NMI } } },
		{ GOOD,
		  L,
		  { { GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_TF },
		    { GUEST_INTERRUPTIBILITY_STATE, BLOCKING_BY_MOV_SS },
		    { GUEST_PENDING_DEBUG_EXCEPTIONS, PENDING_DEBUG_BS } } },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(fine); i++) {
		rig_start_mode(fine[i].mode);
		for (unsigned int j = 0; j < ARRAY_SIZE(fine[i].set) && fine[i].set[j].field; j++)
			fake_vmcs_set(fine[i].set[j].field, fine[i].set[j].value);
		if (strcmp(verdict(), GOOD)) {
			print_error("%u: \"%s\"\n", i, verdict());
			fail();
		}
	}
}

/* Claim: virtual-8086 mode with its own kind of segments passes. */
static void v86(void **state)
{
	(void)state;
	rig_start_mode(GUEST_PROT32);
	fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_VM);
	for (unsigned int seg = SEG_ES; seg <= SEG_GS; seg++) {
		fake_vmcs_set(GUEST_SEGMENT(GUEST_ES_SELECTOR, seg), 0x1230);
		fake_vmcs_set(GUEST_SEGMENT(GUEST_ES_BASE, seg), 0x12300);
		fake_vmcs_set(GUEST_SEGMENT(GUEST_ES_LIMIT, seg), 0xffff);
		fake_vmcs_set(GUEST_SEGMENT(GUEST_ES_ACCESS_RIGHTS, seg), 0xf3);
	}
	fake_vmcs_set(GUEST_RIP, 0x100);
	assert_string_equal(verdict(), GOOD);
	fake_vmcs_set(GUEST_DS_BASE, 0x12310);
	assert_string_equal(verdict(), "segments not as virtual-8086 mode has them");
}

/* Claim: no VMCS whatever makes the checks fail to find an end. */
static void any_vmcs(void **state)
{
#define SET_RANDOM(name, encoding) fake_vmcs_set(name, rig_random());
	(void)state;
	rig_start_mode(GUEST_LONG64);
	for (unsigned int i = 0; i < 2000; i++) {
		VMCS_FIELDS(SET_RANDOM)
		assert_non_null(verdict());
	}
#undef SET_RANDOM
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(each_violation),
		cmocka_unit_test(unusual_but_good),
		cmocka_unit_test(v86),
		cmocka_unit_test(any_vmcs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
