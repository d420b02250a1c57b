/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: VT-x features and controls are chosen by what is there, masked and known to be broken. */
#include "lib/errno.h"
#include "tests/unit/vcpu_rig.h"

static const struct vmx_platform bare = { .acpi_oem = "" };
static struct vmx_caps caps;
static struct vmx_controls controls;

static int setup(void **state)
{
	(void)state;
	fake_x86_reset();
	rig_full_vmx();
	vmx_caps_read(&caps);
	return 0;
}

static void choose(u64 mask)
{
	capture_start();
	vmx_caps_choose(&caps, &bare, mask, 0);
	capture_stop();
}

/* Choose the controls with messages kept. */
static int choose_controls(void)
{
	int err;

	capture_start();
	err = vmx_controls_choose(&caps, &controls);
	capture_stop();
	return err;
}

/* Claim: every feature has a name of its own, a cost, and is found by its name. */
static void names(void **state)
{
	u64 all = 0;

	(void)state;
	for (unsigned int i = 0; i < VMX_FEATURES; i++) {
		assert_non_null(vmx_feature_info[i].name);
		assert_non_null(vmx_feature_info[i].cost);
		assert_int_not_equal(vmx_feature_info[i].bits, 0);
		assert_int_equal(vmx_mask_bits(vmx_feature_info[i].name), BIT(i));
		all |= BIT(i);
	}
	assert_int_equal(vmx_mask_bits("all"), all);
	assert_int_equal(vmx_mask_bits("profile:minimal"), all);
	/* As tests/machine/test_nested.py finds kvm_intel. */
	assert_int_equal(vmx_mask_bits("profile:kvm-nested"),
			 BIT(VMX_POSTED_INTERRUPTS) | BIT(VMX_PAUSE_LOOP));
	assert_int_equal(vmx_mask_bits("profile:kvm-nested-apicv"), BIT(VMX_PAUSE_LOOP));
	assert_int_equal(vmx_mask_bits("profile:none"), 0);
	assert_int_equal(vmx_mask_bits("vpi"), 0);
	assert_int_equal(vmx_mask_bits("VPID"), 0);
	assert_int_equal(vmx_mask_bits(""), 0);
}

/* The MSR of @group's allowed-1 settings. */
static u32 msr_of(enum vmx_control_group group)
{
	static const u32 msr[] = {
		[VMX_PIN] = 0x48d,  [VMX_CPU] = 0x48e,   [VMX_CPU2] = 0x48b,
		[VMX_EXIT] = 0x48f, [VMX_ENTRY] = 0x490, [VMX_EPT_VPID] = 0x48c
	};

	return msr[group];
}

static void take_away(enum vmx_control_group group, u64 bits)
{
	u64 v = fake_msr(msr_of(group));

	fake_msr_set(msr_of(group), group == VMX_EPT_VPID ? v & ~bits : v & ~(bits << 32));
	vmx_caps_read(&caps);
}

/* Claim: a feature is there when the CPU has its bits, and masks take exactly it. */
static void presence(void **state)
{
	(void)state;
	assert_int_equal(caps.present, BIT(VMX_FEATURES) - 1);
	for (unsigned int i = 0; i < VMX_FEATURES; i++) {
		const struct vmx_feature_info *f = &vmx_feature_info[i];
		u64 also = 0, used;

		if (i == VMX_TPR_SHADOW)
			also = BIT(VMX_X2APIC_MODE) | BIT(VMX_APIC_ACCESSES) |
			       BIT(VMX_APIC_REGISTERS) | BIT(VMX_VID) | BIT(VMX_POSTED_INTERRUPTS);
		else if (i == VMX_VID)
			also = BIT(VMX_POSTED_INTERRUPTS);
		setup(state);
		choose(0);
		used = caps.used;
		assert_int_equal(!!(used & BIT(i)), !f->planned);
		choose(BIT(i));
		assert_int_equal(caps.used, used & ~BIT(i) & ~also);
		take_away(f->group, f->bits);
		assert_int_equal(caps.present, (BIT(VMX_FEATURES) - 1) & ~BIT(i));
	}
}

/* Claim: VPID without INVVPID is of no use. */
static void vpid(void **state)
{
	static const u64 needed[] = { EPT_CAP_INVVPID, EPT_CAP_INVVPID_ALL };

	for (unsigned int i = 0; i < ARRAY_SIZE(needed); i++) {
		setup(state);
		take_away(VMX_EPT_VPID, needed[i]);
		assert_false(caps.present & BIT(VMX_VPID));
	}
}

/* Claim: posted interrupts go with acknowledging on exit, or not at all. */
static void acknowledge(void **state)
{
	(void)state;
	choose(0);
	assert_int_equal(choose_controls(), 0);
	assert_true(controls.word[VMX_PIN] & PIN_POSTED_INTERRUPTS);
	assert_true(controls.word[VMX_EXIT] & EXIT_ACK_INTERRUPT);
	choose(BIT(VMX_POSTED_INTERRUPTS));
	assert_int_equal(choose_controls(), 0);
	assert_false(controls.word[VMX_EXIT] & EXIT_ACK_INTERRUPT);
	take_away(VMX_EXIT, EXIT_ACK_INTERRUPT);
	assert_false(caps.present & BIT(VMX_POSTED_INTERRUPTS));
}

/* Claim: without bit 55 of the basic MSR the old capability MSRs count. */
static void old_msrs(void **state)
{
	(void)state;
	fake_msr_set(IA32_VMX_BASIC, 0x12);
	fake_msr_set(0x481, make_64(0x7f, 0x16));
	vmx_caps_read(&caps);
	assert_int_equal(caps.control[VMX_PIN].must_be_1, 0x16);
	assert_int_equal(caps.control[VMX_PIN].may_be_1, 0x7f);
	/* and with no secondary controls their MSRs are not touched at all */
	fake_x86_reset();
	rig_full_vmx();
	take_away(VMX_CPU, CPU_SECONDARY_CONTROLS);
	assert_int_equal(caps.control[VMX_CPU2].may_be_1, 0);
	assert_int_equal(caps.ept_vpid, 0);
}

/* Claim: each control that Lintel cannot do without is missed by name. */
static void required_controls(void **state)
{
	static const struct {
		enum vmx_control_group group;
		u64 bit;
		const char *name;
	} required[] = {
		{ VMX_PIN, BIT(0), "external-interrupt exiting" },
		{ VMX_PIN, BIT(3), "NMI exiting" },
		{ VMX_CPU, BIT(3), "use TSC offsetting" },
		{ VMX_CPU, BIT(7), "HLT exiting" },
		{ VMX_CPU, BIT(11), "RDPMC exiting" },
		{ VMX_CPU, BIT(25), "use I/O bitmaps" },
		{ VMX_CPU, BIT(28), "use MSR bitmaps" },
		{ VMX_CPU, BIT(31), "activate secondary controls" },
		{ VMX_CPU2, BIT(1), "enable EPT" },
		{ VMX_CPU2, BIT(7), "unrestricted guest" },
		{ VMX_EXIT, BIT(2), "save debug controls" },
		{ VMX_EXIT, BIT(9), "host address-space size" },
		{ VMX_EXIT, BIT(18), "save IA32_PAT" },
		{ VMX_EXIT, BIT(19), "load IA32_PAT on exit" },
		{ VMX_EXIT, BIT(20), "save IA32_EFER" },
		{ VMX_EXIT, BIT(21), "load IA32_EFER on exit" },
		{ VMX_ENTRY, BIT(2), "load debug controls" },
		{ VMX_ENTRY, BIT(14), "load IA32_PAT on entry" },
		{ VMX_ENTRY, BIT(15), "load IA32_EFER on entry" },
		{ VMX_EPT_VPID, BIT(6), "EPT page-walk length 4" },
		{ VMX_EPT_VPID, BIT(14), "write-back EPT structures" },
		{ VMX_EPT_VPID, BIT(20), "INVEPT" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(required); i++) {
		char text[100];

		setup(state);
		choose(0);
		assert_int_equal(choose_controls(), 0);
		assert_string_equal(capture_text(), "");
		if (required[i].group != VMX_EPT_VPID)
			assert_true(controls.word[required[i].group] & required[i].bit);
		take_away(required[i].group, required[i].bit);
		choose(0);
		assert_int_equal(choose_controls(), -ENOTSUP);
		snprintf(text, sizeof(text), "\"%s\", which Lintel needs", required[i].name);
		assert_non_null(strstr(capture_text(), text));
	}
}

/* Claim: what a CPU insists on is set, or is told by name when Lintel cannot live with it. */
static void insisting_cpu(void **state)
{
	static const struct {
		u64 bit;
		const char *name;
	} unwanted[] = {
		{ BIT(9), "INVLPG exiting" },    { BIT(12), "RDTSC exiting" },
		{ BIT(15), "CR3-load exiting" }, { BIT(16), "CR3-store exiting" },
		{ BIT(23), "MOV-DR exiting" },   { BIT(24), "unconditional I/O exiting" },
		{ BIT(30), "PAUSE exiting" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(unwanted); i++) {
		setup(state);
		choose(0);
		caps.control[VMX_CPU].must_be_1 = (u32)unwanted[i].bit;
		assert_int_equal(choose_controls(), -ENOTSUP);
		assert_non_null(strstr(capture_text(), unwanted[i].name));
		assert_non_null(strstr(capture_text(), "insists on"));
	}
	setup(state);
	choose(0);
	for (unsigned int i = VMX_PIN; i <= VMX_ENTRY; i++)
		caps.control[i].must_be_1 = BIT(1) | BIT(4);
	assert_int_equal(choose_controls(), 0);
	for (unsigned int i = VMX_PIN; i <= VMX_ENTRY; i++)
		assert_int_equal(controls.word[i] & (BIT(1) | BIT(4)), BIT(1) | BIT(4));
}

/* Claim: CR8 exits exactly without the TPR shadow, and x2APIC mode goes with it. */
static void tpr_shadow(void **state)
{
	u64 cr8 = CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING;

	(void)state;
	choose(0);
	assert_int_equal(choose_controls(), 0);
	assert_int_equal(controls.word[VMX_CPU] & (cr8 | CPU_TPR_SHADOW), CPU_TPR_SHADOW);
	assert_true(controls.word[VMX_CPU2] & CPU2_VIRTUALIZE_X2APIC_MODE);
	choose(BIT(VMX_TPR_SHADOW));
	assert_int_equal(choose_controls(), 0);
	assert_int_equal(controls.word[VMX_CPU] & (cr8 | CPU_TPR_SHADOW), cr8);
	assert_false(controls.word[VMX_CPU2] & CPU2_VIRTUALIZE_X2APIC_MODE);
}

/* Claim: with everything masked just the required controls are set, and MONITOR and MWAIT exit. */
static void minimal(void **state)
{
	(void)state;
	choose(vmx_mask_bits("profile:minimal"));
	assert_int_equal(caps.used, 0);
	assert_int_equal(choose_controls(), 0);
	assert_int_equal(controls.word[VMX_PIN], BIT(0) | BIT(3));
	assert_int_equal(controls.word[VMX_CPU2], BIT(1) | BIT(7));
	assert_true(controls.word[VMX_CPU] & CPU_MONITOR_EXITING);
	assert_true(controls.word[VMX_CPU] & CPU_MWAIT_EXITING);
	assert_false(controls.word[VMX_CPU] & CPU_INTERRUPT_WINDOW_EXITING);
}

/* Claim: features that no code stands behind yet are never switched on. */
static void planned(void **state)
{
	(void)state;
	choose(0);
	assert_int_equal(choose_controls(), 0);
	for (unsigned int i = 0; i < VMX_FEATURES; i++) {
		const struct vmx_feature_info *f = &vmx_feature_info[i];

		if (f->planned && f->group != VMX_EPT_VPID)
			assert_false(controls.word[f->group] & f->bits);
	}
}

/* Claim: Bochs is known by its ACPI tables without a hypervisor in CPUID; QEMU has both. */
static void errata(void **state)
{
	static const struct vmx_platform others[] = {
		{ .acpi_oem = "BOCHS", .hypervisor = true },
		{ .acpi_oem = "" },
		{ .acpi_oem = "INTEL" },
		{ .acpi_oem = "BOCH" },
		{ .acpi_oem = "BOCHSX" },
		{ .acpi_oem = "bochs" },
	};
	static const struct vmx_platform bochs = { .acpi_oem = "BOCHS" };
	u64 broken = BIT(VMX_VID) | BIT(VMX_POSTED_INTERRUPTS);

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++)
		assert_null(vmx_erratum_next(&others[i], NULL));

	capture_start();
	vmx_caps_choose(&caps, &bochs, BIT(VMX_VPID), 0);
	capture_stop();
	assert_int_equal(caps.masked, broken | BIT(VMX_VPID));
	assert_non_null(strstr(capture_text(), "vmx: erratum of Bochs: "));
	assert_null(strstr(capture_text(), "ignored"));

	capture_start();
	vmx_caps_choose(&caps, &bochs, 0, BIT(VMX_VID));
	capture_stop();
	assert_int_equal(caps.masked, BIT(VMX_POSTED_INTERRUPTS));
	assert_null(strstr(capture_text(), "ignored"));

	capture_start();
	vmx_caps_choose(&caps, &bochs, 0, broken);
	capture_stop();
	assert_int_equal(caps.masked, 0);
	assert_non_null(strstr(capture_text(), "(ignored by the configuration)"));
}

/* Claim: the report names each feature that is there and not used, and what its absence costs. */
static void report(void **state)
{
	(void)state;
	take_away(VMX_EPT_VPID, EPT_CAP_1G);
	choose(BIT(VMX_VPID));
	capture_start();
	vmx_caps_report(&caps);
	capture_stop();
	assert_non_null(strstr(capture_text(), "vmx: masked: vpid\n"));
	assert_non_null(strstr(capture_text(), "vmx: missing: ept-1g\n"));
	assert_non_null(strstr(capture_text(), "vmx: without vpid: every entry"));
	assert_non_null(strstr(capture_text(), "vmx: without ept-1g: guest RAM"));
	assert_null(strstr(capture_text(), "without tpr-shadow"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(names, setup),
		cmocka_unit_test_setup(presence, setup),
		cmocka_unit_test_setup(vpid, setup),
		cmocka_unit_test_setup(acknowledge, setup),
		cmocka_unit_test_setup(old_msrs, setup),
		cmocka_unit_test_setup(required_controls, setup),
		cmocka_unit_test_setup(insisting_cpu, setup),
		cmocka_unit_test_setup(tpr_shadow, setup),
		cmocka_unit_test_setup(minimal, setup),
		cmocka_unit_test_setup(planned, setup),
		cmocka_unit_test_setup(errata, setup),
		cmocka_unit_test_setup(report, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
