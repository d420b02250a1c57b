/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/tsc_sync.h"
#include "lib/x86.h"

/* The best of them counts: whoever interrupts one (an SMI, a hypervisor below) only makes its range wider. */
#define ROUNDS 64

enum { AGREE = ROUNDS + 1, DIFFER };

#define FAR ((s64)(~0ULL >> 1))

/* After all loads before it: SDM, "RDTSC". Else an answer could be older than its question. */
static u64 rdtsc_ordered(void)
{
	__asm__ volatile("lfence" : : : "memory");
	return rdtsc();
}

static bool has_tsc_adjust(void)
{
	return cpuid(0, 0).eax >= 7 && (cpuid(7, 0).ebx & BIT(1));
}

u64 tsc_adjust_read(void)
{
	return has_tsc_adjust() ? rdmsr(IA32_TSC_ADJUST) : 0;
}

void tsc_adjust_write(u64 adjust)
{
	if (has_tsc_adjust() && rdmsr(IA32_TSC_ADJUST) != adjust)
		wrmsr(IA32_TSC_ADJUST, adjust);
}

/* One round: the answer was read between @before and @after. */
static bool ask(struct tsc_sync *sync, unsigned int round, u64 tsc_hz, struct tsc_skew *skew)
{
	u64 before = rdtsc(), after, answer;

	atomic_store(&sync->asked, round);
	while (atomic_load(&sync->answered) != round) {
		if (rdtsc() - before > tsc_hz)
			return false;
		cpu_pause();
	}
	after = rdtsc_ordered();
	answer = atomic_load(&sync->answer);
	skew->low = MAX(skew->low, (s64)(answer - after));
	skew->high = MIN(skew->high, (s64)(answer - before));
	return true;
}

bool tsc_sync_ask(struct tsc_sync *sync, u64 tsc_hz, struct tsc_skew *skew)
{
	bool agree = true;

	*skew = (struct tsc_skew){ -FAR, FAR };
	for (unsigned int round = 1; round <= ROUNDS && agree; round++)
		agree = ask(sync, round, tsc_hz, skew);
	if (!agree)
		*skew = (struct tsc_skew){ FAR, -FAR };
	agree = skew->low <= 0 && skew->high >= 0;
	atomic_store(&sync->asked, agree ? AGREE : DIFFER);
	return agree;
}

bool tsc_sync_answer(struct tsc_sync *sync, u64 tsc_hz)
{
	unsigned int asked, answered = 0;
	u64 start = rdtsc();

	while ((asked = atomic_load(&sync->asked)) <= ROUNDS) {
		u64 now = rdtsc_ordered();

		if (asked != answered) {
			/* Ordered: who sees the round answered sees the answer, and it was read after the question. */
			atomic_store(&sync->answer, now);
			atomic_store(&sync->answered, asked);
			answered = asked;
		} else if (now - start > 2 * tsc_hz) {
			return false;
		}
		cpu_pause();
	}
	return asked == AGREE;
}
