/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/run/summary.h"
#include "lib/print.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "lib/version.h"
#include "lib/x86.h"
#include "vmm/host/hostdev.h"
#include "vmm/host/mem.h"
#include "vmm/host/tsc.h"
#include "vmm/host/vmm.h"
#include "vmm/run/steps.h"

typedef unsigned long long ull;

#define WIDTH 68 /* of 78 characters, less what stands before a line's text */

/* Words that make lines of their own length. */
struct lines {
	char text[WIDTH + 1];
	size_t len;
	const char *title;
};

static void lines_end(struct lines *l)
{
	if (l->len)
		pr_info("| %s\n", l->text);
	l->len = 0;
}

static void lines_add(struct lines *l, const char *word)
{
	if (l->len && l->len + 2 + strlen(word) > WIDTH)
		lines_end(l);
	if (!l->len)
		l->len = scnprintf(l->text, sizeof(l->text), "%s:", l->title);
	l->len += scnprintf(l->text + l->len, sizeof(l->text) - l->len, " %s", word);
}

static void print_features(const char *title, u64 features)
{
	struct lines l = { .title = title };

	for (unsigned int i = 0; i < VMX_FEATURES; i++) {
		if (features & BIT(i))
			lines_add(&l, vmx_feature_info[i].name);
	}
	lines_end(&l);
}

/* SDM, "CPUID": the processor brand string, 48 bytes, which may begin with blanks. */
static void print_cpu(void)
{
	u32 brand[13] = { 0 };
	const char *text = (const char *)brand;

	for (u32 i = 0; i < 3 && cpuid(0x80000000, 0).eax >= 0x80000004; i++) {
		struct cpuid_regs r = cpuid(0x80000002 + i, 0);

		brand[4 * i] = r.eax;
		brand[4 * i + 1] = r.ebx;
		brand[4 * i + 2] = r.ecx;
		brand[4 * i + 3] = r.edx;
	}
	while (*text == ' ')
		text++;
	pr_info("| cpu: %08x %.48s\n", cpuid(1, 0).eax, *text ? text : "(no name)");
	pr_info("| cpus: %u in use; microcode 0x%x\n", vmm.host_cpus, vmm.platform.microcode);
	pr_info("| tsc: %llu.%03llu MHz, %s\n", (ull)(tsc_hz() / 1000000),
		(ull)(tsc_hz() / 1000 % 1000), tsc_source());
}

static void print_machine(const char *firmware)
{
	const char *oem = vmm.platform.acpi_oem;

	pr_info("| firmware: %.40s; ACPI: %.8s%s\n", firmware, oem && *oem ? oem : "none",
		vmm.platform.hypervisor ? "; virtual" : "");
	pr_info("| memory: %llu MiB free, %llu MiB the firmware's, %llu KiB the VMM's\n",
		(ull)(mem_free_bytes() >> 20), (ull)(mem_owner_bytes(MEM_OWNER_FIRMWARE) >> 20),
		(ull)(mem_owner_bytes(MEM_OWNER_VMM) >> 10));
}

static void print_devices(void)
{
	struct lines l = { .title = "disks" };
	const struct block_device *disk;
	const struct nic *nic;
	char text[WIDTH / 2];

	for (unsigned int i = 0; (disk = hostdev_disk(i)); i++) {
		scnprintf(text, sizeof(text), "%.20s (%llu MiB)", disk->name,
			  (ull)(disk->sectors >> 11));
		lines_add(&l, text);
	}
	if (!l.len)
		lines_add(&l, "none");
	lines_end(&l);
	l.title = "nics";
	for (unsigned int i = 0; (nic = hostdev_nic(i)); i++)
		lines_add(&l, nic->name);
	if (!l.len)
		lines_add(&l, "none");
	lines_end(&l);
}

void summary_print(const char *firmware)
{
	const struct vmx_caps *caps = &vmm.caps;

	pr_info("| --- summary of Lintel " LINTEL_VERSION " ---\n");
	print_cpu();
	print_machine(firmware);
	print_devices();
	print_features("vmx used", caps->used);
	print_features("vmx masked", caps->present & caps->masked);
	print_features("vmx missing", ~caps->present & GENMASK(VMX_FEATURES - 1, 0));
	steps_print();
	pr_info("| --- end of the summary ---\n");
}
