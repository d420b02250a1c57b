/* SPDX-License-Identifier: BSD-2-Clause */
/* From the hand-over by boot/ to the run loop. */
#include "drivers/fbtext.h"
#include "drivers/pci.h"
#include "drivers/rtc.h"
#include "lib/printk.h"
#include "lib/string.h"
#include "vmm/host/acpi.h"
#include "vmm/host/alike.h"
#include "vmm/host/ap.h"
#include "vmm/boot_info.h"
#include "vmm/host/cpu.h"
#include "vmm/vm/disks.h"
#include "vmm/host/driver_selftest.h"
#include "vmm/exit/exit.h"
#include "vmm/vcpu/hide.h"
#include "vmm/host/host.h"
#include "vmm/host/hostdev.h"
#include "vmm/host/hostpt.h"
#include "vmm/observe/inside.h"
#include "vmm/vm/machine.h"
#include "vmm/host/mem.h"
#include "vmm/vm/networks.h"
#include "vmm/host/panic.h"
#include "vmm/host/power.h"
#include "vmm/run/run.h"
#include "vmm/run/steps.h"
#include "vmm/run/summary.h"
#include "vmm/host/tsc.h"
#include "vmm/vm/vm.h"
#include "vmx/vmx.h"

const struct config_names vmm_config_names = { vmx_mask_bits, hide_bits };

static struct cpu boot_cpu;
static struct acpi_info acpi;
static struct cpu_traits boot_traits; /* which all CPUs that run guests have */

/* `interrupts = quiet` cannot do without these. */
#define INTERRUPTS_QUIET_NEEDS (BIT(VMX_TPR_SHADOW) | BIT(VMX_VID) | BIT(VMX_PREEMPTION_TIMER))

/* Where there is a screen, leave people the time to read it. */
#define GOODBYE_SECONDS 5

/* What it prints stays on the screen; without a line for each second, which would move it. */
static void summarize(const struct boot_info *info, bool failed)
{
	u32 seconds = info->config.host.summary;
	u64 end, look;

	summary_print(info->firmware);
	pr_info("the summary stays for %u s, or until a key is pressed on the serial line\n",
		seconds);
	power_drain();
	(void)host_key(); /* what was typed before was not meant */
	end = rdtsc() + seconds * tsc_hz();
	while ((look = rdtsc()) < end && !host_key()) {
		look += tsc_hz() / 10;
		if (failed) /* perhaps without a timer that ends a sleep */
			cpu_pause();
		else
			host_idle(MIN(end, look));
	}
}

static void __noreturn finish(const struct boot_info *info, bool failed)
{
	enum config_idle idle = info->config.host.idle;

	if (info->config.host.summary && tsc_hz())
		summarize(info, failed);
	else if (failed && info->fbtext && idle != IDLE_STAY && tsc_hz()) {
		u64 end = rdtsc() + GOODBYE_SECONDS * tsc_hz();

		while (rdtsc() < end)
			cpu_pause();
	}
	switch (idle) {
	case IDLE_POWEROFF: pr_info("powering off\n"); power_off();
	case IDLE_REBOOT: pr_info("rebooting\n"); power_reset();
	case IDLE_STAY: break;
	}
	pr_info("nothing left to run; the machine stays on (idle = stay)\n");
	power_drain();
	cpu_halt();
}

/* VMX root operation on this CPU, which has to be like the one whose capabilities were read. */
static int enter_vmx(void)
{
	struct vmcs *region = (struct vmcs *)(uintptr_t)mem_alloc_page(MEM_OWNER_VMM);

	if (!region)
		panic("no page for VMXON");
	return vmx_on(&vmm.caps, region);
}

/* The `interrupts` key, in terms of features: what else is not to be used, and what in spite of an erratum. */
static void choose_features(const struct host_config *config)
{
	const u64 virtual_interrupts = BIT(VMX_VID) | BIT(VMX_POSTED_INTERRUPTS);
	u64 mask = config->mask, unmask = config->unmask;

	vmm.quiet = config->interrupts == INTERRUPTS_QUIET;
	if (vmm.quiet &&
	    (vmm.caps.present & ~mask & INTERRUPTS_QUIET_NEEDS) != INTERRUPTS_QUIET_NEEDS) {
		pr_warn("lintel.conf: interrupts = quiet: needs vid and preemption-timer: by "
			"software instead\n");
		vmm.quiet = false;
		mask |= virtual_interrupts;
	}
	if (vmm.quiet) {
		mask |= BIT(VMX_POSTED_INTERRUPTS);
		unmask |= BIT(VMX_VID);
	}
	if (config->interrupts == INTERRUPTS_SOFTWARE)
		mask |= virtual_interrupts;
	vmx_caps_choose(&vmm.caps, &vmm.platform, mask, unmask);
	if (vmm.quiet)
		pr_info("vmx: quiet: virtual interrupts, with the machine's own held off while a "
			"guest runs\n");
}

/* In the quiet arrangement no interrupt of the machine ends a guest's turn; with an erratum it may do so late. */
#define LOOK_HZ_QUIET 10000
#define LOOK_HZ_LATE  100

static u64 look_ticks(void)
{
	const struct vmx_erratum *e = NULL;

	if (vmm.quiet)
		return vmm.tsc_hz / LOOK_HZ_QUIET;
	while ((e = vmx_erratum_next(&vmm.platform, e))) {
		if (e->late)
			return vmm.tsc_hz / LOOK_HZ_LATE;
	}
	return LOOK_NEVER;
}

static int start_vmx(const struct host_config *config)
{
	int err = vmx_check_cpu(true);

	if (err)
		return err;
	vmx_caps_read(&vmm.caps);
	cpu_traits_read(&boot_traits, &vmm.caps);
	choose_features(config);
	vmm.look_ticks = look_ticks();
	err = vmx_controls_choose(&vmm.caps, &vmm.controls);
	vmx_caps_report(&vmm.caps);
	return err ? err : enter_vmx();
}

static bool is_like_boot_cpu(const struct cpu *cpu)
{
	struct cpu_traits traits;
	struct vmx_caps caps;
	const char *trait;
	unsigned int i;

	vmx_caps_read(&caps);
	cpu_traits_read(&traits, &caps);
	trait = cpu_traits_differ(&boot_traits, &traits, &i);
	if (trait)
		pr_warn("cpu: APIC ID %u is not used: its %s is 0x%llx, the boot CPU's 0x%llx\n",
			cpu->apic_id, trait, (unsigned long long)traits.value[i],
			(unsigned long long)boot_traits.value[i]);
	return !trait;
}

/* What each other CPU does, on its own stack. */
static void ap_main(struct cpu *cpu)
{
	host_init_cpu(vmm.tsc_hz);
	if (vmx_check_cpu(false) || !is_like_boot_cpu(cpu) || enter_vmx())
		return;
	ap_online();
	run_ap(cpu);
}

static void tell_of_panic(void)
{
	exit_log_dump();
	steps_panic();
}

static void selftest(void)
{
	hostpt_dump();
	pr_info("selftest: page tables: %u violations of W^X\n", hostpt_check());
}

static void make_vms(const struct config *config)
{
	u64 size = MAX(config->vms, 1u) * (sizeof(*vmm.vm) + sizeof(struct machine));
	hpa_t hpa = mem_alloc(size, PAGE_SIZE, MEM_OWNER_VMM);
	struct machine *machines;

	if (!hpa)
		panic("no memory for %u VMs", config->vms);
	memset((void *)(uintptr_t)hpa, 0, size);
	vmm.vm = (struct vm *)(uintptr_t)hpa;
	machines = (struct machine *)(void *)(vmm.vm + config->vms);
	for (vmm.vms = 0; vmm.vms < config->vms; vmm.vms++) {
		vmm.vm[vmm.vms].id = vmm.vms;
		vmm.vm[vmm.vms].config = &config->vm[vmm.vms];
		vmm.vm[vmm.vms].machine = &machines[vmm.vms];
	}
	if (!vmm.vms)
		pr_err("lintel.conf names no VM: add a section [vm NAME] with kernel = FILE\n");
}

static void __noreturn start_vms(const struct boot_info *info)
{
	const struct console_hooks hooks = {
		.quit = run_quit,
		.list = run_list,
		.times = inside_key_times,
		.trace = inside_key_trace,
		.input_ready = vm_console_input,
		.output_ready = vm_console_output,
	};

	console_init(&host_line, &hooks);
	make_vms(&info->config);
	pr_info("VMM: %llu KiB of image, %llu KiB of memory\n",
		(unsigned long long)(mem_owner_bytes(MEM_OWNER_IMAGE) >> 10),
		(unsigned long long)(mem_owner_bytes(MEM_OWNER_VMM) >> 10));
	networks_init(&info->config);
	inside_init(vmm.config, vmm.host_cpus);
	run_vms();
	inside_end();
	finish(info, false);
}

/* On our own stack, tables and page tables: what the firmware has left of these is free now. */
static void vmm_run(void *arg)
{
	const struct boot_info *info = arg;

	mem_free_owner(MEM_OWNER_BOOT);
	if (info->secure_boot)
		pr_info("boot: Secure Boot is on\n");
	panic_set_hook(tell_of_panic);
	acpi_init(&acpi, info->acpi_rsdp);
	acpi_print(&acpi);
	power_init(&acpi);
	power_set_drain(host_drain);
	vmx_platform_read(&vmm.platform, acpi.oem_id);
	if (tsc_init(&acpi) || host_init(info, &acpi, tsc_hz()))
		finish(info, true);
	vmm.tsc_hz = tsc_hz();
	vmm.epoch = rtc_read(0x32);
	vmm_read_cpu();
	if (vmm.config->selftest == SELFTEST_YES)
		selftest();
	if (start_vmx(vmm.config)) {
		if (vmm.config->selftest == SELFTEST_DRIVERS) {
			hostdev_init(&acpi);
			driver_selftest();
		}
		pr_err("no VM can run on this machine\n");
		finish(info, true);
	}
	hostdev_init(&acpi);
	if (vmm.config->selftest == SELFTEST_DRIVERS)
		driver_selftest();
	disks_init(info);
	vmm.host_cpus = ap_start_all(&acpi, vmm.tsc_hz, ap_main);
	pr_info("cpu: %u of %u in VMX root operation\n", vmm.host_cpus, MAX(acpi.cpus, 1u));
	start_vms(info);
}

void vmm_main(struct boot_info *info)
{
	vmm.start_tsc = info->start_tsc;
	/* What is the firmware's until now is free memory from here on. */
	pci_quiet(!(cpuid(1, 0).ecx & BIT(31)));
	vmm.config = &info->config.host;
	if (mem_init(info) || hostpt_init(info) || cpu_init_boot(&boot_cpu))
		panic("set-up of the CPU failed");
	cpu_switch_stack(boot_cpu.stack_top[CPU_STACK_MAIN], vmm_run, info);
}
