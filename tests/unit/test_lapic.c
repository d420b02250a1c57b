/* SPDX-License-Identifier: BSD-2-Clause */
/* drivers/lapic and vmm/host/trap: an interrupt that nobody handles is ended, at the start and later; a spurious one is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "drivers/lapic.h"
#include "lib/printk.h"
#include "tests/unit/fake_x86.h"
#include "tests/unit/host_support.h"
#include "vmm/host/cpu.h"
#include "vmm/host/trap.h"

#define ISR IA32_X2APIC(0x100)
#define EOI IA32_X2APIC(0xb0)

/* Of trap.asm, which is not here. */
const char trap_stubs[TRAP_VECTORS * 16];
const struct {
	s32 insn, target;
} trap_fixups[1];
void trap_handle(struct trap_frame *frame);

bool rdmsr_safe(u32 msr, u64 *value)
{
	(void)msr, (void)value;
	return false;
}

const char *cpu_guard_name(hpa_t addr)
{
	(void)addr;
	return NULL;
}

void panic_at(const struct trap_frame *frame, const char *fmt, ...)
{
	(void)frame;
	panic("%s", fmt);
}

static unsigned int eois;

/* The highest vector in service is over. */
static void apic(u32 msr, u64 value)
{
	(void)value;
	if (msr != EOI)
		return;
	eois++;
	for (unsigned int i = 8; i-- > 0;) {
		u32 bits = (u32)fake_msr(ISR + i);

		if (bits) {
			fake_msr_set(ISR + i, bits & ~(1u << (31 - __builtin_clz(bits))));
			return;
		}
	}
}

static struct cpuid_regs x2apic(u32 leaf, u32 subleaf)
{
	(void)subleaf;
	return (struct cpuid_regs){ 0x16, 0, leaf == 1 ? BIT(21) | BIT(24) : 0, 0 };
}

static void in_service(u8 vector)
{
	fake_msr_set(ISR + vector / 32, fake_msr(ISR + vector / 32) | 1u << vector % 32);
}

static int setup(void **state)
{
	static struct cpu cpu;

	(void)state;
	cpu.self = &cpu;
	assert_int_equal(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, &cpu), 0);
	fake_x86_reset();
	fake_x86.cpuid = x2apic;
	fake_x86.wrmsr = apic;
	for (u32 reg = 0; reg < 0x400; reg += 0x10)
		fake_msr_set(IA32_X2APIC(reg), 0);
	fake_msr_set(IA32_X2APIC(0x30), 6 << 16);
	fake_msr_set(IA32_APIC_BASE, 0xfee00000 | APIC_BASE_EN | APIC_BASE_EXTD);
	eois = 0;
	return 0;
}

static void drained(void **state)
{
	(void)state;
	in_service(0x31);
	in_service(0x60);
	in_service(0xef);
	lapic_init(NULL, 0xff);
	assert_int_equal(eois, 3);
	for (unsigned int v = 0; v < 256; v++)
		assert_false(lapic_in_service((u8)v));
}

static void nothing_to_drain(void **state)
{
	(void)state;
	lapic_init(NULL, 0xff);
	assert_int_equal(eois, 0);
}

static void interrupt(u8 vector, bool acknowledged)
{
	struct trap_frame frame = { .vector = vector };

	if (acknowledged)
		trap_acknowledged(vector);
	else
		trap_handle(&frame);
}

/* Through the IDT or acknowledged by an exit; said once. */
static void unhandled(void **state)
{
	u64 before = trap_spurious();

	(void)state;
	lapic_init(NULL, 0xff);
	capture_start();
	for (unsigned int i = 0; i < 2; i++) {
		in_service(0x61);
		interrupt(0x61, i);
		assert_false(lapic_in_service(0x61));
		assert_int_equal(eois, i + 1);
	}
	capture_stop();
	assert_int_equal(trap_spurious(), before + 2);
	assert_non_null(strstr(capture_text(), "irq: vector 0x61 on CPU 0 has no handler"));
	assert_null(strstr(strstr(capture_text(), "0x61") + 1, "0x61"));
}

/* Its in-service bit is not set: an EOI would end another one. */
static void spurious(void **state)
{
	(void)state;
	lapic_init(NULL, 0xff);
	in_service(0x30);
	interrupt(0xff, false);
	assert_int_equal(eois, 0);
	assert_true(lapic_in_service(0x30));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(drained, setup),
		cmocka_unit_test_setup(nothing_to_drain, setup),
		cmocka_unit_test_setup(unhandled, setup),
		cmocka_unit_test_setup(spurious, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
