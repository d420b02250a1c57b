/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmm/host/ap: CPUs that come in time are used; one that comes late, at whatever point, takes nothing that is another one's,
 * and halts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "drivers/lapic.h"
#include "tests/unit/fake_x86.h"
#include "tests/unit/host_support.h"
#include "vmm/host/ap.h"
#include "vmm/host/hostpt.h"
#include "vmm/host/mem.h"
#include "vmm/host/panic.h"
#include "vmm/host/trap.h"
#include "vmm/host/tsc_sync.h"

#define HZ    1000000ULL /* ticks are microseconds */
#define NEVER ~0ULL

/* As ap.asm has them. */
__asm__(".pushsection .rodata\n"
	".globl ap_trampoline, ap_params, ap_trampoline_end\n"
	".balign 8\n"
	"ap_trampoline:\n"
	"ap_params: .zero 80\n"
	"ap_trampoline_end:\n"
	".popsection");
#define TICKET_OFFSET 32

struct boot {
	u64 stack;
	struct cpu *cpu;
	void (*entry)(struct cpu *cpu);
};

/* A CPU of the machine: how long each of its steps takes, and what has become of it. */
static struct ap {
	u32 apic_id;
	u64 start, init, online; /* from start-up IPI to ticket, to RUNNING, to ONLINE */
	bool unfit, skewed;
	u64 at;
	enum { WAITS, STARTED, CLAIMED, RAN, RUNS, HALTED } state;
	struct boot boot; /* what it found */
	struct tsc_sync *sync;
	unsigned int inits, sipis;
} aps[4];

static struct cpu boot_cpu;
static u64 now;
static struct ap *current;
static jmp_buf out;
static u8 low[2 * PAGE_SIZE] __attribute__((aligned(4096)));
static u8 root[PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned int prepared, prepare_at_most, code;

static void set_gs(struct cpu *cpu)
{
	assert_int_equal(syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, cpu), 0);
}

/* Run @current's code until it halts or waits. */
#define ON_AP(call)                        \
	do {                               \
		set_gs(current->boot.cpu); \
		if (!setjmp(out))          \
			call;              \
		set_gs(&boot_cpu);         \
		current = NULL;            \
	} while (0)

static void claim(struct ap *a)
{
	struct boot **ticket, *found;

	memcpy(&ticket, low + TICKET_OFFSET, sizeof(ticket));
	found = __atomic_exchange_n(ticket, NULL, __ATOMIC_SEQ_CST); /* the trampoline's XCHG */
	a->state = found ? CLAIMED : HALTED;
	if (found)
		a->boot = *found;
	a->at = now + a->init;
}

static void advance(struct ap *a)
{
	current = a;
	switch (a->state) {
	case STARTED: claim(a); break;
	case CLAIMED: ON_AP(a->boot.entry(a->boot.cpu)); break;
	case RAN:
		ON_AP(ap_online());
		if (a->state == RAN)
			a->state = RUNS;
		break;
	default: break;
	}
}

static u64 fake_tsc(void)
{
	if (current)
		return now;
	now++;
	for (unsigned int i = 0; i < ARRAY_SIZE(aps); i++) {
		if (aps[i].at <= now) {
			aps[i].at = NEVER;
			advance(&aps[i]);
			current = NULL;
		}
	}
	return now;
}

static struct ap *by_apic_id(u32 apic_id)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(aps); i++) {
		if (aps[i].apic_id == apic_id)
			return &aps[i];
	}
	fail_msg("APIC ID %u", apic_id);
	return NULL;
}

/* --- what ap.c uses --- */

void lapic_send_init(u32 apic_id)
{
	by_apic_id(apic_id)->inits++; /* a late one that no longer listens: the worst case */
}

void lapic_send_startup(u32 apic_id, u8 page)
{
	struct ap *a = by_apic_id(apic_id);

	(void)page;
	a->sipis++;
	if (a->state == WAITS && a->start != NEVER) {
		a->state = STARTED;
		a->at = now + a->start;
	}
}

void lapic_send_nmi(u32 apic_id)
{
	(void)apic_id;
}

hpa_t mem_low_pages(unsigned int n)
{
	assert_int_equal(n, 2);
	return (hpa_t)(uintptr_t)low;
}

int hostpt_set_code(hpa_t hpa)
{
	assert_int_equal(hpa, (hpa_t)(uintptr_t)low);
	code++;
	return 0;
}

int cpu_prepare(struct cpu *cpu, unsigned int id)
{
	assert_int_equal(aps[0].sipis, 0); /* no other CPU runs while page tables change */
	assert_int_equal(id, CPU_NO_ID);
	if (prepared == prepare_at_most)
		return -1;
	cpu->self = cpu;
	cpu->id = id;
	cpu->stack_top[CPU_STACK_MAIN] = ++prepared;
	return 0;
}

void cpu_init(struct cpu *cpu)
{
	cpu->apic_id = current->apic_id;
}

struct cpu *cpu_boot(void)
{
	return &boot_cpu;
}

void cpu_halt(void)
{
	assert_non_null(current);
	current->state = HALTED;
	longjmp(out, 1);
}

void trap_set_nmi_hook(void (*hook)(struct trap_frame *frame))
{
	(void)hook;
}

void panic_set_stop(void (*stop)(void))
{
	(void)stop;
}

bool panic_is_on(void)
{
	return false;
}

u64 tsc_adjust_read(void)
{
	return 0x123;
}

void tsc_adjust_write(u64 adjust)
{
	assert_int_equal(adjust, 0x123);
}

/* The two sides meet without waiting for each other: the one that runs has said by its state that it is there. */
bool tsc_sync_ask(struct tsc_sync *sync, u64 tsc_hz, struct tsc_skew *skew)
{
	assert_int_equal(atomic_load(&sync->asked), 0);
	(void)tsc_hz;
	for (unsigned int i = 0; i < ARRAY_SIZE(aps); i++) {
		if (aps[i].boot.cpu && aps[i].skewed && aps[i].sync == sync) {
			*skew = (struct tsc_skew){ -1200, -1100 };
			return false;
		}
	}
	return true;
}

bool tsc_sync_answer(struct tsc_sync *sync, u64 tsc_hz)
{
	(void)tsc_hz;
	current->sync = sync;
	return !current->skewed;
}

/* The VMM's part: as far as ap_online, which comes later. */
static void main_of_ap(struct cpu *cpu)
{
	assert_ptr_equal(cpu, this_cpu());
	if (current->unfit)
		return;
	current->state = RAN;
	current->at = now + current->online;
	longjmp(out, 1);
}

/* --- the tests --- */

static int setup(void **state)
{
	(void)state;
	memset(aps, 0, sizeof(aps));
	for (unsigned int i = 0; i < ARRAY_SIZE(aps); i++)
		aps[i] = (struct ap){
			.apic_id = 2 * i + 2, .start = 10, .init = 10, .online = 10, .at = NEVER
		};
	fake_x86_reset();
	fake_x86.rdtsc = fake_tsc;
	fake_x86.cr3 = (u64)(uintptr_t)root;
	fake_msr_set(IA32_EFER, 0);
	boot_cpu = (struct cpu){ .self = &boot_cpu };
	set_gs(&boot_cpu);
	now = 1000;
	prepared = code = 0;
	prepare_at_most = 100;
	return 0;
}

static unsigned int start_all(void)
{
	static struct acpi_info acpi;
	unsigned int n;

	acpi.cpus = 1 + ARRAY_SIZE(aps);
	acpi.cpu[0].apic_id = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(aps); i++)
		acpi.cpu[1 + i].apic_id = aps[i].apic_id;
	capture_start();
	n = ap_start_all(&acpi, HZ, main_of_ap);
	capture_stop();
	while (now < 100 * HZ) /* whoever is late comes */
		fake_tsc();
	return n;
}

/* Those that run have a stack, a struct and a number of their own; @n of them are used. */
static void check(unsigned int n, const char *states)
{
	assert_int_equal(start_all(), 1 + n);
	assert_int_equal(code, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(aps); i++) {
		assert_int_equal(aps[i].state, states[i] == 'r'   ? RUNS
					       : states[i] == 'w' ? WAITS
								  : HALTED);
		for (unsigned int j = 0; j < i; j++) {
			if (aps[i].boot.cpu && aps[j].boot.cpu) {
				assert_ptr_not_equal(aps[i].boot.cpu, aps[j].boot.cpu);
				assert_int_not_equal(aps[i].boot.stack, aps[j].boot.stack);
			}
		}
	}
	for (unsigned int id = 1; id <= n; id++) {
		assert_int_equal(cpu_by_id(id)->id, id);
		assert_int_equal(by_apic_id(cpu_by_id(id)->apic_id)->state, RUNS);
	}
	assert_null(cpu_by_id(n + 1));
}

static void in_time(void **state)
{
	(void)state;
	check(4, "rrrr");
	assert_string_equal(capture_text(), "");
	assert_int_equal(aps[3].sipis, 1);
}

static void second_startup(void **state)
{
	(void)state;
	aps[1].start = 5000; /* between the first IPI's millisecond and the second one's 200 */
	check(4, "rrrr");
	assert_int_equal(aps[1].sipis, 2);
}

/* Claim: a CPU whose TSC is another one is not used, and that is said, once. */
static void skewed(void **state)
{
	(void)state;
	aps[1].skewed = true;
	check(3, "rhrr");
	assert_non_null(strstr(capture_text(),
			       "APIC ID 4 is not used: its TSC is -1200 to -1100 ticks off"));
	assert_null(strstr(capture_text(), "does not start"));
	assert_int_equal(aps[1].inits, 2);
}

static void dead(void **state)
{
	(void)state;
	aps[1].start = NEVER;
	check(3, "rwrr");
	assert_non_null(strstr(capture_text(), "APIC ID 4 does not start"));
	assert_int_equal(aps[1].inits, 2);
}

/* Claim: late before its ticket. While the next one is started it may take that one's; afterwards it halts. */
static void late_ticket(void **state)
{
	(void)state;
	aps[1].start =
		201000 + 10000 + 500; /* the third has its start-up IPI, and is not there yet */
	aps[2].start = 900;
	check(3, "rrhr");
}

static void late_after_all(void **state)
{
	(void)state;
	aps[3].start = 50 * HZ;
	check(3, "rrrh");
	assert_null(aps[3].boot.cpu);
}

/* Claim: late between its ticket and its first words. */
static void late_init(void **state)
{
	(void)state;
	aps[1].init = 230000;
	check(3, "rhrr");
}

/* Claim: late between its first words and being ready: another one has its number, and it does not run. */
static void late_online(void **state)
{
	(void)state;
	aps[1].online = 1100000;
	check(3, "rhrr");
}

static void unfit(void **state)
{
	(void)state;
	aps[1].unfit = true;
	check(3, "rhrr");
	assert_string_equal(capture_text(), "");
	assert_true(now < 200 * HZ);
}

static void no_memory(void **state)
{
	(void)state;
	prepare_at_most = 2;
	check(2, "rrww");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(in_time, setup),
		cmocka_unit_test_setup(second_startup, setup),
		cmocka_unit_test_setup(skewed, setup),
		cmocka_unit_test_setup(dead, setup),
		cmocka_unit_test_setup(late_ticket, setup),
		cmocka_unit_test_setup(late_after_all, setup),
		cmocka_unit_test_setup(late_init, setup),
		cmocka_unit_test_setup(late_online, setup),
		cmocka_unit_test_setup(unfit, setup),
		cmocka_unit_test_setup(no_memory, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
