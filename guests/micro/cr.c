/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control registers: the guest reads what it wrote, also of bits that the host keeps for itself; the
 * processor's rules hold; paging modes and real mode work, with exits in each of them.
 */
#include "micro.h"
#include "lib/string.h"

static int set_cr0(u64 value)
{
	return TRY("mov %0, %%cr0", : : "r"(value) : "memory");
}

static int set_cr3(u64 value)
{
	return TRY("mov %0, %%cr3", : : "r"(value) : "memory");
}

static int set_cr4(u64 value)
{
	return TRY("mov %0, %%cr4", : : "r"(value) : "memory");
}

static void check_cr0(void)
{
	static const u64 free_bits[] = { CR0_MP, CR0_EM, CR0_TS, CR0_NE,
					 CR0_WP, CR0_AM, CR0_CD, CR0_CD | CR0_NW };
	u64 cr0 = read_cr0();
	u16 msw;

	report(cr0 == (CR0_PE | CR0_ET | CR0_PG), "CR0: %lx", cr0);
	for (unsigned int i = 0; i < ARRAY_SIZE(free_bits); i++) {
		report(set_cr0(cr0 | free_bits[i]) == NONE && read_cr0() == (cr0 | free_bits[i]),
		       "CR0 bits %lx set: %lx", free_bits[i], read_cr0());
		(void)cpuid(0, 0);
		report(read_cr0() == (cr0 | free_bits[i]), "and after an exit: %lx", read_cr0());
		report(set_cr0(cr0) == NONE && read_cr0() == cr0, "CR0 bits %lx clear: %lx",
		       free_bits[i], read_cr0());
	}
	report(set_cr0(cr0 & ~CR0_ET) == NONE && read_cr0() == cr0, "CR0.ET is always set: %lx",
	       read_cr0());
	report(set_cr0(cr0 | CR0_NW) == GP, "CR0.NW without CD is #GP");
	report(set_cr0(cr0 & ~CR0_PE) == GP, "CR0.PG without PE is #GP");
	report(set_cr0(cr0 & ~CR0_PG) == GP, "paging off in 64-bit mode is #GP");
	report(set_cr0(cr0 | BIT(32)) == GP, "CR0's upper half is #GP");
	report(set_cr0(cr0 | BIT(10)) == NONE && read_cr0() == cr0,
	       "CR0's reserved bits are ignored: %lx", read_cr0());
	set_cr0(cr0 | CR0_TS);
	report(TRY("fnop", :) == 7, "FNOP with CR0.TS is #NM");
	__asm__ volatile("clts");
	report(read_cr0() == cr0 && TRY("fnop", :) == NONE, "CLTS");
	__asm__ volatile("lmsw %w0" : : "r"(CR0_TS | CR0_MP | CR0_PE));
	report(read_cr0() == (cr0 | CR0_TS | CR0_MP), "LMSW: %lx", read_cr0());
	__asm__ volatile("lmsw %w0" : : "r"(0));
	report(read_cr0() == cr0, "LMSW does not clear PE: %lx", read_cr0());
	set_cr0(cr0 | CR0_NE | CR0_CD);
	__asm__ volatile("lmsw %w0" : : "r"(CR0_EM));
	report(read_cr0() == (cr0 | CR0_NE | CR0_CD | CR0_EM), "LMSW leaves the rest: %lx",
	       read_cr0());
	__asm__ volatile("smsw %0" : "=r"(msw));
	report(msw == lower_32((cr0 | CR0_NE | CR0_EM) & 0xffff), "SMSW: %x", msw);
	set_cr0(cr0);
}

static void check_cr4(void)
{
	static const u64 refused[] = { CR4_VMXE, CR4_SMXE, CR4_LA57, CR4_PKE, CR4_CET, CR4_PKS,
				       BIT(15),  BIT(19),  BIT(25),  BIT(31), BIT(32), BIT(63) };
	u64 cr4 = read_cr4();

	report(cr4 == CR4_PAE, "CR4: %lx", cr4);
	report(set_cr4(cr4 | CR4_MCE) == NONE && read_cr4() == (cr4 | CR4_MCE), "CR4.MCE set: %lx",
	       read_cr4());
	(void)cpuid(0, 0);
	report(read_cr4() == (cr4 | CR4_MCE), "and after an exit: %lx", read_cr4());
	report(set_cr4(cr4) == NONE && read_cr4() == cr4, "CR4.MCE clear: %lx", read_cr4());
	for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++)
		report(set_cr4(cr4 | refused[i]) == GP && read_cr4() == cr4, "CR4 bit %lx is #GP",
		       refused[i]);
	report(set_cr4(cr4 & ~CR4_PAE) == GP, "CR4.PAE off in long mode is #GP");
	/* The same with a bit that makes it an exit. */
	report(set_cr4((cr4 & ~CR4_PAE) | CR4_MCE) == GP && read_cr4() == cr4,
	       "CR4.PAE off and MCE on is #GP: %lx", read_cr4());
}

/* A page is remapped behind the TLB's back: what flushes what. */
static void check_pcid(void)
{
	volatile u64 *p = (volatile u64 *)(void *)window_map(8, 0xb80000 | PTE_P | PTE_W);
	u64 cr3 = read_cr3(), cr4 = read_cr4();

	*(u64 *)(uintptr_t)0xb80000 = 1;
	*(u64 *)(uintptr_t)0xb90000 = 2;
	set_cr3(cr3 | 5 << 3);
	report(set_cr4(cr4 | CR4_PCIDE) == GP, "CR4.PCIDE with a PCID in CR3 is #GP");
	set_cr3(cr3);
	report(set_cr3(cr3 | BIT(63)) == GP, "CR3 bit 63 without PCIDE is #GP");
	report(set_cr4(cr4 | CR4_PCIDE) == NONE && read_cr4() == (cr4 | CR4_PCIDE),
	       "CR4.PCIDE: %lx", read_cr4());
	report(set_cr3(cr3 | 7) == NONE && read_cr3() == (cr3 | 7), "CR3 with a PCID: %lx",
	       read_cr3());
	report(set_cr3(cr3 | 7 | BIT(63)) == NONE && read_cr3() == (cr3 | 7),
	       "CR3 bit 63 reads as 0: %lx", read_cr3());
	(void)*p;
	window_pt[8] = 0xb90000 | PTE_P | PTE_W;
	set_cr3(cr3 | 7);
	report(*p == 2, "MOV to CR3 flushes");
	report(set_cr4(cr4) == NONE, "CR4.PCIDE off");
	set_cr3(cr3);
	window_pt[8] = 0xb80000 | PTE_P | PTE_W;
	set_cr3(cr3);
	report(*p == 1, "and without PCIDE");
	window_pt[8] = 0xb90000 | PTE_P | PTE_W;
	set_cr4(cr4 | CR4_PGE);
	report(*p == 2, "changing CR4.PGE flushes");
	set_cr4(cr4);
	window_pt[8] = 0xb80000 | PTE_P | PTE_W;
	invlpg(p);
	report(*p == 1, "INVLPG flushes");
}

static void check_cr3(void)
{
	u64 cr3 = read_cr3();
	unsigned int bits = cpuid(0x80000008, 0).eax & 0xff;

	report(set_cr3(cr3 | BIT(bits)) == GP, "CR3 above %u address bits is #GP", bits);
	report(set_cr3(cr3 | BIT(62)) == GP, "CR3 bit 62 is #GP");
	report(read_cr3() == cr3, "CR3 stays: %lx", read_cr3());
	window_map(9, BIT(bits) | PTE_P);
	report(TRY("mov (%0), %%rax",
		   :
		   : "r"(WINDOW + 9 * PAGE_SIZE)
		   : "rax") == PF &&
		       trapped.error == 9,
	       "a reserved bit in a page table: error %lx", trapped.error);
	window_map(9, 0);
	write_cr2(0x123456789abc);
	(void)cpuid(0, 0);
	report(read_cr2() == 0x123456789abc, "CR2 outlives an exit: %lx", read_cr2());
}

static void check_cr8(void)
{
	for (u64 i = 0; i < 16; i++) {
		__asm__ volatile("mov %0, %%cr8" : : "r"(i));
		report(read_cr8() == i, "CR8 is %lu: %lu", i, read_cr8());
		report(lapic_read(0x80) == i << 4, "and the TPR: %x", lapic_read(0x80));
		(void)cpuid(0, 0);
		report(read_cr8() == i, "and after an exit: %lu", read_cr8());
	}
	lapic_write(0x80, 0x5a);
	report(read_cr8() == 5, "a TPR of 5AH is a CR8 of 5: %lu", read_cr8());
	lapic_write(0x80, 0);
	report(TRY("mov %0, %%cr8", : : "r"(16ULL)) == GP, "CR8 above 15 is #GP");
	report(TRY("mov %0, %%cr8", : : "r"(BIT(63))) == GP, "CR8 bit 63 is #GP");
}

static void check_mode(const char *name, const struct mode_result *r, u64 frame)
{
	report(r->cpuid == 0x40000010, "%s: CPUID %lx", name, r->cpuid);
	report(r->lapic == 0x01050014, "%s: the LAPIC's version %lx", name, r->lapic);
	report(r->copied == 0x01050014, "%s: MOVSD from the LAPIC %lx", name, r->copied);
	report(r->mapped == frame, "%s: %lx read, expected %lx", name, r->mapped, frame);
}

static void check_modes(void)
{
	static struct mode_result none, legacy, pae, real;
	volatile u32 *frame = (volatile u32 *)(uintptr_t)MODE_FRAME;

	*frame = 0x600df00d;
	modes_paging(&none, &legacy, &pae);
	check_mode("no paging", &none, 0x600df00d);
	report(none.efer == EFER_LME, "no paging: EFER.LMA is clear: %lx", none.efer);
	check_mode("32-bit paging", &legacy, 0x600df00d);
	report(legacy.efer == 0, "32-bit paging: EFER %lx", legacy.efer);
	check_mode("PAE paging", &pae, 0x600df00d);
	report(pae.efer == 0, "PAE paging: EFER %lx", pae.efer);
	report(pae.vector == 0xffffffff, "PAE: MOV to CR3 loads the entries: %lx", pae.vector);
	report(rdmsr(IA32_EFER) == (EFER_LME | EFER_LMA), "back in long mode: EFER %lx",
	       rdmsr(IA32_EFER));
	report(read_cr4() == CR4_PAE, "CR4 %lx", read_cr4());
	report(read_cr0() == (CR0_PE | CR0_ET | CR0_PG), "CR0 %lx", read_cr0());

	modes_real(&real);
	/* DI went from 6E00H by 300; CL is 0; the last byte is FFH. */
	check_mode("real mode", &real, (0x6e00 + 300) << 16 | 0xff);
	report(real.efer == 0, "real mode: EFER %lx", real.efer);
	report((real.vector & 0xffff) == 13, "real mode: #GP by RDMSR went through the IVT: %lx",
	       real.vector);
	report(real.vector >> 16 == 0x40, "real mode: INT 40H: %lx", real.vector);
	report(rdmsr(IA32_EFER) == (EFER_LME | EFER_LMA), "back again: EFER %lx", rdmsr(IA32_EFER));
}

void guest_main(void)
{
	check_cr0();
	check_cr4();
	check_cr3();
	if (cpuid(1, 0).ecx & BIT(17))
		check_pcid();
	check_cr8();
	for (unsigned int i = 0; i < 3; i++)
		check_modes();
}
