/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: what `hide` names in lintel.conf is what the VM's devices and CPUs are without, of either kind, and nothing else. */
#include "boot/config.h"
#include "tests/unit/vcpu_rig.h"
#include "vmm/vcpu/hide.h"

static u64 no_bits(const char *name)
{
	(void)name;
	return 0;
}

/* lintel.conf with that line, and a VM made of it. */
static void start_with(const char *hide)
{
	static const struct config_names names = { no_bits, hide_bits };
	static struct config config;
	char text[128];

	snprintf(text, sizeof(text), "[vm a]\nkernel = k\n%s\n", hide);
	assert_int_equal(config_parse(&config, text, strlen(text), &names), 0);
	rig_config.hide = config.vm[0].hide;
	rig_config.console = VM_CONSOLE_VIRTIO;
	rig_start(NULL);
	cpuid_build(&rig_vcpu.cpuid, &vmm.caps, rig_config.hide, 0, 1, vmm.tsc_hz);
}

static u64 offered(void)
{
	return rig_vm->machine->console.card->console.dev.features & VIRTIO_CORE_FEATURES;
}

static bool has_x2apic(void)
{
	return cpuid_has(&rig_vcpu.cpuid, 1, 0, CPUID_ECX, 21);
}

static void each_kind(void **state)
{
	static const struct {
		const char *hide;
		u64 without;
		bool x2apic;
	} table[] = {
		{ "", 0, true },
		{ "hide = x2apic", 0, false },
		{ "hide = virtio-event-idx", VIRTIO_F_EVENT_IDX, true },
		{ "hide = virtio-indirect", VIRTIO_F_INDIRECT_DESC, true },
		{ "hide = virtio-indirect, x2apic, virtio-event-idx",
		  VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC, false },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(table); i++) {
		start_with(table[i].hide);
		assert_int_equal(offered(), VIRTIO_CORE_FEATURES & ~table[i].without);
		assert_int_equal(has_x2apic(), table[i].x2apic);
	}
}

/* Claim: no name is both, what no device can do without has none, and nothing is guessed. */
static void names(void **state)
{
	static const char *const unknown[] = {
		"",         "virtio", "virtio-version-1", "VIRTIO-INDIRECT", "virtio-event-idx ",
		"event-idx"
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_int_equal(hide_bits(unknown[i]), 0);
	assert_int_equal(hide_bits("virtio-event-idx") & hide_bits("virtio-indirect"), 0);
	assert_int_equal(cpuid_hide_bits("virtio-event-idx"), 0);
	assert_int_equal(hide_bits("pv") >> CONFIG_HIDE_VIRTIO_SHIFT, 0);
	assert_int_equal(lower_32(hide_bits("virtio-indirect")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_kind), cmocka_unit_test(names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
