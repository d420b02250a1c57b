/* SPDX-License-Identifier: BSD-2-Clause */
/* Page tables in the rig's RAM, entry by entry, for each of the guest's ways of paging. */
#ifndef TESTS_UNIT_GUEST_TABLES_H
#define TESTS_UNIT_GUEST_TABLES_H

#include "tests/unit/vcpu_rig.h"

#define PT_P  BIT(0)
#define PT_W  BIT(1)
#define PT_U  BIT(2)
#define PT_PS BIT(7)

/* Tables of one walk: level 4 at TABLE(4), ..., level 1 at TABLE(1). */
#define TABLE(level) (0x10000ULL + (u64)(level)*0x1000)

static inline void put32(gpa_t table, u64 index, u32 entry)
{
	assert_true(guest_write(&rig_vm->mem, table + index * 4, &entry, 4));
}

static inline void put64(gpa_t table, u64 index, u64 entry)
{
	assert_true(guest_write(&rig_vm->mem, table + index * 8, &entry, 8));
}

static inline void mode_none(void)
{
	fake_vmcs_set(GUEST_CR0, CR0_PE);
	fake_vmcs_set(GUEST_IA32_EFER, 0);
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, 0xc09b);
	fake_vmcs_set(GUEST_CR4, 0);
}

static inline void mode_32(u64 cr4)
{
	fake_vmcs_set(GUEST_CR0, CR0_PE | CR0_PG);
	fake_vmcs_set(GUEST_IA32_EFER, 0);
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, 0xc09b);
	fake_vmcs_set(GUEST_CR4, cr4);
	fake_vmcs_set(GUEST_CR3, TABLE(2));
}

static inline void mode_pae(void)
{
	mode_32(CR4_PAE);
	fake_vmcs_set(GUEST_CR3, TABLE(3) + 0x20);
}

static inline void mode_64(void)
{
	fake_vmcs_set(GUEST_CR0, CR0_PE | CR0_PG);
	fake_vmcs_set(GUEST_IA32_EFER, EFER_LME | EFER_LMA);
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, 0xa09b);
	fake_vmcs_set(GUEST_CR4, CR4_PAE);
	fake_vmcs_set(GUEST_CR3, TABLE(4));
}

/* 4-level tables, one of each, that map the 4K pages of @linear's 2 MiB as @entry says. */
static inline void map_64(u64 linear, u64 entry)
{
	put64(TABLE(4), linear >> 39 & 511, TABLE(3) | PT_P | PT_W | PT_U);
	put64(TABLE(3), linear >> 30 & 511, TABLE(2) | PT_P | PT_W | PT_U);
	put64(TABLE(2), linear >> 21 & 511, TABLE(1) | PT_P | PT_W | PT_U);
	put64(TABLE(1), linear >> 12 & 511, entry);
}

#endif
