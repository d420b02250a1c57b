/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What operations cost that a hypervisor may have to see: each executed N times, by itself, between
 * two reads of the TSC. Told are minimum, median, 99th percentile and maximum, in ticks, without
 * what the same measurement of nothing takes.
 *
 *   n=N             repetitions (1000)
 *   only=A,B,...    these operations alone
 *   list            their names, nothing else
 *   parallel        the virtual CPUs have physical ones of their own: IPIs can be waited for
 *
 * Status 0: all that was asked for was done or, where the machine lacks something, left out and said
 * so; 1: an operation did something else than it should; 2: it was asked for what there is not.
 */
#include "bench.h"
#include "lib/print.h"
#include "lib/string.h"

const char guest_name[] = "exitbench";

#define MOST     100000u
#define WARM_UP  32u
#define BAD_CALL 2

static const struct op *const groups[] = { cpu_ops, io_ops, irq_ops, ipi_ops };
static u64 samples[MOST];
static u64 empty_run, empty_timed;
static const char *only;

#define FOR_EACH_OP(op)                                          \
	for (unsigned int g_ = 0; g_ < ARRAY_SIZE(groups); g_++) \
		for (const struct op *op = groups[g_]; op->name; op++)

/* --- numbers --- */

/* Heapsort: no recursion, no bad case. */
static void sift(u64 *a, u32 root, u32 n)
{
	for (u32 child; (child = 2 * root + 1) < n; root = child) {
		u64 t;

		if (child + 1 < n && a[child + 1] > a[child])
			child++;
		if (a[root] >= a[child])
			return;
		t = a[root];
		a[root] = a[child];
		a[child] = t;
	}
}

static void sort(u64 *a, u32 n)
{
	for (u32 i = n / 2; i-- > 0;)
		sift(a, i, n);
	for (u32 i = n; i-- > 1;) {
		u64 t = a[0];

		a[0] = a[i];
		a[i] = t;
		sift(a, 0, i);
	}
}

static u64 less(u64 ticks, u64 empty)
{
	return ticks > empty ? ticks - empty : 0;
}

/* --- one operation --- */

static u64 sample(const struct op *op)
{
	u64 start;

	if (op->timed)
		return op->timed();
	start = ticks();
	op->run();
	return ticks() - start;
}

static u32 repetitions(const struct op *op, u32 n)
{
	return op->most ? MIN(n, op->most) : n;
}

static u64 execute(const struct op *op, u32 n)
{
	u32 warm_up = op->most ? 0 : WARM_UP;

	for (u32 i = 0; i < warm_up; i++)
		(void)sample(op);
	for (u32 i = 0; i < n; i++)
		samples[i] = sample(op);
	return (u64)warm_up + n;
}

static void tell(const struct op *op, u32 n)
{
	u64 empty = op->timed ? empty_timed : empty_run;
	u64 least, median, p99, most;

	sort(samples, n);
	least = less(samples[0], empty);
	median = less(samples[n / 2], empty);
	p99 = less(samples[(u64)n * 99 / 100], empty);
	most = less(samples[n - 1], empty);
	say("%-24s %8lu   min %lu, p99 %lu, max %lu, n %u", op->name, median, least, p99, most, n);
	say("@bench {\"op\": \"%s\", \"n\": %u, \"min\": %lu, \"median\": %lu, \"p99\": %lu, "
	    "\"max\": %lu, \"empty\": %lu}",
	    op->name, n, least, median, p99, most, empty);
}

static void skip(const struct op *op, const char *why)
{
	say("%-24s not here: %s", op->name, why);
	say("@bench {\"op\": \"%s\", \"skipped\": \"%s\"}", op->name, why);
}

static void measure(const struct op *op, u32 n)
{
	const char *problem = op->begin ? op->begin() : NULL;
	u64 executed;

	if (problem) {
		skip(op, problem);
		return;
	}
	n = repetitions(op, n);
	executed = execute(op, n);
	problem = op->end ? op->end(executed) : NULL;
	if (problem)
		say("@bench {\"op\": \"%s\", \"error\": \"%s\"}", op->name, problem);
	else
		tell(op, n);
	report(!problem, "%s: %s", op->name, problem ? problem : "done");
}

/* --- the measurement itself --- */

static void nothing(void)
{
}

static u64 nothing_timed(void)
{
	u64 start = ticks();

	return ticks() - start;
}

static u64 least_of(const struct op *op)
{
	u64 least = ~0ULL;

	for (unsigned int i = 0; i < 200; i++)
		least = MIN(least, sample(op));
	return least;
}

static void calibrate(void)
{
	static const struct op run = { .run = nothing }, timed = { .timed = nothing_timed };

	empty_run = least_of(&run);
	empty_timed = least_of(&timed);
}

/* --- the command line --- */

static size_t word_length(const char *s)
{
	size_t n = 0;

	while (s[n] && s[n] != ',' && s[n] != ' ')
		n++;
	return n;
}

/* Is the word of @len bytes at @s this name? */
static bool is_name(const char *name, const char *s, size_t len)
{
	return strlen(name) == len && !memcmp(name, s, len);
}

static bool is_known(const char *s, size_t len)
{
	FOR_EACH_OP(op)
	if (is_name(op->name, s, len))
		return true;
	return false;
}

static bool is_chosen(const struct op *op)
{
	const char *s = only;
	size_t len;

	if (!s)
		return true;
	for (;; s += len + 1) {
		len = word_length(s);
		if (is_name(op->name, s, len))
			return true;
		if (s[len] != ',')
			return false;
	}
}

static void bad_call(const char *what)
{
	say("error: %s; nothing was measured", what);
	say("@bench {\"error\": \"%s\"}", what);
	finish(BAD_CALL);
}

/* The word comes from outside: it is shown as far as a JSON string can have it as it stands. */
static void bad_name(const char *s, size_t len)
{
	static char text[120];
	char shown[41] = { 0 };

	for (size_t i = 0; i < MIN(len, sizeof(shown) - 1); i++)
		shown[i] = (char)(s[i] > ' ' && s[i] < 127 && s[i] != '"' && s[i] != '\\' ? s[i]
											  : '?');
	scnprintf(text, sizeof(text),
		  "only=%s: there is no such operation (the word list shows them)", shown);
	bad_call(text);
}

static void check_names(void)
{
	for (const char *s = only; s;) {
		size_t len = word_length(s);

		if (!is_known(s, len))
			bad_name(s, len);
		s = s[len] == ',' ? s + len + 1 : NULL;
	}
}

static u32 wanted_repetitions(void)
{
	const char *value = option_value("n");
	u64 n = 0;

	if (!value)
		return 1000;
	if (!word_length(value))
		bad_call("n=: a number from 1 to 100000 is expected");
	for (; *value && *value != ' '; value++) {
		if (*value < '0' || *value > '9' || n > MOST)
			bad_call("n: a number from 1 to 100000 is expected");
		n = n * 10 + (u64)(*value - '0');
	}
	if (!n)
		bad_call("n=0: zero repetitions measure nothing");
	if (n > MOST)
		bad_call("n: a number from 1 to 100000 is expected");
	return (u32)n;
}

static void list(void)
{
	FOR_EACH_OP(op)
	say("%s", op->name);
}

/* --- all of it --- */

static bool needs_x2apic(const struct op *op)
{
	return op->apic == X2APIC;
}

static void measure_all(u32 n, bool x2apic)
{
	FOR_EACH_OP(op)
	if (is_chosen(op) && needs_x2apic(op) == x2apic)
		measure(op, n);
}

static void skip_x2apic(void)
{
	FOR_EACH_OP(op)
	if (is_chosen(op) && needs_x2apic(op))
		skip(op, "no x2APIC");
}

static void tell_header(u32 n)
{
	struct cpuid_regs r = cpuid(0x40000000, 0);
	char vendor[13] = { 0 };

	memcpy(vendor, &r.ebx, 4);
	memcpy(vendor + 4, &r.ecx, 4);
	memcpy(vendor + 8, &r.edx, 4);
	for (char *c = vendor; *c; c++)
		*c = *c >= ' ' && *c < 127 && *c != '"' && *c != '\\' ? *c : '?';
	if (!(cpuid(1, 0).ecx & BIT(31)))
		memcpy(vendor, "none", 5);
	say("n %u, %u CPUs, TSC %lu Hz, hypervisor %s; ticks: median, and more", n, cpu_count,
	    tsc_hz, vendor);
	say("@bench {\"begin\": 1, \"n\": %u, \"cpus\": %u, \"tsc_hz\": %lu, \"hypervisor\": "
	    "\"%s\", "
	    "\"empty\": %lu, \"empty_timed\": %lu}",
	    n, cpu_count, tsc_hz, vendor, empty_run, empty_timed);
}

void guest_main(void)
{
	u32 n;

	if (option("list")) {
		list();
		return;
	}
	n = wanted_repetitions();
	only = option_value("only");
	check_names();
	if (!smp_start()) /* reported */
		return;
	irq_disable();
	calibrate();
	tell_header(n);
	measure_all(n, false);
	if (smp_has_x2apic()) {
		smp_set_x2apic(true);
		apic_by_msr = true;
		measure_all(n, true);
	} else {
		skip_x2apic();
	}
	say("@bench {\"end\": 1, \"failed\": %u}", failed);
}
