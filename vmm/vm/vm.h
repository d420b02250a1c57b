/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine: its memory, its devices, its vCPUs, its life.
 *
 * Who may touch what: a vCPU, with its local APIC's timer, is its CPU's while it runs there. The
 * devices and their alarms are everybody's who holds vm->lock. Local APICs take messages from any CPU
 * without it. Start and end are the business of the VM's home CPU, as long as no vCPU runs.
 */
#ifndef VMM_VM_VM_H
#define VMM_VM_VM_H

#include "ept/ept.h"
#include "lib/guest_mem.h"
#include "lib/spinlock.h"
#include "lib/vdev.h"
#include "lib/x86.h"
#include "vioapic/vapic_bus.h"
#include "vioapic/vioapic.h"
#include "vioapic/vpic.h"
#include "vmm/pc/mmio_bus.h"
#include "vmm/pc/pio.h"
#include "vmm/sched/sched.h"
#include "vmm/config.h"
#include "vmm/vm/vm_pv.h"
#include "vmm/host/vmm.h"
#include "vmm/sched/vtimer.h"

#define VM_MAX CONFIG_MAX_VMS

enum vm_state {
	VM_OFF,      /* could not be started, or ended for good */
	VM_STARTING, /* wants its CPU to start it */
	VM_RUNNING,
	VM_WAITING, /* has ended, and starts again at restart_at */
	VM_ENDED,   /* has stopped; its table is to be printed, and its memory taken back */
};

enum vm_end {
	VM_END_POWEROFF,
	VM_END_RESET,
	VM_END_DEBUG_EXIT,
	VM_END_CRASH,
	VM_END_TIMEOUT, /* its `timeout` is over */
	VM_END_QUIT,    /* the operator's wish */
};

/* What its home CPU is to look after. */
#define VM_EVENT_INPUT  0x1u /* the console has input for it */
#define VM_EVENT_OUTPUT 0x2u /* the console takes output again */
#define VM_EVENT_INSIDE 0x4u /* inside_wanted has changed */
#define VM_EVENT_TIMES  0x8u /* the times of its exits are to be printed */

struct cpu;
struct machine;
struct vm_note;
struct vm;
struct vcpu;

/* What a VM asks of its vCPUs, which live on the floor above it. On any CPU. */
struct vm_vcpu_ops {
	/* The CPUs that hold them are to look around. */
	void (*leave)(const struct vm *vm);
	/* The PIC's INTR has risen. With vm->lock, as the next one. */
	void (*pic_raised)(const struct vm *vm);
	/* The console's line has room again: those that wait for it may go on. */
	void (*let_go_on)(const struct vm *vm);
};

/* Which MSRs pass depends on what "virtualize x2APIC mode" makes of those of the local APIC. */
enum msr_bitmap { MSR_BITMAP_PLAIN, MSR_BITMAP_X2APIC, MSR_BITMAPS };

struct vm {
	/* Read by its vCPUs at exits, and written while none runs. */
	const struct vm_config *config;
	unsigned int id;
	unsigned int vcpus, scheduled;
	struct cpu *cpu; /* its home: starts it, ends it, fires its devices' alarms */
	u64 tsc_base;    /* host TSC at guest time 0 */
	struct vcpu *vcpu[CONFIG_MAX_CPUS];
	const struct vm_vcpu_ops *vcpu_ops;
	struct guest_mem mem;
	struct ept ept;
	struct ept_pages ept_pages;
	u64 eptp;
	hpa_t apic_access; /* the page whose accesses the processor virtualizes; 0: none */
	u64 *io_bitmap;    /* 2 pages: all ones but for what passes through */
	u64 *msr_bitmap[MSR_BITMAPS]; /* 1 page each: enum msr_bitmap */
	struct vm_pv pv;
	struct vapic_bus bus;
	struct machine *machine; /* the devices but for those below */

	/* Its life. */
	_Alignas(CACHE_LINE) _Atomic enum vm_state state; /* other CPUs may read it */
	atomic_uint events; /* VM_EVENT_*: other CPUs may add to it, and kick the CPU */
	enum vm_end end;
	u32 debug_exit;       /* VM_END_DEBUG_EXIT: what the guest has written there */
	char reason[160];     /* as printed: "poweroff", "debug-exit 0x10", "crash: triple fault" */
	struct vm_note *note; /* what the guest wants noted; NULL: nobody does */
	unsigned int starts;
	unsigned int short_lives; /* in a row: run.c */
	u64 restart_at;           /* host TSC */

	/* The scheduler's, under its lock. */
	_Alignas(CACHE_LINE) struct sched_group sched;

	/* All that follows is for who holds the lock. */
	_Alignas(CACHE_LINE) struct spinlock lock;
	bool polled;          /* the I/O CPU looks at its devices, and fires their alarms */
	bool console_refused; /* the line has not taken all that was just sent: vcpu_hold */
	struct vtimers timers;
	struct vdev_timer timeout; /* armed while it runs, if it has one */
	struct vdev_env env;
	struct pio_bus pio;
	struct mmio_bus mmio;
	struct vioapic ioapic;
	struct vpic pic;
};
_Static_assert(sizeof(struct vm) % CACHE_LINE == 0 &&
		       offsetof(struct vm, state) % CACHE_LINE == 0 &&
		       offsetof(struct vm, sched) % CACHE_LINE == 0 &&
		       offsetof(struct vm, lock) % CACHE_LINE == 0,
	       "what several CPUs write lies apart, by who writes it");

/*
 * The guest, or something that it did, ends the VM. The first reason counts. Cheap, on any CPU, with
 * vm->lock or without; its vCPUs are told to leave their CPUs.
 */
void vm_stop(struct vm *vm, enum vm_end end, const char *fmt, ...) __format(3, 4);

/*
 * vm_stop for a processor that shuts down: a crash, or a reset, as `on-triple-fault` has it. @vector: the exception that came
 * in the delivery of #DF, or VECTOR_UNKNOWN.
 */
#define VECTOR_UNKNOWN (-1)
void vm_triple_fault(struct vm *vm, int vector);

/* Wait until the line has taken what the guest sent, or is found dead. Its vCPUs have left their CPUs. */
void vm_drain_console(struct vm *vm);

/* Its time begins: if it has a time-out, an alarm ends it then. On its home CPU, before it runs. */
void vm_arm_timeout(struct vm *vm);

/* Should it be started again? (reset, or the restart policy) */
bool vm_wants_restart(const struct vm *vm);

/* Have the home CPU of VM @id see to @event, VM_EVENT_*, if it runs. On any CPU. */
void vm_add_event(unsigned int id, unsigned int event);

/* The console's hooks, on any CPU: @id's serial port has input, or may send again. */
void vm_console_input(unsigned int id);
void vm_console_output(unsigned int id);

/* Fire the alarms of devices that are due. Returns the host TSC of the next one. On the home CPU. */
u64 vm_run_timers(struct vm *vm, u64 now);

/*
 * The I/O CPU's look at the VM's devices, and at their alarms; @go_on is false for its last one before it
 * sleeps. True: there was something to do, or somebody else has the devices now.
 */
bool vm_poll(struct vm *vm, bool go_on);

/* Guest time now, in TSC ticks since the VM started. */
static inline u64 vm_now(const struct vm *vm)
{
	return rdtsc() - vm->tsc_base;
}

#endif
