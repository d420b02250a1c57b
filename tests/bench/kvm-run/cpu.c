/* SPDX-License-Identifier: BSD-2-Clause */
/* vCPUs: a thread for each, and what comes back from KVM_RUN. */
#include "kvm-run.h"

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define CPUID_ENTRIES 256

struct cpu {
	struct machine *machine;
	unsigned int index;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
};

static struct cpu cpus[MOST_CPUS];
static unsigned long io_exits, mmio_exits;
/* Around the devices; nothing that is measured in the kernel takes it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* --- CPUID: what KVM offers, and what it leaves to whoever runs it --- */

struct cpuid_table {
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES];
};

static struct kvm_cpuid_entry2 *entry_of(struct cpuid_table *t, uint32_t leaf)
{
	for (uint32_t i = 0; i < t->head.nent; i++)
		if (t->entries[i].function == leaf)
			return &t->entries[i];
	if (t->head.nent == CPUID_ENTRIES)
		fail(0, "too many CPUID leaves");
	t->entries[t->head.nent] = (struct kvm_cpuid_entry2){ .function = leaf };
	return &t->entries[t->head.nent++];
}

/* The TSC's frequency: the processor's own word, else KVM's. */
static void tell_frequency(struct cpu *cpu, struct cpuid_table *t)
{
	struct kvm_cpuid_entry2 *e = entry_of(t, 0x15);
	int khz = ioctl(cpu->fd, KVM_GET_TSC_KHZ, 0);
	uint32_t a = 0, b = 0, c = 0, d = 0;

	if (__get_cpuid_count(0x15, 0, &a, &b, &c, &d) && a && b && c) {
		e->eax = a, e->ebx = b, e->ecx = c;
	} else if (khz > 0 && (unsigned int)khz < UINT32_MAX / 1000) {
		e->eax = e->ebx = 1, e->ecx = (uint32_t)khz * 1000;
	}
	if (entry_of(t, 0)->eax < 0x15)
		entry_of(t, 0)->eax = 0x15;
}

static void set_cpuid(struct cpu *cpu)
{
	struct machine *m = cpu->machine;
	static struct cpuid_table t;

	t.head.nent = CPUID_ENTRIES;
	if (ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, &t))
		fail(errno, "KVM_GET_SUPPORTED_CPUID");
	entry_of(&t, 1)->ebx = (entry_of(&t, 1)->ebx & 0xff00ffff & ~(0xffu << 24)) | cpu->index
											      << 24;
	entry_of(&t, 1)->ecx |= 1u << 31; /* a hypervisor is there */
	if (ioctl(m->kvm, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER) > 0)
		entry_of(&t, 1)->ecx |= 1u << 24;
	tell_frequency(cpu, &t);
	for (uint32_t i = 0; i < t.head.nent; i++)
		if (t.entries[i].function == 0xb || t.entries[i].function == 0x1f)
			t.entries[i].edx = cpu->index;
	if (ioctl(cpu->fd, KVM_SET_CPUID2, &t))
		fail(errno, "KVM_SET_CPUID2");
}

/* --- registers: as Multiboot, or Linux, wants the first CPU --- */

static void multiboot_registers(uint64_t entry, struct kvm_sregs *sregs, struct kvm_regs *regs)
{
	struct kvm_segment data = {
		.limit = ~0u, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	struct kvm_segment code = data;

	code.selector = 0x08;
	code.type = 0xb;
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->cr0 = 0x11; /* PE, ET */
	*regs = (struct kvm_regs){
		.rax = MULTIBOOT_LOADED, .rbx = MULTIBOOT_INFO, .rip = entry, .rflags = 2
	};
}

static void set_registers(struct cpu *cpu, uint64_t entry)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (ioctl(cpu->fd, KVM_GET_SREGS, &sregs))
		fail(errno, "KVM_GET_SREGS");
	if (cpu->machine->is_linux)
		linux_registers(entry, &sregs, &regs);
	else
		multiboot_registers(entry, &sregs, &regs);
	if (ioctl(cpu->fd, KVM_SET_SREGS, &sregs) || ioctl(cpu->fd, KVM_SET_REGS, &regs))
		fail(errno, "KVM_SET_REGS");
}

/* The others wait, in the kernel, for the start-up IPI. */
void make_cpu(struct machine *m, unsigned int index, uint64_t entry)
{
	struct cpu *cpu = &cpus[index];
	int size = ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	cpu->machine = m;
	cpu->index = index;
	cpu->fd = ioctl(m->vm, KVM_CREATE_VCPU, index);
	if (cpu->fd < 0 || size < 0)
		fail(errno, "KVM_CREATE_VCPU %u", index);
	cpu->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (cpu->run == MAP_FAILED)
		fail(errno, "mmap of vCPU %u", index);
	set_cpuid(cpu);
	if (index)
		return;
	set_registers(cpu, entry);
	if (m->is_linux)
		count_cpu(cpu->fd);
}

/* --- exits --- */

void show_exits(void)
{
	fprintf(stderr, "kvm-run: came to user space: %lu ports, %lu MMIO\n", io_exits, mmio_exits);
}

static void handle_io(struct cpu *cpu)
{
	struct kvm_run *run = cpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	pthread_mutex_lock(&lock);
	io_exits++;
	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		uint32_t value = 0;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, run->io.size);
			port_write(cpu->machine, run->io.port, run->io.size, value);
		} else {
			value = port_read(cpu->machine, run->io.port, run->io.size);
			memcpy(data, &value, run->io.size);
		}
	}
	pthread_mutex_unlock(&lock);
}

static void handle_exit(struct cpu *cpu)
{
	struct kvm_run *run = cpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO: handle_io(cpu); break;
	case KVM_EXIT_MMIO:
		mmio_exits++;
		if (!run->mmio.is_write)
			memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		break;
	case KVM_EXIT_INTR: break;
	case KVM_EXIT_SHUTDOWN: fail(0, "vCPU %u: triple fault", cpu->index);
	case KVM_EXIT_FAIL_ENTRY:
		fail(0, "vCPU %u: no VM entry: reason %llx", cpu->index,
		     (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		fail(0, "vCPU %u: KVM has internal error %u", cpu->index, run->internal.suberror);
	default: fail(0, "vCPU %u: exit reason %u", cpu->index, run->exit_reason);
	}
}

static void *run_cpu(void *arg)
{
	struct cpu *cpu = arg;

	for (;;) {
		if (!ioctl(cpu->fd, KVM_RUN, 0))
			handle_exit(cpu);
		else if (errno != EINTR && errno != EAGAIN) /* EAGAIN: it has been started */
			fail(errno, "KVM_RUN of vCPU %u", cpu->index);
	}
	return NULL;
}

void run_cpus(struct machine *m)
{
	for (unsigned int i = 1; i < m->cpus; i++)
		if (pthread_create(&cpus[i].thread, NULL, run_cpu, &cpus[i]))
			fail(0, "no thread for vCPU %u", i);
	run_cpu(&cpus[0]);
}
