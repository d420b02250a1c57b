/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VMCS and its fields. All functions work on the current VMCS of this CPU; there are no locks.
 * A field that a VMREAD or VMWRITE does not know is our own mistake: panic with its name.
 */
#ifndef VMX_VMCS_H
#define VMX_VMCS_H

#include "lib/types.h"
#include "vmx/fields.h"

/* SDM, "Format of the VMCS Region". The rest of the region is the processor's own. */
struct vmcs {
	u32 revision;
	u32 abort;
	u8 data[PAGE_SIZE - 8];
};
_Static_assert(sizeof(struct vmcs) == PAGE_SIZE, "a VMCS region is a page");

/* Prepare the zeroed page @vmcs: launch state clear. Panics on VMfail. */
void vmcs_init(struct vmcs *vmcs, u32 revision);

/* Make @vmcs the current one of this CPU. */
void vmcs_load(struct vmcs *vmcs);

/* Write back what the CPU caches of @vmcs; it is clear and current nowhere afterwards. */
void vmcs_clear(struct vmcs *vmcs);

void vmcs_access_failed(const char *what, enum vmcs_field field) __attribute__((noreturn, cold));

/*
 * `make VMCS_COUNTS=1` counts all VMREADs and VMWRITEs of a CPU, in what vmm/host/cpu.h has at %gs for that. It
 * is a build of its own, because each is an instruction.
 */
#ifndef VMCS_COUNTS
#	define VMCS_COUNTS 0
#endif
#define VMCS_READS_GS  8
#define VMCS_WRITES_GS 16

#if __STDC_HOSTED__

/* Host tests bring a VMCS of their own, that counts all. */
static inline void vmcs_count(unsigned int gs_offset)
{
	(void)gs_offset;
}
u64 vmcs_read(enum vmcs_field field);
void vmcs_write(enum vmcs_field field, u64 value);

#else

static inline void vmcs_count(unsigned int gs_offset)
{
	if (VMCS_COUNTS)
		__asm__ volatile("incq %%gs:%c0" : : "i"(gs_offset) : "cc");
}

/*
 * Fields that exits need, and that every processor with VT-x has (the timer: every one where it is used). An
 * access to them fails only where no VMCS is current (SDM, "VMREAD" and "VMWRITE"), and then there is no exit
 * either: it need not be asked each time.
 */
static __always_inline bool vmcs_cannot_fail(enum vmcs_field field)
{
	switch (field) {
	case EXIT_REASON:
	case EXIT_QUALIFICATION:
	case IDT_VECTORING_INFO:
	case VM_EXIT_INSTRUCTION_LENGTH:
	case GUEST_RIP:
	case GUEST_RFLAGS:
	case GUEST_CS_ACCESS_RIGHTS:
	case GUEST_SS_ACCESS_RIGHTS:
	case GUEST_INTERRUPTIBILITY_STATE:
	case GUEST_PENDING_DEBUG_EXCEPTIONS:
	case VMX_PREEMPTION_TIMER_VALUE: return true;
	default: return false;
	}
}

static __always_inline u64 vmcs_read(enum vmcs_field field)
{
	u64 value;
	bool fail;

	__asm__ volatile("vmread %2, %1"
			 : "=@ccbe"(fail), "=rm"(value)
			 : "r"((u64)field)
			 : "memory");
	vmcs_count(VMCS_READS_GS);
	if (!vmcs_cannot_fail(field) && unlikely(fail))
		vmcs_access_failed("VMREAD", field);
	return value;
}

static __always_inline void vmcs_write(enum vmcs_field field, u64 value)
{
	bool fail;

	__asm__ volatile("vmwrite %1, %2"
			 : "=@ccbe"(fail)
			 : "rm"(value), "r"((u64)field)
			 : "memory");
	vmcs_count(VMCS_WRITES_GS);
	if (!vmcs_cannot_fail(field) && unlikely(fail))
		vmcs_access_failed("VMWRITE", field);
}

#endif

static inline u32 vmcs_read32(enum vmcs_field field)
{
	return (u32)vmcs_read(field);
}

const char *vmx_instruction_error_name(unsigned int error);

#endif
