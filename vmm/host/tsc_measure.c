/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/host/tsc_measure.h"
#include "lib/math.h"
#include "lib/x86.h"

#define ROUNDS_A_SECOND 20 /* a tick of the PM timer is 6 ppm of a round */
#define ROUNDS          12
#define AGREE           3

/* Of so many reads the one that took least is believed. */
#define READS 8

/* Reads without a change after which the counter has stopped: a tick is at most 1 us, a read not much less. */
#define STOPPED_READS 100000u

/* Both clocks at one moment. */
struct point {
	u64 tsc;
	u32 count;
};

/*
 * The counter is read at some moment between two reads of the TSC. How far from the middle does not matter, as long as it is
 * the same at both ends of a round; so what took longer than it has to is not taken.
 */
static struct point point(const struct tsc_counter *counter)
{
	struct point best = { 0 };
	u64 least = ~0ULL;

	for (unsigned int i = 0; i < READS; i++) {
		u64 before = rdtsc();
		u32 count = counter->read(counter->port);
		u64 took = rdtsc() - before;

		if (took < least) {
			least = took;
			best = (struct point){ before + took / 2, count };
		}
	}
	return best;
}

/* Wait for @ticks and some more. How far the counter is behind @from, in *passed; false: it does not move. */
static bool wait(const struct tsc_counter *counter, u32 from, u64 ticks, u64 *passed)
{
	u32 last = from;

	*passed = 0;
	for (unsigned int idle = 0; *passed < ticks; idle++) {
		u32 now = counter->read(counter->port);

		if (now != last)
			idle = 0;
		else if (idle > STOPPED_READS)
			return false;
		*passed += (now - last) & counter->mask;
		last = now;
	}
	return true;
}

static u64 measure_once(const struct tsc_counter *counter)
{
	struct point start = point(counter), end;
	u64 ticks = counter->hz / ROUNDS_A_SECOND, passed;

	if (!wait(counter, start.count, ticks, &passed))
		return 0;
	end = point(counter);
	/* What has passed since the wait ended, which was at start.count + passed. */
	passed += (end.count - start.count - (u32)passed) & counter->mask;
	return mul_div(end.tsc - start.tsc, counter->hz, passed);
}

static void insert(u64 *sorted, unsigned int n, u64 value)
{
	for (; n && sorted[n - 1] > value; n--)
		sorted[n] = sorted[n - 1];
	sorted[n] = value;
}

u64 tsc_measure(const struct tsc_counter *counter, u32 *ppm)
{
	u64 sorted[ROUNDS], found = 0;

	*ppm = ~0u;
	for (unsigned int n = 0; n < ROUNDS; n++) {
		u64 hz = measure_once(counter);

		if (!hz)
			return 0;
		insert(sorted, n, hz);
		for (unsigned int i = AGREE - 1; i <= n; i++) {
			u64 low = sorted[i - (AGREE - 1)];
			u64 apart = (sorted[i] - low) * 1000000 / low;

			if (apart < *ppm) {
				*ppm = (u32)apart;
				found = sorted[i - 1];
			}
		}
		if (*ppm <= TSC_GOOD_PPM)
			break;
	}
	return found;
}
