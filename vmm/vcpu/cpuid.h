/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID for guests: an allow-list. A guest sees a feature when the processor has it, Lintel knows
 * that a guest may use it, the VMX controls that stand behind it are on, and nobody hides it.
 */
#ifndef VMM_VCPU_CPUID_H
#define VMM_VCPU_CPUID_H

#include "lib/types.h"
#include "lib/x86.h"

#define CPUID_ENTRIES 48
#define CPUID_RANGES \
	4 /* of leaves, by their two highest bits: basic, hypervisor's, extended, none */
#define CPUID_RANGE_LEAVES 0x20 /* that are found by index */

#define CPUID_BY_SUBLEAF   0x1u /* ECX matters for this leaf */
#define CPUID_DYNAMIC      0x2u /* depends on CR4 or XCR0 of the moment */

struct cpuid_entry {
	u32 leaf, subleaf;
	u32 flags; /* CPUID_BY_SUBLEAF, CPUID_DYNAMIC */
	struct cpuid_regs regs;
	u32 unused; /* a size that needs no multiplication */
};
_Static_assert(sizeof(struct cpuid_entry) == 32, "a power of two");

/* The answers to one vCPU, made once. */
struct cpuid_table {
	struct cpuid_entry
		entry[CPUID_ENTRIES]; /* the first one is what leaves without one answer: 0 */
	unsigned int entries;
	u8 first[CPUID_RANGES][CPUID_RANGE_LEAVES]; /* the first entry of a leaf */
	u64 xcr0_allowed;                           /* state components that the guest may enable */
	u64 cr4_allowed;                            /* CR4 bits that go with the features */
};

struct vmx_caps;

/* BIT()s of the guest features that @name stands for in a `hide` line, or 0. */
u64 cpuid_hide_bits(const char *name);

/*
 * Make the answers for vCPU @id of @cpus, with @hide (cpuid_hide_bits) left out. @tsc_hz is what
 * the guest is told, so that it calibrates nothing.
 */
void cpuid_build(struct cpuid_table *table, const struct vmx_caps *caps, u64 hide, unsigned int id,
		 unsigned int cpus, u64 tsc_hz);

/* Tell the guest, if it sees KVM's leaves, that each of its vCPUs has a CPU to itself: not to give way. */
void cpuid_hint_realtime(struct cpuid_table *table);

/* What the table has for EAX = @leaf, ECX = @subleaf; NULL: nothing, all four registers are 0. */
const struct cpuid_entry *cpuid_find(const struct cpuid_table *table, u32 leaf, u32 subleaf);

/*
 * What answers to EAX = @leaf, whatever ECX and the moment; NULL: cpuid_find has to look. Most CPUIDs need no
 * more.
 */
static inline const struct cpuid_entry *cpuid_fixed(const struct cpuid_table *table, u32 leaf)
{
	u32 offset = leaf & 0x3fffffff;
	const struct cpuid_entry *e;

	if (unlikely(offset >= CPUID_RANGE_LEAVES))
		return NULL;
	e = &table->entry[table->first[leaf >> 30][offset]];
	return e->flags ? NULL : e;
}

/*
 * The answer of a dynamic entry now: with the guest's CR4 (asked for leaf 1 only: a VMREAD less for the
 * others), and for leaf 0DH with the XCR0 of this CPU, which has to be the guest's.
 */
struct cpuid_regs cpuid_dynamic(const struct cpuid_entry *entry, u64 (*cr4)(void));

/* Is a feature of leaf 1 ECX / EDX offered? Used by the MSR policy. */
bool cpuid_has(const struct cpuid_table *table, u32 leaf, u32 subleaf, unsigned int reg,
	       unsigned int bit);

enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

#endif
