/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/observe/trace_dump.h"
#include "lib/printk.h"
#include "vmm/vm/vm.h"
#include "vmx/exit_reasons.h"

typedef unsigned long long ull;

#define LINE 200 /* bytes of events */

void trace_dump_begin(struct trace_dump *d, const struct trace_ring *ring, unsigned int cpus,
		      u64 tsc_hz)
{
	*d = (struct trace_dump){ .ring = ring, .cpus = cpus };
	pr_info("trace: begin: %u CPUs, TSC %llu Hz\n", cpus, (ull)tsc_hz);
	for (unsigned int i = 0; i < vmm.vms; i++)
		pr_info("trace: vm %u: %s\n", i, vmm.vm[i].config->name);
}

static void begin_cpu(struct trace_dump *d)
{
	const struct trace_ring *r = &d->ring[d->cpu];

	d->at = trace_oldest(r);
	d->begun = true;
	pr_info("trace: cpu %u: %llu events, %llu overwritten\n", d->cpu, (ull)(r->next - d->at),
		(ull)d->at);
}

/* Which reasons have to be named in the end. */
static void note_reasons(struct trace_dump *d, const struct trace_ring *r, u64 from)
{
	for (; from < d->at; from++) {
		const struct trace_event *e = &r->event[from & r->mask];

		if (e->kind == TRACE_EXIT && e->what < VMX_EXIT_REASON_COUNT)
			d->reasons[e->what / 64] |= BIT(e->what % 64);
	}
}

static void print_events(struct trace_dump *d)
{
	const struct trace_ring *r = &d->ring[d->cpu];
	u64 from = d->at;
	char text[LINE];

	trace_line(r, &d->at, text, sizeof(text));
	pr_info("trace: %u: %s\n", d->cpu, text);
	d->events += d->at - from;
	note_reasons(d, r, from);
}

static void print_end(const struct trace_dump *d)
{
	_Static_assert(VMX_EXIT_REASON_COUNT <= 128, "bits of d->reasons");
	for (unsigned int i = 0; i < VMX_EXIT_REASON_COUNT; i++) {
		if (d->reasons[i / 64] & BIT(i % 64))
			pr_info("trace: reason %u: %s\n", i, vmx_exit_reason_name(i));
	}
	pr_info("trace: end: %llu events\n", (ull)d->events);
}

bool trace_dump_more(struct trace_dump *d)
{
	if (d->cpu == d->cpus) {
		print_end(d);
		return false;
	}
	if (!d->begun) {
		begin_cpu(d);
	} else if (d->at < d->ring[d->cpu].next) {
		print_events(d);
	} else {
		d->cpu++;
		d->begun = false;
	}
	return true;
}
