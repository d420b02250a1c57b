/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest reads and writes registers of its local APIC, by MSR (x2APIC) or in the page (xAPIC). */
#include "vioapic/vlapic_private.h"

enum { XAPIC_R = 1, XAPIC_W = 2, X2APIC_R = 4, X2APIC_W = 8 };

#define X_RO (XAPIC_R | X2APIC_R)
#define X_WO (XAPIC_R | XAPIC_W | X2APIC_W) /* the page has no write-only: it reads as 0 */
#define X_RW (XAPIC_R | XAPIC_W | X2APIC_R | X2APIC_W)

static void write_eoi(struct vlapic *v, u32 off, u32 value)
{
	(void)value;
	vlapic_set(v, off, 0);
	vlapic_eoi(v);
}

/* The unused bits of the DFR are ones. */
static void write_dfr(struct vlapic *v, u32 off, u32 value)
{
	vlapic_set(v, off, value | 0x0fffffff);
}

/* Intel SDM, "Local APIC State After It Has Been Software Disabled": all LVT masks are set. */
static void write_svr(struct vlapic *v, u32 off, u32 value)
{
	vlapic_set(v, off, value);
	vlapic_update_enabled(v);
	if (value & APIC_SVR_ENABLE)
		return;
	for (u32 lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 0x10)
		vlapic_set(v, lvt, vlapic_get(v, lvt) | APIC_MASKED);
}

/* A write of anything fetches the errors since the last write. */
static void write_esr(struct vlapic *v, u32 off, u32 value)
{
	(void)value;
	vlapic_set(v, off, __atomic_exchange_n(&v->errors, 0, __ATOMIC_SEQ_CST));
}

static void write_icr(struct vlapic *v, u32 off, u32 value)
{
	u32 dest = vlapic_get(v, APIC_ICR_HIGH);

	vlapic_set(v, off, value);
	if (!vlapic_is_x2apic(v)) {
		dest >>= 24;
		if (dest == 0xff)
			dest = VAPIC_BROADCAST;
	}
	vlapic_send_ipi(v, value, dest);
}

static void write_self_ipi(struct vlapic *v, u32 off, u32 value)
{
	(void)off;
	vlapic_send_ipi(v, SHORTHAND_SELF << 18 | value, 0);
}

static void write_lvt(struct vlapic *v, u32 off, u32 value)
{
	if (!(vlapic_get(v, APIC_SVR) & APIC_SVR_ENABLE))
		value |= APIC_MASKED;
	vlapic_set(v, off, value);
}

static void write_lvt_timer(struct vlapic *v, u32 off, u32 value)
{
	vlapic_timer_set_mode(v, value);
	write_lvt(v, off, value);
}

static void write_initial_count(struct vlapic *v, u32 off, u32 value)
{
	(void)off;
	vlapic_timer_start(v, value);
}

static void write_divide(struct vlapic *v, u32 off, u32 value)
{
	(void)off;
	vlapic_timer_set_divide(v, value);
}

static u32 read_ppr(const struct vlapic *v)
{
	return vlapic_ppr(v);
}

/*
 * The policy. Bits that are neither writable nor read-only are reserved: set in a write, they are
 * a #GP in x2APIC mode and ignored in xAPIC mode. A register without a line does not exist.
 * Intel SDM, "x2APIC Register Address Space".
 */
struct reg_policy {
	u8 access;
	u32 writable;
	u32 read_only;
	void (*write)(struct vlapic *v, u32 off, u32 value); /* NULL: it is stored */
	u32 (*read)(const struct vlapic *v);                 /* NULL: as it is in the page */
};

#define LVT_BITS           (APIC_MASKED | APIC_VECTOR | 7u << APIC_MODE_SHIFT)
#define LINT_BITS          (LVT_BITS | APIC_ACTIVE_LOW | APIC_LEVEL_TRIGGER)

#define REG(off, may, ...) [(off) >> 4] = { .access = (may), __VA_ARGS__ }
#define LVT(off, bits, ro) REG(off, X_RW, .writable = (bits), .read_only = (ro), .write = write_lvt)

static const struct reg_policy policy[] = {
	REG(APIC_ID, X_RO),
	REG(APIC_VERSION, X_RO),
	REG(APIC_TPR, X_RW, .writable = 0xff),
	REG(APIC_PPR, X_RO, .read = read_ppr),
	REG(APIC_EOI, X_WO, .write = write_eoi),
	REG(APIC_LDR, X_RO | XAPIC_W, .writable = 0xff000000),
	REG(APIC_DFR, XAPIC_R | XAPIC_W, .writable = 0xf0000000, .write = write_dfr),
	REG(APIC_SVR, X_RW, .writable = 0x13ff, .write = write_svr),
	[APIC_ISR >> 4 ...(APIC_ESR >> 4) - 1] = { .access = X_RO }, /* and TMR and IRR */
	REG(APIC_ESR, X_RW, .write = write_esr),
	REG(APIC_ICR, X_RW, .writable = 0xccfff, .read_only = APIC_STATUS, .write = write_icr),
	REG(APIC_ICR_HIGH, XAPIC_R | XAPIC_W, .writable = 0xff000000),
	REG(APIC_LVT_TIMER, X_RW, .writable = APIC_MASKED | APIC_VECTOR | APIC_TIMER_MODE,
	    .read_only = APIC_STATUS, .write = write_lvt_timer),
	LVT(APIC_LVT_THERMAL, LVT_BITS, APIC_STATUS),
	LVT(APIC_LVT_PMC, LVT_BITS, APIC_STATUS),
	LVT(APIC_LVT_LINT0, LINT_BITS, APIC_STATUS | APIC_REMOTE_IRR),
	LVT(APIC_LVT_LINT1, LINT_BITS, APIC_STATUS | APIC_REMOTE_IRR),
	LVT(APIC_LVT_ERROR, APIC_MASKED | APIC_VECTOR, APIC_STATUS),
	REG(APIC_INITIAL_COUNT, X_RW, .writable = ~0u, .write = write_initial_count),
	REG(APIC_CURRENT_COUNT, X_RO, .read = vlapic_timer_current),
	REG(APIC_DIVIDE, X_RW, .writable = 0xb, .write = write_divide),
	REG(APIC_SELF_IPI, X2APIC_W, .writable = 0xff, .write = write_self_ipi),
};

/* The line of the register at @off if it is accessible by all of @access, else NULL. */
static const struct reg_policy *find_policy(u32 off, u8 access)
{
	u32 i = off >> 4;

	if (i >= ARRAY_SIZE(policy) || (policy[i].access & access) != access)
		return NULL;
	return &policy[i];
}

static u32 writable_bits(const struct vlapic *v, u32 off, const struct reg_policy *p)
{
	if (off == APIC_LVT_TIMER && !(v->bus->features & VAPIC_TSC_DEADLINE))
		return p->writable & ~APIC_TIMER_TSC_DEADLINE;
	return p->writable;
}

static u32 reg_read(const struct vlapic *v, u32 off, const struct reg_policy *p)
{
	return p->read ? p->read(v) : vlapic_get(v, off);
}

static void reg_write(struct vlapic *v, u32 off, const struct reg_policy *p, u32 value)
{
	if (p->write)
		p->write(v, off, value);
	else
		vlapic_set(v, off, value);
}

void vlapic_page_written(struct vlapic *v, u32 off)
{
	const struct reg_policy *p = find_policy(off &= ~0xfu, 0);

	if (!p)
		return;
	if (p->access & (XAPIC_W | X2APIC_W))
		reg_write(v, off, p, vlapic_get(v, off) & writable_bits(v, off, p));
	else if (off == APIC_ID)
		vlapic_set_identity(v); /* the only read-only one that the processor lets through */
}

/* Not what is computed when it is read; not the ICR, whose upper half is elsewhere. */
bool vlapic_msr_in_page(u32 msr)
{
	u32 off = (msr - IA32_X2APIC(0)) << 4;
	const struct reg_policy *p = find_policy(off, X2APIC_R);

	return p && !p->read && off != APIC_ICR;
}

static const struct reg_policy *msr_policy(const struct vlapic *v, u32 msr, u8 access)
{
	if (!vlapic_is_x2apic(v) || msr < IA32_X2APIC(0) || msr > IA32_X2APIC(0xff0))
		return NULL;
	return find_policy((msr - IA32_X2APIC(0)) << 4, access);
}

bool vlapic_msr_read(struct vlapic *v, u32 msr, u64 *value)
{
	const struct reg_policy *p = msr_policy(v, msr, X2APIC_R);
	u32 off = (msr - IA32_X2APIC(0)) << 4;

	if (!p)
		return false;
	vlapic_sync(v);
	*value = reg_read(v, off, p);
	if (off == APIC_ICR)
		*value |= (u64)vlapic_get(v, APIC_ICR_HIGH) << 32;
	return true;
}

/* In x2APIC mode the ICR is one register of 64 bits, the destination in its upper half. */
bool vlapic_msr_write(struct vlapic *v, u32 msr, u64 value)
{
	const struct reg_policy *p = msr_policy(v, msr, X2APIC_W);
	u32 off = (msr - IA32_X2APIC(0)) << 4;
	u32 writable;

	if (!p)
		return false;
	writable = writable_bits(v, off, p);
	if (lower_32(value) & ~(writable | p->read_only))
		return false;
	if (off == APIC_ICR)
		vlapic_set(v, APIC_ICR_HIGH, upper_32(value));
	else if (upper_32(value))
		return false;
	reg_write(v, off, p, lower_32(value) & writable);
	return true;
}

u64 vlapic_mmio_read(struct vlapic *v, u32 off, u8 size)
{
	const struct reg_policy *p = find_policy(off, XAPIC_R);
	u64 value;

	if (vlapic_mmio_base(v) == VLAPIC_NO_MMIO)
		return ~0ULL;
	if (off & 0xc)
		return 0;
	if (!p) {
		vlapic_error(v, APIC_ESR_ILLEGAL_REGISTER);
		return 0;
	}
	vlapic_sync(v);
	value = reg_read(v, off & ~0xfu, p) >> (off & 3) * 8;
	return size < 4 ? value & ((1u << size * 8) - 1) : value;
}

void vlapic_mmio_write(struct vlapic *v, u32 off, u8 size, u64 value)
{
	const struct reg_policy *p = find_policy(off, XAPIC_R);

	if (vlapic_mmio_base(v) == VLAPIC_NO_MMIO || off & 0xf || size != 4)
		return;
	if (!p)
		vlapic_error(v, APIC_ESR_ILLEGAL_REGISTER);
	else if (p->access & XAPIC_W)
		reg_write(v, off, p, lower_32(value) & writable_bits(v, off, p));
}
