/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vm/machine.h"
#include "lib/printk.h"
#include "vmm/host/host.h"
#include "vmm/vm/machine_net.h"
#include "vmm/vm/machine_rng.h"
#include "vmm/vm/vm.h"

/* --- what devices ask of the machine: struct vdev_env --- */

static u64 env_now(void *ctx)
{
	const struct vm *vm = ctx;

	return vm_now(vm);
}

/* Each ISA line goes to both controllers; on the I/O APIC line 0 is pin 2, as the MADT says. */
static void env_set_line(void *ctx, unsigned int line, bool level)
{
	struct vm *vm = ctx;
	struct machine *m = vm->machine;
	unsigned int pin = line ? line : 2;
	u16 bit = (u16)(1u << (line & 15));

	if (line >= VPIC_LINES || !!(m->lines & bit) == level)
		return;
	m->lines ^= bit;
	vpic_set_line(&vm->pic, line, level);
	if (level)
		vioapic_assert(&vm->ioapic, pin);
	else
		vioapic_deassert(&vm->ioapic, pin);
}

static void env_set_timer(void *ctx, struct vdev_timer *timer, u64 deadline)
{
	struct vm *vm = ctx;
	u64 before = vtimer_next(&vm->timers);

	vtimer_set(&vm->timers, timer, deadline);
	if (vtimer_next(&vm->timers) < before && !vm->polled)
		host_kick(vm->cpu); /* which waits for a later one: vm_run_timers */
}

/* The vPIC's INTR. */
static void on_pic(void *ctx, bool level)
{
	const struct vm *vm = ctx;

	if (level)
		vm->vcpu_ops->pic_raised(vm);
}

/* --- what devices do to the VM --- */

static void on_sleep(void *ctx, u8 slp_typ)
{
	if (slp_typ == VACPI_S5_TYPE)
		vm_stop(ctx, VM_END_POWEROFF, "poweroff");
	else
		vm_stop(ctx, VM_END_CRASH, "sleep state %u, which \\_S5 does not name", slp_typ);
}

static void on_reset(void *ctx)
{
	vm_stop(ctx, VM_END_RESET, "reset");
}

static const struct vacpi_pm_ops pm_ops = { .sleep = on_sleep };
static const struct vreset_ops reset_ops = { .reset = on_reset };

/* --- debug exit: a port whose write ends the VM, if the configuration names one --- */

static u32 debug_exit_read(void *dev, u16 off, u8 size)
{
	(void)dev, (void)off, (void)size;
	return ~0u;
}

static void debug_exit_write(void *dev, u16 off, u8 size, u32 value)
{
	struct vm *vm = dev;

	(void)off, (void)size;
	vm->debug_exit = value;
	vm_stop(vm, VM_END_DEBUG_EXIT, "debug-exit 0x%x", value);
}

static const struct pio_ops debug_exit_pio = { debug_exit_read, debug_exit_write };

/* Port 0x80 is where PCs write progress codes, and Linux its delays: a byte that is kept for nobody. */
static u32 post_read(void *dev, u16 off, u8 size)
{
	(void)dev, (void)off, (void)size;
	return 0;
}

static void post_write(void *dev, u16 off, u8 size, u32 value)
{
	(void)dev, (void)off, (void)size, (void)value;
}

static const struct pio_ops post_pio = { post_read, post_write };

static u64 ioapic_read(void *dev, u64 off, u8 size)
{
	return vioapic_mmio_read(dev, (u32)off, size);
}

static void ioapic_write(void *dev, u64 off, u8 size, u64 value)
{
	vioapic_mmio_write(dev, (u32)off, size, value);
}

static const struct mmio_ops ioapic_mmio = { ioapic_read, ioapic_write };

static void on_rtc_alarm(void *pm)
{
	vacpi_pm_rtc_alarm(pm);
}

static void init_devices(struct vm *vm, u64 epoch)
{
	struct machine *m = vm->machine;
	u64 ram = guest_mem_size(&vm->mem);
	struct vrtc_config rtc = {
		.epoch = epoch,
		.ram_below_4g = MIN(ram, MACHINE_HOLE_START),
		.ram_above_4g = ram - MIN(ram, MACHINE_HOLE_START),
		.rang = on_rtc_alarm,
		.ctx = &m->pm,
	};

	vioapic_init(&vm->ioapic, &vm->bus);
	vpic_init(&vm->pic, on_pic, vm);
	vpit_init(&m->pit, &vm->env);
	vacpi_pm_init(&m->pm, &vm->env, &pm_ops, vm);
	vrtc_init(&m->rtc, &vm->env, &rtc);
	vreset_init(&m->reset, &reset_ops, vm);
	vpci_init(&m->pci, &vreset_control_pio, &m->reset);
}

void machine_polls(struct vm *vm, struct virtio_device *dev)
{
	vm->machine->polled[vm->machine->polleds++] = dev;
}

bool machine_poll(struct vm *vm, bool go_on)
{
	struct machine *m = vm->machine;
	bool found = false;

	for (unsigned int i = 0; i < m->polleds; i++) {
		virtio_set_polled(m->polled[i], go_on);
		found |= go_on && virtio_poll(m->polled[i]);
	}
	return found;
}

bool machine_has_pci(const struct vm_config *c)
{
	return c->console == VM_CONSOLE_VIRTIO || c->disks || c->nets;
}

int machine_init(struct vm *vm, u64 epoch)
{
	struct machine *m = vm->machine;
	struct pio_bus *pio = &vm->pio;
	int err;

	*m = (struct machine){ 0 };
	*pio = (struct pio_bus){ 0 };
	vm->mmio = (struct mmio_bus){ 0 };
	vm->timers = (struct vtimers){ 0 };
	vm->polled = false;
	vm->env = (struct vdev_env){
		.ctx = vm,
		.tsc_hz = vmm.tsc_hz,
		.now = env_now,
		.set_line = env_set_line,
		.set_timer = env_set_timer,
	};
	init_devices(vm, epoch);

	/* The console first: it is looked up most. */
	err = machine_console_init(vm);
	if (!err)
		err = machine_disks_init(vm);
	if (!err)
		err = machine_net_init(vm);
	if (!err)
		err = machine_rng_init(vm);
	if (err)
		return err;
	pio_register(pio, MACHINE_PM_BASE, VACPI_PM_PORTS, &vacpi_pm_pio, &m->pm, "acpi-pm");
	pio_register(pio, VPCI_BASE, VPCI_PORTS, &vpci_pio, &m->pci, "pci");
	pio_register(pio, 0x20, 2, &vpic_master_ops, &vm->pic, "pic");
	pio_register(pio, 0xa0, 2, &vpic_slave_ops, &vm->pic, "pic2");
	pio_register(pio, 0x4d0, 2, &vpic_elcr_ops, &vm->pic, "elcr");
	pio_register(pio, VPIT_BASE, VPIT_PORTS, &vpit_pio, &m->pit, "pit");
	pio_register(pio, VPIT_CONTROL_PORT, 1, &vpit_control_pio, &m->pit, "pit-control");
	pio_register(pio, VRTC_BASE, VRTC_PORTS, &vrtc_pio, &m->rtc, "rtc");
	pio_register(pio, VRESET_I8042_DATA, 1, &vreset_i8042_data_pio, &m->reset, "i8042-data");
	pio_register(pio, VRESET_I8042_COMMAND, 1, &vreset_i8042_command_pio, &m->reset, "i8042");
	pio_register(pio, 0x80, 1, &post_pio, NULL, "post");
	mmio_register(&vm->mmio, VIOAPIC_MMIO_BASE, VIOAPIC_MMIO_SIZE, &ioapic_mmio, &vm->ioapic,
		      "ioapic");
	if (vm->config->debug_exit)
		pio_register(pio, vm->config->debug_exit, 1, &debug_exit_pio, vm, "debug-exit")
			->whole = true; /* of a status no byte is lost */
	return 0;
}
