/* SPDX-License-Identifier: BSD-2-Clause */
/* Claim: guest-linear addresses are translated as the guest's CPU does, and never leave its RAM. */
#include <pthread.h>

#include "tests/unit/guest_tables.h"
#include "vmm/vcpu/gva.h"

#define NOT_MAPPED (~0ULL)

static struct gva_fault fault;

static u64 translate(u64 linear)
{
	gpa_t gpa = 0;

	return gva_translate(&rig_vcpu, linear, GVA_READ, &gpa, &fault) ? gpa : NOT_MAPPED;
}

/* Claim: without paging an address is itself, of 32 bits. */
static void no_paging(void **state)
{
	(void)state;
	mode_none();
	assert_int_equal(translate(0x123456), 0x123456);
	assert_int_equal(translate(0x500000123ULL), 0x123);
}

/* Claim: 32-bit paging: 4K pages, and 4M pages with address bits 39:32 (PSE-36), if CR4.PSE is on. */
static void paging_32(void **state)
{
	(void)state;
	mode_32(CR4_PSE);
	put32(TABLE(2), 0x300, (u32)TABLE(1) | PT_P);
	put32(TABLE(1), 0x045, 0xabcde000 | PT_P | 0xf00);
	put32(TABLE(2), 0x301, 0x12400000 | PT_PS | PT_P);
	put32(TABLE(2), 0x302, 0x12400000 | 0x5a << 13 | PT_PS | PT_P | BIT(12));
	put32(TABLE(2), 0x303, (u32)TABLE(1)); /* not present */

	assert_int_equal(translate(0xc0045678), 0xabcde678);
	assert_int_equal(translate(0x10000000c0045678ULL), 0xabcde678);
	assert_int_equal(translate(0xc0046678), NOT_MAPPED);
	assert_int_equal(translate(0xc0400000 + 0x3fffff), 0x127fffff);
	assert_int_equal(translate(0xc0800000 + 0x3fffff), 0x5a127fffffULL);
	assert_int_equal(translate(0xc0c45678), NOT_MAPPED);

	mode_32(0); /* without PSE that bit means nothing */
	put32(TABLE(2), 0x301, (u32)TABLE(1) | PT_PS | PT_P);
	assert_int_equal(translate(0xc0445123), 0xabcde123);
}

/* Claim: PAE paging: CR3 names 32 bytes, 4K and 2M pages, no large page at the top. */
static void paging_pae(void **state)
{
	(void)state;
	mode_pae();
	put64(TABLE(3) + 0x20, 3, TABLE(2) | PT_P);
	put64(TABLE(2), 5, TABLE(1) | PT_P);
	put64(TABLE(1), 7, 0xf12345000ULL | PT_P | BIT(63));
	put64(TABLE(2), 6, 0xf12200000ULL | PT_PS | PT_P | BIT(12));
	put64(TABLE(3) + 0x20, 2, TABLE(2) | PT_P | PT_PS);

	assert_int_equal(translate(0xc0a07abc), 0xf12345abcULL);
	assert_int_equal(translate(0xc0c00000 + 0x1fffff), 0xf123fffffULL);
	assert_int_equal(translate(0x80a07abc), 0xf12345abcULL);
	assert_int_equal(translate(0x40a07abc), NOT_MAPPED);
	assert_int_equal(translate(0x1c0a07abcULL), 0xf12345abcULL);
}

/* Claim: 4-level paging: 4K, 2M and 1G pages, none of 512G; protection keys and XD are no address. */
static void paging_64(void **state)
{
	u64 linear = 0xffff888812345678ULL;

	(void)state;
	mode_64();
	map_64(linear, 0x7ff0000abc000ULL | PT_P | BIT(63) | GENMASK(62, 52));
	assert_int_equal(translate(linear), 0x7ff0000abc678ULL);
	assert_int_equal(translate(linear + 0x1000), NOT_MAPPED);
	put64(TABLE(2), linear >> 21 & 511, 0x8000200000ULL | PT_P | PT_PS | BIT(12) | BIT(63));
	assert_int_equal(translate(linear), 0x8000200000ULL + (linear & 0x1fffff));
	put64(TABLE(3), linear >> 30 & 511, 0x80c0000000ULL | PT_P | PT_PS | BIT(12));
	assert_int_equal(translate(linear), 0x80c0000000ULL + (linear & 0x3fffffff));
	/* Bit 7 is reserved in the top level. */
	put64(TABLE(4), linear >> 39 & 511, TABLE(3) | PT_P | PT_PS);
	assert_int_equal(translate(linear), 0x80c0000000ULL + (linear & 0x3fffffff));
	/* CR3 holds a PCID, too. */
	fake_vmcs_set(GUEST_CR3, TABLE(4) | 0xfff);
	assert_int_equal(translate(linear), 0x80c0000000ULL + (linear & 0x3fffffff));
}

/* Claim: compatibility mode has the same tables, though CS says 32 bits. */
static void paging_compatibility(void **state)
{
	(void)state;
	mode_64();
	fake_vmcs_set(GUEST_CS_ACCESS_RIGHTS, 0xc09b);
	map_64(0x12345678, 0x7ff0000abc000ULL | PT_P);
	assert_int_equal(translate(0x12345678), 0x7ff0000abc678ULL);
}

/* Claim: at each level, an entry that is not present or a table outside of RAM maps nothing. */
static void broken_tables(void **state)
{
	u64 linear = 0x7f1234567000ULL;

	(void)state;
	for (unsigned int level = 4; level >= 1; level--) {
		unsigned int index = linear >> (12 + 9 * (level - 1)) & 511;
		static const gpa_t outside[] = { RIG_RAM, 0xfee00000, 0xffffffffff000ULL };

		mode_64();
		map_64(linear, 0x5000 | PT_P);
		assert_int_equal(translate(linear), 0x5000);
		put64(TABLE(level), index, ~PT_P);
		assert_int_equal(translate(linear), NOT_MAPPED);
		for (unsigned int i = 0; i < ARRAY_SIZE(outside); i++) {
			if (level > 1) {
				put64(TABLE(level), index, outside[i] | PT_P);
				assert_int_equal(translate(linear), NOT_MAPPED);
			}
			map_64(linear, 0x5000 | PT_P);
			fake_vmcs_set(GUEST_CR3, outside[i]);
			assert_int_equal(translate(linear), NOT_MAPPED);
			fake_vmcs_set(GUEST_CR3, TABLE(4));
		}
	}
}

/* Claim: random tables, addresses and modes neither end in a loop nor leave the guest's RAM. */
static void random_tables(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 20000; i++) {
		u8 buf[64];

		for (gpa_t at = TABLE(1); at < TABLE(5); at += 8 * (1 + rig_random() % 64)) {
			u64 entry =
				rig_random() % 4 ? TABLE(1 + rig_random() % 4) | 1 : rig_random();

			put64(at, 0, entry | (rig_random() % 8 ? 0 : PT_PS));
			if (i % 16)
				break;
		}
		switch (rig_random() % 3) {
		case 0: mode_32(rig_random() % 2 ? CR4_PSE : 0); break;
		case 1: mode_pae(); break;
		case 2: mode_64(); break;
		}
		if (!(rig_random() % 16))
			fake_vmcs_set(GUEST_CR3, rig_random());
		(void)!gva_read(&rig_vcpu, rig_random(), rig_random() & 0x16, buf, sizeof(buf),
				&fault);
	}
}

/* Claim: a copy goes page by page; a failure names the first byte that is not there. */
static void copies(void **state)
{
	u8 buf[6000], out[6000];
	u64 linear = 0x40000e00;

	(void)state;
	mode_64();
	map_64(linear, 0x9000 | PT_P);
	map_64(linear + 0x1000, 0x7000 | PT_P);
	for (unsigned int i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)rig_random();
	assert_true(gva_write(&rig_vcpu, linear, 0, buf, 0x1200, &fault));
	assert_true(gva_read(&rig_vcpu, linear, 0, out, 0x1200, &fault));
	assert_memory_equal(buf, out, 0x1200);
	assert_true(guest_read(&rig_vm->mem, 0x9e00, out, 0x200));
	assert_memory_equal(buf, out, 0x200);
	assert_true(guest_read(&rig_vm->mem, 0x7000, out, 0x1000));
	assert_memory_equal(buf + 0x200, out, 0x1000);

	assert_false(gva_read(&rig_vcpu, linear, 0, out, 0x1201, &fault));
	assert_int_equal(fault.address, 0x40002000);
	assert_false(gva_write(&rig_vcpu, linear, 0, buf, 0x1201, &fault));
	assert_int_equal(fault.address, 0x40002000);
	assert_false(gva_read(&rig_vcpu, linear - 0xe01, 0, out, 2, &fault));
	assert_int_equal(fault.address, linear - 0xe01);
	map_64(linear, RIG_RAM | PT_P); /* mapped, but to no RAM */
	assert_false(gva_read(&rig_vcpu, linear, 0, out, 1, &fault));
	assert_int_equal(fault.address, linear);
}

/* May @access go through a page (4K in any mode) with @rights at the last level? */
static bool may(u32 access, u64 rights, bool everywhere)
{
	u64 linear = 0x40000000, upper = everywhere ? rights : PT_W | PT_U;
	gpa_t gpa;

	map_64(linear, 0x5000 | PT_P | rights);
	put64(TABLE(3), 1, TABLE(2) | PT_P | upper);
	put64(TABLE(4), 0, TABLE(3) | PT_P | upper);
	if (gva_translate(&rig_vcpu, linear, access, &gpa, &fault))
		return true;
	assert_int_equal(fault.address, linear);
	assert_int_equal(fault.error, access | GVA_PRESENT);
	return false;
}

/* Claim: rights are those of the manual, for all accesses x pages x CR0.WP x CR4.SMAP x RFLAGS.AC. */
static void rights(void **state)
{
	(void)state;
	for (unsigned int n = 0; n < 256; n++) {
		u32 access = (n & 1 ? GVA_WRITE : 0) | (n & 2 ? GVA_USER : 0);
		u64 page = (n & 4 ? PT_W : 0) | (n & 8 ? PT_U : 0);
		bool wp = n & 16, smap = n & 32, ac = n & 64, ok = true;

		mode_64();
		fake_vmcs_set(GUEST_CR0, CR0_PE | CR0_PG | (wp ? CR0_WP : 0));
		fake_vmcs_set(GUEST_CR4, CR4_PAE | (smap ? CR4_SMAP : 0));
		fake_vmcs_set(GUEST_RFLAGS, RFLAGS_FIXED | (ac ? BIT(18) : 0));
		if ((access & GVA_USER) && !(page & PT_U))
			ok = false;
		if ((access & GVA_WRITE) && !(page & PT_W) && (wp || (access & GVA_USER)))
			ok = false;
		if (!(access & GVA_USER) && (page & PT_U) && smap && !ac)
			ok = false;
		assert_int_equal(may(access, page, n & 128), ok);
	}
}

/* Claim: not present says so, with who wanted what; 32-bit addresses wrap at 4 GiB. */
static void faults(void **state)
{
	gpa_t gpa;

	(void)state;
	mode_32(0);
	assert_false(gva_translate(&rig_vcpu, 0x1c0000123ULL, GVA_WRITE | GVA_USER, &gpa, &fault));
	assert_int_equal(fault.address, 0xc0000123);
	assert_int_equal(fault.error, GVA_WRITE | GVA_USER);
}

/* Claim: accessed and dirty flags are set as by the CPU, at the levels that have them. */
static void flags(void **state)
{
	u64 linear = 0x40000000, entry;
	gpa_t gpa;

	(void)state;
	mode_64();
	map_64(linear, 0x5000 | PT_P | PT_W);
	assert_true(gva_translate(&rig_vcpu, linear, GVA_FETCH, &gpa, &fault));
	assert_true(guest_read(&rig_vm->mem, TABLE(1), &entry, 8));
	assert_int_equal(entry, 0x5000 | PT_P | PT_W);
	assert_true(gva_translate(&rig_vcpu, linear, GVA_READ, &gpa, &fault));
	assert_true(guest_read(&rig_vm->mem, TABLE(1), &entry, 8));
	assert_int_equal(entry, 0x5000 | PT_P | PT_W | BIT(5));
	assert_true(gva_translate(&rig_vcpu, linear, GVA_WRITE, &gpa, &fault));
	assert_true(guest_read(&rig_vm->mem, TABLE(1), &entry, 8));
	assert_int_equal(entry, 0x5000 | PT_P | PT_W | BIT(5) | BIT(6));
	assert_true(guest_read(&rig_vm->mem, TABLE(4), &entry, 8));
	assert_int_equal(entry, TABLE(3) | PT_P | PT_W | PT_U | BIT(5));

	mode_pae(); /* the top level has neither rights nor flags */
	put64(TABLE(3) + 0x20, 1, TABLE(2) | PT_P);
	put64(TABLE(2), 0, 0x200000 | PT_P | PT_W | PT_PS);
	assert_true(gva_translate(&rig_vcpu, linear, GVA_WRITE, &gpa, &fault));
	assert_true(guest_read(&rig_vm->mem, TABLE(3) + 0x28, &entry, 8));
	assert_int_equal(entry, TABLE(2) | PT_P);
}

#define OTHERS_ROUNDS 200000

/* Another vCPU: counts in bits of the entry that are the system's own, and takes the flags away. */
static void *other_vcpu(void *entry)
{
	for (unsigned int i = 0; i < OTHERS_ROUNDS; i++) {
		__atomic_fetch_add((u64 *)entry, BIT(52), __ATOMIC_SEQ_CST);
		__atomic_fetch_and((u64 *)entry, ~(BIT(5) | BIT(6)), __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* Claim: setting a flag undoes nothing that another vCPU does to the same entry at the same time. */
static void flags_race(void **state)
{
	u64 linear = 0x40000000, *entry;
	unsigned int walks = 0;
	pthread_t thread;
	gpa_t gpa;

	(void)state;
	mode_64();
	map_64(linear, 0x5000 | PT_P | PT_W);
	entry = (u64 *)(void *)(rig_vm->mem.slot[0].host + TABLE(1) + (linear >> 12 & 511) * 8);
	assert_int_equal(pthread_create(&thread, NULL, other_vcpu, entry), 0);
	for (unsigned int i = 0; i < OTHERS_ROUNDS; i++)
		walks += gva_translate(&rig_vcpu, linear, GVA_WRITE, &gpa, &fault) && gpa == 0x5000;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(walks > OTHERS_ROUNDS / 2); /* hardly a walk has to give up */
	assert_int_equal(*entry >> 52, OTHERS_ROUNDS & 0xfff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(no_paging, rig_start),
		cmocka_unit_test_setup(paging_32, rig_start),
		cmocka_unit_test_setup(paging_pae, rig_start),
		cmocka_unit_test_setup(paging_64, rig_start),
		cmocka_unit_test_setup(paging_compatibility, rig_start),
		cmocka_unit_test_setup(broken_tables, rig_start),
		cmocka_unit_test_setup(random_tables, rig_start),
		cmocka_unit_test_setup(copies, rig_start),
		cmocka_unit_test_setup(rights, rig_start),
		cmocka_unit_test_setup(faults, rig_start),
		cmocka_unit_test_setup(flags, rig_start),
		cmocka_unit_test_setup(flags_race, rig_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
